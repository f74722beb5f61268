"""The compiled function, behind a Lambda runtime API of its own."""

import json
import queue
import subprocess
import threading
import time
import uuid

from server import Server

PATIENCE = 30  # seconds
INVOCATION = 29  # seconds


class Function:
    """One process of it, which handles one event at a time. It logs to the end of the file `log`."""

    def __init__(self, binary, log, **environment):
        self.binary, self.log, self.environment = binary, log, environment
        self.ahead = 0  # seconds that its clock is ahead of ours
        self.events, self.answers, self.ready = queue.Queue(), queue.Queue(), threading.Event()
        self.api = Server(self.answer)

    def start(self):
        """Waits until it asks for work."""
        environment = {
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "offboard",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary], env=environment | self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + PATIENCE
        while not self.ready.wait(0.05):
            assert self.process.poll() is None, f"the function ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < end, "the function never asked for work"

    def answer(self, method, path, headers, body):
        if not path.endswith("/invocation/next"):
            self.answers.put((path.split("/")[-2:], json.loads(body)))
            return 202, {"content-type": "application/json"}, b"{}"
        self.ready.set()
        event = self.events.get()
        if event is None:
            return None
        return (
            200,
            {
                "content-type": "application/json",
                "lambda-runtime-aws-request-id": str(uuid.uuid4()),
                "lambda-runtime-deadline-ms": str(int((time.time() + self.ahead + INVOCATION) * 1000)),
                "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:offboard",
            },
            json.dumps(event).encode(),
        )

    def invoke(self, event):
        """The request's id, and the function's answer to the event."""
        self.events.put(event)
        (id, kind), answer = self.answers.get(timeout=PATIENCE)
        assert kind == "response", (kind, answer)
        return id, answer

    def end(self):
        self.process.kill()
        self.process.wait()
        self.events.put(None)
        self.api.end()
