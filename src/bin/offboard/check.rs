//! `offboard check`: would it work?

use std::process::ExitCode;

use clap::Args;
use offboard::{
    config::{BaseUrl, Config},
    http::Client,
    outcome::{Outcome, Status},
    person::{Email, Person},
    secrets::{Secret, SecretFault, Secrets},
    source::KeySource,
    webhook::{Scheme, key_sets::KeySets},
};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    configured::{Configured, PATIENCE, look},
    screen::{Screen, print},
};

/// Somebody who has no account anywhere: looking for them is harmless. The domain can never exist (RFC 2606 2).
const NOBODY: &str = "offboard-check@nobody.invalid";

/// The options of `offboard check`.
#[derive(Args)]
#[command(after_help = "Checks the configuration, then reads each secret and checks its shape; no value is shown.\n\
                        Exit code 1: something would fail.")]
pub struct Check {
    /// Check the file alone: call nobody
    #[arg(long, conflicts_with = "live")]
    offline: bool,
    /// Also look somebody up at every provider, to see that the credentials work
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    configured: Configured,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Looked {
    what: String,
    good: bool,
    note: String,
    /// What works, and should be changed all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Looked {
    fn mark(&self) -> &'static str {
        match (self.good, &self.warning) {
            (false, _) => "✗",
            (true, Some(_)) => "!",
            (true, None) => "✓",
        }
    }

    fn text(&self) -> String {
        [Some(&self.note), self.warning.as_ref()].into_iter().flatten().cloned().collect::<Vec<_>>().join("; ")
    }
}

impl Check {
    /// Checks, and says what was found.
    pub async fn run(&self) -> Result<ExitCode, String> {
        let mut looked = Vec::new();
        match self.look(&mut looked).await {
            // A machine that asked for JSON gets it, above all where something is wrong.
            Err(why) if self.configured.json => {
                let what = if looked.is_empty() { "configuration" } else { "secret store" };
                looked.push(Looked { what: what.into(), good: false, note: why, warning: None });
            }
            ended => ended?,
        }
        self.show(&looked)
    }

    async fn look(&self, looked: &mut Vec<Looked>) -> Result<(), String> {
        let mut config = self.configured.load()?;
        let note = format!("{} sources, {} providers", config.sources.len(), config.providers.len());
        looked.push(Looked { what: "configuration".into(), good: true, note, warning: None });
        if !self.offline {
            looked.extend(secrets(&mut config, self.live).await?);
        }
        Ok(())
    }

    /// What it means that nothing was found: no more than was looked at.
    fn good(&self) -> &'static str {
        match (self.offline, self.live) {
            (true, _) => "no fault in the file; no secret was read",
            (false, false) => "no fault in the file and the secrets; --live tries the credentials",
            (false, true) => "no fault found",
        }
    }

    fn show(&self, looked: &[Looked]) -> Result<ExitCode, String> {
        let screen = Screen::new(self.configured.json);
        let mut table = screen.table(["", "CHECKED", "FOUND"]);
        table.add_rows(looked.iter().map(|one| [one.mark().to_owned(), one.what.clone(), one.text()]));
        screen.show(&table);
        let findings = looked.iter().filter(|one| !one.good).count();
        let bad: Vec<_> =
            (findings > 0).then(|| format!("{findings} of {} checks", looked.len())).into_iter().collect();
        screen.verdict(&bad, self.good(), "this would fail");
        if self.configured.json {
            print(&serde_json::to_string(looked).map_err(|fault| fault.to_string())?);
        }
        Ok(ExitCode::from(u8::from(findings > 0)))
    }
}

/// Reads every secret; with `live`, tries every provider's.
async fn secrets(config: &mut Config, live: bool) -> Result<Vec<Looked>, String> {
    let extra_ca = config.extra_ca().map_err(|faults| faults.to_string())?;
    let client = aws_sdk_secretsmanager::Client::new(&offboard::aws::config(extra_ca.as_deref()).await?);
    let store = Secrets::new(client, config.secret_names());
    store
        .warm()
        .await
        .map_err(|down| format!("{down}\nare AWS credentials and a region set? --offline checks the file alone"))?;
    let mut looked = Vec::new();
    for source in config.sources.values() {
        let note = match &source.keys {
            KeySource::Secret(name) => source_keys(&store, name, &source.scheme).await,
            KeySource::Set(url) if live => key_set(config, url, extra_ca.as_deref()).await,
            KeySource::Set(_) => Ok("needs no secret: its keys are published; --live reads them".to_owned()),
        };
        let warning = match &source.keys {
            KeySource::Secret(name) => white_space(&store, name).await,
            KeySource::Set(_) => None,
        };
        looked.push(Looked { warning, ..told(format!("source {}", source.name), note) });
    }
    for provider in &config.providers {
        let places = shape(&store, &provider.secret, |secret| Ok(provider.settings.connect(secret)?.len())).await;
        let note = places.map(|_| format!("secret {} has what {} needs", provider.secret, provider.kind.name));
        let warning = white_space(&store, &provider.secret).await;
        looked.push(Looked { warning, ..told(format!("provider {}", provider.name), note) });
    }
    if live {
        looked.extend(credentials(config).await?);
    }
    Ok(looked)
}

async fn shape<T>(store: &Secrets, name: &str, read: impl Fn(&Secret) -> Result<T, SecretFault>) -> Result<T, String> {
    let found = store.get(name).await.map_err(|down| down.to_string())?;
    found.and_then(|secret| read(&secret)).map_err(|fault| fault.to_string())
}

/// Counts the usable keys of a source's secret. Any other key is an error, also beside usable ones.
async fn source_keys(store: &Secrets, name: &str, scheme: &Scheme) -> Result<String, String> {
    let keys = shape(store, name, |secret| Ok(scheme.secret_keys_of(secret))).await?;
    let count = format!("{} usable {}(s)", keys.count(), scheme.secret_keys().0.replace('_', " "));
    let faults: Vec<_> = keys.faults().iter().map(ToString::to_string).collect();
    if faults.is_empty() { Ok(count) } else { Err(format!("{count}; {}", faults.join("; "))) }
}

/// Warns of white space around the texts of a secret.
async fn white_space(store: &Secrets, name: &str) -> Option<String> {
    let secret = store.get(name).await.ok()?.ok()?;
    let keys = secret.padded_keys().into_iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    (!keys.is_empty()).then(|| format!("secret `{name}`: white space around {keys} is ignored; store it without"))
}

/// How many keys a sender publishes.
async fn key_set(config: &Config, url: &BaseUrl, extra_ca: Option<&[u8]>) -> Result<String, String> {
    let key_sets = KeySets::new(Client::new(extra_ca, config.calls_out())?);
    let (now, deadline) = (OffsetDateTime::now_utc(), Instant::now() + PATIENCE);
    let set = key_sets.get(url, now, deadline).await.map_err(|down| down.to_string())?;
    match set.count() {
        0 => Err("the sender publishes no key that could check a signature".to_owned()),
        count => Ok(format!("{count} published key(s)")),
    }
}

/// A harmless read at every provider.
async fn credentials(config: &mut Config) -> Result<Vec<Looked>, String> {
    let person = Person { external_id: Some(NOBODY.to_owned()), email: Email::parse(NOBODY), ..Person::default() };
    let (entries, _) = look(config, person).await?;
    let looked = entries.into_iter().map(|entry| {
        let finding = entry.finding;
        let note = match finding.outcome {
            Outcome::AlreadyAbsent => "the credentials work".to_owned(),
            Outcome::Planned => "not tried: this product has no harmless read".to_owned(),
            outcome => [Some(outcome.to_string()), finding.reason, finding.detail]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
        };
        Looked {
            what: format!("{}, live", entry.provider),
            good: finding.outcome.status() <= Status::Planned,
            note,
            warning: None,
        }
    });
    Ok(looked.collect())
}

fn told(what: String, found: Result<String, String>) -> Looked {
    match found {
        Ok(note) => Looked { what, good: true, note, warning: None },
        Err(note) => Looked { what, good: false, note, warning: None },
    }
}
