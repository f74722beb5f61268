//! Reading a verified body by JSON Pointers.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{
    departure::{Delivery, Departure, Event, Ignored, Return, parse_time},
    person::{Email, Person},
    webhook::Verified,
};

/// The longest id that is believed, in bytes.
const LONGEST_ID: usize = 512;

/// Where an event's own traits stand, and which events are departures.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "EventTable")]
pub(super) struct EventMap {
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) departures: Vec<Rule>,
    pub(super) returns: Vec<Rule>,
    pub(super) occurred_at: Option<String>,
}

#[derive(Deserialize)]
struct EventTable {
    id: Option<String>,
    r#type: String,
    departures: Vec<RuleText>,
    #[serde(default)]
    returns: Vec<RuleText>,
    occurred_at: Option<String>,
}

/// Of two forms, so that serde buffers it and the unknown keys in it cannot be noted one by one: they are refused here.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a departure is the type of an event, or { type = \"…\", where = { \"/pointer\" = value } }"
)]
enum RuleText {
    Type(String),
    Conditional { r#type: String, r#where: BTreeMap<String, Value> },
}

/// An event of this type is a departure, if all conditions (JSON Pointer and value) hold.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) kind: String,
    pub(super) conditions: BTreeMap<String, Value>,
}

/// Where a person's traits stand.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "PersonTable")]
pub(super) struct PersonMap {
    pub(super) idp_id: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) email: Option<String>,
}

#[derive(Deserialize)]
struct PersonTable {
    idp_id: Option<String>,
    external_id: Option<String>,
    email: Option<String>,
}

impl TryFrom<EventTable> for EventMap {
    type Error = String;

    fn try_from(table: EventTable) -> Result<Self, String> {
        let rule = |text| match text {
            RuleText::Type(kind) => Rule { kind, conditions: BTreeMap::new() },
            RuleText::Conditional { r#type, r#where } => Rule { kind: r#type, conditions: r#where },
        };
        let departures: Vec<_> = table.departures.into_iter().map(rule).collect();
        if departures.is_empty() {
            return Err("`departures` names no event".to_owned());
        }
        let returns: Vec<_> = table.returns.into_iter().map(rule).collect();
        let conditions = departures.iter().chain(&returns).flat_map(|rule| rule.conditions.keys());
        check_pointers(conditions.chain([&table.r#type]).chain(&table.id).chain(&table.occurred_at))?;
        Ok(Self { id: table.id, kind: table.r#type, departures, returns, occurred_at: table.occurred_at })
    }
}

impl TryFrom<PersonTable> for PersonMap {
    type Error = String;

    fn try_from(PersonTable { idp_id, external_id, email }: PersonTable) -> Result<Self, String> {
        if email.is_none() && external_id.is_none() {
            return Err("`person` needs `email` or `external_id`: providers know people by nothing else".to_owned());
        }
        check_pointers([&idp_id, &external_id, &email].into_iter().flatten())?;
        Ok(Self { idp_id, external_id, email })
    }
}

fn check_pointers<'a>(pointers: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    match pointers.into_iter().find(|pointer| !pointer.starts_with('/')) {
        Some(pointer) => Err(format!("`{pointer}` is no JSON Pointer: it begins with a /")),
        None => Ok(()),
    }
}

/// A body that was signed, but cannot be read. Names the place, never what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no JSON.
    NotJson,
    /// A field that is needed is missing.
    Missing(String),
    /// A field has another form than the source promises.
    Malformed(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("the body is not JSON"),
            Self::Missing(pointer) => write!(f, "field {pointer} is missing"),
            Self::Malformed(pointer) => write!(f, "field {pointer} cannot be read"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// What a delivery of this source says.
pub(super) fn delivery(
    source: &str,
    event: &EventMap,
    map: &PersonMap,
    verified: &Verified,
) -> Result<Delivery, Unreadable> {
    let body: Value = serde_json::from_slice(verified.body()).map_err(|_| Unreadable::NotJson)?;
    let kind = text(&body, &event.kind)?.ok_or_else(|| Unreadable::Missing(event.kind.clone()))?;
    let id = event_id(event, &body, verified)?;
    let among = |rules: &[Rule]| rules.iter().any(|rule| rule.fits(&kind, &body));
    let (left, came_back) = (among(&event.departures), among(&event.returns));
    let read = |pointer: &Option<String>| pointer.as_ref().map_or(Ok(None), |pointer| text(&body, pointer));
    let person = |map: &PersonMap| {
        let email = read(&map.email)?.and_then(|text| Email::parse(&text));
        Ok(Person { idp_id: read(&map.idp_id)?, external_id: read(&map.external_id)?, email, ..Person::default() })
    };
    let mut delivery = Delivery::default();
    if left {
        let event = Event { occurred_at: occurred_at(event, &body)?, id, kind };
        let id = format!("{source}/{}", event.id);
        delivery.departures.push(Departure { id, source: source.to_owned(), event, person: person(map)? });
    } else {
        if came_back {
            delivery.returns.push(Return { person: person(map)?, at: occurred_at(event, &body)? });
        }
        delivery.ignored.push(Ignored { id, kind, reason: "not a departure" });
    }
    Ok(delivery)
}

impl Rule {
    fn fits(&self, kind: &str, body: &Value) -> bool {
        let holds = |(at, is): (&String, &Value)| body.pointer(at) == Some(is);
        self.kind == kind && self.conditions.iter().all(holds)
    }
}

/// The id that all deliveries of an event share: the one that is signed, the one in the body, or the body's own hash.
fn event_id(event: &EventMap, body: &Value, verified: &Verified) -> Result<String, Unreadable> {
    if let Some(id) = verified.id() {
        let usable = id.len() <= LONGEST_ID;
        return if usable { Ok(id.to_owned()) } else { Err(Unreadable::Malformed("the delivery's id".to_owned())) };
    }
    match &event.id {
        Some(pointer) => text(body, pointer)?.ok_or_else(|| Unreadable::Missing(pointer.clone())),
        None => Ok(hex::encode(Sha256::digest(verified.body()))),
    }
}

fn occurred_at(event: &EventMap, body: &Value) -> Result<Option<OffsetDateTime>, Unreadable> {
    let Some(pointer) = &event.occurred_at else { return Ok(None) };
    match body.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => parse_time(value).map(Some).ok_or_else(|| Unreadable::Malformed(pointer.clone())),
    }
}

/// A text, or a number as text; `None` where there is nothing, or nothing but white space.
fn text(body: &Value, pointer: &str) -> Result<Option<String>, Unreadable> {
    let text = match body.pointer(pointer) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(_) => return Err(Unreadable::Malformed(pointer.to_owned())),
    };
    if text.len() > LONGEST_ID || text.chars().any(char::is_control) {
        return Err(Unreadable::Malformed(pointer.to_owned()));
    }
    Ok((!text.is_empty()).then_some(text))
}
