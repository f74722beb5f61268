//! The figures on top.

use std::collections::BTreeSet;

use serde::Serialize;
use time::Duration;

use super::times;
use crate::{
    ledger::{IdentityKey, Record, State, StoredResult, TraitKey},
    outcome::Outcome,
};

/// Counts and times of a period.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// People who left, each once, without those whose departure was dismissed.
    pub leavers: usize,
    /// Departures, of which there may be several of one person.
    pub departures: usize,
    /// Departures after which no account remains.
    pub done: usize,
    /// Departures on which work is left, or a person has to act.
    pub open: usize,
    /// Departures that were dismissed.
    pub dismissed: usize,
    /// Providers at which an account was removed.
    pub removed: usize,
    /// Median time from receipt to the last removal, of the departures that are done.
    pub median: Option<String>,
    /// The longest such time.
    pub worst: Option<String>,
}

/// What the figures are made of.
#[derive(Debug, Default)]
pub(super) struct Counts {
    people: BTreeSet<String>,
    departures: usize,
    done: usize,
    open: usize,
    dismissed: usize,
    removed: usize,
    times: Vec<Duration>,
}

impl Counts {
    /// Counts a departure.
    pub(super) fn add(&mut self, record: &Record) {
        let is_done = record.state == State::Done;
        self.departures += 1;
        self.done += usize::from(is_done);
        self.open += usize::from(!record.state.is_settled());
        if record.state == State::Dismissed {
            self.dismissed += 1;
        } else {
            self.people.insert(person(record).to_owned());
        }
        self.removed += record.providers.values().filter(|one| is_removed(one)).count();
        self.times.extend(time_to_removal(record).filter(|_| is_done));
    }

    /// Returns the figures of the departures that were counted.
    pub(super) fn figures(&self) -> Figures {
        let mut times = self.times.clone();
        times.sort_unstable();
        Figures {
            leavers: self.people.len(),
            departures: self.departures,
            done: self.done,
            open: self.open,
            dismissed: self.dismissed,
            removed: self.removed,
            median: median(&times).map(times::span),
            worst: times.last().copied().map(times::span),
        }
    }
}

impl Figures {
    /// Returns the figures for the terminal.
    pub fn lines(&self) -> Vec<String> {
        let none = || "–".to_owned();
        vec![
            format!("leavers        {} ({} departures)", self.leavers, self.departures),
            format!("done           {}", self.done),
            format!("open cases     {}", self.open),
            format!("dismissed      {}", self.dismissed),
            format!("removals       {}", self.removed),
            format!("median time    {}", self.median.clone().unwrap_or_else(none)),
            format!("worst time     {}", self.worst.clone().unwrap_or_else(none)),
        ]
    }
}

/// A person: by the first trait that the event names, else by the source's id.
fn person(record: &Record) -> &str {
    let email = record.person.traits.iter().find(|key| !key.is_external_id()).map(TraitKey::item);
    let id = record.person.key.as_ref().map(IdentityKey::as_str);
    email.or(id).unwrap_or(&record.id)
}

/// From receipt to the last removal; `None` if nothing was to be removed.
pub(super) fn time_to_removal(record: &Record) -> Option<Duration> {
    let removed = record.providers.values().filter(|one| is_removed(one));
    removed.map(|removed| removed.at).max().map(|last| last - record.received_at)
}

fn is_removed(removed: &StoredResult) -> bool {
    matches!(removed.found.worst.outcome, Outcome::Deleted | Outcome::Deactivated)
}

fn median(sorted: &[Duration]) -> Option<Duration> {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted.get(middle).copied(),
        _ => Some((*sorted.get(middle.checked_sub(1)?)? + *sorted.get(middle)?) / 2),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{
        departure::{Departure, Event},
        outcome::{AccountResult, ProviderResult},
        person::{Email, Person},
    };

    /// A departure with outcomes that came so many seconds after its receipt.
    fn record(id: &str, email: &str, state: State, outcomes: &[(Outcome, i64)]) -> Record {
        let received = datetime!(2026-01-31 12:00 UTC);
        let event = Event { id: id.into(), kind: "left".into(), occurred_at: None, organization: None };
        let person = Person { email: Email::parse(email), ..Person::default() };
        let departure = Departure { id: format!("hr/{id}"), source: "hr".into(), event, person };
        let mut record = Record::new(&departure, received, 0);
        for (n, (outcome, seconds)) in outcomes.iter().enumerate() {
            let worst = AccountResult::of(*outcome);
            let entry = ProviderResult::new(format!("p{n}"), worst);
            record.note_result(entry, true, received + Duration::seconds(*seconds));
        }
        record.state = state;
        record
    }

    fn figures(records: &[Record]) -> Figures {
        let mut counts = Counts::default();
        records.iter().for_each(|record| counts.add(record));
        counts.figures()
    }

    #[test]
    fn times_are_those_of_the_last_removals_of_departures_that_are_done() {
        let records = [
            record("1", "ann@example.com", State::Done, &[(Outcome::Deleted, 2), (Outcome::AlreadyAbsent, 900)]),
            record("2", "ANN@example.com", State::Done, &[(Outcome::Deleted, 4), (Outcome::Deactivated, 20)]),
            record("3", "bob@example.com", State::Done, &[(Outcome::Deleted, 3600)]),
            record("4", "eve@example.com", State::Done, &[(Outcome::AlreadyAbsent, 5)]),
            record("5", "joe@example.com", State::Pending, &[(Outcome::Deleted, 9999), (Outcome::Unavailable, 1)]),
            record("6", "kim@example.com", State::Held, &[]),
            record("7", "lee@example.com", State::NeedsAttention, &[(Outcome::Blocked, 1)]),
            record("8", "mia@example.com", State::Dismissed, &[]),
        ];
        let expected = Figures {
            leavers: 6,
            departures: 8,
            done: 4,
            open: 3,
            dismissed: 1,
            removed: 5,
            median: Some("20 seconds".into()),
            worst: Some("1 hour".into()),
        };
        assert_eq!(figures(&records), expected);
        assert_eq!(figures(&records[..2]).median.as_deref(), Some("11 seconds"));
        let nothing = figures(&[]);
        assert_eq!((nothing.leavers, nothing.median, nothing.worst), (0, None, None));
    }
}
