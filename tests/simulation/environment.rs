//! An environment of the function: the real flow, over a faulty store and scripted providers.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use offboard::{
    config::{Config, HttpSettings, LedgerSettings, MaxDepartures, Mode, NotifySettings, Policy, ProviderConfig},
    engine::Engine,
    flow::Flow,
    ledger::Ledger,
    notification::Occasion,
    outbound::{Client, Limits},
    providers::{Action, ProviderKind},
    secrets::Secrets,
    source::Source,
};

use crate::{
    bus::FaultyBus,
    product::Product,
    steps::{PER, Setup},
    store::FaultyStore,
    truth::{GAMMA, PROVIDERS, SOURCES, address},
    world::{self, World},
};

pub const RETENTION: Duration = Duration::from_secs(400 * 86_400);
pub const MAX_EVENT_AGE: Duration = Duration::from_secs(86_400);
/// What notifications are about.
const ALL: [Occasion; 4] = [Occasion::Held, Occasion::NeedsAttention, Occasion::Done, Occasion::Digest];
const SECRET: &str = "offboard/providers/product";
/// The product without an API.
pub const WIKI: &str = "wiki";

/// Only the sources' names, their coverage and `settle` count: deliveries are not read, they are made.
const SOURCE_TABLES: &str = r#"
[sources.hr]
kind = "hmac"
signature = { header = "x-signature" }
event = { id = "/id", type = "/type", departures = ["left"] }
person = { idp_id = "/no", email = "/email" }
[sources.idp]
kind = "hmac"
except = ["gamma"]
signature = { header = "x-signature" }
event = { id = "/id", type = "/type", departures = ["left"] }
person = { idp_id = "/no", email = "/email" }
[sources.crew]
kind = "hmac"
except = ["gamma"]
signature = { header = "x-signature" }
event = { id = "/id", type = "/type", departures = ["left"] }
person = { email = "/email" }
[providers.alpha]
kind = "instaply"
[providers.beta]
kind = "instaply"
[providers.gamma]
kind = "instaply"
"#;
const WIKI_TABLE: &str = "[providers.wiki]\nkind = \"manual\"\ninstructions = \"Delete the user\"\n";

pub fn source(n: usize) -> &'static Source {
    static SOURCES_READ: OnceLock<Config> = OnceLock::new();
    let config = SOURCES_READ.get_or_init(|| Config::parse(SOURCE_TABLES, None).unwrap());
    &config.sources[SOURCES[n]]
}

pub fn policy(setup: &Setup, policy: &world::Policy) -> Policy {
    Policy {
        mode: if policy.is_live { Mode::Live } else { Mode::DryRun },
        protected: policy.protected.iter().map(|n| address(*n).try_into().unwrap()).collect(),
        max_event_age: MAX_EVENT_AGE,
        max_departures: Some(MaxDepartures { count: setup.limit, per: PER }),
        ..Policy::default()
    }
}

pub fn ledger(world: &Arc<World>, place: usize) -> Ledger {
    // The operator's command line writes notifications as well.
    Ledger::new(Arc::new(FaultyStore { world: world.clone(), place })).notifying(ALL.into())
}

/// The flow of an environment with the configuration of now.
pub fn flow(world: &Arc<World>, place: usize, setup: &Setup, now: &world::Policy) -> Flow {
    let sources = (0..SOURCES.len()).map(|n| {
        let settle = if n == 1 { setup.settle } else { Duration::ZERO };
        let mut source = source(n).clone();
        source.settle = settle;
        (SOURCES[n].to_owned(), source)
    });
    let provider = |provider: usize| ProviderConfig {
        name: PROVIDERS[provider].to_owned(),
        kind: ProviderKind::named("instaply").unwrap(),
        secret: Some(SECRET.to_owned()),
        base_url: None,
        limits: Limits { timeout: Duration::from_secs(10), attempts: 1 },
        confirm: true,
        canary: None,
        action: Action::Delete,
        sources: if provider == GAMMA { BTreeSet::from(["hr".to_owned()]) } else { BTreeSet::new() },
        settings: Box::new(Product { world: world.clone(), place, provider }),
    };
    let mut config = Config {
        policy: policy(setup, now),
        http: HttpSettings::default(),
        ledger: LedgerSettings { retention: RETENTION },
        notify: NotifySettings { about: ALL.into() },
        sources: sources.collect(),
        providers: (0..PROVIDERS.len()).map(provider).chain(setup.has_wiki.then(wiki)).collect(),
    };
    let engine = Engine::new(&mut config, client());
    let bus = Arc::new(FaultyBus { world: world.clone(), place });
    Flow::new(&config, engine, secrets(), ledger(world, place), None, Some(bus))
}

fn wiki() -> ProviderConfig {
    let mut config = Config::parse(&format!("{SOURCE_TABLES}{WIKI_TABLE}"), None).unwrap();
    config.providers.retain(|provider| provider.name == WIKI);
    config.providers.remove(0)
}

/// Nothing is sent with it.
fn client() -> Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| Client::new(None, false).unwrap()).clone()
}

/// Secrets Manager with one secret.
#[derive(Debug)]
struct OneSecret;

impl HttpConnector for OneSecret {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let body = r#"{"Name": "product", "SecretString": "{\"token\": \"simulated-token-1\"}"}"#;
        HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(200).unwrap(), body.into())))
    }
}

thread_local! {
    /// Secrets that were read once, and are never read again: none is named. Each thread has its own: time that is paused goes on
    /// while a lock of another thread is awaited.
    static SECRETS: Arc<Secrets> = Arc::new(std::thread::spawn(read_secrets).join().unwrap());
}

fn secrets() -> Arc<Secrets> {
    SECRETS.with(Arc::clone)
}

fn read_secrets() -> Secrets {
    let connector = SharedHttpConnector::new(OneSecret);
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    let secrets = Secrets::new(aws_sdk_secretsmanager::Client::from_conf(config), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(secrets.fresh(SECRET)).unwrap().unwrap();
    secrets
}
