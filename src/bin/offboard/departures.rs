//! `offboard departures`: what the ledger knows, and what a person decides about it.

mod decide;
mod filter;
mod list;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offboard::{
    ledger::{Record, operator::Decision},
    outcome::Status,
    person::mask_addresses,
};
use serde_json::{Value, json};

use crate::moment;

/// The options of `offboard departures`.
#[derive(Args)]
#[command(
    after_help = "An ID is written as `list` shows it. Each decision is kept in the departure's record, with your AWS \
                  identity.\nExit code 1: something was not found, or could not be decided."
)]
pub struct Departures {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show which departures there are, and where they stand
    List(list::List),
    /// Show all that is known of one departure
    Show(show::Show),
    /// Have held departures done after all
    Release(decide::Decide),
    /// Say that nothing shall be done: held, stuck or open departures end, and their people are forgotten
    Reject(decide::Decide),
    /// Have departures that needed a person tried again, at those providers where they are not done
    Replay(decide::Decide),
}

impl Departures {
    /// Does what is asked.
    pub async fn run(&self) -> Result<ExitCode, String> {
        match &self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Release(decide) => decide.run(Decision::Release).await,
            Command::Reject(decide) => decide.run(Decision::Reject).await,
            Command::Replay(decide) => decide.run(Decision::Replay).await,
        }
    }
}

/// A record for machines. Whatever may be an address is masked.
fn view(record: &Record) -> Value {
    let departure = record.departure();
    let masked = |text: &Option<String>| text.as_deref().map(mask_addresses);
    json!({
        "id": mask_addresses(&record.id),
        "source": record.source,
        "event": {
            "id": mask_addresses(&record.event_id),
            "type": record.event_type,
            "occurred_at": record.occurred_at.map(|at| at.to_string()),
        },
        "person": {
            "idp_id": masked(&departure.person.idp_id),
            "external_id": masked(&departure.person.external_id),
            "email": record.person.masked(),
            "other_emails": departure.person.other_emails.iter().map(|email| email.masked()).collect::<Vec<_>>(),
        },
        "received_at": moment::machine(record.received_at),
        "state": record.state,
        "reason": record.reason,
        "standing": record.standing,
        "providers": record.providers.values().collect::<Vec<_>>(),
        "lease": record.lease,
        "history": record.history,
        "expires_at": record.expires_at,
    })
}

/// Why it stands where it stands: why it is held, or at which providers it is not done.
fn why(record: &Record) -> String {
    let open = record.providers.iter().filter(|(_, settled)| settled.entry.finding.outcome.status() != Status::Done);
    let open = open.map(|(name, settled)| format!("{name} {}", settled.entry.finding.outcome)).collect::<Vec<_>>();
    match (&record.reason, &record.lease) {
        (Some(reason), _) => reason.clone(),
        (None, Some(_)) => "being worked on".to_owned(),
        (None, None) => open.join(", "),
    }
}
