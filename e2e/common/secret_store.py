"""Secrets Manager, for suites that need no emulator of AWS."""

import json

from blocking import Server


def json_answer(status, value):
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


class Secrets:
    """As much of Secrets Manager as the function asks of it."""

    def __init__(self):
        self.versions = {}  # (name, stage) -> value
        self.server = Server(self.answer)

    def put(self, name, value, stage="AWSCURRENT"):
        self.versions[name, stage] = json.dumps(value)

    def answer(self, method, path, headers, body):
        action, asked = headers["x-amz-target"].removeprefix("secretsmanager."), json.loads(body)
        if action == "BatchGetSecretValue":
            there = [name for name in asked["SecretIdList"] if (name, "AWSCURRENT") in self.versions]
            values = [{"Name": name, "SecretString": self.versions[name, "AWSCURRENT"]} for name in there]
            return json_answer(200, {"SecretValues": values, "Errors": []})
        if action == "GetSecretValue":
            name, stage = asked["SecretId"], asked["VersionStage"]
            if (name, stage) in self.versions:
                return json_answer(200, {"Name": name, "SecretString": self.versions[name, stage]})
            return json_answer(400, {"__type": "ResourceNotFoundException", "Message": ""})
        return json_answer(501, {"action": action})
