//! `offboard departures show`.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;
use offboard::{
    config::{Policy, duration_in_words},
    evidence::describe_protection,
    judgement::{RaisedVeto, Veto, VetoFact},
    ledger::{OperatorAction, Record, State, StoredResult, millis},
    outcome::{Outcome, Status},
    person::{mask_addresses, mask_departure_id},
};
use serde_json::json;
use time::OffsetDateTime;

use super::{Addresses, document, due_at, names, rules};
use crate::{
    pause,
    stack::{Connected, Stack},
    timestamps,
};
use offboard_sandbox::screen::{Screen, detail, outcome, print};

/// The options of `offboard departures show`.
#[derive(Args)]
#[command(
    after_help = "What stands against the removals is judged now, by the policy of the configuration: a return that came after \
                  the departure was held is listed. due_at is null if the departure is closed, or waits for a person."
)]
pub struct Show {
    /// The departure: SOURCE/EVENT, as `list` shows it
    id: String,
    #[command(flatten)]
    stack: Stack,
}

impl Show {
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let config = self.stack.configured.load()?;
        let connected = self.stack.connect().await?;
        let record = connected.record(&self.id).await?;
        let rules = rules(&config, &record.source);
        let reviewed = connected.ledger.review(&record.id, rules, OffsetDateTime::now_utc()).await;
        let (record, verdict) = reviewed?;
        // Nothing stands against a closed departure.
        let standing = if record.state.is_settled() { Vec::new() } else { verdict.standing };
        let reasons: Vec<Veto> = standing.iter().map(|standing| standing.veto).collect();
        let protected_by = protected_by(&connected, &standing).await?;
        if self.stack.configured.json {
            let mut document = document(&record, &reasons, Addresses::Masked);
            document["protected_by"] = json!(protected_by);
            print(&document.to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let screen = Screen::new(false);
        pause::announce(&screen, &connected).await?;
        show(&screen, &record, &standing, &config.policy, &protected_by);
        Ok(ExitCode::SUCCESS)
    }
}

/// Describes the lists that protect the person, if any does.
async fn protected_by(connected: &Connected, standing: &[RaisedVeto]) -> anyhow::Result<Vec<String>> {
    let mut described = Vec::new();
    let facts =
        standing.iter().filter(|standing| standing.veto == Veto::Protected).flat_map(|standing| &standing.facts);
    for fact in facts {
        match fact.id.as_str() {
            VetoFact::AT_RUN_TIME => {
                let listed = connected.ledger.protections(None, OffsetDateTime::now_utc()).await?;
                let decision = listed.iter().map(|(decision, _)| decision).find(|one| millis(one.at) == fact.at);
                described.push(decision.map_or_else(|| "by `offboard protect`".to_owned(), describe_protection));
            }
            list => described.push(format!("on the list {list} of the configuration")),
        }
    }
    Ok(described)
}

fn show(screen: &Screen, record: &Record, standing: &[RaisedVeto], policy: &Policy, protected_by: &[String]) {
    screen.section(&mask_departure_id(&record.id), attributes(record));
    if !record.state.is_settled() {
        let reasons: Vec<_> = standing.iter().map(|standing| reason(standing, record, policy)).collect();
        let title = format!("Reasons against the removals now (mode = \"{}\")", policy.mode);
        screen.section(&title, if reasons.is_empty() { vec!["none".to_owned()] } else { reasons });
        if !protected_by.is_empty() {
            screen.section("Protected", protected_by.to_vec());
        }
    }
    screen.section("Providers", []);
    if record.providers.is_empty() {
        screen.line("  none has been tried yet");
    } else {
        let mut table = screen.table(["PROVIDER", "OUTCOME", "PROOF", "AT (UTC)", "DETAIL", "RUNS"]);
        table.add_rows(record.providers.values().map(row));
        screen.show(&table);
    }
    if !record.history.is_empty() {
        screen.section("Decisions", record.history.iter().map(action));
    }
    let next = next(record, !protected_by.is_empty());
    if !next.is_empty() {
        screen.section("Next", next);
    }
}

/// The record's attributes, a line each.
fn attributes(record: &Record) -> Vec<String> {
    let line = |name: &str, value: Option<String>| value.map(|value| format!("{name:<11}{value}"));
    let person = record.person.person();
    let masked = |text: Option<String>| text.as_deref().map(mask_addresses);
    let others = record.person.emails().iter().skip(1).map(|email| mask_addresses(email));
    let others: Vec<_> = others.chain(record.person.known_emails.clone()).collect();
    let lease = record.lease.as_ref().filter(|_| record.is_leased(OffsetDateTime::now_utc()));
    let released: Vec<Veto> = record.release.reasons().collect();
    let lines = [
        line("state", Some(record.state.to_string())),
        line("person", Some(Addresses::Masked.email(record)).filter(|email| !email.is_empty())),
        line("also", Some(others.join(", ")).filter(|others| !others.is_empty())),
        line("their ids", masked(person.external_id.or(person.idp_id))),
        line("event", Some(record.event.kind.clone())),
        line("occurred", record.event.occurred_at.map(|at| at.to_string())),
        line("received", Some(timestamps::table(record.received_at))),
        line("due", due_at(record).map(timestamps::table)),
        line("attempts", Some(record.attempts.to_string())),
        line("worked on", lease.map(|lease| format!("until {}, by {}", timestamps::table(lease.until), lease.by))),
        line("released", Some(names(&released)).filter(|released| !released.is_empty())),
    ];
    lines.into_iter().flatten().collect()
}

/// Returns what a person can do about a departure that waits for one.
fn next(record: &Record, is_protected: bool) -> Vec<String> {
    let id = mask_departure_id(&record.id);
    let dismiss = format!("`offboard departures dismiss {id}` ends it without a removal");
    let mut lines = by_hand(record, &id);
    match record.state {
        State::Held => {
            let live = if record.reasons().contains(&Veto::DryRun) { "once the mode is live, " } else { "" };
            vec![format!("{live}`offboard departures release {id}` lets the removals go on; {dismiss}")]
        }
        State::NeedsAttention if record.has_veto(Veto::Protected) => {
            let when = if is_protected { "once nothing protects the person any more, " } else { "" };
            vec![format!("{when}`offboard departures replay {id}` has it judged again"), dismiss]
        }
        State::NeedsAttention => {
            if lines.is_empty()
                || outcomes(record).any(|outcome| !matches!(outcome, Outcome::Manual) && is_open(outcome))
            {
                let others = if lines.is_empty() { "" } else { "other " };
                lines.push(format!(
                    "act at the {others}providers that are not done, then `offboard departures replay {id}` tries them again"
                ));
            }
            lines.into_iter().chain([dismiss]).collect()
        }
        State::Pending => lines,
        State::Done | State::Dismissed => Vec::new(),
    }
}

fn outcomes(record: &Record) -> impl Iterator<Item = Outcome> {
    record.providers.values().map(|result| result.found.worst.outcome)
}

fn is_open(outcome: Outcome) -> bool {
    outcome.status() != Status::Done
}

/// A line for each provider at which a person has to remove the account by hand.
fn by_hand(record: &Record, id: &str) -> Vec<String> {
    let results = record.providers.values().map(|result| &result.found);
    let manual = results.filter(|found| found.worst.outcome == Outcome::Manual);
    let line = |provider: &str| {
        format!(
            "remove the account at {provider} by hand, then `offboard departures confirm {id} {provider} --note \"…\"`"
        )
    };
    manual.map(|found| line(&found.provider)).collect()
}

/// Returns a veto with the facts that raise it.
fn reason(standing: &RaisedVeto, record: &Record, policy: &Policy) -> String {
    let fact = |fact: &VetoFact| {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(fact.at) * 1_000_000);
        format!("{} active at {}", fact.id, at.map(timestamps::table).unwrap_or_default())
    };
    let facts = standing.facts.iter().map(fact).collect::<Vec<_>>().join("; ");
    let facts = if standing.veto == Veto::Protected { String::new() } else { facts };
    let note = match standing.veto {
        veto if !veto.is_releasable() => "no release overrides it",
        veto if veto.is_a_matter_of_time() => "ends by itself",
        Veto::EventTooOld => &too_old(record, policy),
        Veto::TooManyDepartures => &too_many(policy),
        Veto::EventIdReused => "the event's id was used for another person, or for another time",
        _ => "",
    };
    format!("{:<29}{facts}{note}", standing.veto.as_str()).trim_end().to_owned()
}

fn too_old(record: &Record, policy: &Policy) -> String {
    let occurred = record.event.occurred_at.map(|at| at.resolve(record.received_at));
    let age = occurred.map(|at| format!("{} old when it was received; ", timestamps::span(record.received_at - at)));
    format!("{}`max_event_age` is {}", age.unwrap_or_default(), duration_in_words(policy.max_event_age))
}

fn too_many(policy: &Policy) -> String {
    let limit = policy.max_departures.as_ref();
    limit.map(|limit| format!("more than {} within {}", limit.count, duration_in_words(limit.per))).unwrap_or_default()
}

fn row(result: &StoredResult) -> [Cell; 6] {
    let worst = &result.found.worst;
    [
        Cell::new(&result.found.provider),
        outcome(&worst.outcome.to_string()),
        Cell::new(worst.proof.map(|proof| proof.to_string()).unwrap_or_default()),
        Cell::new(timestamps::table(result.at)),
        Cell::new(detail(&json!(result.found))),
        Cell::new(result.runs),
    ]
}

fn action(action: &OperatorAction) -> String {
    let reasons = match action.reasons.as_slice() {
        [] => String::new(),
        reasons => format!(" ({})", names(reasons)),
    };
    let provider = action.provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
    let note = action.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    format!("{}  {}{reasons}{provider} by {}{note}", timestamps::table(action.at), action.what, action.who)
}

#[cfg(test)]
mod tests {
    use offboard::{
        departure::{Departure, Event, EventTime},
        person::Person,
    };
    use time::macros::datetime;

    use super::*;

    #[test]
    fn reason_is_shown_with_the_fact_that_raises_it_or_with_what_ends_it() {
        let event = Event {
            id: "1".into(),
            kind: "left".into(),
            occurred_at: Some(EventTime::Instant(datetime!(2025-12-06 18:42 UTC))),
            organization: None,
        };
        let departure = Departure { id: "hr/1".into(), source: "hr".into(), event, person: Person::default() };
        let record = Record::new(&departure, datetime!(2026-01-31 18:42 UTC), 0);
        let standing = |veto, facts| reason(&RaisedVeto { veto, facts }, &record, &Policy::default());
        let fact = VetoFact { id: "workos/i-3fa2".into(), at: 1_769_884_920_000 };
        assert_eq!(
            standing(Veto::PersonReturned, vec![fact]),
            "person_returned              workos/i-3fa2 active at 2026-01-31 18:42:00"
        );
        assert_eq!(standing(Veto::Paused, vec![]), "paused                       no release overrides it");
        let too_old = "event_too_old                56 days old when it was received; `max_event_age` is 7 days";
        assert_eq!(standing(Veto::EventTooOld, vec![]), too_old);
        let too_many = "too_many_departures          more than 50 within 1 hour";
        assert_eq!(standing(Veto::TooManyDepartures, vec![]), too_many);
    }
}
