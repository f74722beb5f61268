"""Events of a partner: the rule, the queue and the function of the stack with every knob on.

ministack lets nobody put an event of a partner, as AWS does, and has no partners of its own. So the rule is asked whether it would
let an event through, and the queue is given what the rule would send.
"""

import json
from datetime import datetime, timezone

from deployed import TEMPLATE, wait_until
from template import KNOBS

SOURCE = KNOBS["PartnerEventSource"]
# Of ministack.
ACCOUNT = "000000000000"


def event(kind, **changes):
    """An event of Okta's System Log as EventBridge hands it over."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    detail = {
        "uuid": "u-1",
        "published": now,
        "eventType": kind,
        "outcome": {"result": "SUCCESS", "reason": None},
        "actor": {"id": "00uadmin", "type": "User", "alternateId": "pat@example.com"},
        "target": [{"id": "00u1", "type": "User", "alternateId": "sam@example.com", "displayName": "Sam"}],
    }
    whole = {"version": "0", "id": "1", "detail-type": "SystemLog", "source": SOURCE, "account": ACCOUNT, "time": now}
    return whole | {"region": "us-east-1", "resources": [], "detail": detail} | changes


def rule(world):
    events = world.aws.client("events")
    [found] = events.list_rules(EventBusName=SOURCE)["Rules"]
    return found


def the_rule_lets_through_what_means_something_and_nothing_else(world):
    pattern, events = rule(world)["EventPattern"], world.aws.client("events")

    def passes(one):
        return events.test_event_pattern(Event=json.dumps(one), EventPattern=pattern)["Result"]

    for kind in ("user.lifecycle.deactivate", "user.lifecycle.suspend", "user.account.update_profile"):
        assert passes(event(kind)), kind
    for kind in ("user.session.start", "user.authentication.sso", "user.lifecycle.deactivate.x"):
        assert not passes(event(kind)), kind
    # What Auth0 sends has no `eventType`; what it means is read by the function.
    assert passes(event("", detail={"type": "user.deleted", "id": "evt_1"}))
    leaves = "user.lifecycle.deactivate"
    assert not passes(event(leaves, account="111122223333"))
    for source in ("acme", SOURCE + "2", "aws.partner/okta.com/other/offboard"):
        assert not passes(event(leaves, source=source)), source


def nobody_but_the_partner_may_put_its_events(world):
    entry = {"Source": SOURCE, "DetailType": "SystemLog", "Detail": "{}", "EventBusName": SOURCE}
    answer = world.aws.client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException", answer


def the_queue_takes_messages_of_the_rule_alone(world):
    made, sqs = world.knobs.resources, world.aws.client("sqs")
    arns = {}
    for queue in ("EventQueue", "EventDeadLetterQueue"):
        attributes = sqs.get_queue_attributes(QueueUrl=made[queue], AttributeNames=["All"])["Attributes"]
        arns[queue] = attributes["QueueArn"]
        statements = json.loads(attributes["Policy"])["Statement"]
        allowed, denied = ([one for one in statements if one["Effect"] == effect] for effect in ("Allow", "Deny"))
        assert [one["Principal"] for one in allowed] == [{"Service": "events.amazonaws.com"}], statements
        assert [one["Condition"] for one in allowed] == [{"ArnEquals": {"aws:SourceArn": rule(world)["Arn"]}}], statements
        refused = [{"ArnNotEquals": {"aws:SourceArn": rule(world)["Arn"]}}] if queue == "EventQueue" else []
        assert [one["Condition"] for one in denied] == refused, statements
        assert all((one["Action"], one["Resource"]) == ("sqs:SendMessage", arns[queue]) for one in statements), statements
    events = world.aws.client("events")
    [target] = events.list_targets_by_rule(Rule=rule(world)["Name"], EventBusName=SOURCE)["Targets"]
    assert target["Arn"] == arns["EventQueue"] == world.knobs.environment["OFFBOARD_EVENT_QUEUE_ARN"], target
    assert target["DeadLetterConfig"] == {"Arn": arns["EventDeadLetterQueue"]}, target
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}, target
    # The function may not send to its own door.
    policies = json.dumps(TEMPLATE["Resources"]["Role"]["Properties"]["Policies"])
    assert policies.count("sqs:SendMessage") == 1 and '"EventDeadLetterQueue"' not in policies, policies


def record(world):
    table, key = world.aws.client("dynamodb"), {"id": {"S": "okta/u-1"}}
    item = table.get_item(TableName=world.knobs.resources["Ledger"], Key=key, ConsistentRead=True).get("Item")
    return item and json.loads(item["document"]["S"])


def an_event_of_another_source_stays_in_the_queue(world):
    """As if the rule's pattern were the queue's only guard, and were wrong."""
    made, events, sqs = world.knobs.resources, world.aws.client("events"), world.aws.client("sqs")
    pattern = json.dumps({"source": ["acme"]})
    events.put_rule(Name=rule(world)["Name"], EventBusName=SOURCE, EventPattern=pattern, State="ENABLED")
    detail = event("user.lifecycle.deactivate")["detail"] | {"uuid": "u-2"}
    entry = {"Source": "acme", "DetailType": "SystemLog", "Detail": json.dumps(detail), "EventBusName": SOURCE}
    before = world.knobs.counted("Refused")
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    wait_until(lambda: world.knobs.counted("Refused") > before, "the function has refused it")
    assert world.knobs.messages("EventQueue") == 1
    sqs.purge_queue(QueueUrl=made["EventQueue"])


def an_event_is_a_departure_and_is_acknowledged(world):
    assert world.sandbox.has("sam@example.com") and record(world) is None
    queue = world.knobs.resources["EventQueue"]
    message = json.dumps(event("user.lifecycle.deactivate"))
    # Twice: SQS and Okta both deliver at least once.
    for _ in range(2):
        world.aws.client("sqs").send_message(QueueUrl=queue, MessageBody=message)
    wait_until(lambda: (record(world) or {}).get("state") == "done", "the departure is done")
    wait_until(lambda: world.knobs.messages("EventQueue") == 0, "both messages are acknowledged")
    assert not world.sandbox.has("sam@example.com") and world.sandbox.has("pat@example.com")
