//! Carries a plan out: every provider at once, each to the common deadline, one outcome each whatever happens.
//!
//! Exactness and proof live here and nowhere else: look up → exactly one exact match → remove → look again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::{self, JoinSet},
    time::{Instant, timeout_at},
};

use crate::{
    aws,
    config::{Config, Policy, ProviderConfig},
    http::{Client, Http},
    outcome::Outcome,
    person::{Person, mask_addresses},
    plan::{Intent, Plan},
    providers::AnyPlace,
    report::{AccountReport, Entry, Finding},
    secrets::{Lookup, Secret, Secrets, StoreDown},
};

mod account;
mod connection;
mod gate;

use account::Removing;
use connection::Connection;
pub use gate::{Gate, Keeper};

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
    client: Client,
    policy: Policy,
    connection: Arc<Connection>,
    secrets: Arc<Secrets>,
    person: Person,
    intent: Intent,
    deadline: Instant,
    gate: Gate,
}

/// A plan that is being carried out. Dropped, it stops.
#[derive(Debug)]
pub struct Run {
    tasks: JoinSet<Entry>,
    names: HashMap<task::Id, String>,
}

impl Run {
    /// The next provider's entry, as they end; `None` after the last.
    pub async fn next(&mut self) -> Option<Entry> {
        let ended = self.tasks.join_next_with_id().await?;
        Some(self.entry(ended))
    }

    /// The next provider's entry, if one has ended already.
    pub fn try_next(&mut self) -> Option<Entry> {
        let ended = self.tasks.try_join_next_with_id()?;
        Some(self.entry(ended))
    }

    /// Whether every provider has ended.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn entry(&self, ended: Result<(task::Id, Entry), task::JoinError>) -> Entry {
        let name = |error: &task::JoinError| self.names.get(&error.id()).cloned().unwrap_or_default();
        ended.map_or_else(|error| panicked(name(&error)), |(_, entry)| entry)
    }
}

impl Engine {
    /// Takes the providers out of the configuration.
    pub fn new(config: &mut Config, client: Client) -> Self {
        let providers = std::mem::take(&mut config.providers);
        let connections = providers.into_iter().map(|config| Arc::new(Connection::new(config))).collect();
        Self { client, policy: config.policy.clone(), connections }
    }

    /// Makes the connections that a configuration asks for: to its providers, and to Secrets Manager.
    ///
    /// # Errors
    /// If the extra certificate authority cannot be used.
    pub async fn connect(config: &mut Config) -> Result<(Self, Arc<Secrets>), String> {
        let extra_ca = config.extra_ca().map_err(|faults| faults.to_string())?;
        let client = Client::new(extra_ca.as_deref(), config.calls_out())?;
        let aws = aws::config(extra_ca.as_deref()).await?;
        let store = aws_sdk_secretsmanager::Client::new(&aws);
        let secrets = Arc::new(Secrets::new(store, config.secret_names()));
        Ok((Self::new(config, client), secrets))
    }

    /// The connections that it calls with.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The names of all providers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connections.iter().map(|connection| connection.name())
    }

    /// Carries a plan out until `deadline`. Exactly one entry per provider, sorted by name.
    pub async fn execute(&self, secrets: &Arc<Secrets>, plan: &Plan, deadline: Instant) -> Vec<Entry> {
        let mut run = self.begin(secrets, plan, deadline, &Gate::open(), |_| true);
        let mut entries = Vec::new();
        while let Some(entry) = run.next().await {
            entries.push(entry);
        }
        entries.sort_by(|a, b| a.provider.cmp(&b.provider));
        entries
    }

    /// Begins to carry a plan out at the providers that are `wanted`. Nobody is removed before the gate is open.
    pub fn begin(
        &self,
        secrets: &Arc<Secrets>,
        plan: &Plan,
        deadline: Instant,
        gate: &Gate,
        wanted: impl Fn(&str) -> bool,
    ) -> Run {
        let mut run = Run { tasks: JoinSet::new(), names: HashMap::new() };
        for connection in self.connections.iter().filter(|connection| wanted(connection.name())) {
            let job = Job {
                client: self.client.clone(),
                policy: self.policy.clone(),
                connection: connection.clone(),
                secrets: secrets.clone(),
                person: plan.departure.person.clone(),
                intent: plan.intent,
                deadline,
                gate: gate.clone(),
            };
            run.names.insert(run.tasks.spawn(job.run()).id(), connection.name().to_owned());
        }
        run
    }
}

/// The entry of a provider whose code panicked: what it did until then is not known, so a person looks.
fn panicked(provider: String) -> Entry {
    let finding = Finding::of(Outcome::Rejected).reason("internal_error").detail("offboard failed here; see the log");
    Entry { provider, finding, accounts: Vec::new(), attempts: 0, elapsed_ms: 0 }
}

fn store_down(down: &StoreDown) -> Finding {
    Finding::of(Outcome::Unavailable).reason("secret_store").detail(down.to_string())
}

impl Job {
    async fn run(self) -> Entry {
        let started = Instant::now();
        let entry = match self.intent {
            Intent::Leave(outcome, reason) => self.entry(Finding::of(outcome).reason(reason.to_string()), 0),
            _ => timeout_at(self.deadline + GRACE, self.with_credentials()).await.unwrap_or_else(|_| {
                // Something may have been sent: that nothing was attempted cannot be said.
                self.entry(Finding::of(Outcome::Unavailable).reason("deadline"), 1)
            }),
        };
        Entry { elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), ..entry }
    }

    fn entry(&self, finding: Finding, attempts: u32) -> Entry {
        Entry { provider: self.connection.name().to_owned(), finding, accounts: Vec::new(), attempts, elapsed_ms: 0 }
    }

    /// A refusal of the credentials makes them be read once more: they may have been rotated.
    async fn with_credentials(&self) -> Entry {
        let name = self.connection.secret_name();
        let cached = match self.secrets.get(name).await {
            Ok(secret) => secret,
            Err(down) => return self.entry(store_down(&down), 0),
        };
        let first = self.everywhere(&cached).await;
        if first.finding.outcome != Outcome::Unauthorized {
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
            Err(down) => Entry { finding: store_down(&down), ..first },
        }
    }

    /// All places of the provider at once, merged into one entry.
    async fn everywhere(&self, secret: &Lookup) -> Entry {
        let connected = secret.clone().and_then(|secret| Ok((self.connection.places(&secret)?, secret)));
        let (places, secret) = match connected {
            Ok(connected) => connected,
            Err(fault) => {
                let finding = Finding::of(Outcome::Unauthorized).reason(fault.reason()).detail(fault.to_string());
                return self.entry(finding, 0);
            }
        };
        let work = places.iter().map(|place| self.in_place(place, &secret));
        let (mut accounts, mut attempts) = (Vec::new(), 0);
        for (found, needed) in futures_util::future::join_all(work).await {
            attempts = attempts.max(needed);
            accounts.extend(found);
        }
        let worst = accounts.iter().map(|account| &account.finding).max_by_key(|finding| finding.outcome).cloned();
        let entry = self.entry(worst.unwrap_or(Finding::of(Outcome::NotAttempted)), attempts);
        Entry { accounts: if accounts.len() > 1 { accounts } else { Vec::new() }, ..entry }
    }

    /// What is found in one place: an account for each of the person's addresses.
    async fn in_place(&self, place: &AnyPlace, secret: &Secret) -> (Vec<AccountReport>, u32) {
        let config = self.connection.config();
        let report = |name: Option<String>, finding| {
            let scope: Vec<_> = place.scope.clone().into_iter().chain(name).collect();
            AccountReport { scope: scope.join(" · "), finding }
        };
        let http = match place_url(config, place) {
            Some(base) => Http::new(self.client.clone(), base, config.limits.clone(), self.deadline),
            None => return (vec![report(None, Finding::of(Outcome::Rejected).reason("unusable_base_url"))], 0),
        };
        let removing = Removing {
            provider: place.provider.as_ref(),
            http: &http,
            policy: &self.policy,
            confirm: config.confirm,
            look_only: self.intent == Intent::LookOnly,
            gate: &self.gate,
        };
        let findings = removing.run(&self.person).await;
        // Whatever a vendor wrote may quote what it was sent.
        let clean = |text: String| -> String {
            mask_addresses(&http.redact(&secret.redact(&text)))
                .chars()
                .filter(|c| !c.is_control())
                .take(LONGEST_TEXT)
                .collect()
        };
        let found = findings.into_iter().map(|(name, finding)| report(name, finding.cleaned(clean)));
        (found.collect(), http.attempts())
    }
}

fn place_url(config: &ProviderConfig, place: &AnyPlace) -> Option<reqwest::Url> {
    match &config.base_url {
        Some(base) => Some(base.url().clone()),
        None => reqwest::Url::parse(place.base_url).ok(),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        departure::{Departure, Event},
        outcome::{Failure, FailureKind},
        person::Email,
        providers::{Account, Configured, LookUp, Place, Provider, Removal},
        secrets::SecretFault,
    };

    /// A provider whose code is wrong.
    #[derive(Debug)]
    struct Broken;

    #[async_trait::async_trait]
    impl Provider for Broken {
        fn look_up(&self) -> Option<&dyn LookUp> {
            None
        }

        async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
            if account.id.starts_with("hang") {
                std::future::pending::<()>().await;
            }
            if account.id.starts_with("quoted") {
                let _ = http.post(&["x"]).bearer(&"granted-token-1".into());
                return Err(Failure::new(FailureKind::Blocked, "granted-token-1"));
            }
            if account.id.starts_with("refused") {
                return Err(Failure::new(FailureKind::Unauthorized, "http_401"));
            }
            panic!("while removing {}", account.id)
        }
    }

    impl Configured for Broken {
        fn connect(&self, _: &Secret) -> Result<Vec<AnyPlace>, SecretFault> {
            Ok(vec![Place { scope: None, base_url: "http://127.0.0.1:9", provider: Arc::new(Broken) }])
        }
    }

    /// Every provider's outcome and reason for this address, one provider of which is broken.
    async fn outcomes(address: &str, patience: Duration) -> Vec<(String, Outcome, Option<String>)> {
        let provider = |name: &str| {
            format!(
                "[providers.{name}]\nkind = \"instaply\"\nbase_url = \"http://127.0.0.1:9\"\nsecret = \"s\"\nattempts = 1\n"
            )
        };
        let text = format!("[sources.s]\nkind = \"workos\"\n{}{}{}", provider("a"), provider("b"), provider("c"));
        let mut config = Config::parse(&text, Some("live")).unwrap();
        config.providers[1].settings = Box::new(Broken);
        let engine = Engine::new(&mut config, Client::new(None, false).unwrap());
        let person = Person { email: Email::parse(address), ..Person::default() };
        let event = Event { id: "1".into(), kind: "gone".into(), occurred_at: None, organization: None };
        let departure = Departure { id: "s/1".into(), source: "s".into(), event, person };
        let plan = Plan::new(&config.policy, departure, OffsetDateTime::UNIX_EPOCH);
        let secrets = Arc::new(Secrets::holding("s", r#"{"token": "instaply-token"}"#));
        let entries = engine.execute(&secrets, &plan, Instant::now() + patience).await;
        entries.into_iter().map(|entry| (entry.provider, entry.finding.outcome, entry.finding.reason)).collect()
    }

    #[tokio::test]
    async fn a_provider_that_panics_is_an_outcome_and_costs_no_other() {
        let unreachable = |name: &str| (name.to_owned(), Outcome::Unavailable, Some("no_connection".to_owned()));
        let panicked = ("b".to_owned(), Outcome::Rejected, Some("internal_error".to_owned()));
        assert_eq!(
            outcomes("ann@example.com", Duration::from_secs(10)).await,
            [unreachable("a"), panicked, unreachable("c")]
        );
    }

    #[tokio::test]
    async fn a_provider_that_never_ends_is_left_behind() {
        let ended = outcomes("hang@example.com", Duration::from_millis(300)).await;
        assert_eq!(ended[1], ("b".to_owned(), Outcome::Unavailable, Some("deadline".to_owned())));
    }

    #[tokio::test]
    async fn a_token_that_stands_in_no_secret_is_not_shown_either() {
        let ended = outcomes("quoted@example.com", Duration::from_secs(10)).await;
        assert_eq!(ended[1], ("b".to_owned(), Outcome::Blocked, Some("[secret]".to_owned())));
    }

    #[tokio::test]
    async fn credentials_that_could_not_be_read_afresh_are_not_called_refused() {
        let ended = outcomes("refused@example.com", Duration::from_secs(10)).await;
        assert_eq!(ended[1], ("b".to_owned(), Outcome::Unavailable, Some("secret_store".to_owned())));
    }
}
