//! Vetoes, what raises and what releases them, and the verdict that follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    engine::{OwnedIdentity, Target},
    ledger::ProtectedAddresses,
    person::Email,
};

/// How far ahead of our clock an event may be without being taken for a scheduled one, in milliseconds.
pub(crate) const MAX_AHEAD: i64 = 5 * 60 * 1000;

/// A reason against removing a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Veto {
    /// An operator said `offboard pause`.
    Paused,
    /// `mode = "dry_run"`.
    DryRun,
    /// An address of the person is on a protected list: the configured one, or that of `offboard protect`.
    Protected,
    /// It was older than `max_event_age` when it was received.
    EventTooOld,
    /// It is more than 5 minutes ahead.
    EventInFuture,
    /// More departures were received in a window than `max_departures`.
    TooManyDepartures,
    /// A source's last word about the person is "active", later than the departure.
    PersonReturned,
    /// Another id has a trait of the person, is active, and is not leaving.
    ActiveElsewhere,
    /// The event id is known with another person or another time.
    EventIdReused,
    /// A SCIM client removed the person within an hour of creating them, or deleted a user whom it had created again.
    RemovedRightAfterCreation,
    /// The source's `settle` has not passed.
    Settling,
}

impl Veto {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Paused,
        Self::DryRun,
        Self::Protected,
        Self::EventTooOld,
        Self::EventInFuture,
        Self::TooManyDepartures,
        Self::PersonReturned,
        Self::ActiveElsewhere,
        Self::EventIdReused,
        Self::RemovedRightAfterCreation,
        Self::Settling,
    ];

    /// Returns the name in reports and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::DryRun => "dry_run",
            Self::Protected => "protected",
            Self::EventTooOld => "event_too_old",
            Self::EventInFuture => "event_in_future",
            Self::TooManyDepartures => "too_many_departures",
            Self::PersonReturned => "person_returned",
            Self::ActiveElsewhere => "active_elsewhere",
            Self::EventIdReused => "event_id_reused",
            Self::RemovedRightAfterCreation => "removed_right_after_creation",
            Self::Settling => "settling",
        }
    }

    /// Returns the veto of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|veto| veto.as_str() == name)
    }

    /// Returns whether a release can override it at all.
    pub fn is_releasable(self) -> bool {
        !matches!(self, Self::Paused | Self::DryRun | Self::Protected)
    }

    /// Returns whether time alone ends it, so that a release overrides it only by name.
    pub fn is_a_matter_of_time(self) -> bool {
        matches!(self, Self::EventInFuture | Self::Settling)
    }

    /// Returns whether it can lapse without a person.
    pub(crate) fn can_lapse(self) -> bool {
        matches!(self, Self::Paused | Self::PersonReturned | Self::ActiveElsewhere)
    }
}

impl fmt::Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A veto that stands, and the facts that raise it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedVeto {
    /// Which.
    pub veto: Veto,
    /// What raises it, where it is something that a source said, or a protected list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<VetoFact>,
}

/// Something that a source said, as a reason against a removal; or the protected list that is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VetoFact {
    /// Which id's, hashed: `SOURCE/KIND-HASH`; or a list's name.
    pub id: String,
    /// When it was said, in milliseconds since 1970; 0 where no time is known.
    pub at: i64,
}

/// What a person released: the vetoes that they saw, with the facts that were shown, and the accounts under former addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The facts shown, by veto.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vetoes: BTreeMap<Veto, BTreeSet<VetoFact>>,
    /// Account ids under former addresses, by provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former: BTreeMap<String, BTreeSet<String>>,
}

impl VetoFact {
    /// The list `policy.protected`, as what raises [`Veto::Protected`].
    pub const CONFIGURED: &str = "policy.protected";
    /// The list of `offboard protect`, as what raises [`Veto::Protected`].
    pub const AT_RUN_TIME: &str = "offboard protect";
}

impl RaisedVeto {
    /// Returns whether a release can override it: also what a dry run planned that is over.
    pub fn is_releasable(&self) -> bool {
        self.veto.is_releasable() || (self.veto == Veto::DryRun && !self.facts.is_empty())
    }
}

impl Release {
    /// Returns whether nothing was released.
    pub fn is_empty(&self) -> bool {
        self.vetoes.is_empty() && self.former.is_empty()
    }

    /// Returns whether it overrides a veto: a newer fact, or another id's, was not shown.
    pub(crate) fn overrides(&self, standing: &RaisedVeto) -> bool {
        let Some(shown) = self.vetoes.get(&standing.veto).filter(|_| standing.veto.is_releasable()) else {
            return false;
        };
        let was_shown = |fact: &VetoFact| shown.iter().any(|other| other.id == fact.id && other.at >= fact.at);
        standing.facts.iter().all(was_shown)
    }
}

/// The result of a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Every veto that stands and is not overridden, in the order of [`Veto::ALL`].
    pub standing: Vec<RaisedVeto>,
    /// What follows.
    pub next: Next,
    /// By what the person is looked up.
    pub targets: Vec<Target>,
    /// Whether the safeguard lets it through from now on.
    pub lets_through: bool,
    /// The entries of the protected list that operators change, in force at this time: no account of theirs is removed.
    pub protected: ProtectedAddresses,
    /// Since when nothing stands but `active_elsewhere`, in seconds since 1970.
    pub overlap_since: Option<i64>,
}

/// What follows from a judgement. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Accounts are removed.
    Remove,
    /// Accounts are looked up, for the plan of a dry run.
    LookUp,
    /// Held; judged again then.
    Hold {
        /// When.
        due_at: i64,
    },
    /// Pending; judged again then.
    Wait {
        /// When.
        due_at: i64,
    },
    /// Left to a person: protected, or of a source that is not configured any more.
    Attend,
}

impl Verdict {
    /// Returns the addresses that the identity map adds to those of the event, masked.
    pub(crate) fn known_emails(&self, said: &[String]) -> Vec<String> {
        let said: Vec<_> = said.iter().filter_map(|text| Email::parse(text)).map(|email| email.canonical()).collect();
        let emails = self.targets.iter().filter_map(|target| match &target.identity {
            OwnedIdentity::Email(email) => Some(email),
            OwnedIdentity::ExternalId(_) => None,
        });
        emails.filter(|email| !said.contains(&email.canonical())).map(Email::masked).collect()
    }
}
