//! The aggregated answer: what is now true of every departure in a delivery, at every provider.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use crate::{
    departure::{EventTime, Ignored},
    judgement::Veto,
    ledger::Record,
    outcome::{Outcome, Proof, Reference, Status},
    person::{mask_addresses, mask_departure_id},
};

mod summary;

/// References that are kept of what stands in the way: a record has to fit into an item of the table.
const MAX_REFERENCES: usize = 20;

/// The report on one delivery.
#[derive(Debug)]
pub struct Report {
    /// The worst of the departures' states.
    pub status: Status,
    /// The invocation's id.
    pub request_id: String,
    /// One entry per departure.
    pub departures: Vec<DepartureReport>,
    /// The events that are no departures.
    pub ignored: Vec<IgnoredReport>,
}

/// The report on one departure.
#[derive(Debug, Serialize)]
pub struct DepartureReport {
    /// `source/event id`.
    pub id: String,
    /// The source's name.
    pub source: String,
    /// The event.
    pub event: EventReport,
    /// The person, masked.
    pub person: PersonReport,
    /// The worst of the outcomes, or that it is held.
    pub status: Status,
    /// Every veto that stands.
    pub reasons: Vec<Veto>,
    /// Whether this delivery repeats an earlier one.
    pub duplicate: bool,
    /// One entry per configured provider, sorted by name.
    pub providers: Vec<Entry>,
}

/// An event, in the report.
#[derive(Debug, Serialize)]
pub struct EventReport {
    /// The source's id of it.
    pub id: String,
    /// The source's name of its type.
    pub r#type: String,
    /// When it happened, as the source said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<EventTime>,
    /// The organization in which it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// A person, in the report.
#[derive(Debug, Serialize)]
pub struct PersonReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    idp_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_emails: Vec<String>,
}

/// An event that is no departure, in the report.
#[derive(Debug, Serialize)]
pub struct IgnoredReport {
    id: String,
    r#type: String,
    reason: &'static str,
}

/// What is now true at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The provider's name in the configuration.
    pub provider: String,
    /// What was found and done there.
    #[serde(flatten)]
    pub finding: Finding,
    /// Each account, where there are several: the product keeps one per organisation, or the person has several addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountReport>,
    /// How often the call that needed most was attempted; 0 if nothing was called.
    pub attempts: u32,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// What is now true of one account in one organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// The organisation, the address (masked), or both.
    pub scope: String,
    /// What was found and done there.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What was found and done in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is now true.
    pub outcome: Outcome,
    /// How that is known, of an account that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The account's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The provider's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// A short token: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// How long the provider asks to be left alone.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Entry {
    /// Returns the entry of a provider that was not called.
    pub fn not_called(provider: &str, finding: Finding) -> Self {
        Self { provider: provider.to_owned(), finding, accounts: Vec::new(), attempts: 0, elapsed_ms: 0 }
    }

    /// Keeps the accounts that an earlier run removed: a later one finds nobody there any more, and what was removed, and how
    /// that is known, would be lost.
    pub(crate) fn keep_removed(&mut self, earlier: &Self) {
        for before in earlier.accounts.iter().filter(|account| account.finding.is_removal()) {
            match self.accounts.iter_mut().find(|account| account.scope == before.scope) {
                Some(now) if now.finding.outcome == Outcome::AlreadyAbsent => now.finding = before.finding.clone(),
                Some(now) if now.finding.account_id == before.finding.account_id => {}
                _ => self.accounts.push(before.clone()),
            }
        }
        // The only account of that run has no scope.
        let alone = Some(&earlier.finding).filter(|one| one.is_removal() && earlier.accounts.is_empty());
        if let Some(removed) = alone.filter(|_| !self.accounts.is_empty())
            && self.accounts.iter().all(|now| now.finding.account_id != removed.account_id)
        {
            self.accounts.push(AccountReport { scope: "removed earlier".to_owned(), finding: removed.clone() });
        }
        if let Some(removal) = self.accounts.iter().map(|account| &account.finding).max_by_key(|one| one.outcome)
            && removal.outcome > self.finding.outcome
        {
            self.finding = removal.clone();
        }
    }

    /// Drops the references and sentences of all findings.
    pub(crate) fn shorten(&mut self) {
        let accounts = self.accounts.iter_mut().map(|account| &mut account.finding);
        for finding in [&mut self.finding].into_iter().chain(accounts) {
            finding.references.clear();
            finding.detail = None;
        }
    }
}

impl Finding {
    /// An outcome and nothing else.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            proof: None,
            account_id: None,
            request_id: None,
            reason: None,
            detail: None,
            references: Vec::new(),
            retry_after: None,
        }
    }

    /// Whether an account was there and is gone, or can no longer be used.
    pub(crate) fn is_removal(&self) -> bool {
        matches!(self.outcome, Outcome::Deleted | Outcome::Deactivated)
    }

    /// Adds how it is known.
    pub fn proof(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Adds a short token.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a sentence.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Passes every text through `clean`, and keeps as many references as fit into a record.
    pub(crate) fn cleaned(mut self, clean: impl Fn(String) -> String) -> Self {
        if let Some(more) = self.references.len().checked_sub(MAX_REFERENCES).filter(|more| *more > 0) {
            self.references.truncate(MAX_REFERENCES);
            let detail = self.detail.take().map(|detail| format!("{detail}; ")).unwrap_or_default();
            self.detail = Some(format!("{detail}{more} more references are not shown"));
        }
        let texts = [&mut self.account_id, &mut self.request_id, &mut self.reason, &mut self.detail];
        let references = self.references.iter_mut().flat_map(|reference| {
            [Some(&mut reference.kind), Some(&mut reference.name), reference.href.as_mut()].into_iter().flatten()
        });
        for text in texts.into_iter().flatten().chain(references) {
            *text = clean(std::mem::take(text));
        }
        self
    }
}

impl Report {
    /// Puts the parts together.
    pub fn new(request_id: String, departures: Vec<DepartureReport>, ignored: Vec<Ignored>) -> Self {
        let worst = departures.iter().map(|departure| departure.status).max();
        let ignored = ignored.into_iter().map(|event| IgnoredReport {
            id: mask_addresses(&event.id),
            r#type: mask_addresses(&event.kind),
            reason: event.reason,
        });
        Self { status: worst.unwrap_or(Status::Ignored), request_id, departures, ignored: ignored.collect() }
    }

    /// The longest time that a provider asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        let entries = self.departures.iter().flat_map(|departure| &departure.providers);
        entries.filter_map(|entry| entry.finding.retry_after).max()
    }

    /// Writes the report to the log: a line per departure and provider, and one per ignored event.
    pub fn log(&self) {
        let request_id = &self.request_id;
        for departure in &self.departures {
            departure.log(request_id);
        }
        for event in &self.ignored {
            info!(request_id, event_id = event.id, event_type = event.r#type, reason = event.reason, "ignored");
        }
    }
}

impl DepartureReport {
    /// Reports on a recorded departure. Everything personal is masked.
    pub fn of(record: &Record, status: Status, duplicate: bool, providers: Vec<Entry>) -> Self {
        // An id may be an address: some senders key people by it.
        let masked = |text: &Option<String>| text.as_deref().map(mask_addresses);
        let person = record.person.person();
        let said = person.emails().map(ToString::to_string);
        let mut emails = said.chain(record.person.known_emails.iter().cloned());
        Self {
            id: mask_departure_id(&record.id),
            source: record.source.clone(),
            event: EventReport {
                id: mask_addresses(&record.event.id),
                r#type: record.event.r#type.clone(),
                occurred_at: record.event.occurred_at,
                organization: masked(&record.event.organization),
            },
            person: PersonReport {
                idp_id: masked(&person.idp_id),
                external_id: masked(&person.external_id),
                email: emails.next(),
                other_emails: emails.collect(),
            },
            status,
            reasons: record.reasons(),
            duplicate,
            providers,
        }
    }

    /// Writes it to the log: one line, the masked report.
    pub fn log(&self, request_id: &str) {
        let departure_id = &self.id;
        let status = self.status.to_string();
        // Our own types serialize: maps have text keys, numbers are finite.
        let report = serde_json::to_string(self).unwrap_or_default();
        let unidentified = |entry: &Entry| entry.finding.outcome == Outcome::Unidentified;
        if !self.duplicate && !self.providers.is_empty() && self.providers.iter().all(unidentified) {
            let source = &self.source;
            error!(
                request_id,
                departure_id, source, "a departure names nobody who is known: no account was looked for"
            );
        }
        match self.status {
            Status::Held => error!(request_id, departure_id, status, report, "departure"),
            Status::NeedsAttention | Status::Incomplete => warn!(request_id, departure_id, status, report, "departure"),
            _ => info!(request_id, departure_id, status, report, "departure"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_kept_as_far_as_they_fit_into_a_record() {
        let references = |count: usize| {
            let reference = Reference { kind: "schedule".into(), name: "Primary".into(), href: None };
            let finding =
                Finding { references: vec![reference; count], ..Finding::of(Outcome::Blocked).detail("on call") };
            let finding = finding.cleaned(|text| text);
            (finding.references.len(), finding.detail.unwrap_or_default())
        };
        assert_eq!(references(MAX_REFERENCES), (MAX_REFERENCES, "on call".to_owned()));
        let expected = (MAX_REFERENCES, "on call; 3980 more references are not shown".to_owned());
        assert_eq!(references(4000), expected);
    }
}
