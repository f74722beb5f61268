"""The five providers: strict about what they take, with accounts that are there until they are removed.

Whatever is not the vendor's documented call is answered 501, never 404, which could pass for "already gone".
"""

import base64
import collections
import itertools
import time
from urllib.parse import parse_qs, urlsplit

from wire import Answer

NAMES = ("aerospike", "cloudflare", "flashduty", "instaply", "stytch")
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
SECRETS = {
    "providers/aerospike": {"client_id": "aerospike-id", "client_secret": "aerospike-key-one"},
    "providers/cloudflare": {"api_token": "cloudflare-key-one"},
    "providers/flashduty": {"app_key": "flashduty-key-one"},
    "providers/instaply": {"token": "instaply-key-one"},
    "providers/stytch": {"project_id": "project-live-1", "secret": "stytch-key-one"},
}
CONFIG = f"""
[providers.aerospike]
kind = "aerospike_cloud"
base_url = "URL/aerospike"
token_url = "URL/aerospike/oauth/token"
[providers.cloudflare]
kind = "cloudflare_access"
base_url = "URL/cloudflare"
account_id = "{ACCOUNT}"
[providers.flashduty]
kind = "flashduty"
base_url = "URL/flashduty"
[providers.instaply]
kind = "instaply"
base_url = "URL/instaply"
[providers.stytch]
kind = "stytch_b2b"
base_url = "URL/stytch"
organization_ids = ["organization-live-1"]
"""


class Providers:
    def __init__(self):
        self.ids = {name: {} for name in NAMES}  # address -> id
        self.addresses = {name: {} for name in NAMES}  # id -> address
        self.removed = collections.Counter()  # (provider, address) -> how often a removal found somebody
        self.failing, self.rate, self.taken = set(), {}, {}
        self.refused = collections.Counter()  # provider -> how often it was out of order, or asked for patience
        self.numbers = itertools.count(1000)

    def add(self, email):
        for name in NAMES:
            id = str(next(self.numbers))
            self.ids[name][email], self.addresses[name][id] = id, email

    def has(self, email):
        return {name for name in NAMES if email in self.ids[name]}

    def remove(self, name, id):
        email = self.addresses[name].pop(id, None)
        if email is None:
            return False
        del self.ids[name][email]
        self.removed[name, email] += 1
        return True

    def answer(self, name, request):
        """The answer of one provider to a request whose path begins with its name."""
        if name in self.failing:
            self.refused[name] += 1
            return Answer.json(503, {"message": "out of order"})
        if name in self.rate and not self.within_rate(name):
            self.refused[name] += 1
            refusal = {"request_id": "1", "error": {"code": "RequestTooFrequently", "message": "slow down"}}
            return Answer.json(429, refusal, **{"retry-after": "1"})
        url = urlsplit(request.path.removeprefix("/" + name))
        found = getattr(self, name)(request.method, url.path, parse_qs(url.query), request.headers, request.json())
        return Answer.json(*found)

    def within_rate(self, name):
        second = int(time.monotonic())
        if self.taken.get(name, (0, 0))[0] != second:
            self.taken[name] = (second, 0)
        count = self.taken[name][1] + 1
        self.taken[name] = (second, count)
        return count <= self.rate[name]

    def aerospike(self, method, path, query, headers, body):
        if (method, path) == ("POST", "/oauth/token"):
            assert body["client_secret"] == "aerospike-key-one", body
            return 200, {"access_token": "aerospike-token", "token_type": "Bearer", "expires_in": 28800}
        assert headers["authorization"] == "Bearer aerospike-token", headers
        if (method, path) == ("GET", "/organization/members"):
            offset, limit = int(query["offset"][0]), int(query["limit"][0])
            everybody = self.ids["aerospike"]
            page = itertools.islice(everybody.items(), offset, offset + limit)
            members = [{"id": id, "email": email} for email, id in page]
            meta = {"total": len(everybody), "limit": limit, "offset": offset}
            return 200, {"count": len(members), "meta": meta, "members": members}
        if method == "DELETE" and path.startswith("/organization/members/"):
            gone = self.remove("aerospike", path.rpartition("/")[2])
            missing = {"type": "urn:aerospike:errors:resource:not-found", "title": "Resource Not Found", "status": 404}
            return (204, None) if gone else (404, missing)
        return 501, {"message": f"{method} {path}"}

    def cloudflare(self, method, path, query, headers, body):
        def envelope(result=None, errors=()):
            return {"success": not errors, "errors": list(errors), "messages": [], "result": result}

        assert headers["authorization"] == "Bearer cloudflare-key-one", headers
        users, there = f"/accounts/{ACCOUNT}/access/users", self.ids["cloudflare"]
        if (method, path) == ("GET", users):
            page, per_page = (int(query[name][0]) for name in ("page", "per_page"))
            found = [{"id": there[email], "email": email} for email in query["email"] if email in there]
            result = found[(page - 1) * per_page : page * per_page]
            info = {"page": page, "per_page": per_page, "count": len(result), "total_count": len(found)}
            return 200, envelope(result) | {"result_info": info}
        if method == "DELETE" and path.startswith(users + "/"):
            if self.remove("cloudflare", path.rpartition("/")[2]):
                return 200, envelope({})
            return 404, envelope(errors=[{"code": 12130, "message": "access.api.error.not_found"}])
        return 501, {"path": path}

    def flashduty(self, method, path, query, headers, body):
        assert query["app_key"] == ["flashduty-key-one"], query
        if (method, path) == ("POST", "/member/list"):
            there = self.ids["flashduty"]
            items = [
                {"member_id": int(there[email]), "member_name": "Ann", "email": email, "status": "enabled"}
                for email in [body["query"]]
                if email in there
            ]
            return 200, {"request_id": "1", "data": {"p": 1, "limit": 100, "total": len(items), "items": items}}
        if (method, path) == ("POST", "/member/delete"):
            if self.remove("flashduty", str(body["member_id"])):
                return 200, {"request_id": "1", "data": {}}
            return 400, {"request_id": "1", "error": {"code": "ResourceNotFound", "message": "no such member"}}
        return 501, {"path": path}

    def instaply(self, method, path, query, headers, body):
        assert headers["token"] == "instaply-key-one", headers
        if method == "POST" and path.endswith("/user/delete-by-email"):
            if self.remove("instaply", self.ids["instaply"].get(body["email"])):
                return 200, {"status": "success", "deletedUserId": "1388838", "email": body["email"]}
            return 404, {"error": "User not found in organization"}
        return 501, {"path": path}

    def stytch(self, method, path, query, headers, body):
        error = {"status_code": 404, "request_id": "1", "error_message": "", "error_url": "https://stytch.com/docs"}
        given = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        assert given == "project-live-1:stytch-key-one", given
        organization, there = "/v1/b2b/organizations/organization-live-1", self.ids["stytch"]
        if (method, path) == ("GET", organization + "/member"):
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
