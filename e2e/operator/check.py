#!/usr/bin/env python3
"""Checks the operator's commands against moto's DynamoDB, SQS and STS: two implementations of AWS judge the expressions.

    pip install -r e2e/common/requirements.txt
    cargo build && python e2e/operator/check.py target/debug/offboard

Everything is on loopback, on a free port.
"""

import csv
import datetime
import json
import sys
import traceback

import sample
from harness import CHECKS, check, held, ids, masked, stuck
from world import World, ago, entry, stamp, trait

# ---- list and show -------------------------------------------------------------------------------------------------


@check
def list_filters(world):
    """list shows what is open and fits all filters, and masks addresses"""
    held(world, "1", email="lee@example.com", received=ago(days=10))
    stuck(world, "2", email="ann@example.com")
    world.put("3", "done", email="lee@example.com", source="workos", received=ago(days=2))
    world.put("4", "dismissed", email="lee@example.com")
    world.put("lee@example.com", "pending", email="lee@example.com", source="okta")
    world.run("pause")
    assert ids(world.run("departures", "list", "--json")) == ["hr/1", "hr/2", "okta/l…@example.com"]
    everything = ["hr/1", "hr/2", "hr/4", "okta/l…@example.com", "workos/3"]
    assert ids(world.run("departures", "list", "--json", "--all")) == everything
    for wanted, arguments in [
        (["hr/1"], ["--state", "held"]),
        (["hr/2"], ["--state", "needs_attention"]),
        (["workos/3"], ["--state", "done"]),
        (["workos/3"], ["--all", "--source", "workos"]),
        (["hr/1", "hr/4", "workos/3"], ["--all", "--person", "LEE@example.com", "--since", "30d"]),
        (["hr/4", "workos/3"], ["--all", "--person", "lee@example.com", "--since", "3d"]),
        (["hr/1"], ["--all", "--person", "lee@example.com", "--until", stamp(ago(days=4))]),
        (["hr/1"], ["--reason", "event_too_old"]),
        ([], ["--since", "2999-01-01"]),
        ([], ["--person", "nobody@example.com"]),
    ]:
        found = [id for id in ids(world.run("departures", "list", "--json", *arguments)) if "…" not in id]
        assert found == wanted, (arguments, found)
    text = masked(world.run("departures", "list", "--all").out)
    counts = "5 departures: 1 held, 1 pending, 1 needs_attention, 1 dismissed, 1 done"
    assert counts in text and "event_too_old" in text and "paused since" in text, text
    assert "no departures" in world.run("departures", "list", "--source", "nowhere").out
    (shown,) = json.loads(world.run("departures", "list", "--json", "--unmask", "--state", "held").out)
    assert shown["person"]["email"] == "lee@example.com", shown


@check
def list_is_paged(world):
    """list reads indexes of several pages"""
    padding = {"a": entry("rejected", detail="x" * 100_000)}
    for n in range(25):
        world.put(f"{n:02}", "needs_attention", providers=padding, received=ago(days=40 * (n % 2)))
    assert len(ids(world.run("departures", "list", "--json"))) == 25
    assert len(ids(world.run("departures", "list", "--json", "--all"))) == 25


@check
def list_never_cuts_an_id(world):
    """an id is shown whole, at any width"""
    id = held(world, "x" * 150)
    assert id in world.run("departures", "list", COLUMNS="40").out


@check
def show_one(world):
    """show has all of one departure, also under its masked id"""
    sample.fill(world)
    answer = world.run("departures", "show", "workos/stuck")
    for text in ["needs_attention", "b…@example.com", "second_look", "ReferenceExist", "replay by arn:"]:
        assert text in masked(answer.out), (text, answer)
    answer = world.run("departures", "show", "hr/stuck", "--json")
    assert answer.code == 1 and "the ledger has no departure hr/stuck" in answer.err, answer
    shown = world.run("departures", "show", "workos/stuck", "--json").json()
    assert shown["providers"][2]["outcome"] == "blocked" and shown["history"][0]["what"] == "replay", shown
    keys = "id state reasons source event person received_at due_at attempts providers history"
    assert not set(keys.split()) - set(shown), shown
    (masked_id,) = ids(world.run("departures", "list", "--all", "--json", "--person", "mia.long-name+tag@example.com"))
    assert "…" in masked_id and world.run("departures", "show", masked_id, "--json").json()["id"] == masked_id


@check
def show_judges_now(world):
    """show lists what stands against the removals now, not what stood when it was held"""
    id = held(world, "1", email="root@example.com")
    assert world.run("departures", "show", id, "--json").json()["reasons"] == ["protected", "event_too_old"]
    world.run("pause", "--reason", "the directory is wrong")
    assert world.run("departures", "show", id, "--json").json()["reasons"] == ["paused", "protected", "event_too_old"]
    text = world.run("departures", "show", id).out
    assert "30 days old when it was received; `max_event_age` is 7 days" in text, text
    assert f"`offboard departures release {id}` lets the removals go on" in text, text
    assert "no release overrides it" in text and "the directory is wrong" in text, text




# ---- evidence ------------------------------------------------------------------------------------------------------


@check
def evidence_table(world):
    """the table has a row for each departure and provider"""
    sample.fill(world)
    path = world.path / "evidence.csv"
    answer = world.run("evidence", "--since", "30d", "--csv", path, "--json")
    figures = answer.json()["figures"]
    expected = {"leavers": 19, "departures": 20, "done": 15, "open": 4, "dismissed": 1, "removed": 32}
    assert {name: figures[name] for name in expected} == expected, figures
    assert (answer.code, figures["median"], figures["worst"]) == (1, "9 seconds", "2 hours"), answer
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
    assert (row["state"], row["provider"]) == ("dismissed", ""), row


@check
def evidence_page(world):
    """the page stands alone, and escapes what others wrote"""
    sample.fill(world)
    path = world.path / "evidence.html"
    answer = world.run("evidence", "--since", "30d", "--until", stamp(ago(days=-1)), "--html", path)
    assert answer.code == 1 and "median time    9 seconds" in answer.out, answer
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
    times = ["2026-01-30T23:59:59", "2026-01-31T00:00:00", "2026-01-31T23:59:59", "2026-02-01T00:00:00"]
    for n, at in enumerate(times, 1):
        world.put(str(n), received=datetime.datetime.fromisoformat(at))
    path = world.path / "january.csv"
    answer = world.run("evidence", "--since", "2026-01-31", "--until", "2026-01-31", "--csv", path)
    assert answer.code == 0, answer
    assert [row["departure"] for row in csv.DictReader(path.read_text().splitlines())] == ["hr/2", "hr/3"]
    for period, expected in {
        ("--month", "2026-01"): ["hr/1", "hr/2", "hr/3"],
        ("--from", "2026-01-31", "--to", "2026-02-01"): ["hr/2", "hr/3", "hr/4"],
    }.items():
        assert world.run("evidence", *period, "--csv", path).code == 0
        assert [row["departure"] for row in csv.DictReader(path.read_text().splitlines())] == expected, period
    assert world.run("evidence", "--since", "2020-01-01", "--until", "2020-12-31", "--csv", path).code == 0
    assert path.read_text().startswith("departure,person,") and path.read_text().count("\n") == 1


# ---- the identity map ----------------------------------------------------------------------------------------------


def identities(world, *arguments, **environment):
    return world.run("identities", *arguments, **environment)


def people(world, text):
    path = world.path / "people.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


@check
def identities_import(world):
    """an import records whom ids stand for, once; show says it, masked"""
    lines = [f"u{n},leaver{n}@example.com,{n}" for n in range(40)]
    path = people(world, "\n".join(["idp_id,email,external_id", *lines, "u0,ann@example.com,"]))
    answer = identities(world, "import", "hr", path, "--dry-run")
    assert answer.code == 0 and "40 people with 41 e-mail addresses could be imported" in answer.out, answer
    assert not world.items("#")
    answer = identities(world, "import", "hr", path, "--json")
    assert answer.code == 0, answer
    answer = answer.json()
    assert (answer["imported"], answer["people"], answer["addresses"], answer["errors"]) == (40, 40, 41, []), answer
    expected = {"#identity": 40, "#address": 41, "#external": 40}
    items = world.items("#")
    assert {kind: len(ids) for kind, ids in items.items()} == expected, items
    masked(" ".join(id for ids in items.values() for id in ids))
    shown = identities(world, "show", "hr", "u0")
    for text in ["l…@example.com", "a…@example.com", "0"]:
        assert text in masked(shown.out), (text, shown)
    shown = identities(world, "show", "hr", "u0", "--json").json()
    emails = [(held["value"], held["until"]) for held in shown["emails"]]
    assert emails == [("l…@example.com", None), ("a…@example.com", None)], shown
    # Once more: the same people, and no other items.
    assert identities(world, "import", "hr", path, "--json").json()["imported"] == 40
    assert {kind: len(ids) for kind, ids in world.items("#").items()} == expected
    for arguments in [("hr", "u40"), ("workos", "u0")]:
        answer = identities(world, "show", *arguments)
        assert answer.code == 1 and not answer.out, answer
    assert ids(world.run("departures", "list", "--all", "--json")) == []


@check
def identities_import_is_refused(world):
    """every line that cannot be used is reported, and then nothing is imported"""
    path = people(world, "idp_id,email\nu1,ann@example.com\nu2,bob\n,lee@example.com\nu3,ANN@example.com\n")
    answer = identities(world, "import", "hr", path)
    assert answer.code == 1 and "nothing is imported: 3 line(s)" in answer.out, answer
    for text in ["line 3 has no e-mail address", "line 4 has no idp_id", "line 5 has the address of line 2"]:
        assert text in masked(answer.out), (text, answer)
    errors = identities(world, "import", "hr", path, "--json").json()["errors"]
    assert [error["line"] for error in errors] == [3, 4, 5] and not world.items("#"), errors
    for said, source, text in [
        ("the first line names no column email", "hr", "idp_id\nu1\n"),
        ("the file has no people", "hr", "idp_id,email\n"),
    ]:
        answer = identities(world, "import", source, people(world, text))
        assert answer.code == 1 and said in masked(answer.err) and not answer.out, answer
    answer = identities(world, "import", "wokros", people(world, "idp_id,email\nu1,ann@example.com\n"))
    assert answer.code == 2 and "no source wokros: did you mean `workos`?" in masked(answer.err), answer
    answer = identities(world, "import", "hr", world.path / "nowhere.csv")
    assert answer.code == 1 and "No such file" in answer.err, answer
    path = people(world, "idp_id,email\nu1,ann@example.com\n")
    answer = identities(world, "import", "hr", path, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert answer.code == 1 and "give the command again" in masked(answer.err), answer
    answer = identities(world, "import", "hr", path, OFFBOARD_LEDGER_TABLE=None)
    assert answer.code == 2 and "LedgerTable" in answer.err, answer


@check
def list_finds_another_address(world):
    """a person is found by every address that the event named, also when the record is masked"""
    id = world.put("1", "done", email="ann@example.com")
    record = world.get(id)
    record["person"]["traits"].append(trait("lee@example.com"))
    record["person"]["emails"].append("l…@example.com")
    world.store(record)
    assert ids(world.run("departures", "list", "--all", "--json", "--person", "Lee@example.com")) == [id]
    shown = world.run("departures", "show", id, "--json").json()
    assert shown["person"]["other_emails"] == ["l…@example.com"], shown


# ---- what goes wrong -----------------------------------------------------------------------------------------------


@check
def wrong_usage(world):
    """wrong usage is reported, with exit code 2"""
    for said, arguments, environment in [
        ("LedgerTable", ["departures", "list"], {"OFFBOARD_LEDGER_TABLE": None}),
        ("LedgerTable", ["evidence", "--since", "7d"], {"OFFBOARD_LEDGER_TABLE": ""}),
        ("filters go with --all", ["departures", "release", "hr/1", "--source", "hr"], {}),
        ("required", ["departures", "release"], {}),
        ("cannot be used with", ["departures", "release", "hr/1", "--all"], {}),
        ("possible values", ["departures", "list", "--state", "lost"], {}),
        ("an age like 7d", ["departures", "list", "--since", "yesterday"], {}),
        ("not an e-mail address", ["departures", "list", "--person", "lee"], {}),
        ("before it begins", ["evidence", "--since", "2026-01-31", "--until", "2026-01-01"], {}),
        ("is ahead", ["evidence", "--month", "2999-01"], {}),
        ("not a month like 2026-01", ["evidence", "--month", "2026-13"], {}),
        ("cannot be used with", ["evidence", "--month", "2026-01", "--since", "7d"], {}),
        ("required", ["evidence"], {}),
    ]:
        answer = world.run(*arguments, **environment)
        assert answer.code == 2 and said in answer.err and not answer.out, (arguments, answer)


@check
def out_of_reach(world):
    """a ledger that is not there, and a caller whom nobody knows, are reported with exit code 1"""
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for said, arguments, environment in [
        ("ResourceNotFoundException (it does not exist in this AWS account and region)", ["departures", "list"], {"OFFBOARD_LEDGER_TABLE": "nowhere"}),
        ("the ledger cannot be used", ["departures", "show", "hr/1"], nowhere),
        (
            "AWS does not say who you are",
            ["departures", "release", "hr/1"],
            {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"},
        ),
        ("nothing answered at the endpoint", ["departures", "list"], nowhere),
        ("there is no stack lost in this AWS account and region", ["departures", "list", "--stack", "lost"], {}),
        ("No such file", ["evidence", "--since", "7d", "--csv", "/nowhere/evidence.csv"], {}),
    ]:
        answer = world.run(*arguments, **environment)
        assert answer.code == 1 and said in answer.err and not answer.out, (arguments, answer)


import by_hand  # noqa: E402, F401  (registers its checks)
import decisions  # noqa: E402, F401


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
