//! Departures that a SCIM client reports: recorded in one transaction with the user, and left to the queue.

use std::time::Duration;

use super::{Flow, Worker};
use crate::{
    config::Mode,
    departure::Departure,
    ledger::{LedgerError, Record, Recorded, store::Change},
    queue::{Message, Queue},
    source::Source,
};

impl Flow {
    /// Returns how long a record is kept once it is done.
    pub(crate) fn retention(&self) -> Duration {
        self.retention
    }

    /// Records a departure in one transaction with the changes `beside` it, counts it, and sends a message for when its
    /// source's `settle` has passed; without a queue, works on it. Returns `None` if the changes cannot be made any more.
    ///
    /// # Errors
    /// If the ledger cannot be used; then all may be recorded.
    pub(crate) async fn record_with(
        &self,
        source: &Source,
        departure: &Departure,
        right_after_creation: bool,
        beside: &[Change],
        worker: Worker<'_>,
    ) -> Result<Option<Record>, LedgerError> {
        let now = worker.now();
        let planned = self.policy.mode == Mode::DryRun;
        let due_at = (now + source.settle).unix_timestamp() + i64::from(!source.settle.is_zero());
        let prepare = |record: &mut Record| {
            record.planned = planned;
            record.right_after_creation = right_after_creation;
            record.due_at = Some(due_at);
        };
        let record = match self.ledger.record_with(departure, now, prepare, beside).await? {
            None | Some(Recorded::Known(_)) => return Ok(None),
            Some(Recorded::New(record)) => record,
        };
        // What is not counted or not sent by now is when the departure is worked on: the tick finds it.
        let (request_id, reason) = (worker.name, "a departure is counted later");
        if let Some(limit) = &self.policy.max_departures
            && let Err(error) = self.ledger.count(&[&record], limit).await
        {
            tracing::warn!(request_id, reason = %error, "{reason}");
        }
        self.report(&record, false).log(worker.name, now);
        let Some(queue) = &self.queue else { return self.advance(&record.id, worker).await };
        let delay = Duration::from_secs(u64::try_from(due_at - now.unix_timestamp()).unwrap_or_default());
        if delay <= Queue::MAX_DELAY
            && let Err(error) = queue.send(&[Message { departure: record.id.clone(), delay }]).await
        {
            tracing::warn!(request_id, reason = %error, "a departure could not be queued");
        }
        Ok(Some(record))
    }
}
