"""What template.yaml says, read from the file itself, so that no schema is written a second time."""

import functools
import pathlib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


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


def properties(resource):
    return template()["Resources"][resource]["Properties"]


def ledger_table(name):
    """Arguments of CreateTable for the ledger."""
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    return {"TableName": name} | {key: properties("Ledger")[key] for key in wanted}
