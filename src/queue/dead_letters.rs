//! The queue's dead letters: reminders that came too often, until a person has them tried again.

use aws_sdk_sqs::{
    Client,
    types::{Message, QueueAttributeName},
};
use serde::Deserialize;

use super::{Queue, QueueDown, Reminder, down};

/// How long a received letter is hidden from others, in seconds.
const HIDDEN: i32 = 5 * 60;
/// How many SQS hands over at once, and how long it may look for them, in seconds.
const BATCH: i32 = 10;
const PATIENCE: i32 = 2;

/// A dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Client,
    url: String,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Whom it reminds of; `None` if it is no reminder.
    pub reminder: Option<Reminder>,
    /// The message's id.
    pub id: String,
    receipt: String,
}

/// What a queue says about where its dead letters go.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

impl Queue {
    /// Where this queue's dead letters go; `None` if nowhere.
    ///
    /// # Errors
    /// If the queue cannot be reached, or refuses.
    pub async fn dead_letters(&self) -> Result<Option<DeadLetters>, QueueDown> {
        let name = QueueAttributeName::RedrivePolicy;
        let asked = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let answer = asked.send().await.map_err(down)?;
        let Some(policy) = answer.attributes().and_then(|attributes| attributes.get(&name)) else { return Ok(None) };
        let not_understood = || QueueDown("a redrive policy that was not understood".to_owned());
        let policy: RedrivePolicy = serde_json::from_str(policy).map_err(|_| not_understood())?;
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut parts = policy.dead_letter_target_arn.splitn(6, ':').skip(4);
        let (account, name) = parts.next().zip(parts.next()).ok_or_else(not_understood)?;
        let asked = self.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
        let url = asked.send().await.map_err(down)?.queue_url.ok_or_else(not_understood)?;
        Ok(Some(self.dead_letters_at(url)))
    }

    /// The dead letters in the queue at this URL.
    pub fn dead_letters_at(&self, url: String) -> DeadLetters {
        DeadLetters { client: self.client.clone(), url }
    }
}

impl DeadLetters {
    /// Some letters, hidden from others for a while; none if all have been read.
    ///
    /// # Errors
    /// If the queue cannot be reached, or refuses.
    pub async fn read(&self) -> Result<Vec<Letter>, QueueDown> {
        let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(BATCH);
        let receive = receive.wait_time_seconds(PATIENCE).visibility_timeout(HIDDEN);
        Ok(receive.send().await.map_err(down)?.messages.unwrap_or_default().into_iter().map(Letter::from).collect())
    }

    /// Deletes a letter that was read.
    ///
    /// # Errors
    /// If the queue cannot be reached, or refuses.
    pub async fn delete(&self, letter: &Letter) -> Result<(), QueueDown> {
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.receipt);
        delete.send().await.map(drop).map_err(down)
    }

    /// Shows a letter that was read to others again.
    ///
    /// # Errors
    /// If the queue cannot be reached, or refuses.
    pub async fn put_back(&self, letter: &Letter) -> Result<(), QueueDown> {
        let change = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(&letter.receipt);
        change.visibility_timeout(0).send().await.map(drop).map_err(down)
    }
}

impl From<Message> for Letter {
    fn from(message: Message) -> Self {
        Self {
            reminder: message.body.and_then(|body| serde_json::from_str(&body).ok()),
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
        }
    }
}
