"""Senders that sign nothing and show a secret instead: what the function makes of their requests."""

import json
import secrets

from senders import INDEX, PAYLOADS, Leaver, recorded, written

ADA = Leaver("5b5c4b42-ada", None, "ada.leaver@example.com", "6f8c-ping")
# https://developer.pingidentity.com/pingone-api/platform/subscriptions-webhooks.html: a list, also of one.
PINGONE = written(
    ADA,
    id=ADA.event,
    recordedAt="2026-01-31T18:42:00.000Z",
    action={"type": "USER.DELETED"},
    actors={"user": {"id": "5b5c4b42-admin", "name": "admin@example.com", "type": "USER"}},
    resources=[{"type": "USER", "id": ADA.idp_id, "name": ADA.email, "environment": {"id": "sample"}}],
    result={"status": "SUCCESS"},
)
AUTH0_LOGS = (PAYLOADS / "auth0.log.jsonlines.txt").read_bytes()


def checks(world, _):
    yield from okta(world)
    yield from auth0(world)
    yield from pingone(world)
    yield from google(world)


def configured(world, name, kind):
    """A source with a token of its own, which it gives back."""
    token = secrets.token_hex()
    world.hidden.add(token)
    world.source(name, kind, {"token": token})
    return token


def wrong(token):
    return token[:-1] + ("0" if token[-1] != "0" else "1")


def okta(world):
    """https://developer.okta.com/docs/concepts/event-hooks/"""
    token, payload = configured(world, "okta", "okta"), recorded("okta.deactivate.json")

    def challenge():
        asked = {"X-Okta-Verification-Challenge": "a1b2-c3d4"}
        answer = world.deliver("okta", asked, method="GET")
        assert (answer.status, json.loads(answer.text)) == (200, {"verification": "a1b2-c3d4"}), answer
        assert answer.headers["content-type"] == "application/json" and not answer.asked, answer

    def no_challenge():
        answer = world.deliver("okta", {}, method="GET")
        assert (answer.status, json.loads(answer.text)["type"]) == (400, "urn:offboard:problem:no-challenge"), answer

    yield "okta: the challenge is given back", challenge
    yield "okta: no challenge", no_challenge

    def deliver(headers):
        return world.deliver("okta", headers, payload.body)

    def taken():
        deliver({"Authorization": token}).empty(200, payload.leaver.email)

    yield "okta: taken, and answered with nothing", taken
    yield "okta: a wrong text", lambda: deliver({"Authorization": wrong(token)}).refused("no signature matches")
    yield "okta: half of the text", lambda: deliver({"Authorization": token[:32]}).refused("no signature matches")
    yield "okta: no text", lambda: deliver({}).refused("header authorization is missing")


def auth0(world):
    """https://auth0.com/docs/customize/events and https://auth0.com/docs/customize/log-streams/custom-log-streams"""
    token, payload = configured(world, "auth0", "auth0"), recorded("auth0.event.user.deleted.json")

    def deliver(shown, body=payload.body):
        return world.deliver("auth0", {"Authorization": shown}, body)

    yield "auth0: taken", lambda: deliver(f"Bearer {token}").left(payload.leaver)
    yield "auth0: a wrong token", lambda: deliver(f"Bearer {wrong(token)}").refused("no signature matches")
    yield "auth0: without `Bearer`", lambda: deliver(token).refused("header authorization cannot be read")
    blocked = (PAYLOADS / "auth0.event.user.updated.blocked.json").read_bytes()
    yield "auth0: a user who is blocked", lambda: deliver(f"Bearer {token}", blocked).ignored("a suspension")

    log_token = configured(world, "auth0_logs", "auth0_logs")

    def lines():
        answer = world.deliver("auth0_logs", {"Authorization": log_token}, AUTH0_LOGS)
        report = json.loads(answer.text)
        people = [departure["person"].get("email") for departure in report["departures"]]
        assert (answer.status, people, len(report["ignored"])) == (200, ["j…@gmail.com", None], 1), answer
        assert set(answer.asked) == {"john.doe@gmail.com"}, answer

    yield "auth0_logs: a line for each entry", lines


def pingone(world):
    token = configured(world, "pingone", "pingone")
    batch = b"[" + PINGONE.body + b"]"

    def deliver(shown, body=batch):
        return world.deliver("pingone", {"Authorization": shown}, body)

    def several():
        events = [json.loads(PINGONE.body) for _ in range(3)]
        for number, event in enumerate(events):
            event["id"] = f"6f8c-{number}"
            event["resources"][0] |= {"id": f"user-{number}", "name": f"leaver-{number}@example.com"}
        events[1]["result"]["status"] = "FAILED"
        answer = deliver(token, json.dumps(events).encode())
        report = json.loads(answer.text)
        assert [departure["event"]["id"] for departure in report["departures"]] == ["6f8c-0", "6f8c-2"], answer
        assert sorted(set(answer.asked)) == ["leaver-0@example.com", "leaver-2@example.com"], answer

    yield "pingone: a list of one", lambda: deliver(token).left(ADA)
    yield "pingone: a list of three, one of which has failed there", several
    yield "pingone: a wrong text", lambda: deliver(wrong(token)).refused("no signature matches")


def google(world):
    """https://developers.google.com/workspace/admin/directory/v1/guides/push"""
    token, payload = configured(world, "google", "google_workspace"), recorded("google.user.delete.json")
    shown = {"X-Goog-Channel-Token": token}
    leaver = payload.leaver._replace(event="deleteChannel/236440")

    def taken():
        world.deliver("google", payload.headers | shown, payload.body).left(leaver)

    def first():
        sync = INDEX["google.sync.json"]["headers"]
        world.deliver("google", sync | shown).ignored("not a departure")

    def refused():
        forged = payload.headers | {"X-Goog-Channel-Token": wrong(token)}
        world.deliver("google", forged, payload.body).refused("no signature matches")

    yield "google_workspace: taken", taken
    yield "google_workspace: the first message of a channel, without a body", first
    yield "google_workspace: a wrong token", refused
