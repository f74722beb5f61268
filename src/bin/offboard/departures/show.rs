//! `offboard departures show`.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;
use offboard::{
    ledger::{Record, Settled},
    person::mask_addresses,
};
use serde_json::json;

use super::view;
use crate::{
    moment,
    screen::{Screen, detail, outcome, print},
    stored::Stored,
};

/// The options of `offboard departures show`.
#[derive(Args)]
pub struct Show {
    /// The departure: SOURCE/EVENT, as `list` shows it
    id: String,
    #[command(flatten)]
    stored: Stored,
}

impl Show {
    pub async fn run(&self) -> Result<ExitCode, String> {
        let record = self.stored.connect().await?.record(&self.id).await?;
        if self.stored.configured.json {
            print(&view(&record).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let screen = Screen::new(false);
        screen.section(&mask_addresses(&record.id), facts(&record));
        screen.section("Providers", []);
        if record.providers.is_empty() {
            screen.line("  none has been tried yet");
        } else {
            let mut table = screen.table(["PROVIDER", "OUTCOME", "KNOWN BY", "AT (UTC)", "DETAIL", "RUNS"]);
            table.add_rows(record.providers.values().map(row));
            screen.show(&table);
        }
        let actions = record.history.iter();
        let actions: Vec<_> =
            actions.map(|action| format!("{}  {} by {}", moment::person(action.at), action.what, action.who)).collect();
        if !actions.is_empty() {
            screen.section("What people did", actions);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn facts(record: &Record) -> Vec<String> {
    let fact = |name: &str, value: Option<String>| value.map(|value| format!("{name:<10}{value}"));
    let person = record.departure().person;
    let others: Vec<_> = person.other_emails.iter().map(ToString::to_string).collect();
    let masked = |text: Option<String>| text.as_deref().map(mask_addresses);
    let lease = record.lease.as_ref().map(|lease| format!("{}, until {}", lease.by, moment::person(lease.until)));
    let facts = [
        fact("state", Some(record.state.to_string())),
        fact("reason", record.reason.clone()),
        fact("person", record.person.masked()),
        fact("also", Some(others.join(", ")).filter(|others| !others.is_empty())),
        fact("their ids", masked(person.external_id.or(person.idp_id))),
        fact("event", Some(record.event_type.clone())),
        fact("occurred", record.occurred_at.map(|at| moment::person(at.resolve(record.received_at)))),
        fact("received", Some(moment::person(record.received_at))),
        fact("worked on", lease),
    ];
    facts.into_iter().flatten().collect()
}

fn row(settled: &Settled) -> [Cell; 6] {
    let finding = &settled.entry.finding;
    [
        Cell::new(&settled.entry.provider),
        outcome(&finding.outcome.to_string()),
        Cell::new(finding.proof.map(|proof| proof.to_string()).unwrap_or_default()),
        Cell::new(moment::person(settled.at)),
        Cell::new(detail(&json!(settled.entry))),
        Cell::new(settled.runs),
    ]
}
