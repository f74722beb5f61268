//! The events that are no requests: a batch of messages of a queue, and the tick.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    handler::{App, Invocation},
    queue::Body,
};

/// The scheduled tick: `{"tick": true}`.
#[derive(Debug, Deserialize)]
pub(super) struct Tick {
    pub(super) tick: bool,
}

/// What an event source mapping of SQS hands over:
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>.
#[derive(Debug, Deserialize)]
pub(super) struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
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

impl Batch {
    pub(super) async fn handle(self, app: &App, invocation: &Invocation) -> Failures {
        let handled = join_all(self.records.into_iter().map(|message| handle(message, app, invocation))).await;
        Failures { batch_item_failures: handled.into_iter().flatten().collect() }
    }
}

/// Handles one message, as its queue asks. Two workers of one batch must not take each other for themselves.
async fn handle(message: Message, app: &App, invocation: &Invocation) -> Option<Failure> {
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
