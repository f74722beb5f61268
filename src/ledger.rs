//! Departure records and identity facts in a [`Store`]. What is recorded is the promise; the queue only makes it faster.
//!
//! A record is changed by compare-and-swap on its version, so that two workers cannot both believe that they hold it. A
//! record and its references in the items of ids, addresses and external ids are one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use time::OffsetDateTime;

pub mod dynamodb;
mod exports;
mod facts;
mod holders;
mod identities;
mod identity;
mod key;
mod limits;
pub mod memory;
mod outbox;
mod protection;
mod record;
pub mod store;

pub use exports::{Export, ExportedFile, MonthExport, Obstacle, Part};
pub use facts::{Facts, Pause};
pub use holders::{Holder, Holders};
pub use identities::KnownIdentity;
pub use identity::{Held, Holding, IdentityRecord, MAX_EMAILS, Span, StoredIdentity};
pub(crate) use key::short;
pub use key::{DepartureRef, IdentityKey, TraitKey};
pub use limits::{MAX_RETRY_AFTER, ProviderLimits};
pub use outbox::Unpublished;
pub use protection::{
    MAX_PROTECTED, ProtectedAddresses, ProtectedList, Protection, ProtectionAction, ProtectionRefused,
};
pub use record::{Lease, NEVER, OperatorAction, Record, SKEW, State, StoredPerson, StoredResult, millis};

use crate::{
    departure::{Departure, EventTime},
    notification::Occasion,
};
use identity::DEPARTURES;
use store::{Change, Changed, Cursor, Due, Item, Merge, Store};

/// Attempts of a compare-and-swap; contention beyond this is an error.
pub(crate) const MAX_CAS_ATTEMPTS: u32 = 50;

/// A ledger that cannot be used. No text of it holds an address or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The store cannot be reached, or refuses: the error's code. The same call may succeed later.
    #[error("the ledger cannot be used: {0}")]
    Unavailable(String),
    /// A stored item cannot be read: which kind.
    #[error("a stored item ({0}) cannot be read")]
    Unreadable(&'static str),
    /// Others changed the same item again and again.
    #[error("the item changed concurrently, again and again")]
    Contention,
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
    /// What notifications are written about.
    about: Arc<BTreeSet<Occasion>>,
}

/// What became of an attempt to record a departure.
#[derive(Debug)]
pub enum Recorded {
    /// It is new.
    New(Record),
    /// Its event was recorded before.
    Known(Record),
}

impl Ledger {
    /// A ledger over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, about: Arc::default() }
    }

    /// Records a departure with its references, or finds it recorded. An event id that is known with another person or
    /// another time is recorded under an id of its own. `prepare` completes a new record.
    ///
    /// # Errors
    /// If the ledger cannot be used; then the departure may be recorded.
    pub async fn record(
        &self,
        departure: &Departure,
        now: OffsetDateTime,
        prepare: impl Fn(&mut Record),
    ) -> Result<Recorded, LedgerError> {
        self.record_with(departure, now, prepare, &[]).await?.ok_or(LedgerError::Contention)
    }

    /// Records a departure, as [`Ledger::record`] does, in one transaction with the changes `beside` it. Returns `None` if
    /// those cannot be made any more: then nothing was written. With a known departure they are not made either.
    ///
    /// # Errors
    /// If the ledger cannot be used; then all may be written.
    pub(crate) async fn record_with(
        &self,
        departure: &Departure,
        now: OffsetDateTime,
        prepare: impl Fn(&mut Record),
        beside: &[Change],
    ) -> Result<Option<Recorded>, LedgerError> {
        let rank = self.rank(departure, now).await?;
        let mut record = Record::new(departure, now, rank);
        prepare(&mut record);
        match self.create(&mut record, beside).await? {
            Created::Yes => return Ok(Some(Recorded::New(record))),
            Created::Conflict => return Ok(None),
            Created::Exists => {}
        }
        match self.get(&record.id).await? {
            Some(known) if known.is_of(departure) => return Ok(Some(Recorded::Known(known))),
            Some(_) => {}
            None => return Err(LedgerError::Contention),
        }
        record.id = Record::reused_id(departure);
        record.event_id_reused = true;
        match self.create(&mut record, beside).await? {
            Created::Yes => Ok(Some(Recorded::New(record))),
            Created::Conflict => Ok(None),
            Created::Exists => {
                let known = self.get(&record.id).await?.ok_or(LedgerError::Contention)?;
                Ok(Some(Recorded::Known(known)))
            }
        }
    }

    /// The departure's rank among its source's facts. A time that is our own clock's (none was said, or one that is ahead)
    /// comes after the last word about the person, by whatever id: the clocks of environments differ.
    async fn rank(&self, departure: &Departure, now: OffsetDateTime) -> Result<i64, LedgerError> {
        let received = millis(now);
        let said = said_by_source(departure.event.occurred_at, now);
        if let Some(said) = said.filter(|said| *said <= received + crate::verdict::MAX_AHEAD) {
            return Ok(said);
        }
        let Some(key) = IdentityKey::of(&departure.source, &departure.person) else { return Ok(received) };
        let mut traits = BTreeSet::from_iter(TraitKey::all_of(&departure.source, &departure.person));
        let ids = traits.iter().map(|of| of.item().to_owned()).chain([key.item()]).collect();
        let mut items = self.store.read(&ids).await?;
        let stored = items.get(&key.item()).map(StoredIdentity::read).transpose()?.unwrap_or_default();
        traits.extend(stored.identity.holdings(key.source()).into_keys());
        let unread: BTreeSet<_> = traits.iter().map(|of| of.item().to_owned()).filter(|id| !ids.contains(id)).collect();
        if !unread.is_empty() {
            items.extend(self.store.read(&unread).await?);
        }
        let last = stored.last_word().max(Holders::last_word(key.source(), &traits, &items)?);
        Ok(last.map_or(received, |last| received.max(last + 1)))
    }

    /// Writes a new record and its references, and the changes `beside` them.
    async fn create(&self, record: &mut Record, beside: &[Change]) -> Result<Created, LedgerError> {
        let mut changes = beside.to_vec();
        changes.push(Change::Swap { item: record.item()?, expected: 0 });
        let room = store::MAX_CHANGES - changes.len();
        changes.extend(self.references(record).into_iter().take(room).map(Change::Merge));
        for _ in 0..MAX_CAS_ATTEMPTS {
            match self.store.change(&changes).await? {
                Changed::All => {
                    record.version = 1;
                    return Ok(Created::Yes);
                }
                Changed::None(refused) if refused.iter().any(|n| *n < beside.len()) => return Ok(Created::Conflict),
                Changed::None(refused) if refused.contains(&beside.len()) => return Ok(Created::Exists),
                Changed::None(refused) => mark_crowded(&mut changes, &refused),
            }
        }
        Err(LedgerError::Contention)
    }

    /// The references to a record in the items of what its event names.
    fn references(&self, record: &Record) -> Vec<Merge> {
        let Some(id) = &record.person.key else { return Vec::new() };
        let reference = record.reference();
        let identity = departed(id, &reference);
        let traits = record.person.traits.iter().map(|of| holders::departed(of, id, &reference));
        [identity].into_iter().chain(traits).collect()
    }

    /// Writes references that are missing: in items that the event did not name, and that the facts do.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn repair(&self, record: &Record, facts: &Facts) -> Result<(), LedgerError> {
        let Some(id) = &record.person.key else { return Ok(()) };
        let reference = record.reference();
        let is_missing = |of: &&TraitKey| {
            let holders = facts.traits.get(of);
            let holder = holders.and_then(|holders| holders.ids.get(id));
            !holders.is_some_and(|holders| holders.crowded)
                && !holder.is_some_and(|holder| holder.departures.contains(&reference))
        };
        let own = facts.identities.get(id);
        let held = own.map(|own| own.identity.holdings(id.source())).unwrap_or_default();
        let traits: BTreeSet<_> = record.person.traits.iter().cloned().chain(held.into_keys()).collect();
        let mut missing: Vec<Merge> =
            traits.iter().filter(is_missing).map(|of| holders::departed(of, id, &reference)).collect();
        if !own.is_some_and(|own| own.departures.contains(&reference)) {
            missing.push(departed(id, &reference));
        }
        self.merge_all(missing).await
    }

    /// Takes the references to a dismissed record back.
    pub(crate) async fn forget_references(&self, record: &Record) -> Result<(), LedgerError> {
        let Some(id) = &record.person.key else { return Ok(()) };
        let reference = record.reference();
        let item = self.item(&id.item()).await?;
        let stored = item.as_ref().map(StoredIdentity::read).transpose()?.unwrap_or_default();
        let held = stored.identity.holdings(id.source()).into_keys();
        let traits: BTreeSet<_> = record.person.traits.iter().cloned().chain(held).collect();
        let mut changes: Vec<Merge> = traits.iter().map(|of| holders::not_departed(of, id, &reference)).collect();
        changes.push(Merge::of(id.item()).remove(DEPARTURES, reference.to_string()));
        self.merge_all(changes).await
    }

    /// Returns the record of this id.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn get(&self, id: &str) -> Result<Option<Record>, LedgerError> {
        if id.starts_with('#') {
            return Ok(None);
        }
        self.item(id).await?.as_ref().map(Record::read).transpose()
    }

    /// Returns the records of these ids that exist.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn get_many(&self, ids: BTreeSet<String>) -> Result<BTreeMap<String, Record>, LedgerError> {
        let items = self.store.read(&ids).await?;
        items.into_iter().map(|(id, item)| Ok((id, Record::read(&item)?))).collect()
    }

    /// Writes a record that was read. Returns whether it was unchanged since.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be written.
    pub async fn save(&self, record: &mut Record) -> Result<bool, LedgerError> {
        let change = Change::Swap { item: record.item()?, expected: record.version };
        let saved = self.store.change(&[change]).await? == Changed::All;
        if saved {
            record.version += 1;
        }
        Ok(saved)
    }

    /// Returns up to `limit` departures in this state that were due at `until`, the longest overdue first.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn due(&self, state: State, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError> {
        self.store.by_state(facts::index_name(state), until, limit).await
    }

    /// Returns some records that were received in a month (`2026-01`), the newest first, and where to go on.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn of_month(
        &self,
        month: &str,
        after: Option<Cursor>,
    ) -> Result<(Vec<Record>, Option<Cursor>), LedgerError> {
        self.received(month, 0..=i64::MAX, after).await
    }

    /// Returns those records of a month that were received in a period (in milliseconds since 1970), as [`Ledger::of_month`] does.
    /// Others are not read.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn received(
        &self,
        month: &str,
        period: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Record>, Option<Cursor>), LedgerError> {
        let (items, next) = self.store.by_month(month, period, after).await?;
        Ok((items.iter().map(Record::read).collect::<Result<_, _>>()?, next))
    }

    /// Returns the store, for items that are not departures or identity facts.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns the number of users of a SCIM source. The index may lag behind.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn count_users(&self, source: &str) -> Result<usize, LedgerError> {
        Ok(self.store.by_source(source).await?.len())
    }

    async fn item(&self, id: &str) -> Result<Option<Item>, LedgerError> {
        Ok(self.store.read(&BTreeSet::from([id.to_owned()])).await?.remove(id))
    }

    /// Makes a change that may be refused for want of room.
    async fn merge(&self, merge: Merge) -> Result<Changed, LedgerError> {
        self.store.change(&[Change::Merge(merge)]).await
    }

    /// Makes changes of traits and identities; those that are full are marked crowded.
    async fn merge_all(&self, merges: Vec<Merge>) -> Result<(), LedgerError> {
        let mut changes: Vec<Change> = merges.into_iter().map(Change::Merge).collect();
        for part in changes.chunks_mut(store::MAX_CHANGES) {
            let mut part = part.to_vec();
            while let Changed::None(refused) = self.store.change(&part).await? {
                mark_crowded(&mut part, &refused);
            }
        }
        Ok(())
    }
}

/// What became of an attempt to write a new record.
enum Created {
    Yes,
    /// There is a record of this id.
    Exists,
    /// What was to be written beside it has changed.
    Conflict,
}

/// Returns the time that a source gave, in milliseconds since 1970; `None` where the time is our own clock's, as that of a day
/// which means its reception.
fn said_by_source(at: Option<EventTime>, now: OffsetDateTime) -> Option<i64> {
    let is_ours = |at: &EventTime| matches!(at, EventTime::Day(_)) && at.resolve(now) == now;
    at.filter(|at| !is_ours(at)).map(|at| millis(at.resolve(now)))
}

/// Writes that an id departed. Refused where the item is full.
fn departed(id: &IdentityKey, departure: &DepartureRef) -> Merge {
    let member = departure.to_string();
    let merge = Merge::of(id.item()).room(DEPARTURES, holders::MAX_DEPARTURES, Some(&member));
    merge.add(DEPARTURES, member)
}

/// Replaces the changes that found no room by a mark: departures that act on a crowded item are held.
fn mark_crowded(changes: &mut [Change], refused: &BTreeSet<usize>) {
    for position in refused {
        changes[*position] = Change::Merge(holders::crowded(changes[*position].id()));
    }
}
