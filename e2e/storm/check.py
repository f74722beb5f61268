#!/usr/bin/env python3
"""Shows that nothing is lost and nothing is done twice: the compiled function is killed, raced, cut off and flooded.

    pip install -r e2e/stack/requirements.txt      # and Debian's faketime
    cargo build && python e2e/storm/check.py target/debug

DynamoDB, SQS and Secrets Manager are an emulator's, called by the function through the real AWS SDK. The providers, the
Lambda runtime, the schedule and the event source mapping are in e2e/common and in here. Everything is on loopback.
"""

import argparse
import asyncio
import pathlib
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from aws import COMMANDS, Caller, Emulator  # noqa: E402
from suite import CHECKS, Suite  # noqa: E402
from world import create_secrets  # noqa: E402

import kills, cuts, races, costs, rules, storms  # noqa: E401, E402, F401  (each registers its checks)


async def run(function, suite):
    start, error = time.monotonic(), None
    try:
        await function(suite)
    except Exception:
        error = traceback.format_exc()
    name, taken = function.__name__.replace("_", " "), time.monotonic() - start
    print(f"{'FAILED' if error else 'ok    '} {name}, {taken:.0f} s", flush=True)
    for figure in suite.figures:
        print(f"         {figure}", flush=True)
    if error:
        print(error, flush=True)
    return error is None


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries", type=lambda path: pathlib.Path(path).resolve(strict=True))
    parser.add_argument("--emulator", choices=COMMANDS, default="ministack")
    parser.add_argument("--size", type=int, default=400, help="departures in a storm")
    parser.add_argument("--only", default="", help="part of the checks' names")
    asked = parser.parse_args()
    wanted = [function for function in CHECKS if asked.only in function.__name__.replace("_", " ")]
    assert wanted, f"no check's name has {asked.only!r}"
    passed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        emulator = Emulator(asked.emulator, folder)
        try:
            caller = Caller(emulator)
            await create_secrets(caller)
            for function in wanted:
                passed += await run(function, Suite(caller, asked.binaries, folder, asked.size))
        finally:
            emulator.end()
    print(f"{passed} passed, {len(wanted) - passed} failed")
    return 0 if passed == len(wanted) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
