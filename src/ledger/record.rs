//! One departure's record, and how it changes.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::SKEW;
use crate::{
    departure::{Departure, Event, EventTime},
    outcome::{Outcome, Status},
    person::{Email, Person},
    report::Entry,
};

/// What is known of one departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `source/event id`.
    pub id: String,
    /// How often it was changed.
    #[serde(skip)]
    pub version: u64,
    /// The source's name.
    pub source: String,
    /// The source's id of the event.
    pub event_id: String,
    /// The source's name of the event's type.
    pub event_type: String,
    /// When it happened, if the source told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<EventTime>,
    /// The source's name of the organisation in which it happened, if the source told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// When its first delivery arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// Who left. In full while there is work to do; masked once there is none.
    pub person: KnownPerson,
    /// Where it stands.
    pub state: State,
    /// Why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was judged about it already.
    #[serde(default)]
    pub standing: Standing,
    /// Whether the queue has a reminder of it.
    #[serde(default)]
    pub reminded: bool,
    /// What is true at each provider that was tried.
    #[serde(default)]
    pub providers: BTreeMap<String, Settled>,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// What people did about it.
    #[serde(default)]
    pub history: Vec<Action>,
    /// When it may be forgotten, in seconds since 1970.
    pub expires_at: i64,
}

/// A person, in the ledger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPerson {
    /// A hash of the address, to be found by.
    pub key: Option<String>,
    idp_id: Option<String>,
    external_id: Option<String>,
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_emails: Vec<String>,
    /// What of it the directory added. It is asked again whenever work goes on: an address may pass to somebody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    learned: Vec<String>,
}

/// What was judged about a departure already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing.
    #[default]
    New,
    /// It was young enough, and the circuit breaker let it through.
    Admitted,
    /// A person released it.
    Released,
}

/// Where a departure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody is left anywhere.
    Done,
    /// A person said that nothing shall be done.
    Rejected,
    /// A person has to act.
    NeedsAttention,
    /// Work is left.
    Open,
    /// Held until a person decides.
    Held,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What is true at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The report's entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// When this was found.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// In how many runs this provider was tried.
    pub runs: u32,
}

/// Who works on a departure, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The invocation.
    pub by: String,
    /// By the holder's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
}

/// What a person did about a departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who: the caller's AWS identity.
    pub who: String,
    /// What: `release`, `reject`, `replay`.
    pub what: String,
}

impl Record {
    /// The record of a departure that was just received, held by `lease`.
    pub fn new(departure: &Departure, now: OffsetDateTime, retention: Duration, lease: Option<Lease>) -> Self {
        let Departure { id, source, event, person } = departure;
        Self {
            id: id.clone(),
            version: 0,
            source: source.clone(),
            event_id: event.id.clone(),
            event_type: event.kind.clone(),
            occurred_at: event.occurred_at,
            organization: event.organization.clone(),
            received_at: now,
            person: KnownPerson::from(person),
            state: State::Open,
            reason: None,
            standing: Standing::New,
            reminded: false,
            providers: BTreeMap::new(),
            lease,
            history: Vec::new(),
            expires_at: (now + retention).unix_timestamp(),
        }
    }

    /// The departure that it records, with what the directory knew.
    pub fn departure(&self) -> Departure {
        self.of(self.person.person(|_| true))
    }

    /// The departure as its event told it.
    pub fn told(&self) -> Departure {
        self.of(self.person.person(|text| !self.person.learned.contains(text)))
    }

    fn of(&self, person: Person) -> Departure {
        let event = Event {
            id: self.event_id.clone(),
            kind: self.event_type.clone(),
            occurred_at: self.occurred_at,
            organization: self.organization.clone(),
        };
        Departure { id: self.id.clone(), source: self.source.clone(), event, person }
    }

    /// Notes what the directory made of the person whom the event told.
    pub fn complete(&mut self, person: &Person) {
        let told = KnownPerson::from(&self.told().person).texts();
        self.person = KnownPerson::from(person);
        self.person.learned = self.person.texts().into_iter().filter(|text| !told.contains(text)).collect();
    }

    /// What shall not be done again: everything but what is left to a later try.
    pub fn settled(&self) -> BTreeMap<String, Entry> {
        let settled = self.providers.iter().filter(|(_, settled)| is_settled(settled.entry.finding.outcome));
        settled.map(|(name, settled)| (name.clone(), settled.entry.clone())).collect()
    }

    /// Notes what is now true at a provider.
    pub fn settle(&mut self, mut entry: Entry, now: OffsetDateTime) {
        let before = self.providers.get(&entry.provider);
        let runs = before.map_or(0, |settled| settled.runs) + 1;
        if let Some(before) = before {
            entry.keep_removed(&before.entry);
        }
        self.providers.insert(entry.provider.clone(), Settled { entry, at: now, runs });
    }

    /// Ends a run: the lease goes, and the state follows from the providers. Without work left, the person is masked.
    pub fn close(&mut self) {
        self.lease = None;
        if self.state != State::Open {
            return;
        }
        let worst = self.providers.values().map(|settled| settled.entry.finding.outcome.status()).max();
        self.state = match worst {
            Some(Status::Done) => State::Done,
            Some(Status::NeedsAttention | Status::Planned) => State::NeedsAttention,
            _ => State::Open,
        };
        if self.state == State::Done {
            self.person.mask();
        }
    }

    /// The longest time that a provider asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.providers.values().filter_map(|settled| settled.entry.finding.retry_after).max()
    }

    /// Whether somebody works on it.
    pub fn is_leased(&self, now: OffsetDateTime) -> bool {
        self.lease.as_ref().is_some_and(|lease| now < lease.until + SKEW)
    }

    /// What a delivery is told.
    pub fn status(&self) -> Status {
        match self.state {
            State::Done => Status::Done,
            State::Rejected => Status::Ignored,
            State::NeedsAttention => Status::NeedsAttention,
            State::Open => Status::Pending,
            State::Held => Status::Held,
        }
    }
}

fn is_settled(outcome: Outcome) -> bool {
    outcome.status() != Status::Incomplete
}

impl From<&Person> for KnownPerson {
    fn from(person: &Person) -> Self {
        let email = person.email.as_ref().map(|email| email.expose().to_owned());
        let other_emails: Vec<_> = person.other_emails.iter().map(|email| email.expose().to_owned()).collect();
        Self {
            key: email.as_deref().map(person_key),
            idp_id: person.idp_id.clone(),
            external_id: person.external_id.clone(),
            email,
            other_keys: other_emails.iter().map(|email| person_key(email)).collect(),
            other_emails,
            learned: Vec::new(),
        }
    }
}

impl fmt::Debug for KnownPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownPerson({})", self.masked().unwrap_or_default())
    }
}

impl KnownPerson {
    /// The address, masked.
    pub fn masked(&self) -> Option<String> {
        self.email.as_deref().map(crate::person::mask_addresses)
    }

    /// Whether one of the addresses has this [`person_key`].
    pub fn has_key(&self, key: &str) -> bool {
        self.key.iter().chain(&self.other_keys).any(|known| known == key)
    }

    /// The person, as far as the texts are `wanted`.
    fn person(&self, wanted: impl Fn(&String) -> bool) -> Person {
        let email = |text: &String| Email::parse(text).filter(|_| wanted(text));
        Person {
            idp_id: self.idp_id.clone(),
            external_id: self.external_id.clone().filter(&wanted),
            email: self.email.as_ref().and_then(email),
            other_emails: self.other_emails.iter().filter_map(email).collect(),
        }
    }

    /// Whatever the directory may have added.
    fn texts(&self) -> Vec<String> {
        self.external_id.iter().chain(&self.email).chain(&self.other_emails).cloned().collect()
    }

    pub(super) fn mask(&mut self) {
        let one = [&mut self.idp_id, &mut self.external_id, &mut self.email].into_iter().flatten();
        for text in one.chain(&mut self.other_emails) {
            *text = crate::person::mask_addresses(text);
        }
        self.learned.clear();
    }
}

/// The hash by which a person's departures are found: addresses are the same in either case.
pub fn person_key(email: &str) -> String {
    hex::encode(&Sha256::digest(email.trim().to_ascii_lowercase())[..16])
}
