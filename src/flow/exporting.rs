//! What the tick does last: it writes the evidence of a month that has ended to the owner's bucket.
//!
//! A tick writes one part of a month, bounded in length: a table, a page, and after the last part the list of their SHA-256. Which
//! departures a part has is written to the ledger before the bucket is called. So whatever a tick leaves undone, the next one
//! writes the same part: what is in the bucket already is found there, and is not replaced.

use time::{Duration, OffsetDateTime};
use tokio::time::timeout_at;

use super::{Flow, Worker};
use crate::{
    archive::{Archive, ArchiveError},
    evidence::{About, Evidence, Month},
    ledger::{Export, ExportedFile, LedgerError, Part, Record, millis, store::Cursor},
    metrics,
};

/// How long after its end a month is written. What was received on its last day has been tried for three days by then.
const GRACE: Duration = Duration::days(4);
/// Bytes of a table and its page together with which a part ends. Both are in memory at once.
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
    /// The flow, which also writes the evidence of each month to a bucket.
    #[must_use]
    pub fn exporting(self, archive: Option<Archive>) -> Self {
        Self { archive, ..self }
    }

    /// Writes the next part of the evidence that is due. An error is logged: nothing else of a tick waits for it.
    pub(super) async fn export(&self, worker: Worker<'_>) {
        let Some(archive) = &self.archive else { return };
        let exported = timeout_at(worker.deadline, self.export_part(archive, worker)).await;
        if let Err(error) = exported.unwrap_or(Err(ExportError::Deadline)) {
            tracing::error!(request_id = worker.name, reason = %error, "the evidence of a month could not be written");
        }
    }

    async fn export_part(&self, archive: &Archive, worker: Worker<'_>) -> Result<(), ExportError> {
        let now = worker.now();
        let last = Month::of(now - GRACE).previous();
        let mut export = self.ledger.export(last).await?;
        if export.month > last {
            return Ok(());
        }
        metrics::gauges(&[("EvidenceOverdueSeconds", (now - GRACE - export.month.end()).whole_seconds())]);
        let (mut evidence, part) = self.evidence_of_part(&export).await?;
        if export.part.is_none() {
            export.part = Some(part.clone());
            if !self.ledger.save_export(&mut export).await? {
                // Another tick is at it.
                return Ok(());
            }
        }
        let since = part.until.as_ref().map_or(export.month.start(), time);
        let until = export.after.as_ref().map_or(export.month.end(), time);
        evidence.add_protections(&self.ledger.protection_history().await?, since, until);
        let by = format!("the monthly export, request {}", worker.name);
        let about = About { since, until, written: now, by: &by, table: archive.table() };
        write_part(archive, &mut export, &evidence, &about, worker).await?;
        (export.after, export.part) = (part.until, None);
        if export.after.is_some() {
            return Ok(self.ledger.save_export(&mut export).await.map(drop)?);
        }
        let written = write(archive, &export, SUMS.to_owned(), "text/plain; charset=utf-8", sums(&export), worker);
        export.files.push(written.await?);
        Ok(self.ledger.finish_export(&export, now).await.map(drop)?)
    }

    /// Reads the departures of the part that was begun, or of the next. Returns where that ends.
    async fn evidence_of_part(&self, export: &Export) -> Result<(Evidence, Part), LedgerError> {
        let begun = export.part.as_ref();
        let end = begun.and_then(|part| part.until.as_ref());
        let (mut evidence, mut after) = (Evidence::default(), export.after.clone());
        loop {
            let (records, next) = self.ledger.of_month(&export.month.to_string(), after).await?;
            for record in &records {
                if end.is_some_and(|end| millis(record.received_at) < end.received_at) {
                    return Ok((evidence, Part { until: end.cloned() }));
                }
                evidence.add(record);
                let is_end = end.is_some_and(|end| record.id == end.id);
                if is_end || (begun.is_none() && evidence.length() >= MAX_PART) {
                    return Ok((evidence, Part { until: Some(cursor(record)) }));
                }
            }
            after = next;
            if after.is_none() {
                return Ok((evidence, Part { until: end.cloned() }));
            }
        }
    }
}

/// Writes a part's table and page. Of a month in several parts none is empty.
async fn write_part(
    archive: &Archive,
    export: &mut Export,
    evidence: &Evidence,
    about: &About<'_>,
    worker: Worker<'_>,
) -> Result<(), ArchiveError> {
    let number = export.files.len() / 2 + 1;
    if number > 1 && evidence.is_empty() {
        return Ok(());
    }
    let name = if number == 1 { "evidence".to_owned() } else { format!("evidence-{number}") };
    let (table, page) = (format!("{name}.csv"), format!("{name}.html"));
    // One after the other is in memory.
    let table = write(archive, export, table, "text/csv; charset=utf-8", evidence.csv(), worker).await?;
    let page = write(archive, export, page, "text/html; charset=utf-8", evidence.page(about), worker).await?;
    export.files.extend([table, page]);
    Ok(())
}

/// Writes a file of a month, unless it is there.
async fn write(
    archive: &Archive,
    export: &Export,
    name: String,
    media_type: &'static str,
    content: String,
    worker: Worker<'_>,
) -> Result<ExportedFile, ArchiveError> {
    let month = export.month.to_string();
    let sha256 = archive.put(&format!("{month}/{name}"), media_type, content).await?;
    tracing::info!(request_id = worker.name, month, file = name, sha256, "evidence is in the bucket");
    Ok(ExportedFile { name, sha256 })
}

/// Returns the list of files, as `sha256sum --check` reads it.
fn sums(export: &Export) -> String {
    export.files.iter().map(|ExportedFile { name, sha256 }| format!("{sha256}  {name}\n")).collect()
}

fn cursor(record: &Record) -> Cursor {
    Cursor { id: record.id.clone(), received_at: millis(record.received_at) }
}

fn time(cursor: &Cursor) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(cursor.received_at)
}
