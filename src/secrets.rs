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

pub(crate) use value::SHORTEST_SECRET;
pub use value::{Secret, SecretFault};

/// How long a secret is believed without being read again.
const TTL: Duration = Duration::from_secs(300);
/// Bad signatures may cost one extra read per source in this time, and no more.
const SECOND_LOOK: Duration = Duration::from_secs(60);
/// What the store says of one secret, and not of itself: it is not there, it is marked for deletion (or has no such version),
/// we may not read it, we may not decrypt it.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Errors>
const UNREADABLE: [&str; 4] =
    ["ResourceNotFoundException", "InvalidRequestException", "AccessDeniedException", "DecryptionFailure"];
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
    /// Locked while one is made. Whoever has a good signature takes the cache's lock alone, and does not wait for it.
    second_looks: Mutex<HashMap<String, SecondLook>>,
}

#[derive(Debug, Default)]
struct Cache {
    read_at: Option<Instant>,
    current: HashMap<String, Lookup>,
}

/// The last time a failed verification made us look again, and the version before the current one.
#[derive(Debug)]
struct SecondLook {
    at: Instant,
    previous: Result<Option<Arc<Secret>>, StoreDown>,
}

impl Secrets {
    /// Reads the secrets of these names through this client.
    pub fn new(client: Client, names: Vec<String>) -> Self {
        Self { client, names, cache: Mutex::default(), second_looks: Mutex::default() }
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

    /// The current version of a secret, read anew. One that was good before is not given up for a bad one: whoever can
    /// cause a read must not be able to cause more.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn fresh(&self, name: &str) -> Result<Lookup, StoreDown> {
        let found = self.read(name, "AWSCURRENT").await?;
        let current = &mut self.cache.lock().await.current;
        if found.is_ok() || !current.get(name).is_some_and(Result::is_ok) {
            current.insert(name.to_owned(), found.clone());
        }
        Ok(found)
    }

    /// The versions of a source's secret that may verify what `tried` did not: the current one if it is another, and the one
    /// before it. Looks at most once in `SECOND_LOOK` per source, also while the store is out of order.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn other_versions(&self, name: &str, tried: &Lookup) -> Result<Vec<Arc<Secret>>, StoreDown> {
        let mut looks = self.second_looks.lock().await;
        if looks.get(name).is_none_or(|look| look.at.elapsed() >= SECOND_LOOK) {
            let look = SecondLook { at: Instant::now(), previous: self.look_again(name).await };
            looks.insert(name.to_owned(), look);
        }
        let previous = looks.get(name).map_or(Ok(None), |look| look.previous.clone())?;
        let current = self.get(name).await?.ok().filter(|current| tried.as_ref().ok() != Some(current));
        Ok(current.into_iter().chain(previous).collect())
    }

    /// Reads the current version, however lately it was read (the sender may have changed its key a second ago), and the
    /// one before it.
    async fn look_again(&self, name: &str) -> Result<Option<Arc<Secret>>, StoreDown> {
        let (current, previous) = tokio::join!(self.fresh(name), self.read(name, "AWSPREVIOUS"));
        // Whether the secret is good is seen when it is used.
        let _ = current?;
        Ok(previous?.ok())
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
                // One secret may be asked for by its name and by its ARN.
                for name in names.iter().filter(asked) {
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
            Err(error) if error.code().is_some_and(|code| UNREADABLE.contains(&code)) => {
                Ok(Err(SecretFault::not_found(name)))
            }
            Err(error) => Err(down(error)),
        }
    }
}

fn parse(name: &str, text: Option<&str>) -> Lookup {
    Secret::parse(name, text.unwrap_or_default()).map(Arc::new)
}

fn down<E>(error: SdkError<E>) -> StoreDown
where
    SdkError<E>: ProvideErrorMetadata,
{
    StoreDown(crate::aws::told(&error))
}

impl Secrets {
    /// Holds one secret as if it had just been read, and cannot read anything: for tests without a secret store.
    pub fn holding(name: &str, value: &str) -> Self {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .build();
        let current = HashMap::from([(name.to_owned(), parse(name, Some(value)))]);
        let cache = Mutex::new(Cache { read_at: Some(Instant::now()), current });
        Self { client: Client::from_conf(config), names: Vec::new(), cache, second_looks: Mutex::default() }
    }
}
