//! What the tick publishes: the notifications in the outbox, and once a day a digest of what is open.

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::{time::timeout_at, try_join};

use super::{CONCURRENT, Flow, Worker, tick::MAX_COUNTED};
use crate::{
    event_bus::{BusError, EventBus, MAX_EVENTS},
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
        let is_storm = waiting.len() > MAX_EACH;
        if let Some(first) = waiting.first().filter(|_| is_storm) {
            let id = format!("summary-{}", first.notification.id);
            let summary = Notification::digest(id, &self.open().await?, now);
            if bus.publish(&[summary]).await? != [true] {
                return Err(PublishError::Refused(waiting.len()));
            }
        }
        let mut refused = 0;
        for batch in waiting.chunks(MAX_EVENTS) {
            refused += self.publish_batch(bus, batch, is_storm).await?;
        }
        if refused == 0 { Ok(()) } else { Err(PublishError::Refused(refused)) }
    }

    /// Publishes some and takes them out of the outbox. Returns how many the bus refused.
    async fn publish_batch(
        &self,
        bus: &dyn EventBus,
        batch: &[Unpublished],
        is_storm: bool,
    ) -> Result<usize, PublishError> {
        let shown = |unpublished: &Unpublished| match unpublished.notification.clone() {
            digest if digest.about == Occasion::Digest => digest,
            one if is_storm => one.summarized(),
            one => one,
        };
        let taken = bus.publish(&batch.iter().map(shown).collect::<Vec<_>>()).await?;
        let mut cleared = Vec::new();
        for (one, _) in batch.iter().zip(&taken).filter(|(_, taken)| **taken) {
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
