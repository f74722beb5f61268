"""Judges our mocks of the vendors by the vendors' own SDKs: the sandbox's services, and the exchanges of tests/golden.

    python3 -m venv venv && venv/bin/pip install -r e2e/sdk/requirements.txt && npm ci --prefix e2e/sdk --ignore-scripts
    venv/bin/python e2e/sdk/check.py target/debug/offboard

A mock is what we read in the vendor's documents. Its SDK is what the vendor reads in them: it has to send what offboard
sends, and to find in the answers what offboard finds.
"""

import os
import sys

for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)

import exchanges
import node
import sandbox
from tally import Tally


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check.py PATH-OF-OFFBOARD")
    tally = Tally()
    sandbox.check(tally, sys.argv[1])
    try:
        exchanges.check(tally)
    finally:
        node.NODE.end()
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
