//! The tick: every minute it sends messages for what is due, publishes gauges, and then notifications.

use std::time::Duration;

use tokio::try_join;

use super::{Flow, Worker};
use crate::{
    config::Mode,
    ledger::{LedgerError, NEVER, State, store::Due},
    metrics,
    queue::{Message, QueueError},
};

/// Messages in the queue beyond which a tick adds none.
const MAX_QUEUED: usize = 500;
/// Records that are counted for a gauge; more than that is shown as that.
pub(super) const MAX_COUNTED: usize = 5000;

/// An error of a tick. The next one, a minute later, does the same work.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// What is due is not known.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Messages could not be counted, or not all could be sent.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Flow {
    /// Sends messages for what is due, oldest first, publishes gauges, and then notifications. Two at once are harmless.
    ///
    /// # Errors
    /// If the ledger or the queue cannot be used.
    pub async fn tick(&self, worker: Worker<'_>) -> Result<(), TickError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let now = worker.now().unix_timestamp();
        let paused = self.ledger.pause().await?.is_some();
        let due_in = |state| self.ledger.due(state, NEVER, MAX_COUNTED);
        let (pending, held, attention) =
            try_join!(due_in(State::Pending), due_in(State::Held), due_in(State::NeedsAttention))?;
        let depth = queue.depth().await?;
        let dead = queue.dead_letters().await?;
        let due = due(&pending, &held, paused, now);
        let room = MAX_QUEUED.saturating_sub(depth);
        let message = |id: &str| Message { departure: id.to_owned(), delay: Duration::ZERO };
        let messages: Vec<_> = due.iter().take(room).map(|one| message(&one.id)).collect();
        let oldest = due.first().map_or(0, |one| now - one.due_at);
        metrics::gauges(&[
            ("Tick", 1),
            ("OldestOverdueSeconds", oldest),
            ("Pending", count(pending.len())),
            ("Held", count(held_unasked(&held, self.policy.mode))),
            ("NeedsAttention", count(attention.len())),
            ("DeadLetters", count(dead.unwrap_or_default())),
        ]);
        let sent = queue.send(&messages).await;
        self.publish(worker).await;
        Ok(sent?)
    }
}

/// Returns what is due at `now` (seconds since 1970), the longest overdue first: nothing that is held while removals are
/// paused.
pub fn due<'a>(pending: &'a [Due], held: &'a [Due], is_paused: bool, now: i64) -> Vec<&'a Due> {
    let judged_again = held.iter().filter(|_| !is_paused);
    let mut due: Vec<_> = pending.iter().chain(judged_again).filter(|departure| departure.due_at <= now).collect();
    due.sort_by_key(|departure| departure.due_at);
    due
}

/// Returns how many departures are held that the configured mode does not hold on purpose: once it is live, those of the dry
/// run before wait for a person.
fn held_unasked(held: &[Due], mode: Mode) -> usize {
    held.iter().filter(|departure| !departure.dry_run || mode == Mode::Live).count()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departure_of_a_dry_run_counts_as_held_once_the_mode_is_live() {
        let due = |dry_run| Due { id: "idp/1".to_owned(), due_at: NEVER, dry_run };
        let held = [due(true), due(true), due(false)];
        assert_eq!(held_unasked(&held, Mode::DryRun), 1);
        assert_eq!(held_unasked(&held, Mode::Live), 3);
    }
}
