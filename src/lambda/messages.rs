//! The events that are no requests: a batch of messages of a queue, and the tick.

use futures_util::future::{join, join_all};
use serde::{Deserialize, Serialize};

use crate::{
    handler::{App, Invocation},
    queue::Body,
};

/// An event that is no request: its messages, or the scheduled `{"tick": true}`. A request has neither key.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    /// What an event source mapping of SQS hands over:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>.
    #[serde(rename = "Records")]
    pub(super) records: Option<Vec<Message>>,
    pub(super) tick: Option<bool>,
}

/// A message of the queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    #[serde(default)]
    message_id: String,
    body: String,
    /// The queue that it is from.
    #[serde(default, rename = "eventSourceARN")]
    queue: String,
}

/// The messages that are to come again: events that could not be taken. Of a work message, whatever fails, the ledger knows what
/// is due.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failures {
    batch_item_failures: Vec<Failure>,
}

/// One message that is to come again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

/// Handles messages, as their queues ask: events together, work side by side.
pub(super) async fn handle(messages: Vec<Message>, app: &App, invocation: &Invocation) -> Failures {
    let (events, work): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| app.is_event_queue(&message.queue));
    let events: Vec<_> = events.iter().map(|message| (message.message_id.as_str(), message.body.as_str())).collect();
    let work = join_all(work.iter().map(|message| self::work(message, app, invocation)));
    let (not_taken, _) = join(app.take_events(&events, invocation), work).await;
    let again = not_taken.into_iter().map(|id| Failure { item_identifier: id.to_owned() });
    Failures { batch_item_failures: again.collect() }
}

/// Works on the departure of one work message.
async fn work(message: &Message, app: &App, invocation: &Invocation) {
    let invocation = invocation.part(&message.message_id);
    let request_id = invocation.request_id.as_str();
    let Ok(Body { departure }) = serde_json::from_str(&message.body) else {
        tracing::error!(request_id, "a message is not about a departure");
        return;
    };
    match app.advance(&departure, &invocation).await {
        Ok(Some(_)) => {}
        Ok(None) => tracing::warn!(request_id, "a message of a departure that is not recorded is dropped"),
        Err(error) => tracing::error!(request_id, reason = %error, "a message could not be followed"),
    }
}
