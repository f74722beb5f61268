//! Where a departure stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a departure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No account remains anywhere.
    Done,
    /// A person said that nothing is to be done.
    Dismissed,
    /// A person has to act.
    NeedsAttention,
    /// Work is left.
    Pending,
    /// Held until a veto lapses or a person decides.
    Held,
}

impl State {
    /// Every state in which something is left to do.
    pub const OPEN: [Self; 3] = [Self::Pending, Self::Held, Self::NeedsAttention];

    /// Returns the name in the ledger and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Dismissed => "dismissed",
            Self::NeedsAttention => "needs_attention",
            Self::Pending => "pending",
            Self::Held => "held",
        }
    }

    /// Returns whether nothing is left to do.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Dismissed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
