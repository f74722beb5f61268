//! The queue's side of the function: a batch of reminders, and which of them shall come again.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    durable::{Next, NotDurable},
    handler::{App, Invocation},
    queue::Reminder,
};

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
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
}

/// The messages that shall come again; all others go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failures {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl Batch {
    pub(super) async fn handle(self, app: &App, invocation: &Invocation) -> Failures {
        let handled = join_all(self.records.into_iter().map(|message| handle(message, app, invocation))).await;
        let failures = handled.into_iter().flatten();
        Failures { batch_item_failures: failures.map(|item_identifier| Failure { item_identifier }).collect() }
    }
}

/// Works on one message; `Some` with its id if it shall come again.
async fn handle(message: Message, app: &App, invocation: &Invocation) -> Option<String> {
    let request_id = invocation.request_id.as_str();
    let Ok(Reminder { departure }) = serde_json::from_str(&message.body) else {
        // It stays what it is however often it comes: the dead letters are where a person finds it.
        tracing::error!(request_id, message_id = message.message_id, "a message is no reminder of a departure");
        return Some(message.message_id);
    };
    let tries = message.attributes.approximate_receive_count.parse().unwrap_or(1);
    // Two workers of one batch must not take each other for themselves.
    let invocation = Invocation { request_id: format!("{request_id}/{}", message.message_id), ..invocation.clone() };
    match app.resume(&departure, tries, &invocation).await {
        Ok(Next::Forget) => return None,
        Ok(Next::Again(pause)) => app.postpone(&message.receipt_handle, pause).await,
        Err(NotDurable(reason)) => tracing::error!(request_id, reason, "a reminder could not be followed"),
    }
    Some(message.message_id)
}
