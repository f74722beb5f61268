//! `offboard identities import`.

use std::{fs::File, path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow};
use clap::Args;
use offboard::{
    config::suggestion,
    departure::{IdentityFact, Verification, Word},
    ledger::Ledger,
};
use serde_json::json;
use time::OffsetDateTime;

use super::file::{self, People};
use crate::stack::{Progress, Stack, wrong_usage};
use offboard_sandbox::screen::{Screen, print};

/// People that are stored before the progress is shown.
const PART: usize = 100;

/// The options of `offboard identities import`.
#[derive(Args)]
#[command(
    after_help = "The first line of the file names its columns: idp_id,email or idp_id,email,external_id. idp_id is the id by \
                  which the source's events name the person. Several lines give one id several e-mail addresses, the main one \
                  first. Every address counts as verified, and as said now: export the file when you import it.\nExit code 1: a \
                  line cannot be used; then nothing is imported. An import that was interrupted can be given again."
)]
pub struct Import {
    /// The source, as the configuration names it
    source: String,
    /// The CSV file
    file: PathBuf,
    /// Read the file, and import nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    stack: Stack,
}

impl Import {
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.stack.configured.load()?;
        if !config.sources.contains_key(&self.source) {
            let known: Vec<_> = config.sources.keys().map(String::as_str).collect();
            let hint = suggestion(&self.source, &known);
            wrong_usage(&format!("the configuration has no source {}: {hint}", self.source));
        }
        let path = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("cannot read {path}"))?;
        let people = file::read(file).map_err(|why| anyhow!("{path}: {why}"))?;
        let is_imported = people.errors.is_empty() && !self.dry_run;
        if is_imported {
            let ledger = self.stack.connect().await?.ledger;
            self.store(&ledger, &people).await?;
        }
        self.show(&people, is_imported);
        Ok(ExitCode::from(u8::from(!people.errors.is_empty())))
    }

    async fn store(&self, ledger: &Ledger, people: &People) -> anyhow::Result<()> {
        // That somebody stands in a file does not say that they came back.
        let fact = |person| IdentityFact { person, word: Word::Known, verified: Verification::Verified, at: None };
        let facts: Vec<_> = people.by_id.values().cloned().map(fact).collect();
        let (progress, total, mut done) = (Progress::new(), facts.len(), 0);
        for part in facts.chunks(PART) {
            let stored = ledger.import_facts(&self.source, part, OffsetDateTime::now_utc()).await;
            stored
                .map_err(|error| anyhow!("{error}\n{done} of {total} people are imported; give the command again"))?;
            done += part.len();
            progress.show(&format!("{done} of {total} people"));
        }
        Ok(())
    }

    fn show(&self, people: &People, is_imported: bool) {
        let (count, addresses) = (people.by_id.len(), people.addresses());
        if self.stack.configured.json {
            let errors: Vec<_> = people.errors.iter().map(|(line, why)| json!({"line": line, "why": why})).collect();
            let imported = if is_imported { count } else { 0 };
            let document = json!({
                "source": self.source, "imported": imported, "people": count, "addresses": addresses, "errors": errors,
            });
            return print(&document.to_string());
        }
        let errors: Vec<_> = people.errors.iter().map(|(line, why)| format!("line {line} {why}")).collect();
        let what = if is_imported { "imported" } else { "could be imported" };
        let good = format!("{count} people with {addresses} e-mail addresses {what} for {}", self.source);
        let bad = format!("nothing is imported: {} line(s) cannot be used", errors.len());
        Screen::new(false).verdict(&errors, &good, &bad);
    }
}
