"""A ledger and a queue in moto, on loopback, and the operator's command line in front of them."""

import dataclasses
import datetime
import hashlib
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from aws import REGION, Emulator  # noqa: E402
from template import ledger_table  # noqa: E402

TIMEOUT = 60  # seconds
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
TABLE = "offboard-ledger"
NEVER = 253370764800
CONFIG = """
[policy]
mode = "live"
protected = ["root@example.com"]
[sources.hr]
kind = "workos"
[sources.workos]
kind = "workos"
[providers.instaply]
kind = "instaply"
"""
SETTLED = ("done", "dismissed")


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(**length):
    return NOW - datetime.timedelta(**length)


def millis(at):
    return int(at.replace(tzinfo=at.tzinfo or datetime.timezone.utc).timestamp() * 1000)


def short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def trait(email):
    return f"#address/{short(email.lower())}"


def entry(outcome, at=NOW, **more):
    """What the ledger keeps about one provider, but for its name."""
    return {"outcome": outcome, "attempts": 1, "elapsed_ms": 40, "at": stamp(at), "runs": 1, "again": False, **more}


@dataclasses.dataclass
class Answer:
    code: int
    out: str
    err: str

    def json(self):
        assert self.code in (0, 1), self
        return json.loads(self.out)


class World:
    """Ends everything that it started."""

    def __init__(self, binary):
        self.binary, self.numbers = str(pathlib.Path(binary).resolve()), itertools.count(1)
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.path = pathlib.Path(self.folder.name)
        self.aws = Emulator("moto", self.path)
        self.url, self.config = self.aws.url, self.path / "offboard.toml"
        self.dynamodb, self.sqs = self.aws.client("dynamodb"), self.aws.client("sqs")
        self.clear()

    def end(self):
        self.aws.end()
        self.folder.cleanup()

    def clear(self):
        """An empty table, an empty queue, the configuration as it was."""
        if TABLE in self.dynamodb.list_tables()["TableNames"]:
            self.dynamodb.delete_table(TableName=TABLE)
        self.dynamodb.create_table(**ledger_table(TABLE))
        # A new one, because a queue may be purged once a minute.
        self.queue = self.sqs.create_queue(QueueName=f"offboard-{next(self.numbers)}")["QueueUrl"]
        self.config.write_text(CONFIG)

    # ---- The ledger ----

    def put(self, event, state="done", email="lee@example.com", providers=None, received=NOW, source="hr", **more):
        """Writes a record as the function does: src/ledger/record.rs."""
        id, is_settled = f"{source}/{event}", state in SETTLED
        received = received.replace(tzinfo=datetime.timezone.utc)
        occurred = more.pop("occurred_at", received)
        due_at = None if is_settled else NEVER if state in ("held", "needs_attention") else int(received.timestamp())
        vetoes = [{"veto": veto} for veto in more.pop("vetoes", [])]
        masked = is_settled and email
        record = {
            "id": id,
            "source": source,
            "event": {"id": event, "type": "employee.terminated", "occurred_at": stamp(occurred)},
            "received_at": stamp(received),
            "rank": millis(occurred),
            "person": {
                "key": f"{source}/e-{short(email.lower())}" if email else None,
                "traits": [trait(email)] if email else [],
                "external_id": "8931",
                "emails": [f"{email[0]}…@{email.split('@')[1]}" if masked else email] if email else [],
                "masked": is_settled,
            },
            "state": state,
            "due_at": due_at,
            "vetoes": vetoes,
            "counted": True,
            "attempts": 1,
            "providers": {name: {"provider": name, **one} for name, one in (providers or {}).items()},
            "history": [],
            **more,
        }
        if is_settled:
            record["expires_at"] = int((received + datetime.timedelta(days=400)).timestamp())
        self.store(record)
        return id

    def store(self, record, version=1):
        received = datetime.datetime.fromisoformat(record["received_at"].replace("Z", "+00:00"))
        held_by_dry_run = {"veto": "dry_run"} in (record["vetoes"] or [])
        item = {
            "id": {"S": record["id"]},
            "version": {"N": str(version)},
            "document": {"S": json.dumps(record)},
            "state": {"S": record["state"]},
            "month": {"S": received.strftime("%Y-%m")},
            "received_at": {"N": str(millis(received))},
            "dry_run": {"BOOL": held_by_dry_run},
        }
        for name in ("due_at", "expires_at"):
            if record.get(name) is not None:
                item[name] = {"N": str(record[name])}
        self.dynamodb.put_item(TableName=TABLE, Item=item)

    def item(self, id):
        return self.dynamodb.get_item(TableName=TABLE, Key={"id": {"S": id}}, ConsistentRead=True).get("Item")

    def get(self, id):
        """A departure's record. The attributes beside it agree with it."""
        item = self.item(id)
        record = json.loads(item["document"]["S"])
        due_at = int(item["due_at"]["N"]) if "due_at" in item else None
        assert (item["state"]["S"], due_at) == (record["state"], record["due_at"]), item
        assert ("expires_at" in item) == (record["state"] in SETTLED), item
        return record

    def items(self, prefix):
        """The ids of all items that begin so, by their first part."""
        found = {}
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=TABLE):
            for item in page["Items"]:
                if item["id"]["S"].startswith(prefix):
                    found.setdefault(item["id"]["S"].split("/")[0], []).append(item["id"]["S"])
        return found

    # ---- The queue ----

    def messages(self):
        """The departures of the messages that are visible; they are not afterwards."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
            found += [json.loads(message["Body"])["departure"] for message in messages]
        return sorted(found)

    # ---- The command line ----

    def environment(self):
        return {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.url,
            "OFFBOARD_CONFIG": str(self.config),
            "OFFBOARD_LEDGER_TABLE": TABLE,
            "OFFBOARD_QUEUE_URL": self.queue,
        }

    def run(self, *arguments, **environment):
        """Runs `offboard ARGUMENTS` outside of a terminal; a variable that is None is not set."""
        variables = {name: value for name, value in {**self.environment(), **environment}.items() if value is not None}
        ended = subprocess.run(
            [self.binary, *map(str, arguments)],
            env=variables,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)
