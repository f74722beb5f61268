//! Senders that sign with an HMAC.

use serde_json::{Value, json};

use super::{check, tells, with, without};
use crate::signing::fault;

#[test]
fn keycloak_names_the_user_in_the_path_and_the_administrator_beside() {
    let event = json!({
        "uid": "1", "time": 1_769_884_919_000_u64, "realmId": "r", "type": "admin.USER-DELETE",
        "resourceType": "USER", "operationType": "DELETE", "resourcePath": "users/u1", "details": { "userId": "u1" },
        "authDetails": { "realmId": "master", "userId": "actor", "username": "actor@example.com" },
    });
    let of = |kind: &str| with(&event, "/type", json!(kind));
    let update = |user: Value| with(&of("admin.USER-UPDATE"), "/representation", json!(user.to_string()));
    let disabled = json!({ "email": "ann@example.com", "enabled": false });
    let none = "admin.USER-DELETE: not a departure";
    let returned = "active, proven #u1 ann@example.com; admin.USER-UPDATE: not a departure";
    let taught = "proven #u1 ann@example.com; admin.USER-UPDATE: not a departure";
    let unproven = "fault: field /representation/emailVerified does not say that the e-mail address is verified";
    check(
        "kind = \"keycloak\"",
        [
            (event.clone(), "left #u1"),
            (without(&event, "/details"), "left #u1"),
            (with(&event, "/representation", json!(null)), "left #u1"),
            (with(&event, "/error", json!(null)), "left #u1"),
            (with(&event, "/error", json!("could_not_remove")), none),
            // What a user merely has.
            (with(&event, "/resourcePath", json!("users/u1/federated-identity/google")), none),
            (with(&of("admin.REALM_ROLE_MAPPING-DELETE"), "/resourcePath", json!("users/u1/role-mappings/realm")), {
                "admin.REALM_ROLE_MAPPING-DELETE: not a departure"
            }),
            (with(&event, "/resourcePath", json!("groups/u1")), none),
            (with(&event, "/resourcePath", json!("users/u2")), "400: field /details/userId cannot be read"),
            (update(disabled.clone()), "left #u1 ann@example.com"),
            (update(with(&disabled, "/emailVerified", json!(true))), "left #u1 ann@example.com"),
            (update(with(&disabled, "/emailVerified", json!(false))), &format!("left #u1; {unproven}")),
            (update(with(&disabled, "/enabled", json!(true))), returned),
            (update(without(&disabled, "/enabled")), taught),
            (
                update(json!({ "email": "ann@example.com", "emailVerified": false })),
                "claimed #u1 ann@example.com; admin.USER-UPDATE: not a departure",
            ),
            (with(&of("admin.USER-UPDATE"), "/representation", json!("{")), {
                "400: field /representation cannot be read"
            }),
            // Of other things nobody reads the representation.
            (
                with(&with(&of("admin.CLIENT-UPDATE"), "/resourcePath", json!("clients/1")), "/representation", {
                    json!("{")
                }),
                "admin.CLIENT-UPDATE: not a departure",
            ),
            (of("system.SOMETHING"), "system.SOMETHING: not a departure"),
        ],
    );
    let unverified = update(with(&disabled, "/emailVerified", json!(false)));
    check("kind = \"keycloak\"\naccept_unverified = true", [(unverified, "left #u1 ann@example.com")]);
}

#[test]
fn keycloak_names_the_user_of_their_own_events_where_the_administrator_stands_otherwise() {
    let own = json!({
        "uid": "1", "time": 1_769_884_919_000_u64, "realmId": "r", "type": "access.DELETE_ACCOUNT",
        "authDetails": { "userId": "u1", "username": "ann" },
    });
    let lockout = "access.USER_DISABLED_BY_PERMANENT_LOCKOUT";
    check(
        "kind = \"keycloak\"",
        [
            (own.clone(), "left #u1"),
            (with(&own, "/authDetails", json!(null)), "left nobody"),
            (with(&own, "/error", json!("rejected")), "access.DELETE_ACCOUNT: not a departure"),
            (with(&own, "/type", json!("access.DELETE_ACCOUNT_ERROR")), "access.DELETE_ACCOUNT_ERROR: not a departure"),
            (with(&own, "/type", json!(lockout)), &format!("{lockout}: not a departure")),
        ],
    );
}

#[test]
fn zitadel_names_the_editor_beside_and_proves_an_address_by_another_event() {
    let event = json!({
        "aggregateID": "u1", "aggregateType": "user", "resourceOwner": "o1", "instanceID": "i1", "sequence": 7,
        "event_type": "user.removed", "created_at": "2026-01-31T19:41:59.123456+01:00", "userID": "actor",
    });
    let of = |kind: &str, payload: Value| with(&with(&event, "/event_type", json!(kind)), "/event_payload", payload);
    let (claim, base64) = (json!({ "email": "ann@example.com" }), json!("eyJlbWFpbCI6ImFubkBleGFtcGxlLmNvbSJ9"));
    let claimed = |kind: &str| format!("claimed #u1 ann@example.com; {kind}: not a departure");
    check(
        "kind = \"zitadel\"",
        [
            (event.clone(), "left #u1"),
            (of("user.deactivated", json!(null)), "left #u1"),
            (of("user.removed", json!("")), "left #u1"),
            (of("user.human.added", claim.clone()), &claimed("user.human.added")),
            (of("user.human.selfregistered", base64.clone()), &claimed("user.human.selfregistered")),
            (of("user.human.email.changed", base64), &claimed("user.human.email.changed")),
            (of("user.human.email.verified", json!(null)), "confirms #u1; user.human.email.verified: not a departure"),
            (of("user.reactivated", json!(null)), "active, proven #u1; user.reactivated: not a departure"),
            (of("user.locked", json!(null)), "user.locked: not a departure"),
            (with(&event, "/aggregateType", json!("org")), "user.removed: not a departure"),
            (of("user.human.added", json!("&&&")), "400: field /event_payload cannot be read"),
            (of("user.human.added", json!("bm9uZQ==")), "400: field /event_payload cannot be read"),
            (without(&event, "/sequence"), "400: field /sequence is missing"),
            (with(&event, "/aggregateID", json!(7)), "400: field /aggregateID is missing"),
        ],
    );
    let lock = fault("kind = \"zitadel\"\nalso = [\"user.locked\"]");
    assert!(lock.contains("`also` cannot name `user.locked`: no event of this kind is left out"), "{lock}");
}

#[test]
fn clerk_teaches_only_addresses_that_are_proven_the_primary_one_first() {
    let address =
        |id: &str, email: &str, status: Value| json!({ "id": id, "email_address": email, "verification": status });
    let verified = json!({ "status": "verified" });
    let user = |addresses: Value| {
        json!({ "type": "user.updated", "timestamp": 1_769_884_919_000_u64, "data": {
            "id": "u1", "primary_email_address_id": "b", "external_id": "8931", "email_addresses": addresses,
            "banned": false, "locked": false,
        } })
    };
    let a = address("a", "ann@example.com", verified.clone());
    let both = user(json!([a, address("b", "ann.b@example.com", verified)]));
    let taught = |who: &str| format!("proven #u1 +8931{who}; user.updated: not a departure");
    let mut unproven =
        ["unverified", "transferable", "failed", "expired"].map(|status| json!({ "status": status })).to_vec();
    unproven.push(json!(null));
    for status in unproven {
        let some = user(json!([address("b", "bob@example.com", status.clone()), a]));
        let none = user(json!([address("b", "bob@example.com", status)]));
        check("kind = \"clerk\"", [(some, &taught(" ann@example.com")), (none, &taught(""))]);
    }
    let membership = json!({ "type": "organizationMembership.deleted", "data": {
        "id": "m1", "organization": { "id": "o1" },
        "public_user_data": { "user_id": "u1", "identifier": "anybody@example.com" },
    } });
    let deleted =
        json!({ "type": "user.deleted", "timestamp": 1_769_884_919, "data": { "deleted": true, "id": "u1" } });
    check(
        "kind = \"clerk\"",
        [
            (deleted, "left #u1"),
            (both.clone(), &taught(" ann.b@example.com ann@example.com")),
            (with(&both, "/data/locked", json!(true)), &taught(" ann.b@example.com ann@example.com")),
            (with(&both, "/data/banned", json!(true)), "user.updated: a suspension"),
            (with(&both, "/data/email_addresses/0/email_address", json!(7)), &taught(" ann.b@example.com")),
            (membership.clone(), "organizationMembership.deleted: left a group or an organization"),
        ],
    );
    check("kind = \"clerk\"\nalso = [\"organizationMembership.deleted\"]", [(membership, "left #u1")]);
    let banned = with(&both, "/data/banned", json!(true));
    check(
        "kind = \"clerk\"\nalso = [\"user.updated\"]",
        [
            (banned, "left #u1 +8931 ann.b@example.com ann@example.com"),
            (with(&both, "/data/locked", json!(true)), &taught(" ann.b@example.com ann@example.com")),
        ],
    );
}

#[test]
fn stytch_says_by_the_action_what_happened_to_a_member() {
    let delete = json!({ "action": "DELETE", "event_id": "e1", "id": "m1", "object_type": "member", "source": "SCIM",
        "timestamp": "2026-01-31T18:41:59.678901Z" });
    let member = json!({ "member_id": "m1", "email_address": "ann@example.com", "email_address_verified": true });
    let update = with(&with(&delete, "/action", json!("UPDATE")), "/member", member);
    check(
        "kind = \"stytch\"",
        [
            (delete.clone(), "left #m1"),
            (with(&with(&delete, "/action", json!("delete")), "/object_type", json!("MEMBER")), "left #m1"),
            (with(&delete, "/object_type", json!("organization")), "DELETE: not a departure"),
            (update.clone(), "proven #m1 ann@example.com; UPDATE: not a departure"),
            (
                with(&update, "/member/email_address_verified", json!(false)),
                "claimed #m1 ann@example.com; UPDATE: not a departure",
            ),
            (with(&update, "/action", json!("CREATE")), "active, proven #m1 ann@example.com; CREATE: not a departure"),
            (with(&update, "/member/status", json!("deleted")), "left #m1 ann@example.com"),
            (
                with(&update, "/member/status", json!("active")),
                "active, proven #m1 ann@example.com; UPDATE: not a departure",
            ),
            (with(&update, "/member/status", json!("invited")), "proven #m1 ann@example.com; UPDATE: not a departure"),
        ],
    );
}

#[test]
fn workos_says_by_the_state_whether_somebody_is_there() {
    let user = json!({ "object": "event", "id": "e1", "event": "dsync.user.updated", "created_at": "2026-01-31 18:41:59.093",
        "data": { "id": "u1", "idp_id": "8931", "email": "ann@example.com", "state": "active",
            "emails": [{ "primary": false, "value": "a@example.com" }, { "primary": true, "value": "b@example.com" }] } });
    let state = |state: &str| with(&user, "/data/state", json!(state));
    let of = |kind: &str, data: Value| with(&with(&user, "/event", json!(kind)), "/data", data);
    let group = of("dsync.group.user_removed", {
        json!({ "directory_id": "d1", "group": { "id": "g1" }, "user": { "id": "u1", "idp_id": "8931", "email": "ann@example.com" } })
    });
    let membership = of("organization_membership.deleted", json!({ "id": "om1", "user_id": "u1" }));
    let authkit = of("user.deleted", json!({ "id": "u1", "email": "ann@example.com", "email_verified": false }));
    let left_group = "dsync.group.user_removed: left a group or an organization";
    check(
        "kind = \"workos\"",
        [
            (state("inactive"), "left #u1 +8931 ann@example.com"),
            (with(&state("inactive"), "/data/email", json!(null)), "left #u1 +8931 b@example.com"),
            (without(&without(&state("inactive"), "/data/email"), "/data/emails"), "left #u1 +8931"),
            (
                with(&without(&state("inactive"), "/data/email"), "/data/emails/0/primary", json!(true)),
                "left #u1 +8931",
            ),
            (state("suspended"), "dsync.user.updated: a suspension"),
            (state("active"), "active, proven #u1 +8931 ann@example.com; dsync.user.updated: not a departure"),
            (state("dreaming"), "dsync.user.updated: not a departure"),
            (of("dsync.deleted", json!({ "id": "d1" })), "dsync.deleted: not a departure"),
            (group.clone(), left_group),
            (membership.clone(), "organization_membership.deleted: left a group or an organization"),
            (authkit.clone(), "user.deleted: not a departure"),
        ],
    );
    let also = "kind = \"workos\"\nalso = [\"dsync.group.user_removed\", \"organization_membership.deleted\", \"user.deleted\"]";
    check(
        also,
        [
            (group, "left #u1 +8931 ann@example.com"),
            (membership, "left #u1"),
            (
                authkit.clone(),
                "left #u1; fault: field /data/email_verified does not say that the e-mail address is verified",
            ),
            (with(&authkit, "/data/email_verified", json!(true)), "left #u1 ann@example.com"),
        ],
    );
}

#[test]
fn github_names_the_event_in_a_header_and_whoever_did_it_as_the_sender() {
    let member = json!({ "action": "member_removed", "organization": { "login": "acme", "id": 1 },
        "membership": { "role": "member", "user": { "login": "ann", "id": 583_231 } },
        "sender": { "login": "actor", "id": 2 } });
    let action = |action: &str| with(&member, "/action", json!(action));
    let team =
        json!({ "action": "removed", "scope": "team", "member": { "id": 583_231 }, "sender": { "login": "actor" } });
    for (event, body, expected) in [
        ("organization", member.clone(), "left #583231"),
        ("organization", action("member_added"), "active, proven #583231; organization.member_added: not a departure"),
        ("organization", action("member_invited"), "organization.member_invited: not a departure"),
        ("organization", action("deleted"), "organization.deleted: not a departure"),
        ("membership", team, "membership.removed: not a departure"),
        ("ping", json!({ "zen": "Design for failure.", "hook_id": 1 }), "ping: not a departure"),
        ("organization", without(&member, "/membership"), "left nobody"),
        ("organization", json!([]), "400: field /event is missing"),
    ] {
        let headers = [("x-github-event", event), ("x-github-delivery", "d1")];
        assert_eq!(tells("kind = \"github\"", &headers, &body.to_string()), expected, "{body}");
    }
    let body = member.to_string();
    let event = ("x-github-event", "organization");
    assert_eq!(tells("kind = \"github\"", &[], &body), "400: field x-github-event is missing");
    assert_eq!(tells("kind = \"github\"", &[event], &body), "400: field /delivery is missing");
}

#[test]
fn bamboohr_says_by_the_status_that_somebody_left() {
    let employee = |id: &str, status: Value| {
        json!({ "id": id, "action": "Updated", "timestamp": "2026-01-31T18:41:59+0000", "changedFields": ["Status"],
            "fields": { "Status": status, "Work Email": "ann@example.com", "Employee #": { "value": 8931 } } })
    };
    let ann = employee("1", json!("Inactive"));
    let batch = |employees: Value| json!({ "employees": employees });
    let event = |kind: &str| json!({ "type": kind, "timestamp": "2026-01-31T18:41:59+0000", "data": { "companyId": "acme", "employeeId": "1" } });
    let gone = |action: &str| json!({ "id": 1, "action": action, "timestamp": "2026-01-31T18:41:59Z", "fields": [] });
    check(
        "kind = \"bamboohr\"",
        [
            (event("employee.deleted"), "left #1"),
            (event("employee.updated"), "employee.updated: not a departure"),
            (event("employee.created"), "active, proven #1; employee.created: not a departure"),
            (batch(json!([ann])), "left #1 +8931 ann@example.com"),
            (batch(json!([employee("1", json!({ "value": "Inactive" }))])), "left #1 +8931 ann@example.com"),
            (
                batch(json!([ann, employee("2", json!("Active")), gone("Deleted"), gone("Created")])),
                "left #1 +8931 ann@example.com; left #1; active, proven #2 +8931 ann@example.com; active, proven #1; \
                 Updated: not a departure; Created: not a departure",
            ),
            (batch(json!([employee("1", json!(null))])), "proven #1 +8931 ann@example.com; Updated: not a departure"),
            (batch(json!([])), ""),
            (batch(json!(null)), "400: field /type is missing"),
        ],
    );
    let own = "kind = \"bamboohr\"\nevent = { departures = [\"Deleted\", { type = \"Updated\", where = { \"/fields/Beschäftigung/value\" = [\"Beendet\", \"Ruhend\"] } }] }";
    let with_label = |label: &str| batch(json!([with(&ann, "/fields/Beschäftigung", json!(label))]));
    check(
        own,
        [
            (with_label("Ruhend"), "left #1 +8931 ann@example.com"),
            (with_label("Aktiv"), "proven #1 +8931 ann@example.com; Updated: not a departure"),
            (batch(json!([gone("Deleted")])), "left #1"),
        ],
    );
}

#[test]
fn hibob_tells_who_left_from_who_is_on_leave() {
    let event = |kind: &str| {
        json!({ "companyId": 636_192, "type": kind, "triggeredBy": "actor", "triggeredAt": "2026-01-31T18:41:59.000000",
            "version": "v2", "data": { "employeeId": "1" } })
    };
    let deleted = with(&event("employee.deleted"), "/data", json!({ "employeeId": "1", "email": "ann@example.com" }));
    check(
        "kind = \"hibob\"",
        [
            (event("employee.left"), "left #1"),
            (deleted, "left #1 ann@example.com"),
            (event("employee.inactivated"), "employee.inactivated: a suspension"),
            (event("employee.joined"), "active, proven #1; employee.joined: not a departure"),
            (event("employee.updated"), "employee.updated: not a departure"),
        ],
    );
}

#[test]
fn logto_deletes_with_the_user_or_with_the_id_alone() {
    let deleted = json!({ "hookId": "h1", "event": "User.Deleted", "createdAt": "2026-01-31T18:41:59.000Z",
        "userAgent": "curl", "path": "/api/users/u1", "params": { "userId": "u1" },
        "data": { "id": "u1", "primaryEmail": "ann@example.com", "isSuspended": false } });
    let test = json!({ "hookId": "h1", "event": "User.Deleted", "createdAt": "2026-01-31T18:41:59.000Z",
        "userAgent": "fake-user-agent", "path": "/fake-path/:id", "method": "POST", "status": 200,
        "params": { "id": "fake-id" }, "data": { "result": "success" } });
    let suspended =
        with(&with(&deleted, "/event", json!("User.SuspensionStatus.Updated")), "/data/isSuspended", json!(true));
    check(
        "kind = \"logto\"",
        [
            (deleted.clone(), "left #u1 ann@example.com"),
            (with(&deleted, "/data", json!(null)), "left #u1"),
            (test, "User.Deleted: a test"),
            // Whoever deletes somebody names the user agent.
            (with(&deleted, "/userAgent", json!("fake-user-agent")), "left #u1 ann@example.com"),
            (suspended.clone(), "User.SuspensionStatus.Updated: a suspension"),
            (with(&suspended, "/data/isSuspended", json!(false)), "User.SuspensionStatus.Updated: not a departure"),
            (
                with(&deleted, "/event", json!("User.Data.Updated")),
                "proven #u1 ann@example.com; User.Data.Updated: not a departure",
            ),
        ],
    );
}

#[test]
fn scalekit_person_who_is_inactive_in_the_directory_has_left() {
    let user = |kind: &str| {
        json!({ "spec_version": "1", "id": "evt_1", "type": format!("organization.directory.{kind}"),
            "occurred_at": "2026-01-31T18:41:59.000000000Z", "organization_id": "o1",
            "data": { "id": "u1", "dp_id": "8931", "email": "ann@example.com", "active": true } })
    };
    let inactive = with(&user("user_updated"), "/data/active", json!(false));
    let updated = "organization.directory.user_updated";
    check(
        "kind = \"scalekit\"",
        [
            (user("user_deleted"), "left #u1 +8931 ann@example.com"),
            (inactive, "left #u1 +8931 ann@example.com"),
            (user("user_updated"), &format!("active, proven #u1 +8931 ann@example.com; {updated}: not a departure")),
            (
                with(&user("user_updated"), "/data/active", json!(null)),
                &format!("proven #u1 +8931 ann@example.com; {updated}: not a departure"),
            ),
        ],
    );
}

#[test]
fn standard_webhooks_and_svix_read_alike() {
    let user = |kind: &str| {
        json!({ "type": kind, "timestamp": "2026-01-31T18:41:59Z",
            "data": { "id": "u1", "external_id": 8931, "email": "ann@example.com" } })
    };
    let ann = "#u1 +8931 ann@example.com";
    for kind in ["standard_webhooks", "svix"] {
        check(
            &format!("kind = \"{kind}\""),
            [
                (user("user.deleted"), &*format!("left {ann}")),
                (user("user.deprovisioned"), &format!("left {ann}")),
                (user("user.suspended"), "user.suspended: a suspension"),
                (user("user.created"), &format!("active, proven {ann}; user.created: not a departure")),
                (user("user.updated"), &format!("proven {ann}; user.updated: not a departure")),
            ],
        );
    }
}
