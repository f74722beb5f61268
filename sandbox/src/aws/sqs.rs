//! Amazon SQS, as far as offboard uses it: messages that are sent in batches, and the queue's depth.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACCOUNT, REGION, refusal, signed_for};
use crate::mock::{Answer, Call, Service, Unknown};

const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
/// Messages of one batch.
const MAX_BATCH: usize = 10;
/// The longest delay, in seconds.
const MAX_DELAY: u64 = 900;
const COUNT: &str = "ApproximateNumberOfMessages";

/// One queue, and how many dead letters another one has.
#[derive(Default)]
pub struct Sqs {
    messages: Vec<Message>,
    sent: u64,
    /// Messages that are reported to wait, beside those that do.
    pub backlog: usize,
    /// Whether every call fails.
    pub is_down: bool,
    /// A batch with a message that contains this text is refused.
    pub refused: Option<String>,
}

/// A message that waits.
#[derive(Clone, Debug)]
pub struct Message {
    /// The message's id.
    pub id: String,
    /// The body.
    pub body: String,
    /// How long it was to be kept back, in seconds.
    pub delay_seconds: u64,
    visible_at: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendBatch {
    queue_url: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    id: String,
    message_body: String,
    delay_seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attributes {
    queue_url: String,
    attribute_names: Vec<String>,
}

impl Sqs {
    /// The name of the queue.
    pub const QUEUE: &str = "offboard";
    /// The name of the queue of its dead letters.
    pub const DEAD_LETTERS: &str = "offboard-dead-letters";

    /// The name of the queue of partners' events. Only its messages are made here, and nobody can send one.
    pub const EVENTS: &str = "offboard-events";

    /// The URL of a queue on a server at `base`.
    pub fn url(base: &str, queue: &str) -> String {
        format!("{base}/{ACCOUNT}/{queue}")
    }

    /// Takes the oldest message whose delay is over.
    pub fn receive(&mut self) -> Option<Message> {
        let now = Instant::now();
        let next = self.messages.iter().position(|message| message.visible_at <= now)?;
        Some(self.messages.remove(next))
    }

    /// Returns whether no message is to be delivered now.
    pub fn is_idle(&self) -> bool {
        let now = Instant::now();
        self.messages.iter().all(|message| message.visible_at > now)
    }

    /// Takes all messages, whatever their delay.
    pub fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Ends all delays, as if the time had passed.
    pub fn end_delays(&mut self) {
        let now = Instant::now();
        self.messages.iter_mut().for_each(|message| message.visible_at = now);
    }

    fn send(&mut self, call: &Call) -> Result<Answer, Unknown> {
        let SendBatch { queue_url, entries } = call.json(MEDIA_TYPE)?;
        if queue(&queue_url) != Some(Self::QUEUE) {
            return Ok(no_queue());
        }
        let ids: BTreeSet<_> = entries.iter().map(|entry| &entry.id).collect();
        if !(1..=MAX_BATCH).contains(&entries.len()) || ids.len() < entries.len() {
            return Ok(refusal("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "1 to 10 entries, each id once"));
        }
        if entries.iter().any(|entry| entry.delay_seconds > MAX_DELAY) {
            return Ok(refusal("InvalidParameterValue", "DelaySeconds must be at most 900"));
        }
        let is_refused = |body: &str| {
            !body.chars().all(is_allowed) || self.refused.as_ref().is_some_and(|text| body.contains(text.as_str()))
        };
        if entries.iter().any(|entry| is_refused(&entry.message_body)) {
            return Ok(refusal("InvalidMessageContents", "The message contains characters outside the allowed set."));
        }
        let successful: Vec<Value> = entries.into_iter().map(|entry| self.accept(entry)).collect();
        Ok(Answer::json(200, json!({ "Successful": successful, "Failed": [] })))
    }

    fn accept(&mut self, entry: Entry) -> Value {
        self.sent += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.sent);
        let delay = Duration::from_secs(entry.delay_seconds);
        let (body, delay_seconds, visible_at) = (entry.message_body, entry.delay_seconds, Instant::now() + delay);
        self.messages.push(Message { id: id.clone(), body, delay_seconds, visible_at });
        // No SDK for Rust compares the digest, nor does offboard.
        json!({ "Id": entry.id, "MessageId": id, "MD5OfMessageBody": "00000000000000000000000000000000" })
    }

    fn attributes(&self, call: &Call) -> Result<Answer, Unknown> {
        let Attributes { queue_url, attribute_names } = call.json(MEDIA_TYPE)?;
        if attribute_names != [COUNT] {
            return Err(Unknown(format!("attributes {attribute_names:?}")));
        }
        let now = Instant::now();
        let count = match queue(&queue_url) {
            Some(Self::QUEUE) => self.backlog + self.messages.iter().filter(|one| one.visible_at <= now).count(),
            Some(Self::DEAD_LETTERS) => 0,
            _ => return Ok(no_queue()),
        };
        Ok(Answer::json(200, json!({ "Attributes": { COUNT: count.to_string() } })))
    }
}

impl Message {
    /// The event with which an event source mapping of batch size 1 invokes the function:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>.
    pub fn event(&self) -> Value {
        batch(&self.id, &self.body, &arn(Sqs::QUEUE))
    }
}

/// The event with which an event source mapping hands one message of a queue to the function.
pub fn batch(id: &str, body: &str, queue: &str) -> Value {
    json!({ "Records": [{
        "messageId": id, "receiptHandle": id, "body": body,
        "attributes": { "ApproximateReceiveCount": "1" }, "messageAttributes": {}, "eventSource": "aws:sqs",
        "eventSourceARN": queue, "awsRegion": queue.split(':').nth(3),
    }] })
}

/// The ARN of a queue.
pub fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")
}

impl Service for Sqs {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        signed_for(call, "sqs")?;
        if self.is_down {
            return Ok(refusal("KmsDisabled", "The request was denied: the key is disabled."));
        }
        let answer = match call.header("x-amz-target")? {
            "AmazonSQS.SendMessageBatch" => self.send(call)?,
            "AmazonSQS.GetQueueAttributes" => self.attributes(call)?,
            target => return Err(Unknown(format!("target {target}"))),
        };
        Ok(answer.with("content-type", MEDIA_TYPE).with("x-amzn-requestid", call.request_id()))
    }
}

/// Returns the queue's name at the end of its URL.
fn queue(url: &str) -> Option<&str> {
    let (base, name) = url.rsplit_once('/')?;
    base.ends_with(ACCOUNT).then_some(name)
}

fn no_queue() -> Answer {
    refusal("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
}

/// Returns whether a character may stand in a message.
fn is_allowed(character: char) -> bool {
    matches!(character, '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
