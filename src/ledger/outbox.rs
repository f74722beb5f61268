//! The outbox: notifications that wait to be published. Each is an item of its own, written in one transaction with the record
//! that it is about, so that a crash between the two loses none. The record's state, its due time and its expiry are not touched.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::{
    Ledger, LedgerError, Record,
    store::{Change, Changed, Due, Index, Item},
};
use crate::notification::{Notification, Occasion};

/// Beginning of the ids of notifications.
const ITEMS: &str = "#outbox/";
/// The state and the month of a notification in the indexes: no list of departures has them.
const OUTBOX: &str = "outbox";
/// Seconds for which a notification is kept, whether it was published or not.
const KEPT: i64 = 30 * 86_400;

/// A notification that was read, to be published.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// The notification.
    pub notification: Notification,
    version: u64,
}

impl Ledger {
    /// The ledger, which also writes notifications about these occasions.
    #[must_use]
    pub fn notifying(self, about: BTreeSet<Occasion>) -> Self {
        Self { about: about.into(), ..self }
    }

    /// Returns whether notifications about this are written.
    pub(crate) fn notifies_of(&self, about: Occasion) -> bool {
        self.about.contains(&about)
    }

    /// Writes a record that was read, at the end of a run or after a decision, and with it the notification about what became of
    /// the departure, if there is a new one. Returns whether the record was unchanged since.
    ///
    /// # Errors
    /// If the ledger cannot be used; then both may be written, or neither.
    pub async fn close(&self, record: &mut Record, now: OffsetDateTime) -> Result<bool, LedgerError> {
        let mut closed = record.clone();
        let notification = closed.notify(&self.about, now);
        let mut changes = vec![Change::Swap { item: closed.item()?, expected: closed.version }];
        if let Some(notification) = &notification {
            changes.push(Change::Swap { item: item(notification, 1, true)?, expected: 0 });
        }
        let saved = self.store.change(&changes).await? == Changed::All;
        if saved {
            closed.version += 1;
            *record = closed;
        }
        Ok(saved)
    }

    /// Writes a notification that is about no single departure, once. It is published if `is_due`. Returns it if it is new.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be written.
    pub(crate) async fn note_once(
        &self,
        notification: &Notification,
        is_due: bool,
    ) -> Result<Option<Unpublished>, LedgerError> {
        let change = Change::Swap { item: item(notification, 1, is_due)?, expected: 0 };
        let is_new = self.store.change(&[change]).await? == Changed::All;
        Ok(is_new.then(|| Unpublished { notification: notification.clone(), version: 1 }))
    }

    /// Returns whether there is, or was for [`KEPT`] seconds, a notification of this id.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub(crate) async fn is_noted(&self, id: &str) -> Result<bool, LedgerError> {
        Ok(self.item(&format!("{ITEMS}{id}")).await?.is_some())
    }

    /// Returns up to `limit` notifications that were not published by `now`, the oldest first. The index may lag behind.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn unpublished(&self, now: OffsetDateTime, limit: usize) -> Result<Vec<Unpublished>, LedgerError> {
        let due = self.store.by_state(OUTBOX, now.unix_timestamp(), limit).await?;
        let items = self.store.read(&due.iter().map(|due| due.id.clone()).collect()).await?;
        Ok(due.iter().filter_map(|due| read(&items, due)).collect())
    }

    /// Takes a published notification out of the outbox. One that another tick has taken out is no error.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be published once more.
    pub async fn published(&self, unpublished: &Unpublished) -> Result<(), LedgerError> {
        let Unpublished { notification, version } = unpublished;
        let change = Change::Swap { item: item(notification, version + 1, false)?, expected: *version };
        self.store.change(&[change]).await.map(drop)
    }
}

/// Reads an item of the outbox. One that cannot be read is left out, so that it holds up no other; one that was published since
/// the index was written is left out as well.
fn read(items: &BTreeMap<String, Item>, due: &Due) -> Option<Unpublished> {
    let item = items.get(&due.id).filter(|item| item.index.is_some())?;
    let notification = serde_json::from_str(&item.document);
    let notification =
        notification.inspect_err(|_| tracing::error!("a notification in the outbox cannot be read")).ok()?;
    Some(Unpublished { notification, version: item.version })
}

/// The item of a notification.
fn item(notification: &Notification, version: u64, is_due: bool) -> Result<Item, LedgerError> {
    let at = notification.at.unix_timestamp();
    let index =
        Index { state: OUTBOX.to_owned(), due_at: Some(at), month: OUTBOX.to_owned(), received_at: at, dry_run: false };
    Ok(Item {
        id: format!("{ITEMS}{}", notification.id),
        version,
        document: serde_json::to_string(notification).map_err(|_| LedgerError::Unreadable("notification"))?,
        expires_at: Some(at.saturating_add(KEPT)),
        index: is_due.then_some(index),
        ..Item::default()
    })
}
