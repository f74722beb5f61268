//! The events that are no requests: a batch of messages from the queue, and the tick.

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
}

/// The messages that are to come again: none. Whatever fails, the ledger knows what is due.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failures {
    batch_item_failures: [(); 0],
}

/// Works on messages, side by side.
pub(super) async fn handle(messages: Vec<Message>, app: &App, invocation: &Invocation) -> Failures {
    join_all(messages.into_iter().map(|message| handle_one(message, app, invocation))).await;
    Failures::default()
}

/// Works on one message.
async fn handle_one(message: Message, app: &App, invocation: &Invocation) {
    let request_id = invocation.request_id.as_str();
    let Ok(Body { departure }) = serde_json::from_str(&message.body) else {
        tracing::error!(request_id, message_id = message.message_id, "a message is not about a departure");
        return;
    };
    // Two workers of one batch must not take each other for themselves.
    let invocation = Invocation { request_id: format!("{request_id}/{}", message.message_id), ..invocation.clone() };
    match app.advance(&departure, &invocation).await {
        Ok(Some(_)) => {}
        Ok(None) => tracing::warn!(request_id, "a message of a departure that is not recorded is dropped"),
        Err(error) => tracing::error!(request_id, reason = %error, "a message could not be followed"),
    }
}
