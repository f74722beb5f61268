"""Emulators of AWS, each in a process of its own: ministack and moto. Neither is ours."""

import json
import os
import socket
import subprocess
import sys
import time

import boto3
from botocore.config import Config

from wire import Request, Upstream

START = 60  # seconds
REGION = "us-east-1"
# One request at a time: moto copies a table for every transaction, and meanwhile nobody may change it.
MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app))
"""
COMMANDS = {
    "ministack": lambda port: (["-m", "ministack"], {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}),
    "moto": lambda port: (["-c", MOTO, str(port)], {}),
}
SERVICES = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}


class Emulator:
    """An emulator on loopback. `variables` are more of its environment."""

    def __init__(self, name, folder, **variables):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address, self.url = f"127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        arguments, environment = COMMANDS[name](self.port)
        environment |= {"PATH": os.environ["PATH"], "TMPDIR": str(folder)} | variables
        with self.log.open("ab") as log:
            command = [sys.executable, *arguments]
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START
        while not self.is_up():
            assert time.monotonic() < end, f"{name} is not up after {START} s"
            time.sleep(0.1)

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            # A proxy that the environment names cannot know what stands on our loopback.
            config=Config(proxies={}, retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def end(self):
        self.process.kill()
        self.process.wait()


class Caller:
    """Calls of an emulator's DynamoDB, SQS and Secrets Manager, many at once on one event loop."""

    def __init__(self, emulator):
        self.url, self.upstream = emulator.url, Upstream("127.0.0.1", emulator.port, most=4)

    async def call(self, target, body):
        service = SERVICES[target.partition(".")[0]]
        headers = {
            "host": "127.0.0.1",
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": target,
            "authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        answer = await self.upstream.send(Request("POST", "/", headers, json.dumps(body).encode()))
        assert answer.status == 200, (target, answer)
        return json.loads(answer.body)
