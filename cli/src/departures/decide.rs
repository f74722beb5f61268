//! `offboard departures release|dismiss|replay`.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, stdin},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use anyhow::Error;
use clap::Args;
use futures_util::{StreamExt, stream};
use offboard::{
    config::Config,
    judgement::{RaisedVeto, Veto},
    ledger::{Record, State},
    operator::{Decision, Refused, Shown},
    person::mask_departure_id,
    queue::Message,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::signal::ctrl_c;

use super::{
    Addresses,
    filter::Filter,
    list::{counted, table},
    rules,
};
use crate::stack::{CONCURRENT, Connected, Progress, Stack, wrong_usage};
use offboard_sandbox::screen::{Screen, asked, plural, print};

/// The options of `release`, `dismiss` and `replay`.
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
    stack: Stack,
}

/// Kind of decision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Release,
    Dismiss,
    Replay,
}

/// A departure to decide about, with the vetoes that are raised now.
struct Case {
    record: Record,
    standing: Vec<RaisedVeto>,
}

/// Results of the decisions.
#[derive(Default)]
struct Results {
    done: Vec<Done>,
    /// Masked ids, and why nothing was decided.
    failed: Vec<(String, String)>,
}

/// A decision that was carried out.
struct Done {
    id: String,
    /// Vetoes that still hold the departure.
    remaining: Vec<Veto>,
}

/// An operator with a kind of decision.
struct Operator<'a> {
    config: &'a Config,
    connected: &'a Connected,
    choice: Choice,
    /// The vetoes to override; all that are shown, if empty.
    only: &'a [Veto],
    who: String,
}

impl Choice {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dismiss => "dismiss",
            Self::Replay => "replay",
        }
    }

    /// The state that `--all` takes.
    fn usual_state(self) -> State {
        if self == Self::Replay { State::NeedsAttention } else { State::Held }
    }
}

impl Decide {
    pub async fn run(&self, choice: Choice) -> anyhow::Result<ExitCode> {
        let narrows = self.filter.is_given() || (choice != Choice::Release && !self.filter.reason.is_empty());
        if !self.all && narrows {
            wrong_usage("filters go with --all");
        }
        let config = self.stack.configured.load()?;
        let connected = self.stack.connect().await?;
        let who = connected.who().await?;
        let operator = Operator { config: &config, connected: &connected, choice, only: &self.filter.reason, who };
        let ids = if self.all { self.chosen(&operator).await? } else { self.ids.clone() };
        let (cases, failed) = operator.cases(ids).await;
        if !self.is_confirmed(choice, &cases)? {
            Screen::new(self.stack.configured.json).line("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        let mut results = operator.decide_all(cases).await;
        results.failed.extend(failed);
        let hint = operator.send_messages(&results.done).await;
        self.show(&operator, &results);
        if let Some(hint) = hint {
            eprintln!("offboard: {hint}");
        }
        Ok(ExitCode::from(u8::from(!results.failed.is_empty())))
    }

    /// The ids of all departures that fit the filters.
    async fn chosen(&self, operator: &Operator<'_>) -> anyhow::Result<Vec<String>> {
        let filter = self.filter.clone().or_state(operator.choice.usual_state());
        let records = filter.find(operator.connected, false).await?;
        Ok(records.into_iter().map(|record| record.id).collect())
    }

    /// Shows the people if there are several departures, and asks on a terminal.
    fn is_confirmed(&self, choice: Choice, cases: &[Case]) -> anyhow::Result<bool> {
        if cases.is_empty() || !(self.all || cases.len() > 1) {
            return Ok(true);
        }
        let rows = cases.iter().map(|case| (&case.record, case.standing.iter().map(|one| one.veto).collect()));
        table(&Screen::new(self.stack.configured.json), rows, Addresses::Masked);
        let records: Vec<_> = cases.iter().map(|case| case.record.clone()).collect();
        let (name, counted) = (choice.name(), counted(&records));
        match stdin().is_terminal() {
            _ if self.yes => Ok(true),
            true => asked(&format!("{name} {counted}? [y/N] ")).map_err(Error::msg),
            // A person who names them has seen them.
            false if !self.all => Ok(true),
            false => wrong_usage(&format!("{name} --all needs --yes where no terminal is there to ask on ({counted})")),
        }
    }

    fn show(&self, operator: &Operator<'_>, results: &Results) {
        let Results { done, failed } = results;
        let name = operator.choice.name();
        let shown = |id: &String| mask_departure_id(id);
        let remaining: Vec<_> = done.iter().filter(|done| !done.remaining.is_empty()).collect();
        if self.stack.configured.json {
            let failed: Vec<_> = failed.iter().map(|(id, why)| json!({"id": id, "why": why})).collect();
            let remaining = remaining.iter().map(|done| json!({"id": shown(&done.id), "reasons": done.remaining}));
            let remaining: Vec<_> = remaining.collect();
            let done: Vec<_> = done.iter().map(|done| shown(&done.id)).collect();
            let by = &operator.who;
            let document = json!({"decision": name, "by": by, "done": done, "still_held": remaining, "failed": failed});
            return print(&document.to_string());
        }
        let screen = Screen::new(false);
        if !done.is_empty() || failed.is_empty() {
            screen.verdict(&[], &format!("{name}: {}, by {}", plural(done.len(), "departure"), operator.who), "");
        }
        for done in remaining {
            screen.line(&format!("      {}: {}", shown(&done.id), remains(&done.remaining)));
        }
        if !failed.is_empty() {
            let lines: Vec<_> = failed.iter().map(|(id, why)| format!("{id}: {why}")).collect();
            screen.verdict(&lines, "", &format!("{} could not be decided", failed.len()));
        }
    }
}

/// Describes the vetoes that remain after a release, and what would end each.
fn remains(vetoes: &[Veto]) -> String {
    let line = |veto: &Veto| match veto {
        veto if !veto.is_releasable() => format!("{veto} still stands, and no release overrides it"),
        veto if veto.is_a_matter_of_time() => format!("{veto} ends by itself; --reason {veto} overrides it"),
        veto => format!("{veto} still stands; --reason {veto} overrides it"),
    };
    vetoes.iter().map(line).collect::<Vec<_>>().join("; ")
}

impl Operator<'_> {
    /// Reads the departures, and for a release the vetoes of each.
    async fn cases(&self, ids: Vec<String>) -> (Vec<Case>, Vec<(String, String)>) {
        let (mut cases, mut failed, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let progress = Progress::new();
        let total = ids.len();
        let mut read = pin!(stream::iter(ids).map(|id| self.case(id)).buffered(CONCURRENT));
        while let Some((id, case)) = read.next().await {
            match case {
                // One departure may be named twice: in full and masked.
                Ok(case) if !seen.insert(case.record.id.clone()) => {}
                Ok(case) => cases.push(case),
                Err(why) => failed.push((mask_departure_id(&id), format!("{why:#}"))),
            }
            progress.show(&format!("{} of {total} departures read", cases.len() + failed.len()));
        }
        (cases, failed)
    }

    async fn case(&self, id: String) -> (String, anyhow::Result<Case>) {
        let case = async {
            let record = self.connected.record(&id).await?;
            if self.choice != Choice::Release {
                return Ok(Case { record, standing: Vec::new() });
            }
            let rules = rules(self.config, &record.source);
            let reviewed = self.connected.ledger.review(&record.id, rules, OffsetDateTime::now_utc()).await;
            let (record, verdict) = reviewed?;
            Ok(Case { record, standing: verdict.standing })
        };
        let case = case.await;
        (id, case)
    }

    /// Decides about all of them.
    async fn decide_all(&self, cases: Vec<Case>) -> Results {
        let (mut results, total) = (Results::default(), cases.len());
        // Interrupted, it begins no other, but ends what it has begun.
        let begun = stream::iter(cases).take_until(ctrl_c());
        let mut decided = pin!(begun.map(|case| self.decide(case)).buffer_unordered(CONCURRENT));
        let progress = Progress::new();
        while let Some((id, decided)) = decided.next().await {
            match decided {
                Ok(remaining) => results.done.push(Done { id, remaining }),
                Err(refused) => results.failed.push((mask_departure_id(&id), refused.to_string())),
            }
            progress.show(&format!("{} of {total}", results.done.len() + results.failed.len()));
        }
        drop(progress);
        let missing = total - results.done.len() - results.failed.len();
        if missing > 0 {
            results.failed.push((format!("{missing} more"), "interrupted; give the command again".to_owned()));
        }
        results
    }

    /// Decides about one departure. Returns the vetoes that remain.
    async fn decide(&self, case: Case) -> (String, Result<Vec<Veto>, Refused>) {
        let Case { record, standing } = case;
        let vetoes: Vec<Veto> = standing.iter().map(|standing| standing.veto).collect();
        let decision = match self.choice {
            Choice::Release => {
                let only = (!self.only.is_empty()).then(|| self.only.to_vec());
                Decision::Release(Shown { standing, only })
            }
            Choice::Dismiss => Decision::Dismiss,
            Choice::Replay => Decision::Replay,
        };
        let (ledger, retention) = (&self.connected.ledger, self.config.ledger.retention);
        let decided = ledger.decide(&record.id, &decision, &self.who, retention, OffsetDateTime::now_utc()).await;
        let remaining = decided.map(|decided| {
            let overridden = decided.history.last().map(|action| action.reasons.clone()).unwrap_or_default();
            vetoes.into_iter().filter(|veto| !overridden.contains(veto)).collect()
        });
        (record.id, remaining)
    }

    /// Has the function start at once. Returns a hint if it will not: the record is due, and the next tick finds it.
    async fn send_messages(&self, done: &[Done]) -> Option<String> {
        if self.choice == Choice::Dismiss || done.is_empty() {
            return None;
        }
        let later = "the next tick starts what is due, within a minute";
        let Some(queue) = &self.connected.queue else {
            return Some(format!("{later}; with OFFBOARD_QUEUE_URL, or --stack, it starts at once"));
        };
        let message = |done: &Done| Message { departure: done.id.clone(), delay: Duration::ZERO };
        let messages: Vec<_> = done.iter().map(message).collect();
        queue.send(&messages).await.err().map(|error| format!("{error}; {later}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_after_a_release_says_what_ends_it() {
        let said = remains(&[Veto::Paused, Veto::Settling, Veto::EventTooOld]);
        let expected = "paused still stands, and no release overrides it; settling ends by itself; --reason settling \
                        overrides it; event_too_old still stands; --reason event_too_old overrides it";
        assert_eq!(said, expected);
    }
}
