//! The store in memory, as far away as DynamoDB is, with a meter.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use offboard::ledger::{
    LedgerError,
    memory::Memory,
    store::{Change, Changed, Cursor, Due, Item, Store},
};
use tokio::time::sleep;

use crate::cost::Units;

/// How long a call takes.
const LATENCY: Duration = Duration::from_millis(5);
/// An entry of the index by state, in bytes.
const ENTRY: usize = 150;

#[derive(Debug, Default)]
pub struct Metered {
    pub memory: Memory,
    pub units: Mutex<Units>,
    /// Whether what providers ask for is not kept.
    pub forgets_limits: bool,
}

fn size(item: &Item) -> usize {
    let sets = item.sets.iter().map(|(name, set)| name.len() + set.iter().map(String::len).sum::<usize>());
    let fields = item.fields.iter().map(|(name, text)| name.len() + text.len());
    150 + item.id.len() + item.document.len() + sets.chain(fields).sum::<usize>()
}

impl Metered {
    fn units(&self) -> std::sync::MutexGuard<'_, Units> {
        self.units.lock().unwrap()
    }

    async fn meter(&self, changes: &[Change]) -> Result<(), LedgerError> {
        let ids = changes.iter().map(|change| change.id().to_owned()).collect();
        let times = if changes.len() > 1 { 2 } else { 1 };
        for item in self.memory.read(&ids).await?.values() {
            let kilobytes = size(item).div_ceil(1024);
            // An entry that moves in the index by state is deleted and put; the whole item is in the one by month.
            let indexes = if item.index.is_some() { 2 + kilobytes } else { 0 };
            self.units().written += times * kilobytes + indexes;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Metered {
    async fn read(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Item>, LedgerError> {
        sleep(LATENCY).await;
        let items = self.memory.read(ids).await?;
        let read: usize = items.values().map(|item| size(item).div_ceil(4096)).sum();
        self.units().read += read + ids.len() - items.len();
        self.units().calls += 1;
        Ok(items)
    }

    async fn change(&self, changes: &[Change]) -> Result<Changed, LedgerError> {
        sleep(LATENCY).await;
        self.units().calls += 1;
        if self.forgets_limits && changes.iter().all(|change| change.id() == "#providers") {
            return Ok(Changed::All);
        }
        let changed = self.memory.change(changes).await?;
        self.meter(changes).await?;
        Ok(changed)
    }

    async fn by_state(&self, state: &str, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError> {
        sleep(LATENCY).await;
        let due = self.memory.by_state(state, until, limit).await?;
        self.units().calls += 1;
        self.units().read += (due.len() * ENTRY).div_ceil(2 * 4096);
        Ok(due)
    }

    async fn by_month(
        &self,
        month: &str,
        received: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Item>, Option<Cursor>), LedgerError> {
        self.memory.by_month(month, received, after).await
    }

    async fn by_source(&self, source: &str) -> Result<Vec<String>, LedgerError> {
        self.memory.by_source(source).await
    }
}

pub type Shared = Arc<Metered>;
