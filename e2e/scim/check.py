"""Judges the SCIM endpoint with a compliance tester that somebody else wrote: scim2-tester, by its library.

    python3 -m venv venv && venv/bin/pip install -r e2e/scim/requirements.txt
    venv/bin/python e2e/scim/check.py target/debug/offboard

The function runs in the sandbox, over HTTP, with its ledger in a mock DynamoDB. The tester creates and removes users whose
names are no e-mail addresses; that trips the safeguard and may change no answer.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

CONFIG = """
[policy]
mode = "live"
max_departures = { count = 5, per = "1h" }
[sources.people]
kind = "scim"
[sources.numbers]
kind = "scim"
person = { external_id = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/employeeNumber" }
[providers.instaply]
kind = "instaply"
"""
WRONG = (Status.ERROR, Status.CRITICAL)


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def judge(self, what, good, why=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {why}")


def http(url, token):
    return httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def check_compliance(tally, source, url, token):
    with http(url, token) as client:
        scim = SyncSCIMClient(client)
        results = check_server(scim, raise_exceptions=False)
    for result in results:
        what = f"{source}: {result.title} {result.resource_type or ''}".strip()
        if result.status == Status.SKIPPED:
            print(f"skipped {what}: {result.reason}")
        elif result.status in WRONG:
            tally.judge(what, False, result.reason)
        elif result.status == Status.SUCCESS:
            tally.judge(what, True)
    print(f"{source}: {len(results)} results")


def check_token(tally, url):
    answer = httpx2.get(f"{url}/Users", timeout=30)
    body = answer.json()
    tally.judge("no token", answer.status_code == 401, answer.text)
    tally.judge("no token: SCIM's error", body["status"] == "401" and bool(body["detail"]), answer.text)
    tally.judge("no token: the scheme", answer.headers["www-authenticate"] == "Bearer", answer.headers)
    answer = httpx2.get(f"{url}/Users", headers={"Authorization": "non-token"}, timeout=30)
    tally.judge("no bearer token", answer.status_code == 401, answer.text)


def check_query(tally, url, token):
    """A query as it goes over the wire: the form's plus, escapes, an address with a plus."""
    with http(url, token) as client:
        created = client.post(f"{url}/Users", json={"userName": "ann+x@example.com"}).json()
        for query in (
            "filter=userName+eq+%22ann%2Bx%40example.com%22",
            'filter=userName%20eq%20"ANN%2bX@example.com"',
            "filter=userName eq \"ann+x@example.com\"&startIndex=1&count=100",
            "aadOptscim062020&filter=id+eq+%22" + created["id"] + "%22",
        ):
            found = client.get(f"{url}/Users?{query}").json()
            tally.judge(query, [one["id"] for one in found["Resources"]] == [created["id"]], found)
        tally.judge("location", created["meta"]["location"].endswith(f"/Users/{created['id']}"), created)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check.py PATH-OF-OFFBOARD")
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "offboard.toml")
        config.write_text(CONFIG)
        command = [sys.argv[1], "sandbox", "--serve", "--json", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
            try:
                given = json.loads(sandbox.stdout.readline())
                for source in ("people", "numbers"):
                    url, token = given["webhooks"][source], given["signing_secrets"][source]
                    check_token(tally, url)
                    check_query(tally, url, token)
                    check_compliance(tally, source, url, token)
            finally:
                sandbox.terminate()
    tally.judge("the sandbox ends when told to", sandbox.returncode == 0, sandbox.returncode)
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
