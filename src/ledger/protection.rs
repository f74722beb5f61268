//! The protected list that operators change: legal hold without a deployment.
//!
//! One item, read together with the facts, has what a judgement needs: the hash of each address, and until when it counts. What
//! was decided about an address, by whom and why, is an item of its own, written in one transaction with the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Ledger, LedgerError, MAX_CAS_ATTEMPTS, SKEW,
    key::{TraitKey, short},
    millis,
    store::{Change, Changed, Item, Merge},
};
use crate::config::Pattern;

/// The item of the list.
pub(super) const PROTECTED: &str = "#protected";
/// Most entries of the list: it is read at every judgement, and a full one has 100 KB.
pub const MAX_PROTECTED: usize = 1000;
/// Beginning of the ids of decisions, and what they are listed under in the index: no source has such a name.
const DECISIONS: &str = "#protection";

/// The protected list, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedList {
    version: u64,
    /// By the hash of a pattern's canonical form.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// When it was decided, in milliseconds since 1970: part of the decision's id.
    since: i64,
    /// When it ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// The entries of the list that are in force at one time: since when each is, by the hash of its pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedAddresses(BTreeMap<String, i64>);

/// A decision about an entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// What was decided.
    #[serde(flatten)]
    pub action: ProtectionAction,
    /// The e-mail address, masked, or `*@domain`.
    pub address: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The caller's AWS identity.
    pub who: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was decided about an entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ProtectionAction {
    /// Nobody with this address is removed.
    Protect {
        /// Until then; `None` until it is taken back.
        #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
        until: Option<OffsetDateTime>,
    },
    /// The address is taken off the list.
    Unprotect,
}

/// Why the list was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtectionRefused {
    /// It has as many entries as it takes.
    #[error("the list is full: it takes {MAX_PROTECTED} entries; `offboard unprotect` makes room")]
    Full,
    /// The address, or the pattern, is not an entry of it.
    #[error("it is not on the list of `offboard protect`")]
    NotListed,
    /// The ledger cannot be used.
    #[error(transparent)]
    Down(#[from] LedgerError),
}

impl Entry {
    /// Whether it is in force. Clocks differ: it ends when it has ended by each of them.
    fn is_in_force(self, now: OffsetDateTime) -> bool {
        self.until.is_none_or(|until| (now - SKEW).unix_timestamp() < until)
    }

    fn decision(self, hash: &str) -> String {
        format!("{DECISIONS}/{:013}-{hash}", self.since)
    }
}

impl ProtectedAddresses {
    /// Returns since when an address is protected, in milliseconds since 1970; `None` if it is not.
    pub fn since(&self, address: &str) -> Option<i64> {
        if self.0.is_empty() {
            return None;
        }
        Pattern::covering(address).iter().filter_map(|pattern| self.0.get(&short(pattern)).copied()).min()
    }

    /// The same of an address that is known by its key alone. What protects its whole domain is not known by it.
    pub fn since_of(&self, key: &TraitKey) -> Option<i64> {
        self.0.get(key.address_hash()?).copied()
    }
}

impl ProtectedList {
    /// Reads the item. One that cannot be read is an error: nobody is removed on it.
    pub(super) fn read(item: Option<&Item>) -> Result<Self, LedgerError> {
        let Some(item) = item else { return Ok(Self::default()) };
        let entries = serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("protected list"))?;
        Ok(Self { version: item.version, entries })
    }

    /// Returns whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns what is in force at `now`.
    pub fn at(&self, now: OffsetDateTime) -> ProtectedAddresses {
        let in_force = self.entries.iter().filter(|(_, entry)| entry.is_in_force(now));
        ProtectedAddresses(in_force.map(|(hash, entry)| (hash.clone(), entry.since)).collect())
    }

    /// Returns the number of entries that are in force at `now`, and of those that have ended.
    pub fn count(&self, now: OffsetDateTime) -> (usize, usize) {
        let in_force = self.entries.values().filter(|entry| entry.is_in_force(now)).count();
        (in_force, self.entries.len() - in_force)
    }

    /// Carries a decision out. Entries that have ended are dropped. Returns the entry that it replaces or takes back, and its own.
    fn decide(&mut self, hash: &str, decision: &Protection) -> Result<(Option<Entry>, Entry), ProtectionRefused> {
        let now = decision.at;
        let before = self.entries.remove(hash);
        self.entries.retain(|_, entry| entry.is_in_force(now));
        // An id of its own, also where clocks differ.
        let since = before.map_or(millis(now), |entry| millis(now).max(entry.since + 1));
        let until = match decision.action {
            ProtectionAction::Unprotect if before.is_none() => return Err(ProtectionRefused::NotListed),
            ProtectionAction::Unprotect => return Ok((before, Entry { since, until: None })),
            ProtectionAction::Protect { until } => until.map(OffsetDateTime::unix_timestamp),
        };
        if self.entries.len() >= MAX_PROTECTED {
            return Err(ProtectionRefused::Full);
        }
        let entry = Entry { since, until };
        self.entries.insert(hash.to_owned(), entry);
        Ok((before, entry))
    }
}

impl Protection {
    fn read(item: &Item) -> Result<Self, LedgerError> {
        serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("protection"))
    }

    /// Returns when it ends; `None` for one that counts until it is taken back.
    pub fn ends(&self) -> Option<OffsetDateTime> {
        match self.action {
            ProtectionAction::Unprotect => Some(self.at),
            ProtectionAction::Protect { until } => until,
        }
    }
}

impl Ledger {
    /// Returns the protected list.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn protected(&self) -> Result<ProtectedList, LedgerError> {
        ProtectedList::read(self.item(PROTECTED).await?.as_ref())
    }

    /// Changes the protected list, by compare-and-swap. The decision is kept for `retention` after it has ended.
    ///
    /// # Errors
    /// If there is no room, the pattern is not on the list, or the ledger cannot be used; then it may be changed.
    pub async fn decide_protection(
        &self,
        pattern: &Pattern,
        decision: &Protection,
        retention: Duration,
    ) -> Result<(), ProtectionRefused> {
        let hash = short(&pattern.canonical());
        let kept = |ends: OffsetDateTime| ends.unix_timestamp().saturating_add_unsigned(retention.as_secs());
        for _ in 0..MAX_CAS_ATTEMPTS {
            let mut list = self.protected().await?;
            let expected = list.version;
            let (before, entry) = list.decide(&hash, decision)?;
            let document = json(&list.entries)?;
            let item = Item { id: PROTECTED.to_owned(), version: expected + 1, document, ..Item::default() };
            let mut changes = vec![Change::Swap { item, expected }];
            let item = Item {
                id: entry.decision(&hash),
                version: 1,
                document: json(decision)?,
                expires_at: decision.ends().map(kept),
                source: Some(DECISIONS.to_owned()),
                ..Item::default()
            };
            changes.push(Change::Swap { item, expected: 0 });
            let ended =
                before.map(|before| Merge { expires_at: Some(kept(decision.at)), ..Merge::of(before.decision(&hash)) });
            changes.extend(ended.map(Change::Merge));
            if self.store.change(&changes).await? == Changed::All {
                return Ok(());
            }
        }
        Err(ProtectionRefused::Down(LedgerError::Contention))
    }

    /// Returns the decisions behind the entries of the list, the oldest first, and whether each is in force at `now`. With an
    /// `address`, those of the entries that cover it.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn protections(
        &self,
        address: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Vec<(Protection, bool)>, LedgerError> {
        let list = self.protected().await?;
        let covering: Option<BTreeSet<String>> =
            address.map(|address| Pattern::covering(address).iter().map(|pattern| short(pattern)).collect());
        let is_meant = |hash: &String| covering.as_ref().is_none_or(|covering| covering.contains(hash));
        let entries = list.entries.iter().filter(|(hash, _)| is_meant(hash));
        let in_force: BTreeMap<_, _> =
            entries.map(|(hash, entry)| (entry.decision(hash), entry.is_in_force(now))).collect();
        let decisions = self.decisions(in_force.keys().cloned().collect()).await?;
        Ok(decisions.into_iter().map(|(id, decision)| (decision, in_force.get(&id) == Some(&true))).collect())
    }

    /// Returns every decision about the list that is kept, the oldest first. The index may lag behind.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn protection_history(&self) -> Result<Vec<Protection>, LedgerError> {
        let ids = self.store.by_source(DECISIONS).await?;
        Ok(self.decisions(ids.into_iter().collect()).await?.into_values().collect())
    }

    /// Reads decisions. One that has expired is left out.
    async fn decisions(&self, ids: BTreeSet<String>) -> Result<BTreeMap<String, Protection>, LedgerError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let items = self.store.read(&ids).await?;
        let written = items.into_iter().filter(|(_, item)| !item.document.is_empty());
        written.map(|(id, item)| Ok((id, Protection::read(&item)?))).collect()
    }
}

fn json(value: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|_| LedgerError::Unreadable("protected list"))
}
