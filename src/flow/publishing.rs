//! What the tick publishes: the notifications in the outbox, and once a day a digest of what is open.

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::{time::timeout_at, try_join};

use super::{CONCURRENT, Flow, Worker, tick::MAX_COUNTED};
use crate::{
    event_bus::{BusError, EventBus, MAX_EVENTS, MAX_SIZE},
    ledger::{LedgerError, NEVER, Record, State, Unpublished},
    metrics,
    notification::{MAX_NAMED, Notification, Occasion, Open},
};

/// Notifications that a tick publishes.
const MAX_PUBLISHED: usize = 500;
/// Notifications of a tick beyond which people get a digest instead of each.
const MAX_EACH: usize = 20;
/// The hour, UTC, from which the day's digest is written.
const DIGEST_HOUR: u8 = 8;

/// An error of publishing. What was not published stays in the outbox; the next tick tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    /// What waits is not known, or what was published could not be taken out.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Nothing could be published.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The bus refused some.
    #[error("the event bus refused {0} notifications")]
    Refused(usize),
    /// No time was left.
    #[error("the time ran out")]
    Deadline,
}

impl Flow {
    /// Writes the day's digest, and publishes what waits in the outbox. An error is logged: no removal waits for a notification.
    pub async fn publish(&self, worker: Worker<'_>) {
        let Some(bus) = &self.bus else { return };
        let published = timeout_at(worker.deadline, async {
            // A digest that cannot be written keeps back no notification.
            let digest = self.write_digest(worker.now()).await;
            self.publish_outbox(&**bus, worker.now()).await?;
            digest
        });
        if let Err(error) = published.await.unwrap_or(Err(PublishError::Deadline)) {
            tracing::error!(request_id = worker.name, reason = %error, "not all notifications could be published");
        }
    }

    async fn write_digest(&self, now: OffsetDateTime) -> Result<(), PublishError> {
        let id = format!("digest-{}", now.date());
        let is_due = self.ledger.notifies_of(Occasion::Digest) && now.hour() >= DIGEST_HOUR;
        if !is_due || self.ledger.is_noted(&id).await? {
            return Ok(());
        }
        let open = self.open().await?;
        // A day on which nothing was open has had its digest as well.
        self.ledger.note_once(&Notification::digest(id, &open, now), !open.is_empty()).await?;
        Ok(())
    }

    async fn publish_outbox(&self, bus: &dyn EventBus, now: OffsetDateTime) -> Result<(), PublishError> {
        let waiting = self.ledger.unpublished(now, MAX_PUBLISHED).await?;
        if let Some(first) = waiting.first() {
            metrics::gauges(&[("OldestNotificationSeconds", (now - first.notification.at).whole_seconds())]);
        }
        // Of many, people get a summary instead of each.
        let is_storm = waiting.len() > MAX_EACH;
        let (mut is_summarized, mut summary, mut refused) = (!is_storm, None, 0);
        for batch in batches(&waiting, |one| one.notification.size()) {
            let taken = publish(bus, batch, is_storm).await?;
            if !is_summarized && taken.contains(&true) {
                // Before the first of them leaves the outbox: it is lost as little as they are.
                (is_summarized, summary) = (true, self.note_summary(&waiting, now).await?);
            }
            refused += self.take_out(batch, &taken).await?;
        }
        if let Some(summary) = summary {
            let summary = [summary];
            refused += self.take_out(&summary, &publish(bus, &summary, false).await?).await?;
        }
        if refused == 0 { Ok(()) } else { Err(PublishError::Refused(refused)) }
    }

    /// Writes a summary into the outbox: one for what waits, as often as that is published. Returns it if it is new.
    async fn note_summary(
        &self,
        waiting: &[Unpublished],
        now: OffsetDateTime,
    ) -> Result<Option<Unpublished>, LedgerError> {
        let newest = waiting.iter().map(|one| &one.notification).rfind(|one| one.about != Occasion::Digest);
        let Some(newest) = newest else { return Ok(None) };
        let summary = Notification::digest(format!("summary-{}", newest.id), &self.open().await?, now);
        self.ledger.note_once(&summary, true).await
    }

    /// Takes what was published out of the outbox. Returns how many the bus refused.
    async fn take_out(&self, batch: &[Unpublished], taken: &[bool]) -> Result<usize, LedgerError> {
        let mut cleared = Vec::new();
        for (one, _) in batch.iter().zip(taken).filter(|(_, taken)| **taken) {
            cleared.push(self.ledger.published(one));
        }
        let cleared: Vec<_> = stream::iter(cleared).buffer_unordered(CONCURRENT).collect().await;
        cleared.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(taken.iter().filter(|taken| !**taken).count())
    }

    /// Returns what is open: counts of all, and the records of some that wait for a person.
    async fn open(&self) -> Result<Open, LedgerError> {
        let due_in = |state| self.ledger.due(state, NEVER, MAX_COUNTED);
        let (pending, held, needs_attention) =
            try_join!(due_in(State::Pending), due_in(State::Held), due_in(State::NeedsAttention))?;
        let planned = held.iter().filter(|due| due.dry_run).count();
        let waiting = needs_attention.iter().chain(held.iter().filter(|due| !due.dry_run));
        let waiting = waiting.take(MAX_NAMED).map(|due| due.id.clone()).collect();
        let waiting: Vec<Record> = self.ledger.get_many(waiting).await?.into_values().collect();
        Ok(Open {
            held: held.len() - planned,
            needs_attention: needs_attention.len(),
            pending: pending.len(),
            planned,
            waiting: waiting.into_iter().filter(|record| record.occasion().is_some()).collect(),
        })
    }
}

/// Publishes as many as one call takes. Where they are refused together, each is published alone. Returns of each whether it was
/// taken.
async fn publish(bus: &dyn EventBus, batch: &[Unpublished], is_storm: bool) -> Result<Vec<bool>, BusError> {
    let shown = |unpublished: &Unpublished| match unpublished.notification.clone() {
        digest if digest.about == Occasion::Digest => digest,
        one if is_storm => one.summarized(),
        one => one,
    };
    let shown: Vec<_> = batch.iter().map(shown).collect();
    match bus.publish(&shown).await {
        Err(error) if error.is_of_content() => {}
        published => return published,
    }
    let mut taken = Vec::new();
    for one in shown.chunks(1).filter(|_| shown.len() > 1) {
        match bus.publish(one).await {
            Ok(one) => taken.extend(one),
            Err(error) if error.is_of_content() => taken.push(false),
            Err(_) => break,
        }
    }
    taken.resize(batch.len(), false);
    Ok(taken)
}

/// Cuts what waits into pieces that one call takes: by number, and by size in bytes.
fn batches<T>(mut waiting: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut batches = Vec::new();
    while !waiting.is_empty() {
        let mut total = 0;
        let fits = waiting.iter().take(MAX_EVENTS).take_while(|one| {
            total += size(one);
            total < MAX_SIZE
        });
        let (batch, after) = waiting.split_at(fits.count().max(1));
        batches.push(batch);
        waiting = after;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_ten_events_and_less_than_256_kilobytes_at_most() {
        let of = |sizes: &[usize]| batches(sizes, |size| *size).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(of(&[]), [0; 0]);
        assert_eq!(of(&[1; 23]), [10, 10, 3]);
        assert_eq!(of(&[60_000; 12]), [4, 4, 4]);
        assert_eq!(of(&[1, MAX_SIZE, 1, MAX_SIZE - 2, 1]), [1, 1, 2, 1]);
    }
}
