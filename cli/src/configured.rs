//! The configuration that a command works with, and look-ups at its providers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Error, anyhow, bail};
use clap::Args;
use offboard::{
    config::Config,
    engine::{Action, AddressStatus, Assignment, Engine, OwnedIdentity, Target},
    ledger::ProtectedAddresses,
    outbound::Client,
    outcome::ProviderResult,
    person::{Email, Person},
    providers::ProviderKind,
    secrets::Secrets,
};
use tokio::time::Instant;

use crate::aws::{self, variable};

/// Longest wait for all providers together.
pub const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// Source of a person who is named on the command line.
const COMMAND_LINE: &str = "command-line";

/// The options of every command that reads the configuration.
#[derive(Args)]
pub struct Configured {
    /// The configuration [default: $OFFBOARD_CONFIG, or config/offboard.toml]
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

impl Configured {
    /// Returns the path of the configuration.
    pub fn path(&self) -> PathBuf {
        let named = || variable("OFFBOARD_CONFIG").map(PathBuf::from);
        self.config.clone().or_else(named).unwrap_or_else(|| "config/offboard.toml".into())
    }

    /// Returns the extra certificate authority, which AWS clients use too, if there is a configuration that names one.
    pub fn extra_ca(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if self.config.is_none() && !self.path().exists() {
            return Ok(None);
        }
        Ok(self.load()?.extra_ca()?)
    }

    /// Returns the user's own kinds of providers, sorted by name: those in the folder `providers` beside the configuration.
    pub fn own_kinds(&self) -> anyhow::Result<Vec<&'static ProviderKind>> {
        let path = self.path();
        if self.config.is_some() && !path.exists() {
            bail!("there is no configuration {}", path.display());
        }
        Ok(ProviderKind::own(path.parent().unwrap_or_else(|| Path::new("")))?)
    }

    /// Reads the configuration, with the mode of OFFBOARD_MODE, if that is set.
    pub fn load(&self) -> anyhow::Result<Config> {
        let path = self.path();
        if !path.exists() {
            bail!("there is no configuration {}: name one with --config or OFFBOARD_CONFIG", path.display());
        }
        Config::load(&path, variable("OFFBOARD_MODE").as_deref()).map_err(|errors| {
            let path = path.display();
            anyhow!("{errors}\nthe configuration is {path}; --config or OFFBOARD_CONFIG names another one")
        })
    }
}

/// Reads the secrets of these names. A store that cannot be read is one error, not one for each provider.
pub async fn secret_store(config: &Config, names: Vec<String>) -> anyhow::Result<Secrets> {
    let aws = aws::config(config.extra_ca()?.as_deref()).await?;
    let secrets = Secrets::new(aws_sdk_secretsmanager::Client::new(&aws), names);
    secrets.warm().await?;
    Ok(secrets)
}

/// Looks a person up at every provider, and removes nothing. `protected` is the operators' list.
pub async fn look_up(
    config: &mut Config,
    person: &Person,
    protected: ProtectedAddresses,
) -> anyhow::Result<Vec<ProviderResult>> {
    // An id that the operator types counts for every provider.
    for provider in &mut config.providers {
        provider.sources.insert(COMMAND_LINE.to_owned());
    }
    let secrets = Arc::new(secret_store(config, config.secret_names()).await?);
    let client = Client::new(config.extra_ca()?.as_deref(), config.calls_out()).map_err(Error::msg)?;
    let engine = Engine::new(config, client);
    let emails = person.emails().cloned().map(OwnedIdentity::Email);
    let identities = emails.chain(person.external_id.clone().map(OwnedIdentity::ExternalId));
    let targets = identities.map(|identity| Target { identity, status: AddressStatus::Current });
    let assignment = Assignment {
        targets: targets.collect(),
        source: COMMAND_LINE.to_owned(),
        action: Action::LookUp,
        released: BTreeMap::new(),
        protected,
        begun: BTreeSet::new(),
    };
    Ok(engine.execute(&secrets, assignment, Instant::now() + LOOK_UP_TIMEOUT).await)
}

/// Reads an e-mail address that was typed.
pub fn address(text: &str) -> Result<Email, &'static str> {
    Email::parse(text).ok_or("not an e-mail address")
}
