//! Storing identity facts: each id's item and those of its traits in one transaction, many ids side by side.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use time::OffsetDateTime;

use super::{
    Held, Holders, IdentityKey, Ledger, LedgerError, MAX_CAS_ATTEMPTS, State, StoredIdentity, TraitKey, holders,
    key::DepartureRef,
    mark_crowded, millis, said_by_source,
    store::{Change, Changed, Item, MAX_CHANGES},
};
use crate::{
    departure::IdentityFact,
    outcome::{Outcome, Status},
    verdict::{MAX_AHEAD, Veto},
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
    /// The last word "inactive", in milliseconds since 1970.
    pub inactive: Option<i64>,
    /// The first fact, in milliseconds since 1970.
    pub first: Option<i64>,
    /// Departures of this id.
    pub departures: Vec<DepartureRef>,
}

/// Facts about one id.
#[derive(Clone, Copy)]
struct Said<'a> {
    facts: &'a [&'a IdentityFact],
    /// The last word about the person by whatever id, where a fact's time is our own clock's.
    last_word: Option<i64>,
    /// Changes that are made together with them.
    beside: &'a [Change],
    /// Whether a person says it: see [`Ledger::import_facts`].
    is_imported: bool,
}

/// What became of an attempt to write an id's item.
enum Swapped {
    Yes,
    /// The item has changed.
    Stale,
    /// What was to be written beside it has changed.
    Conflict,
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
        self.store_all(source, facts, false, now).await
    }

    /// Stores what a person says about a source's ids, as [`Ledger::store_facts`] does. It is said now; but of an id that left and
    /// of which no e-mail address is known, it is whom the departure meant. No departure goes on by it alone.
    ///
    /// # Errors
    /// If not all facts could be stored.
    pub async fn import_facts(
        &self,
        source: &str,
        facts: &[IdentityFact],
        now: OffsetDateTime,
    ) -> Result<(), LedgerError> {
        self.store_all(source, facts, true, now).await
    }

    async fn store_all(
        &self,
        source: &str,
        facts: &[IdentityFact],
        is_imported: bool,
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
            let last_words = self.last_words(part, &items, now).await?;
            let mut writes = Vec::new();
            for ((id, facts), last_word) in part.iter().zip(last_words) {
                let (item, said) = (items.get(&id.item()), Said { facts, last_word, beside: &[], is_imported });
                writes.push(self.store_facts_of(id, item, said, now));
            }
            stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect::<Vec<_>>().await?;
        }
        Ok(())
    }

    /// Stores what a source said about one id, in one transaction with the changes `beside` it. Returns `false` if those
    /// cannot be made any more: then nothing was stored.
    ///
    /// # Errors
    /// If the ledger cannot be used; then all may be written.
    pub(crate) async fn store_fact_with(
        &self,
        source: &str,
        fact: &IdentityFact,
        beside: &[Change],
        now: OffsetDateTime,
    ) -> Result<bool, LedgerError> {
        let Some(id) = IdentityKey::of(source, &fact.person) else { return Ok(false) };
        let items = self.store.read(&BTreeSet::from([id.item()])).await?;
        let part = [(id, vec![fact])];
        let last_word = self.last_words(&part, &items, now).await?.into_iter().max().flatten();
        let [(id, facts)] = &part;
        let said = Said { facts, last_word, beside, is_imported: false };
        self.store_facts_of(id, items.get(&id.item()), said, now).await
    }

    /// Returns the last word about each person by whatever id of the source, where a fact's time is our own clock's.
    async fn last_words(
        &self,
        part: &[(IdentityKey, Vec<&IdentityFact>)],
        items: &BTreeMap<String, Item>,
        now: OffsetDateTime,
    ) -> Result<Vec<Option<i64>>, LedgerError> {
        let mut traits = Vec::new();
        for (id, facts) in part {
            let mut of = BTreeSet::new();
            let untimed: Vec<_> = facts.iter().filter(|fact| said_by_source(fact.at, now).is_none()).collect();
            if !untimed.is_empty() {
                let stored = items.get(&id.item()).map(StoredIdentity::read).transpose()?.unwrap_or_default();
                of.extend(stored.identity.holdings(id.source()).into_keys());
            }
            of.extend(untimed.into_iter().flat_map(|fact| TraitKey::all_of(id.source(), &fact.person)));
            traits.push(of);
        }
        let ids: BTreeSet<_> = traits.iter().flatten().map(|of| of.item().to_owned()).collect();
        let items = if ids.is_empty() { BTreeMap::new() } else { self.store.read(&ids).await? };
        part.iter().zip(&traits).map(|((id, _), of)| Holders::last_word(id.source(), of, &items)).collect()
    }

    async fn store_facts_of(
        &self,
        id: &IdentityKey,
        item: Option<&Item>,
        said: Said<'_>,
        now: OffsetDateTime,
    ) -> Result<bool, LedgerError> {
        let mut stored = item.map(StoredIdentity::read).transpose()?.unwrap_or_default();
        for attempt in 0..MAX_CAS_ATTEMPTS {
            let mut identity = stored.identity.clone();
            let before_leaving = stored.before_leaving().filter(|_| said.is_imported);
            for fact in said.facts {
                let last_word = || said.last_word.max(stored.last_word()).max(identity.last_word());
                let at = before_leaving.unwrap_or_else(|| said_at(fact, last_word(), now));
                identity.record(fact, at);
            }
            let after = StoredIdentity { identity, ..stored.clone() };
            match self.swap_identity(id, &stored, &after, said.beside, attempt > 0).await? {
                Swapped::Yes if said.is_imported => return Ok(true),
                Swapped::Yes => {
                    self.reopen(id, &after, now).await?;
                    return Ok(true);
                }
                Swapped::Conflict => return Ok(false),
                Swapped::Stale => {}
            }
            let item = self.item(&id.item()).await?;
            stored = item.as_ref().map(StoredIdentity::read).transpose()?.unwrap_or_default();
        }
        Err(LedgerError::Contention)
    }

    /// Writes an id's item and what changes in those of its traits: in one transaction, as far as it has room, with the changes
    /// `beside` them.
    async fn swap_identity(
        &self,
        id: &IdentityKey,
        before: &StoredIdentity,
        after: &StoredIdentity,
        beside: &[Change],
        is_retry: bool,
    ) -> Result<Swapped, LedgerError> {
        let mut changes = beside.to_vec();
        if after.identity == before.identity {
            let is_made = changes.is_empty() || self.store.change(&changes).await? == Changed::All;
            return Ok(if is_made { Swapped::Yes } else { Swapped::Conflict });
        }
        let document = serde_json::to_string(&after.identity).map_err(|_| LedgerError::Unreadable("identity"))?;
        let item = Item { id: id.item(), version: before.version + 1, document, ..Item::default() };
        let mut known = before.identity.holdings(id.source());
        let news = after.identity.holdings(id.source());
        // What is no longer said of the id stays in the trait's item as it was last: somebody active may be behind it.
        let lost = known.keys().filter(|of| after.identity.crowded && !news.contains_key(of));
        let mut merges: Vec<_> = lost.map(|of| holders::crowded(of.item())).collect();
        if is_retry && news.len() >= MAX_CHANGES {
            // The attempt before may have written what is older than what was stored meanwhile.
            known.clear();
        }
        let news = news.into_iter().filter(|(of, holding)| known.get(of) != Some(holding));
        merges.extend(news.map(|(of, holding)| holders::holds(&of, id, &holding, &before.departures)));
        // What finds no room is written before: the id's item says that all is.
        changes.push(Change::Swap { item, expected: before.version });
        let last = merges.split_off(merges.len().saturating_sub(MAX_CHANGES - changes.len()));
        self.merge_all(merges).await?;
        changes.extend(last.into_iter().map(Change::Merge));
        loop {
            match self.store.change(&changes).await? {
                Changed::All => return Ok(Swapped::Yes),
                Changed::None(refused) if refused.iter().any(|n| *n < beside.len()) => return Ok(Swapped::Conflict),
                Changed::None(refused) if refused.contains(&beside.len()) => return Ok(Swapped::Stale),
                Changed::None(refused) => mark_crowded(&mut changes, &refused),
            }
        }
    }

    /// Reopens departures of an id that were closed without an address which was said before them and is known only now.
    async fn reopen(&self, id: &IdentityKey, stored: &StoredIdentity, now: OffsetDateTime) -> Result<(), LedgerError> {
        let emails = stored.identity.emails();
        for departure in stored.departures.iter().rev().take(MAX_REOPENED) {
            for _ in 0..MAX_CAS_ATTEMPTS {
                let Some(mut record) = self.get(&departure.id).await? else { break };
                let said_before = emails.iter().filter(|held| held.from() <= record.time());
                let known = said_before.map(|held| TraitKey::email(&held.text));
                let unknown: BTreeSet<_> = known.filter(|key| !record.looked_up.contains(key)).collect();
                let is_new = !unknown.is_empty();
                if !is_new || record.state == State::Dismissed || record.person.key.as_ref() != Some(id) {
                    break;
                }
                match record.state {
                    // What a protection left continues when a person has it judged again.
                    State::NeedsAttention if record.has_veto(Veto::Protected) => break,
                    State::Done | State::NeedsAttention => record
                        .reopen(now, |outcome| outcome.status() == Status::Done || outcome == Outcome::Unidentified),
                    // A worker that has read its facts already finds its record changed, and does not close it as done.
                    _ if !record.late.is_superset(&unknown) => record.late.extend(unknown),
                    _ => break,
                }
                if self.close(&mut record, now).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Returns a source's ids that have or had this e-mail address or external id.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn ids_with(&self, source: &str, of: &TraitKey) -> Result<Vec<IdentityKey>, LedgerError> {
        let Some(item) = self.item(of.item()).await? else { return Ok(Vec::new()) };
        Ok(Holders::read(&item)?.ids.into_keys().filter(|id| id.source() == source).collect())
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
            inactive: stored.identity.inactive,
            first: stored.identity.first,
            departures: stored.departures.into_iter().collect(),
        }))
    }
}

/// When a fact was said, in milliseconds since 1970. A clock that is far ahead must not have the last word for years; a time
/// that is our own clock's comes after the last word about the person, because the clocks of environments differ.
fn said_at(fact: &IdentityFact, last_word: Option<i64>, now: OffsetDateTime) -> i64 {
    let received = millis(now);
    match said_by_source(fact.at, now) {
        Some(said) => said.min(received + MAX_AHEAD),
        None => last_word.map_or(received, |last| received.max(last + 1)),
    }
}
