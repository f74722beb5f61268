//! Checks of the ledger: its table, its three indexes, and the pause.

use offboard::ledger::State;

use super::CheckResult;
use crate::{
    pause::describe,
    stack::{Connected, Stack},
};

/// A month in which nothing was received.
const EMPTY_MONTH: &str = "0000-01";

/// A name that no source has.
const NO_SOURCE: &str = "-";

/// Checks the ledger of a stack.
pub(super) async fn check(stack: &Stack) -> Vec<CheckResult> {
    match stack.connect().await {
        Ok(connected) => ledger(&connected).await,
        Err(why) => vec![CheckResult::error("ledger", format!("{why:#}"))],
    }
}

async fn ledger(connected: &Connected) -> Vec<CheckResult> {
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
    [paused].into_iter().chain(indexes).collect()
}
