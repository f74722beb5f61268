"""Vendors' official SDKs for Node, behind sdk.mjs."""

import json
import pathlib
import subprocess

from exchange import Account
from product import Product, defaults


class NodeError(Exception):
    """What an SDK threw: the name of its class, and the status that it names."""

    def __init__(self, name, status, text):
        super().__init__(f"{name}: {text}")
        self.name, self.status = name, status


class Node:
    """One process for all calls, because it takes a second to load the SDKs."""

    process = None

    def __call__(self, **given):
        if not self.process:
            command = ["node", pathlib.Path(__file__).resolve().with_name("sdk.mjs")]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"node ended with {self.process.wait()}"
        answer = json.loads(line)
        if "error" in answer:
            raise NodeError(**answer["error"])
        return answer["value"]

    def end(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


NODE = Node()


class NodeProduct(Product):
    error = NodeError

    def call(self, action, **given):
        kept = {"url": self.url, "secret": self.secret, "settings": self.settings}
        return NODE(kind=self.kind, action=action, **kept, **given)

    def find(self, email):
        return [Account(**each) for each in self.call("find", email=email)]

    def remove(self, id):
        return self.call("remove", id=id)


class Linear(NodeProduct):
    kind, refusals = "linear", ("look_up_not_found", "key_refused", "look_up_forbidden", "scim_restricted")

    def invitations(self, email):
        return [Account(**each) for each in self.call("invitations")]

    def remove_invitation(self, id):
        return self.call("remove_invitation", id=id)


class Zoom(NodeProduct):
    kind, refusals = "zoom", ("gone_meanwhile", "blocked")

    @staticmethod
    def complete(answer):
        if "access_token" in answer:
            defaults(answer, scope="user:read:admin user:write:admin")

    def find(self, email):
        try:
            return super().find(email)
        except NodeError as error:
            if "User does not exist" not in str(error):
                raise
            return []
