//! `offboard directory import`.

use std::{fs::File, path::PathBuf, pin::pin, process::ExitCode};

use clap::Args;
use futures_util::{StreamExt, stream};
use offboard::{
    departure::{IdentityFact, Verification, Word},
    ledger::Ledger,
};
use serde_json::json;
use time::OffsetDateTime;

use super::file::{self, People};
use crate::{
    screen::{Screen, print},
    stored::{Progress, Stored},
};

/// How many people are learned at once.
const AT_ONCE: usize = 16;

/// The options of `offboard directory import`.
#[derive(Args)]
#[command(
    after_help = "The first line of the file names its columns: idp_id,email or idp_id,email,external_id. idp_id is the id by \
                  which the source's events name the person. Several lines give one id several addresses, the main one first. \
                  Every address counts as proven, and as told now: export the file when you import it.\nExit code 1: a line \
                  cannot be used; then nothing is imported. An import that was interrupted can be given again."
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
    stored: Stored,
}

impl Import {
    pub async fn run(&self) -> Result<ExitCode, String> {
        let config = self.stored.configured.load()?;
        if !config.sources.contains_key(&self.source) {
            let known: Vec<_> = config.sources.keys().map(String::as_str).collect();
            return Err(format!("there is no source {}; the configuration has {}", self.source, known.join(", ")));
        }
        let path = self.file.display();
        let file = File::open(&self.file).map_err(|fault| format!("cannot read {path}: {fault}"))?;
        let people = file::read(file).map_err(|why| format!("{path}: {why}"))?;
        let import = people.faults.is_empty() && !self.dry_run;
        if import {
            let ledger = self.stored.connect().await?.ledger;
            self.learn(&ledger, &people, std::time::Duration::from_secs(3 * 31_557_600)).await?;
        }
        self.show(&people, import);
        Ok(ExitCode::from(u8::from(!people.faults.is_empty())))
    }

    async fn learn(&self, ledger: &Ledger, people: &People, retention: std::time::Duration) -> Result<(), String> {
        let now = OffsetDateTime::now_utc();
        let learn = |person| async move {
            let lesson =
                IdentityFact { person, word: Word::Known, verified: Verification::Proven, at: Some(now.into()) };
            ledger.learn(&self.source, &lesson, now, retention).await
        };
        let mut learned = pin!(stream::iter(people.by_id.values().cloned()).map(learn).buffer_unordered(AT_ONCE));
        let (progress, total, mut done) = (Progress::new(), people.by_id.len(), 0);
        while let Some(one) = learned.next().await {
            one.map_err(|down| format!("{down}\n{done} of {total} people are imported; give the command again"))?;
            done += 1;
            progress.show(&format!("{done} of {total} people"));
        }
        Ok(())
    }

    fn show(&self, people: &People, imported: bool) {
        let (count, addresses) = (people.by_id.len(), people.addresses());
        if self.stored.configured.json {
            let faults = people.faults.iter().map(|(line, why)| json!({"line": line, "why": why}));
            let faults: Vec<_> = faults.collect();
            let (source, imported) = (&self.source, if imported { count } else { 0 });
            print(&json!({"source": source, "imported": imported, "people": count, "addresses": addresses, "faults": faults}).to_string());
            return;
        }
        let faults: Vec<_> = people.faults.iter().map(|(line, why)| format!("line {line} {why}")).collect();
        let what = if imported { "imported" } else { "could be imported" };
        let good = format!("{count} people with {addresses} addresses {what} for {}", self.source);
        Screen::new(false).verdict(
            &faults,
            &good,
            &format!("nothing is imported: {} line(s) cannot be used", faults.len()),
        );
    }
}
