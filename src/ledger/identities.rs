//! Storing identity facts: each id's item and those of its traits in one transaction, many ids side by side.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use time::OffsetDateTime;

use super::{
    Held, IdentityKey, Ledger, LedgerError, MAX_CAS_ATTEMPTS, State, StoredIdentity, TraitKey, holders,
    key::DepartureRef,
    mark_crowded, millis,
    store::{Change, Changed, Item},
};
use crate::{
    departure::IdentityFact,
    judgement::MAX_AHEAD,
    outcome::{Outcome, Status},
};

/// Ids whose facts are written side by side.
const CONCURRENT_WRITES: usize = 16;
/// Ids that are read together.
const READ_TOGETHER: usize = 100;
/// Departures of an id that a late address may reopen, the newest first.
const MAX_REOPENED: usize = 5;

/// What the identity map knows of an id.
#[derive(Clone, Debug)]
pub struct KnownIdentity {
    /// Verified addresses, current and former.
    pub emails: Vec<Held>,
    /// Addresses that were entered and never verified.
    pub unverified_emails: Vec<Held>,
    /// External ids, current and former.
    pub external_ids: Vec<Held>,
    /// The last word "active", in milliseconds since 1970.
    pub active: Option<i64>,
    /// The first fact, in milliseconds since 1970.
    pub first: Option<i64>,
    /// Departures of this id.
    pub departures: Vec<DepartureRef>,
}

impl Ledger {
    /// Stores what a source said about its ids. Said again, nothing changes: an interrupted call goes on where it stopped.
    ///
    /// # Errors
    /// If not all facts could be stored.
    pub async fn store_facts(
        &self,
        source: &str,
        facts: &[IdentityFact],
        now: OffsetDateTime,
    ) -> Result<(), LedgerError> {
        let mut by_id: BTreeMap<IdentityKey, Vec<&IdentityFact>> = BTreeMap::new();
        for fact in facts {
            if let Some(id) = IdentityKey::of(source, &fact.person) {
                by_id.entry(id).or_default().push(fact);
            }
        }
        let by_id: Vec<_> = by_id.into_iter().collect();
        for part in by_id.chunks(READ_TOGETHER) {
            let items = self.store.read(&part.iter().map(|(id, _)| id.item()).collect()).await?;
            let mut writes = Vec::new();
            for (id, facts) in part {
                writes.push(self.store_facts_of(id, facts, items.get(&id.item()), now));
            }
            stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect::<Vec<_>>().await?;
        }
        Ok(())
    }

    async fn store_facts_of(
        &self,
        id: &IdentityKey,
        facts: &[&IdentityFact],
        item: Option<&Item>,
        now: OffsetDateTime,
    ) -> Result<(), LedgerError> {
        let mut stored = item.map(StoredIdentity::read).transpose()?.unwrap_or_default();
        for _ in 0..MAX_CAS_ATTEMPTS {
            let mut identity = stored.identity.clone();
            for fact in facts {
                let at = said_at(fact, &stored, identity.last_word(), now);
                identity.record(fact, at);
            }
            if identity == stored.identity {
                return self.reopen(id, &stored, now).await;
            }
            let after = StoredIdentity { identity, ..stored.clone() };
            if self.swap_identity(id, &stored, &after).await? {
                return self.reopen(id, &after, now).await;
            }
            let item = self.item(&id.item()).await?;
            stored = item.as_ref().map(StoredIdentity::read).transpose()?.unwrap_or_default();
        }
        Err(LedgerError::Contention)
    }

    /// Writes an id's item and what changes in those of its traits. Returns whether nobody had changed it since.
    async fn swap_identity(
        &self,
        id: &IdentityKey,
        before: &StoredIdentity,
        after: &StoredIdentity,
    ) -> Result<bool, LedgerError> {
        let document = serde_json::to_string(&after.identity).map_err(|_| LedgerError::Unreadable("identity"))?;
        let item = Item { id: id.item(), version: before.version + 1, document, ..Item::default() };
        let known = before.identity.holdings(id.source());
        let news = after.identity.holdings(id.source());
        let news = news.into_iter().filter(|(of, holding)| known.get(of) != Some(holding));
        let mut changes = vec![Change::Swap { item, expected: before.version }];
        changes.extend(news.map(|(of, holding)| Change::Merge(holders::holds(&of, id, &holding))));
        loop {
            match self.store.change(&changes).await? {
                Changed::All => return Ok(true),
                Changed::None(refused) if refused.contains(&0) => return Ok(false),
                Changed::None(refused) => mark_crowded(&mut changes, &refused),
            }
        }
    }

    /// Reopens departures of an id that were settled without an address which was said before them and is known only now.
    async fn reopen(&self, id: &IdentityKey, stored: &StoredIdentity, now: OffsetDateTime) -> Result<(), LedgerError> {
        let emails = stored.identity.emails();
        for departure in stored.departures.iter().rev().take(MAX_REOPENED) {
            for _ in 0..MAX_CAS_ATTEMPTS {
                let Some(mut record) = self.get(&departure.id).await? else { break };
                let said_before = emails.iter().filter(|held| held.from <= record.time());
                let known = said_before.map(|held| TraitKey::email(&held.text));
                let unknown: BTreeSet<_> = known.filter(|key| !record.looked_up.contains(key)).collect();
                let is_new = !unknown.is_empty();
                if !is_new || record.state == State::Dismissed || record.person.key.as_ref() != Some(id) {
                    break;
                }
                match record.state {
                    State::Done | State::NeedsAttention => record
                        .reopen(now, |outcome| outcome.status() == Status::Done || outcome == Outcome::Unidentified),
                    // A worker that has read its facts already finds its record changed, and does not close it as done.
                    _ if !record.late.is_superset(&unknown) => record.late.extend(unknown),
                    _ => break,
                }
                if self.save(&mut record).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Returns what the identity map knows of an id; `None` if nothing.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn known(&self, id: &IdentityKey) -> Result<Option<KnownIdentity>, LedgerError> {
        let Some(item) = self.item(&id.item()).await? else { return Ok(None) };
        let stored = StoredIdentity::read(&item)?;
        Ok(Some(KnownIdentity {
            emails: stored.identity.emails(),
            unverified_emails: stored.identity.unverified_emails(),
            external_ids: stored.identity.external_ids(),
            active: stored.identity.active,
            first: stored.identity.first,
            departures: stored.departures.into_iter().collect(),
        }))
    }
}

/// When a fact was said, in milliseconds since 1970. A clock that is far ahead must not have the last word for years; a time
/// that is our own clock's comes after the last word about the id, because the clocks of environments differ.
fn said_at(fact: &IdentityFact, stored: &StoredIdentity, last_word: Option<i64>, now: OffsetDateTime) -> i64 {
    let received = millis(now);
    let said = fact.at.map(|at| millis(at.resolve(now)));
    if let Some(said) = said.filter(|said| *said != received) {
        return said.min(received + MAX_AHEAD);
    }
    let departed = stored.departures.iter().map(|departure| departure.rank).max();
    last_word.max(departed).map_or(received, |last| received.max(last + 1))
}
