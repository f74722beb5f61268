#!/usr/bin/env python3
"""Judges config/offboard.schema.json with taplo, by which editors check TOML: it takes what offboard takes, and refuses
what a person gets wrong while typing.

    pip install -r e2e/schema/requirements.txt
    cargo build && python e2e/schema/check.py target/debug/offboard
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCHEMA = ROOT / "config" / "offboard.schema.json"
SOURCE = '[sources.any]\nkind = "workos"\n'
PROVIDER = '[providers.any]\nkind = "instaply"\n'
HMAC = 'kind = "hmac"\nsignature = { header = "x-s" }\nperson = { email = "/e" }\n'
# What is wrong, and what taplo has to say of it.
WRONG = {
    "unknown table": (SOURCE + PROVIDER + "[polcy]\n", "polcy"),
    "no provider": (SOURCE, "providers"),
    "no source": (PROVIDER, "sources"),
    "unknown mode": (SOURCE + PROVIDER + '[policy]\nmode = "life"\n', "life"),
    "number for a duration": (SOURCE + PROVIDER + "[policy]\nmax_event_age = 7\n", "7"),
    "safeguard without its window": (SOURCE + PROVIDER + "[policy]\nmax_departures = { count = 3 }\n", "max_departures"),
    "unknown key of a source": (SOURCE + "secert = 'x'\n" + PROVIDER, "secert"),
    "unknown kind of source": ('[sources.any]\nkind = "wokros"\n' + PROVIDER, "wokros"),
    "signature of a known sender": (SOURCE + 'signature = { header = "x-s" }\n' + PROVIDER, "signature"),
    "hmac without its event": ("[sources.any]\n" + HMAC + PROVIDER, "event"),
    "pointer without a slash": (
        "[sources.any]\n" + HMAC + 'event = { type = "type", departures = ["x"] }\n' + PROVIDER, "/sources|type|anyOf"),
    "jwks that is missing": ('[sources.any]\nkind = "shared_signals"\n' + PROVIDER, "jwks"),
    "name with a capital": ('[sources.Any]\nkind = "workos"\n' + PROVIDER, "Any"),
    "unknown key of a provider": (SOURCE + PROVIDER + "cannary = 'ops@example.com'\n", "cannary"),
    "canary without a look-up": (SOURCE + PROVIDER + "canary = 'ops@example.com'\n", "canary"),
    "action that a kind does not have": (SOURCE + PROVIDER + 'action = "deactivate"\n', "deactivate"),
    "setting that is missing": (SOURCE + '[providers.any]\nkind = "cloudflare_access"\n', "account_id"),
    "setting with another character": (SOURCE + '[providers.any]\nkind = "cloudflare_access"\naccount_id = "a/b"\n', "a/b"),
    "value that is not one of a setting's": (SOURCE + '[providers.any]\nkind = "datadog_user"\nsite = "example.com"\n', "example.com"),
    "canary that is missing": (SOURCE + '[providers.any]\nkind = "slack"\n', "canary"),
    "base URL in clear": (SOURCE + PROVIDER + 'base_url = "http://api.example.com"\n', "http://api.example.com"),
    "no attempt": (SOURCE + PROVIDER + "attempts = 0\n", "0"),
}


class Judge:
    def __init__(self, offboard, folder):
        self.offboard, self.folder = offboard, folder
        self.passed, self.failed = 0, 0

    def says(self, text):
        """What taplo and offboard say of a configuration; nothing where it is right."""
        file = self.folder / "offboard.toml"
        file.write_text(f"#:schema {SCHEMA}\n{text}", encoding="utf-8")
        lint = subprocess.run(["taplo", "lint", "--no-auto-config", str(file)], capture_output=True, text=True)
        command = [self.offboard, "check", "--offline", "--config", str(file)]
        check = subprocess.run(command, capture_output=True, text=True)
        return ("" if lint.returncode == 0 else lint.stderr or "refused"), ("" if check.returncode == 0 else check.stderr)

    def right(self, what, text):
        taplo, offboard = self.says(text)
        self.count(what, not taplo and not offboard, f"{taplo}\n{offboard}\n{text}")

    def wrong(self, what, text, expected):
        taplo, offboard = self.says(text)
        self.count(what, re.search(expected, taplo) and offboard, f"taplo: {taplo}\noffboard: {offboard}")

    def count(self, what, is_so, otherwise):
        if is_so:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {otherwise}", flush=True)


def documents(offboard, *arguments):
    return json.loads(subprocess.run([offboard, *arguments, "--json"], capture_output=True, text=True, check=True).stdout)


def blocks(page):
    """The indented blocks of a page that are tables of a configuration."""
    block = []
    for line in [*page.read_text(encoding="utf-8").splitlines(), "."]:
        if line.startswith("    ") or not line.strip():
            block.append(line[4:])
        else:
            text = "\n".join(block)
            if re.match(r"\s*\[(policy|sources|providers|http|ledger)\b", text):
                yield text
            block = []


def whole(text):
    """A configuration of what a page shows of one."""
    return text + "\n" + ("" if "[sources." in text else SOURCE) + ("" if "[providers." in text else PROVIDER)


def main():
    offboard = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(offboard, pathlib.Path(folder))
        for file in sorted((ROOT / "config").glob("*.toml")):
            judge.right(str(file), file.read_text(encoding="utf-8").removeprefix("#:schema ./offboard.schema.json\n"))
        for kind in documents(offboard, "providers"):
            block = SOURCE + kind["configuration"]
            judge.right(f"providers show {kind['kind']}", block)
            judge.right(f"providers show {kind['kind']}, all keys", re.sub(r"^# (?=\w+ = )", "", block, flags=re.MULTILINE))
        for kind in documents(offboard, "sources"):
            judge.right(f"sources {kind['kind']}", PROVIDER + kind["configuration"])
        # The kind that the page on a product of one's own adds.
        page = (ROOT / "docs" / "add-a-provider.md").read_text(encoding="utf-8")
        (judge.folder / "providers").mkdir()
        (judge.folder / "providers" / "wiki.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
        shown = 0
        for page in sorted((ROOT / "docs").rglob("*.md")):
            # Each of these is the block of `providers show`.
            if page.parent.name == "providers":
                continue
            for text in blocks(page):
                judge.right(f"{page}", whole(text))
                shown += 1
        judge.count("blocks of the pages", shown >= 9, f"only {shown} were found")
        for what, (text, expected) in WRONG.items():
            judge.wrong(what, text, expected)
    print(f"{judge.passed} passed, {judge.failed} failed")
    sys.exit(1 if judge.failed else 0)


main()
