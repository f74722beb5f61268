//! The events that are no requests: a batch of messages of a queue, and the tick.

use futures_util::future::join_all;
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

/// Handles messages, side by side.
pub(super) async fn handle(messages: Vec<Message>, app: &App, invocation: &Invocation) -> Failures {
    let handled = join_all(messages.into_iter().map(|message| handle_one(message, app, invocation))).await;
    Failures { batch_item_failures: handled.into_iter().flatten().collect() }
}

/// Handles one message, as its queue asks. Two workers of one batch must not take each other for themselves.
async fn handle_one(message: Message, app: &App, invocation: &Invocation) -> Option<Failure> {
    let request_id = format!("{}/{}", invocation.request_id, message.message_id);
    let invocation = Invocation { request_id, ..invocation.clone() };
    if !app.is_event_queue(&message.queue) {
        work(&message, app, &invocation).await;
        return None;
    }
    let taken = app.take_event(&message.body, &invocation).await;
    taken.err().map(|_| Failure { item_identifier: message.message_id })
}

/// Works on the departure of one work message.
async fn work(message: &Message, app: &App, invocation: &Invocation) {
    let request_id = invocation.request_id.as_str();
    let Ok(Body { departure }) = serde_json::from_str(&message.body) else {
        tracing::error!(request_id, "a message is not about a departure");
        return;
    };
    match app.advance(&departure, invocation).await {
        Ok(Some(_)) => {}
        Ok(None) => tracing::warn!(request_id, "a message of a departure that is not recorded is dropped"),
        Err(error) => tracing::error!(request_id, reason = %error, "a message could not be followed"),
    }
}
