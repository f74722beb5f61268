//! The queue: messages that say "advance this departure". The ledger is the promise; the queue only makes it faster.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

/// Messages that SQS takes in one call.
const BATCH: usize = 10;
/// Calls that are made side by side.
const CONCURRENT: usize = 8;

/// An Amazon SQS queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Arc<LazyClient>,
    url: String,
    dead_letters: Option<String>,
}

/// A client that is made when it is used: few invocations send a message, and making it costs a start as much as a call.
type LazyClient = LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>;

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
#[error("the queue cannot be used: {0}")]
pub struct QueueError(String);

impl Queue {
    /// The longest delay that SQS takes for a message.
    pub const MAX_DELAY: Duration = Duration::from_secs(15 * 60);

    /// The queue at this URL, and the one of its dead letters. `client` is called when a message is first sent.
    pub fn new(client: impl FnOnce() -> Client + Send + 'static, url: String, dead_letters: Option<String>) -> Self {
        Self { client: Arc::new(LazyLock::new(Box::new(client))), url, dead_letters }
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
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for (n, message) in messages.iter().enumerate() {
            let body = Body { departure: message.departure.clone() }.text()?;
            let delay = i32::try_from(message.delay.min(Self::MAX_DELAY).as_secs()).unwrap_or(0);
            let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body);
            let entry = entry.delay_seconds(delay).build();
            request = request.entries(entry.map_err(|_| QueueError("a message cannot be written".to_owned()))?);
        }
        let sent = request.send().await.map_err(unavailable)?;
        match sent.failed().first() {
            None => Ok(()),
            Some(failed) => Err(QueueError(failed.code().to_owned())),
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
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes().queue_url(url).attribute_names(name.clone());
        let answer = request.send().await.map_err(unavailable)?;
        let count = answer.attributes().and_then(|attributes| attributes.get(&name));
        count.and_then(|count| count.parse().ok()).ok_or_else(|| QueueError("an answer without a count".to_owned()))
    }
}

fn unavailable<E>(error: SdkError<E>) -> QueueError
where
    SdkError<E>: ProvideErrorMetadata,
{
    QueueError(crate::aws::cause(&error))
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
