//! Reading a verified delivery: its events, what each means, and whom it is about.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    place::{LONGEST_TEXT, Places, text},
    rules::{EventMap, Meaning, PersonMap},
};
use crate::{
    departure::{Delivery, Departure, Event, Ignored, Lesson, Return, Verification, parse_time},
    person::{Email, Person},
    webhook::Verified,
};

/// Why a delivery is ignored that only tries the connection.
const A_TEST: &str = "a test";
const TWICE: &str = "stands twice in this delivery";

/// How a sender's own form becomes JSON documents that places can point into.
pub(super) type Unfold = fn(&Verified) -> Result<Vec<Value>, Unreadable>;

/// What a source's deliveries mean.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) event: EventMap,
    pub(super) person: PersonMap,
    pub(super) unfold: Option<Unfold>,
    /// Whether an address is believed that its sender calls unproven.
    pub(super) accept_unverified: bool,
    /// Whether a delivery that cannot be read is answered as if it could: its sender would repeat it for days.
    pub(super) accept_unreadable: bool,
}

/// A delivery, or an event in it, that is genuine but cannot be read. Names the place, never what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no JSON.
    NotJson,
    /// A field that is needed is missing.
    Missing(String),
    /// A field has another form than the source promises.
    Malformed(String),
    /// The source says that the person's address is not proven to be theirs.
    Unproven(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("the body is not JSON"),
            Self::Missing(pointer) => write!(f, "field {pointer} is missing"),
            Self::Malformed(pointer) => write!(f, "field {pointer} cannot be read"),
            Self::Unproven(pointer) => write!(f, "field {pointer} says that the address is not proven"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Reader {
    /// What a delivery of this source says.
    ///
    /// In a delivery of several events, one that cannot be read costs no other: it is among the faults.
    pub(super) fn delivery(&self, source: &str, verified: &Verified) -> Result<Delivery, Unreadable> {
        match self.events(verified) {
            Ok(events) => self.read_all(source, &events, verified),
            Err(fault) => self.accepted(Delivery::default(), fault),
        }
    }

    /// The events in a delivery.
    fn events(&self, verified: &Verified) -> Result<Vec<Value>, Unreadable> {
        let documents = match self.unfold {
            Some(unfold) => unfold(verified)?,
            None if self.event.lines => documents(verified.body())?,
            None => vec![document(verified.body())?],
        };
        let Some(items) = &self.event.items else { return Ok(documents) };
        let mut events = Vec::new();
        for document in documents {
            let malformed = || Unreadable::Malformed(items.name());
            match items.find(&document) {
                Some((_, Value::Array(list))) => events.extend(list.iter().cloned()),
                Some((_, event @ Value::Object(_))) => events.push(event.clone()),
                Some(_) => return Err(malformed()),
                None => return Err(Unreadable::Missing(items.name())),
            }
        }
        Ok(events)
    }

    fn read_all(&self, source: &str, events: &[Value], verified: &Verified) -> Result<Delivery, Unreadable> {
        let mut delivery = Delivery::default();
        let mut faults = Vec::new();
        for event in events {
            let signed = (events.len() == 1).then_some(verified);
            if let Err(fault) = self.read(source, event, signed, &mut delivery) {
                self.salvage(source, event, &mut delivery);
                faults.push(fault);
            }
        }
        // If nothing in it makes sense, the sender shall know.
        if faults.len() == events.len()
            && let Some(fault) = faults.pop()
        {
            return self.accepted(Delivery::default(), fault);
        }
        delivery.faults.append(&mut faults);
        Ok(delivery)
    }

    /// What cannot be read, but says that somebody left, is a departure of nobody known: a person has to look at it.
    fn salvage(&self, source: &str, event: &Value, delivery: &mut Delivery) {
        let (id, occurred_at, organization) = (hash(event), None, None);
        match self.event.kind.text(event) {
            Ok(Some(kind)) if self.meaning(&kind, event) == Some(Meaning::Departure) => {
                let (whole_id, source) = (format!("{source}/{id}"), source.to_owned());
                if delivery.departures.iter().any(|known| known.id == whole_id) {
                    return delivery.ignored.push(Ignored { id, kind, reason: TWICE });
                }
                let event = Event { id, kind, occurred_at, organization };
                delivery.departures.push(Departure { id: whole_id, source, event, person: Person::default() });
            }
            _ => delivery.ignored.push(Ignored { id, kind: "unknown".to_owned(), reason: "unreadable" }),
        }
    }

    fn meaning(&self, kind: &str, event: &Value) -> Option<Meaning> {
        self.event.meaning(kind, event).filter(|_| self.event.r#where.hold(event))
    }

    fn accepted(&self, mut delivery: Delivery, fault: Unreadable) -> Result<Delivery, Unreadable> {
        if !self.accept_unreadable {
            return Err(fault);
        }
        delivery.faults.push(fault);
        Ok(delivery)
    }

    /// Reads one event. `signed` is the delivery that it is alone in.
    fn read(
        &self,
        source: &str,
        event: &Value,
        signed: Option<&Verified>,
        delivery: &mut Delivery,
    ) -> Result<(), Unreadable> {
        let map = &self.event;
        let kind = map.kind.text(event)?.ok_or_else(|| Unreadable::Missing(map.kind.name()))?;
        let id = self.event_id(event, signed);
        let meaning = self.meaning(&kind, event);
        let reason = match meaning {
            _ if map.tests.as_ref().is_some_and(|tests| tests.hold(event)) => A_TEST,
            Some(Meaning::Departure) => return self.departure(source, (id?, kind), event, delivery),
            Some(Meaning::Suspension) => "a suspension",
            Some(Meaning::Removal) => "left a group or an organisation",
            _ => "not a departure",
        };
        if let Some(worth) = meaning.and_then(worth).filter(|_| reason != A_TEST) {
            let ((person, proven), at) = (self.person(event)?, self.occurred_at(event)?);
            if meaning == Some(Meaning::Return) {
                delivery.returns.push(Return { person: person.clone(), at });
            }
            let verified = if proven.is_ok() { worth } else { Verification::Claimed };
            delivery.lessons.push(Lesson { person, verified, at });
        }
        // What nobody works on needs no id of its own.
        delivery.ignored.push(Ignored { id: id.unwrap_or_else(|_| hash(event)), kind, reason });
        Ok(())
    }

    fn departure(
        &self,
        source: &str,
        (id, kind): (String, String),
        event: &Value,
        delivery: &mut Delivery,
    ) -> Result<(), Unreadable> {
        let whole_id = format!("{source}/{id}");
        if delivery.departures.iter().any(|known| known.id == whole_id) {
            delivery.ignored.push(Ignored { id, kind, reason: TWICE });
            return Ok(());
        }
        let (mut person, proven) = self.person(event)?;
        if let Some(fault) = proven.err()
            && person.email.take().is_some()
        {
            person.other_emails.clear();
            delivery.faults.push(fault);
        }
        let organization = self.text(&self.event.organization, event)?;
        let event = Event { occurred_at: self.occurred_at(event)?, id, kind, organization };
        delivery.departures.push(Departure { id: whole_id, source: source.to_owned(), event, person });
        Ok(())
    }

    /// The person whom an event is about, and whether the address is proven to be theirs.
    fn person(&self, event: &Value) -> Result<(Person, Result<(), Unreadable>), Unreadable> {
        let map = &self.person;
        let mut emails = self.emails(event)?.into_iter();
        let email = emails.next();
        let person = Person {
            idp_id: self.text(&map.idp_id, event)?,
            external_id: self.text(&map.external_id, event)?,
            email,
            other_emails: emails.collect(),
        };
        let verified = map.verified.as_ref().and_then(|places| places.find(event));
        let proven = match verified {
            Some((place, Value::Bool(false))) if !self.accept_unverified => {
                Err(Unreadable::Unproven(place.text().to_owned()))
            }
            _ => Ok(()),
        };
        Ok((person, proven))
    }

    /// The usable addresses, the main one first. What is none (a user name, say) identifies nobody.
    fn emails(&self, event: &Value) -> Result<Vec<Email>, Unreadable> {
        let texts = match self.person.emails.as_ref().and_then(|places| places.find(event)) {
            Some((place, Value::Array(list))) => {
                list.iter().map(|value| text(place, value)).collect::<Result<Vec<_>, _>>()?
            }
            Some((place, _)) => return Err(Unreadable::Malformed(place.text().to_owned())),
            None => self.text(&self.person.email, event)?.into_iter().collect(),
        };
        Ok(texts.iter().filter_map(|text| Email::parse(text)).collect())
    }

    /// The id that all deliveries of an event share: the one in the event, the one that is signed, or a hash.
    fn event_id(&self, event: &Value, signed: Option<&Verified>) -> Result<String, Unreadable> {
        if let Some(id) = self.text(&self.event.id, event)? {
            return Ok(id);
        }
        match (signed.and_then(Verified::id), &self.event.id, signed) {
            // A header may hold a tab, and a token any character.
            (Some(id), ..) if id.len() <= LONGEST_TEXT && !id.chars().any(char::is_control) => Ok(id.to_owned()),
            (Some(_), ..) => Err(Unreadable::Malformed("the delivery's id".to_owned())),
            (None, Some(places), _) => Err(Unreadable::Missing(places.name())),
            (None, None, Some(verified)) => Ok(hex::encode(Sha256::digest(verified.body()))),
            (None, None, None) => Ok(hash(event)),
        }
    }

    fn occurred_at(&self, event: &Value) -> Result<Option<OffsetDateTime>, Unreadable> {
        let Some((place, value)) = self.event.occurred_at.as_ref().and_then(|places| places.find(event)) else {
            return Ok(None);
        };
        parse_time(value).map(Some).ok_or_else(|| Unreadable::Malformed(place.text().to_owned()))
    }

    fn text(&self, places: &Option<Places>, event: &Value) -> Result<Option<String>, Unreadable> {
        places.as_ref().map_or(Ok(None), |places| places.text(event))
    }
}

/// What an event that is no departure teaches of a person's addresses.
fn worth(meaning: Meaning) -> Option<Verification> {
    match meaning {
        Meaning::Return | Meaning::Person => Some(Verification::Proven),
        Meaning::Claim => Some(Verification::Claimed),
        Meaning::Confirmation => Some(Verification::Confirms),
        Meaning::Departure | Meaning::Suspension | Meaning::Removal | Meaning::Optional => None,
    }
}

/// The body as one JSON document.
pub(super) fn document(body: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)
}

/// The body as JSON documents, one after the other.
pub(super) fn documents(body: &[u8]) -> Result<Vec<Value>, Unreadable> {
    let documents = serde_json::Deserializer::from_slice(body).into_iter();
    let documents: Vec<_> = documents.collect::<Result<_, _>>().map_err(|_| Unreadable::NotJson)?;
    if documents.is_empty() { Err(Unreadable::NotJson) } else { Ok(documents) }
}

/// The same for every delivery of an event that has no id: its members are in the order of their names.
fn hash(event: &Value) -> String {
    hex::encode(Sha256::digest(event.to_string()))
}
