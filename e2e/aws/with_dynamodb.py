#!/usr/bin/env python3
"""Runs a command with `OFFBOARD_TEST_DYNAMODB`, the endpoint of moto's DynamoDB, in its environment.

    python e2e/aws/with_dynamodb.py cargo test --test it ledger

moto is an implementation of DynamoDB that is not ours: it parses the expressions that `src/ledger/dynamodb` writes.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from aws import Emulator  # noqa: E402

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    moto = Emulator("moto", pathlib.Path(folder))
    code = subprocess.run(sys.argv[1:], env={**os.environ, "OFFBOARD_TEST_DYNAMODB": moto.url}).returncode
    moto.end()
sys.exit(code)
