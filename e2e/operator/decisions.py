"""release, dismiss, replay, pause and resume."""

import json
import signal
import subprocess
import time

from harness import acted, check, held, masked, on_a_terminal, stuck
from world import TIMEOUT, ago, stamp
# ---- release, dismiss, replay --------------------------------------------------------------------------------------


@check
def release_one(world):
    """release makes a held departure pending and due, records who did, and sends a message"""
    id = held(world, "1")
    answer = world.run("departures", "release", id)
    assert answer.code == 0 and "release: 1 departure, by arn:aws:sts::" in answer.out, answer
    record = world.get(id)
    assert record["state"] == "pending" and record["due_at"] <= time.time() + 60, record
    assert list(record["release"]["vetoes"]) == ["event_too_old"] and acted(record) == ["release"], record
    assert record["history"][0]["reasons"] == ["event_too_old"], record
    assert world.messages() == [id]
    again = world.run("departures", "release", id)
    assert again.code == 1 and "nothing that can be released stands against it" in again.out, again
    for state in ("done", "dismissed"):
        again = world.run("departures", "release", world.put(state, state))
        assert again.code == 1 and f"hr/{state}: it " in again.out and not world.messages(), again


@check
def release_overrides_what_it_names(world):
    """release --reason overrides that reason alone, and says what stands all the same"""
    id = held(world, "1")
    world.put("other", "done")
    answer = world.run("departures", "release", id, "--reason", "too_many_departures")
    assert answer.code == 1 and "nothing that can be released stands against it" in answer.out, answer
    protected = held(world, "2", email="root@example.com")
    answer = world.run("departures", "release", protected)
    assert answer.code == 1 and "no release overrides protected" in answer.out, answer
    assert world.get(protected)["state"] == "held" and not world.messages()
    world.run("pause")
    answer = world.run("departures", "release", id)
    assert answer.code == 0 and "paused still stands, and no release overrides it" in answer.out, answer


@check
def release_in_a_dry_run_is_refused(world):
    """a release during the dry run is refused and not stored"""
    id = held(world, "1")
    answer = world.run("departures", "release", id, OFFBOARD_MODE="dry_run")
    assert answer.code == 1 and "no release overrides dry_run" in answer.out, answer
    record = world.get(id)
    assert "release" not in record and not record["history"] and not world.messages(), record


@check
def release_many(world):
    """many are released by one command, which shows who"""
    for n in range(120):
        held(world, f"storm-{n}")
    held(world, "other", source="workos")
    stuck(world, "stuck")
    command = ["departures", "release", "--all", "--reason", "event_too_old", "--source", "hr"]
    answer = world.run(*command)
    assert answer.code == 2 and "needs --yes" in answer.err and "120 departures: 120 held" in answer.err, answer
    assert answer.out.count("l…@example.com") == 120 and not world.messages(), answer
    answer = world.run(*command, "--yes", "--json").json()
    expected = sorted(f"hr/storm-{n}" for n in range(120))
    assert sorted(answer["done"]) == expected and answer["failed"] == [], answer
    assert world.messages() == expected
    assert world.get("workos/other")["state"] == "held" and world.get("hr/stuck")["state"] == "needs_attention"
    assert world.run(*command, "--yes", "--json").json()["done"] == []


@check
def release_asks(world):
    """on a terminal it is asked first, and shows how far it has got"""
    for n in range(3):
        held(world, str(n))
    for answer, state in [("n", "held"), ("y", "pending")]:
        shown = on_a_terminal(world, answer, "departures", "release", "--all")
        assert "release 3 departures: 3 held? [y/N]" in shown and "departures read" in shown, shown
        assert {world.get(f"hr/{n}")["state"] for n in range(3)} == {state}, shown
    assert "3 of 3" in shown


@check
def who_is_shown_before_the_question(world):
    """release, dismiss and replay show who before they ask, and "no" changes nothing, with exit code 0"""
    held(world, "1", email="lee@example.com")
    held(world, "2", email="ann@example.com")
    stuck(world, "3", email="bob@example.com")
    for command, people in [
        (["release", "--all"], ["l…@", "a…@"]),
        (["release", "hr/1", "hr/2"], ["l…@", "a…@"]),
        (["dismiss", "--all"], ["l…@", "a…@"]),
        (["replay", "--all"], ["b…@"]),
    ]:
        shown = masked(on_a_terminal(world, "n", "departures", *command))
        before, question, after = shown.partition("[y/N]")
        assert question and all(one in before for one in people) and "nothing was changed" in after, shown
    assert [world.get(f"hr/{n}")["state"] for n in (1, 2, 3)] == ["held", "held", "needs_attention"]


@check
def send_asks(world):
    """send warns and asks before it sends to a real endpoint; "no" sends nothing, with exit code 0"""
    send = ["send", "hr", "lee@example.com", "--to", "https://api.example.com"]
    shown = masked(on_a_terminal(world, "n", *send, OFFBOARD_SIGNING_SECRET="0123456789abcdef"))
    before, question, after = shown.partition("[y/N]")
    assert question and "api.example.com" in before and "removes the person's accounts" in before, shown
    assert "nothing was sent" in after, shown


@check
def release_is_interrupted(world):
    """a release that is interrupted says how many are left, and can be given again"""
    for n in range(400):
        held(world, str(n))
    command = [world.binary, "departures", "release", "--all", "--yes", "--json"]
    process = subprocess.Popen(
        command, env=world.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    while not any(world.get(f"hr/{n}")["state"] == "pending" for n in range(370, 400)):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMEOUT)
    answer = json.loads(out)
    assert process.returncode == 1 and "interrupted" in answer["failed"][0]["why"], answer
    assert 0 < len(answer["done"]) < 400 and sorted(answer["done"]) == world.messages(), answer
    assert {world.get(id)["state"] for id in answer["done"]} == {"pending"}
    assert len(world.run(*command[1:]).json()["done"]) == 400 - len(answer["done"])


@check
def dismiss_one(world):
    """dismiss ends a departure and forgets its person"""
    held(world, "1")
    stuck(world, "2")
    world.put("3", "pending")
    world.put("4", "done")
    answer = world.run("departures", "dismiss", "hr/1", "hr/2", "hr/3", "hr/4", "hr/5", "--yes", "--json").json()
    assert sorted(answer["done"]) == ["hr/1", "hr/2", "hr/3"], answer
    failed = {one["id"]: one["why"] for one in answer["failed"]}
    assert failed["hr/4"].startswith("it is done") and "no departure hr/5" in failed["hr/5"], failed
    for id in ["hr/1", "hr/2", "hr/3"]:
        record = world.get(id)
        assert record["state"] == "dismissed" and acted(record) == ["dismiss"], record
        masked(json.dumps(record, ensure_ascii=False))
    assert not world.messages()
    assert "it was dismissed" in world.run("departures", "release", "hr/1").out


@check
def dismiss_all_takes_the_held_alone(world):
    """dismiss --all takes those that are held, unless a state is given"""
    held(world, "1")
    stuck(world, "2")
    world.put("3", "pending")
    dismiss = ["departures", "dismiss", "--all", "--yes", "--json"]
    assert world.run(*dismiss).json()["done"] == ["hr/1"]
    assert world.run(*dismiss, "--state", "pending").json()["done"] == ["hr/3"]


@check
def replay_one(world):
    """replay tries again what is not done, keeps what stood until then, and leaves what is done"""
    stuck(world, "1")
    held(world, "2")
    answer = world.run("departures", "replay", "hr/1", "hr/2", "--yes", "--json").json()
    assert answer["done"] == ["hr/1"] and "release or dismiss it" in answer["failed"][0]["why"], answer
    record = world.get("hr/1")
    again = {name for name, result in record["providers"].items() if result["again"]}
    assert again == {"blocked", "unidentified", "ambiguous", "unauthorized", "rejected", "unavailable"}, again
    assert all(name == result["outcome"] for name, result in record["providers"].items()), record["providers"]
    assert record["state"] == "pending" and record["person"]["emails"] == ["lee@example.com"], record
    assert acted(record) == ["replay"] and world.messages() == ["hr/1"]


@check
def replay_all_takes_what_needs_a_person(world):
    """replay --all takes those that need a person"""
    stuck(world, "1")
    world.put("2", "pending")
    held(world, "3")
    assert world.run("departures", "replay", "--all", "--yes", "--json").json()["done"] == ["hr/1"]


@check
def nothing_is_decided_during_work(world):
    """nothing is decided about a departure that is being worked on"""
    lease = {"by": "worker", "until": stamp(ago(hours=-1))}
    for command in ["release", "dismiss", "replay"]:
        world.put("1", "pending", lease=lease)
        answer = world.run("departures", command, "hr/1")
        assert answer.code == 1 and "it is being worked on" in answer.out, answer
    world.put("1", "pending", lease={"by": "worker", "until": stamp(ago(seconds=600))})
    assert world.run("departures", "replay", "hr/1").code == 0


@check
def without_a_queue(world):
    """without a queue, or with one that is out of reach, the decision is recorded, and the tick follows it"""
    nowhere = f"{world.url}/123456789012/nowhere"
    for n, (queue, hint) in enumerate([(None, "with OFFBOARD_QUEUE_URL"), (nowhere, "the queue cannot be used")]):
        id = held(world, str(n))
        answer = world.run("departures", "release", id, OFFBOARD_QUEUE_URL=queue)
        assert answer.code == 0 and "the next tick starts what is due" in answer.err and hint in answer.err, answer
        record = world.get(id)
        assert record["state"] == "pending" and record["due_at"] <= time.time() + 60, record
        assert not world.messages()


# ---- pause and resume ----------------------------------------------------------------------------------------------


@check
def pause_and_resume(world):
    """pause is recorded with who and why, once; resume takes it back"""
    answer = world.run("pause", "--reason", "ask ann@example.com", "--json").json()
    assert answer["changed"] and answer["pause"]["who"].startswith("arn:aws:sts::123456789012:"), answer
    again = world.run("pause", "--reason", "another")
    assert again.code == 0 and "it was on already" in again.out and "a…@example.com" in masked(again.out), again
    assert "paused since" in world.run("departures", "list").out
    answer = world.run("resume")
    assert answer.code == 0 and "no longer paused" in masked(answer.out), answer
    assert "it was not paused" in world.run("resume").out
    assert "paused" not in world.run("departures", "list").out


@check
def protect_and_unprotect(world):
    """protect stands against removals, with who, why and until when; unprotect takes it back, and both stay in the evidence"""
    id = stuck(world, "1", email="lee@example.com")
    show = lambda: world.run("departures", "show", id, "--json").json()  # noqa: E731
    assert show()["reasons"] == [] and show()["protected_by"] == []
    first = world.run("protect", "LEE@example.com", "--reason", "ask ann@example.com", "--until", "2099-01-31")
    assert first.code == 0 and "until 2099-02-01 00:00:00 UTC" in masked(first.out), first
    assert world.run("protect", "lee@example.com", "--reason", "case 4711").code == 0
    (shown,) = world.run("protected", "--json").json()["protected"]
    assert shown["reason"] == "case 4711" and shown["who"].startswith("arn:aws:sts::123456789012:"), shown
    assert show()["reasons"] == ["protected"] and "case 4711" in show()["protected_by"][0], show()
    answer = world.run("unprotect", "lee@example.com", "--json").json()
    assert answer["still_protected_by"] == [] and show()["reasons"] == [], answer
    again = world.run("unprotect", "lee@example.com")
    assert again.code == 1 and "is not on the list" in masked(again.err), again
    evidence = world.run("evidence", "--since", "1d", "--json").json()
    assert len(evidence["protections"]) == 3, evidence
    masked(json.dumps(evidence["protections"]))
