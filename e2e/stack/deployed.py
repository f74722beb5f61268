"""The template, deployed into ministack; the providers of `offboard sandbox`; and gates before both."""

import contextlib
import copy
import hashlib
import hmac
import http.client
import io
import json
import pathlib
import platform
import subprocess
import sys
import threading
import time
import urllib.parse
import zipfile
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from template import template  # noqa: E402

TEMPLATE = template()
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
PATIENCE = 30  # seconds
ALARMS = {key: made["Properties"] for key, made in TEMPLATE["Resources"].items() if made["Type"].endswith("::Alarm")}
ALARMS_WITH_MATH = {key for key, alarm in ALARMS.items() if "Metrics" in alarm}
S3 = {"PUT": "S3.PutObject", "HEAD": "S3.HeadObject"}
# Anybody who leaves before the safeguard stops the next.
LEAVERS = ("max", "lee", "kim", "ann", "dana")


class Gate(ThreadingHTTPServer):
    """Stands before a server: notes every call with its answer, and lets none through while it is shut."""

    daemon_threads = True

    def __init__(self):
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if not gate.open:
                    self.close_connection = True  # as if the host had gone
                    return
                status, headers, text = gate.forward(self.command, self.path, self.headers, body)
                # S3 has no such header: what is called is the method.
                target = self.headers.get("x-amz-target") or S3.get(self.command, "")
                gate.calls.append((target, body, text))
                gate.requests[target] = (self.command, self.path, dict(self.headers.items()))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.open, self.calls, self.requests = None, True, [], {}
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    def forward(self, method, path, headers, body):
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=PATIENCE)) as connection:
            sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            dropped = ("connection", "content-length", "date", "server", "transfer-encoding")
            return response.status, [h for h in response.getheaders() if h[0].lower() not in dropped], response.read()

    def handle_error(self, request, client_address):
        # The function is ended while it waits, and may leave calls behind.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Sandbox:
    """The providers, and who has an account there."""

    def __init__(self, binaries, config):
        command = [binaries / "offboard", "sandbox", "--serve", "--json", "--config-out", config]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.served = json.loads(self.process.stdout.readline())
        self.stytch = Gate()
        address = self.served["base_urls"]["stytch"]
        self.stytch.upstream = urllib.parse.urlsplit(address).netloc
        limit = f'\n[policy]\nmode = "live"\nmax_departures = {{ count = {len(LEAVERS)}, per = "1h" }}\n'
        config.write_text(config.read_text().replace(address, self.stytch.url) + limit)

    def secrets(self):
        for name, secret in self.served["signing_secrets"].items():
            yield f"offboard/sources/{name}", {"signing_secret": secret}
        settings = ("base_url", "token_url", "account_id", "organization_ids")
        for name, given in self.served["credentials"].items():
            yield f"offboard/providers/{name}", {key: value for key, value in given.items() if key not in settings}

    def has(self, email):
        """Whether Cloudflare still knows this address."""
        given = self.served["credentials"]["cloudflare"]
        base = urllib.parse.urlsplit(given["base_url"])
        path = f"{base.path}/accounts/{given['account_id']}/access/users?" + urllib.parse.urlencode({"email": email})
        connection = http.client.HTTPConnection(base.netloc, timeout=PATIENCE)
        connection.request("GET", path, headers={"authorization": f"Bearer {given['api_token']}"})
        return any(user["email"] == email for user in json.loads(connection.getresponse().read())["result"])


class Stack:
    """The template, deployed."""

    def __init__(self, aws, gate, sandbox, config, package, name, **parameters):
        self.aws, self.gate, self.sandbox = aws, gate, sandbox
        s3, cloudformation = aws.client("s3"), aws.client("cloudformation")
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="function.zip", Body=package)
        s3.put_object(Bucket=name, Key="layer.zip", Body=zipped("offboard.toml", config.read_bytes()))
        resources = copy.deepcopy(TEMPLATE["Resources"])
        resources = {key: value for key, value in resources.items() if key not in ALARMS_WITH_MATH}
        for function in ("Function", "Provisioning"):
            resources[function]["Properties"]["CodeUri"] = {"Bucket": name, "Key": "function.zip"}
        resources["Configuration"]["Properties"]["ContentUri"] = {"Bucket": name, "Key": "layer.zip"}
        parameters = {"Architecture": ARCHITECTURE} | parameters
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(TEMPLATE | {"Resources": resources}),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )

        def is_made():
            self.made = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            return not self.made["StackStatus"].endswith("IN_PROGRESS")

        wait_until(is_made, "the stack is made")
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        faults = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        assert self.made["StackStatus"] == "CREATE_COMPLETE", (self.made, faults)
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in self.made.get("Outputs", [])}
        self.lambda_ = aws.client("lambda")
        self.configure(config)
        self.add_routes()
        self.inboxes = {kind: self.subscribe(f"{name}-{kind}", self.outputs[kind]) for kind in ("NotificationTopic", "ChatTopic")}

    def configure(self, config):
        """What AWS gives to a function, and ministack does not: its layer, its logging, its AWS."""
        function = self.resources["Function"]
        self.environment = self.lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        self.replaced = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.gate.url}
        self.replaced["AWS_ENDPOINT_URL_EVENTBRIDGE"] = self.replaced["AWS_ENDPOINT_URL_S3"] = self.gate.url
        self.use_configuration(config)

    def use_configuration(self, path):
        """Has the function read this file, from its next start on."""
        variables = self.environment | self.replaced | {"OFFBOARD_CONFIG": str(path)}
        function = self.resources["Function"]
        self.lambda_.update_function_configuration(FunctionName=function, Environment={"Variables": variables})

    def add_routes(self):
        api, gateway = self.resources["Api"], self.aws.client("apigatewayv2")
        function = self.lambda_.get_function_configuration(FunctionName=self.resources["Function"])["FunctionArn"]
        made = gateway.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
        )
        for event in TEMPLATE["Resources"]["Function"]["Properties"]["Events"].values():
            route = "{Method} {Path}".format_map(event["Properties"])
            gateway.create_route(ApiId=api, RouteKey=route, Target="integrations/" + made["IntegrationId"])
        self.host = f"{api}.execute-api.localhost"

    def deliver(self, name, at=None, key=None):
        """A departure, signed. Answers its status and the report."""
        at = (at or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {"id": name, "event": "employee.terminated", "at": at, "data": {"email": f"{name}@example.com"}}
        return self.post(event, key)

    def post(self, event, key=None):
        """A delivery, signed. Answers its status and what came back."""
        body = json.dumps(event).encode()
        key = key or self.sandbox.served["signing_secrets"]["hr"]
        signature = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection(self.aws.address, timeout=PATIENCE)
        headers = {"host": self.host, "content-type": "application/json", "x-hr-signature": signature}
        connection.request("POST", "/webhooks/hr", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def record(self, name):
        """The ledger's record of a departure, if there is one."""
        item = self.item(name)
        return item and json.loads(item["document"]["S"])

    def item(self, name):
        table, key = self.aws.client("dynamodb"), {"id": {"S": f"hr/{name}"}}
        return table.get_item(TableName=self.resources["Ledger"], Key=key, ConsistentRead=True).get("Item")

    def tick(self):
        """One more call of the schedule's."""
        answer = self.lambda_.invoke(FunctionName=self.resources["Function"], Payload=json.dumps({"tick": True}))
        assert "FunctionError" not in answer, answer["Payload"].read()

    def send_message(self, text):
        self.aws.client("sqs").send_message(QueueUrl=self.resources["WorkQueue"], MessageBody=text)

    def subscribe(self, name, topic):
        """A queue that stands for those who get what is published on a topic."""
        sqs = self.aws.client("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        raw = {"RawMessageDelivery": "true"}
        self.aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
        return {"url": url, "texts": []}

    def notified(self, kind):
        """Every text that was published on a topic so far."""
        inbox, sqs = self.inboxes[kind], self.aws.client("sqs")
        while messages := sqs.receive_message(QueueUrl=inbox["url"], MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                inbox["texts"].append(message["Body"])
                sqs.delete_message(QueueUrl=inbox["url"], ReceiptHandle=message["ReceiptHandle"])
        return inbox["texts"]

    def schedule(self, state):
        """Enables or disables the tick."""
        scheduler, name = self.aws.client("scheduler"), self.resources["Tick"]
        made = scheduler.get_schedule(Name=name)
        names = ("ScheduleExpression", "FlexibleTimeWindow", "Target")
        scheduler.update_schedule(Name=name, State=state, **{key: made[key] for key in names})

    def messages(self, queue):
        """How many messages a queue holds, in whatever state."""
        names = ["ApproximateNumberOfMessages" + more for more in ("", "NotVisible", "Delayed")]
        sqs = self.aws.client("sqs")
        counts = sqs.get_queue_attributes(QueueUrl=self.resources[queue], AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)

    def counted(self, metric):
        """The sum of a metric that the function logged in the embedded metric format."""
        total = 0
        for line in self.log():
            line = json.loads(line) if line.startswith("{") else {}
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
                assert directive["Namespace"] == "offboard" and directive["Dimensions"] == [["function"]], directive
                assert line["function"] == self.resources["Function"], line
                total += sum(line[named["Name"]] for named in directive["Metrics"] if named["Name"] == metric)
        return total

    def log(self):
        logs, group = self.aws.client("logs"), self.resources["FunctionLogs"]
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]


def zipped(name, data, mode=0o644):
    file, entry = io.BytesIO(), zipfile.ZipInfo(name)
    entry.external_attr, entry.compress_type = mode << 16, zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, data, compresslevel=1)
    return file.getvalue()


def wait_until(predicate, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, f"not after {seconds} s: {what}"
        time.sleep(0.25)


def outcomes(report):
    """By provider, of a report or of a record."""
    if "departures" in report:
        return {entry["provider"]: entry["outcome"] for entry in report["departures"][0]["providers"]}
    return {name: result["outcome"] for name, result in report["providers"].items()}
