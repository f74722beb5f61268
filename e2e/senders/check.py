#!/usr/bin/env python3
"""Delivers to the compiled function what the senders' own libraries sign.

    pip install -r e2e/senders/requirements.txt && npm ci --prefix e2e/senders
    cargo build && python e2e/senders/check.py target/debug

Standard Webhooks, Svix (which signs for Clerk and Stytch), GitHub and WorkOS publish the code that signs as they do; for
senders of JSON Web Tokens jose does. Each delivery is taken as it is, and refused if a byte of it changed, if another
key signed it, or if it is too old. The other way round, their verifiers judge what `offboard send` signs. Everything is
on loopback, on free ports.
"""

import pathlib
import sys
import tempfile
import traceback

import sent
import shown
import signed
import tokens
from libraries import Node
from senders import INDEX, USER_DELETED
from world import World


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER_OF_THE_BINARIES")
    binaries = pathlib.Path(sys.argv[1]).resolve(strict=True)
    with tempfile.TemporaryDirectory() as name:
        folder, node = pathlib.Path(name), Node()
        world = World(binaries / "offboard-lambda", folder)
        try:
            checks = [check for part in (signed, tokens, shown) for check in part.checks(world, node)]
            checks += sent.checks(sent.Command(binaries / "offboard", folder), node)
            checks.append(("no address, no key and no signature is shown", lambda: world.shows_nothing(addresses())))
            world.start()
            failed = sum(not holds(name, check) for name, check in checks)
        finally:
            world.stop()
            node.end()
    print(f"{len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def holds(name, check):
    try:
        check()
    except Exception:
        print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        return False
    print(f"ok     {name}", flush=True)
    return True


def addresses():
    """Those of all recorded leavers, and the one that the written deliveries are about."""
    people = (person for entry in INDEX.values() for person in entry["expect"])
    return {person["email"] for person in people if person["email"]} | {USER_DELETED.leaver.email}


if __name__ == "__main__":
    main()
