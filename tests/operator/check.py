#!/usr/bin/env python3
"""Checks the operator's commands against moto's DynamoDB, SQS and STS.

    pip install -r tests/operator/requirements.txt
    cargo build && python tests/operator/check.py target/debug/offboard

Everything is on loopback, on a free port.
"""

import csv
import datetime
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
import traceback

import sample
from world import NOW, PATIENCE, World, ago, entry, stamp

CHECKS = []
ADDRESSES = ["lee@", "ann@", "bob@", "eve@", "joe@", "kim@", "mia.long", "noa@", "old@", "leaver"]


def check(function):
    CHECKS.append(function)
    return function


def masked(text):
    """The text, in which no address stands in full."""
    found = [address for address in ADDRESSES if address in text]
    assert not found, (found, text)
    return text


def ids(answer):
    return sorted(one["id"] for one in json.loads(masked(answer.out)))


def acted(record):
    """What people did, by whom."""
    for action in record["history"]:
        assert action["who"].startswith("arn:aws:sts::123456789012:"), action
        assert abs(time.time() - NOW.timestamp()) < 600 and action["at"] >= stamp(NOW), action
    return [action["what"] for action in record["history"]]


def held(world, event, **more):
    places = {"a": entry("not_attempted", reason="too_many_departures", attempts=0)}
    return world.put(event, "held", providers=places, reason="too_many_departures", **more)


def stuck(world, event, **more):
    outcomes = ["deleted", "deactivated", "already_absent", "blocked", "unidentified", "ambiguous", "unauthorized"]
    places = {outcome: entry(outcome) for outcome in [*outcomes, "rejected", "unavailable"]}
    return world.put(event, "needs_attention", providers=places, reason="gave_up", **more)


# ---- list and show -------------------------------------------------------------------------------------------------


@check
def list_filters(world):
    """list shows what fits all filters, and masks addresses"""
    held(world, "1", email="lee@example.com", received=ago(days=10))
    stuck(world, "2", email="ann@example.com")
    world.put("3", "done", email="lee@example.com", source="workos", received=ago(days=2))
    world.put("lee@example.com", "open", email="lee@example.com", source="okta")
    world.item("#breaker", {"admitted": []})
    assert ids(world.run("departures", "list", "--json")) == ["hr/1", "hr/2", "o…@example.com", "workos/3"]
    for wanted, arguments in [
        (["hr/1"], ["--state", "held"]),
        (["hr/2"], ["--state", "needs_attention"]),
        (["workos/3"], ["--source", "workos"]),
        (["hr/1", "workos/3"], ["--person", "LEE@example.com", "--since", "30d"]),
        (["workos/3"], ["--person", "lee@example.com", "--since", "3d"]),
        (["hr/1"], ["--reason", "too_many_departures"]),
        ([], ["--since", "2999-01-01"]),
        ([], ["--person", "nobody@example.com"]),
    ]:
        found = [id for id in ids(world.run("departures", "list", "--json", *arguments)) if "…" not in id]
        assert found == wanted, (arguments, found)
    text = masked(world.run("departures", "list").out)
    assert "4 departures: 1 held, 1 open, 1 needs_attention, 1 done" in text and "too_many_departures" in text, text
    assert "no departures" in world.run("departures", "list", "--source", "nowhere").out


@check
def list_is_paged(world):
    """list reads a table of several pages"""
    padding = {"a": entry("rejected", detail="x" * 100_000)}
    for n in range(25):
        world.put(f"{n:02}", "needs_attention", providers=padding)
    assert len(ids(world.run("departures", "list", "--json"))) == 25


@check
def show_one(world):
    """show tells all of one departure, also under its masked id"""
    sample.fill(world)
    answer = world.run("departures", "show", "workos/stuck")
    for text in ["needs_attention", "b…@example.com", "second_look", "ReferenceExist", "replay by arn:"]:
        assert text in masked(answer.out), (text, answer)
    told = world.run("departures", "show", "hr/stuck", "--json")
    assert told.code == 1 and "the ledger has no departure hr/stuck" in told.err, told
    told = world.run("departures", "show", "workos/stuck", "--json").json()
    assert told["providers"][2]["outcome"] == "blocked" and told["history"][0]["what"] == "replay", told
    (shown,) = ids(world.run("departures", "list", "--json", "--person", "mia.long-name+tag@example.com"))
    assert "…" in shown and world.run("departures", "show", shown, "--json").json()["id"] == shown


# ---- release, reject, replay ---------------------------------------------------------------------------------------


@check
def release_one(world):
    """release opens a held departure, records who did, and reminds the queue"""
    held(world, "1")
    answer = world.run("departures", "release", "hr/1")
    assert answer.code == 0 and "release: 1 departure(s), by arn:aws:sts::" in answer.out, answer
    record = world.get("hr/1")
    assert (record["state"], record["standing"], record["providers"]) == ("open", "released", {}), record
    assert "reason" not in record and acted(record) == ["release"], record
    assert world.reminded() == ["hr/1"]
    again = world.run("departures", "release", "hr/1")
    assert again.code == 1 and "hr/1: it is not held" in again.out and not world.reminded(), again


@check
def release_a_storm(world):
    """a storm is released in one command"""
    for n in range(120):
        held(world, f"storm-{n}")
    held(world, "other", source="workos")
    world.put("old", "held", reason="event_too_old")
    stuck(world, "stuck")
    asked = world.run("departures", "release", "--all", "--reason", "too_many_departures", "--source", "hr")
    assert asked.code == 2 and "needs --yes (120 departures: 120 held)" in asked.err, asked
    assert not world.reminded()
    storm = ["departures", "release", "--all", "--reason", "too_many_departures", "--source", "hr", "--yes", "--json"]
    answer = world.run(*storm).json()
    expected = sorted(f"hr/storm-{n}" for n in range(120))
    assert sorted(answer["done"]) == expected and answer["failed"] == [], answer
    assert sorted(world.reminded()) == expected
    assert {world.get(id)["state"] for id in ["workos/other", "hr/old"]} == {"held"}
    assert world.run(*storm).json()["done"] == []


@check
def release_asks(world):
    """on a terminal it is asked first, and shows how far it has got"""
    for n in range(3):
        held(world, str(n))
    for answer, state in [("n\n", "held"), ("y\n", "open")]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [world.binary, "departures", "release", "--all"],
            env=world.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        os.write(ours, answer.encode())
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        process.wait(PATIENCE)
        os.close(ours)
        assert b"release 3 departures: 3 held? [y/N]" in shown and b"departures read" in shown, shown
        assert {world.get(f"hr/{n}")["state"] for n in range(3)} == {state}, shown
    assert b"3 of 3" in shown


@check
def release_is_interrupted(world):
    """a release that is interrupted leaves nothing that is open and not reminded of, and can be given again"""
    for n in range(400):
        held(world, str(n))
    command = [world.binary, "departures", "release", "--all", "--yes", "--json"]
    process = subprocess.Popen(
        command, env=world.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    while not any(world.get(f"hr/{n}")["state"] == "open" for n in range(30)):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE)
    answer = json.loads(out)
    assert process.returncode == 1 and "interrupted" in answer["failed"][0]["why"], answer
    assert 0 < len(answer["done"]) < 400 and sorted(answer["done"]) == world.reminded(), answer
    assert {world.get(id)["state"] for id in answer["done"]} == {"open"}
    assert len(world.run(*command[1:]).json()["done"]) == 400 - len(answer["done"])


@check
def reject_one(world):
    """reject ends a departure and forgets its person"""
    held(world, "1")
    stuck(world, "2")
    world.put("3", "open")
    world.put("4", "done")
    answer = world.run("departures", "reject", "hr/1", "hr/2", "hr/3", "hr/4", "hr/5", "--json").json()
    assert sorted(answer["done"]) == ["hr/1", "hr/2", "hr/3"], answer
    failed = {one["id"]: one["why"] for one in answer["failed"]}
    assert failed["hr/4"].startswith("it is done") and "has no" in failed["hr/5"], failed
    for id in ["hr/1", "hr/2", "hr/3"]:
        record = world.get(id)
        assert record["state"] == "rejected" and acted(record) == ["reject"], record
        masked(json.dumps(record, ensure_ascii=False))
    assert not world.reminded()
    assert "it was rejected" in world.run("departures", "release", "hr/1").out


@check
def reject_all_takes_the_held_alone(world):
    """reject --all takes those that are held, unless a state is given"""
    held(world, "1")
    stuck(world, "2")
    world.put("3", "open")
    assert world.run("departures", "reject", "--all", "--yes", "--json").json()["done"] == ["hr/1"]
    assert world.run("departures", "reject", "--all", "--yes", "--state", "open", "--json").json()["done"] == ["hr/3"]


@check
def replay_one(world):
    """replay tries again what is not done, and leaves what is"""
    stuck(world, "1")
    held(world, "2")
    answer = world.run("departures", "replay", "hr/1", "hr/2", "--json").json()
    assert answer["done"] == ["hr/1"] and "release or reject it" in answer["failed"][0]["why"], answer
    record = world.get("hr/1")
    assert sorted(record["providers"]) == ["already_absent", "deactivated", "deleted"], record
    assert record["state"] == "open" and record["person"]["email"] == "lee@example.com" and acted(record) == ["replay"]
    assert world.reminded() == ["hr/1"]


@check
def not_while_somebody_works(world):
    """nothing is decided about a departure that somebody works on"""
    lease = {"by": "worker", "until": stamp(ago(seconds=-20))}
    world.put("1", "open", lease=lease)
    for command in ["reject", "replay"]:
        answer = world.run("departures", command, "hr/1")
        assert answer.code == 1 and "somebody works on it" in answer.out, answer
    world.put("1", "open", lease={"by": "worker", "until": stamp(ago(seconds=600))})
    assert world.run("departures", "replay", "hr/1").code == 0


@check
def without_a_queue(world):
    """without a queue the decision is recorded, and it is said what follows"""
    held(world, "1")
    answer = world.run("departures", "release", "hr/1", OFFBOARD_QUEUE_URL=None)
    assert answer.code == 0 and "nothing reminds the function" in answer.err, answer
    assert world.get("hr/1")["state"] == "open" and not world.reminded()


@check
def queue_out_of_reach(world):
    """a decision of which the queue cannot be reminded is told, and made good by replay"""
    held(world, "1")
    answer = world.run("departures", "release", "hr/1", "--queue-url", f"{world.url}/123456789012/nowhere")
    assert answer.code == 1 and "decided, but the queue cannot be used" in answer.out, answer
    assert world.run("departures", "replay", "hr/1").code == 0 and world.reminded() == ["hr/1"]
    record = world.get("hr/1")
    assert (record["standing"], acted(record)) == ("released", ["release", "replay"]), record


# ---- dead letters --------------------------------------------------------------------------------------------------


@check
def dead_letters(world):
    """dead letters are replayed once; what is no reminder, and what is not known, is left"""
    for n in range(23):
        stuck(world, f"stuck-{n}")
        world.letter(json.dumps({"departure": f"hr/stuck-{n}"}))
    world.put("done", "done")
    held(world, "held")
    for body in ['{"departure": "hr/done"}', '{"departure": "hr/held"}', "hello", '{"departure": "hr/unknown"}']:
        world.letter(body)
    told = world.run("replay", "--dead-letter", "--json")
    answer = told.json()
    assert (told.code, answer["replayed"], answer["dropped"], len(answer["left"])) == (1, 23, 2, 2), told
    assert sorted(world.reminded()) == sorted(f"hr/stuck-{n}" for n in range(23))
    for n in range(23):
        record = world.get(f"hr/stuck-{n}")
        assert record["state"] == "open" and acted(record) == ["replay"], record
    assert world.get("hr/held")["state"] == "held"
    again = world.run("replay", "--dead-letter", "--json").json()
    assert (again["replayed"], len(again["left"])) == (0, 2), again
    assert world.bodies(world.dead) == ["hello", '{"departure": "hr/unknown"}']


@check
def dead_letters_elsewhere(world):
    """--dead-letter-url names another queue; a queue without one is told"""
    other = world.sqs.create_queue(QueueName="other")["QueueUrl"]
    answer = world.run("replay", "--dead-letter", "--queue-url", other)
    assert answer.code == 1 and "has no dead-letter queue" in answer.err, answer
    stuck(world, "1")
    world.sqs.send_message(QueueUrl=other, MessageBody='{"departure": "hr/1"}')
    answer = world.run("replay", "--dead-letter", "--dead-letter-url", other)
    assert answer.code == 0 and "1 replayed, 0 dropped" in answer.out, answer
    assert world.reminded() == ["hr/1"] and not world.bodies(other)


# ---- evidence ------------------------------------------------------------------------------------------------------


@check
def evidence_table(world):
    """the table has a row for each departure and provider"""
    sample.fill(world)
    path = world.path / "evidence.csv"
    answer = world.run("evidence", "--since", "30d", "--csv", path, "--json")
    figures = answer.json()["figures"]
    expected = {"leavers": 19, "departures": 20, "done": 15, "open": 4, "rejected": 1, "removed": 32}
    assert {name: figures[name] for name in expected} == expected, figures
    assert (answer.code, figures["median"], figures["worst"]) == (1, "9s", "2h"), answer
    rows = list(csv.DictReader(masked(path.read_text()).splitlines()))
    assert len(rows) == 5 + 12 * 2 + 5 + 6, len(rows)
    (row,) = [row for row in rows if row["departure"] == "hr/everywhere" and row["provider"] == "stytch"]
    assert (row["outcome"], row["proof"], row["attempts"], row["runs"]) == ("deleted", "second look", "2", "3"), row
    assert row["seconds_after_receipt"] == "7200" and row["gone_by"] == stamp(ago(days=3, hours=-2)), row
    assert row["provider_request_id"].count("request-id-live-") == 2 and row["account"] == "member-live-1 member-live-2"
    assert row["person"] == "a…@example.com" and row["received_at"] == stamp(ago(days=3)), row
    (row,) = [row for row in rows if row["departure"] == "workos/stuck" and row["provider"] == "flashduty"]
    assert (row["gone_by"], row["proof"], row["outcome_reason"]) == ("", "", "ReferenceExist"), row
    assert "replay by arn:" in row["decisions"], row
    assert {row["event_id"] for row in rows if "cmd" in row["event_id"]} == {"'=cmd()"}
    (row,) = [row for row in rows if row["departure"] == "hr/refused"]
    assert (row["state"], row["provider"]) == ("rejected", ""), row


@check
def evidence_page(world):
    """the page stands alone, and escapes what others wrote"""
    sample.fill(world)
    path = world.path / "evidence.html"
    answer = world.run("evidence", "--since", "30d", "--until", stamp(ago(days=-1)), "--html", path)
    assert answer.code == 1 and "median time    9s" in answer.out, answer
    page = masked(path.read_text())
    assert "<script" not in page and "script&#62;alert(1)" in page
    assert "src=" not in page and "href=" not in page and "http://" not in page and "url(" not in page
    for text in [
        "a…@example.com",
        "second removal",
        "8f1b7c-FRA",
        "too_many_departures",
        "replay by arn:",
        "Worst time",
    ]:
        assert text in page, text


@check
def evidence_periods(world):
    """a period takes what was received in it; a date's whole day is in it"""
    moments = ["2026-01-30T23:59:59", "2026-01-31T00:00:00", "2026-01-31T23:59:59", "2026-02-01T00:00:00"]
    for n, moment in enumerate(moments, 1):
        world.put(str(n), received=datetime.datetime.fromisoformat(moment))
    path = world.path / "january.csv"
    answer = world.run("evidence", "--since", "2026-01-31", "--until", "2026-01-31", "--csv", path)
    assert answer.code == 0, answer
    assert [row["departure"] for row in csv.DictReader(path.read_text().splitlines())] == ["hr/2", "hr/3"]
    assert world.run("evidence", "--since", "2020-01-01", "--until", "2020-12-31", "--csv", path).code == 0
    assert path.read_text().startswith("departure,person,") and path.read_text().count("\n") == 1


# ---- the directory -------------------------------------------------------------------------------------------------

CONFIG = """
[directory]
retention = "1y"
[sources.hr]
kind = "workos"
[providers.instaply]
kind = "instaply"
"""


def directory(world, *arguments, **environment):
    path = world.path / "offboard.toml"
    path.write_text(CONFIG)
    return world.run("directory", *arguments, "--config", path, **environment)


def people(world, text):
    path = world.path / "people.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


@check
def directory_import(world):
    """an import teaches who an id stands for, once; show says it, masked"""
    lines = [f"u{n},leaver{n}@example.com,{n}" for n in range(40)]
    path = people(world, "\n".join(["idp_id,email,external_id", *lines, "u0,ann@example.com,"]))
    answer = directory(world, "import", "hr", path, "--dry-run")
    assert answer.code == 0 and "40 people with 41 addresses could be imported" in answer.out, answer
    assert not world.items("#")
    answer = directory(world, "import", "hr", path, "--json").json()
    assert answer == {"source": "hr", "imported": 40, "people": 40, "addresses": 41, "faults": []}, answer
    items = world.items("#")
    assert len(items["#directory"]) == 40 and len(items["#address"]) == 41, items
    masked(" ".join(id for ids in items.values() for id in ids))
    told = directory(world, "show", "hr", "u0")
    for text in ["l…@example.com", "a…@example.com", "external id  0", "used"]:
        assert text in masked(told.out), (text, told)
    told = directory(world, "show", "hr", "u0", "--json").json()
    shown = [(one["email"], one["standing"]) for one in told["addresses"]]
    assert shown == [("l…@example.com", "used"), ("a…@example.com", "used")], told
    until = datetime.datetime.fromisoformat(told["known_until"])
    assert abs((until - NOW).total_seconds() - 365.25 * 86400) < 600, told
    # Once more: the same people, and no other items.
    assert directory(world, "import", "hr", path, "--json").json()["imported"] == 40
    assert {kind: len(ids) for kind, ids in world.items("#").items()} == {"#directory": 40, "#address": 41}
    for arguments in [("hr", "u40"), ("okta", "u0")]:
        told = directory(world, "show", *arguments)
        assert told.code == 1 and "the directory knows nothing of" in told.err, told
    assert ids(world.run("departures", "list", "--json")) == []


@check
def directory_import_of_a_colleagues_address(world):
    """an address that two have is shown as used by neither, until one of them has another"""
    def imported(id, address):
        assert directory(world, "import", "hr", people(world, f"idp_id,email\n{id},{address}\n")).code == 0

    def shown(id):
        addresses = directory(world, "show", "hr", id, "--json").json()["addresses"]
        return [(one["email"], one["standing"]) for one in addresses]

    imported("u1", "ann@example.com")
    imported("u2", "ann@example.com")
    assert [shown("u1"), shown("u2")] == [[("a…@example.com", "of_another")]] * 2, (shown("u1"), shown("u2"))
    imported("u1", "jones@example.com")
    assert shown("u1") == [("j…@example.com", "used"), ("a…@example.com", "of_another")], shown("u1")
    assert shown("u2") == [("a…@example.com", "used")], shown("u2")


@check
def directory_import_is_refused(world):
    """every line that cannot be used is told, and then nothing is imported"""
    path = people(world, "idp_id,email\nu1,ann@example.com\nu2,bob\n,lee@example.com\nu3,ANN@example.com\n")
    answer = directory(world, "import", "hr", path)
    assert answer.code == 1 and "nothing is imported: 3 line(s)" in answer.out, answer
    for text in ["line 3 has no e-mail address", "line 4 has no idp_id", "line 5 has the address of line 2"]:
        assert text in masked(answer.out), (text, answer)
    faults = directory(world, "import", "hr", path, "--json").json()["faults"]
    assert [fault["line"] for fault in faults] == [3, 4, 5] and not world.items("#"), faults
    for said, source, text in [
        ("there is no source okta; the configuration has hr", "okta", "idp_id,email\nu1,ann@example.com\n"),
        ("the first line names no column email", "hr", "idp_id\nu1\n"),
        ("the file names nobody", "hr", "idp_id,email\n"),
    ]:
        answer = directory(world, "import", source, people(world, text))
        assert answer.code == 1 and said in masked(answer.err) and not answer.out, answer
    answer = directory(world, "import", "hr", world.path / "nowhere.csv")
    assert answer.code == 1 and "No such file" in answer.err, answer
    path = people(world, "idp_id,email\nu1,ann@example.com\n")
    answer = directory(world, "import", "hr", path, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert answer.code == 1 and "0 of 1 people are imported; give the command again" in masked(answer.err), answer
    answer = directory(world, "import", "hr", path, OFFBOARD_LEDGER_TABLE=None)
    assert answer.code == 2 and "LedgerTable" in answer.err, answer


@check
def list_finds_a_former_address(world):
    """a person is found by an address that they used before"""
    world.put("1", "done", email="ann@example.com")
    record = world.get("hr/1")
    record["person"]["other_keys"] = [hashlib.sha256(b"lee@example.com").hexdigest()[:32]]
    record["person"]["other_emails"] = ["l…@example.com"]
    world.item("hr/1", record, "done")
    assert ids(world.run("departures", "list", "--json", "--person", "Lee@example.com")) == ["hr/1"]
    told = world.run("departures", "show", "hr/1", "--json").json()
    assert told["person"]["other_emails"] == ["l…@example.com"], told


# ---- what goes wrong -----------------------------------------------------------------------------------------------


@check
def wrong_usage(world):
    """wrong usage is told, with exit code 2"""
    for said, arguments, environment in [
        ("LedgerTable", ["departures", "list"], {"OFFBOARD_LEDGER_TABLE": None}),
        ("LedgerTable", ["evidence", "--since", "7d"], {"OFFBOARD_LEDGER_TABLE": ""}),
        ("QueueUrl", ["replay", "--dead-letter"], {"OFFBOARD_QUEUE_URL": None}),
        ("--dead-letter", ["replay"], {}),
        ("filters go with --all", ["departures", "release", "hr/1", "--source", "hr"], {}),
        ("required", ["departures", "release"], {}),
        ("cannot be used with", ["departures", "release", "hr/1", "--all"], {}),
        ("possible values", ["departures", "list", "--state", "lost"], {}),
        ("an age like 7d", ["departures", "list", "--since", "yesterday"], {}),
        ("not an e-mail address", ["departures", "list", "--person", "lee"], {}),
        ("before it begins", ["evidence", "--since", "2026-01-31", "--until", "2026-01-01"], {}),
        ("required", ["evidence"], {}),
    ]:
        answer = world.run(*arguments, **environment)
        assert answer.code == 2 and said in answer.err and not answer.out, (arguments, answer)


@check
def out_of_reach(world):
    """a ledger that is not there, and a caller whom nobody knows, are told with exit code 1"""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for said, arguments, environment in [
        ("ResourceNotFoundException", ["departures", "list", "--table", "nowhere"], {}),
        ("the ledger cannot be used", ["departures", "show", "hr/1"], nowhere),
        (
            "AWS does not say who you are",
            ["departures", "release", "hr/1"],
            {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"},
        ),
        ("AWS credentials and a region", ["departures", "list"], nowhere),
        ("No such file", ["evidence", "--since", "7d", "--csv", "/nowhere/evidence.csv"], {}),
    ]:
        answer = world.run(*arguments, **environment)
        assert answer.code == 1 and said in answer.err and not answer.out, (arguments, answer)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    world = World(sys.argv[1])
    failed = 0
    try:
        for one in CHECKS:
            world.clear()
            try:
                one(world)
                print(f"passed: {one.__doc__}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED: {one.__doc__}\n{traceback.format_exc()}", flush=True)
    finally:
        world.end()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
