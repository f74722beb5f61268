//! The report on a recorded departure.

use super::Flow;
use crate::{
    judgement::{Veto, VetoFact},
    ledger::{Record, State},
    outcome::{AccountResult, Outcome, ProviderResult, Status},
    report::DepartureReport,
};

impl Flow {
    /// Returns the report on what is recorded: exactly one result for every configured provider.
    pub fn report(&self, record: &Record, duplicate: bool) -> DepartureReport {
        let results = self.engine.names().map(|name| self.result(record, name)).collect();
        DepartureReport::of(record, self.status(record), duplicate, self.policy.mode, results)
    }

    fn result(&self, record: &Record, name: &str) -> ProviderResult {
        if let Some(result) = record.providers.get(name) {
            return result.found.clone();
        }
        let account = match record.vetoes.iter().flatten().next() {
            _ if !self.sources.contains_key(&record.source) => {
                AccountResult::of(Outcome::NotAttempted).reason("source_not_configured")
            }
            _ if !self.covers(record, name) => AccountResult::of(Outcome::NotAttempted).reason("excluded_by_source"),
            _ if record.has_veto(Veto::Protected) => AccountResult::protected_by(protecting(record)),
            Some(standing) => AccountResult::of(Outcome::NotAttempted).reason(standing.veto.as_str()),
            None => AccountResult::of(Outcome::NotAttempted).reason(record.state.as_str()),
        };
        ProviderResult::new(name, account)
    }

    /// Returns the status of a record in the report.
    fn status(&self, record: &Record) -> Status {
        let is_planned = record.vetoes.iter().flatten().all(|standing| standing.veto == Veto::DryRun);
        match record.state {
            State::Done => Status::Done,
            State::Dismissed => Status::Ignored,
            State::NeedsAttention => Status::NeedsAttention,
            // Without durable storage nothing but the sender's repetition goes on.
            State::Pending if self.queue.is_none() => Status::Incomplete,
            State::Pending => Status::Pending,
            State::Held if record.has_veto(Veto::DryRun) && is_planned => Status::Planned,
            State::Held => Status::Held,
        }
    }
}

/// The list on which an address of the person is.
fn protecting(record: &Record) -> &str {
    let standing = record.vetoes.iter().flatten().filter(|standing| standing.veto == Veto::Protected);
    standing.flat_map(|standing| &standing.facts).next().map_or(VetoFact::CONFIGURED, |fact| &fact.id)
}
