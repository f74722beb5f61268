//! Carries an assignment out: every provider at once, each to the common deadline, one outcome each whatever happens.
//!
//! Exactness and proof live here and nowhere else: look up → exactly one exact match → ask → remove → look again. Whether a
//! person may be removed is judged elsewhere; here an account is judged, and every removal asks at the [`Barrier`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Url;
use tokio::{
    task::{self, JoinSet},
    time::{Instant, timeout_at},
};

use crate::{
    config::{Config, Policy, ProviderConfig},
    outbound::{Client, Http},
    outcome::{AccountResult, Outcome, ProviderResult},
    person::{is_direction_control, mask_addresses},
    providers::{Rate, Tenant, Urls},
    secrets::{Secret, SecretResult, SecretStoreError, Secrets},
};

mod account;
mod assignment;
mod connection;
mod sight;
#[cfg(test)]
mod tests;

pub use crate::barrier::{Ask, Barrier, Permission};
use account::Removing;
pub use assignment::{Action, AddressStatus, Assignment, OwnedIdentity, Target};
use connection::Connection;

/// How long after the deadline a provider that does not stop by itself is left behind.
const GRACE: Duration = Duration::from_millis(100);
/// The longest text from outside that is shown, in characters.
const LONGEST_TEXT: usize = 300;

/// All configured providers, ready to be called.
#[derive(Debug)]
pub struct Engine {
    client: Client,
    policy: Policy,
    connections: Vec<Arc<Connection>>,
}

/// What one invocation works with.
#[derive(Clone, Debug)]
struct Job {
    policy: Policy,
    connection: Arc<Connection>,
    secrets: Arc<Secrets>,
    assignment: Arc<Assignment>,
    deadline: Instant,
    barrier: Barrier,
    looking: Looking,
}

/// The providers that may still ask for their first removal.
#[derive(Clone, Debug, Default)]
struct Looking(Arc<Mutex<BTreeSet<String>>>);

impl Looking {
    fn with<T>(&self, change: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An assignment that is being carried out. Dropped, it stops.
#[derive(Debug)]
pub struct Run {
    tasks: JoinSet<ProviderResult>,
    names: HashMap<task::Id, String>,
    looking: Looking,
}

impl Run {
    /// The next provider's result, as they end; `None` after the last.
    pub async fn next(&mut self) -> Option<ProviderResult> {
        let ended = self.tasks.join_next_with_id().await?;
        Some(self.result(ended))
    }

    /// The next provider's result, if one has ended already.
    pub fn try_next(&mut self) -> Option<ProviderResult> {
        let ended = self.tasks.try_join_next_with_id()?;
        Some(self.result(ended))
    }

    /// Whether every provider has ended.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns the providers that have neither asked for a removal yet nor ended. Called before the asks are taken out of the
    /// barrier's receiver, it misses none: an intent that names these and those covers every removal of this run.
    pub fn unfinished(&self) -> Vec<String> {
        self.looking.with(|looking| looking.iter().cloned().collect())
    }

    fn result(&self, ended: Result<(task::Id, ProviderResult), task::JoinError>) -> ProviderResult {
        let name = |error: &task::JoinError| self.names.get(&error.id()).cloned().unwrap_or_default();
        let result = ended.map_or_else(|error| panicked(name(&error)), |(_, result)| result);
        self.looking.with(|looking| looking.remove(&result.provider));
        result
    }
}

impl Engine {
    /// Takes the providers out of the configuration.
    pub fn new(config: &mut Config, client: Client) -> Self {
        let providers = std::mem::take(&mut config.providers);
        let connection = |config| Arc::new(Connection::new(config, client.for_provider()));
        let connections = providers.into_iter().map(connection).collect();
        Self { client, policy: config.policy.clone(), connections }
    }

    /// The connections that it calls with.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The URLs that will be called, as far as they are known without the secrets.
    pub(crate) fn urls(&self) -> impl Iterator<Item = Url> {
        self.connections.iter().map(|connection| connection.config()).flat_map(|config| {
            let Urls { base, token } = config.settings.urls();
            let parsed = |urls: Vec<String>| urls.into_iter().filter_map(|url| Url::parse(&url).ok());
            let base = match &config.base_url {
                Some(url) => vec![url.url().clone()],
                None => parsed(base).collect(),
            };
            base.into_iter().chain(parsed(token))
        })
    }

    /// The names of all providers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connections.iter().map(|connection| connection.name())
    }

    /// Returns the time between two departures that keeps within a provider's limit; `None` if no limit is known.
    pub fn interval(&self, name: &str) -> Option<Duration> {
        let connection = self.connections.iter().find(|connection| connection.name() == name)?;
        let config = connection.config();
        Some(Rate::read(config.kind.limits?)?.interval(config.canary.is_some()))
    }

    /// Carries an assignment out until `deadline`, every removal permitted. Exactly one result per provider, sorted by name.
    pub async fn execute(
        &self,
        secrets: &Arc<Secrets>,
        assignment: Assignment,
        deadline: Instant,
    ) -> Vec<ProviderResult> {
        let mut run = self.begin(secrets, assignment, deadline, &Barrier::open(), |_| true);
        let mut results = Vec::new();
        while let Some(result) = run.next().await {
            results.push(result);
        }
        results.sort_by(|a, b| a.provider.cmp(&b.provider));
        results
    }

    /// Begins to carry an assignment out at the providers that are `wanted` (for [`Action::Resolve`], those of them where a
    /// removal was begun). Every removal asks at the barrier first.
    pub fn begin(
        &self,
        secrets: &Arc<Secrets>,
        assignment: Assignment,
        deadline: Instant,
        barrier: &Barrier,
        wanted: impl Fn(&str) -> bool,
    ) -> Run {
        let (resolving, begun) = (assignment.action == Action::Resolve, &assignment.begun);
        let takes_part = |connection: &Arc<Connection>| {
            let name = connection.name();
            wanted(name) && (!resolving || (begun.contains(name) && !connection.is_manual()))
        };
        let wanted: Vec<_> = self.connections.iter().filter(|connection| takes_part(connection)).collect();
        let looking = Looking::default();
        // What a person removes is not announced.
        let called = wanted.iter().filter(|connection| !connection.is_manual());
        looking.with(|looking| looking.extend(called.map(|connection| connection.name().to_owned())));
        let assignment = Arc::new(assignment);
        let mut run = Run { tasks: JoinSet::new(), names: HashMap::new(), looking };
        for connection in wanted {
            let job = Job {
                policy: self.policy.clone(),
                connection: connection.clone(),
                secrets: secrets.clone(),
                assignment: assignment.clone(),
                deadline,
                barrier: barrier.clone(),
                looking: run.looking.clone(),
            };
            // On the heap: it is large, and a task moves its future, and again the room for it.
            let job = Box::pin(job.run());
            run.names.insert(run.tasks.spawn(job).id(), connection.name().to_owned());
        }
        run
    }
}

/// The result of a provider whose code panicked: what it did until then is not known, so a person looks.
fn panicked(provider: String) -> ProviderResult {
    let account =
        AccountResult::of(Outcome::Rejected).reason("internal_error").detail("offboard failed here; see the log");
    ProviderResult::new(provider, account)
}

fn store_down(down: &SecretStoreError) -> AccountResult {
    AccountResult::of(Outcome::Unavailable).reason("secret_store").detail(down.to_string())
}

impl Job {
    async fn run(self) -> ProviderResult {
        let started = Instant::now();
        let result = timeout_at(self.deadline + GRACE, self.with_credentials()).await.unwrap_or_else(|_| {
            // Something may have been sent: that nothing was attempted cannot be said.
            self.result(AccountResult::of(Outcome::Unavailable).reason("deadline"), 1)
        });
        self.looking.with(|looking| looking.remove(self.connection.name()));
        ProviderResult { elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), ..result }
    }

    fn result(&self, account: AccountResult, attempts: u32) -> ProviderResult {
        ProviderResult { attempts, ..ProviderResult::new(self.connection.name(), account) }
    }

    /// A refusal of the credentials makes them be read once more: they may have been rotated.
    async fn with_credentials(&self) -> ProviderResult {
        let Some(name) = self.connection.secret_name() else { return self.result(self.manual(), 0) };
        let cached = match self.secrets.get(name).await {
            Ok(secret) => secret,
            Err(down) => return self.result(store_down(&down), 0),
        };
        let first = self.everywhere(&cached).await;
        if first.worst.outcome != Outcome::Unauthorized {
            return first;
        }
        match self.secrets.fresh(name).await {
            Ok(fresh) if fresh != cached => {
                let mut second = self.everywhere(&fresh).await;
                second.keep_removed(&first);
                second
            }
            Ok(_) => first,
            // Whether the credentials are outdated is not known: that would be a person's business, this is not yet.
            Err(down) => ProviderResult { worst: store_down(&down), ..first },
        }
    }

    /// What a person has to do where the product has no API.
    fn manual(&self) -> AccountResult {
        let config = self.connection.config();
        let result = match self.assignment.action {
            Action::LookUp => AccountResult::of(Outcome::Planned).reason("manual"),
            Action::Remove | Action::Resolve => AccountResult::of(Outcome::Manual).reason(config.action.name()),
        };
        result.detail(config.settings.instructions().unwrap_or_default())
    }

    /// All tenants of the provider at once, merged into one result.
    async fn everywhere(&self, secret: &SecretResult) -> ProviderResult {
        let connected = secret.clone().and_then(|secret| Ok((self.connection.tenants(&secret)?, secret)));
        let (tenants, secret) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                let account = AccountResult::of(Outcome::Unauthorized).reason(error.reason()).detail(error.to_string());
                return self.result(account, 0);
            }
        };
        let work = tenants.iter().map(|tenant| self.in_tenant(tenant, &secret));
        let (mut accounts, mut attempts, mut asked_to_wait) = (Vec::new(), 0, None);
        for (found, http) in futures_util::future::join_all(work).await {
            attempts = attempts.max(http.as_ref().map_or(0, Http::attempts));
            asked_to_wait = asked_to_wait.max(http.as_ref().and_then(Http::asked_to_wait));
            accounts.extend(found);
        }
        let worst = accounts.iter().max_by_key(|account| account.outcome).cloned();
        let worst = worst.unwrap_or(AccountResult::of(Outcome::NotAttempted));
        let result = self.result(AccountResult { scope: None, ..worst }, attempts);
        let accounts = if accounts.len() > 1 { accounts } else { Vec::new() };
        ProviderResult { accounts, asked_to_wait, ..result }
    }

    /// What is found in one tenant: an account for each of the person's addresses.
    async fn in_tenant(&self, tenant: &Tenant, secret: &Secret) -> (Vec<AccountResult>, Option<Http>) {
        let config = self.connection.config();
        let scoped = |name: Option<String>, account| {
            let scope: Vec<_> = tenant.scope.clone().into_iter().chain(name).collect();
            AccountResult { scope: Some(scope.join(" · ")), ..account }
        };
        let http = match tenant_url(config, tenant) {
            Some(base) => Http::new(self.connection.client(), base, config.limits.clone(), self.deadline),
            None => {
                return (vec![scoped(None, AccountResult::of(Outcome::Rejected).reason("unusable_base_url"))], None);
            }
        };
        let removing = Removing {
            provider: tenant.provider.as_ref(),
            http: &http,
            config,
            policy: &self.policy,
            assignment: &self.assignment,
            barrier: &self.barrier,
            asked: &|| {
                self.looking.with(|looking| looking.remove(&config.name));
            },
        };
        let accounts = removing.run().await;
        // Whatever a vendor wrote may quote what it was sent.
        let clean = |text: String| -> String {
            mask_addresses(&http.redact(&secret.redact(&text)))
                .chars()
                .filter(|c| !c.is_control() && !is_direction_control(*c))
                .take(LONGEST_TEXT)
                .collect()
        };
        let found = accounts.into_iter().map(|(name, account)| scoped(name, account.cleaned(clean)));
        let found = found.collect();
        (found, Some(http))
    }
}

fn tenant_url(config: &ProviderConfig, tenant: &Tenant) -> Option<Url> {
    match &config.base_url {
        Some(base) => Some(base.url().clone()),
        None => Url::parse(&tenant.base_url).ok(),
    }
}
