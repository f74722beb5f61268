//! What contestants talk to: Secrets Manager, the providers, and DynamoDB with SQS; and their configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use offboard_sandbox::{
    aws::{dynamodb::DynamoDb, secrets_manager::SecretsManager, sqs::Sqs, sts::Sts},
    mock::Service,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

use crate::{
    options::{Options, milliseconds},
    server::{Behavior, Handler, Request, Response, Server, Traffic, lock},
    vendors::{ACCOUNT, Kind, ORGANIZATION, Provider, answer},
};

/// The key with which deliveries are signed.
pub(crate) const KEY: &str = "a signing secret for the benchmark";
const SOURCE_SECRET: &str = "offboard/sources/hr";
const TABLE: &str = "offboard";

/// Everything that is up, for one contestant after another.
pub(crate) struct World {
    pub(crate) providers: Vec<Provider>,
    secrets: Server,
    dynamodb: (Server, Arc<Locked<DynamoDb>>),
    sqs: (Server, Arc<Locked<Sqs>>),
    /// Says to an operator's command who runs it.
    sts: Server,
    scheme: &'static str,
    has_ledger: bool,
    files: Files,
}

/// Where the configuration is written, and the certificate authority.
struct Files {
    toml: PathBuf,
    json: PathBuf,
    authority: Option<PathBuf>,
}

/// A service of the sandbox behind a lock.
pub(crate) struct Locked<S>(pub(crate) Mutex<S>);

impl<S: Service> Handler for Locked<S> {
    fn answer(&self, request: Request) -> Response {
        answer(&mut *lock(&self.0), request)
    }
}

/// What happened while one contestant was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) secrets: Traffic,
    pub(crate) providers: Vec<Traffic>,
    pub(crate) dynamodb: Traffic,
    pub(crate) sqs: Traffic,
}

impl World {
    pub(crate) fn start(options: &Options, tls: &Path, folder: &Path) -> Result<Self> {
        let certificate = options.tls.then(|| certificate(tls)).transpose()?;
        let aws = |delay| Behavior { tls: certificate.clone(), call: milliseconds(delay), ..Behavior::default() };
        let vendor = Behavior {
            call: milliseconds(options.call_delay),
            setup: milliseconds(options.setup_delay),
            stale: options.stale,
            tls: certificate.clone(),
        };
        let providers: Result<Vec<_>> =
            (0..options.providers).map(|number| Provider::start(number, vendor.clone())).collect();
        let providers = providers?;
        let secrets = Arc::new(Locked(Mutex::new(secrets(&providers))));
        let dynamodb = Arc::new(Locked(Mutex::new(DynamoDb::new(TABLE))));
        let sqs = Arc::new(Locked(Mutex::new(Sqs::default())));
        let world = Self {
            secrets: Server::start(secrets, aws(options.secrets_delay))?,
            dynamodb: (Server::start(dynamodb.clone(), aws(options.ledger_delay))?, dynamodb),
            sqs: (Server::start(sqs.clone(), aws(options.ledger_delay))?, sqs),
            sts: Server::start(Arc::new(Locked(Mutex::new(Sts { user: "bench" }))), aws(0))?,
            providers,
            scheme: if options.tls { "https" } else { "http" },
            has_ledger: options.ledger,
            files: Files {
                toml: folder.join("offboard.toml"),
                json: folder.join("providers.json"),
                authority: options.tls.then(|| tls.join("authority.pem")),
            },
        };
        fs::write(&world.files.toml, world.toml())?;
        fs::write(&world.files.json, world.json().to_string())?;
        Ok(world)
    }

    /// Empties everything for the next process.
    pub(crate) fn reset(&self) {
        self.providers.iter().for_each(Provider::reset);
        *lock(&self.dynamodb.1.0) = DynamoDb::new(TABLE);
        *lock(&self.sqs.1.0) = Sqs::default();
        self.take();
    }

    /// Returns what happened since the last call of this.
    pub(crate) fn take(&self) -> Seen {
        Seen {
            secrets: self.secrets.take_traffic(),
            providers: self.providers.iter().map(|provider| provider.server.take_traffic()).collect(),
            dynamodb: self.dynamodb.0.take_traffic(),
            sqs: self.sqs.0.take_traffic(),
        }
    }

    /// The variables with which a contestant finds all of it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let url = |server: &Server| self.url(server);
        let mut variables = vec![
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_DEFAULT_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
            ("AWS_SESSION_TOKEN", "bench".to_owned()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", url(&self.secrets)),
            ("AWS_ENDPOINT_URL_DYNAMODB", url(&self.dynamodb.0)),
            ("AWS_ENDPOINT_URL_SQS", url(&self.sqs.0)),
            ("AWS_ENDPOINT_URL_STS", url(&self.sts)),
            ("OFFBOARD_CONFIG", self.files.toml.display().to_string()),
            ("BENCH_CONFIG", self.files.json.display().to_string()),
        ];
        if self.has_ledger {
            variables.push(("OFFBOARD_LEDGER_TABLE", TABLE.to_owned()));
            variables.push(("OFFBOARD_QUEUE_URL", Sqs::url(&url(&self.sqs.0), Sqs::QUEUE)));
        }
        if let Some(authority) = &self.files.authority {
            // What trusts a file instead of its own list gets that list as well: reading it is part of a start.
            let bundle = authority.with_file_name("bundle.pem");
            variables.extend(["SSL_CERT_FILE", "AWS_CA_BUNDLE"].map(|name| (name, bundle.display().to_string())));
            variables
                .extend(["NODE_EXTRA_CA_CERTS", "BENCH_AUTHORITY"].map(|name| (name, authority.display().to_string())));
        }
        variables
    }

    /// The ledger's table.
    pub(crate) fn table(&self) -> &Locked<DynamoDb> {
        &self.dynamodb.1
    }

    fn url(&self, server: &Server) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, server.port)
    }

    /// The configuration of offboard.
    fn toml(&self) -> String {
        let authority = self.files.authority.as_ref();
        let authority = authority.map(|path| format!("[http]\nextra_ca = \"{}\"\n", path.display()));
        let mut text = format!(
            r#"{}
[policy]
mode = "live"
domains = ["example.com"]
max_departures = {{ count = 10000, per = "1h" }}

[sources.hr]
kind = "hmac"
signature = {{ header = "x-hr-signature", prefix = "sha256=", encoding = "hex", algorithm = "sha256", signed = "{{body}}" }}
event = {{ items = "/events", id = "/id", type = "/event", departures = ["employee.terminated"], occurred_at = "/at" }}
person = {{ email = "/email" }}
"#,
            authority.unwrap_or_default()
        );
        for provider in &self.providers {
            let (name, kind, url) = (&provider.name, provider.kind, self.url(&provider.server));
            let settings = match kind {
                Kind::Aerospike => format!("base_url = \"{url}/v2\"\ntoken_url = \"{url}/oauth/token\""),
                Kind::Cloudflare => format!("base_url = \"{url}/client/v4\"\naccount_id = \"{ACCOUNT}\""),
                Kind::Stytch => format!("base_url = \"{url}\"\norganization_ids = [\"{ORGANIZATION}\"]"),
                Kind::Flashduty | Kind::Instaply => format!("base_url = \"{url}\""),
            };
            text += &format!("\n[providers.{name}]\nkind = \"{}\"\n{settings}\n", kind.name());
        }
        text
    }

    /// The same for the other contestants.
    fn json(&self) -> Value {
        let providers = self.providers.iter().map(|provider| {
            json!({
                "name": provider.name, "kind": provider.kind.name(), "url": self.url(&provider.server),
                "secret": provider_secret(&provider.name), "account": ACCOUNT, "organization": ORGANIZATION,
            })
        });
        json!({
            "secret": SOURCE_SECRET,
            "providers": providers.collect::<Vec<_>>(),
            "table": self.has_ledger.then_some(TABLE),
        })
    }
}

impl Seen {
    /// The longest chain of calls to one provider: what no contestant can be quicker than.
    pub(crate) fn chain(&self) -> Duration {
        self.providers.iter().map(Traffic::busy).max().unwrap_or_default()
    }

    /// The most calls of DynamoDB and SQS of which each begins after the one before has ended.
    pub(crate) fn ledger_sequence(&self) -> usize {
        let mut calls: Vec<(Instant, Instant)> = [&self.dynamodb.busy[..], &self.sqs.busy].concat();
        calls.sort_by_key(|(_, end)| *end);
        let (mut count, mut last) = (0, None);
        for (start, end) in calls {
            if last.is_none_or(|last| start >= last) {
                (count, last) = (count + 1, Some(end));
            }
        }
        count
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Traffic> {
        self.providers.iter().chain([&self.secrets, &self.dynamodb, &self.sqs])
    }
}

fn provider_secret(name: &str) -> String {
    format!("offboard/providers/{name}")
}

fn secrets(providers: &[Provider]) -> SecretsManager {
    let mut secrets = SecretsManager::default();
    secrets.put(SOURCE_SECRET, json!({ "signing_secret": KEY }));
    for provider in providers {
        secrets.put(&provider_secret(&provider.name), provider.kind.secret());
    }
    secrets
}

/// Reads the certificate that `bench/run` made for loopback.
fn certificate(folder: &Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).context("no certificate: use bench/run")?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_at_the_same_time_count_once_in_the_sequence() {
        let start = Instant::now();
        let call = |from: u64, to: u64| (start + milliseconds(from), start + milliseconds(to));
        let dynamodb = Traffic { busy: vec![call(0, 5), call(0, 6), call(6, 11), call(12, 17)], ..Traffic::default() };
        let sqs = Traffic { busy: vec![call(13, 18)], ..Traffic::default() };
        assert_eq!(Seen { dynamodb, sqs, ..Seen::default() }.ledger_sequence(), 3);
        assert_eq!(Seen::default().ledger_sequence(), 0);
    }
}
