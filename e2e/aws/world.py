"""Small doubles of the five providers, a gate in front of moto, and the function between them."""

import base64
import contextlib
import glob
import hashlib
import hmac
import http.client
import json
import pathlib
import sys
import uuid
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from blocking import PATIENCE, Function, Server

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
SECRETS = {
    "sources/hr": {"signing_secret": "hr-signing-key-one"},
    "providers/aerospike": {"client_id": "aerospike-id", "client_secret": "aerospike-key-one"},
    "providers/cloudflare": {"api_token": "cloudflare-key-one"},
    "providers/flashduty": {"app_key": "flashduty-key-one"},
    "providers/instaply": {"token": "instaply-key-one"},
    "providers/stytch": {"project_id": "project-live-1", "secret": "stytch-key-one"},
}
SOURCE = """
[policy]
mode = "live"
[sources.hr]
kind = "hmac"
signature = { header = "x-hr-signature", prefix = "sha256=", encoding = "hex", algorithm = "sha256", signed = "{body}" }
event = { id = "/id", type = "/event", departures = ["employee.terminated"] }
person = { email = "/email" }
"""
PROVIDERS = {
    "aerospike": 'kind = "aerospike_cloud"\nbase_url = "URL"\ntoken_url = "URL/oauth/token"\n',
    "cloudflare": f'kind = "cloudflare_access"\nbase_url = "URL"\naccount_id = "{ACCOUNT}"\n',
    "flashduty": 'kind = "flashduty"\nbase_url = "URL"\n',
    "instaply": 'kind = "instaply"\nbase_url = "URL"\n',
    "stytch": 'kind = "stytch_b2b"\nbase_url = "URL"\norganization_ids = ["organization-live-1"]\n',
}


# ---- What stands around the function -------------------------------------------------------------------------------


class Gate:
    """Stands before moto: notes every call, lets none through while it is shut, and refuses single secrets."""

    def __init__(self, host, port):
        self.upstream, self.calls, self.open, self.refused = (host, port), [], True, {}
        self.server = Server(self.answer)

    def answer(self, method, path, headers, body):
        action, asked = headers["x-amz-target"].removeprefix("secretsmanager."), json.loads(body)
        self.calls.append((action, asked))
        if not self.open:
            return None
        if action == "GetSecretValue" and asked["SecretId"] in self.refused:
            error = {"__type": self.refused[asked["SecretId"]], "Message": "refused"}
            return 400, {"content-type": "application/x-amz-json-1.1"}, json.dumps(error).encode()
        status, headers, text = self.forward(method, path, headers, body)
        if action == "BatchGetSecretValue" and self.refused:
            answer = json.loads(text)
            values, errors = answer["SecretValues"], answer["Errors"]
            answer["SecretValues"] = [value for value in values if value["Name"] not in self.refused]
            errors += [{"SecretId": id, "ErrorCode": code, "Message": "refused"} for id, code in self.refused.items()]
            text = json.dumps(answer).encode()
        return status, headers, text

    def forward(self, method, path, headers, body):
        connection = http.client.HTTPConnection(*self.upstream, timeout=PATIENCE)
        with contextlib.closing(connection):
            sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            kept = ("content-type", "x-amzn-requestid", "x-amzn-errortype")
            return response.status, {n: v for n, v in response.getheaders() if n.lower() in kept}, response.read()

    def count(self, action=None):
        return sum(1 for name, _ in self.calls if action in (None, name))


def number(id):
    """Flashduty's ids are numbers."""
    return uuid.UUID(id).int >> 96


class Doubles:
    """The five providers. Each knows who has an account, and which credential it takes."""

    def __init__(self):
        self.accounts, self.refused, self.seen = {}, set(), []
        self.servers = {name: Server(self.answers(name)) for name in PROVIDERS}

    def answers(self, name):
        def answer(method, path, headers, body):
            url = urlsplit(path)
            status, reply = getattr(self, name)(
                method, url.path, parse_qs(url.query), headers, json.loads(body) if body else None
            )
            text = b"" if reply is None else json.dumps(reply).encode()
            return status, {"content-type": "application/json"}, text

        return answer

    def taken(self, name, credential):
        self.seen.append((name, credential))
        return credential is not None and credential not in self.refused

    def of(self, name):
        """The addresses of those who still have an account, with their ids."""
        return {email: id for (provider, email), id in self.accounts.items() if provider == name}

    def remove(self, name, id):
        for key, value in list(self.accounts.items()):
            if key[0] == name and value == id:
                del self.accounts[key]
                return True
        return False

    def aerospike(self, method, path, query, headers, body):
        if (method, path) == ("POST", "/oauth/token"):
            if not self.taken("aerospike", body["client_secret"]):
                return 401, {"error": "access_denied", "error_description": "Unauthorized"}
            token = "token of " + body["client_secret"]
            return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 28800}
        assert headers["authorization"].startswith("Bearer token of "), headers
        if (method, path) == ("GET", "/organization/members"):
            everybody = {"owner@example.com": "owner"} | self.of("aerospike")
            members = [{"id": id, "email": email} for email, id in everybody.items()]
            meta = {"total": len(members), "limit": 100, "offset": 0}
            return 200, {"count": len(members), "meta": meta, "members": members}
        if method == "DELETE" and path.startswith("/organization/members/"):
            gone = self.remove("aerospike", path.rpartition("/")[2])
            return (204, None) if gone else (404, {"message": "not found"})
        return 501, {"message": f"{method} {path}"}

    def cloudflare(self, method, path, query, headers, body):
        def envelope(result=None, errors=()):
            return {"success": not errors, "errors": list(errors), "messages": [], "result": result}

        if not self.taken("cloudflare", headers["authorization"].removeprefix("Bearer ")):
            return 403, envelope(errors=[{"code": 10000, "message": "Authentication error"}])
        users = f"/accounts/{ACCOUNT}/access/users"
        if (method, path) == ("GET", users):
            there = self.of("cloudflare")
            found = [{"id": there[email], "email": email} for email in query["email"] if email in there]
            return 200, envelope(found) | {"result_info": {"total_count": len(found)}}
        if method == "DELETE" and path.startswith(users + "/"):
            if self.remove("cloudflare", path.rpartition("/")[2]):
                return 200, envelope({})
            return 404, envelope(errors=[{"code": 12130, "message": "access.api.error.not_found"}])
        return 501, {"path": path}

    def flashduty(self, method, path, query, headers, body):
        if not self.taken("flashduty", query["app_key"][0]):
            return 401, {"request_id": "1", "error": {"code": "Unauthorized", "message": "Unauthorized"}}
        if (method, path) == ("POST", "/member/list"):
            items = [
                {"member_id": number(id), "member_name": "Ann", "email": email, "status": "enabled"}
                for email, id in self.of("flashduty").items()
                if body["query"] in email
            ]
            return 200, {"request_id": "1", "data": {"p": 1, "limit": 100, "total": len(items), "items": items}}
        if (method, path) == ("POST", "/member/delete"):
            for email, id in self.of("flashduty").items():
                if number(id) == body["member_id"]:
                    del self.accounts["flashduty", email]
                    return 200, {"request_id": "1", "data": {}}
            return 400, {"request_id": "1", "error": {"code": "ResourceNotFound", "message": "no such member"}}
        return 501, {"path": path}

    def instaply(self, method, path, query, headers, body):
        if not self.taken("instaply", headers["token"]):
            return 401, {"error": "Unauthorized"}
        if method == "POST" and path.endswith("/user/delete-by-email"):
            if self.accounts.pop(("instaply", body["email"]), None):
                return 200, {"status": "success", "deletedUserId": "1388838", "email": body["email"]}
            return 404, {"error": "User not found in organization"}
        return 501, {"path": path}

    def stytch(self, method, path, query, headers, body):
        error = {"status_code": 404, "request_id": "1", "error_message": "", "error_url": "https://stytch.com/docs"}
        given = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        if not self.taken("stytch", given.partition(":")[2]):
            return 401, {**error, "status_code": 401, "error_type": "unauthorized_credentials"}
        organization = "/v1/b2b/organizations/organization-live-1"
        if (method, path) == ("GET", organization + "/member"):
            there = self.of("stytch")
            for email in query["email_address"]:
                if email in there:
                    member = {"member_id": there[email], "email_address": email, "status": "active"}
                    member |= {"is_breakglass": False, "organization_id": "organization-live-1"}
                    return 200, {"status_code": 200, "request_id": "1", "member": member}
            return 404, {**error, "error_type": "member_not_found"}
        if method == "DELETE" and path.startswith(organization + "/members/"):
            id = path.rpartition("/")[2]
            if self.remove("stytch", id):
                return 200, {"status_code": 200, "request_id": "1", "member_id": id}
            return 404, {**error, "error_type": "member_not_found"}
        return 501, {"path": path}


# ---- The world of one check ----------------------------------------------------------------------------------------


class World:
    """Moto with the secrets in it, the doubles, and the function when it is started."""

    def __init__(self, binary, folder, moto):
        self.binary, self.folder = binary, folder
        host, port = moto.get_host_and_port()
        self.gate, self.doubles, self.function = Gate(host, port), Doubles(), None
        self.aws = boto3.client(
            "secretsmanager",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}),  # one that the environment names cannot know what stands on our loopback
        )
        connection = http.client.HTTPConnection(host, port)
        connection.request("POST", "/moto-api/reset")
        assert connection.getresponse().status == 200
        self.config, self.log, self.clock = SOURCE, folder / "log", folder / "clock"
        for name in PROVIDERS:
            self.provider(name)
        for name, value in SECRETS.items():
            self.create(name, value)

    def provider(self, kind, name=None, more=""):
        table = PROVIDERS[kind].replace("URL", self.doubles.servers[kind].url)
        self.config += f"[providers.{name or kind}]\n{table}{more}\n"

    def create(self, name, value):
        text = value if isinstance(value, str) else json.dumps(value)
        self.aws.create_secret(Name=f"offboard/{name}", SecretString=text)

    def delete(self, name):
        self.aws.delete_secret(SecretId=f"offboard/{name}", ForceDeleteWithoutRecovery=True)

    def rotate(self, name, value):
        text = value if isinstance(value, str) else json.dumps(value)
        self.aws.put_secret_value(SecretId=f"offboard/{name}", SecretString=text)

    def start(self):
        config = self.folder / "offboard.toml"
        config.write_text(self.config)
        aws = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": self.gate.server.url}
        library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        assert library, "libfaketime is missing: apt-get install faketime"
        self.clock.write_text("+0s")
        clock = {"LD_PRELOAD": library[0], "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_NO_CACHE": "1"}
        clock["FAKETIME_DISABLE_SHM"] = "1"
        self.function = Function(self.binary, self.log, OFFBOARD_CONFIG=str(config), **aws, **clock)
        self.function.start()

    def later(self, seconds):
        """Moves the running function's clocks ahead."""
        self.function.ahead += seconds
        self.clock.write_text(f"+{self.function.ahead}s")

    def end(self):
        """Ends the function; the next delivery starts it anew."""
        if self.function:
            self.function.end()
        self.function = None

    def stop(self):
        self.end()
        for server in (self.gate.server, *self.doubles.servers.values()):
            server.end()

    def deliver(self, key="hr-signing-key-one"):
        """A departure of somebody new who has an account everywhere. Answers status, headers and report."""
        number = uuid.uuid4().hex[:12]
        email = f"{number}@example.com"
        for name in PROVIDERS:
            self.doubles.accounts[name, email] = str(uuid.uuid4())
        body = json.dumps({"id": number, "event": "employee.terminated", "email": email})
        signature = hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()
        if not self.function:
            self.start()
        _, answer = self.function.invoke(envelope(body, f"sha256={signature}"))
        headers = {name.lower(): value for name, value in (answer.get("headers") or {}).items()}
        assert email not in json.dumps(answer) and email not in self.log.read_text(), "an address is shown in full"
        return Answer(answer["statusCode"], headers, answer["body"], email, self.doubles)


class Answer:
    def __init__(self, status, headers, text, email, doubles):
        self.status, self.headers, self.text = status, headers, text
        self.body = json.loads(text)
        self.left = {name for (name, other) in doubles.accounts if other == email}
        departures = self.body.get("departures") or [{"providers": []}]
        self.entries = {entry["provider"]: entry for entry in departures[0]["providers"]}
        self.outcomes = {name: entry["outcome"] for name, entry in self.entries.items()}

    def __str__(self):
        return f"{self.status} {self.text}"

    def all_deleted(self):
        assert self.status == 200 and self.body["status"] == "done", self
        assert set(self.outcomes.values()) == {"deleted"} and not self.left, self

    def all_deleted_but(self, name, *outcomes):
        assert self.status == 200 and self.body["status"] == "needs_attention", self
        assert self.outcomes[name] in outcomes, self
        assert self.left == {name}, (self.left, str(self))
        others = {other for key, other in self.outcomes.items() if key != name}
        assert others == {"deleted"}, self

    def refused(self):
        assert self.status == 401, self
        assert self.left == set(PROVIDERS), (self.left, str(self))

    def later(self, problem="secret-store"):
        assert self.body["type"] == f"urn:offboard:problem:{problem}", self
        assert self.status == 503 and int(self.headers["retry-after"]) > 0, (self.headers, str(self))
        assert self.headers["content-type"] == "application/problem+json", self.headers
        assert self.left == set(PROVIDERS), (self.left, str(self))


def envelope(body, signature):
    """What an HTTP API hands over."""
    return {
        "version": "2.0",
        "routeKey": "POST /webhooks/{source}",
        "rawPath": "/webhooks/hr",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "offboard.example.com", "x-hr-signature": signature},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "offboard",
            "domainName": "offboard.example.com",
            "domainPrefix": "offboard",
            "http": {
                "method": "POST",
                "path": "/webhooks/hr",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.10",
                "userAgent": "check",
            },
            "requestId": "1",
            "routeKey": "POST /webhooks/{source}",
            "stage": "$default",
            "time": "15/Jan/2026:12:00:00 +0000",
            "timeEpoch": 1768478400000,
        },
        "pathParameters": {"source": "hr"},
        "body": body,
        "isBase64Encoded": False,
    }


# ---- The checks ----------------------------------------------------------------------------------------------------
