"""The template with every knob on, deployed beside the stack without any.

ministack ignores a function's VpcConfig, a role's boundary, and the key of a table and of a log group: of these, the template
itself is checked.
"""

import json
import re

from deployed import TEMPLATE, Stack, zipped
from template import KNOBS


def if_on(condition, parameter):
    return {"Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}


NETWORK = {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}
LAYER = {"Fn::If": ["BuildsConfiguration", {"Ref": "Configuration"}, {"Ref": "ConfigurationLayer"}]}
TOPIC = {"Fn::If": ["OwnsTopic", {"Ref": "Alarms"}, {"Ref": "AlarmTopicArn"}]}
# What each resource of a type has to have, so that a later one is not left out of a knob.
IF_ON = {
    "AWS::CloudWatch::Alarm": {"AlarmActions": [TOPIC]},
    "AWS::DynamoDB::Table": {"SSESpecification.KMSMasterKeyId": if_on("UsesKey", "KmsKeyArn")},
    "AWS::IAM::Role": {"PermissionsBoundary": if_on("IsBounded", "PermissionsBoundary")},
    "AWS::Logs::LogGroup": {"KmsKeyId": if_on("UsesKey", "KmsKeyArn")},
    "AWS::SQS::Queue": {"KmsMasterKeyId": if_on("UsesKey", "KmsKeyArn")},
    "AWS::Serverless::Function": {
        "Layers": [LAYER],
        # Without it, SAM would make a role of its own, which no boundary holds.
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "VpcConfig": {"Fn::If": ["RunsInVpc", NETWORK, {"Ref": "AWS::NoValue"}]},
    },
}


def every_resource_takes_its_knob(world):
    resources = TEMPLATE["Resources"]
    assert set(IF_ON) <= {resource["Type"] for resource in resources.values()}
    for name, resource in resources.items():
        for path, expected in IF_ON.get(resource["Type"], {}).items():
            value = resource["Properties"]
            for key in path.split("."):
                value = value.get(key, {})
            assert value == expected, (name, path, value)
    assert resources["AlarmMail"]["Properties"]["TopicArn"] == TOPIC


def every_condition_is_that_of_a_knob(world):
    asked = set(re.findall(r"'Ref': '(\w+)'", str(TEMPLATE["Conditions"])))
    assert asked == set(KNOBS), asked ^ set(KNOBS)


def every_parameter_has_a_label_and_a_group(world):
    interface = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(interface["ParameterLabels"]) == sorted(TEMPLATE["Parameters"]), grouped


def values(aws):
    """A value for each knob: what a company has already."""
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    blocks = ("10.1.1.0/24", "10.1.2.0/24")
    subnets = [aws.client("ec2").create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in blocks]
    group = aws.client("ec2").create_security_group(GroupName="offboard", Description="offboard", VpcId=vpc)
    content = {"ZipFile": zipped("offboard.toml", b"")}
    layer = aws.client("lambda").publish_layer_version(LayerName="offboard-configuration", Content=content)
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    aws.client("events").create_event_bus(Name=KNOBS["PartnerEventSource"])
    policy = aws.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(allowed))
    return {
        "AlarmEmail": "ops@example.com",
        "AlarmTopicArn": aws.client("sns").create_topic(Name="alarms")["TopicArn"],
        "ConfigurationLayer": layer["LayerVersionArn"],
        "NotificationEmail": "sec@example.com",
        "EvidenceBucket": "evidence",
        "EvidenceKeyArn": aws.client("kms").create_key()["KeyMetadata"]["Arn"],
        "KmsKeyArn": aws.client("kms").create_key()["KeyMetadata"]["Arn"],
        "PartnerEventSource": KNOBS["PartnerEventSource"],
        "PermissionsBoundary": policy["Policy"]["Arn"],
        "ProvisioningConcurrency": "5",
        "ReservedConcurrency": "10",
        "SecurityGroupIds": group["GroupId"],
        "SubnetIds": ",".join(subnets),
    }


def the_stack_deploys_with_every_knob_on(world):
    aws, on = world.aws, values(world.aws)
    assert set(on) == set(KNOBS), set(on) ^ set(KNOBS)
    config = world.config.with_name("knobs.toml")
    source = 'kind = "okta"\nvia = "eventbridge"\nevent_source = "{}"\nsettle = "0s"'.format(on["PartnerEventSource"])
    config.write_text(f"{world.config.read_text()}\n[sources.okta]\n{source}\n")
    stack = world.knobs = Stack(aws, world.gate, world.sandbox, config, world.package, "offboard-knobs", **on)
    stack.schedule("DISABLED")
    made = stack.resources
    assert "Alarms" not in made and stack.outputs["AlarmTopic"] == on["AlarmTopicArn"], made
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="offboard-knobs")["MetricAlarms"]
    assert alarms and all(alarm["AlarmActions"] == [on["AlarmTopicArn"]] for alarm in alarms), alarms
    for name in ("Function", "Provisioning"):
        function = aws.client("lambda").get_function_configuration(FunctionName=made[name])
        assert [layer["Arn"] for layer in function["Layers"]] == [on["ConfigurationLayer"]], function
    assert not [key for key in made if key.startswith("Configuration")], made
    policies = aws.client("iam").list_role_policies(RoleName=made["Role"])["PolicyNames"]
    assert {"events", "evidence", "evidence-key", "key", "network"} < set(policies), policies
    for attributes in attributes_of_queues(aws, made, "EventQueue", "EventDeadLetterQueue"):
        assert attributes["KmsMasterKeyId"] == on["KmsKeyArn"], attributes


def without_knobs_nothing_of_theirs_is_made(world):
    made, aws = world.stack.resources, world.aws
    policies = aws.client("iam").list_role_policies(RoleName=made["Role"])["PolicyNames"]
    assert not {"events", "evidence-key", "key", "network"} & set(policies), policies
    of_events = {key for key, resource in TEMPLATE["Resources"].items() if resource.get("Condition") == "TakesEvents"}
    assert len(of_events) > 5 and not of_events & set(made), (of_events, made)
    assert world.stack.environment["OFFBOARD_EVENT_QUEUE_ARN"] == "", world.stack.environment
    function = aws.client("lambda").get_function_configuration(FunctionName=made["Function"])
    layer = next(made[key] for key in made if key.startswith("Configuration"))
    assert [one["Arn"] for one in function["Layers"]] == [layer], function
    for attributes in attributes_of_queues(aws, made):
        assert "KmsMasterKeyId" not in attributes, attributes


def attributes_of_queues(aws, made, *more):
    for queue in ("WorkQueue", "DeadLetterQueue", *more):
        yield aws.client("sqs").get_queue_attributes(QueueUrl=made[queue], AttributeNames=["All"])["Attributes"]
