//! What verified bodies mean: recorded payloads, and bodies that cannot be read.

use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    config::Config,
    departure::{Delivery, Departure, Event, Ignored},
    person::{Email, Person},
    secrets::Secret,
    source::{Source, Unreadable},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
const KEY: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

const HR: &str = r#"kind = "hmac"
signature = { header = "x-hr-signature", prefix = "sha256=" }
event = { id = "/id", type = "/event", departures = ["employee.terminated"], occurred_at = "/at" }
person = { email = "/data/email", external_id = "/data/employee_no" }"#;

fn source(table: &str) -> Source {
    let text = format!("[sources.s]\n{table}\n[providers.instaply]\nkind = \"instaply\"\n");
    Config::parse(&text, None).unwrap_or_else(|faults| panic!("{faults}")).sources["s"].clone()
}

/// What a source makes of a body that its sender signed.
fn read(source: &Source, body: &[u8]) -> Result<Delivery, Unreadable> {
    read_with_id(source, "msg_1", body)
}

fn read_with_id(source: &Source, id: &str, body: &[u8]) -> Result<Delivery, Unreadable> {
    let signed = source.scheme.sign(&SecretString::from(KEY), id, NOW, body).unwrap();
    let pairs = signed
        .headers
        .iter()
        .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap()));
    let headers: HeaderMap = pairs.collect();
    let secret = Secret::parse("s", &json!({ source.scheme.secret_keys().0: KEY }).to_string()).unwrap();
    let verified = source.scheme.verify(&headers, body, &source.scheme.keys(&secret).unwrap(), NOW).unwrap();
    source.delivery(&verified)
}

fn departure(event_id: &str, kind: &str, at: Option<OffsetDateTime>, person: [Option<&str>; 3]) -> Departure {
    let [idp_id, external_id, email] = person.map(|text| text.map(str::to_owned));
    Departure {
        id: format!("s/{event_id}"),
        source: "s".to_owned(),
        event: Event { id: event_id.to_owned(), kind: kind.to_owned(), occurred_at: at, organization: None },
        person: Person {
            idp_id,
            external_id,
            email: email.and_then(|email| Email::parse(&email)),
            other_emails: vec![],
        },
    }
}

#[test]
fn a_directory_user_who_was_deleted_or_became_inactive_has_left() {
    let workos = source("kind = \"workos\"");
    let person = [Some("directory_user_01E1X1B89NH8Z3SDFJR4H7RGX7"), Some("8931"), Some("lela.block@example.com")];
    for (kind, body) in [
        ("dsync.user.deleted", &include_bytes!("payloads/workos.dsync.user.deleted.json")[..]),
        ("dsync.user.updated", &include_bytes!("payloads/workos.dsync.user.updated.inactive.json")[..]),
    ] {
        let mut expected = departure("event_01HZX3ABCDEF", kind, Some(datetime!(2026-01-15 12:00:00 UTC)), person);
        expected.event.organization = Some("org_01EZTR6WYX1A0DSE2CYMGXQ24Y".to_owned());
        assert_eq!(read(&workos, body), Ok(Delivery { departures: vec![expected], ..Delivery::default() }), "{kind}");
    }
}

#[test]
fn a_directory_that_was_torn_down_and_an_active_user_are_no_departures() {
    let workos = source("kind = \"workos\"");
    let torn_down = include_bytes!("payloads/workos.dsync.deleted.json").to_vec();
    let active = include_str!("payloads/workos.dsync.user.updated.inactive.json").replace("\"inactive\"", "\"active\"");
    for (kind, body, returns) in [("dsync.deleted", torn_down, 0), ("dsync.user.updated", active.into_bytes(), 1)] {
        let ignored = Ignored { id: "event_01HZX3ABCDEF".to_owned(), kind: kind.to_owned(), reason: "not a departure" };
        let Delivery { departures, returns: returned, ignored: left, .. } = read(&workos, &body).unwrap();
        assert_eq!((departures, returned.len(), left), (vec![], returns, vec![ignored]));
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
fn a_condition_may_be_any_value_and_holds_only_for_the_same() {
    let rule = r#"departures = [{ type = "user_updated", where = { "/data/active" = false, "/data/level" = 3 } }]"#;
    let hr = source(&HR.replace(r#"departures = ["employee.terminated"]"#, rule));
    for (active, level, left) in [
        (json!(false), json!(3), 1),
        (json!(true), json!(3), 0),
        (json!("false"), json!(3), 0),
        (json!(null), json!(3), 0),
        (json!(false), json!(4), 0),
    ] {
        let body = json!({"id": "1", "event": "user_updated", "data": {"active": active, "level": level}}).to_string();
        assert_eq!(read(&hr, body.as_bytes()).unwrap().departures.len(), left, "{body}");
    }
    let sample: Value =
        serde_json::from_slice(&hr.sample("departure", "ann@example.com", "1", NOW).unwrap().1).unwrap();
    assert_eq!((&sample["data"]["active"], &sample["data"]["level"]), (&json!(false), &json!(3)));
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
        assert_eq!(departure.event.occurred_at, Some(NOW), "{table}");
    }
}

#[test]
fn an_event_that_cannot_be_read_and_stands_twice_is_one_departure() {
    let onelogin = source("kind = \"onelogin\"\nevent = { departures = [\"17\"] }");
    let good = json!({"uuid": "e_1", "event_type_id": 17, "user_id": 1});
    let unreadable = json!({"uuid": "e_2", "event_type_id": 17, "user_id": {}});
    let delivery = read(&onelogin, json!([good, unreadable, unreadable]).to_string().as_bytes()).unwrap();
    let ids: Vec<_> = delivery.departures.iter().map(|departure| &departure.id).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    assert_eq!(delivery.ignored[0].reason, "stands twice in this delivery");
}

#[test]
fn a_signed_id_with_a_control_character_is_none() {
    let directory = source("kind = \"standard_webhooks\"");
    let body = br#"{"type": "user.deleted", "data": {"email": "ann@example.com"}}"#;
    let expected = Err(Unreadable::Malformed("the delivery's id".to_owned()));
    assert_eq!(read_with_id(&directory, "msg\t1", body), expected);
    assert_eq!(read_with_id(&directory, &"m".repeat(513), body), expected);
    assert_eq!(read_with_id(&directory, "msg 1", body).unwrap().departures[0].event.id, "msg 1");
}
