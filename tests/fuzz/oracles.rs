//! What must hold of every input.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use offboard::{
    departure::DeliveryEvents,
    person::{Email, Person},
    webhook::Verified,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::{
    case::Case,
    corpus::{self, ACTOR},
    doors::{Door, NOW, Sent},
};

/// The longest text that is believed, and so the longest id.
const LONGEST: usize = 512;

/// What a door takes was signed for it, and a refusal gives nothing away.
pub fn verifier(case: &Case) {
    let sent = Sent { headers: case.header_map(), body: case.body.clone() };
    let door = case.door;
    match door.verify(&sent, NOW) {
        Ok(verified) => assert!(signed(door, &sent, &verified), "taken, though nobody signed it"),
        Err(refusal) => {
            let shown = format!("{refusal} {refusal:?}");
            let values = case.headers.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok());
            // Short ones may stand in any sentence.
            let leaked = values.filter(|value| value.len() > 20).any(|value| shown.contains(value));
            assert!(!leaked && !shown.contains(door.secret.expose_secret()) && !shown.contains('@'), "{shown}");
        }
    }
}

fn signed(door: &'static Door, sent: &Sent, verified: &Verified) -> bool {
    corpus::signed(door).into_iter().any(|good| {
        let good = Sent { headers: good.header_map(), body: good.body };
        let proven = door.verify(&good, NOW).expect("what is signed is taken");
        // White space around a token is none of it.
        let bare = |value: &http::HeaderValue| value.to_str().unwrap_or_default().replace([' ', '\t'], "");
        let shows = |value| sent.headers.values().any(|given| bare(given) == bare(value));
        match door.covers_body {
            true => proven.body() == verified.body() && proven.id() == verified.id(),
            false => good.headers.values().all(shows) && proven.id() == verified.id(),
        }
    })
}

/// What a reader says stands in the body, and nothing of it is shown that should not be.
pub fn reader(case: &Case) {
    let Some(verified) = delivered(case) else { return };
    let read = case.door.source.delivery(&verified);
    assert_eq!(read, case.door.source.delivery(&verified), "read twice, read differently");
    assert!(!format!("{verified:?}").contains(case.door.secret.expose_secret()));
    let delivery = match read {
        Ok(delivery) => delivery,
        Err(unreadable) => {
            let shown = format!("{unreadable} {unreadable:?}");
            return assert!(!shown.contains('@') && shown.len() < 200, "{shown}");
        }
    };
    ids(&delivery);
    addresses(&delivery, verified.body());
    shown(&delivery, case.door);
    if !case.moved && !names_the_actor(case, verified.body()) {
        for person in people(&delivery) {
            let traits = [&person.idp_id, &person.external_id].into_iter().flatten().map(String::as_str);
            let mut traits = traits.chain(person.emails().map(Email::expose));
            assert!(!traits.any(|text| text.contains(ACTOR)), "who did it was taken for whom it was done to");
        }
    }
}

/// The input as its sender would have signed it; `None` for what it could not sign or HTTP not carry.
fn delivered(case: &Case) -> Option<Verified> {
    let scheme = &case.door.source.scheme;
    let signed = scheme.sign(&case.door.secret, &case.id, NOW, &case.body)?;
    let mut headers = case.header_map();
    for (name, value) in signed.headers {
        headers.insert(http::HeaderName::try_from(name).ok()?, http::HeaderValue::try_from(value).ok()?);
    }
    case.door.verify(&Sent { headers, body: signed.body }, NOW).ok()
}

/// In one of Keycloak's events that a user causes, the actor is the subject.
fn names_the_actor(case: &Case, body: &[u8]) -> bool {
    let kind = |body: &Value| body["type"].as_str().is_some_and(|kind| kind.starts_with("access."));
    case.door.source.kind.name == "keycloak" && serde_json::from_slice(body).is_ok_and(|body| kind(&body))
}

fn people(delivery: &DeliveryEvents) -> impl Iterator<Item = &Person> {
    let left = delivery.departures.iter().map(|departure| &departure.person);
    left.chain(delivery.facts.iter().map(|fact| &fact.person))
}

/// Ids are the source's own, plain, bounded, and each stands for one departure.
fn ids(delivery: &DeliveryEvents) {
    let mut whole = HashSet::new();
    for departure in &delivery.departures {
        assert_eq!(departure.id, format!("s/{}", departure.event.id));
        assert_eq!(departure.source, "s");
        assert!(whole.insert(&departure.id), "two departures of one id");
    }
    let departures = delivery.departures.iter().map(|departure| &departure.event);
    let of_people = people(delivery).flat_map(|person| [&person.idp_id, &person.external_id]).flatten();
    let events = departures.clone().flat_map(|event| [&event.id, &event.kind]);
    let ignored = delivery.ignored.iter().flat_map(|ignored| [&ignored.id, &ignored.kind]);
    let organizations = departures.filter_map(|event| event.organization.as_ref());
    for text in of_people.chain(events).chain(ignored).chain(organizations) {
        assert!(!text.is_empty() && text.len() <= LONGEST, "an id of {} bytes", text.len());
        assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
    }
}

/// Nobody has an address that the body does not name.
fn addresses(delivery: &DeliveryEvents, body: &[u8]) {
    let mut texts = HashSet::new();
    // A line that is torn costs no other.
    for part in body.split(|byte| *byte == b'\n').chain([body]) {
        for document in serde_json::Deserializer::from_slice(part).into_iter::<Value>().map_while(Result::ok) {
            collect(&document, &mut texts);
        }
    }
    for email in people(delivery).flat_map(Person::emails) {
        assert!(texts.contains(email.expose()), "an address that does not stand in the body");
    }
}

fn collect(value: &Value, texts: &mut HashSet<String>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
        Value::String(text) => {
            // Two senders write JSON into a text.
            let decoded = BASE64_STANDARD.decode(text).unwrap_or_default();
            for inner in [text.as_bytes(), &decoded] {
                if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(inner) {
                    collect(&inner, texts);
                }
            }
            texts.insert(text.trim().to_owned());
        }
        _ => {}
    }
}

/// No address is shown in full, unless it is an id as well; no secret at all.
fn shown(delivery: &DeliveryEvents, door: &Door) {
    let shown = format!("{delivery:?}");
    assert!(!shown.contains(door.secret.expose_secret()), "a secret is shown");
    let departures = || delivery.departures.iter().map(|departure| &departure.event);
    let of_people = people(delivery).flat_map(|person| [&person.idp_id, &person.external_id]).flatten();
    let events = departures()
        .flat_map(|event| [&event.id, &event.kind])
        .chain(departures().filter_map(|event| event.organization.as_ref()));
    let ignored = delivery.ignored.iter().flat_map(|ignored| [&ignored.id, &ignored.kind]);
    let ids: Vec<_> = of_people.chain(events).chain(ignored).collect();
    for email in people(delivery).flat_map(Person::emails).map(Email::expose) {
        let is_id = ids.iter().any(|id| id.contains(email));
        assert!(is_id || !shown.contains(email), "an address is shown in full");
    }
    let faults: String = delivery.unreadable.iter().map(|fault| format!("{fault} {fault:?}")).collect();
    assert!(!faults.contains('@'), "{faults}");
}
