//! What verified bodies mean: recorded payloads, and bodies that cannot be read.

use offboard::{
    departure::{DeliveryEvents, Departure, Event, EventTime, Ignored},
    person::{Email, Person},
    source::{Source, Unreadable},
};
use serde_json::{Value, json};
use time::{
    OffsetDateTime,
    macros::{date, datetime},
};

use crate::signing::{NOW, source, told};

mod configuration;
mod events;

const HR: &str = r#"kind = "hmac"
signature = { header = "x-hr-signature", prefix = "sha256=" }
event = { id = "/id", type = "/event", departures = ["employee.terminated"], occurred_at = "/at" }
person = { email = "/data/email", external_id = "/data/employee_no" }"#;

/// What a source makes of a body that its sender signed.
fn read(source: &Source, body: &[u8]) -> Result<DeliveryEvents, Unreadable> {
    crate::signing::read(source, &[], body)
}

fn departure(event_id: &str, kind: &str, at: Option<OffsetDateTime>, person: [Option<&str>; 3]) -> Departure {
    let [idp_id, external_id, email] = person.map(|text| text.map(str::to_owned));
    Departure {
        id: format!("s/{event_id}"),
        source: "s".to_owned(),
        event: Event {
            id: event_id.to_owned(),
            kind: kind.to_owned(),
            occurred_at: at.map(EventTime::from),
            organization: None,
        },
        person: Person {
            idp_id,
            external_id,
            email: email.and_then(|email| Email::parse(&email)),
            ..Person::default()
        },
    }
}

#[test]
fn a_directory_user_who_was_deleted_or_became_inactive_has_left() {
    let workos = source("kind = \"workos\"");
    let person = [Some("directory_user_01E1X1B89NH8Z3SDFJR4H7RGX7"), Some("8931"), Some("lela.block@example.com")];
    for (kind, body) in [
        ("dsync.user.deleted", &include_bytes!("../../data/payloads/workos.dsync.user.deleted.json")[..]),
        ("dsync.user.updated", &include_bytes!("../../data/payloads/workos.dsync.user.updated.inactive.json")[..]),
    ] {
        let mut expected = departure("event_01HZX3ABCDEF", kind, Some(datetime!(2026-01-15 12:00:00 UTC)), person);
        expected.event.organization = Some("org_01EZTR6WYX1A0DSE2CYMGXQ24Y".to_owned());
        assert_eq!(
            read(&workos, body),
            Ok(DeliveryEvents { departures: vec![expected], ..DeliveryEvents::default() }),
            "{kind}"
        );
    }
}

#[test]
fn a_directory_that_was_torn_down_and_an_active_user_are_no_departures() {
    let workos = source("kind = \"workos\"");
    let torn_down = include_bytes!("../../data/payloads/workos.dsync.deleted.json").to_vec();
    let active = include_str!("../../data/payloads/workos.dsync.user.updated.inactive.json")
        .replace("\"inactive\"", "\"active\"");
    for (kind, body, facts) in [("dsync.deleted", torn_down, 0), ("dsync.user.updated", active.into_bytes(), 1)] {
        let ignored = Ignored { id: "event_01HZX3ABCDEF".to_owned(), kind: kind.to_owned(), reason: "not a departure" };
        let DeliveryEvents { departures, facts: stated, ignored: left, .. } = read(&workos, &body).unwrap();
        assert_eq!((departures, stated.len(), left), (vec![], facts, vec![ignored]));
    }
}

#[test]
fn standard_webhooks_take_their_id_from_the_header() {
    let directory = source("kind = \"standard_webhooks\"");
    let body = json!({"type": "user.deleted", "timestamp": "2026-01-31T18:41:59Z", "data": {"id": "u_1", "email": "ann@example.com"}});
    let expected = departure(
        "msg_1",
        "user.deleted",
        Some(datetime!(2026-01-31 18:41:59 UTC)),
        [Some("u_1"), None, Some("ann@example.com")],
    );
    assert_eq!(read(&directory, body.to_string().as_bytes()).unwrap().departures, [expected]);
}

#[test]
fn the_mapping_of_a_known_kind_can_be_replaced() {
    let directory = source(
        "kind = \"standard_webhooks\"\nevent = { type = \"/what\", departures = [\"gone\"] }\nperson = { external_id = \"/who\" }",
    );
    let delivery = read(&directory, br#"{"what": "gone", "who": 8931}"#).unwrap();
    assert_eq!(delivery.departures, [departure("msg_1", "gone", None, [None, Some("8931"), None])]);
}

#[test]
fn an_event_without_an_id_is_known_by_its_body() {
    let hr = source(&HR.replace("id = \"/id\", ", ""));
    let body = br#"{"event": "employee.terminated", "data": {"email": "ann@example.com"}}"#;
    let [first, second] =
        [&body[..], &[body, &b" "[..]].concat()].map(|body| read(&hr, body).unwrap().departures[0].id.clone());
    assert!(first.len() == 66 && first != second);
}

#[test]
fn a_person_may_lack_everything() {
    for data in [json!(null), json!({}), json!({"email": null, "employee_no": ""}), json!({"email": "not an address"})]
    {
        let body = json!({"id": "1", "event": "employee.terminated", "data": data}).to_string();
        let delivery = read(&source(HR), body.as_bytes()).unwrap();
        assert_eq!(delivery.departures[0].person, Person::default(), "{body}");
    }
}

#[test]
fn what_cannot_be_read_names_the_field_and_not_its_value() {
    let hr = source(HR);
    let missing = |pointer: &str| Unreadable::Missing(pointer.to_owned());
    let malformed = |pointer: &str| Unreadable::Malformed(pointer.to_owned());
    let good = json!({"id": "1", "event": "employee.terminated", "at": "2026-01-31T18:42:00Z", "data": {"email": "ann@example.com"}});
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body.to_string()
    };
    for (body, expected) in [
        (String::new(), Unreadable::NotJson),
        ("{".to_owned(), Unreadable::NotJson),
        ("id=1&event=employee.terminated".to_owned(), Unreadable::NotJson),
        ("[]".to_owned(), missing("/event")),
        ("null".to_owned(), missing("/event")),
        (with("/event", json!(null)), missing("/event")),
        (with("/event", json!(["employee.terminated"])), malformed("/event")),
        (with("/id", json!("")), missing("/id")),
        (with("/id", json!({})), malformed("/id")),
        (with("/id", json!("a\nb")), malformed("/id")),
        (with("/id", json!("x".repeat(600))), malformed("/id")),
        (with("/at", json!("tomorrow")), malformed("/at")),
        (with("/at", json!({})), malformed("/at")),
        (with("/data/email", json!(["ann@example.com"])), malformed("/data/email")),
        (with("/data/email", json!(true)), malformed("/data/email")),
    ] {
        assert_eq!(read(&hr, body.as_bytes()), Err(expected), "{body}");
    }
    assert!(read(&hr, b"\xff\xfe").is_err_and(|unreadable| unreadable == Unreadable::NotJson));
}

#[test]
fn a_sample_is_what_its_source_reads() {
    for table in ["kind = \"workos\"", "kind = \"standard_webhooks\"", HR] {
        let source = source(table);
        let delivery = read(&source, &source.sample("departure", "ann@example.com", "evt_9", NOW).unwrap().1).unwrap();
        let departure = &delivery.departures[0];
        assert!(departure.person.email.as_ref().is_some_and(|email| email.is("ann@example.com")), "{table}");
        assert_eq!(departure.event.occurred_at, Some(NOW.into()), "{table}");
    }
}

/// Without the word that somebody is back, an older departure would remove them.
#[test]
fn return_is_recorded_as_far_as_it_can_be_read() {
    let source = source(
        r#"kind = "token"
token = { header = "x-token" }
event = { id = "/id", type = "/type", occurred_at = "/at", departures = ["gone"], returns = ["hired"], people = ["changed"] }
person = { idp_id = "/who", email = "/mail", external_id = "/number" }"#,
    );
    for (event, expected) in [
        (
            json!({ "at": "soon" }),
            "active, proven #u1 ann@example.com; hired: unreadable; fault: field /at cannot be read",
        ),
        (json!({ "mail": {} }), "active, proven #u1; hired: unreadable; fault: field /mail cannot be read"),
        (json!({ "who": [] }), "active, proven ann@example.com; hired: unreadable; fault: field /who cannot be read"),
        (
            json!({ "number": {}, "at": {} }),
            "active, proven #u1 ann@example.com; hired: unreadable; fault: field /number cannot be read",
        ),
        (json!({ "type": "changed", "at": "soon" }), "changed: unreadable; fault: field /at cannot be read"),
    ] {
        let mut body = json!({ "id": 1, "type": "hired", "who": "u1", "mail": "ann@example.com" });
        body.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
        assert_eq!(told(&read(&source, body.to_string().as_bytes())), expected, "{body}");
    }
}

/// A batch: a list somewhere in the body, conditions on every event, tests, steps into lists.
const BATCH: &str = r#"kind = "token"
token = { header = "x-token" }
event = { items = ["/page/events", "/events"], id = "/id", type = ["/type", "/kind"], occurred_at = "/at", where = { "/tenant" = ["a", "b"] }, tests = { "/test" = true }, departures = ["gone", { type = "changed", where = { "/to" = ["left", 9, false] } }], suspensions = [{ type = "paused", where = { "/by" = "admin" } }], people = ["changed"] }
person = { idp_id = "/who/[role=subject]/id", email = ["/who/[role=subject]/mail", "/mail"], verified = "/proven" }"#;

#[test]
fn a_batch_is_read_event_by_event() {
    let batch = source(BATCH);
    let event = |id: u32, kind: &str| {
        json!({ "id": id, "type": kind, "tenant": "a", "mail": format!("p{id}@example.com"),
            "who": [{ "role": "witness", "id": "w", "mail": "w@example.com" }, { "role": "subject", "id": id }] })
    };
    let with = |id: u32, kind: &str, changes: Value| {
        let mut event = event(id, kind);
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        event
    };
    let two_subjects = json!([{ "role": "subject", "id": 1 }, { "role": "subject", "id": 2 }]);
    for (events, expected) in [
        (json!([event(1, "gone"), event(2, "gone")]), "left #1 p1@example.com; left #2 p2@example.com"),
        (json!([with(1, "gone", json!({ "tenant": "b" }))]), "left #1 p1@example.com"),
        (json!([with(1, "gone", json!({ "tenant": "c" }))]), "gone: not a departure"),
        (json!([with(1, "gone", json!({ "tenant": null }))]), "gone: not a departure"),
        (json!([with(1, "gone", json!({ "test": true }))]), "gone: a test"),
        (json!([with(1, "gone", json!({ "test": "true" }))]), "left #1 p1@example.com"),
        (json!([with(1, "gone", json!({ "who": two_subjects }))]), "left p1@example.com"),
        (json!([with(1, "gone", json!({ "type": null, "kind": "gone" }))]), "left #1 p1@example.com"),
        (json!([with(1, "changed", json!({ "to": "left" }))]), "left #1 p1@example.com"),
        (json!([with(1, "changed", json!({ "to": 9 }))]), "left #1 p1@example.com"),
        (json!([with(1, "changed", json!({ "to": false }))]), "left #1 p1@example.com"),
        (json!([with(1, "changed", json!({ "to": "9" }))]), "proven #1 p1@example.com; changed: not a departure"),
        (json!([with(1, "paused", json!({ "by": "admin" }))]), "paused: a suspension"),
        (json!([event(1, "paused")]), "paused: not a departure"),
        (
            json!([with(1, "gone", json!({ "proven": 0 }))]),
            "left #1; fault: field /proven does not say that the e-mail address is verified",
        ),
        // What is taught and cannot be read costs nothing but itself.
        (json!([with(1, "changed", json!({ "mail": {} }))]), "changed: unreadable; fault: field /mail cannot be read"),
        (
            json!([with(1, "gone", json!({ "at": "late" })), event(2, "gone")]),
            "left nobody; left #2 p2@example.com; fault: field /at cannot be read",
        ),
        (
            json!([event(1, "gone"), with(2, "gone", json!({ "id": null }))]),
            "left #1 p1@example.com; left nobody; fault: field /id is missing",
        ),
        (json!([with(1, "gone", json!({ "at": "late" })), 7]), "400: field /at cannot be read"),
        (json!(event(1, "gone")), "left #1 p1@example.com"),
        (json!([]), ""),
        (json!(7), "400: field /events cannot be read"),
    ] {
        let told = told(&read(&batch, json!({ "events": events }).to_string().as_bytes()));
        assert_eq!(told, expected, "{events}");
    }
    let page = json!({ "page": { "events": [event(1, "gone")] }, "events": [event(2, "gone")] });
    assert_eq!(told(&read(&batch, page.to_string().as_bytes())), "left #1 p1@example.com");
    assert_eq!(told(&read(&batch, b"{}")), "400: field /page/events is missing");
}

#[test]
fn ten_thousand_departures_are_ten_thousand_departures() {
    let events: Vec<_> = (0..10_000).map(|id| json!({ "id": id, "type": "gone", "tenant": "a" })).collect();
    let delivery = read(&source(BATCH), json!({ "events": events }).to_string().as_bytes()).unwrap();
    assert_eq!((delivery.departures.len(), delivery.departures[9_999].id.as_str()), (10_000, "s/9999"));
}

#[test]
fn delivery_of_more_events_is_refused_as_a_whole() {
    let events: Vec<_> = (0..10_001).map(|id| json!({ "id": id, "type": "gone", "tenant": "a" })).collect();
    let refused = "400: the delivery holds more than 10000 events: let its sender make smaller batches";
    assert_eq!(told(&read(&source(BATCH), json!({ "events": events }).to_string().as_bytes())), refused);
    let onelogin = source("kind = \"onelogin\"\nevent = { departures = [\"17\"] }");
    assert_eq!(told(&read(&onelogin, &b"{\"uuid\":1}\n".repeat(10_001))), refused);
    // One that is repeated until it is answered with 200 gets it, and the error is kept.
    let pingone = read(&source("kind = \"pingone\""), json!(vec![0; 10_001]).to_string().as_bytes()).unwrap();
    assert_eq!(pingone.unreadable, [Unreadable::TooManyEvents]);
}

#[test]
fn departure_of_a_person_with_countless_addresses_needs_a_person() {
    let list = source(&BATCH.replace("email = [\"/who/[role=subject]/mail\", \"/mail\"]", "emails = \"/mails\""));
    let event = |id: u32, count: u32| {
        let mails: Vec<_> = (0..count).map(|n| format!("p{n}@example.com")).collect();
        json!({ "id": id, "type": "gone", "tenant": "a", "mails": mails })
    };
    let body = json!({ "events": [event(1, 101), event(2, 100)] }).to_string();
    let delivery = read(&list, body.as_bytes()).unwrap();
    let emails: Vec<_> = delivery.departures.iter().map(|departure| departure.person.emails().count()).collect();
    assert_eq!(emails, [0, 100]);
    assert_eq!(delivery.unreadable, [Unreadable::Malformed("/mails".to_owned())]);
}

#[test]
fn bare_date_is_kept_as_the_day_that_was_said() {
    let body = json!({"id": "1", "event": "employee.terminated", "at": "2026-01-31"}).to_string();
    let delivery = read(&source(HR), body.as_bytes()).unwrap();
    assert_eq!(delivery.departures[0].event.occurred_at, Some(EventTime::Day(date!(2026 - 01 - 31))));
}

#[test]
fn a_body_that_can_be_read_in_two_ways_is_refused() {
    let hr = source(HR);
    for body in [
        r#"{"id": "1", "event": "employee.hired", "event": "employee.terminated", "data": {"email": "ann@example.com"}}"#,
        r#"{"id": "1", "event": "employee.terminated", "data": {"email": "ann@example.com", "email": "bob@example.com"}}"#,
    ] {
        assert_eq!(read(&hr, body.as_bytes()), Err(Unreadable::KeyTwice), "{body}");
    }
    let deep =
        format!(r#"{{"id": "1", "event": "employee.terminated", "data": {}1{}}}"#, "[".repeat(500), "]".repeat(500));
    assert_eq!(read(&hr, deep.as_bytes()), Err(Unreadable::NotJson));
}

#[test]
fn numbers_are_ids_to_the_last_digit() {
    for (written, expected) in [
        ("9007199254740993", "left +9007199254740993"),
        ("18446744073709551615", "left +18446744073709551615"),
        ("18446744073709551616", "400: field /data/employee_no cannot be read"),
        ("-7", "left +-7"),
        ("1.0", "400: field /data/employee_no cannot be read"),
        ("\" 8931 \"", "left +8931"),
        ("\"08931\"", "left +08931"),
    ] {
        let body = format!(r#"{{"id": "1", "event": "employee.terminated", "data": {{"employee_no": {written}}}}}"#);
        assert_eq!(told(&read(&source(HR), body.as_bytes())), expected, "{written}");
    }
}

#[test]
fn an_address_in_two_forms_is_one_and_a_name_with_an_address_is_none() {
    let list = source(&HR.replace("email = \"/data/email\"", "emails = \"/data/emails\""));
    let body =
        |emails: Value| json!({ "id": "1", "event": "employee.terminated", "data": { "emails": emails } }).to_string();
    let delivery =
        read(&list, body(json!(["Ann@Example.com", " ann@example.com", "a.nn@example.com"])).as_bytes()).unwrap();
    let known = delivery.departures[0].person.identities(Default::default());
    assert_eq!(known.len(), 2, "{known:?}");
    for (emails, expected) in [
        (json!(["Ann <ann@example.com>", "mailto:ann@example.com", ""]), "left nobody"),
        (json!(["ann", "ann@example.com"]), "left ann@example.com"),
        (json!("ann@example.com"), "400: field /data/emails cannot be read"),
        (json!([["ann@example.com"]]), "400: field /data/emails cannot be read"),
        (json!([]), "left nobody"),
    ] {
        assert_eq!(told(&read(&list, body(emails.clone()).as_bytes())), expected, "{emails}");
    }
}

#[test]
fn every_senders_way_to_write_a_time_is_read() {
    let utc = datetime!(2026-01-31 18:42:00 UTC);
    for (sender, written, expected) in [
        ("Okta", json!("2026-01-31T18:42:00.000Z"), utc),
        ("Scalekit", json!("2026-01-31T18:42:00.000000000Z"), utc),
        ("WorkOS", json!("2026-01-31 18:42:00.000"), utc),
        ("Zitadel", json!("2026-01-31T19:42:00.000000+01:00"), utc),
        ("BambooHR", json!("2026-01-31T18:42:00+0000"), utc),
        ("HiBob", json!("2026-01-31T18:42:00.000000"), utc),
        ("OneLogin", json!("2026-01-31 18:42:00 UTC"), utc),
        ("Clerk, Keycloak, FusionAuth", json!(1_769_884_920_000_u64), utc),
        ("Clerk's examples, tokens", json!(1_769_884_920), utc),
    ] {
        let body = json!({ "id": "1", "event": "employee.terminated", "at": written });
        let delivery = read(&source(HR), body.to_string().as_bytes()).unwrap();
        assert_eq!(delivery.departures[0].event.occurred_at, Some(expected.into()), "{sender}");
    }
}

#[test]
fn an_event_that_cannot_be_read_and_stands_twice_is_one_departure() {
    let onelogin = source("kind = \"onelogin\"\nevent = { departures = [\"17\"] }");
    let event = |id: &str, user: Value| json!({"uuid": id, "event_type_id": 17, "user_id": user});
    let (good, unreadable) = (event("e_1", json!(1)), event("e_2", json!({})));
    let delivery = read(&onelogin, json!([good, unreadable, unreadable]).to_string().as_bytes()).unwrap();
    let ids: Vec<_> = delivery.departures.iter().map(|one| &one.id).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    assert_eq!(delivery.ignored[0].reason, "duplicate in this delivery");
}

#[test]
fn a_signed_id_with_a_control_character_is_none() {
    let directory = source("kind = \"standard_webhooks\"");
    let body = br#"{"type": "user.deleted", "data": {"email": "ann@example.com"}}"#;
    let read = |id: &str| crate::signing::read_with_id(&directory, id, &[], body);
    for id in ["msg\t1", &"m".repeat(513)] {
        assert_eq!(read(id), Err(Unreadable::Malformed("the delivery's id".to_owned())));
    }
    assert_eq!(read("msg 1").unwrap().departures[0].event.id, "msg 1");
}
