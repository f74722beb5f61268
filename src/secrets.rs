//! Secrets of sources and providers in AWS Secrets Manager, and when they are read.
//!
//! All that are needed come in one `BatchGetSecretValue` (20 a call) and are believed for five minutes. A rotation needs no
//! deployment: a failed verification and a refused credential each lead to a fresh read, within bounds. While the store is
//! down, the last value of a secret is used for a day.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use futures_util::future::join_all;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

mod cache;
#[cfg(test)]
mod tests;
mod value;

use cache::{Cache, Reading, Stage, is_settled};
pub use value::{KeyText, Secret, SecretError};
pub(crate) use value::{SHORTEST_SECRET, redact};

/// Bad signatures may cost one extra read per source in this time, and no more.
const SECOND_LOOK: Duration = Duration::from_secs(60);
/// Longest wait for a read that would replace a value at hand.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);
/// Most secrets that one `BatchGetSecretValue` takes.
const BATCH: usize = 20;

/// What the store said of one secret.
pub type SecretResult = Result<Arc<Secret>, SecretError>;

/// The secret store cannot be reached or is out of order. Its text names the error's code, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret store cannot be read: {code}")]
pub struct SecretStoreError {
    code: String,
}

/// Whether keys were read after a delivery arrived: only then is a signature that matches none of them wrong for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They were read completely since the delivery arrived.
    SinceArrival,
    /// They were read before, or could not be read.
    Outdated,
}

/// Versions of a source's secret that may verify a delivery that the value at hand did not.
#[derive(Clone, Debug)]
pub struct OtherVersions {
    /// The current version, if it differs from the value at hand.
    pub current: Option<Arc<Secret>>,
    /// The version before it.
    pub previous: Option<Arc<Secret>>,
    /// When both were read.
    pub freshness: Freshness,
}

/// AWS Secrets Manager, and what was last read from it. Shared by the invocations of a process.
#[derive(Debug)]
pub struct Secrets {
    client: Client,
    names: Vec<String>,
    /// Locked during a batch read: callers that come meanwhile share its answer.
    cache: Mutex<Cache>,
    /// Last second look per secret. Each is locked during its look; a delivery with a good signature does not need it.
    second_looks: HashMap<String, Mutex<Option<SecondLook>>>,
}

/// The last time that a failed verification caused a read.
#[derive(Clone, Copy, Debug)]
struct SecondLook {
    at: Instant,
    freshness: Freshness,
}

impl Secrets {
    /// Reads the secrets of these names through this client.
    pub fn new(client: Client, names: Vec<String>) -> Self {
        let second_looks = names.iter().map(|name| (name.clone(), Mutex::default())).collect();
        Self { client, names, cache: Mutex::default(), second_looks }
    }

    /// Reads all secrets, unless they were read a short while ago.
    ///
    /// # Errors
    /// If the store cannot be reached and there is a secret without a value. A secret that is missing is not an error here.
    pub async fn warm(&self) -> Result<(), SecretStoreError> {
        let cache = self.refreshed(None).await;
        let mut readings = self.names.iter().filter_map(|name| cache.reading(name, Stage::Current));
        readings.try_for_each(|reading| reading.map(|_| ()))
    }

    /// Returns the current version of a secret, or its last value while it cannot be read.
    ///
    /// # Errors
    /// If the store cannot be reached and there is no value of less than a day.
    pub async fn get(&self, name: &str) -> Result<SecretResult, SecretStoreError> {
        let cache = self.refreshed(Some(name)).await;
        cache.reading(name, Stage::Current).unwrap_or_else(|| Ok(Err(SecretError::not_found(name))))
    }

    /// Returns the current version of a secret, read anew. A value at hand is not given up for a bad answer: anybody who can
    /// cause a read must not be able to cause more.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn fresh(&self, name: &str) -> Result<SecretResult, SecretStoreError> {
        self.read_and_keep(name, Stage::Current).await
    }

    /// Returns the versions of a source's secret that may verify what `tried` did not, for a delivery that arrived at
    /// `arrived`. Reads them at most once a minute per secret, however many deliveries ask and also while the store is
    /// down; otherwise they are as they were read last.
    pub async fn other_versions(&self, name: &str, tried: &SecretResult, arrived: Instant) -> OtherVersions {
        let freshness = self.second_look(name, arrived).await;
        let cache = self.cache.lock().await;
        let current = cache.value(name, Stage::Current).filter(|current| tried.as_ref().ok() != Some(current));
        OtherVersions { current, previous: cache.value(name, Stage::Previous), freshness }
    }

    async fn second_look(&self, name: &str, arrived: Instant) -> Freshness {
        let Some(slot) = self.second_looks.get(name) else { return Freshness::SinceArrival };
        let mut slot = slot.lock().await;
        let look = match *slot {
            Some(look) if look.at.elapsed() < SECOND_LOOK => look,
            _ => {
                let at = Instant::now();
                // Counted before it is made: an invocation that is given up in between has used it up.
                *slot = Some(SecondLook { at, freshness: Freshness::Outdated });
                let freshness = self.look_again(name).await;
                *slot.insert(SecondLook { at, freshness })
            }
        };
        if look.at >= arrived { look.freshness } else { Freshness::Outdated }
    }

    /// Reads the current version, however lately it was read (the sender may have changed its key a second ago), and the
    /// one before it.
    async fn look_again(&self, name: &str) -> Freshness {
        let (current, previous) = tokio::join!(self.fresh(name), self.read_and_keep(name, Stage::Previous));
        if is_settled(&current) && is_settled(&previous) { Freshness::SinceArrival } else { Freshness::Outdated }
    }

    async fn read_and_keep(&self, name: &str, stage: Stage) -> Reading {
        let started = Instant::now();
        let reading = self.read(name, stage).await;
        let mut cache = self.cache.lock().await;
        let is_fault = matches!(&reading, Ok(Err(_))) && stage == Stage::Current;
        if !is_fault || cache.value(name, stage).is_none() {
            cache.keep(name, stage, reading.clone(), started);
        }
        reading
    }

    /// The cache, after a batch read if one is due.
    async fn refreshed(&self, name: Option<&str>) -> tokio::sync::MutexGuard<'_, Cache> {
        let asked = Instant::now();
        let mut cache = self.cache.lock().await;
        if cache.is_due(name, asked) {
            let started = Instant::now();
            let has_value = name.is_some_and(|name| cache.value(name, Stage::Current).is_some());
            let readings = if has_value {
                timeout(REFRESH_TIMEOUT, self.read_all()).await.unwrap_or_else(|_| self.all_down("time-out"))
            } else {
                self.read_all().await
            };
            cache.keep_batch(readings, started);
        }
        cache
    }

    fn all_down(&self, code: &str) -> Vec<(String, Reading)> {
        self.names.iter().map(|name| (name.clone(), Err(SecretStoreError { code: code.to_owned() }))).collect()
    }

    /// Reads the current version of every secret, all batches at once.
    async fn read_all(&self) -> Vec<(String, Reading)> {
        let batches = self.names.chunks(BATCH).map(|names| async move {
            match self.read_batch(names).await {
                Ok(read) => read,
                Err(error) => names.iter().map(|name| (name.clone(), Err(error.clone()))).collect(),
            }
        });
        join_all(batches).await.into_iter().flatten().collect()
    }

    async fn read_batch(&self, names: &[String]) -> Result<HashMap<String, Reading>, SecretStoreError> {
        let unnamed = |name: &String| (name.clone(), Ok(Err(SecretError::unreadable(name))));
        let mut readings: HashMap<String, Reading> = names.iter().map(unnamed).collect();
        let mut next = None;
        loop {
            let request = self.client.batch_get_secret_value().set_secret_id_list(Some(names.to_vec()));
            let answer = request.set_next_token(next).send().await.map_err(down)?;
            for value in answer.secret_values() {
                // One secret may be asked for by its name and by its ARN.
                for name in names.iter().filter(|name| [value.name(), value.arn()].contains(&Some(name.as_str()))) {
                    readings.insert(name.clone(), Ok(parse(name, value.secret_string())));
                }
            }
            for error in answer.errors() {
                if let Some(name) = names.iter().find(|name| error.secret_id() == Some(name.as_str())) {
                    readings.insert(name.clone(), refused(name, error.error_code().unwrap_or("unknown")));
                }
            }
            next = answer.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(readings);
            }
        }
    }

    /// Reads one version of one secret.
    async fn read(&self, name: &str, stage: Stage) -> Reading {
        match self.client.get_secret_value().secret_id(name).version_stage(stage.label()).send().await {
            Ok(answer) => Ok(parse(name, answer.secret_string())),
            Err(error) => match error.code() {
                Some(code) => refused(name, code),
                None => Err(down(error)),
            },
        }
    }
}

fn parse(name: &str, text: Option<&str>) -> SecretResult {
    Secret::parse(name, text.unwrap_or_default()).map(Arc::new)
}

/// Reads an error about one secret: it is not there or is marked for deletion, we may not read or decrypt it, or the store
/// is out of order.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Errors>
fn refused(name: &str, code: &str) -> Reading {
    match code {
        "ResourceNotFoundException" | "InvalidRequestException" => Ok(Err(SecretError::not_found(name))),
        "AccessDeniedException" | "DecryptionFailure" => Ok(Err(SecretError::unreadable(name))),
        code => Err(SecretStoreError { code: code.to_owned() }),
    }
}

fn down<E>(error: SdkError<E>) -> SecretStoreError
where
    SdkError<E>: ProvideErrorMetadata,
{
    SecretStoreError { code: crate::aws::cause(&error) }
}

impl Secrets {
    /// Holds one secret as if it had just been read, and cannot read anything: for tests without a secret store.
    pub fn holding(name: &str, value: &str) -> Self {
        let config = aws_sdk_secretsmanager::Config::builder().behavior_version(crate::aws::behavior()).build();
        let mut cache = Cache::default();
        cache.keep_batch(vec![(name.to_owned(), Ok(parse(name, Some(value))))], Instant::now());
        Self { cache: Mutex::new(cache), ..Self::new(Client::from_conf(config), Vec::new()) }
    }
}
