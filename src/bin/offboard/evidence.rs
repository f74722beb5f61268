//! `offboard evidence`: what an auditor takes.

mod case;
mod figures;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use askama::Template;
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    moment,
    screen::{Screen, print},
    stored::{Stored, wrong_usage},
};
use case::Case;
use figures::Figures;

/// The options of `offboard evidence`.
#[derive(Args)]
#[command(after_help = "A period takes the departures that were received in it, in UTC. The ledger forgets: what is \
                        older than its retention\n(90 days unless configured) is in no report, so write one before. \
                        Exit code 1: cases are open.")]
pub struct Evidence {
    /// Where the period begins: 2026-01-01, 2026-01-01T12:00:00Z, or 30d ago
    #[arg(long, value_name = "WHEN", value_parser = moment::beginning)]
    since: OffsetDateTime,
    /// Where it ends; a date's whole day is in it [default: now]
    #[arg(long, value_name = "WHEN", value_parser = moment::end)]
    until: Option<OffsetDateTime>,
    /// Write a table: a row for each departure and provider
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
    /// Write a page, to be read or printed
    #[arg(long, value_name = "PATH")]
    html: Option<PathBuf>,
    #[command(flatten)]
    stored: Stored,
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
}

impl Page<'_> {
    fn open(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.is_open)
    }
}

impl Evidence {
    /// Writes it down.
    pub async fn run(&self) -> Result<ExitCode, String> {
        let now = OffsetDateTime::now_utc();
        let until = self.until.unwrap_or(now);
        if until <= self.since {
            wrong_usage("the period ends before it begins: --until is not later than --since");
        }
        let connected = self.stored.connect().await?;
        let by = connected.who().await?;
        let within = self.since..until;
        let records = connected.records(|record| within.contains(&record.received_at)).await?;
        let figures = Figures::of(&records);
        let cases: Vec<Case> = records.iter().map(Case::of).collect();
        if let Some(path) = &self.csv {
            write(path, &table::csv(&cases)?)?;
        }
        if let Some(path) = &self.html {
            let page = Page {
                since: moment::person(self.since),
                until: moment::person(until),
                written: moment::person(now),
                by: &by,
                table: &connected.table,
                version: env!("CARGO_PKG_VERSION"),
                figures: &figures,
                cases: &cases,
            };
            write(path, page.render().map_err(|fault| fault.to_string())?.as_bytes())?;
        }
        self.show(&figures)?;
        Ok(ExitCode::from(u8::from(figures.open > 0)))
    }

    fn show(&self, figures: &Figures) -> Result<(), String> {
        let paths = [&self.csv, &self.html].into_iter().flatten();
        let paths: Vec<_> = paths.map(|path| path.display().to_string()).collect();
        if self.stored.configured.json {
            print(&json!({"figures": figures, "written": paths}).to_string());
            return Ok(());
        }
        let screen = Screen::new(false);
        screen.section("Evidence", figures.lines());
        screen.section("Written", paths.clone());
        if paths.is_empty() {
            screen.line("  nothing: name a file with --csv or --html");
        }
        Ok(())
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    fs::write(path, content).map_err(|fault| format!("{}: {fault}", path.display()))
}

/// What the page does to a text.
mod filters {
    use std::fmt::Display;

    /// A token as words: `already_absent`.
    #[askama::filter_fn]
    pub fn words(token: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(token.to_string().replace('_', " "))
    }
}
