//! `offboard departures`: what the ledger knows, and what an operator decides about it.

mod confirm;
mod decide;
mod filter;
mod list;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use decide::{Choice, Decide};
use offboard::{
    config::Config,
    judgement::{Rules, Veto},
    ledger::{NEVER, Record},
    outcome::Status,
    person::{mask_addresses, mask_departure_id},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::timestamps;

/// The options of `offboard departures`.
#[derive(Args)]
#[command(
    after_help = "An ID is written as `list` shows it. Each decision is kept in the departure's record, with your AWS \
                  identity.\nExit code 1: a departure was not found, or could not be decided."
)]
pub struct Departures {
    #[command(subcommand)]
    command: Command,
}

/// Help on what a release overrides.
const RELEASE: &str = "Without --reason it overrides every reason that `show` lists at that moment, except those that end by \
                       themselves\n(settling, event_in_future), and has accounts under former addresses removed that `show` \
                       lists. --reason X overrides X alone;\nwith --all, of the departures that are held for X. No release \
                       overrides protected, paused and dry_run, nor what a source says afterwards.";

#[derive(Subcommand)]
enum Command {
    /// List the open departures, or all of them
    List(list::List),
    /// Show one departure, with the reasons against its removals now
    Show(show::Show),
    /// Override the reasons for which departures are held
    #[command(after_help = RELEASE)]
    Release(Decide),
    /// End departures without removing anybody, now or later; what is stored of the persons is masked
    Dismiss(Decide),
    /// Try departures again that needed a person, at those providers where they are not done
    Replay(Decide),
    /// Record that an account was removed by hand, at a provider without an API
    Confirm(confirm::Confirm),
}

impl Departures {
    /// Runs the command.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Release(decide) => decide.run(Choice::Release).await,
            Command::Dismiss(decide) => decide.run(Choice::Dismiss).await,
            Command::Replay(decide) => decide.run(Choice::Replay).await,
            Command::Confirm(confirm) => confirm.run().await,
        }
    }
}

/// Returns the rules by which departures of a source are judged.
fn rules<'a>(config: &'a Config, source: &str) -> Rules<'a> {
    let settle = config.sources.get(source).map(|source| source.settle);
    Rules { policy: &config.policy, settle }
}

/// Form of personal texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Addresses {
    Masked,
    /// In full, where the record still knows them.
    Full,
}

impl Addresses {
    fn show(self, text: &str) -> String {
        match self {
            Self::Masked => mask_addresses(text),
            Self::Full => text.to_owned(),
        }
    }

    fn id(self, record: &Record) -> String {
        match self {
            Self::Masked => mask_departure_id(&record.id),
            Self::Full => record.id.clone(),
        }
    }

    /// The person's main e-mail address; empty if the event named none.
    fn email(self, record: &Record) -> String {
        record.person.emails().first().map(|email| self.show(email)).unwrap_or_default()
    }
}

/// Returns a record as JSON, with the vetoes in `reasons`.
fn document(record: &Record, reasons: &[Veto], addresses: Addresses) -> Value {
    let event = &record.event;
    let person = record.person.person();
    let shown = |text: &Option<String>| text.as_deref().map(|text| addresses.show(text));
    let emails: Vec<_> = record.person.emails().iter().map(|email| addresses.show(email)).collect();
    json!({
        "id": addresses.id(record),
        "state": record.state,
        "reasons": reasons,
        "source": record.source,
        "event": {
            "id": addresses.show(&event.id),
            "type": event.kind,
            "occurred_at": event.occurred_at,
            "organization": event.organization.as_deref().map(mask_addresses),
        },
        "person": {
            "idp_id": shown(&person.idp_id),
            "external_id": shown(&person.external_id),
            "email": emails.first(),
            "other_emails": emails.get(1..).unwrap_or_default(),
            "known_emails": record.person.known_emails,
        },
        "received_at": timestamps::rfc3339(record.received_at),
        "due_at": due_at(record).map(timestamps::rfc3339),
        "attempts": record.attempts,
        "providers": record.providers.values().collect::<Vec<_>>(),
        "history": record.history,
    })
}

/// Returns when something is done about a departure by itself; `None` if it is closed or waits for a person.
fn due_at(record: &Record) -> Option<OffsetDateTime> {
    let due_at = record.due_at.filter(|due_at| *due_at < NEVER)?;
    OffsetDateTime::from_unix_timestamp(due_at).ok()
}

/// Returns why a departure is not done: the vetoes, else the providers at which work is left.
fn why(record: &Record, reasons: &[Veto]) -> String {
    let left = || {
        let open = record.providers.values().map(|result| &result.found);
        let open = open.filter(|entry| entry.worst.outcome.status() != Status::Done);
        open.map(|entry| format!("{} {}", entry.provider, entry.worst.outcome)).collect::<Vec<_>>()
    };
    match reasons {
        _ if record.state.is_settled() => String::new(),
        [] => left().join(", "),
        reasons => names(reasons),
    }
}

fn names(vetoes: &[Veto]) -> String {
    vetoes.iter().map(|veto| veto.as_str()).collect::<Vec<_>>().join(", ")
}
