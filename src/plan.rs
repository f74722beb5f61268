//! What shall be done about a departure. Planning touches nothing; it decides everything that executing does not see.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    config::{Mode, Policy},
    departure::Departure,
    engine::{Action, AddressStatus, Assignment, Engine, OwnedIdentity, Target},
    outcome::Outcome,
    report::{Entry, Finding},
    secrets::Secrets,
};

/// How far ahead of the clock an event may be: a sender may leave out its time zone.
const FURTHEST_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// What shall be done about one departure, at every provider alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who left.
    pub departure: Departure,
    /// What to do.
    pub intent: Intent,
}

/// What to do at each provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Find, remove, prove.
    Remove,
    /// Find, and say what would be removed.
    LookOnly,
    /// Nothing is called: this is the outcome everywhere, and why.
    Leave(Outcome, Reason),
}

/// Why nothing is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `mode = "off"`.
    ModeOff,
    /// The event is older than `max_event_age`.
    EventTooOld,
    /// The event says that it will happen: an effective date, or a wrong clock.
    EventInFuture,
    /// The person is on the protected list.
    Protected,
    /// `mode = "dry_run"`, and the departure was recorded for removal.
    ModeDryRun,
    /// More departures than `max_departures` allows.
    TooManyDepartures,
    /// The same source said later that the person is there.
    PersonReturned,
    /// Another id of the same source has the person's address, and has not left.
    AddressOfAnother,
}

impl Reason {
    /// Whether the departure is held until a person decides.
    pub fn holds(self) -> bool {
        matches!(self, Self::EventTooOld | Self::EventInFuture | Self::AddressOfAnother)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ModeOff => "mode_off",
            Self::EventTooOld => "event_too_old",
            Self::EventInFuture => "event_in_future",
            Self::Protected => "protected",
            Self::ModeDryRun => "mode_dry_run",
            Self::TooManyDepartures => "too_many_departures",
            Self::PersonReturned => "person_returned",
            Self::AddressOfAnother => "address_of_another",
        })
    }
}

impl Plan {
    /// Decides about a departure. `now` is when its delivery arrived.
    pub fn new(policy: &Policy, departure: Departure, now: OffsetDateTime) -> Self {
        let leave = |outcome, reason| Intent::Leave(outcome, reason);
        // One protected address protects the person, also one that they no longer use.
        let protected = departure.person.emails().any(|email| policy.protects(email.expose()));
        let age = departure.event.occurred_at.map(|at| now - at);
        let intent = match policy.mode {
            Mode::Off => leave(Outcome::NotAttempted, Reason::ModeOff),
            _ if age.is_some_and(|age| age > policy.max_event_age) => leave(Outcome::NotAttempted, Reason::EventTooOld),
            _ if age.is_some_and(|age| -age > FURTHEST_AHEAD) => leave(Outcome::NotAttempted, Reason::EventInFuture),
            _ if protected => leave(Outcome::Protected, Reason::Protected),
            Mode::DryRun => Intent::LookOnly,
            Mode::Live => Intent::Remove,
        };
        Self { departure, intent }
    }
}

impl Plan {
    /// What the engine is to do, if anything is to be called.
    pub fn assignment(&self) -> Option<Assignment> {
        let person = &self.departure.person;
        let emails = person.emails().cloned().map(OwnedIdentity::Email);
        let ids = person.external_id.iter().cloned().map(OwnedIdentity::ExternalId);
        let target = |identity| Target { identity, status: AddressStatus::Current };
        let action = match self.intent {
            Intent::Remove => Action::Remove,
            Intent::LookOnly => Action::LookUp,
            Intent::Leave(..) => return None,
        };
        Some(Assignment {
            targets: emails.chain(ids).map(target).collect(),
            source: self.departure.source.clone(),
            action,
            released: BTreeMap::new(),
            begun: BTreeSet::new(),
        })
    }

    /// Carries the plan out, or says everywhere why nothing is called.
    pub async fn execute(&self, engine: &Engine, secrets: &Arc<Secrets>, deadline: Instant) -> Vec<Entry> {
        match (self.assignment(), self.intent) {
            (Some(assignment), _) => engine.execute(secrets, assignment, deadline).await,
            (None, Intent::Leave(outcome, reason)) => {
                let finding = Finding::of(outcome).reason(reason.to_string());
                let entry = |name: &str| Entry::not_called(name, finding.clone());
                engine.names().map(entry).collect()
            }
            (None, _) => Vec::new(),
        }
    }
}
