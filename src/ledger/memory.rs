//! A store in memory: for one process, as long as it lives.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    LedgerError,
    store::{Change, Changed, Cursor, Due, Index, Item, MAX_CHANGES, Merge, Store},
};

/// Items in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<String, Item>>);

impl Memory {
    fn items(&self) -> MutexGuard<'_, BTreeMap<String, Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn read(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Item>, LedgerError> {
        let items = self.items();
        Ok(ids.iter().filter_map(|id| Some((id.clone(), items.get(id)?.clone()))).collect())
    }

    async fn change(&self, changes: &[Change]) -> Result<Changed, LedgerError> {
        if changes.len() > MAX_CHANGES {
            return Err(LedgerError::Unavailable("ValidationException".to_owned()));
        }
        let mut items = self.items();
        let refused: BTreeSet<usize> = (0..changes.len()).filter(|n| !is_allowed(&items, &changes[*n])).collect();
        if !refused.is_empty() {
            return Ok(Changed::None(refused));
        }
        for change in changes {
            let item = items.entry(change.id().to_owned()).or_default();
            change.id().clone_into(&mut item.id);
            match change {
                Change::Swap { item: new, .. } => {
                    item.version = new.version;
                    item.document.clone_from(&new.document);
                    item.expires_at = new.expires_at;
                    item.index.clone_from(&new.index);
                    item.source.clone_from(&new.source);
                }
                Change::Merge(merge) => apply(item, merge),
            }
        }
        Ok(Changed::All)
    }

    async fn by_state(&self, state: &str, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError> {
        let items = self.items();
        let due = |item: &Item| {
            let index = item.index.as_ref().filter(|index| index.state == state)?;
            let due_at = index.due_at.filter(|due_at| *due_at <= until)?;
            Some(Due { id: item.id.clone(), due_at, dry_run: index.dry_run })
        };
        let mut due: Vec<_> = items.values().filter_map(due).collect();
        due.sort_by(|a, b| (a.due_at, &a.id).cmp(&(b.due_at, &b.id)));
        due.truncate(limit);
        Ok(due)
    }

    async fn by_month(
        &self,
        month: &str,
        received: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Item>, Option<Cursor>), LedgerError> {
        let place = |item: &Item| (item.index.as_ref().map(|index| index.received_at), item.id.clone());
        let after = after.map(|after| (Some(after.received_at), after.id));
        let items = self.items();
        let is_meant = |index: &Index| index.month == month && received.contains(&index.received_at);
        let of_month = |item: &&Item| item.index.as_ref().is_some_and(is_meant);
        let is_after = |item: &&Item| after.as_ref().is_none_or(|after| place(item) < *after);
        let mut found: Vec<_> = items.values().filter(of_month).filter(is_after).cloned().collect();
        found.sort_by_key(|item| std::cmp::Reverse(place(item)));
        Ok((found, None))
    }

    async fn by_source(&self, source: &str) -> Result<Vec<String>, LedgerError> {
        let items = self.items();
        let listed = items.values().filter(|item| item.source.as_deref() == Some(source));
        Ok(listed.map(|item| item.id.clone()).collect())
    }
}

fn is_allowed(items: &BTreeMap<String, Item>, change: &Change) -> bool {
    let item = items.get(change.id());
    match change {
        Change::Swap { expected, .. } => item.map_or(0, |item| item.version) == *expected,
        Change::Merge(merge) => merge.room.iter().all(|room| {
            let Some(set) = item.and_then(|item| item.sets.get(&room.set)) else { return true };
            set.len() < room.below || room.member.as_ref().is_some_and(|member| set.contains(member))
        }),
    }
}

fn apply(item: &mut Item, merge: &Merge) {
    for (name, members) in &merge.add {
        item.sets.entry(name.clone()).or_default().extend(members.iter().cloned());
    }
    for (name, members) in &merge.remove {
        if let Some(set) = item.sets.get_mut(name) {
            set.retain(|member| !members.contains(member));
        }
    }
    item.sets.retain(|_, set| !set.is_empty());
    item.fields.extend(merge.fields.clone());
    item.expires_at = merge.expires_at.or(item.expires_at);
}
