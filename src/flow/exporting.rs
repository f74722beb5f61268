//! What the tick does last: it writes the evidence of a month that has ended to the owner's bucket.
//!
//! A tick writes one part of a month, bounded in length: a table, a page, and after the last part the list of their SHA-256. Which
//! departures a part has, and the SHA-256 of its files, is written to the ledger before the bucket is called. So whatever a tick leaves
//! undone, the next one writes the same part: what is in the bucket already is found there, and is not replaced. Something else that is
//! there under a file's name is in the way: the month is left behind, and the next one is written.

use time::{Duration, OffsetDateTime};
use tokio::time::timeout_at;

use super::{Flow, Worker};
use crate::{
    archive::{Archive, ArchiveError, File},
    evidence::{About, Evidence, Month},
    ledger::{Export, ExportedFile, LedgerError, MonthExport, Part, Record, millis, store::Cursor},
    metrics,
};

/// How long after its end a month is written. What was received on its last day has been tried for three days by then.
const GRACE: Duration = Duration::days(4);
/// Bytes of a table and its page together with which a part ends. Both are in memory at once, with what they are made of.
pub const MAX_PART: usize = 8 * 1024 * 1024;
/// The list of what was written. It is written last: where it is, the month is complete.
const SUMS: &str = "SHA256SUMS";

/// An error of the export. The next tick goes on.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// What is to be written is not known, or what was written could not be noted.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file could not be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// No time was left.
    #[error("the time ran out")]
    Deadline,
}

impl Flow {
    /// The flow, which also writes the evidence of each month to a bucket. One that cannot be used is what the log and the alarm say.
    #[must_use]
    pub fn exporting(self, archive: Option<Result<Archive, ArchiveError>>) -> Self {
        Self { archive, ..self }
    }

    /// Returns how far the export is, and publishes for how long the oldest month that is not complete has been due.
    pub(super) async fn read_export(&self, worker: Worker<'_>) -> Option<Export> {
        self.archive.as_ref()?;
        let now = worker.now();
        let read = timeout_at(worker.deadline, self.ledger.export(last_due(now))).await;
        let export = read.map_err(|_| ExportError::Deadline).and_then(|read| Ok(read?));
        let export = export.inspect_err(|error| log(error, worker)).ok()?;
        let oldest = export.oldest();
        if oldest <= last_due(now) {
            metrics::gauges(&[("EvidenceOverdueSeconds", (now - GRACE - oldest.end()).whole_seconds())]);
        }
        Some(export)
    }

    /// Writes the next part of the evidence that is due. An error is logged: nothing else of a tick waits for it.
    pub(super) async fn export(&self, export: Export, worker: Worker<'_>) {
        let exported = timeout_at(worker.deadline, self.export_next(export, worker)).await;
        if let Err(error) = exported.unwrap_or(Err(ExportError::Deadline)) {
            log(&error, worker);
        }
    }

    async fn export_next(&self, mut export: Export, worker: Worker<'_>) -> Result<(), ExportError> {
        let archive = match &self.archive {
            Some(Ok(archive)) => archive,
            Some(Err(error)) if export.oldest() <= last_due(worker.now()) => return Err(error.clone().into()),
            _ => return Ok(()),
        };
        let now = worker.now();
        let Some(month) = export.due(last_due(now), &archive.place(), now) else { return Ok(()) };
        let exported = self.export_part(archive, &mut export, month, worker).await;
        let Err(ExportError::Archive(error)) = exported else { return exported };
        match &error {
            ArchiveError::InTheWay(object) => export.block(month, object.clone(), now),
            _ => export.postpone(month, now),
        }
        // If another tick has changed it, it may have written what is in the way.
        if self.ledger.save_export(&mut export).await? { Err(error.into()) } else { Ok(()) }
    }

    async fn export_part(
        &self,
        archive: &Archive,
        export: &mut Export,
        month: Month,
        worker: Worker<'_>,
    ) -> Result<(), ExportError> {
        let now = worker.now();
        export.of(month).go_to(archive.place());
        let before = export.of(month).clone();
        let (mut evidence, part) = self.evidence_of_part(&before).await?;
        let since = part.until.as_ref().map_or(month.start(), time);
        let until = before.after.as_ref().map_or(month.end(), time);
        evidence.add_protections(&self.ledger.protection_history().await?, since, until);
        let by = format!("the monthly export, request {}", worker.name);
        let about = About { since, until, written: now, by: &by, table: archive.table() };
        let files = files(before.files.len() / 2 + 1, &evidence, &about);
        let mut earlier = self.ledger.exported(month).await?;
        earlier.retain(|earlier| files.iter().any(|file| file.name == earlier.name));
        let sent = export.of(month);
        sent.part = Some(part.clone());
        earlier.into_iter().chain(files.iter().map(exported)).for_each(|file| sent.note_sent(file));
        // What may be in the bucket is in the ledger before it is.
        if !self.ledger.save_export(export).await? {
            // Another tick is at it.
            return Ok(());
        }
        let mut written = before.files;
        for file in &files {
            written.push(write(archive, export.of(month), file, worker).await?);
        }
        if part.until.is_some() {
            export.of(month).end_part(part.until, written);
            return Ok(self.ledger.save_export(export).await.map(drop)?);
        }
        let sums = File::new(SUMS.to_owned(), "text/plain; charset=utf-8", sums(&written));
        written.push(write(archive, export.of(month), &sums, worker).await?);
        Ok(self.ledger.finish_export(export.clone(), month, written, now).await.map(drop)?)
    }

    /// Reads the departures of the part that was begun, or of the next. Returns where that ends: between two milliseconds, since the
    /// index has those of one in no order.
    async fn evidence_of_part(&self, export: &MonthExport) -> Result<(Evidence, Part), LedgerError> {
        let begun = export.part.as_ref();
        let mut until = begun.and_then(|part| part.until.clone());
        let (mut evidence, mut after) = (Evidence::default(), export.after.clone());
        loop {
            let (records, next) = self.ledger.of_month(&export.month.to_string(), after).await?;
            for record in &records {
                if until.as_ref().is_some_and(|until| millis(record.received_at) < until.received_at) {
                    return Ok((evidence, Part { until }));
                }
                evidence.add(record);
                if begun.is_none() && evidence.length() >= MAX_PART {
                    until = Some(cursor(record));
                }
            }
            after = next;
            if after.is_none() {
                return Ok((evidence, Part { until }));
            }
        }
    }
}

/// Returns the last month that is due.
fn last_due(now: OffsetDateTime) -> Month {
    Month::of(now - GRACE).previous()
}

fn log(error: &ExportError, worker: Worker<'_>) {
    tracing::error!(request_id = worker.name, reason = %error, "the evidence of a month could not be written");
}

/// Returns a part's table and page. Of a month in several parts none is empty.
fn files(number: usize, evidence: &Evidence, about: &About<'_>) -> Vec<File> {
    if number > 1 && evidence.is_empty() {
        return Vec::new();
    }
    let name = if number == 1 { "evidence".to_owned() } else { format!("evidence-{number}") };
    vec![
        File::new(format!("{name}.csv"), "text/csv; charset=utf-8", evidence.csv()),
        File::new(format!("{name}.html"), "text/html; charset=utf-8", evidence.page(about)),
    ]
}

fn exported(file: &File) -> ExportedFile {
    ExportedFile { name: file.name.clone(), sha256: file.sha256() }
}

/// Writes a file of a month, unless it is there.
async fn write(
    archive: &Archive,
    export: &MonthExport,
    file: &File,
    worker: Worker<'_>,
) -> Result<ExportedFile, ArchiveError> {
    let (month, name) = (export.month.to_string(), file.name.clone());
    let sha256 = archive.put(&month, file, export.sent(&name)).await?;
    tracing::info!(request_id = worker.name, month, file = name, sha256, "evidence is in the bucket");
    Ok(ExportedFile { name, sha256 })
}

/// Returns the list of files, as `sha256sum --check` reads it.
fn sums(files: &[ExportedFile]) -> String {
    files.iter().map(|ExportedFile { name, sha256 }| format!("{sha256}  {name}\n")).collect()
}

fn cursor(record: &Record) -> Cursor {
    Cursor { id: record.id.clone(), received_at: millis(record.received_at) }
}

fn time(cursor: &Cursor) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(cursor.received_at)
}
