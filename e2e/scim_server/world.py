"""A SCIM server with people in it, what can stand before it, and the function that a departure is delivered to."""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import uuid
from urllib.parse import parse_qsl, urlencode, urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

import delivery
from blocking import PATIENCE, Function, Server
from secret_store import Secrets

START = 30  # seconds
TOKEN = "scim-token-of-the-suite"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
LEAVER, CANARY = "ann@example.com", "ops@example.com"
# Similar to the leaver's; nothing may ever happen to them.
OTHERS = ("joann@example.com", "ann@example.com.au", "ann+test@example.com", "an@example.com", CANARY)


def call(url, method="GET", body=None, token=TOKEN):
    """One request by a client that is not offboard's: the answer's status and JSON."""
    parts = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/scim+json"}
        data = None if body is None else json.dumps(body)
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), data, headers)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None


class ScimServer:
    """One process of scim2-server. Each check has a tenant of its own in it."""

    def __init__(self, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address, self.log = ("127.0.0.1", port), log
        command = [pathlib.Path(sys.executable).with_name("scim2-server"), "--port", str(port)]
        command += ["--bearer-token", TOKEN, "--dynamic-tenants"]
        with log.open("wb") as output:
            environment = {"PATH": os.environ["PATH"]}
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        end = time.monotonic() + START
        while not self.is_up():
            assert time.monotonic() < end, f"scim2-server is not up after {START} s"
            time.sleep(0.05)

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            socket.create_connection(self.address, 1).close()
            return True
        except OSError:
            return False

    def url(self, tenant):
        return "http://%s:%d/%s/v2" % (*self.address, tenant)

    def end(self):
        self.process.kill()
        self.process.wait()


class Relay:
    """Stands before the server: notes every call, and is where a product that deviates from the standard is imitated."""

    def __init__(self, upstream):
        self.upstream, self.calls = upstream, []
        # What deviates: a request may be changed or answered at once, and an answer changed.
        self.asked, self.answered = (lambda request: None), (lambda request, status, body: (status, body))
        self.server = Server(self.answer)

    def answer(self, method, path, headers, body):
        url = urlsplit(path)
        request = {"method": method, "path": url.path, "query": dict(parse_qsl(url.query)), "body": body}
        self.calls.append((method, url.path, dict(request["query"])))
        early = self.asked(request)
        if early is None:
            early = self.answered(request, *self.forward(request, headers))
        status, value = early
        text = b"" if value is None else json.dumps(value).encode()
        return status, {"content-type": "application/scim+json"}, text

    def forward(self, request, headers):
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=PATIENCE)) as connection:
            sent = {"authorization": headers["authorization"], "content-type": "application/scim+json"}
            query = "?" + urlencode(request["query"]) if request["query"] else ""
            connection.request(request["method"], request["path"] + query, request["body"] or None, sent)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None

    def count(self, method):
        return sum(called == method for called, _, _ in self.calls)


class World:
    """A tenant of the server with the leaver and others in it, and the function that is configured for it."""

    def __init__(self, binary, folder, scim):
        self.binary, self.folder, self.log = binary, folder, folder / "log"
        self.base = scim.url(uuid.uuid4().hex)
        self.relay, self.secrets, self.function = Relay("%s:%d" % scim.address), Secrets(), None
        self.secrets.put("offboard/sources/hr", {"signing_secret": delivery.KEY})
        self.secrets.put("offboard/providers/product", {"token": TOKEN})
        for email in OTHERS:
            self.add(email)

    def add(self, email, name=None, **more):
        """Creates a user, and returns its id."""
        emails = [{"value": email, "type": "work", "primary": True}]
        user = {"schemas": [USER], "userName": name or email, "active": True, "emails": emails} | more
        status, created = call(f"{self.base}/Users", "POST", user)
        assert status == 201, (status, created)
        return created["id"]

    def remove(self, id):
        assert call(f"{self.base}/Users/{id}", "DELETE") == (204, None)

    def users(self):
        """All users by id, as the server itself knows them."""
        everybody, total = {}, 1
        while len(everybody) < total:
            status, page = call(f"{self.base}/Users?startIndex={len(everybody) + 1}&count=1000")
            assert status == 200 and page["Resources"] or not page["totalResults"], (status, page)
            everybody |= {user["id"]: user for user in page["Resources"]}
            total = page["totalResults"]
        return everybody

    def depart(self, email=LEAVER, kind="scim", more="", canary=CANARY, base=None):
        """Delivers a departure of this person, and returns what came of it. The first configures and starts the function."""
        if not self.function:
            through_relay = self.relay.server.url + urlsplit(base or self.base).path
            self.start([f'kind = "{kind}"', f'base_url = "{through_relay}"', f'canary = "{canary}"', more])
        before = self.users()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {"id": uuid.uuid4().hex, "event": "left", "at": at, "email": email, "user": "u-1"}
        _, answer = self.function.invoke(delivery.signed([event]))
        shown = json.dumps(answer) + self.log.read_text()
        for hidden in (email, CANARY, TOKEN):
            assert hidden not in shown, f"{hidden} is shown"
        return Result(delivery.Reply(answer), before, self.users())

    def start(self, provider):
        config = self.folder / "offboard.toml"
        lines = ["[policy]", 'mode = "live"', delivery.source(), "[providers.product]", *provider]
        config.write_text("\n".join(lines) + "\n")
        aws = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": self.secrets.server.url}
        self.function = Function(self.binary, self.log, OFFBOARD_CONFIG=str(config), **aws)
        self.function.start()

    def stop(self):
        if self.function:
            self.function.end()
        self.relay.server.end()
        self.secrets.server.end()


class Result:
    """The report about the one provider, and what has changed in the server."""

    def __init__(self, reply, before, after):
        self.reply = reply
        [departure] = reply.report["departures"]
        [self.entry] = departure["providers"]
        assert not after.keys() - before.keys(), "a user was created"
        self.changes = {}
        for id, user in before.items():
            if id not in after:
                self.changes[id] = "deleted"
            elif state(after[id]) != state(user):
                rest = state(after[id]) | {"active": user["active"]} == state(user)
                self.changes[id] = "deactivated" if rest and after[id]["active"] is False else "changed"

    def __str__(self):
        return f"{self.reply}\n{self.changes}"

    def removed(self, id, outcome, proof):
        """This account alone was removed, and the report says how that is known."""
        assert self.changes == {id: outcome}, self
        assert (self.entry["outcome"], self.entry["proof"], self.entry["account_id"]) == (outcome, proof, id), self
        assert (self.reply.status, self.reply.state) == (200, "done"), self

    def absent(self):
        assert self.changes == {}, self
        assert (self.entry["outcome"], self.entry["proof"]) == ("already_absent", "found_absent"), self
        assert (self.reply.status, self.reply.state) == (200, "done"), self

    def refused(self, outcome, reason, changes=None):
        """Not taken for removed or absent; `changes` is what happened at the server all the same."""
        assert self.changes == (changes or {}), self
        assert (self.entry["outcome"], self.entry.get("reason")) == (outcome, reason), self
        assert self.reply.state != "done" and "proof" not in self.entry, self


def state(user):
    """What a user is, without when it was changed."""
    return {key: value for key, value in user.items() if key != "meta"}
