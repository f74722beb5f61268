//! The queue: messages that say "advance this departure". The ledger is the promise; the queue only makes it faster.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_types::SdkConfig;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::{
    aws::{
        explained,
        signed::{self, Api, CallError, Service, Timeouts},
    },
    outbound::Client,
};

/// Messages that SQS takes in one call.
const BATCH: usize = 10;
/// Calls that are made side by side.
const CONCURRENT: usize = 8;
const API: Api = Api { name: "sqs", id: "SQS" };
const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
/// The attribute that has the number of messages that wait.
const COUNT: &str = "ApproximateNumberOfMessages";

/// An Amazon SQS queue.
#[derive(Clone, Debug)]
pub struct Queue {
    service: Arc<Service>,
    url: String,
    dead_letters: Option<String>,
}

/// A message's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The departure's id.
    pub departure: String,
}

impl Body {
    /// Returns the body as JSON in ASCII: SQS refuses a message with a character that XML does not allow (U+FFFF, say).
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
    fn text(&self) -> Result<String, QueueError> {
        let json = serde_json::to_string(self).map_err(|_| QueueError("a message cannot be written".to_owned()))?;
        let mut text = String::with_capacity(json.len());
        for character in json.chars() {
            match character.is_ascii() {
                true => text.push(character),
                false => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        Ok(text)
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The departure's id.
    pub departure: String,
    /// How long it is kept back, at most [`Queue::MAX_DELAY`].
    pub delay: Duration,
}

/// A queue that cannot be used: the error's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue cannot be used: {}", explained(.0))]
pub struct QueueError(String);

impl From<CallError> for QueueError {
    fn from(CallError(code): CallError) -> Self {
        Self(code)
    }
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessageBatch<'a> {
    queue_url: &'a str,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    message_body: String,
    delay_seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    failed: Option<Vec<FailedEntry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FailedEntry {
    code: String,
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueAttributes<'a> {
    queue_url: &'a str,
    attribute_names: [&'static str; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    attributes: Option<HashMap<String, String>>,
}

impl Queue {
    /// The longest delay that SQS takes for a message.
    pub const MAX_DELAY: Duration = Duration::from_secs(15 * 60);

    /// The queue at this URL, and the one of its dead letters, in the region, at the endpoint and with the credentials of `aws`. A
    /// URL says which queue, not where it is called: an emulator's may name a host that is not within reach.
    ///
    /// # Errors
    /// If there is no region, there are no credentials, or the endpoint is not a URL.
    pub fn new(
        aws: &SdkConfig,
        client: &Client,
        url: String,
        dead_letters: Option<String>,
    ) -> Result<Self, QueueError> {
        let service = Service::new(aws, client, API, Timeouts::USUAL)?;
        Ok(Self { service: Arc::new(service), url, dead_letters })
    }

    /// Sends messages. A batch that cannot be sent costs no other.
    ///
    /// # Errors
    /// If not all could be sent: the first error. The tick finds the departures of those that were not.
    pub async fn send(&self, messages: &[Message]) -> Result<(), QueueError> {
        let batches: Vec<_> = messages.chunks(BATCH).collect();
        let mut result = Ok(());
        for side_by_side in batches.chunks(CONCURRENT) {
            let sent = join_all(side_by_side.iter().map(|batch| self.send_batch(batch))).await;
            result = sent.into_iter().fold(result, Result::and);
        }
        result
    }

    async fn send_batch(&self, messages: &[Message]) -> Result<(), QueueError> {
        let entry = |(n, message): (usize, &Message)| {
            let message_body = Body { departure: message.departure.clone() }.text()?;
            let delay_seconds = message.delay.min(Self::MAX_DELAY).as_secs();
            Ok(Entry { id: n.to_string(), message_body, delay_seconds })
        };
        let entries = messages.iter().enumerate().map(entry).collect::<Result<_, QueueError>>()?;
        let request = SendMessageBatch { queue_url: &self.url, entries };
        let sent: Sent = self.service.json(MEDIA_TYPE, "AmazonSQS.SendMessageBatch", &request).await?;
        match sent.failed.iter().flatten().next() {
            None => Ok(()),
            Some(failed) => Err(QueueError(signed::code(&failed.code).unwrap_or("refused").to_owned())),
        }
    }

    /// Returns the number of messages that wait.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    pub async fn depth(&self) -> Result<usize, QueueError> {
        self.count(&self.url).await
    }

    /// Returns the number of dead letters; `None` if it is not known where they go.
    ///
    /// # Errors
    /// If their queue cannot be reached.
    pub async fn dead_letters(&self) -> Result<Option<usize>, QueueError> {
        match &self.dead_letters {
            Some(url) => self.count(url).await.map(Some),
            None => Ok(None),
        }
    }

    async fn count(&self, url: &str) -> Result<usize, QueueError> {
        let request = GetQueueAttributes { queue_url: url, attribute_names: [COUNT] };
        let answer: Attributes = self.service.json(MEDIA_TYPE, "AmazonSQS.GetQueueAttributes", &request).await?;
        let count = answer.attributes.and_then(|attributes| attributes.get(COUNT)?.parse().ok());
        count.ok_or_else(|| QueueError("an answer without a count".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_ascii_and_reads_as_what_was_written() {
        for id in ["idp/1", "idp/\u{ffff}\u{fffe}", "idp/\u{1}\u{1f4a9}é\"\\"] {
            let body = Body { departure: id.to_owned() };
            let text = body.text().unwrap();
            assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
            assert_eq!(serde_json::from_str::<Body>(&text).unwrap(), body);
        }
    }
}
