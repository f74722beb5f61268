//! Decisions about the protected list.

use super::{case::operator, times};
use crate::{
    ledger::{Protection, ProtectionAction},
    person::mask_addresses,
};

/// Describes a decision: its address, time, operator and reason. Addresses are masked.
pub fn describe(decision: &Protection) -> String {
    let Protection { action, address, at, who, reason } = decision;
    let (at, who) = (times::table(*at), operator(who));
    let reason = reason.as_deref().map(|reason| format!(" ({})", mask_addresses(reason))).unwrap_or_default();
    match action {
        ProtectionAction::Protect { until } => {
            let until = until.map(|until| format!(" until {} UTC", times::table(until))).unwrap_or_default();
            format!("{address} protected{until}, since {at} UTC by {who}{reason}")
        }
        ProtectionAction::Unprotect => format!("{address} no longer protected, since {at} UTC by {who}{reason}"),
    }
}
