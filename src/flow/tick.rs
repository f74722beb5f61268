//! The tick: every minute it sends messages for what is due, publishes gauges, then notifications, and exports evidence.

use std::time::Duration;

use tokio::try_join;

use super::{Flow, Worker};
use crate::{
    config::Mode,
    ledger::{LedgerError, NEVER, State, store::Due},
    metrics,
    queue::{Message, QueueError},
};

/// Messages in the queue up to which a tick adds some for what is overdue. What five workers do in a minute with time to spare, and
/// below most limits of providers: more would have more providers refuse calls.
pub const MAX_QUEUED: usize = 240;
/// Records that are counted for a gauge; more than that is shown as that.
pub const MAX_COUNTED: usize = 20_000;
/// How long before a departure is due its message is sent, in seconds: less than the time to the next tick.
pub const AHEAD: i64 = 59;
/// How long after it is due a departure is on time, in seconds.
const ON_TIME: i64 = 60;
/// What is overdue is spread over the minute as if it were this many, if it is fewer.
const SPREAD: usize = 100;

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
    /// Sends messages for what is due, oldest first, publishes gauges, then notifications, and exports evidence. Two at once are
    /// harmless.
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
        let due = due(&pending, &held, paused, now + AHEAD);
        let messages = messages(&due, MAX_QUEUED, depth, now);
        let oldest = due.first().map_or(0, |one| (now - one.due_at).max(0));
        metrics::gauges(&[
            ("Tick", 1),
            ("OldestOverdueSeconds", oldest),
            ("Pending", count(pending.len())),
            ("Held", count(held_unasked(&held, self.policy.mode))),
            ("NeedsAttention", count(attention.len())),
            ("DeadLetters", count(dead.unwrap_or_default())),
        ]);
        let sent = queue.send(&messages).await;
        // The alarm for evidence is to ring whatever becomes of the notifications, and they leave time for the export.
        let export = self.read_export(worker).await;
        self.publish(if export.is_some() { worker.for_half_of_its_time() } else { worker }).await;
        if let Some(export) = export {
            self.export(export, worker).await;
        }
        Ok(sent?)
    }
}

/// Returns messages for what is due before the next tick: of what is due about now, a quarter more than `most` less the `depth` of
/// the queue, since departures whose turn at a provider comes late come together with others, and it refuses them; of the rest, the
/// longest overdue first, what is left of `most`, or a quarter of it.
/// What is overdue is spread over the minute, so that it neither keeps what comes on time waiting nor calls a provider in a burst.
pub fn messages(due: &[&Due], most: usize, depth: usize, now: i64) -> Vec<Message> {
    let room = most.saturating_sub(depth);
    let (overdue, on_time) = due.split_at(due.partition_point(|one| one.due_at < now - ON_TIME));
    let on_time = &on_time[..on_time.len().min((most + most / 4).saturating_sub(depth))];
    let overdue = &overdue[..overdue.len().min(room.saturating_sub(on_time.len()).max(room / 4))];
    let apart = i64::try_from(overdue.len().max(SPREAD)).unwrap_or(i64::MAX);
    let spread = overdue.iter().zip(0..).map(|(due, n)| (due, n * AHEAD / apart));
    let punctual = on_time.iter().map(|due| (due, (due.due_at - now).max(0)));
    let delay = |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let message = |(due, seconds): (&&Due, i64)| Message { departure: due.id.clone(), delay: delay(seconds) };
    spread.chain(punctual).map(message).collect()
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
    fn tick_sends_what_is_on_time_before_what_is_overdue_and_spreads_the_rest() {
        let due = |due_at: i64| Due { id: due_at.to_string(), due_at, dry_run: false };
        let sent = |times: &[i64], most, depth| {
            let all: Vec<_> = times.iter().map(|at| due(*at)).collect();
            let messages = messages(&all.iter().collect::<Vec<_>>(), most, depth, 1000);
            messages.iter().map(|one| (one.departure.clone(), one.delay.as_secs())).collect::<Vec<_>>()
        };
        let of = |all: &[(i64, u64)]| all.iter().map(|(at, delay)| (at.to_string(), *delay)).collect::<Vec<_>>();
        assert_eq!(sent(&[900, 990, 1020], 300, 0), of(&[(900, 0), (990, 0), (1020, 20)]));
        let many = [100, 200, 300, 400, 1001, 1002, 1003, 1004];
        assert_eq!(sent(&many, 4, 0), of(&[(100, 0), (1001, 1), (1002, 2), (1003, 3), (1004, 4)]));
        assert_eq!(sent(&many[..5], 8, 4), of(&[(100, 0), (200, 0), (300, 1), (1001, 1)]));
        assert_eq!(sent(&many, 4, 9), []);
    }

    #[test]
    fn departure_of_a_dry_run_counts_as_held_once_the_mode_is_live() {
        let due = |dry_run| Due { id: "idp/1".to_owned(), due_at: NEVER, dry_run };
        let held = [due(true), due(true), due(false)];
        assert_eq!(held_unasked(&held, Mode::DryRun), 1);
        assert_eq!(held_unasked(&held, Mode::Live), 3);
    }
}
