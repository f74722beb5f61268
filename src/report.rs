//! The aggregated answer: what is now true of every departure in a delivery, at every provider.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tracing::{error, info, warn};

use crate::{
    config::Mode,
    departure::{Event, Ignored},
    ledger::{Record, millis},
    outcome::{Outcome, ProviderResult, Status},
    person::{mask_addresses, mask_departure_id},
    verdict::Veto,
};

mod summary;

/// The report on one delivery.
#[derive(Debug)]
pub struct Report {
    /// The worst of the departures' states.
    pub status: Status,
    /// The invocation's id.
    pub request_id: String,
    /// One result per departure.
    pub departures: Vec<DepartureReport>,
    /// The events that are no departures.
    pub ignored: Vec<Ignored>,
}

/// The report on one departure.
#[derive(Debug, Serialize)]
pub struct DepartureReport {
    /// `source/event id`.
    pub id: String,
    /// The source's name.
    pub source: String,
    /// The event.
    pub event: Event,
    /// The person, masked.
    pub person: MaskedPerson,
    /// The worst of the outcomes, or that it is held.
    pub status: Status,
    /// Every veto that stands.
    pub reasons: Vec<Veto>,
    /// Whether this delivery repeats an earlier one.
    pub duplicate: bool,
    /// One result per configured provider, sorted by name.
    pub providers: Vec<ProviderResult>,
    /// Whether accounts are removed; for the log.
    #[serde(skip)]
    pub(crate) mode: Mode,
    /// When the first delivery arrived; for the log.
    #[serde(skip)]
    pub(crate) received_at: OffsetDateTime,
}

/// A person, in the report.
#[derive(Debug, Serialize)]
pub struct MaskedPerson {
    #[serde(skip_serializing_if = "Option::is_none")]
    idp_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_emails: Vec<String>,
    /// Addresses that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_emails: Option<usize>,
}

impl MaskedPerson {
    /// The person of a recorded departure.
    pub(crate) fn of(record: &Record) -> Self {
        // An id may be an address: some senders key people by it.
        let masked = |text: &Option<String>| text.as_deref().map(mask_addresses);
        let person = record.person.person();
        let said = record.person.emails().iter().map(|email| mask_addresses(email));
        let mut emails = said.chain(record.person.known_emails.iter().cloned());
        Self {
            idp_id: masked(&person.idp_id),
            external_id: masked(&person.external_id),
            email: emails.next(),
            other_emails: emails.collect(),
            more_emails: None,
        }
    }

    /// The person with at most so many further addresses, and the number of the rest.
    pub(crate) fn with_at_most(mut self, max: usize) -> Self {
        self.more_emails = self.other_emails.len().checked_sub(max).filter(|more| *more > 0);
        self.other_emails.truncate(max);
        self
    }

    /// Returns the person in one line: the e-mail address and the ids.
    pub(crate) fn line(&self) -> String {
        let named = |name: &str, id: &Option<String>| id.as_ref().map(|id| format!("{name} {id}"));
        let ids = [named("external id", &self.external_id), named("id", &self.idp_id)];
        let line: Vec<_> = self.email.iter().cloned().chain(ids.into_iter().flatten()).collect();
        if line.is_empty() { "a person without an id".to_owned() } else { line.join(", ") }
    }
}

impl Report {
    /// Puts the parts together.
    pub fn new(request_id: String, departures: Vec<DepartureReport>, ignored: Vec<Ignored>) -> Self {
        let worst = departures.iter().map(|departure| departure.status).max();
        let ignored = ignored.into_iter().map(|event| Ignored {
            id: mask_addresses(&event.id),
            kind: mask_addresses(&event.kind),
            reason: event.reason,
        });
        Self { status: worst.unwrap_or(Status::Ignored), request_id, departures, ignored: ignored.collect() }
    }

    /// The longest time that a provider asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        let results = self.departures.iter().flat_map(|departure| &departure.providers);
        results.filter_map(|result| result.worst.retry_after).max()
    }

    /// Writes the report to the log at `now`: what [`DepartureReport::log`] does, and a line per ignored event.
    pub fn log(&self, now: OffsetDateTime) {
        let request_id = &self.request_id;
        for departure in &self.departures {
            departure.log(request_id, now);
        }
        for event in &self.ignored {
            info!(request_id, event_id = event.id, event_type = event.kind, reason = event.reason, "ignored");
        }
    }
}

impl DepartureReport {
    /// Reports on a recorded departure. Everything personal is masked.
    pub fn of(record: &Record, status: Status, duplicate: bool, mode: Mode, providers: Vec<ProviderResult>) -> Self {
        // An id may be an address: some senders key people by it.
        let masked = |text: &Option<String>| text.as_deref().map(mask_addresses);
        Self {
            id: mask_departure_id(&record.id),
            source: record.source.clone(),
            event: Event {
                id: mask_addresses(&record.event.id),
                kind: record.event.kind.clone(),
                occurred_at: record.event.occurred_at,
                organization: masked(&record.event.organization),
            },
            person: MaskedPerson::of(record),
            status,
            reasons: record.reasons(),
            duplicate,
            providers,
            mode,
            received_at: record.received_at,
        }
    }

    /// Writes it to the log at `now`: one line, the masked report, and one per provider that was called.
    pub fn log(&self, request_id: &str, now: OffsetDateTime) {
        let (departure_id, source, duplicate) = (&self.id, &self.source, self.duplicate);
        let (mode, since_receipt_ms) = (self.mode.to_string(), millis(now) - millis(self.received_at));
        let status = self.status.to_string();
        // Our own types serialize: maps have text keys, numbers are finite.
        let report = serde_json::to_string(self).unwrap_or_default();
        let unidentified = |result: &ProviderResult| result.worst.outcome == Outcome::Unidentified;
        let mut called = self.providers.iter().filter(|result| result.worst.outcome != Outcome::Manual).peekable();
        if !self.duplicate && called.peek().is_some() && called.all(unidentified) {
            error!(
                request_id,
                departure_id, source, "a departure identifies no known person: no account was looked up"
            );
        }
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    request_id,
                    departure_id,
                    source,
                    mode,
                    status,
                    duplicate,
                    since_receipt_ms,
                    report,
                    "departure"
                )
            };
        }
        match self.status {
            Status::Held => line!(error),
            Status::NeedsAttention | Status::Incomplete => line!(warn),
            _ => line!(info),
        }
        for result in self.providers.iter().filter(|result| result.attempts > 0 && !duplicate) {
            let (provider, outcome) = (&result.provider, result.worst.outcome.to_string());
            let (reason, elapsed_ms) = (result.worst.reason.as_deref(), result.elapsed_ms);
            info!(request_id, departure_id, source, provider, outcome, reason, elapsed_ms, "provider");
        }
    }
}
