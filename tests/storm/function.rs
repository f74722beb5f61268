//! An environment of the function: the real flow over the products.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    outbound::{Client, Limits},
    providers::{Action, ProviderKind},
    secrets::Secrets,
    source::Source,
};

use crate::{
    product::{Product, Vendor},
    run::Sharing,
    store::Shared,
};

pub const SOURCE: &str = "hr";
/// The safeguard, which held the departures until they were released.
pub const LIMIT: MaxDepartures = MaxDepartures { count: 50, per: Duration::from_secs(3600) };
const SECRET: &str = "offboard/providers/product";
const TABLES: &str = r#"
[sources.hr]
kind = "hmac"
signature = { header = "x-signature" }
event = { id = "/id", type = "/type", departures = ["left"] }
person = { idp_id = "/no", email = "/email" }
[providers.any]
kind = "instaply"
"#;

fn source() -> &'static Source {
    static READ: OnceLock<Config> = OnceLock::new();
    &READ.get_or_init(|| Config::parse(TABLES, None).unwrap()).sources[SOURCE]
}

/// The flow of an environment. Without turns, the products are of a kind whose limit is not known.
pub fn flow(store: &Shared, vendors: &[Arc<Vendor>], sharing: Sharing) -> Flow {
    let provider = |vendor: &Arc<Vendor>| ProviderConfig {
        name: vendor.kind.to_owned(),
        kind: ProviderKind::named(if sharing == Sharing::Turns { vendor.kind } else { "instaply" }).unwrap(),
        secret: Some(SECRET.to_owned()),
        base_url: None,
        limits: Limits { timeout: Duration::from_secs(10), attempts: 3 },
        confirm: true,
        canary: None,
        action: Action::Delete,
        sources: BTreeSet::new(),
        settings: Box::new(Product(vendor.clone())),
    };
    let policy = Policy { mode: Mode::Live, max_departures: Some(LIMIT), ..Policy::default() };
    let mut config = Config {
        policy,
        http: HttpSettings::default(),
        ledger: LedgerSettings { retention: Duration::from_secs(400 * 86_400) },
        sources: BTreeMap::from([(SOURCE.to_owned(), source().clone())]),
        providers: vendors.iter().map(provider).collect(),
        notify: NotifySettings { about: BTreeSet::new() },
    };
    let engine = Engine::new(&mut config, Client::new(None, false).unwrap());
    Flow::new(&config, engine, secrets(), Ledger::new(store.clone()), None, None)
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

fn secrets() -> Arc<Secrets> {
    let connector = SharedHttpConnector::new(OneSecret);
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Arc::new(Secrets::new(aws_sdk_secretsmanager::Client::from_conf(config), Vec::new()))
}
