//! `offboard departures list`.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use offboard::{
    ledger::{Record, State},
    person::mask_addresses,
};
use serde_json::Value;

use super::{filter::Filter, view, why};
use crate::{
    moment,
    screen::{Screen, print},
    stored::Stored,
};

/// The options of `offboard departures list`.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    stored: Stored,
}

impl List {
    pub async fn run(&self) -> Result<ExitCode, String> {
        let records = self.stored.connect().await?.records(|record| self.filter.takes(record)).await?;
        if self.stored.configured.json {
            print(&Value::Array(records.iter().map(view).collect()).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let screen = Screen::new(false);
        if !records.is_empty() {
            let mut table = screen.table(["RECEIVED (UTC)", "DEPARTURE", "PERSON", "STATE", "WHY"]);
            table.add_rows(records.iter().map(row));
            screen.show(&table);
        }
        screen.line(&format!("\n{}", counted(&records)));
        Ok(ExitCode::SUCCESS)
    }
}

fn row(record: &Record) -> [String; 5] {
    let person = record.person.masked().unwrap_or_default();
    let received = moment::person(record.received_at);
    [received, mask_addresses(&record.id), person, record.state.to_string(), why(record)]
}

/// How many there are of each state: `3 departures: 1 held, 2 done`.
pub fn counted(records: &[Record]) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(record.state).or_default() += 1;
    }
    // What needs most comes first.
    let counts = counts.iter().rev().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>();
    match records.len() {
        0 => "no departures".to_owned(),
        1 => format!("1 departure: {}", counts.join(", ")),
        many => format!("{many} departures: {}", counts.join(", ")),
    }
}
