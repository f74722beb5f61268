//! The store of one environment: the real one in memory, behind calls that fail, hang and lose their answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use async_trait::async_trait;
use offboard::ledger::{
    LedgerError,
    store::{Change, Changed, Cursor, Due, Item, Store},
};

use crate::{observed, steps::FaultKind, world::World};

#[derive(Debug)]
pub struct FaultyStore {
    pub world: Arc<World>,
    pub place: usize,
}

fn lost() -> LedgerError {
    LedgerError::Unavailable("simulated".to_owned())
}

#[async_trait]
impl Store for FaultyStore {
    async fn read(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Item>, LedgerError> {
        let fault = self.world.begin_call(self.place).await;
        if let Some(FaultKind::ErrorBefore | FaultKind::ErrorAfter) = fault {
            return Err(lost());
        }
        let items = self.world.memory.read(ids).await;
        self.world.end_call(self.place, fault).await;
        items
    }

    async fn change(&self, changes: &[Change]) -> Result<Changed, LedgerError> {
        let fault = self.world.begin_call(self.place).await;
        if fault == Some(FaultKind::ErrorBefore) {
            return Err(lost());
        }
        let changed = self.world.memory.change(changes).await;
        if changed == Ok(Changed::All) {
            observed::written(&self.world, self.place, changes);
        }
        self.world.end_call(self.place, fault).await;
        if fault == Some(FaultKind::ErrorAfter) { Err(lost()) } else { changed }
    }

    async fn by_state(&self, state: &str, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError> {
        self.world.memory.by_state(state, until, limit).await
    }

    async fn by_month(
        &self,
        month: &str,
        received: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Item>, Option<Cursor>), LedgerError> {
        self.world.memory.by_month(month, received, after).await
    }

    async fn by_source(&self, source: &str) -> Result<Vec<String>, LedgerError> {
        self.world.memory.by_source(source).await
    }
}
