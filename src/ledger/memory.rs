//! An embedded store: for a single process, and for as long as it lives.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Item, LedgerDown, Store};

/// Items in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<String, Item>>);

#[async_trait]
impl Store for Memory {
    async fn load(&self, id: &str) -> Result<Option<Item>, LedgerDown> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned())
    }

    async fn store(&self, item: &Item, expected: Option<u64>) -> Result<bool, LedgerDown> {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let agrees = items.get(&item.id).map(|item| item.version) == expected;
        if agrees {
            items.insert(item.id.clone(), item.clone());
        }
        Ok(agrees)
    }

    async fn list(&self, _: Option<String>) -> Result<(Vec<Item>, Option<String>), LedgerDown> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((items.values().cloned().collect(), None))
    }
}
