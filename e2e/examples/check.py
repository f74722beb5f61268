#!/usr/bin/env python3
"""Checks what deploys a release without a checkout: its unpacked stack by `sam deploy`, and the examples.

    pip install -r e2e/stack/requirements.txt
    npm ci --prefix examples/cdk --ignore-scripts
    .ci/release dry-run target/release-dry-run
    python e2e/examples/check.py target/release-dry-run-stack

Needs `sam` and `cfn-lint`. Terraform's providers cannot be had without its registry, so of that example its format (where
terraform is installed), its expressions on the template's text and its parameters are checked. ministack makes no alarm with metric math, so these are left out of the deployment.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from aws import REGION, Emulator  # noqa: E402
from template import ROOT, Loader  # noqa: E402

CDK, TERRAFORM = ROOT / "examples/cdk", ROOT / "examples/terraform"


def read(path):
    return yaml.load(pathlib.Path(path).read_text(), Loader)


def quietly(*command, **options):
    """Runs a command, of whose output only that of a failure is worth reading."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert ended.returncode == 0, ended.stdout[-5000:]


def normal(value):
    """`A.b` and [A, b] are one attribute, and "5" and 5 one number."""
    if isinstance(value, dict):
        made = {key: normal(inner) for key, inner in value.items()}
        if isinstance(made.get("Fn::GetAtt"), str):
            made["Fn::GetAtt"] = made["Fn::GetAtt"].split(".", 1)
        return made
    return [normal(inner) for inner in value] if isinstance(value, list) else str(value)


def synthesized(release, folder):
    configuration = folder / "config"
    configuration.mkdir()
    shutil.copy(ROOT / "config/offboard.toml", configuration)
    tools = CDK / "node_modules/.bin"
    quietly(tools / "tsc", cwd=CDK)
    context = ["--context", f"release={release}", "--context", f"configuration={configuration}"]
    output, quiet = folder / "cdk.out", ["--quiet", "--no-notices"]
    no_reports = os.environ | {"CDK_DISABLE_CLI_TELEMETRY": "1"}
    quietly(tools / "cdk", "synth", *quiet, *context, "--output", output, cwd=CDK, env=no_reports)
    return output


def cdk_deploys_the_whole_template(release, folder):
    output = synthesized(release, folder)
    subprocess.run(["cfn-lint", output / "offboard.template.json"], check=True)
    made, released = normal(json.loads((output / "offboard.template.json").read_text())), normal(read(release / "template.yaml"))
    assets = json.loads((output / "offboard.assets.json").read_text())["files"].values()
    keys = {destination["objectKey"] for asset in assets for destination in asset["destinations"].values()}
    for name, uri in (("Function", "CodeUri"), ("Provisioning", "CodeUri"), ("Configuration", "ContentUri")):
        uploaded = made["Resources"][name]["Properties"].pop(uri)
        assert uploaded["Key"] in keys and released["Resources"][name]["Properties"].pop(uri), uploaded
    for section in ("Resources", "Conditions", "Outputs", "Parameters"):
        lost = {name: part for name, part in released[section].items() if made[section].get(name) != part}
        # The one parameter that the example sets.
        assert set(lost) <= {"LogRetentionDays"} if section == "Parameters" else not lost, lost


def terraform_replaces_what_the_template_has(release, folder):
    text, template = (TERRAFORM / "main.tf").read_text(), (release / "template.yaml").read_text()
    replaced = re.findall(r'replace\(.+, "([^"]+)", "[^"]+"\)', text)
    assert replaced == ["CodeUri: function.zip", "ContentUri: config/"], replaced
    for old in replaced:
        assert old in template, old
        template = template.replace(old, old.split(":")[0] + ": s3://bucket/name/function.zip")
    (folder / "template.yaml").write_text(template)
    subprocess.run(["cfn-lint", folder / "template.yaml"], check=True)
    resources = read(folder / "template.yaml")["Resources"].values()
    paths = [value for one in resources for key, value in one["Properties"].items() if key in ("CodeUri", "ContentUri")]
    assert len(paths) == 3 and all(path.startswith("s3://") for path in paths), paths


def terraform_names_parameters_outputs_and_capabilities_of_the_template(release, folder):
    template, text = read(release / "template.yaml"), (TERRAFORM / "main.tf").read_text()
    named = set(re.findall(r"(\w+) += ", re.search(r"parameters += merge\(var.parameters, \{(.+)\}\)", text)[1]))
    assert named and named <= set(template["Parameters"]), named
    shown = set(re.findall(r'outputs\["(\w+)"\]', (TERRAFORM / "outputs.tf").read_text()))
    assert shown and shown <= set(template["Outputs"]), shown
    assert 'capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]' in text


def terraform_is_formatted(release, folder):
    if terraform := shutil.which("terraform"):
        subprocess.run([terraform, "fmt", "-check", "-diff", "-recursive"], cwd=TERRAFORM, check=True)


def without_metric_math(template):
    """The text of a template without the alarms that ministack refuses."""
    resources = re.split(r"(?m)^(?=  \w+:\n)", template)
    return "".join(part for part in resources if "Type: AWS::CloudWatch::Alarm" not in part or "Expression:" not in part)


def sam_deploys_the_unpacked_stack(release, folder):
    shutil.copytree(release, folder / "offboard")
    template = folder / "offboard/template.yaml"
    template.write_text(without_metric_math(template.read_text()))
    aws = Emulator("ministack", folder)
    try:
        answers = ["--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", "AlarmEmail=ops@example.com"]
        account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
        environment = os.environ | account | {"AWS_ENDPOINT_URL": aws.url, "SAM_CLI_TELEMETRY": "0"}
        quietly("sam", "deploy", *answers, cwd=template.parent, env=environment)
        resources = aws.client("cloudformation").describe_stack_resources(StackName="offboard")["StackResources"]
        made = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
        function = aws.client("lambda").get_function(FunctionName=made["Function"])["Configuration"]
        assert function["CodeSize"] == (release / "function.zip").stat().st_size, function
        assert [key for key in made if key.startswith("Configuration")] and function["Layers"], made
    finally:
        aws.end()


CHECKS = [
    sam_deploys_the_unpacked_stack,
    cdk_deploys_the_whole_template,
    terraform_replaces_what_the_template_has,
    terraform_names_parameters_outputs_and_capabilities_of_the_template,
    terraform_is_formatted,
]


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER_OF_THE_UNPACKED_STACK")
    release, passed = pathlib.Path(sys.argv[1]).resolve(strict=True), 0
    for check in CHECKS:
        try:
            with tempfile.TemporaryDirectory() as folder:
                check(release, pathlib.Path(folder))
            passed += 1
            print(f"ok     {check.__name__.replace('_', ' ')}", flush=True)
        except Exception:
            print(f"FAILED {check.__name__.replace('_', ' ')}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {len(CHECKS) - passed} failed")
    sys.exit(0 if passed == len(CHECKS) else 1)


if __name__ == "__main__":
    main()
