//! The facts that a judgement looks at: read together, by consistent reads, and each at most a few seconds old.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Holders, Ledger, LedgerError, ProviderLimits, Record, State,
    identity::StoredIdentity,
    key::{IdentityKey, PAUSE, PROVIDERS, TraitKey},
    protection::{PROTECTED, ProtectedList},
    record::millis,
    store::{Item, Merge},
};
use crate::config::{MaxDepartures, Policy};

mod counted;

/// Rounds of reads: what the event names, what that names, and what that names. What a further one would name counts as
/// active.
const ROUNDS: usize = 3;
/// Buckets in a window of the safeguard, each a sixth of `per`: the window is never shorter than `per`.
const WINDOW: i64 = 7;
/// Members of a bucket at most.
const MAX_MEMBERS: usize = 20_000;
/// The set of persons in a bucket.
const PERSONS: &str = "persons";

/// Everything stored that a judgement looks at.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The kill switch, if it is on.
    pub pause: Option<Pause>,
    /// What the providers asked for. No judgement looks at it.
    pub limits: ProviderLimits,
    /// The departed person's ids.
    pub identities: BTreeMap<IdentityKey, StoredIdentity>,
    /// Other ids that have or had one of the person's addresses or external ids, if a list protects anybody. No veto but
    /// `protected` looks at them.
    pub others: BTreeMap<IdentityKey, StoredIdentity>,
    /// The departed person's addresses and external ids.
    pub traits: BTreeMap<TraitKey, Holders>,
    /// Other departures that these refer to; `None` for one that has expired, and so was done.
    pub records: BTreeMap<String, Option<Record>>,
    /// The persons whose departures were received around this one, by bucket: those of the window's buckets before, its own
    /// and those after.
    pub received: Vec<BTreeSet<String>>,
    /// The protected list that operators change.
    pub protected: ProtectedList,
}

/// The kill switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The caller's AWS identity.
    pub who: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Facts {
    /// Returns whether a departure that is referred to stands. One that was not read does not.
    pub fn stands(&self, id: &str, now: OffsetDateTime) -> bool {
        match self.records.get(id) {
            None => false,
            Some(None) => true,
            Some(Some(record)) => record.stands(now),
        }
    }

    /// Returns whether nothing stood against a departure that is referred to, when it was judged last.
    pub fn is_unopposed(&self, id: &str) -> bool {
        let vetoes = |record: &Record| record.vetoes.as_ref().is_some_and(Vec::is_empty);
        self.records.get(id).is_some_and(|record| record.as_ref().is_none_or(vetoes))
    }

    /// Returns whether more people's departures were received in a window around this one than the safeguard lets through.
    pub fn is_over(&self, limit: Option<&MaxDepartures>) -> bool {
        let Some(limit) = limit else { return false };
        let is_full = |bucket: &BTreeSet<String>| bucket.len() >= room(limit);
        // There are at most as many persons as members. To count them at each judgement of a large delivery is work that grows with its
        // square, so that it is done only where it can matter.
        let is_over = |window: &[BTreeSet<String>]| {
            let members: usize = window.iter().map(BTreeSet::len).sum();
            members > limit.count as usize && counted::persons(window.iter().flatten()) > limit.count as usize
        };
        self.received.iter().any(is_full) || self.received.windows(WINDOW as usize).any(is_over)
    }

    /// Returns whether a departure was counted when it was received.
    pub fn counts(&self, record: &Record) -> bool {
        self.received.get(WINDOW as usize - 1).is_some_and(|bucket| bucket.contains(&counted::member(record)))
    }

    fn add(&mut self, names: &Names, items: &BTreeMap<String, Item>) -> Result<(), LedgerError> {
        for (ids, read) in [(&names.identities, &mut self.identities), (&names.others, &mut self.others)] {
            for id in ids {
                let item = items.get(&id.item());
                read.insert(id.clone(), item.map(StoredIdentity::read).transpose()?.unwrap_or_default());
            }
        }
        for key in &names.traits {
            let item = items.get(key.item());
            self.traits.insert(key.clone(), item.map(Holders::read).transpose()?.unwrap_or_default());
        }
        for id in &names.records {
            let record = items.get(id).map(Record::read).transpose()?;
            self.records.insert(id.clone(), record);
        }
        Ok(())
    }

    /// What these facts name and do not hold yet. `protects`: whether a list protects anybody.
    fn named(&self, record: &Record, protects: bool) -> Names {
        let mut names = Names::default();
        let own = |id: &&IdentityKey| id.source() == record.source;
        names.traits.extend(record.person.traits.iter().cloned());
        names.identities.extend(record.person.key.clone());
        for holders in self.traits.values() {
            names.records.extend(holders.ids.values().flat_map(|holder| &holder.departures).map(|one| one.id.clone()));
        }
        // The same source may know the person by a stronger or a weaker id.
        for (key, holders) in &self.traits {
            let Some(strength) = record.person.key.as_ref().map(|id| id.is_weak_at(key)) else { continue };
            let others = holders.ids.keys().filter(own).filter(|id| id.is_weak_at(key) != strength);
            names.identities.extend(others.cloned());
        }
        for (id, stored) in &self.identities {
            names.records.extend(stored.departures.iter().map(|one| one.id.clone()));
            names.traits.extend(stored.identity.holdings(id.source()).into_keys());
        }
        names.records.remove(&record.id);
        names.identities.retain(|id| !self.identities.contains_key(id));
        if protects {
            names.others.extend(self.traits.values().flat_map(|holders| holders.ids.keys().cloned()));
            let is_read = |id: &IdentityKey| self.identities.contains_key(id) || self.others.contains_key(id);
            names.others.retain(|id| !is_read(id) && !names.identities.contains(id));
        }
        names.traits.retain(|key| !self.traits.contains_key(key));
        names.records.retain(|id| !self.records.contains_key(id));
        names
    }
}

/// Items to read.
#[derive(Default)]
struct Names {
    identities: BTreeSet<IdentityKey>,
    others: BTreeSet<IdentityKey>,
    traits: BTreeSet<TraitKey>,
    records: BTreeSet<String>,
}

impl Names {
    fn ids(&self) -> BTreeSet<String> {
        let identities = self.identities.iter().chain(&self.others).map(IdentityKey::item);
        let traits = self.traits.iter().map(|key| key.item().to_owned());
        identities.chain(traits).chain(self.records.iter().cloned()).collect()
    }
}

impl Ledger {
    /// Reads the facts around a departure.
    ///
    /// # Errors
    /// If one of them could not be read: then nothing may be decided.
    pub async fn facts(&self, record: &Record, policy: &Policy) -> Result<Facts, LedgerError> {
        let mut facts = Facts::default();
        let buckets =
            policy.max_departures.as_ref().map(|limit| Buckets::around(limit, record.received_at).collect::<Vec<_>>());
        let buckets = buckets.unwrap_or_default();
        for round in 0..ROUNDS {
            let protects = !policy.protected.is_empty() || !facts.protected.is_empty();
            let names = facts.named(record, protects);
            let mut ids = names.ids();
            if round == 0 {
                ids.extend(buckets.iter().cloned().chain([PAUSE, PROTECTED, PROVIDERS].map(str::to_owned)));
            }
            if ids.is_empty() {
                break;
            }
            let mut items = self.store.read(&ids).await?;
            facts.add(&names, &items)?;
            if round == 0 {
                facts.pause = items.get(PAUSE).map(pause).transpose()?.flatten();
                facts.limits = ProviderLimits::read(items.get(PROVIDERS));
                facts.protected = ProtectedList::read(items.get(PROTECTED))?;
                let persons = |id| items.remove(id).and_then(|mut item| item.sets.remove(PERSONS)).unwrap_or_default();
                facts.received = buckets.iter().map(persons).collect();
            }
        }
        Ok(facts)
    }

    /// Counts the persons of departures that were received at one time, for the safeguard. A person counts once.
    ///
    /// # Errors
    /// If the ledger cannot be used; then they may be counted.
    pub async fn count(&self, records: &[&Record], limit: &MaxDepartures) -> Result<(), LedgerError> {
        let mut buckets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for record in records {
            buckets.entry(Buckets::of(limit, record.received_at)).or_default().insert(counted::member(record));
        }
        for (id, persons) in buckets {
            let persons: BTreeSet<_> = persons.into_iter().take(room(limit)).collect();
            let expires_at = records.iter().map(|record| record.received_at).max();
            let expires_at = expires_at.map(|at| (at + 3 * limit.per + Duration::from_secs(86_400)).unix_timestamp());
            let mut merge = Merge::of(id).room(PERSONS, room(limit), None);
            merge.add.insert(PERSONS.to_owned(), persons);
            merge.expires_at = expires_at;
            // Where there is no room, there are too many already.
            self.merge(merge).await?;
        }
        Ok(())
    }

    /// Returns the kill switch, if it is on.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn pause(&self) -> Result<Option<Pause>, LedgerError> {
        Ok(self.item(PAUSE).await?.as_ref().map(pause).transpose()?.flatten())
    }

    /// Switches the kill switch on, or off (`None`). Returns whether that changed anything.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn set_pause(&self, pause: Option<&Pause>) -> Result<bool, LedgerError> {
        let changed = self.pause().await?.is_some() != pause.is_some();
        let document = serde_json::to_string(&pause).map_err(|_| LedgerError::Unreadable("pause"))?;
        self.merge(Merge::of(PAUSE).field("pause", document)).await?;
        Ok(changed)
    }
}

fn pause(item: &Item) -> Result<Option<Pause>, LedgerError> {
    let Some(text) = item.fields.get("pause") else { return Ok(None) };
    serde_json::from_str(text).map_err(|_| LedgerError::Unreadable("pause"))
}

/// Members of a bucket: a person may leave in several sources. More says no more than that the limit is passed, and has to fit
/// into an item.
fn room(limit: &MaxDepartures) -> usize {
    (4 * limit.count as usize).min(MAX_MEMBERS)
}

/// The safeguard's buckets.
struct Buckets;

impl Buckets {
    fn number(limit: &MaxDepartures, at: OffsetDateTime) -> (i64, i64) {
        let width = i64::try_from(limit.per.as_millis() / 6).unwrap_or(i64::MAX).max(1);
        (width, millis(at).div_euclid(width))
    }

    fn of(limit: &MaxDepartures, at: OffsetDateTime) -> String {
        let (width, number) = Self::number(limit, at);
        format!("#received/{width}/{number}")
    }

    fn around(limit: &MaxDepartures, at: OffsetDateTime) -> impl Iterator<Item = String> {
        let (width, number) = Self::number(limit, at);
        (1 - WINDOW..WINDOW).map(move |n| format!("#received/{width}/{}", number + n))
    }
}

/// Returns the state's name, as the index has it.
pub(super) fn index_name(state: State) -> &'static str {
    state.as_str()
}
