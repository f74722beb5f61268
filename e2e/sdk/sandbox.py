"""Checks of the sandbox's mock services.

Cloudflare and Stytch are driven by their official SDKs; the others have none, so plain HTTP it is.
"""

import http.client
import json
import subprocess
import urllib.parse

import cloudflare
import stytch
from stytch.core.response_base import StytchError

NEIGHBOUR = "joann@example.com"
LEAVER = "lee@example.com"
STRANGER = "nobody@example.com"


def check(tally, offboard):
    command = [offboard, "sandbox", "--serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            given = json.loads(sandbox.stdout.readline())["credentials"]
            check_cloudflare(tally, given["cloudflare"])
            check_stytch(tally, given["stytch"])
            check_flashduty(tally, given["flashduty"])
            check_instaply(tally, given["instaply"])
            check_aerospike(tally, given["aerospike"])
        finally:
            sandbox.terminate()
    tally.equal("the sandbox ends when told to", sandbox.returncode, 0)


def call(method, url, body=None, headers=None):
    """One request: status, headers, body as JSON. A status is never an exception here."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    data = None if body is None else json.dumps(body)
    sent = {"Content-Type": "application/json"} if data is not None else {}
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    connection.request(method, path, data, sent | (headers or {}))
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, answer.headers, json.loads(text) if text else None


def check_cloudflare(tally, given):
    client = cloudflare.Cloudflare(api_token=given["api_token"], base_url=given["base_url"], max_retries=0)
    users, account = client.zero_trust.access.users, given["account_id"]
    everybody = list(users.list(account_id=account, per_page=3))
    tally.equal("cloudflare: all pages, nobody twice", len(everybody), len({user.id for user in everybody}))
    tally.equal("cloudflare: more than one page", len(everybody) > 3, True)
    tally.equal("cloudflare: nobody by this address", list(users.list(account_id=account, email=STRANGER)), [])
    found = [user for user in users.list(account_id=account, email=LEAVER) if user.email == LEAVER]
    tally.equal("cloudflare: found", len(found), 1)
    users.delete(found[0].id, account_id=account)
    left = [user.email for user in users.list(account_id=account)]
    tally.equal("cloudflare: gone, and only this one", (LEAVER in left, len(left)), (False, len(everybody) - 1))

    error = tally.raises("cloudflare: deleted twice", cloudflare.NotFoundError,
                         lambda: users.delete(found[0].id, account_id=account))
    tally.equal("cloudflare: not_found", error and "not_found" in error.errors[0].message, True)
    error = tally.raises("cloudflare: wrong account", cloudflare.NotFoundError,
                         lambda: list(users.list(account_id="f" * 32)))
    tally.equal("cloudflare: 7003", error and error.errors[0].code, 7003)
    stranger = client.with_options(api_token="wrong")
    error = tally.raises("cloudflare: wrong token", cloudflare.PermissionDeniedError,
                         lambda: list(stranger.zero_trust.access.users.list(account_id=account)))
    tally.equal("cloudflare: 10000", error and error.errors[0].code, 10000)
    tally.equal("cloudflare: cf-ray", bool(error and error.response.headers.get("cf-ray")), True)
    error = tally.raises("cloudflare: unknown path", cloudflare.APIStatusError,
                         lambda: users.get(everybody[0].id, account_id=account))
    tally.equal("cloudflare: unknown path is 501", error and error.status_code, 501)


def check_stytch(tally, given):
    client = stytch.B2BClient(given["project_id"], given["secret"], environment=given["base_url"] + "/")
    members, organizations = client.organizations.members, given["organization_ids"]
    for organization in organizations:
        found = members.get(organization, email_address=LEAVER)
        tally.equal("stytch: found", (found.member.email_address, found.member.status), (LEAVER, "active"))
        tally.equal("stytch: the organisation", found.organization.organization_id, organization)
        gone = members.delete(organization, found.member.member_id)
        tally.equal("stytch: deleted", (gone.status_code, gone.member_id), (200, found.member.member_id))
        after = members.get(organization, email_address=LEAVER)
        tally.equal("stytch: the record stays", after.member.status, "deleted")
        error = tally.raises("stytch: deleted twice", StytchError,
                             lambda: members.delete(organization, found.member.member_id))
        tally.equal("stytch: member_not_found", error and error.details.error_type, "member_not_found")
    neighbour = members.get(organizations[0], email_address=NEIGHBOUR)
    tally.equal("stytch: the neighbour stays", neighbour.member.status, "active")
    plus = members.get(organizations[0], email_address="ann+lee@example.com")
    tally.equal("stytch: a plus in an address", plus.member.email_address, "ann+lee@example.com")
    owner = members.get(organizations[0], email_address="breakglass@example.com")
    tally.equal("stytch: break-glass", owner.member.is_breakglass, True)

    def refused(what, attempt, status, kind):
        error = tally.raises(f"stytch: {what}", StytchError, attempt)
        details = error and (error.details.status_code, error.details.error_type)
        tally.equal(f"stytch: {what}", details, (status, kind))

    refused("a stranger", lambda: members.get(organizations[0], email_address=STRANGER), 404, "member_not_found")
    refused("a wrong organisation", lambda: members.get("organization-test-none", email_address=LEAVER), 404,
            "organization_not_found")
    stranger = stytch.B2BClient(given["project_id"], "wrong", environment=given["base_url"] + "/")
    refused("a wrong secret", lambda: stranger.organizations.members.get(organizations[0], email_address=LEAVER), 401,
            "unauthorized_credentials")
    error = tally.raises("stytch: unknown path", StytchError, lambda: members.dangerously_get("member-test-x"))
    tally.equal("stytch: unknown path is 501", error and error.details.status_code, 501)


def check_flashduty(tally, given):
    base, key = given["base_url"], given["app_key"]

    def post(path, body, key=key):
        return call("POST", f"{base}{path}?app_key={key}", body)

    status, headers, page = post("/member/list", {"p": 1, "limit": 100, "query": "ann@example.com"})
    tally.equal("flashduty: a query is a substring", (status, page["data"]["total"] > 1), (200, True))
    tally.equal("flashduty: the request id twice", headers["Flashcat-Request-Id"], page["request_id"])
    _, _, page = post("/member/list", {"p": 1, "limit": 100, "query": LEAVER})
    found = [item["member_id"] for item in page["data"]["items"] if item["email"] == LEAVER]
    status, _, gone = post("/member/delete", {"member_id": found[0]})
    tally.equal("flashduty: deleted", (status, gone["data"]), (200, {}))
    status, _, again = post("/member/delete", {"member_id": found[0]})
    tally.equal("flashduty: gone is 400", (status, again["error"]["code"]), (400, "ResourceNotFound"))
    status, _, kept = post("/member/delete", {"email": "dana@example.com"})
    tally.equal("flashduty: referenced", (status, kept["error"]["code"]), (400, "ReferenceExist"))
    tally.equal("flashduty: by what", [ref["kind"] for ref in kept["data"]["refs"]], ["schedule"])
    status, _, refused = post("/member/list", {"p": 1, "limit": 100, "query": ""}, key="wrong")
    tally.equal("flashduty: wrong key", (status, refused["error"]["code"]), (401, "Unauthorized"))
    tally.equal("flashduty: unknown field", post("/member/delete", {"id": 1})[0], 501)
    tally.equal("flashduty: two identities", post("/member/delete", {"member_id": 1, "email": LEAVER})[0], 501)
    tally.equal("flashduty: unknown path", post("/member/remove", {"member_id": 1})[0], 501)


def check_instaply(tally, given):
    url = given["base_url"] + "/api/user/delete-by-email"
    token = {"token": given["token"]}
    status, _, gone = call("POST", url, {"email": LEAVER}, token)
    tally.equal("instaply: deleted", (status, gone["status"], gone["email"]), (200, "success", LEAVER))
    status, _, again = call("POST", url, {"email": LEAVER}, token)
    tally.equal("instaply: gone", (status, again), (404, {"error": "User not found in organization"}))
    status, _, kept = call("POST", url, {"email": "dana@example.com"}, token)
    tally.equal("instaply: a business rule", (status, list(kept)), (400, ["error"]))
    status, _, invalid = call("POST", url, {"email": "nobody"}, token)
    tally.equal("instaply: not an address", (status, sorted(invalid)), (400, ["body", "headers"]))
    tally.equal("instaply: wrong token", call("POST", url, {"email": LEAVER}, {"token": "wrong"})[0], 403)
    tally.equal("instaply: no token", call("POST", url, {"email": LEAVER})[0], 501)
    tally.equal("instaply: another method", call("DELETE", url, {"email": LEAVER}, token)[0], 501)


def check_aerospike(tally, given):
    base, grant = given["base_url"], {"grant_type": "client_credentials", "client_id": given["client_id"]}
    status, _, refused = call("POST", given["token_url"], grant | {"client_secret": "wrong"})
    tally.equal("aerospike: wrong secret", (status, refused["error"]), (401, "access_denied"))
    status, _, issued = call("POST", given["token_url"], grant | {"client_secret": given["client_secret"]})
    tally.equal("aerospike: a token", (status, issued["token_type"]), (200, "Bearer"))
    token = {"Authorization": "Bearer " + issued["access_token"]}

    def members():
        return call("GET", f"{base}/organization/members?limit=1&offset=5", headers=token)

    status, headers, page = members()
    tally.equal("aerospike: everybody at once", (status, page["count"]), (200, len(page["members"])))
    tally.equal("aerospike: limit is ignored", len(page["members"]) > 5, True)
    tally.equal("aerospike: request id", bool(headers["X-Request-Id"]), True)
    ids = {member["email"]: member["id"] for member in page["members"]}
    one = f"{base}/organization/members/{ids[LEAVER]}"
    tally.equal("aerospike: removed", call("DELETE", one, headers=token)[0], 204)
    tally.equal("aerospike: gone", LEAVER in [member["email"] for member in members()[2]["members"]], False)
    status, headers, again = call("DELETE", one, headers=token)
    tally.equal("aerospike: removed twice", (status, again["type"]), (404, "urn:aerospike:errors:resource:not-found"))
    tally.equal("aerospike: a problem document", headers["Content-Type"], "application/problem+json")
    owner = f"{base}/organization/members/{ids['owner@example.com']}"
    tally.equal("aerospike: the owner", call("DELETE", owner, headers=token)[0], 403)
    status, _, refused = call("GET", f"{base}/organization/members", headers={"Authorization": "Bearer wrong"})
    tally.equal("aerospike: a token nobody issued", (status, refused["code"]), (401, "invalid_token"))
    tally.equal("aerospike: no token", call("GET", f"{base}/organization/members")[0], 501)
    tally.equal("aerospike: unknown path", call("GET", f"{base}/members", headers=token)[0], 501)
