//! How far the monthly export of evidence is, and what it has written.
//!
//! One item has the month that is next, and which of its files are written. What was written of a month stays in an item of its
//! own, made in one transaction with the step to the next month: the SHA-256 of each file, apart from the bucket that has them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Ledger, LedgerError,
    store::{Change, Changed, Cursor, Item},
};
use crate::evidence::Month;

/// The item of the month that is next, and the beginning of the ids of those that are written.
const EXPORT: &str = "#export";

/// The export of a month, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Number of changes.
    #[serde(skip)]
    version: u64,
    /// The month.
    pub month: Month,
    /// The oldest departure of the files that are written; `None` before the first file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
    /// The part of the month that is being written, or was when a tick ended. A later tick writes exactly this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The files that are written.
    #[serde(default)]
    pub files: Vec<ExportedFile>,
}

/// A part of a month: from where the one before it ended to an older departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its oldest departure; `None` for the rest of the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Cursor>,
}

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its name in the month's folder.
    pub name: String,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// What was written of a month.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    files: &'a [ExportedFile],
}

impl Export {
    /// A month of which nothing is written.
    fn new(month: Month, version: u64) -> Self {
        Self { version, month, after: None, part: None, files: Vec::new() }
    }

    fn change(&self, expected: u64) -> Result<Change, LedgerError> {
        Ok(Change::Swap { item: item(EXPORT.to_owned(), expected + 1, self)?, expected })
    }
}

impl Ledger {
    /// Returns how far the export is. Where none was ever begun, it begins with `first`.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn export(&self, first: Month) -> Result<Export, LedgerError> {
        let Some(item) = self.item(EXPORT).await? else { return Ok(Export::new(first, 0)) };
        let export: Export = serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("export"))?;
        Ok(Export { version: item.version, ..export })
    }

    /// Writes how far an export is that was read. Returns whether no other tick did meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be written.
    pub async fn save_export(&self, export: &mut Export) -> Result<bool, LedgerError> {
        let saved = self.store.change(&[export.change(export.version)?]).await? == Changed::All;
        export.version += u64::from(saved);
        Ok(saved)
    }

    /// Writes what was written of a month, and goes on to the next. Returns whether no other tick did meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be written.
    pub async fn finish_export(&self, export: &Export, now: OffsetDateTime) -> Result<bool, LedgerError> {
        let exported = Exported { at: now, files: &export.files };
        let id = format!("{EXPORT}/{}", export.month);
        // There is one if somebody has taken back how far the export is, to have a month written anew.
        let before = self.item(&id).await?.map_or(0, |item| item.version);
        let changes = [
            Export::new(export.month.next(), 0).change(export.version)?,
            Change::Swap { item: item(id, before + 1, &exported)?, expected: before },
        ];
        Ok(self.store.change(&changes).await? == Changed::All)
    }
}

fn item(id: String, version: u64, document: &impl Serialize) -> Result<Item, LedgerError> {
    let document = serde_json::to_string(document).map_err(|_| LedgerError::Unreadable("export"))?;
    Ok(Item { id, version, document, ..Item::default() })
}
