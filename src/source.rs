//! The identity sources: who may report a departure, how it signs, and what its bodies mean.
//!
//! A source is data: a [`Scheme`] to verify with and JSON Pointers (RFC 6901) to read with. The senders known by name stand
//! in `senders.toml`; `kind = "hmac"` takes the same keys from the configuration.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use toml::de::DeTable;

use crate::{
    config::{Findings, Section},
    departure::Delivery,
    webhook::{Scheme, Signature, Verified},
};

mod reading;

pub use reading::Unreadable;
use reading::{EventMap, PersonMap};

/// The senders known by name.
const SENDERS: &str = include_str!("senders.toml");
/// The kind whose every parameter stands in the configuration.
const GENERIC: &str = "hmac";

/// One identity source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, in the webhook's address.
    pub name: String,
    /// The name of its secret.
    pub secret: String,
    /// How it signs.
    pub scheme: Scheme,
    /// What it wants to be told.
    pub reply: Reply,
    /// How long its sender waits for an answer. What is not done by then is left to the queue, where there is one.
    pub patience: Duration,
    event: EventMap,
    person: PersonMap,
}

/// What a sender gets for a delivery that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The report.
    #[default]
    Report,
    /// Nothing: the status says it all.
    Empty,
}

/// `[sources.NAME]`, and a table of `senders.toml`.
#[derive(Deserialize)]
struct Table {
    secret: Option<String>,
    #[serde(default)]
    reply: Reply,
    #[serde(default = "ten_seconds", with = "crate::config::duration")]
    patience: Duration,
    signature: Option<Signature>,
    event: Option<EventMap>,
    person: Option<PersonMap>,
}

/// Few senders say how long they wait for an answer; those who do wait for 10 to 30 seconds.
fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

impl Source {
    /// Reads a source's table.
    pub(crate) fn read(name: &str, mut section: Section<'_>, findings: &mut Findings<'_>) -> Option<Self> {
        let (path, span) = (section.name.clone(), section.table.span());
        let kind = section.kind(findings)?;
        let given: Table = section.read(findings)?;
        let mut fault = |message: String| {
            findings.add(Some(span.clone()), format!("`{path}`: {message}"));
            None
        };
        let known = match sender(&kind) {
            _ if kind == GENERIC => None,
            Some(_) if given.signature.is_some() => {
                return fault(format!("`signature` goes with kind `{GENERIC}`: how `{kind}` signs is known"));
            }
            Some(known) => Some(known),
            None => return fault(format!("unknown kind `{kind}`: expected one of {}", Self::kinds().join(", "))),
        };
        let (signature, event, person) =
            known.map_or((None, None, None), |known| (known.signature, known.event, known.person));
        let Some(signature) = given.signature.or(signature) else {
            return fault("`signature` is missing".to_owned());
        };
        let (Some(event), Some(person)) = (given.event.or(event), given.person.or(person)) else {
            return fault("`event` and `person` must say where to read (JSON Pointers)".to_owned());
        };
        Some(Self {
            secret: given.secret.unwrap_or_else(|| format!("offboard/sources/{name}")),
            name: name.to_owned(),
            scheme: signature.scheme().clone(),
            reply: given.reply,
            patience: given.patience,
            event,
            person,
        })
    }

    /// The names of all kinds, sorted.
    pub fn kinds() -> Vec<String> {
        let table = DeTable::parse(SENDERS).map(toml::Spanned::into_inner).unwrap_or_default();
        let mut kinds: Vec<_> = table.into_iter().map(|(key, _)| key.into_inner().into_owned()).collect();
        kinds.push(GENERIC.to_owned());
        kinds.sort();
        kinds
    }

    /// What a verified delivery says.
    ///
    /// # Errors
    /// Which field is missing or cannot be read.
    pub fn delivery(&self, verified: &Verified) -> Result<Delivery, Unreadable> {
        reading::delivery(&self.name, &self.event, &self.person, verified)
    }

    /// The body of a sample departure as this source would send it: of a person with this address, at `now`.
    pub fn sample(&self, email: &str, event_id: &str, now: OffsetDateTime) -> Vec<u8> {
        let mut body = Value::Object(serde_json::Map::new());
        let mut set = |pointer: &Option<String>, value: String| {
            if let Some(pointer) = pointer {
                put(&mut body, pointer, Value::String(value));
            }
        };
        set(&self.event.id, event_id.to_owned());
        set(&self.event.occurred_at, now.format(&Rfc3339).unwrap_or_default());
        set(&self.person.email, email.to_owned());
        set(&self.person.idp_id, format!("sample-{event_id}"));
        if let Some(rule) = self.event.departures.first() {
            put(&mut body, &self.event.kind, Value::String(rule.kind.clone()));
            for (pointer, value) in &rule.conditions {
                put(&mut body, pointer, value.clone());
            }
        }
        body.to_string().into_bytes()
    }
}

/// The row of a sender known by name.
fn sender(kind: &str) -> Option<Table> {
    let mut table: BTreeMap<String, toml::Table> = toml::from_str(SENDERS).ok()?;
    table.remove(kind)?.try_into().ok()
}

/// Puts a value where a JSON Pointer points, making the objects on the way.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut place = body;
    for token in pointer.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = &mut place[key];
    }
    *place = value;
}
