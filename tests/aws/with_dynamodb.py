#!/usr/bin/env python3
"""Runs a command with `OFFBOARD_TEST_DYNAMODB`, the endpoint of moto's DynamoDB, in its environment.

    python tests/aws/with_dynamodb.py cargo test --test ledger

moto is an implementation of DynamoDB that is not ours: it parses the expressions that `src/ledger/dynamodb` writes.
"""

import os
import subprocess
import sys

from moto.server import ThreadedMotoServer

moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
host, port = moto.get_host_and_port()
environment = {**os.environ, "OFFBOARD_TEST_DYNAMODB": f"http://{host}:{port}"}
code = subprocess.run(sys.argv[1:], env=environment).returncode
moto.stop()
sys.exit(code)
