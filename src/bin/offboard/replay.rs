//! `offboard replay --dead-letter`: the queue's dead letters are tried again.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use offboard::{
    ledger::{
        Ledger,
        operator::{Decision, Refused},
    },
    person::mask_addresses,
    queue::{DeadLetters, Letter, Queue, Reminder},
};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    screen::{Screen, print},
    stored::{Progress, Queued, Stored, wrong_usage},
};

/// The options of `offboard replay`.
#[derive(Args)]
#[command(
    after_help = "Each departure is recorded as replayed by your AWS identity; what is done at a provider is not done \
                  again.\nOne departure: offboard departures replay ID. Exit code 1: letters were left."
)]
pub struct Replay {
    /// All reminders among the dead letters
    #[arg(long)]
    dead_letter: bool,
    /// The dead-letter queue [default: the one that the queue names]
    #[arg(long, value_name = "URL")]
    dead_letter_url: Option<String>,
    #[command(flatten)]
    queued: Queued,
    #[command(flatten)]
    stored: Stored,
}

/// Who replays, and what with.
struct Desk {
    ledger: Ledger,
    queue: Queue,
    who: String,
}

/// What became of the letters.
#[derive(Default)]
struct Count {
    replayed: usize,
    /// Those of departures on which nothing is left, or which are held: the ledger has them.
    dropped: usize,
    /// Those that stay where they are, and why.
    left: Vec<(Letter, String)>,
}

impl Replay {
    /// Has them tried again.
    pub async fn run(&self) -> Result<ExitCode, String> {
        if !self.dead_letter {
            wrong_usage("what? --dead-letter: all dead letters; one departure: offboard departures replay ID");
        }
        let connected = self.stored.connect().await?;
        let queue = connected.needed_queue(&self.queued);
        let letters =
            match &self.dead_letter_url {
                Some(url) => queue.dead_letters_at(url.clone()),
                None => queue.dead_letters().await.map_err(|down| down.to_string())?.ok_or(
                    "the queue has no dead-letter queue; is it the right one? --dead-letter-url names another",
                )?,
            };
        let who = connected.who().await?;
        let desk = Desk { ledger: connected.ledger, queue, who };
        let mut count = Count::default();
        let ended = desk.all(&letters, &mut count).await;
        for (letter, _) in &count.left {
            // Otherwise it shows itself again in a while.
            let _ = letters.put_back(letter).await;
        }
        self.show(&count)?;
        ended.map(|()| ExitCode::from(u8::from(!count.left.is_empty())))
    }

    fn show(&self, count: &Count) -> Result<(), String> {
        let Count { replayed, dropped, left } = count;
        if self.stored.configured.json {
            let left: Vec<_> = left.iter().map(|(letter, why)| json!({"message_id": letter.id, "why": why})).collect();
            print(&json!({"replayed": replayed, "dropped": dropped, "left": left}).to_string());
            return Ok(());
        }
        let screen = Screen::new(false);
        screen.verdict(&[], &format!("{replayed} replayed, {dropped} dropped: nothing is left of them, or held"), "");
        let findings: Vec<_> = left.iter().map(|(letter, why)| format!("message {}: {why}", letter.id)).collect();
        if !findings.is_empty() {
            screen.verdict(&findings, "", &format!("{} left where they are", findings.len()));
        }
        Ok(())
    }
}

impl Desk {
    async fn all(&self, letters: &DeadLetters, count: &mut Count) -> Result<(), String> {
        let progress = Progress::new();
        loop {
            let batch = letters.read().await.map_err(|down| down.to_string())?;
            if batch.is_empty() {
                return Ok(());
            }
            for letter in batch {
                self.one(letters, letter, count).await?;
                progress.show(&format!("{} replayed, {} left", count.replayed, count.left.len()));
            }
        }
    }

    /// Replays one letter's departure. The letter goes when the queue has its reminder, not before.
    async fn one(&self, letters: &DeadLetters, letter: Letter, count: &mut Count) -> Result<(), String> {
        let Some(Reminder { departure }) = &letter.reminder else {
            count.left.push((letter, "is no reminder of a departure".to_owned()));
            return Ok(());
        };
        match self.ledger.decide(departure, Decision::Replay, &self.who, OffsetDateTime::now_utc()).await {
            Ok(_) => {
                self.queue.remind(departure, Duration::ZERO).await.map_err(|down| down.to_string())?;
                count.replayed += 1;
            }
            Err(Refused::State(_)) => count.dropped += 1,
            Err(Refused::Down(down)) => return Err(down.to_string()),
            // Of a departure that is not known: this may be the wrong table.
            Err(refused @ (Refused::Unknown | Refused::Busy(_))) => {
                let why = format!("{}: {refused}", mask_addresses(departure));
                count.left.push((letter, why));
                return Ok(());
            }
        }
        letters.delete(&letter).await.map_err(|down| down.to_string())
    }
}
