//! Last value of each secret, and how long it is believed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Secret, SecretResult, SecretStoreError};

/// Age at which the current versions are read again.
const TTL: Duration = Duration::from_secs(300);
/// Pause after a batch read that failed, for secrets that have a value. Those without one are asked for every time.
const REST: Duration = Duration::from_secs(10);
/// Age up to which a value stands in for one that cannot be read afresh, counted from its last successful read.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Staging label of a version.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Current,
    Previous,
}

impl Stage {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// Answer to one read of one secret.
pub(super) type Reading = Result<SecretResult, SecretStoreError>;

/// Answers per secret and version, and the time of the last batch read.
#[derive(Debug, Default)]
pub(super) struct Cache {
    batch: Option<Batch>,
    held: HashMap<(String, Stage), Held>,
}

#[derive(Debug)]
struct Batch {
    ended: Instant,
    failed: bool,
}

#[derive(Debug)]
struct Held {
    reading: Reading,
    /// Start of the read.
    read_at: Instant,
}

impl Cache {
    /// Whether the current versions must be read for a caller that asked at `asked` for `name`, or for all secrets. A
    /// batch read that ended since then serves this caller too, also one that failed.
    pub(super) fn is_due(&self, name: Option<&str>, asked: Instant) -> bool {
        let Some(batch) = &self.batch else { return true };
        let wait = match (batch.failed, name.and_then(|name| self.value(name, Stage::Current))) {
            (false, _) => TTL,
            (true, Some(_)) => REST,
            (true, None) => Duration::ZERO,
        };
        batch.ended < asked && batch.ended.elapsed() >= wait
    }

    /// Records a batch read of the current versions that began at `started`.
    pub(super) fn keep_batch(&mut self, readings: Vec<(String, Reading)>, started: Instant) {
        let failed = readings.iter().any(|(_, reading)| reading.is_err());
        for (name, reading) in readings {
            self.keep(&name, Stage::Current, reading, started);
        }
        self.batch = Some(Batch { ended: Instant::now(), failed });
    }

    /// Records one read that began at `started`. A value is replaced by another value, or because the secret does not
    /// exist; for anything else it is kept until it is [`KEPT`] old.
    pub(super) fn keep(&mut self, name: &str, stage: Stage, reading: Reading, started: Instant) {
        let key = (name.to_owned(), stage);
        if let Some(held) = self.held.get(&key) {
            if held.read_at > started {
                return;
            }
            let good = matches!(held.reading, Ok(Ok(_))) && started.duration_since(held.read_at) < KEPT;
            if good && !is_settled(&reading) {
                let reason = reading.map(|lookup| lookup.err()).map_or_else(|down| down.to_string(), text);
                tracing::error!(secret = name, stage = stage.label(), reason, "a secret's last value is kept");
                return;
            }
        }
        self.held.insert(key, Held { reading, read_at: started });
    }

    /// Last answer about a version; `None` if it was never asked for.
    pub(super) fn reading(&self, name: &str, stage: Stage) -> Option<Reading> {
        self.held.get(&(name.to_owned(), stage)).map(|held| held.reading.clone())
    }

    /// Value of a version, if it has a usable one.
    pub(super) fn value(&self, name: &str, stage: Stage) -> Option<Arc<Secret>> {
        self.reading(name, stage)?.ok()?.ok()
    }
}

fn text(error: Option<super::SecretError>) -> String {
    error.map(|error| error.to_string()).unwrap_or_default()
}

/// Whether it is known what the secret is: its value, or that it does not exist.
pub(super) fn is_settled(reading: &Reading) -> bool {
    match reading {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.is_absence(),
        Err(_) => false,
    }
}
