//! Reads an authenticated delivery: which of its events are departures, identity facts, or ignored.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::Value;

use super::{
    reading::{Reader, hash},
    rules::EventClass,
};
use crate::{
    departure::{DeliveryEvents, Departure, Event, IdentityFact, Ignored, Unreadable, Verification, Word},
    person::Person,
    webhook::Verified,
};

/// A delivery as far as it is read.
struct EventReader<'a> {
    reader: &'a Reader,
    /// The source's name.
    source: &'a str,
    /// The delivery, if it holds a single event.
    alone: Option<&'a Verified>,
    delivery: DeliveryEvents,
    /// Where in the delivery the departure of an id stands.
    known: HashMap<String, usize>,
}

impl Reader {
    /// What a delivery of this source says.
    ///
    /// In a delivery of several events, one that cannot be read does not stop the others: it is listed as unreadable.
    ///
    /// # Errors
    /// If nothing in it can be read. The sender gets 400, unless it would repeat the delivery for days.
    pub(super) fn delivery(&self, source: &str, verified: &Verified) -> Result<DeliveryEvents, Unreadable> {
        let events = match self.events(verified) {
            Ok(events) => events,
            Err(error) if self.accept_unreadable => {
                return Ok(DeliveryEvents { unreadable: vec![error], ..DeliveryEvents::default() });
            }
            Err(error) => return Err(error),
        };
        let (count, alone) = (events.len(), (events.len() == 1).then_some(verified));
        let (delivery, known) = (DeliveryEvents::default(), HashMap::new());
        let mut reading = EventReader { reader: self, source, alone, delivery, known };
        // Each event is freed once it is read.
        let errors: Vec<_> = events.into_iter().filter_map(|event| reading.take(event).err()).collect();
        match errors.first() {
            Some(error) if errors.len() == count && !self.accept_unreadable => Err(error.clone()),
            _ => {
                reading.delivery.unreadable.extend(errors);
                Ok(reading.delivery)
            }
        }
    }
}

impl EventReader<'_> {
    /// Reads an event, or saves what can be saved of it.
    fn take(&mut self, event: Result<Value, Unreadable>) -> Result<(), Unreadable> {
        let (event, read) = match event {
            Ok(event) => {
                let read = self.read(&event);
                (event, read)
            }
            Err(error) => (Value::Null, Err(error)),
        };
        if read.is_err() {
            self.salvage(&event);
        }
        read
    }

    fn read(&mut self, event: &Value) -> Result<(), Unreadable> {
        let kind = self.reader.kind(event)?;
        let id = self.reader.event_id(event, self.alone);
        let class = self.reader.class(&kind, event);
        let reason = match class {
            _ if self.reader.is_test(event) => "a test",
            Some(EventClass::Departure) => return self.departure(id?, kind, event),
            Some(EventClass::Suspension) => "a suspension",
            Some(EventClass::Removal) => "left a group or an organization",
            None | Some(EventClass::Optional) => "not a departure",
            Some(class) => match self.record_fact(class, event) {
                Ok(()) => "not a departure",
                // The identity map goes without it: a delivery that is refused for it could cost a departure.
                Err(error) => {
                    self.delivery.unreadable.push(error);
                    "unreadable"
                }
            },
        };
        // An ignored event needs no id of its own.
        self.ignore(id.unwrap_or_else(|_| hash(event)), kind, reason);
        Ok(())
    }

    /// What cannot be read, but says that somebody left, is a departure of an unknown person: an operator has to look at it.
    fn salvage(&mut self, event: &Value) {
        let id = hash(event);
        match self.reader.kind(event) {
            Ok(kind) if self.reader.class(&kind, event) == Some(EventClass::Departure) => {
                let event = Event { id, kind, occurred_at: None, organization: None };
                // Its id is unique.
                self.depart(event, Person::default()).ok();
            }
            _ => self.ignore(id, "unknown".to_owned(), "unreadable"),
        }
    }

    fn departure(&mut self, id: String, kind: String, event: &Value) -> Result<(), Unreadable> {
        let reader = self.reader;
        let mut person = reader.person(event)?;
        let (occurred_at, organization) = (reader.occurred_at(event)?, reader.organization(event)?);
        let unverified = reader.verified(event).err().filter(|_| person.email.is_some());
        if unverified.is_some() {
            person = Person { email: None, other_emails: Vec::new(), ..person };
        }
        self.depart(Event { id, kind, occurred_at, organization }, person)?;
        self.delivery.unreadable.extend(unverified);
        Ok(())
    }

    /// Adds a departure, once.
    fn depart(&mut self, event: Event, person: Person) -> Result<(), Unreadable> {
        let departures = &mut self.delivery.departures;
        match self.known.entry(event.id.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(departures.len());
                let id = format!("{}/{}", self.source, event.id);
                departures.push(Departure { id, source: self.source.to_owned(), event, person });
            }
            Entry::Occupied(known) if departures[*known.get()].person == person => {
                self.delivery.ignored.push(Ignored::duplicate(event));
            }
            // To leave out either of the two would be to lose somebody's departure.
            Entry::Occupied(_) => return Err(Unreadable::IdOfAnother),
        }
        Ok(())
    }

    /// Records what an event that is not a departure says of a person. A return is recorded as far as it can be read: without
    /// it an older departure would remove the person.
    fn record_fact(&mut self, class: EventClass, event: &Value) -> Result<(), Unreadable> {
        let worth = match class {
            EventClass::Claim => Verification::Claimed,
            EventClass::Confirmation => Verification::Confirms,
            _ => Verification::Verified,
        };
        let word = if class == EventClass::Return { Word::Active } else { Word::Known };
        let (person, at) = (self.reader.person(event), self.reader.occurred_at(event));
        let error = person.as_ref().err().or(at.as_ref().err()).cloned();
        let (person, at) = match word {
            Word::Active => (person.unwrap_or_else(|_| self.reader.readable_person(event)), at.unwrap_or_default()),
            Word::Known | Word::Inactive => (person?, at?),
        };
        let verified = if self.reader.verified(event).is_ok() { worth } else { Verification::Claimed };
        self.delivery.facts.push(IdentityFact { person, word, verified, at });
        error.map_or(Ok(()), Err)
    }

    fn ignore(&mut self, id: String, kind: String, reason: &'static str) {
        self.delivery.ignored.push(Ignored { id, kind, reason });
    }
}
