#!/usr/bin/env python3
"""Checks the whole way: template.yaml and the compiled function, deployed, delivered to, and finished by queue and tick.

    pip install -r e2e/stack/requirements.txt
    cargo build && python e2e/stack/check.py target/debug

ministack is an AWS that is not ours: it expands and deploys the template, and runs the function behind an HTTP API, the
queue and the schedule. The providers are those of `offboard sandbox --serve`, one of them behind a gate that can be shut.
Nothing here shortens a delay: messages and the tick come when they come. What ministack cannot do is done here instead,
and is therefore not checked: it imports no routes from a template, mounts no layer in /opt, ignores
`AWS_LAMBDA_LOG_FORMAT`, makes no alarm with metric math, and turns no log line into a metric. It does not ask whether the
role may do what is done, so that is compared with what the function was seen to do.
"""

import collections
import csv
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import time
import traceback
from datetime import datetime, timedelta, timezone

import definition
import events
import knobs
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from deployed import LEAVERS, PATIENCE, Gate, Sandbox, Stack, outcomes, wait_until, zipped

from aws import Emulator

EVERYWHERE = {"aerospike", "cloudflare", "flashduty", "instaply", "stytch"}
# Seconds: the first pause of a departure that is not done, and the longest way of a tick and its message after it.
PAUSE, TICK = 30, 60
EVIDENCE = "evidence"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


for function in (
    definition.the_template_agrees_with_itself,
    definition.the_scim_endpoint_is_the_same_function_with_concurrency_of_its_own,
    definition.a_plain_deployment_sets_no_parameter,
    definition.the_table_has_its_indexes,
    definition.the_tick_calls_the_function_every_minute,
    definition.the_environment_names_the_table_and_the_queues,
    definition.every_alarm_watches_an_existing_metric_and_notifies_the_topic,
    definition.every_alarm_returns_to_ok_by_itself,
    definition.the_notifications_go_from_one_bus_to_mail_and_chat,
    knobs.every_resource_takes_its_knob,
    knobs.every_condition_is_that_of_a_knob,
    knobs.every_parameter_has_a_label_and_a_group,
    knobs.without_knobs_nothing_of_theirs_is_made,
):
    check(function)


class World:
    """What the checks share."""


def calls(world, since=0):
    """How often the function called each action of AWS."""
    return collections.Counter(target.partition(".")[2] for target, _, _ in world.gate.calls[since:])


@check
def a_departure_is_done_at_once(world):
    # The tick comes when it is wanted, so that calls can be counted.
    world.stack.schedule("DISABLED")
    before = len(world.gate.calls)
    status, report = world.stack.deliver("max")
    assert status == 200 and report["status"] == "done", report
    assert outcomes(report) == dict.fromkeys(EVERYWHERE, "deleted"), report
    assert world.stack.record("max")["state"] == "done" and "expires_at" in world.stack.item("max")
    assert not world.sandbox.has("max@example.com") and world.sandbox.has("pat@example.com")
    made = calls(world, before)
    print("       a departure:", dict(made))
    to_dynamodb = sum(made[action] for action in ("GetItem", "BatchGetItem", "UpdateItem", "TransactWriteItems"))
    assert to_dynamodb <= 7 and sum(made.values()) == to_dynamodb + made["BatchGetSecretValue"], made


@check
def a_forged_delivery_is_refused(world):
    before = len(world.gate.calls)
    status, _ = world.stack.deliver("lee", key="a key of somebody else, long enough")
    assert status == 401 and world.stack.record("lee") is None and world.sandbox.has("lee@example.com")
    # The key may have been rotated: other versions are asked for, once a minute.
    assert set(calls(world, before)) <= {"GetSecretValue", "BatchGetSecretValue"}, calls(world, before)


@check
def the_same_delivery_again_is_a_duplicate(world):
    before, event = len(world.gate.calls), world.stack.record("max")["event"]
    at = datetime.fromisoformat(event["occurred_at"].replace("Z", "+00:00"))
    status, report = world.stack.deliver("max", at)
    assert status == 200 and report["status"] == "done" and report["departures"][0]["duplicate"], report
    made = calls(world, before)
    print("       a duplicate:", dict(made))
    assert sum(made.values()) <= 3 and not made["SendMessageBatch"], made


@check
def in_an_outage_a_departure_is_pending(world):
    world.sandbox.stytch.open = False
    for name in ("lee", "kim"):
        status, report = world.stack.deliver(name)
        assert status == 200 and report["status"] == "pending", report
        assert outcomes(report) == dict.fromkeys(EVERYWHERE, "deleted") | {"stytch": "unavailable"}, report
        assert world.stack.record(name)["state"] == "pending" and "expires_at" not in world.stack.item(name)
    assert world.stack.messages("WorkQueue") == 2


@check
def a_message_in_an_outage_is_acknowledged_and_the_record_says_when_to_try_again(world):
    # SQS may deliver a message twice; this stands for such a copy, and comes at once.
    before, runs = len(world.gate.calls), world.stack.record("kim")["providers"]["stytch"]["runs"]
    world.stack.send_message(json.dumps({"departure": "hr/kim"}))

    def is_tried():
        record = world.stack.record("kim")
        return record["providers"]["stytch"]["runs"] > runs and not record.get("lease")

    wait_until(is_tried, "the queue has tried again")
    print("       an attempt that failed:", dict(calls(world, before)))
    record = world.stack.record("kim")
    assert record["state"] == "pending" and record["providers"]["cloudflare"]["runs"] == 1, record
    assert PAUSE < record["due_at"] - time.time() <= 2 * PAUSE, record
    wait_until(lambda: world.stack.messages("WorkQueue") == 2, "the message is acknowledged")


@check
def the_queue_finishes_it_after_the_outage(world):
    # Kim's messages are lost, which only the tick notices.
    world.aws.client("sqs").purge_queue(QueueUrl=world.stack.resources["WorkQueue"])
    world.sandbox.stytch.open = True
    world.stack.send_message(json.dumps({"departure": "hr/lee"}))
    wait_until(lambda: world.stack.record("lee")["state"] == "done", "the queue has finished it")
    record = world.stack.record("lee")
    assert outcomes(record) == dict.fromkeys(EVERYWHERE, "deleted"), record
    assert record["providers"]["cloudflare"]["runs"] == 1 and not world.sandbox.has("lee@example.com"), record
    assert world.sandbox.has("mary.lee@example.com")


@check
def the_tick_finishes_what_the_queue_forgot(world):
    assert world.stack.record("kim")["state"] == "pending" and world.stack.messages("WorkQueue") == 0
    world.stack.schedule("ENABLED")
    wait_until(lambda: world.stack.record("kim")["state"] == "done", "the tick has finished it", 2 * PAUSE + 2 * TICK)
    assert outcomes(world.stack.record("kim")) == dict.fromkeys(EVERYWHERE, "deleted")
    assert world.stack.counted("Tick") >= 1


@check
def an_old_departure_is_held_and_raises_its_alarm(world):
    status, report = world.stack.deliver("ann", datetime.now(timezone.utc) - timedelta(days=8))
    assert status == 200 and report["status"] == "held", report
    assert report["departures"][0]["reasons"] == ["event_too_old"], report
    assert world.stack.record("ann")["state"] == "held" and world.stack.counted("NewlyHeld") == 1


@check
def a_departure_that_needs_a_person_raises_its_alarm(world):
    status, report = world.stack.deliver("dana")
    assert status == 200 and report["status"] == "needs_attention", report
    assert world.stack.counted("NewlyNeedsAttention") == 1, world.stack.log()


@check
def each_of_them_is_named_in_mail_and_chat(world):
    titles = ("Departure held: hr/ann", "Departure needs attention: hr/dana")

    def mail(title):
        return next((text for text in world.stack.notified("NotificationTopic") if text.startswith(f'"{title}"')), None)

    wait_until(lambda: all(map(mail, titles)), "both are published", 2 * TICK)
    lines = mail(titles[0]).splitlines()
    assert lines[1:4] == ['"Who: a…@example.com, who left by source hr"', '"Why: event_too_old"', '"Providers: none"'], lines
    assert "`offboard departures release hr/ann`" in lines[4], lines
    assert "flashduty: blocked" in mail(titles[1]), mail(titles[1])
    chat = [json.loads(text) for text in world.stack.notified("ChatTopic")]
    held = next(one for one in chat if one["content"]["title"] == titles[0])
    assert (held["version"], held["source"], held["metadata"]["additionalContext"]) == ("1.0", "custom", {"departure": "hr/ann"})
    assert held["content"]["description"].splitlines()[1] == "*Why:* event_too_old", held
    assert len({one["id"] for one in chat}) == len(chat) == len(world.stack.notified("NotificationTopic")), chat


def signed_as_by_boto(world, target, service, auth, headers):
    """The emulator takes any signature, and this call is not made by an SDK."""
    method, path, sent = world.gate.requests[target]
    sent = {name.lower(): value for name, value in sent.items()}
    body = next(body for name, body, _ in reversed(world.gate.calls) if name == target)
    algorithm, _, rest = sent["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    signed = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256", *headers} <= set(signed), signed
    assert sent["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest(), sent
    request = AWSRequest(method, f"http://{sent['host']}{path}", {name: sent[name] for name in signed}, body)
    key, _, region, scope, _ = parts["Credential"].split("/")
    request.context["timestamp"] = sent["x-amz-date"]
    # Those that ministack gives to a function.
    credentials = Credentials(key, os.environ.get("AWS_SECRET_ACCESS_KEY", "test"))
    assert (algorithm, scope) == ("AWS4-HMAC-SHA256", service), parts
    boto = auth(credentials, service, region)
    expected = boto.signature(boto.string_to_sign(request, boto.canonical_request(request)), request)
    assert parts["Signature"] == expected, (parts, expected)


@check
def the_event_bus_is_called_with_the_signature_of_boto(world):
    signed_as_by_boto(world, "AWSEvents.PutEvents", "events", SigV4Auth, ["content-type", "x-amz-target"])


@check
def the_queue_is_called_with_the_signature_of_boto(world):
    for operation in ("SendMessageBatch", "GetQueueAttributes"):
        signed_as_by_boto(world, f"AmazonSQS.{operation}", "sqs", SigV4Auth, ["content-type", "x-amz-target"])


def months_before(at, months):
    for _ in range(months):
        at = at.replace(day=1) - timedelta(days=1)
    return at.replace(day=1, hour=12, minute=0, second=0, microsecond=0)


@check
def the_evidence_of_each_month_is_in_the_bucket_once(world):
    """The stack has written the last month that was due, which had no departure; it is set back by one that has one."""
    s3, table = world.aws.client("s3"), world.aws.client("dynamodb")
    ledger = world.stack.resources["Ledger"]
    assert world.stack.environment["OFFBOARD_EVIDENCE_BUCKET"] == EVIDENCE, world.stack.environment
    world.stack.tick()
    last, before = (months_before(datetime.now(timezone.utc) - timedelta(days=4), n) for n in (1, 2))
    files = {f"offboard/{last:%Y-%m}/{name}" for name in ("SHA256SUMS", "evidence.csv", "evidence.html")}
    written = {one["Key"] for one in s3.list_objects_v2(Bucket=EVIDENCE)["Contents"]}
    assert written == files, written
    record = world.stack.record("max") | {"id": "hr/past", "received_at": f"{before:%Y-%m-%dT%H:%M:%SZ}"}
    past = {"id": {"S": "hr/past"}, "document": {"S": json.dumps(record)}, "state": {"S": "done"}}
    past |= {"month": {"S": f"{before:%Y-%m}"}, "received_at": {"N": str(int(before.timestamp() * 1000))}, "version": {"N": "1"}}
    table.put_item(TableName=ledger, Item=past)
    document = {"S": json.dumps({"month": f"{before:%Y-%m}", "files": []})}
    setback = {"UpdateExpression": "SET #document = :document", "ExpressionAttributeNames": {"#document": "document"}}
    table.update_item(TableName=ledger, Key={"id": {"S": "#export"}}, ExpressionAttributeValues={":document": document}, **setback)
    for _ in range(2):
        world.stack.tick()
    for month, rows in ((before, ["hr/past"] * len(EVERYWHERE)), (last, [])):
        folder = f"offboard/{month:%Y-%m}/"

        def content(name):
            return s3.get_object(Bucket=EVIDENCE, Key=folder + name)["Body"].read()

        table_of_month = list(csv.DictReader(content("evidence.csv").decode().splitlines()))
        assert [row["departure"] for row in table_of_month] == rows, table_of_month
        assert b"<h1>Evidence of removed access</h1>" in content("evidence.html")
        key = {"id": {"S": f"#export/{month:%Y-%m}"}}
        noted = json.loads(table.get_item(TableName=ledger, Key=key)["Item"]["document"]["S"])["files"]
        sums = {one["name"]: hashlib.sha256(content(one["name"])).hexdigest() for one in noted}
        assert sums == {one["name"]: one["sha256"] for one in noted} and len(sums) == 3, (noted, sums)
        expected = "".join(f"{sums[name]}  {name}\n" for name in ("evidence.csv", "evidence.html"))
        assert content("SHA256SUMS").decode() == expected, noted
        assert all(any(sum in line for line in world.stack.log()) for sum in sums.values()), sums
    # The last month was written again, and what was there is what there is.
    versions = collections.Counter(one["Key"] for one in s3.list_object_versions(Bucket=EVIDENCE)["Versions"])
    assert len(versions) == 6 and set(versions.values()) == {1}, versions
    locked = s3.get_object_retention(Bucket=EVIDENCE, Key=f"offboard/{last:%Y-%m}/evidence.csv")["Retention"]
    assert locked["Mode"] == "GOVERNANCE", locked
    assert calls(world)["HeadObject"] == 3, calls(world)


@check
def the_bucket_is_called_with_the_signature_of_boto(world):
    signed_as_by_boto(world, "S3.PutObject", "s3", S3SigV4Auth, ["content-type", "if-none-match", "x-amz-checksum-sha256"])
    signed_as_by_boto(world, "S3.HeadObject", "s3", S3SigV4Auth, ["x-amz-checksum-mode"])


@check
def an_authenticated_delivery_that_cannot_be_read_raises_its_alarm(world):
    status, problem = world.stack.post({"event": "employee.terminated", "data": {"email": "dana@example.com"}})
    assert status == 400 and "/id is missing" in problem["detail"], problem
    assert world.stack.counted("Unreadable") == 1, world.stack.log()


@check
def the_safeguard_holds_one_too_many(world):
    status, report = world.stack.deliver("sam")
    assert status == 200 and report["status"] == "held", report
    assert report["departures"][0]["reasons"] == ["too_many_departures"], report
    assert world.sandbox.has("sam@example.com") and world.stack.counted("NewlyHeld") == 2


@check
def a_message_that_is_not_about_a_departure_is_acknowledged(world):
    world.stack.send_message("hello")
    wait_until(lambda: world.stack.messages("WorkQueue") == 0, "it is acknowledged")
    assert world.stack.messages("DeadLetterQueue") == 0


@check
def a_message_that_crashes_the_function_three_times_is_a_dead_letter(world):
    # Only here the time for which a message is hidden is shortened: three receptions would take nine minutes.
    sqs, queue = world.aws.client("sqs"), world.stack.resources["WorkQueue"]
    world.stack.schedule("DISABLED")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    world.stack.use_configuration(world.config.with_name("nowhere.toml"))
    world.stack.send_message(json.dumps({"departure": "hr/ann"}))
    wait_until(lambda: world.stack.messages("DeadLetterQueue") == 1, "it is a dead letter", 120)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "174"})
    world.stack.use_configuration(world.config)
    world.stack.schedule("ENABLED")
    wait_until(lambda: world.stack.counted("DeadLetters") >= 1, "the tick has counted it", 2 * TICK)
    assert world.stack.record("ann")["state"] == "held"


@check
def no_message_is_left(world):
    wait_until(lambda: world.stack.messages("WorkQueue") == 0, "no message is left", PATIENCE)


check(definition.the_role_allows_what_was_done_and_nothing_else)
check(definition.the_dashboard_asks_for_what_is_logged)


@check
def no_address_and_no_secret_is_logged(world):
    log = "\n".join(world.stack.log())
    shown = [f"{name}@example.com" for name in (*LEAVERS, "sam")]
    shown += [value for _, secret in world.sandbox.secrets() for value in secret.values()]
    notified = "\n".join(world.stack.notified("NotificationTopic") + world.stack.notified("ChatTopic"))
    assert log and notified and not [text for text in shown if text in log + notified]


# The last, because it is a second function that calls AWS.
check(knobs.the_stack_deploys_with_every_knob_on)
for function in (
    events.the_rule_lets_through_what_means_something_and_nothing_else,
    events.nobody_but_the_partner_may_put_its_events,
    events.the_queue_takes_messages_of_the_rule_alone,
    events.an_event_is_a_departure_and_is_acknowledged,
    events.an_event_of_another_source_stays_in_the_queue,
):
    check(function)


def deploy(world, binaries, folder, processes):
    world.config = folder / "offboard.toml"
    world.sandbox = Sandbox(binaries, world.config)
    processes.append(world.sandbox.process)
    # What is handed to every function: it calls AWS through the gate.
    world.gate = Gate()
    world.aws = Emulator("ministack", folder, AWS_ENDPOINT_URL=world.gate.url)
    world.gate.upstream = world.aws.address
    processes.append(world.aws.process)
    for name, value in world.sandbox.secrets():
        world.aws.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(value))
    world.package = zipped("bootstrap", (binaries / "offboard-lambda").read_bytes(), 0o755)
    parts = (world.aws, world.gate, world.sandbox, world.config, world.package)
    s3 = world.aws.client("s3")
    s3.create_bucket(Bucket=EVIDENCE, ObjectLockEnabledForBucket=True)
    locked = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    s3.put_object_lock_configuration(Bucket=EVIDENCE, ObjectLockConfiguration=locked)
    on = {"AlarmEmail": "ops@example.com", "NotificationEmail": "sec@example.com", "EvidenceBucket": EVIDENCE}
    world.stack = Stack(*parts, "offboard", **on)


def holds(function, world):
    name, begun, error = function.__name__.replace("_", " "), time.monotonic(), None
    try:
        function(world)
    except Exception:
        error = traceback.format_exc()
    print(f"{'FAILED' if error else 'ok    '} {name}, {time.monotonic() - begun:.0f} s", flush=True)
    if error:
        print(error, flush=True)
    return not error


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER_OF_THE_BINARIES")
    binaries, world = pathlib.Path(sys.argv[1]).resolve(strict=True), World()
    passed, processes = 0, []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            deploy(world, binaries, pathlib.Path(folder), processes)
            for function in CHECKS:
                passed += holds(function, world)
            if passed < len(CHECKS):
                print("The end of the function's log:", *world.stack.log()[-20:], sep="\n")
        except Exception:
            traceback.print_exc()
            if hasattr(world, "aws"):
                print(world.aws.log.read_text()[-3000:])
        finally:
            for process in processes:
                process.terminate()
                process.wait(PATIENCE)
    print(f"{passed} passed, {len(CHECKS) - passed} failed")
    sys.exit(0 if passed == len(CHECKS) else 1)


if __name__ == "__main__":
    main()
