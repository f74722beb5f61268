//! The ledger: what became of every departure, durably. The queue is a reminder; the ledger is the truth.
//!
//! One record per departure. Every change is a compare-and-swap on the record's version, so that two workers cannot both
//! believe that they hold it; a lease says who works on it, and until when.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub mod directory;
pub mod dynamodb;
mod guard;
pub mod memory;
pub mod operator;
mod record;

pub use record::{Action, KnownPerson, Lease, Record, Settled, Standing, State, person_key};

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

    /// Records a departure, or finds it recorded and takes it over with `lease`, if work is left that nobody does.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn begin(&self, record: Record, lease: Lease, now: OffsetDateTime) -> Result<Begun, LedgerDown> {
        if self.store.store(&item(&record, 1)?, None).await? {
            return Ok(Begun::New(Record { version: 1, ..record }));
        }
        self.take(&record.id, lease, now).await.map(|taken| taken.unwrap_or(Begun::Known(record)))
    }

    /// Takes the lease of a recorded departure on which work is left; `None` if it is not known.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn take(&self, id: &str, lease: Lease, now: OffsetDateTime) -> Result<Option<Begun>, LedgerDown> {
        for _ in 0..ROUNDS {
            let Some(mut record) = self.get(id).await? else { return Ok(None) };
            if record.state != State::Open || record.is_leased(now) {
                return Ok(Some(Begun::Known(record)));
            }
            record.lease = Some(lease.clone());
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

    /// What an item says that is no record.
    async fn read<T: DeserializeOwned + Default>(&self, id: &str) -> Result<Kept<T>, LedgerDown> {
        let Some(item) = self.store.load(id).await? else { return Ok(Kept::default()) };
        let value = serde_json::from_str(&item.document).map_err(|_| LedgerDown("an unreadable item".to_owned()))?;
        Ok(Kept { value, version: Some(item.version), expires_at: item.expires_at })
    }

    /// Writes an item that was read and is no record, if nobody has changed it since. Says whether it did.
    async fn write(
        &self,
        id: &str,
        value: &impl Serialize,
        version: Option<u64>,
        expires_at: OffsetDateTime,
    ) -> Result<bool, LedgerDown> {
        let document = serde_json::to_string(value).map_err(|_| LedgerDown("an unwritable item".to_owned()))?;
        let item = Item {
            id: id.to_owned(),
            version: version.unwrap_or(0) + 1,
            expires_at: expires_at.unix_timestamp(),
            state: String::new(),
            document,
        };
        self.store.store(&item, version).await
    }
}

/// An item that is no record. Its id begins with a `#`, which no departure's does: names of sources hold none.
#[derive(Default)]
struct Kept<T> {
    value: T,
    /// `None` if there is none yet.
    version: Option<u64>,
    expires_at: i64,
}

/// A hash for what may be an address, or too long for an id.
fn short(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
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
