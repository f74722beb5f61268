"""Emulators of AWS, each in a process of its own: ministack and moto. Neither is ours."""

import asyncio
import json
import os
import socket
import sys
import time

from wire import Request, Upstream

START = 60  # seconds
COMMANDS = {
    "ministack": lambda port: (["-m", "ministack"], {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}),
    "moto": lambda port: (["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {}),
}
SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}


class Emulator:
    """An emulator of DynamoDB, SQS and Secrets Manager on loopback."""

    def __init__(self, name, folder):
        self.name, self.folder, self.log = name, folder, folder / f"{name}.log"

    async def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments, environment = COMMANDS[self.name](port)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                env={"PATH": os.environ["PATH"], "TMPDIR": str(self.folder)} | environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.url, self.upstream = f"http://127.0.0.1:{port}", Upstream("127.0.0.1", port, most=4)
        end = time.monotonic() + START
        while True:
            try:
                await self.call("DynamoDB_20120810.ListTables", {})
                return self
            except ConnectionError:
                assert time.monotonic() < end and self.process.returncode is None, self.log.read_text()[-2000:]
                await asyncio.sleep(0.1)

    async def call(self, target, body):
        service = SERVICES[target.partition(".")[0]]
        headers = {
            "host": "127.0.0.1",
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": target,
            "authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        answer = await self.upstream.send(Request("POST", "/", headers, json.dumps(body).encode()))
        assert answer.status == 200, (target, answer)
        return json.loads(answer.body)

    async def stop(self):
        self.process.kill()
        await self.process.wait()
