"""What the template says, and what was made of it."""

import json
import re
import tomllib

from deployed import ALARMS, ALARMS_WITH_MATH, TEMPLATE
from template import ROOT

QUEUES_OF_ALARMS = {"EventsWaitAlarm": "EventQueue", "EventDeadLetterAlarm": "EventDeadLetterQueue"}


def the_template_agrees_with_itself(world):
    resources = TEMPLATE["Resources"]
    for queue in ("WorkQueue", "EventQueue"):
        hidden = resources[queue]["Properties"]["VisibilityTimeout"]
        assert hidden == 6 * TEMPLATE["Parameters"]["Timeout"]["MaxValue"], queue
    # As long as EventBridge itself would try.
    events = resources["EventQueue"]["Properties"]
    assert events["RedrivePolicy"]["maxReceiveCount"] * events["VisibilityTimeout"] >= 24 * 3600, events
    assert not {"Mode", "Durable"} & set(TEMPLATE["Parameters"]) and "OFFBOARD_MODE" not in world.stack.environment
    # The queues' and the tick's share, and at least two for deliveries.
    mappings = [resources[key]["Properties"] for key in ("WorkQueueMapping", "EventQueueMapping")]
    most = sum(mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings)
    reserved = TEMPLATE["Parameters"]["ReservedConcurrency"]
    assert reserved["Default"] == 0 and min(filter(None, reserved["AllowedValues"])) >= most + 1 + 2, reserved


def the_scim_endpoint_is_the_same_function_with_concurrency_of_its_own(world):
    function, scim = (dict(TEMPLATE["Resources"][name]["Properties"]) for name in ("Function", "Provisioning"))
    routes = [(event["Properties"]["Method"], event["Properties"]["Path"]) for event in scim.pop("Events").values()]
    assert routes == [("ANY", "/scim/v2/{source}/{proxy+}")], routes
    environments = [dict(one.pop("Environment")["Variables"]) for one in (function, scim)]
    # Events are the other one's alone.
    assert environments[0].pop("OFFBOARD_EVENT_QUEUE_ARN")["Fn::If"][2] == "", environments
    assert environments[1] == environments[0] | {"OFFBOARD_METRICS_FUNCTION": {"Ref": "Function"}}, environments
    for name in ("Description", "ReservedConcurrentExecutions"):
        assert function.pop(name) != scim.pop(name), name
    assert {key: value for key, value in function.items() if key not in ("Events", "EventInvokeConfig")} == scim, scim


def a_plain_deployment_sets_no_parameter(world):
    saved = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert set(saved) == {"version", "default"} and set(saved["default"]) == {"deploy"}, saved
    assert "parameter_overrides" not in saved["default"]["deploy"]["parameters"], saved


def the_table_has_its_indexes(world):
    table = world.aws.client("dynamodb").describe_table(TableName=world.stack.resources["Ledger"])["Table"]
    indexes = table["GlobalSecondaryIndexes"]
    keys = {index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]] for index in indexes}
    assert keys == {"by_state": ["state", "due_at"], "by_month": ["month", "received_at"], "by_source": ["source", "id"]}, keys
    types = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    assert types == {"id": "S", "state": "S", "due_at": "N", "month": "S", "received_at": "N", "source": "S"}, types
    properties = TEMPLATE["Resources"]["Ledger"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def the_tick_calls_the_function_every_minute(world):
    made = world.stack.resources
    schedule = world.aws.client("scheduler").get_schedule(Name=made["Tick"])
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "rate(1 minute)"), schedule
    assert json.loads(schedule["Target"]["Input"]) == {"tick": True}, schedule
    assert schedule["Target"]["Arn"].endswith(f":function:{made['Function']}"), schedule
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0, schedule


def the_environment_names_the_table_and_the_queues(world):
    environment, made, outputs = world.stack.environment, world.stack.resources, world.stack.outputs
    assert environment["OFFBOARD_LEDGER_TABLE"] == made["Ledger"] == outputs["LedgerTable"], (environment, made)
    assert environment["OFFBOARD_QUEUE_URL"] == made["WorkQueue"] == outputs["QueueUrl"], (environment, made)
    dead_letters = environment["OFFBOARD_DEAD_LETTER_QUEUE_URL"]
    assert dead_letters == made["DeadLetterQueue"] == outputs["DeadLetterQueueUrl"], (environment, made)


def every_alarm_watches_an_existing_metric_and_notifies_the_topic(world):
    made, cloudwatch = world.stack.resources, world.aws.client("cloudwatch")
    alarms, topic = cloudwatch.describe_alarms()["MetricAlarms"], world.stack.outputs["AlarmTopic"]
    assert [alarm["AlarmActions"] for alarm in alarms] == [[topic]] * (len(ALARMS) - len(ALARMS_WITH_MATH)), alarms
    named = {(alarm["Namespace"], one["Name"], one["Value"]) for alarm in alarms for one in alarm["Dimensions"]}
    function, api = made["Function"], made["Api"]
    [rule] = world.aws.client("events").list_rules(EventBusName=world.stack.outputs["EventBus"])["Rules"]
    assert named == {
        ("offboard", "function", function),
        ("offboard", "api", api),
        ("AWS/Lambda", "FunctionName", function),
        ("AWS/Lambda", "FunctionName", made["Provisioning"]),
        ("AWS/ApiGateway", "ApiId", api),
        ("AWS/Events", "EventBusName", world.stack.outputs["EventBus"]),
        ("AWS/Events", "RuleName", rule["Name"]),
    }, named
    filters = world.aws.client("logs").describe_metric_filters(logGroupName=made["AccessLogs"])["metricFilters"]
    made_of = [to for log_filter in filters for to in log_filter["metricTransformations"]]
    metrics = [(to["metricNamespace"], to["metricName"], to["dimensions"]) for to in made_of]
    assert metrics == [("offboard", "TooManyRequests", {"api": "$.api"})], metrics
    subscribed = world.aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(one["Protocol"], one["Endpoint"]) for one in subscribed] == [("email", "ops@example.com")], subscribed


def the_notifications_go_from_one_bus_to_mail_and_chat(world):
    environment, made, outputs = world.stack.environment, world.stack.resources, world.stack.outputs
    assert environment["OFFBOARD_EVENT_BUS"] == made["EventBus"] == outputs["EventBus"], (environment, made)
    subscribed = world.aws.client("sns").list_subscriptions_by_topic(TopicArn=outputs["NotificationTopic"])["Subscriptions"]
    mailed = [one["Endpoint"] for one in subscribed if one["Protocol"] == "email"]
    assert mailed == ["sec@example.com"], subscribed
    policy = TEMPLATE["Resources"]["NotificationPolicy"]["Properties"]
    topics = [{"Ref": "Notifications"}, {"Ref": "ChatNotifications"}]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert policy["Topics"] == topics == statement["Resource"], policy
    assert [target["Arn"] for target in TEMPLATE["Resources"]["NotificationRule"]["Properties"]["Targets"]] == topics
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["NotificationRule", "Arn"]}}}, statement


def the_dashboard_asks_for_what_is_logged(world):
    """Each query, by its fields: every line of the kind that it filters has them, and its values are those that are logged."""
    body = TEMPLATE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\$\{[\w:]+\}", "X", body))["widgets"]
    lines = [json.loads(line) for line in world.stack.log() if line.startswith("{")]
    queries = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    assert len(queries) == 5, queries
    for query in queries:
        kind = re.search(r"message = '(\w+)'", query)
        found = [line for line in lines if (line.get("message") == kind[1] if kind else line.get("level") == "ERROR")]
        assert found, query
        made = set(re.findall(r" as (\w+)", query))
        asked = set(re.findall(r"(?:pct|latest)\((\w+)", query)) | set(re.findall(r"and (\w+) (?:=|like)", query))
        for names in re.findall(r"(?:stats .*? by|fields) ([@\w., ]+?)(?: \||$)", query):
            asked |= set(names.split(", "))
        known = set().union(*(set(line) | {f"span.{name}" for name in line.get("span", {})} for line in found))
        # The trace id is Lambda's, and the emulator gives none.
        missing = {name for name in asked - made - known if not name.startswith("@")} - {"span.trace_id"}
        assert not missing, (query, missing, known)
        for name, value in re.findall(r"and (status) = '(\w+)'", query):
            assert value in {line[name] for line in found}, (query, value)
    metrics = {row[1] for widget in widgets if widget["type"] == "metric" for row in widget["properties"]["metrics"]}
    logged = {named["Name"] for line in lines for one in line.get("_aws", {}).get("CloudWatchMetrics", []) for named in one["Metrics"]}
    elsewhere = {"Count", "4xx", "5xx", "Refused", "NotRecorded"}
    assert metrics - elsewhere <= logged, (metrics, logged)


def every_alarm_returns_to_ok_by_itself(world):
    """What stays in ALARM notifies nobody of the next case."""
    for name, alarm in ALARMS.items():
        missing = "breaching" if name == "NoTickAlarm" else "notBreaching"
        assert alarm["TreatMissingData"] == missing and alarm["AlarmActions"], name
        if name in ALARMS_WITH_MATH:
            expressions = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
            watched = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
            assert len(expressions) == 1 and re.match(r"IF\((MINUTE|HOUR)\(|DIFF\(", expressions[0]), alarm
            if name in QUEUES_OF_ALARMS:
                queue = {"Name": "QueueName", "Value": {"Fn::GetAtt": [QUEUES_OF_ALARMS[name], "QueueName"]}}
                assert [(one["Namespace"], one["Dimensions"]) for one in watched] == [("AWS/SQS", [queue])], alarm
                continue
            assert {one["Namespace"] for one in watched} == {"offboard"}, alarm
            dimensions = [{"Name": "function", "Value": {"Ref": "Function"}}]
            assert all(metric["Dimensions"] == dimensions for metric in watched), alarm
        else:
            # Of what happened in a minute, not of a level.
            assert (alarm["Statistic"], alarm["Period"]) == ("Sum", 60), name


def the_role_allows_what_was_done_and_nothing_else(world):
    # Lambda itself receives and deletes messages, as this role.
    by_lambda = {"sqs:ReceiveMessage", "sqs:DeleteMessage"}
    allowed = set()
    # Those of a knob are checked where it is on.
    policies = TEMPLATE["Resources"]["Role"]["Properties"]["Policies"]
    always = [policy for policy in policies if "Fn::If" not in policy]
    evidence = [policy["Fn::If"][1] for policy in policies if policy.get("Fn::If", [""])[0] == "ExportsEvidence"]
    for policy in always + evidence:
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            allowed |= set([actions] if isinstance(actions, str) else actions)
    prefixes = {"S3": "s3", "AWSEvents": "events", "DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "secretsmanager": "secretsmanager"}
    called = set()
    for target, request, _ in world.gate.calls:
        service, _, action = target.partition(".")
        called |= {f"{prefixes[service]}:{permission}" for permission in permissions(action, request)}
    ours = {action for action in allowed if action.split(":")[0] in prefixes.values()} - by_lambda
    assert called == ours and by_lambda < allowed, (called, allowed)


def permissions(action, request):
    """What IAM asks for: a transaction is allowed by the actions in it, a batch of messages by the one for a message."""
    if action == "TransactWriteItems":
        kinds = {kind for item in json.loads(request)["TransactItems"] for kind in item}
        return {{"ConditionCheck": "ConditionCheckItem"}.get(kind, f"{kind}Item") for kind in kinds}
    return {{"HeadObject": "GetObject"}.get(action, action.removesuffix("Batch"))}
