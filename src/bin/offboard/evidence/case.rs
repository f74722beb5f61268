//! A departure as an auditor reads it.

use offboard::{
    ledger::{Record, Settled, State},
    outcome::{Outcome, Proof, Status},
    person::mask_addresses,
};
use time::OffsetDateTime;

use super::figures::time_to_removal;
use crate::moment;

/// One departure. All texts are ready to be shown: addresses are masked.
pub struct Case {
    pub id: String,
    pub person: String,
    pub external_id: String,
    pub source: String,
    pub event_id: String,
    pub event_type: String,
    pub occurred: Option<OffsetDateTime>,
    pub received: OffsetDateTime,
    pub state: String,
    pub reason: String,
    pub is_open: bool,
    pub is_held: bool,
    /// From receipt to the last removal.
    pub took: Option<String>,
    pub places: Vec<Place>,
    /// What people did about it.
    pub actions: Vec<String>,
}

/// One provider's part in it.
pub struct Place {
    pub provider: String,
    pub outcome: String,
    /// Whether nobody is left there.
    pub is_done: bool,
    /// When it was known that nobody is left there.
    pub gone_by: Option<OffsetDateTime>,
    pub after: String,
    pub seconds: Option<i64>,
    pub proof: &'static str,
    pub account: String,
    pub request_ids: String,
    pub reason: String,
    pub detail: String,
    pub attempts: u32,
    pub runs: u32,
}

impl Case {
    /// What is recorded of a departure.
    pub fn of(record: &Record) -> Self {
        let person = record.departure().person;
        let masked = |text: Option<&str>| text.map(mask_addresses).unwrap_or_default();
        let actions = record.history.iter();
        Self {
            id: mask_addresses(&record.id),
            person: record.person.masked().unwrap_or_default(),
            external_id: masked(person.external_id.as_deref().or(person.idp_id.as_deref())),
            source: record.source.clone(),
            event_id: mask_addresses(&record.event_id),
            event_type: record.event_type.clone(),
            occurred: record.occurred_at.map(|at| at.resolve(record.received_at)),
            received: record.received_at,
            state: record.state.to_string(),
            reason: record.reason.clone().unwrap_or_default(),
            is_open: !matches!(record.state, State::Done | State::Rejected),
            is_held: record.state == State::Held,
            took: time_to_removal(record).filter(|_| record.state == State::Done).map(moment::span),
            places: record.providers.values().map(|settled| Place::of(settled, record.received_at)).collect(),
            actions: actions
                .map(|action| format!("{} UTC: {} by {}", moment::person(action.at), action.what, action.who))
                .collect(),
        }
    }

    /// For the page.
    pub fn received(&self) -> String {
        moment::person(self.received)
    }

    /// Why it is held, or the providers at which it is not done.
    pub fn left(&self) -> String {
        if self.is_held {
            return self.reason.clone();
        }
        let left = self.places.iter().filter(|place| !place.is_done);
        let left = left.map(|place| match place.reason.as_str() {
            "" => format!("{}: {}", place.provider, place.outcome),
            reason => format!("{}: {} ({reason})", place.provider, place.outcome),
        });
        left.collect::<Vec<_>>().join("; ")
    }
}

impl Place {
    fn of(settled: &Settled, received: OffsetDateTime) -> Self {
        let entry = &settled.entry;
        let finding = &entry.finding;
        let is_done = finding.outcome.status() == Status::Done;
        let findings = || entry.accounts.iter().map(|account| &account.finding).chain([finding]);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            provider: entry.provider.clone(),
            outcome: finding.outcome.to_string(),
            is_done,
            gone_by: is_done.then_some(settled.at),
            after: if is_done { moment::span(settled.at - received) } else { String::new() },
            seconds: is_done.then(|| (settled.at - received).whole_seconds()),
            proof: proof(finding.outcome, finding.proof),
            account: together(findings().map(|finding| &finding.account_id)),
            request_ids: together(findings().map(|finding| &finding.request_id)),
            reason: text(&finding.reason),
            detail: text(&finding.detail),
            attempts: entry.attempts,
            runs: settled.runs,
        }
    }

    pub fn gone_by(&self) -> String {
        self.gone_by.map(moment::person).unwrap_or_default()
    }
}

fn proof(outcome: Outcome, proof: Option<Proof>) -> &'static str {
    match proof {
        Some(Proof::SecondLook) => "second look",
        Some(Proof::SecondRemoval) => "second removal",
        Some(Proof::NotConfirmed) => "the provider's word alone",
        Some(Proof::FoundAbsent) => "found absent",
        Some(Proof::FoundAbsentAfterRemoval) => "found absent after removal",
        Some(Proof::Status) => "the account's status",
        Some(Proof::ByHand) => "by hand",
        None if outcome.status() == Status::Done => "not recorded",
        None => "",
    }
}

/// Each once: a product may keep several accounts of a person.
fn together<'a>(texts: impl Iterator<Item = &'a Option<String>>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for text in texts.filter_map(|text| text.as_deref()) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(" ")
}
