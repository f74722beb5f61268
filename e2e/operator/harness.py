"""What the checks of the operator's commands share."""

import json
import os
import pty
import subprocess
import time

from world import NOW, TIMEOUT, ago, entry, stamp

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
    """Held for its age, which is so whatever else the ledger says."""
    return world.put(event, "held", occurred_at=ago(days=30), vetoes=["event_too_old"], **more)


def stuck(world, event, **more):
    outcomes = ["deleted", "deactivated", "already_absent", "blocked", "unidentified", "ambiguous", "unauthorized"]
    places = {outcome: entry(outcome) for outcome in [*outcomes, "rejected", "unavailable"]}
    return world.put(event, "needs_attention", providers=places, **more)


def on_a_terminal(world, answer, *arguments, **environment):
    """What a command that exits with 0 shows on a terminal on which somebody answers."""
    ours, theirs = pty.openpty()
    variables = {**world.environment(), **environment}
    process = subprocess.Popen([world.binary, *arguments], env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    code = process.wait(TIMEOUT)
    os.close(ours)
    assert code == 0, shown
    return shown.decode()
