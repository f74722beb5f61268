"""confirm: a product without an API, from which a person removes the account."""

import csv
import json

from harness import acted, check, held, masked
from world import CONFIG, ago, entry, stamp

WIKI = '[providers.wiki]\nkind = "manual"\ninstructions = "Delete the user"\n'
NOTE = "ticket 7 <script>alert(1)</script>, asked by ann@example.com"


def manual(world, event="1", state="needs_attention", **others):
    """A departure after which a person has to remove the account at the wiki by hand."""
    world.config.write_text(CONFIG + WIKI)
    providers = {
        "instaply": entry("deleted", proof="second_removal"),
        "wiki": entry("manual", reason="delete", detail="Delete the user", attempts=0),
        **others,
    }
    return world.put(event, state, providers=providers, received=ago(days=3))


def confirm(world, id, *arguments, provider="wiki", note=NOTE, **environment):
    return world.run("departures", "confirm", id, provider, "--note", note, *arguments, **environment)


@check
def manual_is_shown(world):
    """list and show name the provider, the instructions, and the command that confirms"""
    id = manual(world)
    assert "wiki manual" in world.run("departures", "list").out
    text = world.run("departures", "show", id).out
    assert "delete, Delete the user" in " ".join(text.split()), text
    assert f"`offboard departures confirm {id} wiki --note" in text and "replay" not in text, text
    assert f"`offboard departures dismiss {id}` ends it without a removal" in text, text
    id = manual(world, "2", blocked=entry("blocked"))
    text = world.run("departures", "show", id).out
    assert "confirm hr/2 wiki" in text and "act at the other providers" in text, text


@check
def confirm_one(world):
    """confirm makes it by_hand, records who, when and why, and ends the departure; once more it changes nothing"""
    id = manual(world)
    answer = confirm(world, id)
    assert answer.code == 0 and "confirm: hr/1 at wiki, by arn:aws:sts::" in answer.out, answer
    record = world.get(id)
    result = record["providers"]["wiki"]
    assert (record["state"], result["outcome"], result["proof"]) == ("done", "deleted", "by_hand"), record
    assert acted(record) == ["confirm"] and record["history"][0]["provider"] == "wiki", record
    assert record["history"][0]["note"].endswith("asked by a…@example.com"), record
    assert not world.messages()
    masked(json.dumps(record, ensure_ascii=False))
    again = confirm(world, id, "--json", note="another").json()
    assert (again["done"], again["failed"], again["state"]) == ([id], [], "done"), again
    assert world.get(id) == record
    shown = world.run("departures", "show", id)
    assert "confirm of wiki by arn:" in shown.out and "by_hand" in shown.out, shown
    (action,) = world.run("departures", "show", id, "--json").json()["history"]
    assert (action["what"], action["provider"]) == ("confirm", "wiki"), action


@check
def confirm_what_was_deactivated(world):
    """where the instructions say deactivate, the account counts as deactivated"""
    id = manual(world, wiki=entry("manual", reason="deactivate"))
    assert confirm(world, id, "--json").json()["state"] == "done"
    result = world.get(id)["providers"]["wiki"]
    assert (result["outcome"], result["proof"]) == ("deactivated", "by_hand"), result


@check
def confirm_leaves_the_rest_open(world):
    """a departure of which something else is open stays as it is"""
    for event, state, other in [("1", "pending", "unavailable"), ("2", "needs_attention", "blocked")]:
        id = manual(world, event, state, instaply=entry(other))
        due_at = world.get(id)["due_at"]
        answer = confirm(world, id)
        assert answer.code == 0 and f"it is {state}: `offboard departures show {id}`" in answer.out, answer
        record = world.get(id)
        assert (record["state"], record["due_at"]) == (state, due_at), record
        assert record["providers"]["wiki"]["proof"] == "by_hand" and record["providers"]["instaply"]["outcome"] == other
    # A provider of the configuration without a result as well.
    id = manual(world, "3")
    world.config.write_text(world.config.read_text() + WIKI.replace("wiki", "forum"))
    assert confirm(world, id, "--json").json()["state"] == "needs_attention"


@check
def confirm_is_refused(world):
    """what cannot be confirmed is said, with exit code 1; wrong usage with 2"""
    id = manual(world)
    manual(world, "done", "done")
    manual(world, "dismissed", "dismissed")
    held(world, "held", providers={"wiki": entry("manual", reason="delete")})
    lease = {"by": "worker", "until": stamp(ago(hours=-1))}
    world.put("leased", "pending", providers={"wiki": entry("manual", reason="delete")}, lease=lease)
    for said, confirmed, provider in [
        ("its outcome at instaply is deleted, not manual", id, "instaply"),
        ("it has no result at a provider wikki", id, "wikki"),
        ("it is done", "hr/done", "wiki"),
        ("it was dismissed", "hr/dismissed", "wiki"),
        ("release or dismiss it", "hr/held", "wiki"),
        ("it is being worked on", "hr/leased", "wiki"),
        ("the ledger has no departure hr/nowhere", "hr/nowhere", "wiki"),
    ]:
        before = world.get(confirmed) if world.item(confirmed) else None
        answer = confirm(world, confirmed, provider=provider)
        assert answer.code == 1 and said in answer.out, answer
        answer = confirm(world, confirmed, "--json", provider=provider).json()
        assert answer["done"] == [] and said in answer["failed"][0]["why"] and answer["state"] is None, answer
        assert before == (world.get(confirmed) if world.item(confirmed) else None)
    for said, arguments in [
        ("required", [id, "wiki"]),
        ("must not be empty", [id, "wiki", "--note", " "]),
        ("at most 500 characters", [id, "wiki", "--note", "x" * 501]),
        ("required", [id, "--note", "x"]),
    ]:
        answer = world.run("departures", "confirm", *arguments)
        assert answer.code == 2 and said in answer.err and not answer.out, answer
    assert world.get(id)["state"] == "needs_attention"


@check
def confirmed_by_a_masked_id(world):
    """a departure is confirmed by its id as list shows it"""
    id = manual(world, "mia.long-name+tag@example.com")
    answer = confirm(world, "hr/m…@example.com")
    assert answer.code == 0 and world.get(id)["state"] == "done", answer
    masked(answer.out)


@check
def evidence_of_a_removal_by_hand(world):
    """the evidence has who confirmed it, when, and the note, escaped; what is not confirmed is open"""
    id, open = manual(world), manual(world, "2")
    confirm(world, id)
    world.put("3", providers={"wiki": entry("deactivated", proof="status"), "instaply": entry("deleted", proof="second_removal")})
    table, page = world.path / "evidence.csv", world.path / "evidence.html"
    answer = world.run("evidence", "--since", "30d", "--csv", table, "--html", page, "--json")
    assert answer.code == 1 and answer.json()["figures"]["open"] == 1, answer
    rows = {(row["departure"], row["provider"]): row for row in csv.DictReader(masked(table.read_text()).splitlines())}
    row = rows[id, "wiki"]
    assert (row["outcome"], row["proof"], row["state"]) == ("deleted", "by hand", "done"), row
    assert row["outcome_detail"].startswith("confirmed: ") and row["gone_by"] >= row["received_at"], row
    assert "confirm of wiki by arn:" in row["decisions"] and "ticket 7 <script>" in row["decisions"], row
    row = rows[open, "wiki"]
    expected = ("manual", "", "", "Delete the user", "needs_attention")
    assert tuple(row[name] for name in ("outcome", "proof", "gone_by", "outcome_detail", "state")) == expected, row
    row = rows["hr/3", "wiki"]
    assert (row["outcome"], row["proof"]) == ("deactivated", "the account's status"), row
    text = masked(page.read_text())
    assert "<script" not in text and "ticket 7 &#60;script&#62;" in text, text
    for said in ["by hand", "confirmed: ", "confirm of wiki by arn:", ">deactivated<"]:
        assert said in text, said
