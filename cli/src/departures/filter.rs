//! Which departures are meant.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use offboard::{
    judgement::Veto,
    ledger::{Record, State, TraitKey},
    person::Email,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{configured::address, stack::BEGINNING, stack::Connected, timestamps};

/// Conditions that a departure must meet, all of those that are given.
#[derive(Args, Clone, Default)]
pub struct Filter {
    /// In this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES).try_map(state))]
    pub state: Option<State>,
    /// From this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of the person with this e-mail address
    #[arg(long, value_name = "EMAIL", value_parser = address)]
    person: Option<Email>,
    /// Received since then: 2026-01-31, 2026-01-31T18:42:00Z, or 7d for seven days ago
    #[arg(long, value_name = "WHEN", value_parser = timestamps::start)]
    since: Option<OffsetDateTime>,
    /// Received until then; a date's whole day is in it
    #[arg(long, value_name = "WHEN", value_parser = timestamps::end)]
    until: Option<OffsetDateTime>,
    /// Held for this reason at the last judgement, such as too_many_departures; may be given several times
    #[arg(long, value_parser = reason)]
    pub reason: Vec<Veto>,
}

const STATES: [&str; 5] = ["pending", "held", "needs_attention", "done", "dismissed"];

impl Filter {
    /// Returns whether a condition other than a reason is given.
    pub fn is_given(&self) -> bool {
        let is_period = self.since.is_some() || self.until.is_some();
        self.state.is_some() || self.source.is_some() || self.person.is_some() || is_period
    }

    /// Returns the same filter; for this state, if none is given.
    pub fn or_state(self, usual: State) -> Self {
        Self { state: self.state.or(Some(usual)), ..self }
    }

    /// Returns the departures that meet it, the newest first: in every state if `all`, else the open ones.
    pub async fn find(&self, connected: &Connected, all: bool) -> anyhow::Result<Vec<Record>> {
        let wanted = |record: &Record| self.takes(record) && has_one(record, &self.reason);
        match self.state {
            Some(state) if !state.is_settled() => connected.in_states([state], wanted).await,
            None if !all => {
                let is_open = |record: &Record| !record.state.is_settled() && wanted(record);
                connected.in_states(State::OPEN, is_open).await
            }
            _ => {
                let until = self.until.unwrap_or_else(OffsetDateTime::now_utc);
                connected.received(self.since.unwrap_or(BEGINNING), until, wanted).await
            }
        }
    }

    fn takes(&self, record: &Record) -> bool {
        let person = self.person.as_ref().map(|email| TraitKey::email(&email.canonical()));
        let is_of = |key: TraitKey| record.person.traits.contains(&key) || record.looked_up.contains(&key);
        self.state.is_none_or(|state| state == record.state)
            && self.since.is_none_or(|since| since <= record.received_at)
            && self.until.is_none_or(|until| record.received_at < until)
            && self.source.as_ref().is_none_or(|source| *source == record.source)
            && person.is_none_or(is_of)
    }
}

fn has_one(record: &Record, reasons: &[Veto]) -> bool {
    reasons.is_empty() || record.reasons().iter().any(|reason| reasons.contains(reason))
}

fn state(name: String) -> Result<State, String> {
    serde_json::from_value(Value::String(name)).map_err(|error| error.to_string())
}

/// Reads a veto's name.
pub fn reason(name: &str) -> Result<Veto, String> {
    Veto::named(name).ok_or_else(|| {
        let known = super::names(&Veto::ALL);
        format!("no reason of this name; there are {known}")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use offboard::{
        departure::{Departure, Event},
        judgement::RaisedVeto,
        person::Person,
    };
    use time::macros::datetime;

    use super::*;

    fn record() -> Record {
        let event = Event { id: "1".into(), kind: "left".into(), occurred_at: None, organization: None };
        let person = Person { email: Email::parse("lee@example.com"), ..Person::default() };
        let departure = Departure { id: "hr/1".into(), source: "hr".into(), event, person };
        Record::new(&departure, datetime!(2026-01-31 12:00 UTC), 0)
    }

    #[test]
    fn person_is_found_by_every_address_that_was_looked_up_in_any_spelling() {
        let mut record = record();
        record.looked_up.insert(TraitKey::email("former@example.com"));
        for (email, expected) in [("LEE@example.com", true), ("former@EXAMPLE.com", true), ("l.ee@example.com", false)]
        {
            let filter = Filter { person: Email::parse(email), ..Filter::default() };
            assert_eq!(filter.takes(&record), expected, "{email}");
        }
    }

    #[test]
    fn period_includes_its_start_and_excludes_its_end() {
        let takes = |since, until| Filter { since, until, ..Filter::default() }.takes(&record());
        let at = datetime!(2026-01-31 12:00 UTC);
        assert_eq!((takes(Some(at), None), takes(None, Some(at))), (true, false));
    }

    #[test]
    fn reason_is_one_that_stood_at_the_last_judgement_and_was_not_released_since() {
        let mut record = record();
        record.vetoes = Some(vec![RaisedVeto { veto: Veto::EventTooOld, facts: Vec::new() }]);
        let reasons = [Veto::EventTooOld, Veto::PersonReturned];
        assert!(has_one(&record, &reasons) && has_one(&record, &[]) && !has_one(&record, &reasons[1..]));
        record.release.vetoes.insert(Veto::EventTooOld, BTreeSet::new());
        assert!(!has_one(&record, &reasons));
    }

    #[test]
    fn every_reason_is_read_and_an_unknown_one_names_all() {
        for veto in Veto::ALL {
            assert_eq!(reason(veto.as_str()), Ok(veto));
        }
        assert!(
            reason("tired")
                .is_err_and(|error| error.ends_with("event_id_reused, removed_right_after_creation, settling"))
        );
    }
}
