//! Senders that show a secret.

use serde_json::{Value, json};

use super::{check, tells, with, without};
use crate::signing::fault;

fn okta(kind: &str, uuid: &str) -> Value {
    json!({
        "uuid": uuid, "published": "2026-01-31T18:41:59.862Z", "eventType": kind, "outcome": { "result": "SUCCESS" },
        "actor": { "id": "actor", "type": "User", "alternateId": "actor@example.com" },
        "target": [
            { "id": "g1", "type": "UserGroup", "alternateId": "unknown" },
            { "id": "u1", "type": "User", "alternateId": "ann@example.com" },
        ],
    })
}

fn okta_delivery(events: &[Value]) -> Value {
    json!({ "eventType": "com.okta.event_hook", "eventId": "e1", "data": { "events": events } })
}

#[test]
fn okta_names_the_user_among_the_targets() {
    let gone = okta("user.lifecycle.deactivate", "1");
    let second = json!({ "id": "u2", "type": "User", "alternateId": "bob@example.com" });
    let expected = [
        (gone.clone(), "left #u1 ann@example.com"),
        (okta("user.lifecycle.delete.initiated", "1"), "left #u1 ann@example.com"),
        (with(&gone, "/target/0", second.clone()), "left nobody"),
        (with(&gone, "/target", json!(null)), "left nobody"),
        (with(&gone, "/target", json!([])), "left nobody"),
        (with(&gone, "/target/1/alternateId", json!("ann")), "left #u1"),
        (with(&gone, "/outcome/result", json!("FAILURE")), "user.lifecycle.deactivate: not a departure"),
        (with(&gone, "/outcome", json!(null)), "user.lifecycle.deactivate: not a departure"),
        (okta("user.lifecycle.suspend", "1"), "user.lifecycle.suspend: a suspension"),
        (okta("user.account.lock", "1"), "user.account.lock: not a departure"),
        (okta("group.user_membership.remove", "1"), "group.user_membership.remove: left a group or an organization"),
        (
            okta("user.lifecycle.reactivate", "1"),
            "active, proven #u1 ann@example.com; user.lifecycle.reactivate: not a departure",
        ),
        (
            okta("user.account.update_profile", "1"),
            "proven #u1 ann@example.com; user.account.update_profile: not a departure",
        ),
    ];
    check("kind = \"okta\"", expected.map(|(event, told)| (okta_delivery(&[event]), told)));
    let also = "kind = \"okta\"\nalso = [\"user.lifecycle.suspend\", \"group.user_membership.remove\"]";
    for kind in ["user.lifecycle.suspend", "group.user_membership.remove"] {
        check(also, [(okta_delivery(&[okta(kind, "1")]), "left #u1 ann@example.com")]);
    }
    let lock = fault("kind = \"okta\"\nalso = [\"user.account.lock\"]");
    assert!(lock.contains("`also` cannot name `user.account.lock`: it may name user.lifecycle.suspend, "), "{lock}");
}

#[test]
fn an_event_of_okta_that_cannot_be_read_costs_no_other() {
    let gone = okta("user.lifecycle.deactivate", "1");
    let other = with(&okta("user.lifecycle.deactivate", "2"), "/target/1/id", json!("u2"));
    let late = with(&gone, "/published", json!("late"));
    let same_id = with(&gone, "/target/1/id", json!("u2"));
    let ann = "left #u1 ann@example.com";
    let (two, bad_time) = ("left #u2 ann@example.com", "fault: field /published cannot be read");
    let cases = [
        (vec![], String::new()),
        (vec![gone.clone(), other.clone()], format!("{ann}; {two}")),
        (vec![gone.clone(), gone.clone()], format!("{ann}; user.lifecycle.deactivate: duplicate in this delivery")),
        (vec![late.clone(), other.clone()], format!("left nobody; {two}; {bad_time}")),
        // The same one twice is one departure of nobody known, not two.
        (
            vec![late.clone(), late.clone(), other.clone()],
            format!(
                "left nobody; {two}; user.lifecycle.deactivate: duplicate in this delivery; {bad_time}; {bad_time}"
            ),
        ),
        // Two people under one id: neither is lost.
        (vec![gone.clone(), same_id], format!("{ann}; left nobody; fault: two departures in the delivery have one id")),
        (
            vec![json!({ "uuid": "3" }), json!("text"), gone],
            format!(
                "{ann}; unknown: unreadable; unknown: unreadable; fault: field /eventType is missing; fault: field /eventType is missing"
            ),
        ),
        (vec![late], "400: field /published cannot be read".to_owned()),
    ];
    for (events, expected) in cases {
        assert_eq!(tells("kind = \"okta\"", &[], &okta_delivery(&events).to_string()), expected);
    }
    let none = json!({ "eventType": "com.okta.event_hook", "data": { "events": null } });
    check("kind = \"okta\"", [(none, "400: field /data/events is missing")]);
}

#[test]
fn auth0_says_whether_an_address_is_verified() {
    let user = |kind: &str| {
        json!({ "specversion": "1.0", "id": "e1", "type": kind, "time": "2026-01-31T18:41:59Z", "data": { "object": {
            "user_id": "auth0|u1", "email": "ann@example.com", "email_verified": true,
            "identities": [{ "provider": "auth0", "user_id": "u1", "profileData": { "email": "actor@example.com" } }],
        } } })
    };
    let deleted = user("user.deleted");
    let unverified = with(&deleted, "/data/object/email_verified", json!(false));
    let blocked = with(&user("user.updated"), "/data/object/blocked", json!(true));
    let unproven = "fault: field /data/object/email_verified does not say that the e-mail address is verified";
    let group = |member: &str| {
        json!({ "id": "e1", "type": "group.member.deleted", "data": { "object": {
            "group": { "id": "g1", "organization_id": "o1" }, "member": { "id": "auth0|u1", "member_type": member } } } })
    };
    check(
        "kind = \"auth0\"",
        [
            (deleted.clone(), "left #auth0|u1 ann@example.com"),
            (without(&deleted, "/data/object/email_verified"), "left #auth0|u1 ann@example.com"),
            (without(&deleted, "/data/object/email"), "left #auth0|u1"),
            (unverified.clone(), &format!("left #auth0|u1; {unproven}")),
            (with(&deleted, "/data/object/email_verified", json!(null)), &format!("left #auth0|u1; {unproven}")),
            (with(&deleted, "/data/object/email_verified", json!("true")), &format!("left #auth0|u1; {unproven}")),
            (with(&deleted, "/a0purpose", json!("test")), "user.deleted: a test"),
            (with(&user("user.created"), "/a0purpose", json!("test")), "user.created: a test"),
            (blocked.clone(), "user.updated: a suspension"),
            (
                with(&user("user.updated"), "/data/object/email_verified", json!(false)),
                "claimed #auth0|u1 ann@example.com; user.updated: not a departure",
            ),
            (group("user"), "group.member.deleted: left a group or an organization"),
            (group("connection"), "group.member.deleted: not a departure"),
        ],
    );
    check("kind = \"auth0\"\naccept_unverified = true", [(unverified, "left #auth0|u1 ann@example.com")]);
    check(
        "kind = \"auth0\"\nalso = [\"user.updated\", \"group.member.deleted\"]",
        [
            (blocked, "left #auth0|u1 ann@example.com"),
            (user("user.updated"), "proven #auth0|u1 ann@example.com; user.updated: not a departure"),
            (group("user"), "left #auth0|u1"),
        ],
    );
}

#[test]
fn auth0s_log_entries_come_in_every_form() {
    let entry = json!({ "date": "2026-01-31T18:41:59.000Z", "type": "sdu", "user_id": "auth0|u1", "user_name": "ann@example.com",
        "log_id": "1", "client_name": "actor" });
    let wrapped = json!({ "log_id": "2", "data": with(&without(&entry, "/log_id"), "/user_id", json!("auth0|u2")) });
    let empty = with(&with(&with(&entry, "/user_id", json!("")), "/user_name", json!("")), "/log_id", json!("3"));
    let login =
        json!({ "log_id": "4", "data": { "type": "s", "user_id": "auth0|u1", "user_name": "ann@example.com" } });
    let all = "left #auth0|u1 ann@example.com; left #auth0|u2 ann@example.com; left nobody; s: not a departure";
    let list = json!([entry, wrapped, empty, login]);
    let lines = format!("{entry}\n{wrapped}\r\n\n{empty}\n{login}\n");
    for body in [
        list.to_string(),
        serde_json::to_string_pretty(&list).unwrap(),
        lines,
        format!("{}\n{login}", json!([entry, wrapped, empty])),
    ] {
        assert_eq!(tells("kind = \"auth0_logs\"", &[], &body), all, "{body}");
    }
    check(
        "kind = \"auth0_logs\"",
        [(entry.clone(), "left #auth0|u1 ann@example.com"), (wrapped, "left #auth0|u2 ann@example.com")],
    );
    // A line that was cut off costs no other.
    let torn = tells("kind = \"auth0_logs\"", &[], &format!("{entry}\n{{\"log_id\": \"9\", \"da"));
    assert_eq!(torn, "left #auth0|u1 ann@example.com; unknown: unreadable; fault: the body is not JSON");
    assert_eq!(tells("kind = \"auth0_logs\"", &[], "torn"), "400: the body is not JSON");
    assert_eq!(tells("kind = \"auth0_logs\"", &[], ""), "400: the body is not JSON");
}

#[test]
fn pingone_is_told_that_all_is_well_whatever_it_sends() {
    let item = |id: &str, kind: &str| {
        json!({ "id": id, "recordedAt": "2026-01-31T18:41:59.079Z", "action": { "type": kind },
            "actors": { "user": { "id": "actor", "name": "actor@example.com", "type": "USER" } },
            "resources": [{ "type": "POPULATION", "id": "p1" }, { "type": "USER", "id": id, "name": "ann@example.com" }],
            "result": { "status": "SUCCESS" } })
    };
    let gone = item("u1", "USER.DELETED");
    let late = with(&gone, "/recordedAt", json!("late"));
    check(
        "kind = \"pingone\"",
        [
            (json!([gone]), "left #u1 ann@example.com"),
            (gone.clone(), "left #u1 ann@example.com"),
            (json!([with(&gone, "/resources/1/name", json!("ann"))]), "left #u1"),
            (json!([with(&gone, "/result/status", json!("FAILED"))]), "USER.DELETED: not a departure"),
            (
                json!([item("u2", "USER.UPDATED"), late, item("u3", "USER.DELETED")]),
                "left nobody; left #u3 ann@example.com; proven #u2 ann@example.com; USER.UPDATED: not a departure; \
                 fault: field /recordedAt cannot be read",
            ),
            // What says that somebody left is kept though nothing else can be read.
            (json!([late]), "left nobody; fault: field /recordedAt cannot be read"),
            (json!([{}, 7]), {
                "unknown: unreadable; unknown: unreadable; fault: field /action/type is missing; fault: field /action/type is missing"
            }),
            (json!("poison"), "unknown: unreadable; fault: the body is not of the source's form"),
        ],
    );
    assert_eq!(tells("kind = \"pingone\"", &[], "poison"), "fault: the body is not JSON");
}

#[test]
fn onelogin_counts_its_types_and_says_nothing_of_addresses() {
    let event = |uuid: &str, kind: u64| {
        json!({ "uuid": uuid, "event_type_id": kind, "event_timestamp": "2026-01-31 18:41:59 UTC", "account_id": 1,
            "user_id": 42, "user_name": "Ann Example", "actor_user_id": 7, "actor_user_name": "actor" })
    };
    let table = "kind = \"onelogin\"\nevent = { departures = [\"17\"] }";
    let events = [event("1", 17), event("2", 551), event("3", 532), event("4", 5)];
    let all = "left #42; 551: a suspension; 532: not a departure; 5: not a departure";
    let lines = events.each_ref().map(Value::to_string).join("\n");
    for body in [json!(events).to_string(), lines] {
        assert_eq!(tells(table, &[], &body), all, "{body}");
    }
    let also = format!("{table}\nalso = [\"551\"]");
    check(&also, [(json!([event("2", 551)]), "left #42")]);
    check(
        table,
        [(json!([with(&event("1", 17), "/event_type_id", json!(17.5))]), "400: field /event_type_id cannot be read")],
    );
    let none = fault("kind = \"onelogin\"");
    assert!(
        none.ends_with("`event` must name the `departures`: the types of the events that say that somebody left"),
        "{none}"
    );
    assert!(fault(&table.replace("\"17\"", "17")).contains("an event is named by its type"), "a number without quotes");
}

#[test]
fn google_names_the_change_in_a_header() {
    let body =
        r#"{"kind":"admin#directory#user","id":"111220860655841818702","etag":"e","primaryEmail":"ann@example.com"}"#;
    let ann = "#111220860655841818702 ann@example.com";
    let channel = [("x-goog-channel-id", "c1"), ("x-goog-message-number", "7")];
    for (state, body, expected) in [
        ("delete", body, format!("left {ann}")),
        ("delete", "", "left nobody".to_owned()),
        ("add", body, format!("active, proven {ann}; add: not a departure")),
        ("undelete", body, format!("active, proven {ann}; undelete: not a departure")),
        ("update", body, format!("proven {ann}; update: not a departure")),
        ("makeAdmin", body, "makeAdmin: not a departure".to_owned()),
        ("sync", "", "sync: not a departure".to_owned()),
    ] {
        let headers = [channel[0], channel[1], ("x-goog-resource-state", state)];
        assert_eq!(tells("kind = \"google_workspace\"", &headers, body), expected, "{state}");
    }
    assert_eq!(tells("kind = \"google_workspace\"", &channel, body), "400: field x-goog-resource-state is missing");
}

#[test]
fn authentiks_own_body_names_nobody_and_is_refused() {
    let own = json!({ "body": "model_deleted: actor", "severity": "notice", "user_email": "actor@example.com",
        "user_username": "actor", "event_user_email": "actor@example.com", "event_user_username": "actor" });
    let mapped = json!({ "id": "1", "type": "user.deleted", "timestamp": "2026-01-31T18:41:59.123456+00:00",
        "data": { "id": 42, "email": "ann@example.com" } });
    check(
        "kind = \"authentik\"",
        [
            (own, "400: field /type is missing"),
            (with(&mapped, "/type", json!("user.deactivated")), "left #42 ann@example.com"),
            (mapped, "left #42 ann@example.com"),
        ],
    );
}
