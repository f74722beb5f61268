"""Deliveries of a sender whose every event says who it is about, signed, and as an HTTP API passes them on."""

import hashlib
import hmac
import json

KEY = "hr-key-one-of-thirty-two-bytes-x"
SOURCE = """
[sources.NAME]
kind = "hmac"
signature = { header = "x-hr-signature" }
person = { email = "/email", idp_id = "/user" }
[sources.NAME.event]
lines = true
id = "/id"
type = "/event"
occurred_at = "/at"
departures = ["left"]
returns = ["hired"]
people = ["changed"]
"""


def source(name="hr"):
    """A source's section in the configuration."""
    return SOURCE.replace("NAME", name)


def signed(events, source="hr", key=KEY):
    """The HTTP API's event for a delivery of these events, one a line."""
    body = "\n".join(json.dumps(event) for event in events)
    signature = hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()
    return envelope(source, {"x-hr-signature": signature}, body)


def envelope(source, headers, body, method="POST"):
    path = f"/webhooks/{source}"
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.10", "userAgent": "hr"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"} | headers,
        "requestContext": {"http": http},
        "body": body,
        "isBase64Encoded": False,
    }


class Reply:
    """What the sender gets."""

    def __init__(self, answer):
        self.status, self.text = answer["statusCode"], answer["body"] or ""
        self.headers = {name.lower(): value for name, value in (answer.get("headers") or {}).items()}
        self.report = json.loads(self.text) if self.text else {}
        departures = self.report.get("departures")
        first = departures[0] if isinstance(departures, list) and departures else {}
        self.state, self.duplicate = first.get("status"), first.get("duplicate")
        self.reasons, self.id = first.get("reasons"), first.get("id")

    def __str__(self):
        return f"{self.status} {self.text[:3000]}"


def messages(received):
    """The event of an event source mapping for received messages of SQS."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": message["Attributes"]["ApproximateReceiveCount"]},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for message in received
        ]
    }


TICK = {"tick": True}
