//! What stands in an event: its id, its time, and the person whom it is about.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    json,
    pointer::{LONGEST_TEXT, Pointers, text},
    rules::{EventClass, EventMap, PersonMap},
};
use crate::{
    departure::{EventTime, MAX_EVENTS, Unreadable},
    person::{Email, Person},
    webhook::Verified,
};

/// The most e-mail addresses of one person: each is looked up at every provider.
const MAX_EMAILS: usize = 100;

/// How a sender's own form becomes JSON documents that pointers can point into.
pub(super) type Normalize = fn(&Verified) -> Result<Vec<Value>, Unreadable>;

/// How to read a source's deliveries.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) event: EventMap,
    pub(super) person: PersonMap,
    pub(super) normalize: Option<Normalize>,
    /// Whether the id of a delivery is that of what it says. A token's id is the token's own: made anew for every attempt, or
    /// the same for all.
    pub(super) id_is_signed: bool,
    /// Whether an e-mail address counts that its sender calls unverified.
    pub(super) accept_unverified: bool,
    /// Whether a delivery that cannot be read is answered as if it could: its sender would repeat it for days.
    pub(super) accept_unreadable: bool,
}

impl Reader {
    /// The events in a delivery, each as far as it can be read at all.
    pub(super) fn events(&self, verified: &Verified) -> Result<Vec<Result<Value, Unreadable>>, Unreadable> {
        let documents: Vec<_> = match self.normalize {
            Some(normalize) => normalize(verified)?.into_iter().map(Ok).collect(),
            None if self.event.lines => json::documents(verified.body(), MAX_EVENTS)?,
            None => vec![Ok(json::document(verified.body())?)],
        };
        let mut events = Vec::new();
        for document in documents {
            match (document, &self.event.items) {
                (Ok(whole), Some(items)) => match list(items, whole) {
                    Ok(listed) => events.extend(listed.into_iter().map(Ok)),
                    Err(error) => events.push(Err(error)),
                },
                (document, _) => events.push(document),
            }
            if events.len() > MAX_EVENTS {
                return Err(Unreadable::TooManyEvents);
            }
        }
        Ok(events)
    }

    /// The type of an event.
    pub(super) fn kind(&self, event: &Value) -> Result<String, Unreadable> {
        self.event.kind.text(event)?.ok_or_else(|| Unreadable::Missing(self.event.kind.name()))
    }

    /// What an event of this type means; `None` if it is none of our business.
    pub(super) fn class(&self, kind: &str, event: &Value) -> Option<EventClass> {
        self.event.class(kind, event).filter(|_| self.event.r#where.hold(event))
    }

    /// Whether an event was only sent to try the connection.
    pub(super) fn is_test(&self, event: &Value) -> bool {
        self.event.tests.as_ref().is_some_and(|tests| tests.hold(event))
    }

    /// The id that all deliveries of an event share: the one in the event, the one that is signed, or a hash. `alone` is the
    /// delivery, if the event is the only one in it.
    pub(super) fn event_id(&self, event: &Value, alone: Option<&Verified>) -> Result<String, Unreadable> {
        if let Some(id) = read(&self.event.id, event)? {
            return Ok(id);
        }
        let signed = alone.filter(|_| self.id_is_signed).and_then(Verified::id);
        match (signed, &self.event.id, alone) {
            // A header may hold a tab, and a token any character.
            (Some(id), ..) if id.len() <= LONGEST_TEXT && !id.chars().any(char::is_control) => Ok(id.to_owned()),
            (Some(_), ..) => Err(Unreadable::Malformed("the delivery's id".to_owned())),
            (None, Some(pointers), _) => Err(Unreadable::Missing(pointers.name())),
            (None, None, Some(verified)) => Ok(hex::encode(Sha256::digest(verified.body()))),
            (None, None, None) => Ok(hash(event)),
        }
    }

    /// When an event happened, if it says so.
    pub(super) fn occurred_at(&self, event: &Value) -> Result<Option<EventTime>, Unreadable> {
        let Some((pointer, value)) = self.event.occurred_at.as_ref().and_then(|pointers| pointers.find(event)) else {
            return Ok(None);
        };
        EventTime::parse(value).map(Some).ok_or_else(|| Unreadable::Malformed(pointer.text().to_owned()))
    }

    /// Where an event happened, if it says so.
    pub(super) fn organization(&self, event: &Value) -> Result<Option<String>, Unreadable> {
        read(&self.event.organization, event)
    }

    /// The person whom an event is about, whether their e-mail address is verified or not.
    pub(super) fn person(&self, event: &Value) -> Result<Person, Unreadable> {
        let mut emails = self.emails(event)?.into_iter();
        let email = emails.next();
        Ok(Person {
            idp_id: read(&self.person.idp_id, event)?,
            external_id: read(&self.person.external_id, event)?,
            email,
            other_emails: emails.collect(),
        })
    }

    /// The person whom an event is about, as far as its fields can be read.
    pub(super) fn readable_person(&self, event: &Value) -> Person {
        let mut emails = self.emails(event).unwrap_or_default().into_iter();
        Person {
            idp_id: read(&self.person.idp_id, event).unwrap_or_default(),
            external_id: read(&self.person.external_id, event).unwrap_or_default(),
            email: emails.next(),
            other_emails: emails.collect(),
        }
    }

    /// Whether the sender vouches for the person's address. Where it says something of it, nothing but `true` will do: Frontegg
    /// writes null of an unverified address. Where it says nothing, the address is the organization's own.
    pub(super) fn verified(&self, event: &Value) -> Result<(), Unreadable> {
        let pointers = self.person.verified.as_ref().filter(|_| !self.accept_unverified);
        let mut said = pointers.into_iter().flat_map(|pointers| pointers.all(event));
        match said.find(|(_, value)| **value != Value::Bool(true)) {
            Some((pointer, _)) => Err(Unreadable::Unverified(pointer.text().to_owned())),
            None => Ok(()),
        }
    }

    /// The usable addresses, the main one first. Other texts (a user name, say) identify no person.
    fn emails(&self, event: &Value) -> Result<Vec<Email>, Unreadable> {
        let texts = match self.person.emails.as_ref().and_then(|pointers| pointers.find(event)) {
            Some((pointer, Value::Array(list))) if list.len() > MAX_EMAILS => {
                return Err(Unreadable::Malformed(pointer.text().to_owned()));
            }
            Some((pointer, Value::Array(list))) => {
                list.iter().map(|value| text(pointer, value)).collect::<Result<Vec<_>, _>>()?
            }
            Some((pointer, _)) => return Err(Unreadable::Malformed(pointer.text().to_owned())),
            None => read(&self.person.email, event)?.into_iter().collect(),
        };
        Ok(texts.iter().filter_map(|text| Email::parse(text)).collect())
    }
}

/// The events that a document lists, or the one that stands there.
fn list(items: &Pointers, mut document: Value) -> Result<Vec<Value>, Unreadable> {
    match items.take(&mut document) {
        Some((_, Value::Array(list))) => Ok(list),
        Some((_, event @ Value::Object(_))) => Ok(vec![event]),
        Some((pointer, _)) => Err(Unreadable::Malformed(pointer.text().to_owned())),
        None => Err(Unreadable::Missing(items.name())),
    }
}

fn read(pointers: &Option<Pointers>, event: &Value) -> Result<Option<String>, Unreadable> {
    pointers.as_ref().map_or(Ok(None), |pointers| pointers.text(event))
}

/// The same for every delivery of an event that has no id: its members are in the order of their names.
pub(super) fn hash(event: &Value) -> String {
    hex::encode(Sha256::digest(event.to_string()))
}
