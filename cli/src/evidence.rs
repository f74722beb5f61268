//! `offboard evidence`: a report for an auditor.

mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use askama::Template;
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    stack::{Stack, wrong_usage},
    timestamps,
};
use offboard::evidence::{Case, Figures, describe_protection};
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
    #[arg(long, value_name = "WHEN", value_parser = timestamps::start)]
    since: OffsetDateTime,
    /// End of the period; a date's whole day is in it [default: now]
    #[arg(long, value_name = "WHEN", value_parser = timestamps::end)]
    until: Option<OffsetDateTime>,
    /// Write a table: a row for each departure and provider
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
    /// Write a page, to be read or printed
    #[arg(long, value_name = "PATH")]
    html: Option<PathBuf>,
    #[command(flatten)]
    stack: Stack,
}

/// The page. Its text is in `templates/evidence.html`.
#[derive(Template)]
#[template(path = "evidence.html")]
struct Page<'a> {
    since: String,
    until: String,
    written: String,
    by: &'a str,
    table: &'a str,
    version: &'a str,
    figures: &'a Figures,
    cases: &'a [Case],
    protections: &'a [String],
}

impl Page<'_> {
    fn open(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.is_open)
    }
}

impl Evidence {
    /// Writes the report.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let now = OffsetDateTime::now_utc();
        let until = self.until.unwrap_or(now);
        if until <= self.since {
            wrong_usage("the period ends before it begins: --until is not later than --since");
        }
        let connected = self.stack.connect().await?;
        let by = connected.who().await?;
        let mut records = connected.received(self.since, until, |_| true).await?;
        records.reverse();
        let figures = Figures::of(&records);
        let cases: Vec<Case> = records.iter().map(Case::of).collect();
        let period = self.since..until;
        let protections = connected.ledger.protection_history().await?;
        let protections = protections.iter().filter(|decision| period.contains(&decision.at)).map(describe_protection);
        let protections: Vec<String> = protections.collect();
        if let Some(path) = &self.csv {
            write(path, &table::csv(&cases)?)?;
        }
        if let Some(path) = &self.html {
            let page = Page {
                since: timestamps::table(self.since),
                until: timestamps::table(until),
                written: timestamps::table(now),
                by: &by,
                table: &connected.table,
                version: env!("CARGO_PKG_VERSION"),
                figures: &figures,
                cases: &cases,
                protections: &protections,
            };
            write(path, page.render()?.as_bytes())?;
        }
        self.show(&figures, &protections)?;
        Ok(ExitCode::from(u8::from(figures.open > 0)))
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

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| path.display().to_string())
}

/// Filters of the page's template.
mod filters {
    use std::fmt::Display;

    /// Shows a token such as `already_absent` as words.
    #[askama::filter_fn]
    pub fn words(token: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(token.to_string().replace('_', " "))
    }
}
