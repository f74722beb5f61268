//! Checks of the secrets' keys and, live, of the credentials.

use anyhow::{Error, anyhow, bail};
use offboard::{
    config::{BaseUrl, Config, ProviderConfig},
    ledger::ProtectedAddresses,
    outbound::Client,
    outcome::{Outcome, Status},
    person::{Email, Person},
    secrets::{Secret, Secrets},
    source::{KeySource, Source},
    webhook::key_sets::KeySets,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{CheckResult, Level};
use crate::configured::{LOOK_UP_TIMEOUT, look_up, secret_store};

/// Nobody has an account of this address: to look for it is harmless. The domain can never exist (RFC 2606 2).
const NOBODY: &str = "offboard-check@nobody.invalid";

/// Reads every secret; with `live`, proves every provider's credentials.
pub(super) async fn check(config: &mut Config, live: bool) -> anyhow::Result<Vec<CheckResult>> {
    let store = secret_store(config, config.secret_names()).await;
    let store = store.map_err(|why| anyhow!("{why:#}\n--offline checks the configuration alone"))?;
    let mut results = Vec::new();
    for source in config.sources.values() {
        let what = format!("source {}", source.name);
        results.push(match &source.keys {
            KeySource::Secret(name) => {
                in_secret(&store, name, what, |what, secret| source_keys(what, source, secret)).await
            }
            KeySource::Set(url) if live => match key_set(config, url).await {
                Ok(note) => CheckResult::ok(what, note),
                Err(why) => CheckResult::error(what, why),
            },
            KeySource::Set(_) => CheckResult::ok(what, "needs no secret: its keys are published; --live reads them"),
            KeySource::Partner(_) => CheckResult::ok(what, "needs no secret: EventBridge says whose its events are"),
        });
    }
    for provider in &config.providers {
        let what = format!("provider {}", provider.name);
        let read = |what, secret: &Secret| credentials(what, provider, secret);
        results.push(match &provider.secret {
            Some(name) => in_secret(&store, name, what, read).await,
            None => CheckResult::ok(what, "needs no secret: a person removes the account"),
        });
    }
    if live {
        results.extend(prove(config).await?);
    }
    Ok(results)
}

/// Checks one secret, if it can be read.
async fn in_secret(
    store: &Secrets,
    name: &str,
    what: String,
    check: impl Fn(String, &Secret) -> CheckResult,
) -> CheckResult {
    match store.get(name).await {
        Ok(Ok(secret)) => padded(check(what, &secret), &secret),
        Ok(Err(error)) => CheckResult::error(what, error),
        Err(down) => CheckResult::error(what, down),
    }
}

/// Adds a warning of white space, which is no part of a key.
fn padded(result: CheckResult, secret: &Secret) -> CheckResult {
    let padded = secret.padded_keys().into_iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    if padded.is_empty() {
        return result;
    }
    let note = format!("{}; white space around {padded} is ignored; store it without", result.note);
    let level = if result.level == Level::Error { Level::Error } else { Level::Warning };
    CheckResult { level, note, ..result }
}

/// Counts the keys that deliveries are checked with; a key that is not used is an error.
fn source_keys(what: String, source: &Source, secret: &Secret) -> CheckResult {
    let keys = source.scheme.secret_keys_of(secret);
    let count = format!("{} usable {}(s)", keys.count(), source.scheme.secret_keys().0.replace('_', " "));
    match keys.errors() {
        [] => CheckResult::ok(what, count),
        errors => {
            let errors = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            CheckResult::error(what, format!("{count}; {errors}"))
        }
    }
}

fn credentials(what: String, provider: &ProviderConfig, secret: &Secret) -> CheckResult {
    match provider.settings.connect(secret) {
        Ok(_) => {
            let name = provider.secret.as_deref().unwrap_or_default();
            CheckResult::ok(what, format!("secret {name} has what {} needs", provider.kind.name))
        }
        Err(error) => CheckResult::error(what, error),
    }
}

/// Counts the keys that a sender publishes.
async fn key_set(config: &Config, url: &BaseUrl) -> anyhow::Result<String> {
    let key_sets = KeySets::new(Client::new(config.extra_ca()?.as_deref(), config.calls_out()).map_err(Error::msg)?);
    let (now, deadline) = (OffsetDateTime::now_utc(), Instant::now() + LOOK_UP_TIMEOUT);
    let set = key_sets.get(url, now, deadline).await.map_err(|down| anyhow!("{down}"))?;
    match set.count() {
        0 => bail!("the sender publishes no key that could check a signature"),
        count => Ok(format!("{count} published key(s)")),
    }
}

/// Proves the credentials, and the canary, by a harmless read at every provider.
async fn prove(config: &mut Config) -> anyhow::Result<Vec<CheckResult>> {
    let canaries: Vec<String> =
        config.providers.iter().filter(|one| one.canary.is_some()).map(|one| one.name.clone()).collect();
    let person = Person { external_id: Some(NOBODY.to_owned()), email: Email::parse(NOBODY), ..Person::default() };
    let results = look_up(config, &person, ProtectedAddresses::default()).await?.into_iter().map(|entry| {
        let result = entry.worst;
        let note = match result.outcome {
            Outcome::AlreadyAbsent if canaries.contains(&entry.provider) => {
                "the credentials work; the canary is in sight".to_owned()
            }
            Outcome::AlreadyAbsent => "the credentials work".to_owned(),
            Outcome::Planned if result.reason.as_deref() == Some("manual") => {
                "nothing to prove: a person removes the account".to_owned()
            }
            Outcome::Planned => "not proven: this product has no harmless read".to_owned(),
            outcome => {
                let parts = [Some(outcome.to_string()), result.reason, result.detail];
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
        };
        let level = if result.outcome.status() <= Status::Planned { Level::Ok } else { Level::Error };
        CheckResult::new(format!("{}, live", entry.provider), level, note)
    });
    Ok(results.collect())
}
