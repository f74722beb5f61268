//! Where items are kept: consistent reads, and writes that are made together or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::LedgerError;

/// Most changes that [`Store::change`] takes at once, and most members that one change adds to a set's condition.
pub const MAX_CHANGES: usize = 100;

/// What a ledger keeps its items in.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns the items of these ids that exist.
    ///
    /// # Errors
    /// If not every id could be looked up: an item that was not read is never an absent one.
    async fn read(&self, ids: &BTreeSet<String>) -> Result<BTreeMap<String, Item>, LedgerError>;

    /// Makes all changes (at most [`MAX_CHANGES`]) or none.
    ///
    /// # Errors
    /// If the store cannot be reached; then the changes may have been made or not.
    async fn change(&self, changes: &[Change]) -> Result<Changed, LedgerError>;

    /// Returns the ids of up to `limit` records in this state that were due at `until` (seconds since 1970), the longest
    /// overdue first. The index may lag behind the records.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn by_state(&self, state: &str, until: i64, limit: usize) -> Result<Vec<Due>, LedgerError>;

    /// Returns some items of a month (`2026-01`) that were received in a period (in milliseconds since 1970), the newest first, and
    /// where to go on. Others are not read. The index may lag behind.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn by_month(
        &self,
        month: &str,
        received: RangeInclusive<i64>,
        after: Option<Cursor>,
    ) -> Result<(Vec<Item>, Option<Cursor>), LedgerError>;

    /// Returns the ids of all items that are listed under a source, in order. The index may lag behind.
    ///
    /// # Errors
    /// If the store cannot be reached.
    async fn by_source(&self, source: &str) -> Result<Vec<String>, LedgerError>;
}

/// Result of [`Store::change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// All were made.
    All,
    /// None was made: the conditions of the changes at these places did not hold.
    None(BTreeSet<usize>),
}

/// An item. A part is written by comparing its version ([`Change::Swap`]), the rest by adding to it ([`Change::Merge`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Key.
    pub id: String,
    /// Number of swaps; 0 if there is no document yet.
    pub version: u64,
    /// JSON; empty if there is no document yet.
    pub document: String,
    /// When the item may be deleted, in seconds since 1970.
    pub expires_at: Option<i64>,
    /// Attributes for the indexes, on records only.
    pub index: Option<Index>,
    /// The source under which the item is listed, on users of a SCIM source only.
    pub source: Option<String>,
    /// Sets of texts. None is empty.
    pub sets: BTreeMap<String, BTreeSet<String>>,
    /// Texts beside the document.
    pub fields: BTreeMap<String, String>,
}

/// What the indexes know of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The record's state.
    pub state: String,
    /// When something is to be done about the record, in seconds since 1970; `None` for one that is done or dismissed.
    pub due_at: Option<i64>,
    /// The month of its reception: `2026-01`.
    pub month: String,
    /// When it was received, in milliseconds since 1970.
    pub received_at: i64,
    /// Whether a dry run is what holds it.
    pub dry_run: bool,
}

/// A record that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The departure's id.
    pub id: String,
    /// Since when, in seconds since 1970.
    pub due_at: i64,
    /// Whether a dry run is what holds it.
    pub dry_run: bool,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The last item's id.
    pub id: String,
    /// When it was received, in milliseconds since 1970.
    pub received_at: i64,
}

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes `document`, `expires_at`, `index` and `source` of the item if the stored version is still `expected` (0: no document
    /// yet); sets and fields stay as they are.
    Swap {
        /// The item as it is to be, with its new version.
        item: Item,
        /// The version that was read.
        expected: u64,
    },
    /// Changes sets and fields, whatever the version.
    Merge(Merge),
}

/// A change that does not depend on what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// The item's id. The item is created if it does not exist.
    pub id: String,
    /// Members to add, by set. No set of them is empty.
    pub add: BTreeMap<String, BTreeSet<String>>,
    /// Members to remove, by set.
    pub remove: BTreeMap<String, BTreeSet<String>>,
    /// Texts to write.
    pub fields: BTreeMap<String, String>,
    /// When the item may be deleted, in seconds since 1970.
    pub expires_at: Option<i64>,
    /// Bounds that must hold before the change.
    pub room: Vec<Room>,
}

/// A condition of a [`Merge`]: the set has fewer than `below` members, or already has `member`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The set's name.
    pub set: String,
    /// The bound.
    pub below: usize,
    /// A member that needs no room.
    pub member: Option<String>,
}

impl Change {
    /// Returns the id of the item that it changes.
    pub fn id(&self) -> &str {
        match self {
            Self::Swap { item, .. } => &item.id,
            Self::Merge(merge) => &merge.id,
        }
    }
}

impl Merge {
    /// A change of this item that does nothing yet.
    pub fn of(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Adds one member to a set.
    pub fn add(mut self, set: impl Into<String>, member: impl Into<String>) -> Self {
        self.add.entry(set.into()).or_default().insert(member.into());
        self
    }

    /// Removes one member from a set.
    pub fn remove(mut self, set: impl Into<String>, member: impl Into<String>) -> Self {
        self.remove.entry(set.into()).or_default().insert(member.into());
        self
    }

    /// Writes a text.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Makes the change only if the set has fewer than `below` members, or already has `member`.
    pub fn room(mut self, set: impl Into<String>, below: usize, member: Option<&str>) -> Self {
        self.room.push(Room { set: set.into(), below, member: member.map(str::to_owned) });
        self
    }
}
