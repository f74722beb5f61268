#!/usr/bin/env python3
"""Checks what the function does to users of a SCIM server that is not ours.

    pip install -r e2e/scim_server/requirements.txt
    cargo build && python e2e/scim_server/check.py target/debug/offboard-lambda

scim2-server holds the users. What changed in it is read by a client that is not the function, and no user but the leaver may
change. Before it stands a relay, in which products that deviate from the standard are imitated. Everything is on loopback, on
free ports.
"""

import functools
import json
import pathlib
import sys
import tempfile
import traceback

from world import CANARY, LEAVER, ScimServer, World

CHECKS = []
DELETE = 'action = "delete"'
# Settings of `attribute`; scim2-server knows no attribute `email`.
ATTRIBUTES = ("userName", "emails.value", 'emails[type eq "work"].value')
# Kinds that are presets of `scim`, with the filter `userName eq`, and what each needs.
PRESETS = {"miro": "", "figma": 'tenant_id = "1"', "snowflake": 'account = "example-ab12345"'}


def check(function):
    CHECKS.append((function.__name__.replace("_", " "), function))
    return function


def of_each(values):
    """One check for each of the values."""

    def add(function):
        name = function.__name__.replace("_", " ")
        CHECKS.extend((f"{name}: {value}", functools.partial(function, value=value)) for value in values)

    return add


# ---- As the standard says --------------------------------------------------------------------------------------------


@of_each(ATTRIBUTES)
def user_in_sight_is_deactivated(world, value):
    ann = world.add(LEAVER)
    world.depart(more=f"attribute = '{value}'").removed(ann, "deactivated", "status")


@of_each(ATTRIBUTES)
def user_in_sight_is_deleted_by_action(world, value):
    ann = world.add(LEAVER)
    world.depart(more=f"attribute = '{value}'\n{DELETE}").removed(ann, "deleted", "second_look")


@of_each(PRESETS)
def preset_deactivates(world, value):
    ann = world.add(LEAVER)
    world.depart(kind=value, more=PRESETS[value]).removed(ann, "deactivated", "status")


@of_each(ATTRIBUTES)
def user_who_is_not_there_is_absent(world, value):
    world.depart(more=f"attribute = '{value}'").absent()
    assert world.relay.count("GET") == len(world.relay.calls), world.relay.calls


@check
def inactive_user_is_absent(world):
    world.add(LEAVER, active=False)
    world.depart().absent()


@check
def second_departure_finds_the_user_absent(world):
    ann = world.add(LEAVER)
    world.depart().removed(ann, "deactivated", "status")
    world.depart().absent()


@check
def user_name_in_another_case_is_deactivated(world):
    ann = world.add(LEAVER, "Ann@Example.COM")
    world.depart().removed(ann, "deactivated", "status")


@check
def departure_in_another_case_deletes(world):
    ann = world.add(LEAVER)
    world.depart("ANN@example.com", more=DELETE).removed(ann, "deleted", "second_look")


@check
def user_name_that_is_no_address_is_found_by_address(world):
    ann = world.add(LEAVER, "ann.lee")
    world.depart(more='attribute = "emails.value"').removed(ann, "deactivated", "status")


@of_each(("ann+lee@example.com", "o'ann@example.com", "ann%lee&count=1#=?/@example.com"))
def address_with_special_characters_is_deactivated(world, value):
    ann = world.add(value)
    world.depart(value).removed(ann, "deactivated", "status")


@check
def address_that_would_end_the_filter_reaches_no_user(world):
    world.add(LEAVER)
    result = world.depart(f'x" or userName eq "{LEAVER}')
    assert (result.entry["outcome"], result.changes) == ("unidentified", {}), result
    assert not world.relay.calls, world.relay.calls


@check
def two_users_with_the_address_are_both_kept(world):
    world.add(LEAVER, "ann.lee")
    world.add(LEAVER, "ann.second")
    world.depart(more='attribute = "emails.value"').refused("ambiguous", "several_matches")


@check
def canary_that_is_not_there_leaves_absence_unconfirmed(world):
    world.depart(canary="nobody@example.com").refused("unconfirmed", "canary_not_found")


@check
def canary_who_departs_is_protected(world):
    result = world.depart(CANARY)
    assert (result.entry["outcome"], result.entry["reason"], result.changes) == ("protected", "canary", {}), result


@check
def tenant_of_nobody_leaves_absence_unconfirmed(world):
    world.add(LEAVER)
    result = world.depart(base=world.base.replace("/v2", "x/v2"))
    result.refused("unconfirmed", "canary_not_found")


@check
def wrong_path_is_not_absence(world):
    world.add(LEAVER)
    world.depart(base=world.base + "/none").refused("rejected", "http_404")


@check
def wrong_token_is_unauthorized(world):
    world.add(LEAVER)
    world.secrets.put("offboard/providers/product", {"token": "another"})
    world.depart().refused("unauthorized", "http_401")


@check
def filter_that_the_server_refuses_is_not_absence(world):
    world.add(LEAVER)
    world.depart(more='attribute = "email"').refused("rejected", "invalidFilter")


# ---- As products deviate from it -------------------------------------------------------------------------------------


@of_each(("deactivated", "deleted"))
def filter_that_is_ignored_reads_all_pages(world, value):
    """The list is everybody; the leaver is on its third page."""
    for number in range(210):
        world.add(f"{number}@example.com")
    ann = world.add(LEAVER)
    world.relay.asked = lambda request: request["query"].pop("filter", None) and None
    proof, more = ("status", "") if value == "deactivated" else ("second_look", DELETE)
    world.depart(more=more).removed(ann, value, proof)
    starts = [int(query["startIndex"]) for method, _, query in world.relay.calls if method == "GET"]
    assert starts[:3] == [1, 101, 201], starts


@check
def filter_that_is_ignored_shows_the_absent_as_absent(world):
    for number in range(110):
        world.add(f"{number}@example.com")
    world.relay.asked = lambda request: request["query"].pop("filter", None) and None
    world.depart().absent()


@check
def pages_smaller_than_asked_for_are_all_read(world):
    """The server decides how many it gives."""
    for number in range(5):
        world.add(f"{number}@example.com")
    ann = world.add(LEAVER)

    def two_at_a_time(request):
        request["query"].pop("filter", None)
        if request["method"] == "GET":
            request["query"]["count"] = "2"

    world.relay.asked = two_at_a_time
    world.depart().removed(ann, "deactivated", "status")


@check
def page_that_fails_is_not_absence(world):
    for number in range(110):
        world.add(f"{number}@example.com")
    world.add(LEAVER)

    def second_page_fails(request):
        request["query"].pop("filter", None)
        return (500, {"detail": "out of order"}) if request["query"].get("startIndex") == "101" else None

    world.relay.asked = second_page_fails
    world.depart().refused("unavailable", "http_500")


@check
def answer_without_content_is_proven_by_a_second_look(world):
    """Okta-style: a PATCH is answered 204."""
    ann = world.add(LEAVER)
    world.relay.answered = lambda request, *answer: (204, None) if request["method"] == "PATCH" else answer
    world.depart().removed(ann, "deactivated", "status")


@check
def not_found_for_nobody_is_not_absence(world):
    """Okta-style: a filter that finds nobody is answered 404, as a wrong path would be."""
    missing = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "404", "detail": "Resource not found"}
    world.relay.answered = lambda request, status, body: (status, body) if body and body["totalResults"] else (404, missing)
    world.depart().refused("rejected", "http_404")


@check
def state_that_is_a_text_is_not_taken_for_inactive(world):
    """Entra-style: a boolean comes as the text "False"."""
    ann = world.add(LEAVER)

    def as_text(request, status, body):
        return status, body and json.loads(json.dumps(body).replace('"active": false', '"active": "False"'))

    world.relay.answered = as_text
    world.depart().refused("unconfirmed", "still_listed", {ann: "deactivated"})


@check
def deactivation_that_is_not_done_is_unconfirmed(world):
    """A PATCH without a path is answered as if it were done."""
    world.add(LEAVER)
    world.relay.asked = lambda request: (204, None) if request["method"] == "PATCH" else None
    world.depart().refused("unconfirmed", "still_listed")


@check
def deletion_that_leaves_an_inactive_user_is_unconfirmed(world):
    ann = world.add(LEAVER)

    def deactivate_instead(request):
        if request["method"] == "DELETE":
            operation = {"op": "replace", "value": {"active": False}}
            schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
            request |= {"method": "PATCH", "body": json.dumps({"schemas": schemas, "Operations": [operation]}).encode()}

    world.relay.asked = deactivate_instead
    world.relay.answered = lambda request, *answer: (204, None) if request["method"] == "PATCH" else answer
    world.depart(more=DELETE).refused("unconfirmed", "still_listed", {ann: "deactivated"})


@check
def user_who_is_deleted_meanwhile_is_absent(world):
    """Between the look-up and the removal somebody else removes the user, and the server answers 404."""
    ann = world.add(LEAVER)

    def twice(request):
        if request["method"] == "DELETE":
            world.remove(ann)

    world.relay.asked = twice
    result = world.depart(more=DELETE)
    assert (result.entry["outcome"], result.changes) == ("already_absent", {ann: "deleted"}), result


@check
def filter_that_is_not_understood_finds_not_even_the_canary(world):
    """Snowflake's: an empty list where the filter is not understood."""
    world.add(LEAVER)
    schemas = ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    empty = {"schemas": schemas, "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []}
    world.relay.answered = lambda request, status, body: (status, empty)
    world.depart().refused("unconfirmed", "canary_not_found")


@check
def list_without_a_total_is_not_absence(world):
    def without_total(request, status, body):
        body.pop("totalResults")
        return status, body

    world.relay.answered = without_total
    world.depart().refused("rejected", "not_understood")


@check
def too_many_requests_are_rate_limited(world):
    world.add(LEAVER)
    world.relay.asked = lambda request: (429, {"detail": "slow down"}) if request["method"] == "PATCH" else None
    world.depart().refused("rate_limited", "http_429")


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} OFFBOARD_LAMBDA")
    binary, failed = pathlib.Path(sys.argv[1]).resolve(strict=True), 0
    with tempfile.TemporaryDirectory() as folder:
        scim = ScimServer(pathlib.Path(folder) / "scim.log")
        try:
            for name, function in CHECKS:
                failed += not holds(name, function, binary, scim)
        finally:
            scim.end()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def holds(name, function, binary, scim):
    with tempfile.TemporaryDirectory() as folder:
        world = World(binary, pathlib.Path(folder), scim)
        try:
            function(world)
        except Exception:
            log = world.log.read_text()[-2000:] if world.log.exists() else ""
            print(f"FAILED {name}\n{traceback.format_exc()}{log}", flush=True)
            return False
        finally:
            world.stop()
    print(f"ok     {name}", flush=True)
    return True


if __name__ == "__main__":
    main()
