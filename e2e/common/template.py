"""What template.yaml says, read from the file itself, so that no schema is written a second time."""

import functools
import pathlib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Parameters that change what is created, each with a value. By default none is set.
KNOBS = {
    "AlarmEmail": "ops@example.com",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
    "ConfigurationLayer": "arn:aws:lambda:us-east-1:123456789012:layer:offboard-configuration:1",
    "EvidenceBucket": "evidence-of-acme",
    "EvidenceKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "NotificationEmail": "sec@example.com",
    "PartnerEventSource": "aws.partner/okta.com/acme/offboard",
    "PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary",
    "ProvisioningConcurrency": 5,
    "ReservedConcurrency": 10,
    "SecurityGroupIds": "sg-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags (`!Ref X`) as the functions that they stand for."""


def function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        value = value.split(".", 1) if suffix == "GetAtt" else value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", function)


@functools.cache
def template():
    return yaml.load((ROOT / "template.yaml").read_text(), Loader)


def with_knobs():
    """The template with every knob on by default, for tools that read the defaults."""
    parameters = {key: made | {"Default": KNOBS.get(key, made["Default"])} for key, made in template()["Parameters"].items()}
    return template() | {"Parameters": parameters}


def properties(resource):
    return template()["Resources"][resource]["Properties"]


def ledger_table(name):
    """Arguments of CreateTable for the ledger."""
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {"TableName": name} | {key: properties("Ledger")[key] for key in wanted}
