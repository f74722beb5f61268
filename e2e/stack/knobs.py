"""The template with every knob on, deployed beside the stack without any.

ministack ignores a function's VpcConfig, a role's boundary, and the key of a table and of a log group: of these, the template
itself is checked.
"""

import json

from deployed import TEMPLATE, Stack, zipped
from template import KNOBS

# What each resource of a type has to have, so that a later one is not left out of a knob.
IF_ON = {
    "AWS::DynamoDB::Table": (("SSESpecification", "KMSMasterKeyId"), "UsesKey", "KmsKeyArn"),
    "AWS::IAM::Role": (("PermissionsBoundary",), "IsBounded", "PermissionsBoundary"),
    "AWS::Logs::LogGroup": (("KmsKeyId",), "UsesKey", "KmsKeyArn"),
    "AWS::SQS::Queue": (("KmsMasterKeyId",), "UsesKey", "KmsKeyArn"),
}


def every_resource_takes_its_knob(world):
    seen = set()
    for name, resource in TEMPLATE["Resources"].items():
        path, condition, parameter = IF_ON.get(resource["Type"], ((), None, None))
        value = resource["Properties"]
        for key in path:
            value = value.get(key, {})
        expected = {"Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}
        assert not path or value == expected, (name, value)
        seen.add(resource["Type"])
        if resource["Type"] == "AWS::Serverless::Function":
            network = {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}
            vpc = {"Fn::If": ["RunsInVpc", network, {"Ref": "AWS::NoValue"}]}
            assert resource["Properties"]["VpcConfig"] == vpc, name
    assert set(IF_ON) <= seen, seen


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
    policy = aws.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(allowed))
    return {
        "AlarmEmail": "ops@example.com",
        "AlarmTopicArn": aws.client("sns").create_topic(Name="alarms")["TopicArn"],
        "ConfigurationLayer": layer["LayerVersionArn"],
        "KmsKeyArn": aws.client("kms").create_key()["KeyMetadata"]["Arn"],
        "PermissionsBoundary": policy["Policy"]["Arn"],
        "ReservedConcurrency": "5",
        "SecurityGroupIds": group["GroupId"],
        "SubnetIds": ",".join(subnets),
    }


def the_stack_deploys_with_every_knob_on(world):
    aws, on = world.aws, values(world.aws)
    assert set(on) == set(KNOBS), set(on) ^ set(KNOBS)
    stack = Stack(aws, world.gate, world.sandbox, world.config, world.package, "offboard-knobs", **on)
    stack.schedule("DISABLED")
    made = stack.resources
    assert "Alarms" not in made and stack.outputs["AlarmTopic"] == on["AlarmTopicArn"], made
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="offboard-knobs")["MetricAlarms"]
    assert alarms and all(alarm["AlarmActions"] == [on["AlarmTopicArn"]] for alarm in alarms), alarms
    function = aws.client("lambda").get_function_configuration(FunctionName=made["Function"])
    assert [layer["Arn"] for layer in function["Layers"]] == [on["ConfigurationLayer"]], function
    assert not [key for key in made if key.startswith("Configuration")], made
    policies = aws.client("iam").list_role_policies(RoleName=made["Role"])["PolicyNames"]
    assert {"key", "network"} < set(policies), policies
    for attributes in attributes_of_queues(aws, made):
        assert attributes["KmsMasterKeyId"] == on["KmsKeyArn"], attributes


def without_knobs_nothing_of_theirs_is_made(world):
    made, aws = world.stack.resources, world.aws
    policies = aws.client("iam").list_role_policies(RoleName=made["Role"])["PolicyNames"]
    assert not {"key", "network"} & set(policies), policies
    function = aws.client("lambda").get_function_configuration(FunctionName=made["Function"])
    layer = next(made[key] for key in made if key.startswith("Configuration"))
    assert [one["Arn"] for one in function["Layers"]] == [layer], function
    for attributes in attributes_of_queues(aws, made):
        assert "KmsMasterKeyId" not in attributes, attributes


def attributes_of_queues(aws, made):
    for queue in ("WorkQueue", "DeadLetterQueue"):
        yield aws.client("sqs").get_queue_attributes(QueueUrl=made[queue], AttributeNames=["All"])["Attributes"]
