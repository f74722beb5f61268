//! Checks of the ledger: its table, its three indexes, the pause and the protected list.

use offboard::{
    config::Policy,
    ledger::{LedgerError, MAX_PROTECTED, State},
};
use time::OffsetDateTime;

use super::CheckResult;
use crate::{
    pause::describe,
    stack::{Connected, Stack},
};

/// A month in which nothing was received.
const EMPTY_MONTH: &str = "0000-01";

/// A name that no source has.
const NO_SOURCE: &str = "-";

/// What is checked of both protected lists.
const PROTECTED: &str = "protected lists";

/// Checks the ledger of a stack.
pub(super) async fn check(stack: &Stack, policy: &Policy) -> Vec<CheckResult> {
    match stack.connect().await {
        Ok(connected) => ledger(&connected, policy).await,
        Err(why) => vec![CheckResult::error("ledger", format!("{why:#}"))],
    }
}

async fn ledger(connected: &Connected, policy: &Policy) -> Vec<CheckResult> {
    let ledger = &connected.ledger;
    let paused = match ledger.pause().await {
        Ok(None) => CheckResult::ok("ledger", format!("table {}", connected.table)),
        Ok(Some(pause)) => {
            let note = format!("{}: no account is removed until `offboard resume`", describe(&pause));
            CheckResult::warning("ledger", note)
        }
        // Without the table there are no indexes to look at.
        Err(error) => return vec![CheckResult::error("ledger", error)],
    };
    let protected = protected(connected, policy).await.unwrap_or_else(|error| CheckResult::error(PROTECTED, error));
    let by_state = ledger.due(State::Pending, 0, 1).await.map(drop);
    let by_month = ledger.of_month(EMPTY_MONTH, None).await.map(drop);
    let by_source = ledger.count_users(NO_SOURCE).await.map(drop);
    let indexes =
        [("by_state", by_state), ("by_month", by_month), ("by_source", by_source)].map(|(name, read)| match read {
            Ok(()) => CheckResult::ok(format!("index {name}"), "can be read"),
            Err(error) => CheckResult::error(
                format!("index {name}"),
                format!("{error}; deploy template.yaml, which has it, and allow dynamodb:Query on it"),
            ),
        });
    [paused, protected].into_iter().chain(indexes).collect()
}

/// Says how many entries protect somebody, and by which list.
async fn protected(connected: &Connected, policy: &Policy) -> Result<CheckResult, LedgerError> {
    let (in_force, ended) = connected.ledger.protected().await?.count(OffsetDateTime::now_utc());
    let mut note = format!("policy.protected: {}; `offboard protect`: {in_force}", policy.protected.len());
    if ended > 0 {
        note += &format!(", and {ended} ended: `offboard departures list --reason protected` has what they left");
    }
    Ok(match in_force < MAX_PROTECTED {
        true => CheckResult::ok(PROTECTED, note),
        false => CheckResult::warning(PROTECTED, format!("{note}: the list is full")),
    })
}
