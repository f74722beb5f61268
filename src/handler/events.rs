//! Events that partners of Amazon EventBridge deliver, by way of a queue: no sender waits for an answer.

use super::{App, Invocation, read};
use crate::{
    answer,
    departure::Unreadable,
    flow::NotRecorded,
    metrics,
    source::Source,
    webhook::{OtherAccount, PartnerEvent, PartnerSource},
};

/// Why an event was not taken. Its message comes again, until it is a dead letter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("the message is not an event of a partner")]
    NotAnEvent,
    #[error("no source has the `event_source` {}", .0.as_str())]
    UnknownSource(PartnerSource),
    #[error(transparent)]
    OtherAccount(#[from] OtherAccount),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    #[error("work is left, and the ledger is in memory")]
    WorkIsLeft,
}

impl App {
    /// Returns whether the messages of this queue are events of partners. They are of no other queue, and no request is one.
    pub(crate) fn is_event_queue(&self, arn: &str) -> bool {
        self.event_queue.as_deref() == Some(arn)
    }

    /// Takes an event: what it says is recorded, and departures are worked on while there is time.
    ///
    /// # Errors
    /// If it was not taken, which is logged and counted. It must not be acknowledged.
    pub(crate) async fn take_event(&self, message: &str, invocation: &Invocation) -> Result<(), NotTaken> {
        let taken = self.try_event(message, invocation).await;
        taken.inspect_err(|why| {
            let metric = match why {
                NotTaken::NotAnEvent | NotTaken::UnknownSource(_) | NotTaken::OtherAccount(_) => "Refused",
                NotTaken::NotRecorded(_) => "NotRecorded",
                // Counted where it was read; no metric is about a ledger in memory.
                NotTaken::Unreadable(_) | NotTaken::WorkIsLeft => return,
            };
            metrics::count(metric);
            if metric == "Refused" {
                tracing::error!(request_id = invocation.request_id, reason = %why, "an event was refused");
            }
        })
    }

    async fn try_event(&self, message: &str, invocation: &Invocation) -> Result<(), NotTaken> {
        let event: PartnerEvent = serde_json::from_str(message).map_err(|_| NotTaken::NotAnEvent)?;
        let is_from = |source: &&Source| source.partner() == Some(event.source());
        let source = self.sources.values().find(is_from);
        let source = source.ok_or_else(|| NotTaken::UnknownSource(event.source().clone()))?;
        let verified = event.verify(&invocation.account)?;
        let delivery = read(source, &verified, invocation)?;
        let report = self.act(source, delivery, invocation).await?;
        match answer::is_incomplete(&report, self.flow.queue.is_some()) {
            true => Err(NotTaken::WorkIsLeft),
            false => Ok(()),
        }
    }
}
