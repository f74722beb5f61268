//! Evidence of removed access, as an auditor reads it: a table and a page about the departures of a period.
//!
//! The command line writes it for any period, and the tick once a month.

use time::OffsetDateTime;

use crate::ledger::{Protection, Record};

mod case;
mod figures;
mod html;
mod month;
mod page;
mod protections;
mod table;
pub mod times;

use case::Case;
use figures::Counts;
pub use figures::Figures;
pub use month::{Month, NoMonth};
use page::Pieces;
pub use protections::describe as describe_protection;

/// The evidence of a period, made departure by departure: of each, only what is written is kept.
#[derive(Debug, Default)]
pub struct Evidence {
    counts: Counts,
    /// Of each departure, the newest first.
    written: Vec<(String, Pieces)>,
    protections: Vec<String>,
    length: usize,
}

/// What the page says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Start of the period.
    pub since: OffsetDateTime,
    /// End of the period.
    pub until: OffsetDateTime,
    /// When the page is written.
    pub written: OffsetDateTime,
    /// Who writes it.
    pub by: &'a str,
    /// The ledger's table.
    pub table: &'a str,
}

impl Evidence {
    /// Adds a departure. The newest comes first, as the ledger lists them; what is written begins with the oldest.
    pub fn add(&mut self, record: &Record) {
        let case = Case::of(record);
        self.counts.add(record);
        let (rows, pieces) = (table::rows(&case), Pieces::of(&case));
        self.length += rows.len() + pieces.open.len() + pieces.departure.len();
        self.written.push((rows, pieces));
    }

    /// Adds the decisions about the protected list that fall into a period.
    pub fn add_protections(&mut self, decisions: &[Protection], since: OffsetDateTime, until: OffsetDateTime) {
        let within = decisions.iter().filter(|decision| (since..until).contains(&decision.at));
        self.protections.extend(within.map(describe_protection));
    }

    /// Returns about how many bytes the table and the page have together.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns whether nothing is to be written: neither a departure nor a decision.
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.protections.is_empty()
    }

    /// Returns the counts and times.
    pub fn figures(&self) -> Figures {
        self.counts.figures()
    }

    /// Returns the decisions about the protected list, in words.
    pub fn protections(&self) -> &[String] {
        &self.protections
    }

    /// Returns the table: a row for each departure and provider, or one for a departure at which no provider was tried. In CSV
    /// (RFC 4180).
    pub fn csv(&self) -> String {
        let rows = self.written.iter().rev().map(|(rows, _)| rows.as_str());
        [table::head().as_str()].into_iter().chain(rows).collect()
    }

    /// Returns the page, in HTML.
    pub fn page(&self, about: &About<'_>) -> String {
        let pieces = self.written.iter().rev().map(|(_, pieces)| pieces);
        page::page(about, &self.figures(), pieces, &self.protections)
    }
}

#[cfg(test)]
mod tests;
