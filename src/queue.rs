//! The queue: reminders of departures on which work is left. What a message says is only which one; the ledger is the truth.

use std::time::{Duration, SystemTime};

use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use retry_policies::{Jitter, RetryDecision, RetryPolicy, policies::ExponentialBackoff};
use serde::{Deserialize, Serialize};

mod dead_letters;

pub use dead_letters::{DeadLetters, Letter};

/// The longest delay that SQS takes for a message, and the longest time that a received one may stay hidden.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
const LONGEST_HIDDEN: Duration = Duration::from_secs(12 * 60 * 60);
/// The shortest and the longest pause between two tries of what is left.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(4 * 60 * 60));

/// An Amazon SQS queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// The departure's id.
    pub departure: String,
}

/// The queue cannot be reached, or is out of order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDown(String);

impl std::fmt::Display for QueueDown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the queue cannot be used: {}", self.0)
    }
}

impl std::error::Error for QueueDown {}

impl Queue {
    /// The queue at this URL.
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    /// Asks to be reminded of a departure, after `delay`.
    ///
    /// # Errors
    /// If the queue cannot be reached, or refuses.
    pub async fn remind(&self, departure: &str, delay: Duration) -> Result<(), QueueDown> {
        let reminder = Reminder { departure: departure.to_owned() };
        let body = serde_json::to_string(&reminder).map_err(|_| QueueDown("unwritable message".to_owned()))?;
        let send = self.client.send_message().queue_url(&self.url).message_body(body);
        send.delay_seconds(seconds(delay.min(LONGEST_DELAY))).send().await.map(drop).map_err(down)
    }

    /// Hides a received message for `pause`.
    ///
    /// # Errors
    /// If the queue cannot be reached, or refuses.
    pub async fn postpone(&self, receipt: &str, pause: Duration) -> Result<(), QueueDown> {
        let change = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        change.visibility_timeout(seconds(pause.min(LONGEST_HIDDEN))).send().await.map(drop).map_err(down)
    }
}

/// How long to wait before what is left is tried again, after so many tries; a provider's own wish is respected.
pub fn pause(tries: u32, wish: Option<Duration>) -> Duration {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(BACKOFF.0, BACKOFF.1)
        .jitter(Jitter::Bounded)
        .build_with_max_retries(u32::MAX);
    let now = SystemTime::now();
    let pause = match policy.should_retry(now, tries.saturating_sub(1)) {
        RetryDecision::Retry { execute_after } => execute_after.duration_since(now).unwrap_or(BACKOFF.0),
        RetryDecision::DoNotRetry => BACKOFF.1,
    };
    // The policy's jitter goes below its shortest interval.
    pause.max(BACKOFF.0).max(wish.unwrap_or_default()).min(LONGEST_HIDDEN)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

fn down<E>(error: SdkError<E>) -> QueueDown
where
    SdkError<E>: ProvideErrorMetadata,
{
    QueueDown(crate::aws::told(&error))
}
