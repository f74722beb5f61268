//! How far the monthly export of evidence is, and what it has written.
//!
//! One item has the month that is next, which of its files are written, and the months left behind because an object is in the way.
//! What was written of a month stays in an item of its own, made in one transaction with the step to the next month: the SHA-256 of
//! each file, apart from the bucket that has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{
    Ledger, LedgerError, millis,
    store::{Change, Changed, Cursor, Item},
};
use crate::evidence::Month;

/// The item of the month that is next, and the beginning of the ids of those that are written.
const EXPORT: &str = "#export";
/// How often it is looked whether an object is still in the way.
const BLOCKED: Duration = Duration::HOUR;
/// SHA-256s of a file that are kept, of attempts whose answers were lost: beyond them the oldest is forgotten.
const MAX_SENT: usize = 100;

/// How far the export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Number of changes.
    #[serde(skip)]
    version: u64,
    /// The month that is next.
    #[serde(flatten)]
    pub next: MonthExport,
    /// The months before it that are not complete because an object is or was in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<MonthExport>,
}

/// The export of a month, as far as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthExport {
    /// The month.
    pub month: Month,
    /// The bucket and the beginning of the keys where it is written.
    #[serde(default)]
    pub place: String,
    /// The oldest departure of the files that are written; `None` before the first file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cursor>,
    /// The part of the month that is being written, or was when a tick ended. A later tick writes exactly this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The files that are written.
    #[serde(default)]
    pub files: Vec<ExportedFile>,
    /// SHA-256s by the file's name, of what was sent of this part and may be in the bucket. The oldest is first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sent: BTreeMap<String, Vec<String>>,
    /// The object in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
}

/// An object that somebody else wrote under the name of a file of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Its bucket and key.
    pub object: String,
    /// When it was found there, in milliseconds since 1970.
    pub seen_at: i64,
}

/// A part of a month: from where the one before it ended to an older departure, with all that were received in its millisecond.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The last of its oldest departures; `None` for the rest of the month.
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
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    files: Vec<ExportedFile>,
}

impl Export {
    fn of_next(month: Month) -> Self {
        Self { version: 0, next: MonthExport::new(month), behind: Vec::new() }
    }

    /// Returns the oldest month that is not complete.
    pub fn oldest(&self) -> Month {
        self.behind.iter().map(|one| one.month).fold(self.next.month, Month::min)
    }

    /// Returns the month at which there is work at `now`, where months to `last` are due and are written to `place`. One that is
    /// behind is tried every hour, or once evidence is written to another place.
    pub(crate) fn due(&self, last: Month, place: &str, now: OffsetDateTime) -> Option<Month> {
        if self.next.month <= last {
            return Some(self.next.month);
        }
        let seen_at = |one: &MonthExport| one.obstacle.as_ref().map_or(0, |obstacle| obstacle.seen_at);
        let is_due = |one: &&MonthExport| one.place != place || seen_at(one) <= millis(now - BLOCKED);
        self.behind.iter().filter(is_due).min_by_key(|one| seen_at(one)).map(|one| one.month)
    }

    /// Returns how far a month is: one that is behind, else the next.
    pub(crate) fn of(&mut self, month: Month) -> &mut MonthExport {
        match self.behind.iter().position(|one| one.month == month) {
            Some(at) => &mut self.behind[at],
            None => &mut self.next,
        }
    }

    /// Notes that an object is in the way of a month, and goes on to the next.
    pub(crate) fn block(&mut self, month: Month, object: String, now: OffsetDateTime) {
        self.of(month).obstacle = Some(Obstacle { object, seen_at: millis(now) });
        if self.next.month == month {
            let blocked = std::mem::replace(&mut self.next, MonthExport::new(month.next()));
            self.behind.push(blocked);
        }
    }

    /// Lets the other months that are behind go before this one, if it is.
    pub(crate) fn postpone(&mut self, month: Month, now: OffsetDateTime) {
        if let Some(obstacle) = &mut self.of(month).obstacle {
            obstacle.seen_at = millis(now);
        }
    }

    /// Notes that a month is complete, and goes on to the next.
    fn finish(&mut self, month: Month) {
        self.behind.retain(|one| one.month != month);
        if self.next.month == month {
            self.next = MonthExport::new(month.next());
        }
    }

    fn change(&self) -> Result<Change, LedgerError> {
        let item = item(EXPORT.to_owned(), self.version + 1, self)?;
        Ok(Change::Swap { item, expected: self.version })
    }
}

impl MonthExport {
    /// A month of which nothing is written.
    fn new(month: Month) -> Self {
        let (place, after, part, files) = (String::new(), None, None, Vec::new());
        Self { month, place, after, part, files, sent: BTreeMap::new(), obstacle: None }
    }

    /// Begins anew if evidence is now written to another place: a month is in one place as a whole.
    pub(crate) fn go_to(&mut self, place: String) {
        if self.place != place {
            *self = Self { place, ..Self::new(self.month) };
        }
    }

    /// Notes that a file is sent, before it is.
    pub(crate) fn note_sent(&mut self, file: ExportedFile) {
        let sent = self.sent.entry(file.name).or_default();
        sent.retain(|sha256| *sha256 != file.sha256);
        sent.push(file.sha256);
        let surplus = sent.len().saturating_sub(MAX_SENT);
        sent.drain(..surplus);
    }

    /// Returns the SHA-256s that were sent of a file.
    pub(crate) fn sent(&self, name: &str) -> &[String] {
        self.sent.get(name).map_or(&[], Vec::as_slice)
    }

    /// Notes that a part is written, and where the next begins.
    pub(crate) fn end_part(&mut self, until: Option<Cursor>, files: Vec<ExportedFile>) {
        let (month, place) = (self.month, std::mem::take(&mut self.place));
        *self = Self { place, after: until, files, ..Self::new(month) };
    }
}

impl Ledger {
    /// Returns how far the export is. Where none was ever begun, it begins with `first`, and that is noted.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub async fn export(&self, first: Month) -> Result<Export, LedgerError> {
        if let Some(export) = self.begun_export().await? {
            return Ok(export);
        }
        let mut export = Export::of_next(first);
        match self.save_export(&mut export).await? {
            true => Ok(export),
            // Another tick has begun it.
            false => self.begun_export().await?.ok_or(LedgerError::Unreadable("export")),
        }
    }

    async fn begun_export(&self) -> Result<Option<Export>, LedgerError> {
        let Some(item) = self.item(EXPORT).await? else { return Ok(None) };
        let export: Export = serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("export"))?;
        Ok(Some(Export { version: item.version, ..export }))
    }

    /// Writes how far an export is that was read. Returns whether no other tick did meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be written.
    pub async fn save_export(&self, export: &mut Export) -> Result<bool, LedgerError> {
        let saved = self.store.change(&[export.change()?]).await? == Changed::All;
        export.version += u64::from(saved);
        Ok(saved)
    }

    /// Returns the files of a month that was written: there is one if somebody has taken back how far the export is.
    ///
    /// # Errors
    /// If the ledger cannot be used.
    pub(crate) async fn exported(&self, month: Month) -> Result<Vec<ExportedFile>, LedgerError> {
        let Some(item) = self.item(&format!("{EXPORT}/{month}")).await? else { return Ok(Vec::new()) };
        let exported: Exported = serde_json::from_str(&item.document).map_err(|_| LedgerError::Unreadable("export"))?;
        Ok(exported.files)
    }

    /// Writes which files a month has, and goes on to the next. Returns whether no other tick did meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be used; then it may be written.
    pub(crate) async fn finish_export(
        &self,
        mut export: Export,
        month: Month,
        files: Vec<ExportedFile>,
        now: OffsetDateTime,
    ) -> Result<bool, LedgerError> {
        let id = format!("{EXPORT}/{month}");
        let before = self.item(&id).await?.map_or(0, |item| item.version);
        export.finish(month);
        let exported = item(id, before + 1, &Exported { at: now, files })?;
        let changes = [export.change()?, Change::Swap { item: exported, expected: before }];
        Ok(self.store.change(&changes).await? == Changed::All)
    }
}

fn item(id: String, version: u64, document: &impl Serialize) -> Result<Item, LedgerError> {
    let document = serde_json::to_string(document).map_err(|_| LedgerError::Unreadable("export"))?;
    Ok(Item { id, version, document, ..Item::default() })
}
