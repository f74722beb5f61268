"""HTTP/1.1 on loopback, as little and as quick as the checks need: one event loop serves every double and the proxy."""

import asyncio
import json
import traceback
from http import HTTPStatus
from typing import NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body) if self.body else None


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: dict = {}

    @classmethod
    def json(cls, status, value=None, **headers):
        body = b"" if value is None else json.dumps(value).encode()
        return cls(status, body, {"content-type": "application/json"} | headers)


def parsed(head):
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if line)
    return first, {name.lower(): value.strip() for name, value in pairs}


class Server:
    """Answers each request by `answer(request)`: an `Answer`, a coroutine of one, or `None` to hang up."""

    def __init__(self, answer):
        self.answer, self.connections, self.tasks = answer, set(), set()

    async def start(self):
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=1024)
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        self.url = f"http://{self.address}"
        return self

    def stop(self):
        self.server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        for task in list(self.tasks):
            task.cancel()


class Connection(asyncio.Protocol):
    def __init__(self, server):
        self.server, self.buffer = server, b""

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, _):
        self.server.connections.discard(self)

    def data_received(self, data):
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        line, headers = parsed(head)
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, _ = line.split(" ", 2)
        try:
            result = self.server.answer(Request(method, path, headers, rest[:length]))
        except Exception:
            traceback.print_exc()
            result = Answer(501)
        if asyncio.iscoroutine(result):
            task = asyncio.ensure_future(self.later(result))
            self.server.tasks.add(task)
            task.add_done_callback(self.server.tasks.discard)
        else:
            self.write(result)

    async def later(self, result):
        try:
            self.write(await result)
        except Exception:
            traceback.print_exc()
            self.write(Answer(501))

    def write(self, answer):
        if answer is None:
            return self.transport.abort()
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"content-length: {len(answer.body)}", "", ""]
        self.transport.write("\r\n".join(lines).encode("latin-1") + answer.body)


class Upstream:
    """A server that is called over a few connections that stay open."""

    def __init__(self, host, port, most=2):
        self.host, self.port, self.idle, self.free = host, port, [], asyncio.Semaphore(most)

    async def send(self, request):
        async with self.free:
            while True:
                again = bool(self.idle)
                reader, writer = self.idle.pop() if again else await asyncio.open_connection(self.host, self.port)
                try:
                    answer, keep = await self.exchange(reader, writer, request)
                except (ConnectionError, asyncio.IncompleteReadError):
                    # An idle connection may have been closed meanwhile; then nothing was done.
                    writer.close()
                    if not again:
                        raise
                    continue
                if keep:
                    self.idle.append((reader, writer))
                else:
                    writer.close()
                return answer

    async def exchange(self, reader, writer, request):
        kept = {name: value for name, value in request.headers.items() if name not in ("connection", "content-length")}
        lines = [f"{request.method} {request.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in kept.items()]
        lines += [f"content-length: {len(request.body)}", "", ""]
        writer.write("\r\n".join(lines).encode("latin-1") + request.body)
        line, headers = parsed(await reader.readuntil(b"\r\n\r\n"))
        version, status, *_ = line.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        names = ("content-type", "x-amzn-requestid", "x-amzn-errortype")
        return Answer(int(status), body, {name: headers[name] for name in names if name in headers}), keep
