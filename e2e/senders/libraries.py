"""The senders' own libraries: those for Python, and those for Node behind sign.mjs."""

import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


class Refused(Exception):
    """A library for Node threw this."""


class Node:
    """One process for all calls, because it takes a second to load them."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", HERE / "sign.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, action, **given):
        self.process.stdin.write(json.dumps({"action": action} | given) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"node ended with {self.process.wait()}"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["value"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()
