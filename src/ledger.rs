//! The ledger: what became of every departure, durably. The queue is a reminder; the ledger is the truth.
//!
//! One record per departure. Every change is a compare-and-swap on the record's version, so that two workers cannot both
//! believe that they hold it; a lease says who works on it, and until when.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{
    departure::{Departure, Event},
    outcome::{Outcome, Status},
    person::{Email, Person},
    report::Entry,
};

pub mod dynamodb;
mod guard;
pub mod memory;
pub mod operator;

/// How far the clocks of two workers may be apart. A lease is respected for so much longer than it says.
const SKEW: Duration = Duration::from_secs(90);
/// How often a change is tried again after somebody else was quicker.
const ROUNDS: u32 = 50;

/// Where items are kept. An item's version is its only guard: `store` writes if it is still the one expected.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The item of this id, as it is now.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn load(&self, id: &str) -> Result<Option<Item>, LedgerDown>;

    /// Writes the item if the stored one has the version `expected` (`None`: if there is none yet). Says whether it did.
    ///
    /// # Errors
    /// If the store cannot be reached; then it may have been written or not.
    async fn store(&self, item: &Item, expected: Option<u64>) -> Result<bool, LedgerDown>;

    /// Some records, and where to go on; `after` is where the last call ended.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn list(&self, after: Option<String>) -> Result<(Vec<Item>, Option<String>), LedgerDown>;
}

/// What a [`Store`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub id: String,
    /// Counts its changes.
    pub version: u64,
    /// When it may be forgotten, in seconds since 1970.
    pub expires_at: i64,
    /// For whoever looks at the table: the record's state; empty for what is no record.
    pub state: String,
    /// What it says, in JSON.
    pub document: String,
}

/// The ledger cannot be reached, or is out of order. Its text names the error's code alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerDown(pub(crate) String);

impl fmt::Display for LedgerDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger cannot be used: {}", self.0)
    }
}

impl std::error::Error for LedgerDown {}

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
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<OffsetDateTime>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPerson {
    /// A hash of the address, to be found by.
    pub key: Option<String>,
    idp_id: Option<String>,
    external_id: Option<String>,
    email: Option<String>,
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

    /// The departure that it records.
    pub fn departure(&self) -> Departure {
        let event = Event { id: self.event_id.clone(), kind: self.event_type.clone(), occurred_at: self.occurred_at };
        let person = Person {
            idp_id: self.person.idp_id.clone(),
            external_id: self.person.external_id.clone(),
            email: self.person.email.as_deref().and_then(Email::parse),
        };
        Departure { id: self.id.clone(), source: self.source.clone(), event, person }
    }

    /// What shall not be done again: everything but what is left to a later try.
    pub fn settled(&self) -> BTreeMap<String, Entry> {
        let settled = self.providers.iter().filter(|(_, settled)| is_settled(settled.entry.finding.outcome));
        settled.map(|(name, settled)| (name.clone(), settled.entry.clone())).collect()
    }

    /// Notes what is now true at a provider.
    pub fn settle(&mut self, entry: Entry, now: OffsetDateTime) {
        let runs = self.providers.get(&entry.provider).map_or(0, |settled| settled.runs) + 1;
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
        let key = email.as_deref().map(person_key);
        Self { key, idp_id: person.idp_id.clone(), external_id: person.external_id.clone(), email }
    }
}

impl KnownPerson {
    /// The address, masked.
    pub fn masked(&self) -> Option<String> {
        self.email.as_deref().map(crate::person::mask_addresses)
    }

    fn mask(&mut self) {
        for text in [&mut self.idp_id, &mut self.external_id, &mut self.email].into_iter().flatten() {
            *text = crate::person::mask_addresses(text);
        }
    }
}

/// The hash by which a person's departures are found: addresses are the same in either case.
pub fn person_key(email: &str) -> String {
    hex::encode(&Sha256::digest(email.trim().to_ascii_lowercase())[..16])
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
}

/// What became of an attempt to begin a departure.
#[derive(Debug)]
pub enum Begun {
    /// It is ours, and new.
    New(Record),
    /// It is known; what is left of it is ours now.
    Resumed(Record),
    /// It is known, and nothing is to be done here: it is settled, or held, or somebody works on it.
    Known(Record),
}

impl Ledger {
    /// A ledger over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Records a departure, or finds it recorded. Whoever gets `New` or `Resumed` holds its lease.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn begin(&self, record: Record, now: OffsetDateTime) -> Result<Begun, LedgerDown> {
        if self.store.store(&item(&record, 1)?, None).await? {
            return Ok(Begun::New(Record { version: 1, ..record }));
        }
        let lease = record.lease.clone();
        self.take(&record.id, lease, now).await.map(|taken| taken.unwrap_or(Begun::Known(record)))
    }

    /// Takes the lease of a recorded departure on which work is left; `None` if it is not known.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn take(&self, id: &str, lease: Option<Lease>, now: OffsetDateTime) -> Result<Option<Begun>, LedgerDown> {
        for _ in 0..ROUNDS {
            let Some(mut record) = self.get(id).await? else { return Ok(None) };
            if record.state != State::Open || record.is_leased(now) || lease.is_none() {
                return Ok(Some(Begun::Known(record)));
            }
            record.lease.clone_from(&lease);
            if self.save(&mut record).await? {
                return Ok(Some(Begun::Resumed(record)));
            }
        }
        Err(LedgerDown("too many at once".to_owned()))
    }

    /// The record of this id.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn get(&self, id: &str) -> Result<Option<Record>, LedgerDown> {
        self.store.load(id).await?.map(|item| record(&item)).transpose()
    }

    /// Writes a record that was read, if nobody has changed it since. Says whether it did.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn save(&self, record: &mut Record) -> Result<bool, LedgerDown> {
        let next = record.version + 1;
        let saved = self.store.store(&item(record, next)?, Some(record.version)).await?;
        if saved {
            record.version = next;
        }
        Ok(saved)
    }

    /// Some records, in no order, and where to go on.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn list(&self, after: Option<String>) -> Result<(Vec<Record>, Option<String>), LedgerDown> {
        let (items, next) = self.store.list(after).await?;
        let records = items.iter().filter(|item| !item.state.is_empty()).map(record);
        Ok((records.collect::<Result<_, _>>()?, next))
    }
}

fn item(record: &Record, version: u64) -> Result<Item, LedgerDown> {
    let document = serde_json::to_string(record).map_err(|_| LedgerDown("unwritable record".to_owned()))?;
    let (id, state) = (record.id.clone(), record.state.to_string());
    Ok(Item { id, version, expires_at: record.expires_at, state, document })
}

fn record(item: &Item) -> Result<Record, LedgerDown> {
    let record: Record = serde_json::from_str(&item.document)
        .map_err(|_| LedgerDown(format!("unreadable record {}", crate::person::mask_addresses(&item.id))))?;
    Ok(Record { version: item.version, ..record })
}
