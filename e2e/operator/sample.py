"""A ledger as it looks after a month: every state, every outcome, long ids, several organizations, hostile texts."""

from world import ago, entry, stamp

WHO = "arn:aws:sts::123456789012:assumed-role/Operator/session"


def fill(world):
    """Puts it into the ledger, and says how many departures it has."""
    received = ago(days=3)
    later = ago(days=3, seconds=-9)
    everywhere = {
        "aerospike": entry("already_absent", later, proof="found_absent"),
        "cloudflare": entry(
            "deleted", later, proof="second_look", account_id="f174e90a-fafe-4643", request_id="8f1b7c-FRA"
        ),
        "flashduty": entry(
            "deactivated",
            later,
            proof="not_confirmed",
            account_id="5068740052131",
            request_id="01HK8XQE3Z7JM2NTFQ5YJ8P9R4",
        ),
        "instaply": entry("deleted", later, proof="second_removal", account_id="1388838"),
        "stytch": entry(
            "deleted",
            ago(days=3, hours=-2),
            runs=3,
            attempts=2,
            proof="second_look",
            account_id="member-live-1",
            request_id="request-id-live-b05c992f-ebdc-489d-a754-c7e70ba13141",
            accounts=[
                {
                    "scope": "organization-live-1",
                    "outcome": "deleted",
                    "account_id": "member-live-1",
                    "request_id": "request-id-live-b05c992f-ebdc-489d-a754-c7e70ba13141",
                },
                {
                    "scope": "organization-live-2",
                    "outcome": "deleted",
                    "account_id": "member-live-2",
                    "request_id": "request-id-live-07971b06-ac8b-4cdb-9c15-63b17e653931",
                },
            ],
        ),
    }
    world.put("everywhere", "done", "ann@example.com", everywhere, received, occurred_at=ago(days=3, minutes=1))
    for n in range(12):
        places = {name: everywhere[name] for name in ("cloudflare", "instaply")}
        world.put(f"event_01HZX3ABCDEF{n:04}", "done", f"leaver{n}@example.com", places, received)
    blocked = entry(
        "blocked",
        later,
        reason="ReferenceExist",
        detail="the member is still on call in a schedule; " * 4,
        references=[{"kind": "schedule", "name": "Primary", "href": "https://example.com/schedules/1"}],
        request_id="01HK8XQE3Z7JM2NTFQ5YJ8P9R5",
    )
    replayed = [{"at": stamp(ago(days=1)), "who": WHO, "what": "replay"}]
    stuck = {**everywhere, "flashduty": blocked}
    world.put("stuck", "needs_attention", "bob@example.com", stuck, received, source="workos", history=replayed)
    world.put(
        "held",
        "held",
        "eve@example.com",
        {},
        received,
        vetoes=["too_many_departures"],
    )
    world.put(
        "waits",
        "pending",
        "joe@example.com",
        {"cloudflare": entry("unavailable", reason="http_503", attempts=3)},
        received,
    )
    world.put(
        "refused",
        "dismissed",
        "kim@example.com",
        {},
        received,
        history=[{"at": stamp(ago(days=2)), "who": WHO, "what": "dismiss"}],
    )
    # A sender that keys people by their address, and a text that would be markup.
    world.put(
        "mia.long-name+tag@example.com",
        "done",
        "mia.long-name+tag@example.com",
        {"cloudflare": entry("deleted", later, proof="second_look", request_id="<script>alert(1)</script>")},
        received,
    )
    world.put("=cmd()", "done", None, {"cloudflare": entry("already_absent", later)}, received, source="hr")
    world.put(
        "long-" + "x" * 150,
        "needs_attention",
        "noa@example.com",
        {
            "a-provider-with-quite-a-long-name": entry(
                "unauthorized",
                later,
                reason="secret_without_token",
                detail="the secret holds no `api_token`, and neither `email` nor `api_key`",
            )
        },
        received,
    )
    world.put("before", "done", "old@example.com", everywhere, ago(days=60))
    return 21
