//! What happened on the wire so far, in all calls for one departure.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::secrets::{SHORTEST_SECRET, redact};

/// What happened on the wire so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    most_attempts: AtomicU32,
    lost_responses: AtomicU32,
    /// Until when the provider asked to be left alone.
    left_alone_until: Mutex<Option<Instant>>,
    /// The credentials in the form in which they were sent: a vendor may quote a token that stands in no secret.
    sent: Mutex<Vec<SecretString>>,
}

impl Seen {
    pub(super) fn attempts(&self) -> u32 {
        self.most_attempts.load(Ordering::Relaxed)
    }

    /// Notes that a call is attempted, and for which time.
    pub(super) fn note_attempt(&self, attempt: u32) {
        self.most_attempts.fetch_max(attempt, Ordering::Relaxed);
    }

    pub(super) fn lost_responses(&self) -> u32 {
        self.lost_responses.load(Ordering::Relaxed)
    }

    pub(super) fn note_lost_response(&self) {
        self.lost_responses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        let until = *lock(&self.left_alone_until);
        until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Notes for how long from now the provider asks to be left alone.
    pub(super) fn note_wait(&self, asked: Duration) {
        let mut until = lock(&self.left_alone_until);
        *until = (*until).max(Instant::now().checked_add(asked));
    }

    pub(super) fn redact(&self, text: &str) -> String {
        lock(&self.sent).iter().fold(text.to_owned(), |text, secret| redact(&text, secret.expose_secret()))
    }

    /// Notes a credential that is sent.
    pub(super) fn note_sent(&self, secret: &str) {
        let mut sent = lock(&self.sent);
        if secret.len() >= SHORTEST_SECRET && !sent.iter().any(|known| known.expose_secret() == secret) {
            sent.push(SecretString::from(secret));
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
