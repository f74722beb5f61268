//! The secrets of sources and providers: what one holds, where they are kept, when they are read again.
//!
//! All that are needed come in one `BatchGetSecretValue` (20 a call) and are kept for `TTL`. A rotation needs no
//! deployment: a failed verification and a refused credential each lead to a fresh read, within bounds.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use tokio::{sync::Mutex, time::Instant};

mod value;

pub use value::{Secret, SecretFault};

/// How long a secret is believed without being read again.
const TTL: Duration = Duration::from_secs(300);
/// Bad signatures may cost one extra read per source in this time, and no more.
const SECOND_LOOK: Duration = Duration::from_secs(60);
/// The most secrets that one `BatchGetSecretValue` takes.
const BATCH: usize = 20;

/// What the store said of one secret.
pub type Lookup = Result<Arc<Secret>, SecretFault>;

/// The secret store cannot be reached or is out of order. Its text names the error's code, never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreDown(String);

impl fmt::Display for StoreDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret store cannot be read: {}", self.0)
    }
}

impl std::error::Error for StoreDown {}

/// AWS Secrets Manager, and what was last read from it.
#[derive(Debug)]
pub struct Secrets {
    client: Client,
    names: Vec<String>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    read_at: Option<Instant>,
    current: HashMap<String, Lookup>,
    second_looks: HashMap<String, SecondLook>,
}

/// The last time a failed verification made us look again, and the version before the current one.
#[derive(Debug)]
struct SecondLook {
    at: Instant,
    previous: Option<Arc<Secret>>,
}

impl Secrets {
    /// Reads the secrets of these names through this client.
    pub fn new(client: Client, names: Vec<String>) -> Self {
        Self { client, names, cache: Mutex::new(Cache::default()) }
    }

    /// Reads all secrets, unless they were read a short while ago.
    ///
    /// # Errors
    /// If the store cannot be reached. A secret that is missing is not an error here.
    pub async fn warm(&self) -> Result<(), StoreDown> {
        self.current(&mut *self.cache.lock().await).await
    }

    /// The current version of a secret.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn get(&self, name: &str) -> Result<Lookup, StoreDown> {
        let mut cache = self.cache.lock().await;
        self.current(&mut cache).await?;
        Ok(cache.current.get(name).cloned().unwrap_or_else(|| Err(SecretFault::not_found(name))))
    }

    /// The current version of a secret, read anew.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn fresh(&self, name: &str) -> Result<Lookup, StoreDown> {
        let found = self.read(name, "AWSCURRENT").await?;
        self.cache.lock().await.current.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    /// The versions of a source's secret that may verify what the one at hand did not: the current one if it has changed
    /// since it was read, and the one before it. Looks at most once in `SECOND_LOOK` per source.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn other_versions(&self, name: &str) -> Result<Vec<Arc<Secret>>, StoreDown> {
        let mut cache = self.cache.lock().await;
        let now = Instant::now();
        let known = cache.current.get(name).cloned();
        if cache.second_looks.get(name).is_none_or(|look| now - look.at >= SECOND_LOOK) {
            // The current one too, however lately it was read: the sender may have changed its key a second ago.
            let (current, previous) = tokio::join!(self.read(name, "AWSCURRENT"), self.read(name, "AWSPREVIOUS"));
            cache.current.insert(name.to_owned(), current?);
            let previous = previous?.ok();
            cache.second_looks.insert(name.to_owned(), SecondLook { at: now, previous });
        }
        let current = cache.current.get(name).filter(|current| Some(*current) != known.as_ref()).cloned();
        let previous = cache.second_looks.get(name).and_then(|look| look.previous.clone());
        Ok(current.and_then(Result::ok).into_iter().chain(previous).collect())
    }

    /// Reads everything again if it is too old.
    async fn current(&self, cache: &mut Cache) -> Result<(), StoreDown> {
        if cache.read_at.is_some_and(|at| at.elapsed() < TTL) {
            return Ok(());
        }
        let mut current = HashMap::new();
        for names in self.names.chunks(BATCH) {
            self.read_batch(names, &mut current).await?;
        }
        cache.current = current;
        cache.read_at = Some(Instant::now());
        Ok(())
    }

    async fn read_batch(&self, names: &[String], found: &mut HashMap<String, Lookup>) -> Result<(), StoreDown> {
        let mut next = None;
        loop {
            let request = self.client.batch_get_secret_value().set_secret_id_list(Some(names.to_vec()));
            let answer = request.set_next_token(next).send().await.map_err(down)?;
            for value in answer.secret_values() {
                let asked = |name: &&String| [value.name(), value.arn()].contains(&Some(name.as_str()));
                if let Some(name) = names.iter().find(asked) {
                    found.insert(name.clone(), parse(name, value.secret_string()));
                }
            }
            next = answer.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// One version of one secret. That it does not exist is an answer; that we may not read it, too.
    async fn read(&self, name: &str, stage: &str) -> Result<Lookup, StoreDown> {
        match self.client.get_secret_value().secret_id(name).version_stage(stage).send().await {
            Ok(answer) => Ok(parse(name, answer.secret_string())),
            Err(error) if matches!(error.code(), Some("ResourceNotFoundException" | "AccessDeniedException")) => {
                Ok(Err(SecretFault::not_found(name)))
            }
            Err(error) => Err(down(error)),
        }
    }
}

fn parse(name: &str, text: Option<&str>) -> Lookup {
    Secret::parse(name, text.unwrap_or_default()).map(Arc::new)
}

/// The error in our words. The SDK's own text may quote an address; the code is enough for a person.
fn down<E>(error: SdkError<E>) -> StoreDown
where
    SdkError<E>: ProvideErrorMetadata,
{
    let kind = match &error {
        SdkError::TimeoutError(_) => "time-out",
        SdkError::DispatchFailure(_) => "no connection",
        SdkError::ResponseError(_) => "an answer that was not understood",
        _ => "refused",
    };
    StoreDown(error.code().unwrap_or(kind).to_owned())
}

#[cfg(test)]
impl Secrets {
    /// Holds one secret as if it had just been read, and cannot read anything.
    pub(crate) fn holding(name: &str, value: &str) -> Self {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .build();
        let current = HashMap::from([(name.to_owned(), parse(name, Some(value)))]);
        let cache = Cache { read_at: Some(Instant::now()), current, second_looks: HashMap::new() };
        Self { client: Client::from_conf(config), names: Vec::new(), cache: Mutex::new(cache) }
    }
}
