//! What is now true at one provider, and why a call could not make it so.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

mod result;

pub use result::{AccountResult, ProviderResult};

/// What is now true of a departed person at one provider. The order is that of a merge: the later one needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No account with this identity was there.
    AlreadyAbsent,
    /// The account exists but can no longer be used, which is what the configuration asked for.
    Deactivated,
    /// The provider took the deletion and a second look found no account.
    Deleted,
    /// Dry run: this account was found and would be deleted.
    Planned,
    /// The product has no API: a person has to remove the account by hand.
    Manual,
    /// The person is on the protected list; nothing was called.
    Protected,
    /// The event carries nothing by which this provider knows people.
    Unidentified,
    /// The provider refuses for a business reason.
    Blocked,
    /// Several accounts match; none was touched.
    Ambiguous,
    /// Another permanent refusal, or an answer that was not understood.
    Rejected,
    /// The credentials were refused, also after reading them afresh.
    Unauthorized,
    /// The provider took the deletion but still shows the account.
    Unconfirmed,
    /// Too many calls; try later.
    RateLimited,
    /// The provider could not be reached or is out of order.
    Unavailable,
    /// The time ran out first, or nothing was to be called.
    NotAttempted,
}

impl Outcome {
    /// What the outcome makes of its departure.
    pub fn status(self) -> Status {
        match self {
            Self::Deleted | Self::Deactivated | Self::AlreadyAbsent => Status::Done,
            Self::Planned => Status::Planned,
            Self::Manual
            | Self::Protected
            | Self::Blocked
            | Self::Ambiguous
            | Self::Unidentified
            | Self::Unauthorized
            | Self::Rejected => Status::NeedsAttention,
            Self::Unconfirmed | Self::RateLimited | Self::Unavailable | Self::NotAttempted => Status::Incomplete,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How it is known that an account is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It was removed, and a look-up found no account afterwards.
    SecondLook,
    /// It was removed, and the provider, which has no look-up, had no account to remove the second time.
    SecondRemoval,
    /// The provider took the removal; the configuration asks for no proof.
    NotConfirmed,
    /// No account was there.
    FoundAbsent,
    /// We began to remove it, the answer was lost, and then no account was there.
    FoundAbsentAfterRemoval,
    /// The account is shown as one that can no longer be used, or is no longer shown among those that can.
    Status,
    /// A person said that they removed it.
    ByHand,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The state of a departure, and of a delivery as a whole. The worst of several is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No account remains.
    Done,
    /// The delivery reported no departure.
    Ignored,
    /// Dry run.
    Planned,
    /// A person has to act.
    NeedsAttention,
    /// The rest is queued.
    Pending,
    /// Held back until a person releases it.
    Held,
    /// Work is left and nothing durable holds it: the sender must deliver again.
    Incomplete,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Why a provider did not do what was asked: one kind per thing that somebody would do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A business rule of the provider's: a person acts there.
    Blocked,
    /// The credentials are refused: a person renews them.
    Unauthorized,
    /// Refused for good, or not understood: a person looks.
    Rejected,
    /// Too many calls: later.
    RateLimited,
    /// Out of order or out of reach: later.
    Unavailable,
    /// No time was left to call: later.
    NotAttempted,
}

impl FailureKind {
    /// Whether the same call may succeed a little later. This is the whole retry decision.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable)
    }

    /// What an HTTP status alone says, for the answers about which a provider has nothing better to say.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Unauthorized,
            429 => Self::RateLimited,
            408 | 425 | 500..=599 => Self::Unavailable,
            _ => Self::Rejected,
        }
    }

    /// The outcome of a provider that failed in this way.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Blocked => Outcome::Blocked,
            Self::Unauthorized => Outcome::Unauthorized,
            Self::Rejected => Outcome::Rejected,
            Self::RateLimited => Outcome::RateLimited,
            Self::Unavailable => Outcome::Unavailable,
            Self::NotAttempted => Outcome::NotAttempted,
        }
    }
}

/// A call that did not do what was asked.
///
/// Texts may come from the vendor; the engine masks addresses and secrets in them before anybody sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What somebody would do about it.
    pub kind: FailureKind,
    /// A short token: the vendor's own error code where there is one.
    pub reason: String,
    /// A sentence for a person.
    pub detail: Option<String>,
    /// What stands in the way.
    pub references: Vec<Reference>,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
}

impl Failure {
    /// A failure with nothing but its kind and its reason.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), detail: None, references: Vec::new(), retry_after: None, request_id: None }
    }

    /// An answer that is not what the vendor promises.
    pub fn not_understood(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, "not_understood").detail(detail)
    }

    /// Adds a sentence for a person.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence for a person, where the vendor has one.
    pub fn detail_if(self, detail: Option<String>) -> Self {
        Self { detail: detail.or(self.detail), ..self }
    }

    /// Adds the provider's id of the request, unless one is known already.
    pub fn request_id(mut self, id: Option<String>) -> Self {
        self.request_id = self.request_id.or(id);
        self
    }
}

/// Something at a provider that still points to the account: a schedule, an escalation rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What it is, in the vendor's word.
    pub kind: String,
    /// Its name there.
    pub name: String,
    /// Where to look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
}
