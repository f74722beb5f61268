"""The Python contestant: what offboard does for a departure, on aiohttp and boto3, without its judgement.

Clients and secrets are made ready while the function starts, connections are kept, providers are called at once.
"""

import asyncio
import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import ssl

import aiohttp
import boto3
from botocore.exceptions import ClientError

BATCH = 20  # Secrets of one call.


class Failed(Exception):
    """A provider did not do what it was asked for."""


def read_secrets(names):
    """Returns secrets by their names, 20 a call, all calls at once."""
    manager = boto3.client("secretsmanager")
    batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
    if len(batches) == 1:
        answers = [manager.batch_get_secret_value(SecretIdList=batches[0])]
    else:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda batch: manager.batch_get_secret_value(SecretIdList=batch), batches))
    return {value["Name"]: json.loads(value["SecretString"]) for answer in answers for value in answer["SecretValues"]}


class Provider:
    """A product from which people are removed."""

    def __init__(self, config, secret, session):
        self.name, self.url, self.session, self.secret = config["name"], config["url"], session, secret
        self.account, self.organization = config["account"], config["organization"]
        self.remove = getattr(self, config["kind"])
        self.token, self.token_lock = None, asyncio.Lock()

    async def call(self, method, path, accepted=(200, 204), **options):
        async with self.session.request(method, self.url + path, **options) as answer:
            body = await answer.read()
            if answer.status not in accepted:
                raise Failed(answer.status)
            return answer.status, json.loads(body) if body else None

    async def aerospike_cloud(self, email):
        async with self.token_lock:
            if self.token is None:
                grant = dict(self.secret, grant_type="client_credentials")
                _, answer = await self.call("POST", "/oauth/token", json=grant)
                self.token = answer["access_token"]
        headers = {"authorization": f"Bearer {self.token}"}
        path = "/v2/organization/members"

        async def find():
            _, answer = await self.call("GET", path, headers=headers)
            return [member["id"] for member in answer["members"] if member["email"] == email]

        await self.gone(find, lambda member: self.call("DELETE", f"{path}/{member}", headers=headers))

    async def cloudflare_access(self, email):
        headers = {"authorization": f"Bearer {self.secret['api_token']}"}
        path = f"/client/v4/accounts/{self.account}/access/users"
        query = {"email": email, "page": "1", "per_page": "100"}

        async def find():
            _, answer = await self.call("GET", path, headers=headers, params=query)
            return [user["id"] for user in answer["result"] if user["email"] == email]

        await self.gone(find, lambda user: self.call("DELETE", f"{path}/{user}", headers=headers))

    async def flashduty(self, email):
        query = {"app_key": self.secret["app_key"]}

        async def find():
            body = {"p": 1, "limit": 100, "query": email}
            _, answer = await self.call("POST", "/member/list", params=query, json=body)
            return [item["member_id"] for item in answer["data"]["items"] if item["email"] == email]

        async def delete(member):
            await self.call("POST", "/member/delete", params=query, json={"member_id": member, "is_force": False})

        await self.gone(find, delete)

    async def instaply(self, email):
        options = {"headers": {"token": self.secret["token"]}, "json": {"email": email}}
        await self.call("POST", "/api/user/delete-by-email", **options)
        await self.call("POST", "/api/user/delete-by-email", accepted=(404,), **options)

    async def stytch_b2b(self, email):
        credentials = f"{self.secret['project_id']}:{self.secret['secret']}".encode()
        headers = {"authorization": f"Basic {base64.b64encode(credentials).decode()}"}
        path = f"/v1/b2b/organizations/{self.organization}"

        async def find():
            query = {"email_address": email}
            status, answer = await self.call("GET", f"{path}/member", (200, 404), headers=headers, params=query)
            is_there = status == 200 and answer["member"]["status"] != "deleted"
            return [answer["member_id"]] if is_there else []

        await self.gone(find, lambda member: self.call("DELETE", f"{path}/members/{member}", headers=headers))

    async def gone(self, find, delete):
        """Finds one account, deletes it, and looks again."""
        found = await find()
        if len(found) != 1:
            raise Failed("not one account")
        await delete(found[0])
        if await find():
            raise Failed("still there")


class Ledger:
    """Departures in DynamoDB: one write before the work, one after it."""

    def __init__(self, table):
        self.table, self.client = table, boto3.client("dynamodb")

    def begin(self, departure):
        self.client.update_item(
            TableName=self.table,
            Key={"id": {"S": departure}},
            UpdateExpression="SET #state = :state",
            ConditionExpression="attribute_not_exists(#state)",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":state": {"S": "pending"}},
        )

    def end(self, departure, providers):
        self.client.update_item(
            TableName=self.table,
            Key={"id": {"S": departure}},
            UpdateExpression="SET #state = :state, #outcomes = :outcomes",
            ExpressionAttributeNames={"#state": "state", "#outcomes": "outcomes"},
            ExpressionAttributeValues={":state": {"S": "done"}, ":outcomes": {"S": json.dumps(providers)}},
        )


class Function:
    """What outlives a delivery."""

    def __init__(self, config, secrets, session):
        self.key = secrets[config["secret"]]["signing_secret"].encode()
        self.providers = [Provider(one, secrets[one["secret"]], session) for one in config["providers"]]
        self.ledger = Ledger(config["table"]) if config["table"] else None

    async def deliver(self, event):
        body = event["body"]
        body = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
        expected = "sha256=" + hmac.new(self.key, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, event["headers"].get("x-hr-signature", "")):
            return 401, {"error": "the signature is wrong"}
        departures = await asyncio.gather(*(self.remove(one) for one in json.loads(body)["events"]))
        is_done = all(one["outcome"] == "deleted" for departure in departures for one in departure["providers"])
        return 200 if is_done else 503, {"departures": departures}

    async def remove(self, departure):
        """Removes one person everywhere, all providers at once."""
        if self.ledger:
            try:
                await asyncio.to_thread(self.ledger.begin, departure["id"])
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return {"id": departure["id"], "duplicate": True, "providers": []}
        providers = await asyncio.gather(*(self.outcome(provider, departure["email"]) for provider in self.providers))
        if self.ledger:
            await asyncio.to_thread(self.ledger.end, departure["id"], providers)
        return {"id": departure["id"], "providers": providers}

    async def outcome(self, provider, email):
        try:
            await provider.remove(email)
            return {"provider": provider.name, "outcome": "deleted"}
        except (Failed, aiohttp.ClientError, asyncio.TimeoutError) as error:
            return {"provider": provider.name, "outcome": "failed", "reason": type(error).__name__}


async def start():
    with open(os.environ["BENCH_CONFIG"], encoding="utf-8") as file:
        config = json.load(file)
    secrets = read_secrets([config["secret"]] + [one["secret"] for one in config["providers"]])
    is_tls = any(one["url"].startswith("https:") for one in config["providers"])
    connector = aiohttp.TCPConnector(
        limit=0, limit_per_host=32, keepalive_timeout=300, ssl=ssl.create_default_context() if is_tls else False
    )
    session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))
    return Function(config, secrets, session)


LOOP = asyncio.new_event_loop()
FUNCTION = LOOP.run_until_complete(start())


def handler(event, _context):
    status, body = LOOP.run_until_complete(FUNCTION.deliver(event))
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
