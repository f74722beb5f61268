//! `offboard departures list`.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use comfy_table::ContentArrangement;
use offboard::{
    judgement::Veto,
    ledger::{Record, State},
};
use serde_json::Value;

use super::{Addresses, document, filter::Filter, why};
use crate::{
    pause,
    stack::{Connected, Stack},
    timestamps,
};
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard departures list`.
#[derive(Args)]
pub struct List {
    /// Also those that are done or dismissed
    #[arg(long)]
    all: bool,
    /// Show e-mail addresses in full; of a departure that is done or dismissed they are no longer stored
    #[arg(long)]
    unmask: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    stack: Stack,
}

impl List {
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let connected = self.stack.connect().await?;
        let records = self.filter.find(&connected, self.all).await?;
        let addresses = if self.unmask { Addresses::Full } else { Addresses::Masked };
        if self.stack.configured.json {
            let documents = records.iter().map(|record| document(record, &record.reasons(), addresses));
            print(&Value::Array(documents.collect()).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        self.show(&connected, &records, addresses).await
    }

    async fn show(&self, connected: &Connected, records: &[Record], addresses: Addresses) -> anyhow::Result<ExitCode> {
        let screen = Screen::new(false);
        pause::announce(&screen, connected).await?;
        let rows = records.iter().map(|record| (record, record.reasons()));
        table(&screen, rows, addresses);
        let is_narrowed = self.all || self.filter.state.is_some();
        let open = if is_narrowed { "" } else { "; --all lists those that are done or dismissed as well" };
        screen.line(&format!("\n{}{open}", counted(records)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows a table of departures, each with its vetoes. An id is never cut or wrapped, so that it can be copied.
pub fn table<'a>(screen: &Screen, rows: impl IntoIterator<Item = (&'a Record, Vec<Veto>)>, addresses: Addresses) {
    let mut table = screen.table(["STATE", "RECEIVED (UTC)", "PERSON", "ATTEMPTS", "REASONS", "ID"]);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows.into_iter().map(|(record, reasons)| row(record, &reasons, addresses)));
    if !table.is_empty() {
        screen.show(&table);
    }
}

fn row(record: &Record, reasons: &[Veto], addresses: Addresses) -> [String; 6] {
    [
        record.state.to_string(),
        timestamps::table(record.received_at),
        addresses.email(record),
        record.attempts.to_string(),
        why(record, reasons),
        addresses.id(record),
    ]
}

/// Returns how many there are of each state: `3 departures: 1 held, 2 done`.
pub fn counted(records: &[Record]) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(record.state).or_default() += 1;
    }
    // The state that needs most comes first.
    let counts = counts.iter().rev().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>();
    match records.len() {
        0 => "no departures".to_owned(),
        1 => format!("1 departure: {}", counts.join(", ")),
        many => format!("{many} departures: {}", counts.join(", ")),
    }
}
