//! Which departures are meant.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use offboard::{
    ledger::{Record, State, person_key},
    person::Email,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::moment;

/// Those that fit all that is given.
#[derive(Args, Clone)]
pub struct Filter {
    /// In this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES).try_map(state))]
    state: Option<State>,
    /// From this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of the person with this address
    #[arg(long, value_name = "EMAIL", value_parser = address)]
    person: Option<Email>,
    /// Received since then: 2026-01-31, 2026-01-31T18:42:00Z, or 7d ago
    #[arg(long, value_name = "WHEN", value_parser = moment::beginning)]
    since: Option<OffsetDateTime>,
    /// Held or stuck for this reason, such as too_many_departures
    #[arg(long)]
    reason: Option<String>,
}

const STATES: [&str; 5] = ["open", "held", "needs_attention", "done", "rejected"];

impl Filter {
    /// Whether anything is given.
    pub fn is_given(&self) -> bool {
        let texts = self.source.is_some() || self.person.is_some() || self.reason.is_some();
        self.state.is_some() || self.since.is_some() || texts
    }

    /// The same; in this state, if none is given.
    pub fn or_state(self, usual: State) -> Self {
        Self { state: self.state.or(Some(usual)), ..self }
    }

    /// Whether a departure fits.
    pub fn takes(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        let key = self.person.as_ref().map(|email| person_key(email.expose()));
        self.state.is_none_or(|state| state == record.state)
            && self.since.is_none_or(|since| since <= record.received_at)
            && is(&self.source, Some(&record.source))
            && is(&self.reason, record.reason.as_deref())
            && key.is_none_or(|key| record.person.has_key(&key))
    }
}

fn state(name: String) -> Result<State, String> {
    serde_json::from_value(Value::String(name)).map_err(|fault| fault.to_string())
}

fn address(text: &str) -> Result<Email, &'static str> {
    Email::parse(text).ok_or("not an e-mail address")
}
