"""A ledger and a queue in moto, on loopback, and the operator's command line in front of them."""

import dataclasses
import datetime
import hashlib
import itertools
import json
import logging
import pathlib
import subprocess
import tempfile

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

PATIENCE = 60  # seconds
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
REGION = "us-east-1"
TABLE = "offboard-ledger"


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(**length):
    return NOW - datetime.timedelta(**length)


def entry(outcome, at=NOW, **more):
    """What the ledger keeps about one provider, but for its name."""
    return {"outcome": outcome, "attempts": 1, "elapsed_ms": 40, "at": stamp(at), "runs": 1, **more}


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
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.binary, self.numbers = str(pathlib.Path(binary).resolve()), itertools.count(1)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.dynamodb, self.sqs = self.client("dynamodb"), self.client("sqs")
        self.dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.clear()

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )

    def end(self):
        self.server.stop()
        self.folder.cleanup()

    # ---- The ledger ----

    def put(self, event, state="done", email="lee@example.com", providers=None, received=NOW, source="hr", **more):
        """Writes a record as the function does: src/ledger.rs."""
        id = f"{source}/{event}"
        masked = state in ("done", "rejected") and email
        record = {
            "id": id,
            "source": source,
            "event_id": event,
            "event_type": "employee.terminated",
            "received_at": stamp(received),
            "person": {
                "key": hashlib.sha256(email.lower().encode()).hexdigest()[:32] if email else None,
                "idp_id": None,
                "external_id": "8931",
                "email": f"{email[0]}…@{email.split('@')[1]}" if masked else email,
            },
            "state": state,
            "standing": "admitted",
            "reminded": True,
            "providers": {name: {"provider": name, **one} for name, one in (providers or {}).items()},
            "history": [],
            "expires_at": int((received + datetime.timedelta(days=90)).timestamp()),
            **more,
        }
        self.item(id, record, state)
        return id

    def item(self, id, document, state=""):
        self.dynamodb.put_item(
            TableName=TABLE,
            Item={
                "id": {"S": id},
                "version": {"N": "1"},
                "expires_at": {"N": "1"},
                "state": {"S": state},
                "document": {"S": json.dumps(document)},
            },
        )

    def get(self, id):
        return json.loads(self.dynamodb.get_item(TableName=TABLE, Key={"id": {"S": id}})["Item"]["document"]["S"])

    def items(self, prefix):
        """The ids of all items that begin so, by their first part."""
        found = {}
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=TABLE):
            for item in page["Items"]:
                if item["id"]["S"].startswith(prefix):
                    found.setdefault(item["id"]["S"].split("/")[0], []).append(item["id"]["S"])
        return found

    def clear(self):
        """An empty table, and empty queues."""
        for item in self.dynamodb.scan(TableName=TABLE)["Items"]:
            self.dynamodb.delete_item(TableName=TABLE, Key={"id": item["id"]})
        # New ones, because a queue may be purged once a minute.
        name = f"offboard-{next(self.numbers)}"
        self.dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "15"})
        self.queue = self.sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]

    # ---- The queues ----

    def letter(self, body):
        self.sqs.send_message(QueueUrl=self.dead, MessageBody=body)

    def bodies(self, url):
        """What is in a queue and visible; it is not afterwards."""
        found = []
        while True:
            messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return sorted(found)
            found += [message["Body"] for message in messages]

    def reminded(self):
        return [json.loads(body)["departure"] for body in self.bodies(self.queue)]

    # ---- The command line ----

    def environment(self):
        return {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.url,
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
            timeout=PATIENCE,
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)
