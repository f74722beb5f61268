//! Events that partners of Amazon EventBridge deliver, by way of a queue: no sender waits for an answer.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{App, Invocation, read};
use crate::{
    answer,
    departure::{DeliveryEvents, Unreadable},
    metrics,
    source::Source,
    webhook::{OtherAccount, PartnerEvent, PartnerSource},
};

/// Why an event was not taken. Its message comes again, until it is a dead letter.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("the message is not an event of a partner")]
    NotAnEvent,
    #[error("no source has the `event_source` {}", .0.as_str())]
    UnknownSource(PartnerSource),
    #[error(transparent)]
    OtherAccount(#[from] OtherAccount),
    #[error(transparent)]
    Unreadable(Unreadable),
    #[error("another event of its batch has its id, and is about somebody else")]
    IdOfAnother,
}

/// What the events of one source in a batch say.
struct Delivery<'a> {
    source: &'a Source,
    events: DeliveryEvents,
    /// The ids of their messages.
    messages: Vec<&'a str>,
}

impl App {
    /// Returns whether the messages of this queue are events of partners. They are of no other queue, and no request is one.
    pub(crate) fn is_event_queue(&self, arn: &str) -> bool {
        self.event_queue.as_deref() == Some(arn)
    }

    /// Takes the events of a batch, each with its message's id: what they say is recorded, and departures are worked on while
    /// there is time. A source's events count as one delivery: what a later one says of a person, that they came back above all,
    /// is known before anybody is removed.
    ///
    /// Returns the ids of the messages that were not taken, which is logged and counted. They must not be acknowledged.
    pub(crate) async fn take_events<'a>(
        &'a self,
        batch: &[(&'a str, &'a str)],
        invocation: &Invocation,
    ) -> Vec<&'a str> {
        let mut deliveries: BTreeMap<&str, Delivery<'_>> = BTreeMap::new();
        let mut not_taken = Vec::new();
        for &(id, message) in batch {
            let invocation = invocation.part(id);
            let read = self.read_event(message, &invocation).and_then(|(source, events)| {
                let of_source = || Delivery { source, events: DeliveryEvents::default(), messages: Vec::new() };
                let delivery = deliveries.entry(&source.name).or_insert_with(of_source);
                delivery.events.add(events).map_err(|_| NotTaken::IdOfAnother)?;
                delivery.messages.push(id);
                Ok(())
            });
            if let Err(why) = read {
                why.log(&invocation);
                not_taken.push(id);
            }
        }
        let taken = deliveries.into_values().map(|delivery| self.take_delivery(delivery, invocation));
        not_taken.into_iter().chain(join_all(taken).await.into_iter().flatten()).collect()
    }

    /// Reads an event: of which source it is, and what it says.
    fn read_event(&self, message: &str, invocation: &Invocation) -> Result<(&Source, DeliveryEvents), NotTaken> {
        let event = PartnerEvent::parse(message).ok_or(NotTaken::NotAnEvent)?;
        let is_from = |source: &&Source| source.partner() == Some(event.source());
        let source = self.sources.values().find(is_from);
        let source = source.ok_or_else(|| NotTaken::UnknownSource(event.source().clone()))?;
        let verified = event.verify(&invocation.account)?;
        let events = read(source, &verified, invocation).map_err(NotTaken::Unreadable)?;
        Ok((source, events))
    }

    /// Acts on the events of one source. Returns the ids of their messages if not everything could be done.
    async fn take_delivery<'a>(&self, delivery: Delivery<'a>, invocation: &Invocation) -> Vec<&'a str> {
        let Delivery { source, events, messages } = delivery;
        let invocation = invocation.part(&source.name);
        match self.act(source, events, &invocation).await {
            Ok(report) if !answer::is_incomplete(&report, self.flow.queue.is_some()) => Vec::new(),
            // No metric is about a ledger in memory: what is left comes again.
            Ok(_) => messages,
            Err(_) => {
                metrics::count("NotRecorded");
                messages
            }
        }
    }
}

impl NotTaken {
    /// Logs and counts that an event was not taken.
    fn log(&self, invocation: &Invocation) {
        let request_id = invocation.request_id.as_str();
        match self {
            Self::NotAnEvent | Self::UnknownSource(_) | Self::OtherAccount(_) => {
                metrics::count("Refused");
                tracing::error!(request_id, reason = %self, "an event was refused");
            }
            Self::IdOfAnother => tracing::warn!(request_id, reason = %self, "an event comes again"),
            // Logged and counted where it was read.
            Self::Unreadable(_) => {}
        }
    }
}
