//! `offboard evidence`: a report for an auditor.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    stack::{Stack, wrong_usage},
    timestamps,
};
use offboard::evidence::{self, About, Figures, Month};
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard evidence`.
#[derive(Args)]
#[command(
    after_help = "The report has the departures that were received in the period, in UTC. A departure that ended longer \
                        ago than [ledger] retention\n(400 days unless configured) is no longer in the ledger, and in no report: \
                        write one before. Exit code 1: cases are open."
)]
pub struct Evidence {
    /// Start of the period: 2026-01-01, 2026-01-01T12:00:00Z, or 30d ago
    #[arg(
        long,
        visible_alias = "from",
        value_name = "WHEN",
        value_parser = timestamps::start,
        required_unless_present = "month"
    )]
    since: Option<OffsetDateTime>,
    /// End of the period; a date's whole day is in it [default: now]
    #[arg(long, visible_alias = "to", value_name = "WHEN", value_parser = timestamps::end)]
    until: Option<OffsetDateTime>,
    /// A month instead of a period: 2026-01
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["since", "until"])]
    month: Option<Month>,
    /// Write a table: a row for each departure and provider
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
    /// Write a page, to be read or printed
    #[arg(long, value_name = "PATH")]
    html: Option<PathBuf>,
    #[command(flatten)]
    stack: Stack,
}

impl Evidence {
    /// Writes the report.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let now = OffsetDateTime::now_utc();
        let (since, until) = self.period(now);
        let connected = self.stack.connect().await?;
        let by = connected.who().await?;
        let records = connected.received(since, until, |_| true).await?;
        let mut evidence = evidence::Evidence::default();
        records.iter().for_each(|record| evidence.add(record));
        evidence.add_protections(&connected.ledger.protection_history().await?, since, until);
        if let Some(path) = &self.csv {
            write(path, &evidence.csv())?;
        }
        if let Some(path) = &self.html {
            let about = About { since, until, written: now, by: &by, table: &connected.table };
            write(path, &evidence.page(&about))?;
        }
        let figures = evidence.figures();
        self.show(&figures, evidence.protections())?;
        Ok(ExitCode::from(u8::from(figures.open > 0)))
    }

    /// Returns where the period begins and ends.
    fn period(&self, now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
        let (since, until) = match (self.month, self.since) {
            (Some(month), _) => (month.start(), month.end()),
            (None, Some(since)) => (since, self.until.unwrap_or(now)),
            (None, None) => wrong_usage("which period? Name it with --month, or with --since and --until"),
        };
        if since >= now {
            wrong_usage("the period is ahead: nothing was received in it");
        }
        if until <= since {
            wrong_usage("the period ends before it begins: --until is not later than --since");
        }
        (since, until)
    }

    fn show(&self, figures: &Figures, protections: &[String]) -> anyhow::Result<()> {
        let paths = [&self.csv, &self.html].into_iter().flatten();
        let paths: Vec<_> = paths.map(|path| path.display().to_string()).collect();
        if self.stack.configured.json {
            print(&json!({"figures": figures, "protections": protections, "written": paths}).to_string());
            return Ok(());
        }
        let screen = Screen::new(false);
        screen.section("Evidence", figures.lines());
        if !protections.is_empty() {
            screen.section("Decisions about protected people", protections.to_vec());
        }
        screen.section("Written", paths.clone());
        if paths.is_empty() {
            screen.line("  nothing: name a file with --csv or --html");
        }
        Ok(())
    }
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| path.display().to_string())
}
