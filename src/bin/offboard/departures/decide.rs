//! `offboard departures release|reject|replay`.

use std::{
    io::{IsTerminal, Write, stderr, stdin},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use futures_util::{StreamExt, stream};
use offboard::{
    ledger::{
        Ledger, Record, State,
        operator::{Decision, Refused},
    },
    person::mask_addresses,
    queue::Queue,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::signal::ctrl_c;

use super::{filter::Filter, list::counted};
use crate::{
    screen::{Screen, print},
    stored::{Connected, Progress, Queued, Stored, wrong_usage},
};

/// How many departures are decided at once: a storm shall not take an hour to release.
const AT_ONCE: usize = 16;
const NO_QUEUE: &str = "no queue is named (--queue-url, OFFBOARD_QUEUE_URL): nothing reminds the function of them, and \
                        they go on only when their senders deliver them again";

/// The options of `release`, `reject` and `replay`.
#[derive(Args)]
pub struct Decide {
    /// The departures: SOURCE/EVENT, as `list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All that fit the filters; without --state, all that are held (for `replay`: all that need a person)
    #[arg(long)]
    all: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    queued: Queued,
    #[command(flatten)]
    stored: Stored,
}

/// Who decides what, and where that is noted.
struct Desk<'a> {
    ledger: &'a Ledger,
    queue: Option<Queue>,
    decision: Decision,
    who: String,
}

impl Decide {
    pub async fn run(&self, decision: Decision) -> Result<ExitCode, String> {
        if !self.all && self.filter.is_given() {
            wrong_usage("filters go with --all");
        }
        let connected = self.stored.connect().await?;
        let queue = connected.queue(&self.queued);
        let who = connected.who().await?;
        let ids = if self.all { self.chosen(&connected, decision).await? } else { self.ids.clone() };
        let desk = Desk { ledger: &connected.ledger, queue, decision, who };
        let (done, failed) = desk.all(&connected, ids).await;
        self.show(&desk, done, failed)
    }

    /// The departures that fit, if that is really meant.
    async fn chosen(&self, connected: &Connected, decision: Decision) -> Result<Vec<String>, String> {
        let usual = if decision == Decision::Replay { State::NeedsAttention } else { State::Held };
        let filter = self.filter.clone().or_state(usual);
        let records = connected.records(|record| filter.takes(record)).await?;
        if !records.is_empty() && !self.yes && !confirmed(decision, &records)? {
            return Err("nothing was done".to_owned());
        }
        Ok(records.into_iter().map(|record| record.id).collect())
    }

    fn show(&self, desk: &Desk<'_>, done: Vec<String>, failed: Vec<(String, String)>) -> Result<ExitCode, String> {
        let decision = desk.decision;
        let shown = |id: &String| mask_addresses(id);
        if self.stored.configured.json {
            let left: Vec<_> = failed.iter().map(|(id, why)| json!({"id": shown(id), "why": why})).collect();
            let done: Vec<_> = done.iter().map(shown).collect();
            print(&json!({"decision": decision.to_string(), "by": desk.who, "done": done, "failed": left}).to_string());
        }
        let screen = Screen::new(self.stored.configured.json);
        let findings: Vec<_> = failed.iter().map(|(id, why)| format!("{}: {why}", shown(id))).collect();
        if !done.is_empty() || findings.is_empty() {
            screen.verdict(&[], &format!("{decision}: {} departure(s), by {}", done.len(), desk.who), "");
        }
        if !findings.is_empty() {
            screen.verdict(&findings, "", &format!("{} could not be decided", findings.len()));
        }
        if desk.queue.is_none() && decision != Decision::Reject && !done.is_empty() {
            eprintln!("offboard: {NO_QUEUE}");
        }
        Ok(ExitCode::from(u8::from(!findings.is_empty())))
    }
}

/// Asks on a terminal; where there is nobody to ask, `--yes` has to say it.
fn confirmed(decision: Decision, records: &[Record]) -> Result<bool, String> {
    if !stdin().is_terminal() {
        wrong_usage(&format!("there is no terminal to ask on: {decision} --all needs --yes ({})", counted(records)));
    }
    let _ = write!(stderr(), "{decision} {}? [y/N] ", counted(records));
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|fault| fault.to_string())?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Decides about one departure.
async fn one(desk: &Desk<'_>, connected: &Connected, id: String) -> (String, Result<(), String>) {
    let mut decided = desk.decide(&id).await;
    if decided == Err(Refused::Unknown.to_string()) {
        // It may be written as it is shown.
        decided = match connected.record(&id).await {
            Ok(record) => desk.decide(&record.id).await,
            Err(why) => Err(why),
        };
    }
    (id, decided)
}

impl Desk<'_> {
    /// Decides about all of them: those about which it could be decided, and those about which not, and why.
    async fn all(&self, connected: &Connected, ids: Vec<String>) -> (Vec<String>, Vec<(String, String)>) {
        let (mut done, mut failed, total) = (Vec::new(), Vec::new(), ids.len());
        // Interrupted, it begins no other, but ends what it has begun: what is decided is reminded of.
        let begun = stream::iter(ids).take_until(ctrl_c());
        let mut decided = pin!(begun.map(|id| one(self, connected, id)).buffer_unordered(AT_ONCE));
        let progress = Progress::new();
        while let Some((id, outcome)) = decided.next().await {
            match outcome {
                Ok(()) => done.push(id),
                Err(why) => failed.push((id, why)),
            }
            progress.show(&format!("{} of {total}", done.len() + failed.len()));
        }
        drop(progress);
        let missing = total - done.len() - failed.len();
        if missing > 0 {
            failed.push((format!("{missing} more"), "interrupted before; give the command again".to_owned()));
        }
        (done, failed)
    }

    async fn decide(&self, id: &str) -> Result<(), String> {
        let decided = self.ledger.decide(id, self.decision, &self.who, OffsetDateTime::now_utc()).await;
        decided.map_err(|refused| refused.to_string())?;
        match &self.queue {
            Some(queue) if self.decision != Decision::Reject => queue
                .remind(id, Duration::ZERO)
                .await
                .map_err(|down| format!("decided, but {down}; `offboard departures replay` reminds it again")),
            _ => Ok(()),
        }
    }
}
