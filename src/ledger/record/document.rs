//! A record as an item of the store.

use super::{Record, State, millis};
use crate::{
    evidence::Month,
    ledger::{
        LedgerError,
        store::{Index, Item},
    },
    verdict::Veto,
};

/// The longest document that is stored in full, in bytes: DynamoDB takes 400 KB of an item with all its attributes.
const MAX_DOCUMENT: usize = 300 * 1024;

impl Record {
    /// Returns what the indexes are to know.
    pub(in crate::ledger) fn index(&self) -> Index {
        Index {
            state: self.state.to_string(),
            due_at: self.due_at,
            month: Month::of(self.received_at).to_string(),
            received_at: millis(self.received_at),
            dry_run: self.state == State::Held && self.has_veto(Veto::DryRun),
        }
    }

    /// Returns the item to store, with the next version.
    pub(in crate::ledger) fn item(&self) -> Result<Item, LedgerError> {
        let mut document = text(self)?;
        if document.len() > MAX_DOCUMENT {
            document = text(&self.shortened())?;
        }
        Ok(Item {
            id: self.id.clone(),
            version: self.version + 1,
            document,
            expires_at: self.expires_at,
            index: Some(self.index()),
            ..Item::default()
        })
    }

    /// Reads an item.
    pub(in crate::ledger) fn read(item: &Item) -> Result<Self, LedgerError> {
        let record: Self = serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("record"))?;
        Ok(Self { version: item.version, ..record })
    }

    /// Returns the record without what can be looked up at the providers again: every outcome and account id stays.
    fn shortened(&self) -> Self {
        let mut record = self.clone();
        record.providers.values_mut().for_each(|result| result.found.shorten());
        record
    }
}

fn text(record: &Record) -> Result<String, LedgerError> {
    serde_json::to_string(record).map_err(|_| LedgerError::Unreadable("record"))
}
