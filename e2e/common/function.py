"""The compiled function behind a Lambda runtime API: one invocation at a time, as in an environment of Lambda."""

import asyncio
import glob
import os
import signal
import time
import uuid

from wire import Answer, Server

START = 60  # seconds until a process must ask for work, or answer
INVOCATION = 29  # seconds
ARN = "arn:aws:lambda:us-east-1:123456789012:function:offboard"
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "offboard",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_LOG_FORMAT": "JSON",
    "AWS_LAMBDA_LOG_LEVEL": "INFO",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


class FunctionError(Exception):
    """The function answered an invocation with an error."""


class Function:
    """One process, whose clock is `ahead` seconds ahead. It logs to the end of the file `log`."""

    def __init__(self, binary, log, environment, ahead=0):
        self.binary, self.log, self.environment, self.ahead = binary, log, environment, ahead
        self.events, self.ready, self.answers = asyncio.Queue(), asyncio.Event(), {}
        self.server, self.process, self.turn = Server(self.answer), None, asyncio.Lock()

    async def launch(self):
        """Starts the process, which may end at once."""
        await self.server.start()
        environment = ENVIRONMENT | {"AWS_LAMBDA_RUNTIME_API": self.server.address} | self.environment
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.binary,
                env=environment | faked(self.ahead),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.ended = asyncio.ensure_future(self.process.wait())

    async def start(self):
        """Starts the process and waits until it asks for work."""
        await self.launch()
        asked = asyncio.ensure_future(self.ready.wait())
        await asyncio.wait([self.ended, asked], timeout=START, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            asked.cancel()
            log = self.log.read_text()[-2000:]
            raise AssertionError(f"the function ended with {self.process.returncode}, or never asked for work: {log}")
        return self

    async def answer(self, request):
        path = request.path.split("/")
        if path[-1] != "next":
            self.answers[path[-2]].set_result((path[-1], request.json()))
            return Answer.json(202, {})
        self.ready.set()
        id, event = await self.events.get()
        deadline = time.time() + self.ahead + INVOCATION
        return Answer.json(
            200,
            event,
            **{
                "lambda-runtime-aws-request-id": id,
                "lambda-runtime-deadline-ms": str(int(deadline * 1000)),
                "lambda-runtime-invoked-function-arn": ARN,
            },
        )

    async def invoke(self, event):
        """Returns the function's answer, or `None` if the process was killed."""
        async with self.turn:
            self.request_id, answer = str(uuid.uuid4()), asyncio.get_running_loop().create_future()
            self.answers[self.request_id] = answer
            self.events.put_nowait((self.request_id, event))
            await asyncio.wait([self.ended, answer], timeout=START, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                assert self.ended.done(), "the function does not answer"
                assert self.process.returncode == -signal.SIGKILL, self.process.returncode
                return None
            kind, value = answer.result()
            if kind != "response":
                raise FunctionError(value)
            return value

    def strike(self):
        """SIGKILL: nothing more comes from it."""
        if self.process and self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGKILL)

    async def kill(self):
        self.strike()
        await self.ended
        self.server.stop()


def faked(ahead):
    """The environment of a process whose clock is so many seconds ahead."""
    if not ahead:
        return {}
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert library, "libfaketime is missing: apt-get install faketime"
    return {
        "LD_PRELOAD": library[0],
        "FAKETIME": f"{ahead:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
