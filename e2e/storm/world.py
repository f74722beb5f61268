"""One world: a table and queues of its own in an emulator of AWS, five providers, and any number of processes of the function.

Between the function and everything it calls stands one server, which sees every call and can interfere with it. Time
passes by processes that are started with a clock that is ahead.
"""

import asyncio
import collections
import datetime
import json
import re
import time
import uuid
from typing import NamedTuple

import delivery
from function import Function, FunctionError
from providers import CONFIG, NAMES, SECRETS, Providers
from template import ledger_table
from wire import Answer, Server

PATIENCE = 60  # seconds
REPAIRED = ("unconfirmed", "rate_limited", "unavailable", "not_attempted")
SOURCES = ("hr", "contractors")
PINGONE = {"token": "pingone-key-one-of-thirty-two-bytes"}
# An event has one time, however often it is delivered.
STARTED = datetime.datetime.now(datetime.timezone.utc)


class Point(NamedTuple):
    """The n-th call of one kind."""

    call: str
    nth: int

    def __str__(self):
        return f"{self.call} {self.nth}"


async def create_secrets(emulator):
    """The secrets are the same for all worlds."""
    keys = {f"sources/{name}": {"signing_secret": delivery.KEY} for name in SOURCES}
    keys["sources/pingone"] = PINGONE
    for name, value in (SECRETS | keys).items():
        secret = {"Name": f"offboard/{name}", "SecretString": json.dumps(value)}
        await emulator.call("secretsmanager.CreateSecret", secret | {"ClientRequestToken": str(uuid.uuid4())})


class World:
    def __init__(self, emulator, binaries, folder, policy="", attempts=None, sources=("hr",), more="", in_memory=False):
        self.emulator, self.binaries, self.in_memory = emulator, binaries, in_memory
        self.name = uuid.uuid4().hex[:12]
        self.config, self.log = folder / f"{self.name}.toml", folder / f"{self.name}.log"
        self.policy, self.attempts, self.sources, self.more = policy, attempts, sources, more
        self.providers, self.functions, self.server = Providers(), [], Server(self.answer)
        self.points, self.nth, self.people = [], collections.Counter(), []
        self.delays = {}  # provider -> seconds before each answer
        self.interfere = None  # (point, "before" | "after") -> whether the caller gets no answer
        self.ahead = 0  # of the next processes' clock

    async def start(self):
        await self.server.start()
        await self.emulator.call("DynamoDB_20120810.CreateTable", ledger_table(self.name))
        self.queue, self.dead_letters = await self.new_queue(self.name), await self.new_queue(f"{self.name}-dead")
        config = f'[policy]\nmode = "live"\n{self.policy}\n' + "".join(map(delivery.source, self.sources))
        providers = CONFIG.replace("URL", self.server.url)
        if self.attempts:
            providers = re.sub(r"(kind = .*)", rf"\1\nattempts = {self.attempts}", providers)
        self.config.write_text(config + self.more + providers)
        for neighbour in self.neighbours():
            self.providers.add(neighbour)
        return self

    async def new_queue(self, name):
        return (await self.emulator.call("AmazonSQS.CreateQueue", {"QueueName": name}))["QueueUrl"]

    def neighbours(self):
        """People who stay, and whose addresses are like those of people who leave."""
        return [f"{name}@example.com" for name in ("a", "person", "person-11", "xperson-1", "person-1.example.com")]

    def person(self):
        """Somebody new, with an account everywhere."""
        email = f"person-{len(self.people) + 1}-{self.name}@example.com"
        self.people.append(email)
        self.providers.add(email)
        return email

    def environment(self):
        names = {"OFFBOARD_CONFIG": str(self.config), "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.emulator.url}
        names |= {f"AWS_ENDPOINT_URL_{service}": self.server.url for service in ("DYNAMODB", "SQS")}
        if self.in_memory:
            return names
        stored = {"OFFBOARD_LEDGER_TABLE": self.name, "OFFBOARD_QUEUE_URL": self.queue}
        return names | stored | {"OFFBOARD_DEAD_LETTER_QUEUE_URL": self.dead_letters}

    async def function(self, ahead=None, **environment):
        """A new process of the function."""
        ahead = self.ahead if ahead is None else ahead
        binary = self.binaries / "offboard-lambda"
        function = Function(binary, self.log, self.environment() | environment, ahead)
        self.functions.append(function)
        return await function.start()

    async def stop(self):
        for function in list(self.functions):
            await self.end(function)
        self.server.stop()
        text = self.log.read_text() if self.log.exists() else ""
        shown = re.findall(r"person-\d+-\w+@example\.com", text)
        assert not shown, f"the log shows {shown[:5]}"
        keys = [key for secret in SECRETS.values() for key in secret.values() if "key-one" in key]
        assert not any(key in text for key in [*keys, delivery.KEY, PINGONE["token"]]), "the log shows a credential"

    async def end(self, function):
        await function.kill()
        if function in self.functions:
            self.functions.remove(function)

    # ---- Calls of the function

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
        for moment in ("before", "after"):
            if moment == "after":
                if provider in NAMES:
                    answer = self.providers.answer(provider, request)
                else:
                    answer = await self.emulator.upstream.send(undelayed(request))
            interference = self.interfere and await self.interfere(point, moment)
            if interference:
                return interference if isinstance(interference, Answer) else None
        return answer

    def counts(self, since=0):
        """The calls to AWS, by name."""
        aws = [point.call for point in self.points[since:] if is_aws(point)]
        return collections.Counter(aws)

    # ---- Invocations

    async def deliver(self, function, *events, source="hr"):
        """Delivers events. Returns the reply, or `None` if the function was killed."""
        answer = await function.invoke(delivery.signed(events, source))
        return answer and delivery.Reply(answer)

    async def tick(self, function):
        return await function.invoke(delivery.TICK)

    async def work(self, function):
        """Passes on what the queue has, each message in an invocation of its own. Returns how many there were."""
        count = 0
        while messages := await self.receive():
            for message in messages:
                answer = await function.invoke(delivery.messages([message]))
                if answer is None:
                    return count  # killed; SQS delivers it again, or the tick does
                assert answer == {"batchItemFailures": []}, answer
                await self.acknowledge(message)
                count += 1
        return count

    async def receive(self, most=10):
        asked = {"QueueUrl": self.queue, "MaxNumberOfMessages": most, "AttributeNames": ["All"]}
        return (await self.emulator.call("AmazonSQS.ReceiveMessage", asked)).get("Messages", [])

    async def acknowledge(self, message):
        handle = {"QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"]}
        await self.emulator.call("AmazonSQS.DeleteMessage", handle)

    async def lose_messages(self):
        """The queue forgets."""
        while messages := await self.receive():
            for message in messages:
                await self.acknowledge(message)

    async def finish(self, most=12, skew=0):
        """Lets time pass, a tick and its messages at each time when something is due, until nothing is pending."""
        for _ in range(most):
            records = (await self.records()).values()
            due = [record["due_at"] for record in records if record["state"] == "pending"]
            if not due:
                return
            self.move_to(min(due))
            function = await self.function(self.ahead + skew)
            await self.tick(function)
            await self.work(function)
            await self.end(function)
        raise AssertionError(f"still pending after {most} ticks: {await self.states()}")

    def move_to(self, due_at):
        """Moves the clock past this time, by a minute at least: so often is the tick."""
        self.ahead = max(self.ahead + 60, int(due_at - time.time()) + 2)

    async def operate(self, *arguments, expect=0, **environment):
        """What a person does at the command line. Returns what it prints."""
        process = await asyncio.create_subprocess_exec(
            *(self.binaries / "offboard", *arguments),
            env={
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_ENDPOINT_URL": self.emulator.url,
                **self.environment(),
                **environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 5 * PATIENCE)
        assert process.returncode == expect, (arguments, process.returncode, output.decode()[-2000:])
        return output.decode()

    # ---- What is stored

    async def message_count(self):
        asked = {"QueueUrl": self.queue, "AttributeNames": ["All"]}
        found = (await self.emulator.call("AmazonSQS.GetQueueAttributes", asked))["Attributes"]
        return sum(int(found["ApproximateNumberOfMessages" + more]) for more in ("", "NotVisible", "Delayed"))

    async def items(self):
        found, start = {}, None
        while True:
            asked = {"TableName": self.name, "ConsistentRead": True} | ({"ExclusiveStartKey": start} if start else {})
            page = await self.emulator.call("DynamoDB_20120810.Scan", asked)
            found |= {item["id"]["S"]: item for item in page["Items"]}
            start = page.get("LastEvaluatedKey")
            if not start:
                return found

    async def records(self):
        """Every departure's record. Its attributes for the indexes agree with it."""
        found = {}
        for id, item in (await self.items()).items():
            if id.startswith("#"):
                continue
            record = found[id] = json.loads(item["document"]["S"])
            due_at, expires_at = (int(item[name]["N"]) if name in item else None for name in ("due_at", "expires_at"))
            assert (item["state"]["S"], due_at) == (record["state"], record["due_at"]), (id, item)
            is_settled = record["state"] in ("done", "dismissed")
            assert (expires_at is not None) == is_settled and (due_at is None) == is_settled, (id, item)
        return found

    async def record(self, id):
        return (await self.records())[id]

    async def states(self):
        return collections.Counter(record["state"] for record in (await self.records()).values())

    async def settled(self):
        """The providers that some record has as settled."""
        records = (await self.records()).values()
        results = (item for record in records for item in record["providers"].items())
        return {name for name, result in results if result["outcome"] not in REPAIRED}

    # ---- What must hold in the end

    def nobody_else_was_removed(self):
        for neighbour in self.neighbours():
            lost = set(NAMES) - self.providers.has(neighbour)
            assert not lost, f"{neighbour} is gone at {lost}"

    async def all_done(self, departures):
        """These departures and no others are recorded, as done; each account was removed once, and the record says so."""
        records = await self.records()
        assert set(records) == set(departures), set(records) ^ set(departures)
        for id, record in records.items():
            outcomes = {name: (result["outcome"], result.get("proof")) for name, result in record["providers"].items()}
            assert record["state"] == "done" and set(outcomes) == set(NAMES), (id, record["state"], outcomes)
            # Every account was there, and nobody but us removed it.
            assert {outcome for outcome, _ in outcomes.values()} == {"deleted"}, (id, outcomes)
            assert None not in {proof for _, proof in outcomes.values()}, (id, outcomes)
        wrong = {key: count for key, count in self.providers.removed.items() if count != 1 or key[1] not in self.people}
        assert not wrong, wrong
        left = {email: self.providers.has(email) for email in self.people if self.providers.has(email)}
        assert not left, left
        self.nobody_else_was_removed()


def event(id, email, event="left", at=None, user=None):
    """An event. Its time is when the checks started, unless it is given."""
    at = at or STARTED
    stamp = at if isinstance(at, str) else at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": id, "event": event, "email": email, "user": user or f"user-of-{email}", "at": stamp}


def undelayed(request):
    """A request in which the queue is not asked to keep messages back: here nobody waits."""
    if not request.headers.get("x-amz-target", "").startswith("AmazonSQS.SendMessage"):
        return request
    body = request.json()
    for entry in body.get("Entries", [body]):
        entry.pop("DelaySeconds", None)
    return request._replace(body=json.dumps(body).encode())


def is_aws(point):
    return point.call.partition(" ")[0] in ("ledger", "queue")


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
    key = request.json().get("Key", {}).get("id", {}).get("S", "")
    return f"ledger {action}" + (f" {key.partition('/')[0]}" if key.startswith("#") else "")


__all__ = ["NAMES", "Answer", "FunctionError", "Point", "World", "create_secrets", "event", "is_aws"]
