"""One world: a table and a queue of its own in moto, five providers, and any number of processes of the function.

Between the function and everything it calls stands one server, which sees every call and can interfere with it. It also
makes time pass: SQS delays of minutes become moments, and what they came to is the clock of the processes started next.
"""

import asyncio
import collections
import glob
import hashlib
import hmac
import json
import os
import re
import signal
import sys
import time
import uuid
from typing import NamedTuple

from providers import CONFIG, NAMES, SECRETS, Providers
from wire import Answer, Request, Server, Upstream

PATIENCE = 60  # seconds
VISIBILITY = 180  # seconds: six times the function's time-out, as in the template
INVOCATION = 29  # seconds
SOURCE = """
[policy]
mode = "live"
POLICY
[sources.hr]
kind = "hmac"
signature = { header = "x-hr-signature" }
event = { id = "/id", type = "/event", departures = ["left"], returns = ["hired"] }
person = { email = "/email" }
"""


class Point(NamedTuple):
    """The n-th call of one kind."""

    call: str
    nth: int

    def __str__(self):
        return f"{self.call} {self.nth}"


class Moto:
    """moto's server in a process of its own."""

    async def start(self):
        with_port = asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        server = await with_port
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.url, self.upstream = f"http://127.0.0.1:{port}", Upstream("127.0.0.1", port)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await self.call("DynamoDB_20120810.ListTables", {})
                break
            except ConnectionError:
                assert time.monotonic() < end, "moto does not answer"
                await asyncio.sleep(0.1)
        for name, value in SECRETS.items():
            secret = {"Name": f"offboard/{name}", "SecretString": json.dumps(value)}
            await self.call("secretsmanager.CreateSecret", secret | {"ClientRequestToken": str(uuid.uuid4())})
        return self

    async def call(self, target, body):
        service = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs"}.get(target.partition(".")[0], "secretsmanager")
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


class World:
    def __init__(self, moto, binary, folder, policy="", attempts=None):
        self.moto, self.binary, self.policy, self.attempts = moto, binary, policy, attempts
        self.name = uuid.uuid4().hex[:12]
        self.config, self.log = folder / f"{self.name}.toml", folder / f"{self.name}.log"
        self.providers, self.functions, self.server = Providers(), [], Server(self.answer)
        self.points, self.nth, self.people = [], collections.Counter(), []
        self.delays = {}  # provider -> seconds before each answer
        self.interfere = None  # (point, "before" | "after") -> whether the caller gets no answer
        self.ahead, self.asked = 0, [0]  # the later processes' clock, and what was asked of the queue lately
        self.pace = lambda seconds: 0

    async def start(self):
        await self.server.start()
        table = {"TableName": self.name, "BillingMode": "PAY_PER_REQUEST"}
        table["AttributeDefinitions"] = [{"AttributeName": "id", "AttributeType": "S"}]
        table["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}]
        await self.moto.call("DynamoDB_20120810.CreateTable", table)
        self.queues = []
        self.queue = await self.new_queue()
        providers = CONFIG.replace("URL", self.server.url)
        if self.attempts:
            providers = re.sub(r"(?m)^(base_url = .*)$", rf"\1\nattempts = {self.attempts}", providers)
        self.config.write_text(SOURCE.replace("POLICY", self.policy) + providers)
        for neighbour in self.neighbours():
            self.providers.add(neighbour)
        return self

    async def new_queue(self):
        attributes = {"VisibilityTimeout": str(VISIBILITY)}
        asked = {"QueueName": f"{self.name}-{len(self.queues)}", "Attributes": attributes}
        self.queues.append((await self.moto.call("AmazonSQS.CreateQueue", asked))["QueueUrl"])
        return self.queues[-1]

    def neighbours(self):
        return [f"{name}@example.com" for name in ("a", "person", "person-11", "xperson-1", "person-1.example.com")]

    def person(self):
        """Somebody new, with an account everywhere."""
        email = f"person-{len(self.people) + 1}-{self.name}@example.com"
        self.people.append(email)
        self.providers.add(email)
        return email

    async def function(self, ahead=0, ledger=None, queue=None):
        """A process of the function whose clock is so many seconds ahead."""
        function = Function(self, ahead, ledger or self.name, self.queue if queue is None else queue)
        self.functions.append(function)
        return await function.start()

    async def stop(self):
        for function in list(self.functions):
            await function.kill()
        self.server.stop()
        text = self.log.read_text() if self.log.exists() else ""
        shown = re.findall(r"person-\d+-\w+@example\.com", text)
        assert not shown, f"the log shows {shown[:5]}"
        keys = [key for secret in SECRETS.values() for key in secret.values() if "key-one" in key]
        assert not any(key in text for key in keys), "the log shows a credential"

    # ---- What the function calls

    def answer(self, request):
        call = called(request)
        self.nth[call] += 1
        point = Point(call, self.nth[call])
        self.points.append(point)
        provider = call.partition(" ")[0]
        if provider in NAMES and not self.interfere and not self.delays:
            return self.providers.answer(provider, request)
        return self.interfered(point, provider, request)

    async def interfered(self, point, provider, request):
        await asyncio.sleep(self.delays.get(provider, 0))
        if self.interfere and await self.interfere(point, "before"):
            return None
        if provider in NAMES:
            answer = self.providers.answer(provider, request)
        else:
            answer = await self.moto.upstream.send(self.hurried(request))
        if self.interfere and await self.interfere(point, "after"):
            return None
        return answer

    def hurried(self, request):
        """A call to the queue with its delay made short, and noted."""
        action = request.headers["x-amz-target"].rpartition(".")[2]
        field = {"SendMessage": "DelaySeconds", "ChangeMessageVisibility": "VisibilityTimeout"}.get(action)
        if field is None:
            return request
        body = request.json()
        self.asked.append(body[field])
        body[field] = self.pace(body[field])
        return request._replace(body=json.dumps(body).encode())

    def pass_time(self, least=0):
        """Lets as much time pass as the queue was last asked to wait."""
        self.ahead += max([least, *self.asked])
        self.asked.clear()

    # ---- What the service does

    async def deliver(self, function, id, email, event="left"):
        body = json.dumps({"id": id, "event": event, "email": email})
        signature = hmac.new(b"hr-signing-key-one", body.encode(), hashlib.sha256).hexdigest()
        answer = await function.invoke(envelope(body, signature))
        return answer and Reply(answer)

    async def receive(self, most=10, queue=None):
        asked = {"QueueUrl": queue or self.queue, "MaxNumberOfMessages": most, "AttributeNames": ["All"]}
        received = await self.moto.call("AmazonSQS.ReceiveMessage", asked)
        return received.get("Messages", [])

    async def remind(self, function, messages):
        """What an event source mapping does with a batch. Says which messages come again."""
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": message["Attributes"]["ApproximateReceiveCount"]},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in messages
        ]
        answer = await function.invoke({"Records": records})
        if answer is None:
            return messages
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        done = [message for message in messages if message["MessageId"] not in failed]
        if done:
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(done)]
            await self.moto.call("AmazonSQS.DeleteMessageBatch", {"QueueUrl": function.queue, "Entries": entries})
        return [message for message in messages if message["MessageId"] in failed]

    async def drain(self, most=12, skew=0):
        """Lets the queue remind, a new process each time, at the time it was asked for, until no message is left."""
        for _ in range(most):
            self.pass_time()
            messages = await self.receive()
            if not messages:
                return
            function = await self.function(self.ahead + skew)
            left = await self.remind(function, messages)
            await function.kill()
            if left and not self.asked:
                self.pass_time(VISIBILITY)
            for message in left:
                visible = {"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                await self.moto.call("AmazonSQS.ChangeMessageVisibility", {"QueueUrl": self.queue} | visible)
        raise AssertionError(f"after {most} rounds there are messages left")

    async def operate(self, *arguments):
        """What a person does from the command line."""
        environment = {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.moto.url,
            "OFFBOARD_CONFIG": str(self.config),
            "OFFBOARD_LEDGER_TABLE": self.name,
            "OFFBOARD_QUEUE_URL": self.queue,
        }
        process = await asyncio.create_subprocess_exec(
            *(self.binary.with_name("offboard"), *arguments),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, (process.returncode, said.decode())

    async def messages(self, queue=None):
        count = 0
        for queue in [queue] if queue else self.queues:
            asked = {"QueueUrl": queue, "AttributeNames": ["All"]}
            told = (await self.moto.call("AmazonSQS.GetQueueAttributes", asked))["Attributes"]
            count += sum(int(told["ApproximateNumberOfMessages" + more]) for more in ("", "NotVisible", "Delayed"))
        return count

    async def records(self):
        """What the table says of every departure."""
        found, start = {}, None
        while True:
            asked = {"TableName": self.name, "ConsistentRead": True} | ({"ExclusiveStartKey": start} if start else {})
            page = await self.moto.call("DynamoDB_20120810.Scan", asked)
            for item in page["Items"]:
                if item["state"]["S"]:
                    found[item["id"]["S"]] = json.loads(item["document"]["S"])
            start = page.get("LastEvaluatedKey")
            if not start:
                return found

    async def settled(self):
        """The providers that some record has as settled."""
        open_ones = ("rate_limited", "unavailable", "not_attempted", "unconfirmed")
        records = (await self.records()).values()
        return {
            name
            for record in records
            for name, entry in record["providers"].items()
            if entry["outcome"] not in open_ones
        }

    # ---- What must hold in the end

    def nobody_next_door(self):
        for neighbour in self.neighbours():
            lost = set(NAMES) - self.providers.has(neighbour)
            assert not lost, f"{neighbour} is gone at {lost}"

    async def all_done(self, departures):
        """These departures and no others are recorded, as done; each account was removed once; no message is left."""
        records = await self.records()
        assert set(records) == set(departures), set(records) ^ set(departures)
        for id, record in records.items():
            outcomes = {name: entry["outcome"] for name, entry in record["providers"].items()}
            assert record["state"] == "done" and set(outcomes) == set(NAMES), (id, record["state"], outcomes)
            assert set(outcomes.values()) <= {"deleted", "already_absent"}, (id, outcomes)
        wrong = {key: count for key, count in self.providers.removed.items() if count != 1 or key[1] not in self.people}
        assert not wrong, wrong
        left = {email: self.providers.has(email) for email in self.people if self.providers.has(email)}
        assert not left, left
        self.nobody_next_door()
        assert await self.messages() == 0, f"{await self.messages()} messages left"


class Function:
    """The compiled function behind a runtime API of its own: one invocation at a time, as in a Lambda environment."""

    def __init__(self, world, ahead, ledger, queue):
        self.world, self.ahead, self.ledger, self.queue = world, ahead, ledger, queue
        self.events, self.ready, self.answers = asyncio.Queue(), asyncio.Event(), {}
        self.server, self.process, self.turn = Server(self.answer), None, asyncio.Lock()

    async def start(self):
        await self.server.start()
        environment = {
            "AWS_LAMBDA_RUNTIME_API": self.server.address,
            "AWS_LAMBDA_FUNCTION_NAME": "offboard",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.world.moto.url,
            "AWS_ENDPOINT_URL_DYNAMODB": self.world.server.url,
            "AWS_ENDPOINT_URL_SQS": self.world.server.url,
            "OFFBOARD_CONFIG": str(self.world.config),
            "OFFBOARD_LEDGER_TABLE": self.ledger,
            "OFFBOARD_QUEUE_URL": self.queue,
        }
        if self.ahead:
            library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
            assert library, "libfaketime is missing: apt-get install faketime"
            environment |= {"LD_PRELOAD": library[0], "FAKETIME": f"{self.ahead:+d}s"}
            environment |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}
        with self.world.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.world.binary, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.ended = asyncio.ensure_future(self.process.wait())
        asked = asyncio.ensure_future(self.ready.wait())
        await asyncio.wait([self.ended, asked], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert asked.done(), f"the function ended with {self.process.returncode}, or never asked for work"
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
                "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:offboard",
            },
        )

    async def invoke(self, event):
        """The function's answer; `None` if it was killed."""
        async with self.turn:
            id, answer = str(uuid.uuid4()), asyncio.get_running_loop().create_future()
            self.answers[id] = answer
            self.events.put_nowait((id, event))
            await asyncio.wait([self.ended, answer], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                assert self.ended.done(), "the function does not answer"
                assert self.process.returncode == -signal.SIGKILL, self.process.returncode
                return None
            kind, value = answer.result()
            assert kind == "response", (kind, value)
            return value

    def strike(self):
        """SIGKILL: nothing more comes from it."""
        if self.process and self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGKILL)

    async def kill(self):
        self.strike()
        await self.ended
        self.server.stop()
        if self in self.world.functions:
            self.world.functions.remove(self)


class Reply:
    """What a sender is told."""

    def __init__(self, answer):
        self.status, self.text = answer["statusCode"], answer["body"]
        self.headers = {name.lower(): value for name, value in (answer.get("headers") or {}).items()}
        self.report = json.loads(self.text)
        departures = self.report.get("departures") or [{}]
        self.state, self.duplicate = departures[0].get("status"), departures[0].get("duplicate")

    def __str__(self):
        return f"{self.status} {self.text}"


def called(request):
    """A call's name: who is called, and what for."""
    target = request.headers.get("x-amz-target")
    if target is None:
        provider, _, path = request.path.partition("?")[0][1:].partition("/")
        last = path.rpartition("/")[2]
        return f"{provider} {request.method} {'ID' if any(c.isdigit() for c in last) else last}"
    service, _, action = target.partition(".")
    if service == "AmazonSQS":
        return f"queue {action}"
    body = request.json()
    key = (body.get("Key") or body.get("Item"))["id"]["S"]
    return f"ledger {action}" + (f" {key.partition('/')[0]}" if key.startswith("#") else "")


def envelope(body, signature):
    """What an HTTP API hands over."""
    http = {"method": "POST", "path": "/webhooks/hr", "protocol": "HTTP/1.1"}
    http |= {"sourceIp": "192.0.2.10", "userAgent": "hr"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/webhooks/hr",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "x-hr-signature": signature},
        "requestContext": {"http": http},
        "body": body,
        "isBase64Encoded": False,
    }
