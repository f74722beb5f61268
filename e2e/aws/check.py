#!/usr/bin/env python3
"""Checks how the compiled function reads its secrets, against moto's Secrets Manager.

    pip install -r e2e/common/requirements.txt      # and Debian's faketime
    cargo build && python e2e/aws/check.py target/debug/offboard-lambda

moto is an implementation of Secrets Manager that is not ours, spoken to through the real AWS SDK. Between the two stands
a gate that counts the calls and can be shut. The five providers are small doubles in here; what the suites share is in
e2e/common. Everything is on loopback, on free ports.
"""

import itertools
import json
import logging
import pathlib
import sys
import tempfile
import traceback

from moto.server import ThreadedMotoServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from world import SECRETS, World

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def all_secrets_come_in_one_call_and_are_kept(world):
    world.deliver().all_deleted()
    assert world.gate.count("BatchGetSecretValue") == world.gate.count() == 1, world.gate.calls
    asked = world.gate.calls[0][1]["SecretIdList"]
    assert sorted(asked) == sorted(f"offboard/{name}" for name in SECRETS), asked
    world.deliver().all_deleted()
    assert world.gate.count() == 1, world.gate.calls


@check
def more_than_twenty_secrets_take_a_second_call(world):
    for number in range(20):
        world.create(f"providers/more{number}", {"app_key": "flashduty-key-one"})
        world.provider("flashduty", f"more{number}", 'confirm = false\nenabled = true\n')
    answer = world.deliver()
    assert len(answer.outcomes) == 25 and not answer.left, answer
    assert set(answer.outcomes.values()) <= {"deleted", "already_absent"}, answer
    assert [len(body["SecretIdList"]) for _, body in world.gate.calls] == [20, 6], world.gate.calls


@check
def a_secret_that_two_providers_share_is_asked_for_once(world):
    world.provider("instaply", "second", 'secret = "offboard/providers/instaply"\n')
    answer = world.deliver()
    assert answer.status == 200 and len(answer.outcomes) == 6 and not answer.left, answer
    asked = world.gate.calls[0][1]["SecretIdList"]
    assert len(asked) == len(set(asked)) == 6, asked


@check
def the_previous_signing_secret_verifies_after_a_rotation(world):
    world.rotate("sources/hr", {"signing_secret": "hr-signing-key-two"})
    world.deliver("hr-signing-key-two").all_deleted()
    world.deliver("hr-signing-key-one").all_deleted()


@check
def a_signing_secret_rotated_meanwhile_verifies(world):
    world.deliver("hr-signing-key-one").all_deleted()
    world.rotate("sources/hr", {"signing_secret": "hr-signing-key-two"})
    world.deliver("hr-signing-key-two").all_deleted()
    world.deliver("hr-signing-key-one").all_deleted()


@check
def a_signing_secret_two_rotations_old_is_refused(world):
    world.rotate("sources/hr", {"signing_secret": "hr-signing-key-two"})
    world.rotate("sources/hr", {"signing_secret": "hr-signing-key-three"})
    world.deliver("hr-signing-key-one").refused()
    world.deliver("hr-signing-key-two").all_deleted()
    world.deliver("hr-signing-key-three").all_deleted()


@check
def a_genuine_delivery_comes_again_while_a_bad_signature_a_minute_uses_up_the_second_look(world):
    world.deliver().all_deleted()
    for old, new in (("one", "two"), ("two", "three")):
        world.later(60)
        world.deliver("forged").refused()
        world.rotate("sources/hr", {"signing_secret": f"hr-signing-key-{new}"})
        before = world.gate.count()
        world.deliver(f"hr-signing-key-{new}").later("key-may-be-newer")
        world.deliver(f"hr-signing-key-{old}").all_deleted()
        assert world.gate.count() == before, world.gate.calls
        world.later(60)
        world.deliver("forged").refused()
        world.deliver(f"hr-signing-key-{new}").all_deleted()
        world.deliver(f"hr-signing-key-{old}").all_deleted()


@check
def a_short_signing_secret_is_not_used_and_white_space_is_not_part_of_one(world):
    world.rotate("sources/hr", {"signing_secrets": ["hr-signing-key-", " hr-signing-key-two\n"]})
    world.deliver("hr-signing-key-two").all_deleted()
    assert "key `signing_secrets` is under 16 bytes" in world.log.read_text()
    world.deliver("hr-signing-key-").refused()
    world.rotate("sources/hr", {"signing_secret": "hr-signing-key-"})
    world.end()
    world.deliver("hr-signing-key-two").all_deleted()  # the version before
    world.deliver("hr-signing-key-").later()


@check
def a_list_of_signing_secrets_accepts_each(world):
    world.rotate("sources/hr", {"signing_secrets": ["hr-signing-key-two", "hr-signing-key-three"]})
    world.deliver("hr-signing-key-two").all_deleted()
    world.deliver("hr-signing-key-three").all_deleted()


@check
def bad_signatures_do_not_run_up_calls(world):
    world.deliver("forged").refused()
    after_one = world.gate.count()
    for _ in range(20):
        world.deliver("forged").later("key-may-be-newer")
    assert world.gate.count() == after_one <= 3, world.gate.calls
    world.deliver().all_deleted()


@check
def a_missing_secret_costs_its_own_provider_only(world):
    world.delete("providers/cloudflare")
    answer = world.deliver()
    answer.all_deleted_but("cloudflare", "unauthorized", "rejected")
    assert "offboard/providers/cloudflare" in json.dumps(answer.entries["cloudflare"]), answer


@check
def a_malformed_secret_costs_its_own_provider_only(world):
    for text in ("cloudflare-key-one", '"cloudflare-key-one"', "[]", '{"api_token": 7}', '{"api_token": ""}', "{"):
        world.rotate("providers/cloudflare", text)
        answer = world.deliver()
        answer.all_deleted_but("cloudflare", "unauthorized", "rejected")
        assert "offboard/providers/cloudflare" in json.dumps(answer.entries["cloudflare"]), answer
        world.end()


@check
def an_incomplete_secret_is_told_by_its_key(world):
    world.rotate("providers/aerospike", {"client_id": "aerospike-id", "clientsecret": "aerospike-key-one"})
    answer = world.deliver()
    answer.all_deleted_but("aerospike", "unauthorized", "rejected")
    assert "client_secret" in json.dumps(answer.entries["aerospike"]), answer


@check
def a_binary_secret_costs_its_own_provider_only(world):
    world.aws.put_secret_value(SecretId="offboard/providers/instaply", SecretBinary=b"\x00\xff")
    world.deliver().all_deleted_but("instaply", "unauthorized", "rejected")


@check
def a_secret_marked_for_deletion_costs_its_own_provider_only(world):
    world.aws.delete_secret(SecretId="offboard/providers/stytch")
    world.deliver().all_deleted_but("stytch", "unauthorized", "rejected")


@check
def a_secret_that_may_not_be_read_costs_its_own_provider_only(world):
    for code in ("AccessDeniedException", "DecryptionFailure"):
        world.gate.refused = {"offboard/providers/flashduty": code}
        world.deliver().all_deleted_but("flashduty", "unauthorized", "rejected")
        world.end()


@check
def a_credential_rotated_meanwhile_is_read_again(world):
    world.deliver().all_deleted()
    fresh = {
        "aerospike": {"client_id": "aerospike-id", "client_secret": "aerospike-key-two"},
        "cloudflare": {"api_token": "cloudflare-key-two"},
        "flashduty": {"app_key": "flashduty-key-two"},
        "instaply": {"token": "instaply-key-two"},
        "stytch": {"project_id": "project-live-1", "secret": "stytch-key-two"},
    }
    for name, value in fresh.items():
        world.rotate(f"providers/{name}", value)
        if name != "aerospike":  # its token outlives the client's secret
            world.doubles.refused.add(f"{name}-key-one")
    world.deliver().all_deleted()


@check
def a_credential_refused_twice_is_unauthorized(world):
    world.doubles.refused.add("cloudflare-key-one")
    world.deliver().all_deleted_but("cloudflare", "unauthorized")
    tries = [credential for name, credential in world.doubles.seen if name == "cloudflare"]
    assert 1 <= len(tries) <= 2, tries
    before = world.gate.count()
    world.deliver().all_deleted_but("cloudflare", "unauthorized")
    assert world.gate.count() - before <= 1, world.gate.calls


@check
def without_the_sources_secret_a_delivery_comes_again(world):
    world.delete("sources/hr")
    world.deliver().later()


@check
def without_secrets_manager_a_delivery_comes_again(world):
    world.gate.open = False
    world.deliver().later()
    world.gate.open = True
    world.deliver().all_deleted()


@check
def known_secrets_outlast_secrets_manager(world):
    world.deliver().all_deleted()
    world.gate.open = False
    world.deliver().all_deleted()
    assert world.gate.count() == 1, world.gate.calls


@check
def known_secrets_outlast_secrets_manager_for_a_day(world):
    world.deliver().all_deleted()
    world.gate.open = False
    world.later(5 * 60)
    before = world.gate.count()
    world.deliver().all_deleted()
    assert world.gate.count() > before, "the secrets were not asked for again"
    world.deliver("forged").later("key-may-be-newer")
    world.later(22 * 60 * 60)
    world.deliver().all_deleted()
    world.later(3 * 60 * 60)
    world.deliver().later()
    world.gate.open = True
    world.deliver().all_deleted()


@check
def known_secrets_outlast_a_permission_that_is_taken_away(world):
    world.deliver().all_deleted()
    world.gate.refused = {f"offboard/{name}": "AccessDeniedException" for name in ("sources/hr", "providers/stytch")}
    world.later(10 * 60)
    world.deliver().all_deleted()
    world.deliver("forged").later("key-may-be-newer")


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} OFFBOARD_LAMBDA")
    binary = pathlib.Path(sys.argv[1]).resolve(strict=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory() as folder:
            world, fault = World(binary, pathlib.Path(folder), moto), None
            try:
                function(world)
                shown = world.log.read_text()
                for key in itertools.chain(*(value.values() for value in SECRETS.values())):
                    assert key.endswith("-id") or key.startswith("project-") or key not in shown, f"{key} is in the log"
            except Exception:
                fault = traceback.format_exc()
            finally:
                world.stop()
            print(f"{'ok    ' if fault is None else 'FAILED'} {name}", flush=True)
            if fault:
                failed += 1
                print(fault)
                if world.log.exists():
                    print(world.log.read_text()[-2000:])
    moto.stop()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
