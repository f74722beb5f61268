"""What stands around the function: secrets, published key sets, one product; and what came of a delivery."""

import base64
import collections
import json
import pathlib
import re
import sys
import threading
import time
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from blocking import PATIENCE, Function, Server
from secret_store import Secrets, json_answer

SHOWN = re.compile("authorization|signature|secret|token", re.IGNORECASE)
# Reasons of refusals that a newer key could mend.
NO_KEY = ("no signature matches", "the key set has no key for the token")
PROBLEM = "urn:offboard:problem:"
# The recorded deliveries are years old, and only their signatures are anew.
POLICY = '[policy]\nmode = "live"\nmax_event_age = "36500d"\n[ledger]\nretention = "36525d"\n'


class KeySets:
    """Where senders publish their keys, each under a path of its own."""

    def __init__(self):
        self.published, self.fetches = {}, collections.Counter()
        self.over, self.server = threading.Event(), Server(self.answer)

    def url(self, name):
        return f"{self.server.url}/{name}/jwks.json"

    def publish(self, name, *keys):
        self.published[name] = json_answer(200, {"keys": keys})

    def answer(self, method, path, headers, body):
        name = path.split("/")[1]
        self.fetches[name] += 1
        answer = self.published[name]
        if answer == "hanging":
            self.over.wait(PATIENCE)
            return None
        return None if answer == "down" else answer


class Instaply:
    """A product in which everybody has an account until it is deleted."""

    def __init__(self):
        self.asked, self.server = [], Server(self.answer)

    def answer(self, method, path, headers, body):
        assert (method, headers["token"]) == ("POST", "instaply-key"), (method, path)
        email = json.loads(body)["email"]
        self.asked.append(email)
        if self.asked.count(email) == 1:
            return json_answer(200, {"status": "success", "deletedUserId": "1388838", "email": email})
        return json_answer(404, {"error": "User not found in organization"})


class Delivery(NamedTuple):
    headers: dict
    body: bytes


class World:
    """The function, with all the sources of all checks configured."""

    def __init__(self, binary, folder):
        self.binary, self.config, self.log = binary, folder / "offboard.toml", folder / "log"
        self.secrets, self.key_sets, self.instaply = Secrets(), KeySets(), Instaply()
        self.sources, self.function = "", None
        self.hidden, self.told = {"instaply-key"}, []  # what nobody may read, and what senders were told
        self.secrets.put("offboard/providers/instaply", {"token": "instaply-key"})

    def source(self, name, kind, secret=None, **settings):
        """Configures one. Without a secret its keys are a set that it publishes."""
        if secret is None:
            settings["jwks"] = self.key_sets.url(name)
        else:
            self.secrets.put(f"offboard/sources/{name}", secret)
        lines = [f"[sources.{name}]", f'kind = "{kind}"']
        self.sources += "\n".join(lines + [f"{key} = {json.dumps(value)}" for key, value in settings.items()]) + "\n"

    def start(self):
        provider = f'[providers.instaply]\nkind = "instaply"\nbase_url = "{self.instaply.server.url}"\n'
        self.config.write_text(POLICY + self.sources + provider)
        aws = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": self.secrets.server.url}
        self.function = Function(self.binary, self.log, OFFBOARD_CONFIG=str(self.config), **aws)
        self.function.start()

    def deliver(self, source, headers, body=b"", method="POST"):
        self.instaply.asked, begun = [], time.monotonic()
        id, answer = self.function.invoke(envelope(source, headers, body, method))
        took = time.monotonic() - begun
        self.hidden |= {value for name, value in headers.items() if SHOWN.search(name)}
        self.told.append(answer["body"] or "")
        logged = [json.loads(line) for line in self.log.read_text().splitlines()]
        reasons = [line["reason"] for line in logged if line.get("request_id") == id and "reason" in line]
        return Answer(answer, self.instaply.asked, reasons, took)

    def shows_nothing(self, addresses):
        """No address, no key and no signature that was delivered is in the log or in an answer."""
        told, logged = "\n".join(self.told), self.log.read_text()
        for hidden in addresses | self.hidden:
            assert hidden not in logged, f"the log shows {hidden}"
            assert hidden not in told, f"an answer shows {hidden}"

    def stop(self):
        if self.function:
            self.function.end()
        self.key_sets.over.set()
        for double in (self.secrets, self.key_sets, self.instaply):
            double.server.end()


class Answer:
    """What the sender was told, what the product was asked for, and the reasons in the log."""

    def __init__(self, answer, asked, reasons, took):
        self.status, self.text = answer["statusCode"], answer["body"]
        self.asked, self.reasons, self.took = asked, reasons, took
        self.headers = {name.lower(): value for name, value in (answer.get("headers") or {}).items()}

    def __str__(self):
        return f"{self.status} {self.text} after {self.took:.2f} s; asked for {self.asked}; {self.reasons}"

    def deleted(self, email):
        """This person was deleted, looked for again, and nobody else was touched."""
        assert self.asked == ([email, email] if email else []), self

    def left(self, leaver):
        """The report says that this person left, and what that came to."""
        assert self.status == 200 and self.headers["content-type"] == "application/json", self
        report = json.loads(self.text)
        assert len(report["departures"]) == 1, self
        [departure] = report["departures"]
        assert departure["person"] == leaver.shown(), (leaver.shown(), str(self))
        assert departure["event"]["id"] == (leaver.event or departure["event"]["id"]), (leaver.event, str(self))
        [entry] = departure["providers"]
        expected = ("done", "deleted") if leaver.email else ("needs_attention", "unidentified")
        assert (report["status"], entry["outcome"]) == expected, (expected, str(self))
        self.deleted(leaver.email)

    def ignored(self, reason):
        report = json.loads(self.text)
        assert (self.status, report["status"], report["departures"], self.asked) == (200, "ignored", [], []), self
        assert [event["reason"] for event in report["ignored"]] == [reason], self

    def empty(self, status, email):
        """Taken without a word, as this sender wants it."""
        assert (self.status, self.text or "") == (status, ""), self
        self.deleted(email)

    def refused(self, reason):
        """All are told the same; the log knows why. What matches no key, within a minute of another, may come again."""
        if self.status == 503 and reason in NO_KEY:
            assert (json.loads(self.text)["type"], self.asked) == (PROBLEM + "key-may-be-newer", []), self
            assert self.reasons == ["no key that was read matches, and none may be read again yet"], self
            return
        assert (self.status, json.loads(self.text)["type"], self.asked) == (401, PROBLEM + "unverified", []), self
        assert self.reasons == [reason], (reason, str(self))

    def later(self, seconds):
        """Nothing is known about the signature, and the sender hears of it soon enough."""
        assert (self.status, json.loads(self.text)["type"], self.asked) == (503, PROBLEM + "key-set", []), self
        assert int(self.headers["retry-after"]) > 0 and self.took < seconds, (self.headers, str(self))


def envelope(source, headers, body, method):
    """What an HTTP API hands over: in base64 what its media type does not call text."""
    path, headers = f"/webhooks/{source}", {name.lower(): value for name, value in headers.items()}
    headers = {"content-type": "application/json"} | headers
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.10", "userAgent": "check"}
    textual = headers["content-type"].startswith(("application/json", "text/"))
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"http": http},
        "isBase64Encoded": not textual,
    }
    if body:
        event["body"] = body.decode() if textual else base64.b64encode(body).decode()
    return event
