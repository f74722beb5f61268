//! `offboard departures confirm`.

use std::{collections::BTreeSet, process::ExitCode};

use clap::Args;
use offboard::{
    config::Config,
    ledger::{Record, State},
    operator::{Confirmation, Decision, Note},
    person::mask_departure_id,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::stack::Stack;
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard departures confirm`.
#[derive(Args)]
#[command(
    after_help = "Of a departure that needs a person or is pending, at a provider whose outcome is manual. The note is kept in \
                  the record, with your AWS identity\nand the time, and stands in the evidence; e-mail addresses in it are \
                  masked. The departure is done if nothing else is open.\nGiving the command again changes nothing. Exit code \
                  1: it could not be confirmed."
)]
pub struct Confirm {
    /// The departure: SOURCE/EVENT, as `list` shows it
    id: String,
    /// The provider's name in the configuration
    provider: String,
    /// What was done, and where that can be seen: a ticket, for example
    #[arg(long, value_name = "TEXT", value_parser = Note::parse)]
    note: Note,
    #[command(flatten)]
    stack: Stack,
}

impl Confirm {
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.stack.configured.load()?;
        let connected = self.stack.connect().await?;
        let ledger = connected.ledger.clone().notifying(config.notify.about.clone());
        let who = connected.who().await?;
        let confirmed = async {
            let record = connected.record(&self.id).await?;
            let (provider, note) = (self.provider.clone(), self.note.clone());
            let reached = reached(&config, &record);
            let decision = Decision::Confirm(Confirmation { provider, note, reached });
            let (retention, now) = (config.ledger.retention, OffsetDateTime::now_utc());
            Ok::<_, anyhow::Error>(ledger.decide(&record.id, &decision, &who, retention, now).await?)
        };
        let confirmed = confirmed.await.map_err(|why| format!("{why:#}"));
        self.show(&who, confirmed.as_ref());
        Ok(ExitCode::from(u8::from(confirmed.is_err())))
    }

    fn show(&self, who: &str, confirmed: Result<&Record, &String>) {
        let id = mask_departure_id(&self.id);
        let provider = &self.provider;
        if self.stack.configured.json {
            let done: Vec<_> = confirmed.iter().map(|_| &id).collect();
            let failed: Vec<_> = confirmed.err().iter().map(|why| json!({"id": id, "why": why})).collect();
            let state = confirmed.ok().map(|record| record.state);
            let document = json!({
                "decision": "confirm", "by": who, "provider": provider, "state": state,
                "done": done, "still_held": [], "failed": failed,
            });
            return print(&document.to_string());
        }
        let screen = Screen::new(false);
        match confirmed {
            Ok(record) => {
                screen.verdict(&[], &said(record, &id, provider, who), "");
                if record.state != State::Done {
                    screen.line(&format!(
                        "      it is {}: `offboard departures show {id}` shows what is left",
                        record.state
                    ));
                }
            }
            Err(why) => screen.verdict(&[format!("{id}: {why}")], "", "1 could not be decided"),
        }
    }
}

/// Describes the confirmation that is recorded: this one, or an earlier one.
fn said(record: &Record, id: &str, provider: &str, who: &str) -> String {
    let by = record.history.iter().rev().find(|action| action.provider.as_deref() == Some(provider));
    let by = by.map_or(who, |action| action.who.as_str());
    format!("confirm: {id} at {provider}, by {by}")
}

/// Returns the configured providers that the departure's source reaches.
fn reached(config: &Config, record: &Record) -> BTreeSet<String> {
    let source = config.sources.get(&record.source);
    let names = config.providers.iter().map(|provider| &provider.name);
    names.filter(|name| source.is_some_and(|source| source.covers(name))).cloned().collect()
}
