"""The function and servers for suites that do one thing at a time: an event loop in a thread of its own."""

import asyncio
import concurrent.futures
import threading

import function
import wire

PATIENCE = 30  # seconds
LOOP = asyncio.new_event_loop()
# Some servers keep a request hanging.
LOOP.set_default_executor(concurrent.futures.ThreadPoolExecutor(64))
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def wait(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, LOOP).result(function.START)


class Server(wire.Server):
    """Answers every request by one function, in a thread: (method, path, headers, body) -> (status, headers, body)."""

    def __init__(self, answer):
        super().__init__(self.in_thread)
        self.blocking = answer
        wait(self.start())

    async def in_thread(self, request):
        arguments = (request.method, request.path, request.headers, request.body)
        result = await asyncio.to_thread(self.blocking, *arguments)
        return result and wire.Answer(result[0], result[2], result[1])

    def end(self):
        LOOP.call_soon_threadsafe(self.stop)


class Function(function.Function):
    """One process of the function, which handles one event at a time."""

    def __init__(self, binary, log, **environment):
        super().__init__(binary, log, {"AWS_LAMBDA_LOG_LEVEL": "DEBUG"} | environment)

    def start(self):
        """Waits until it asks for work."""
        wait(super().start())

    def invoke(self, event):
        """The request's id, and the function's answer to the event."""
        answer = wait(super().invoke(event))
        return self.request_id, answer

    def end(self):
        wait(self.kill())
