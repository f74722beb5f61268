//! What every command shares that works with a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use offboard::{
    config::Config,
    engine::{Action, AddressStatus, Assignment, Engine, OwnedIdentity, Target},
    outcome::ProviderResult,
    person::{Email, Person},
};
use tokio::time::Instant;

/// How long a command waits for all providers together.
pub const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// Stands for the source where a person is typed.
const COMMAND_LINE: &str = "command-line";

/// Where the configuration is, and how to show what comes of it.
#[derive(Args)]
pub struct Configured {
    /// The configuration [default: $OFFBOARD_CONFIG, or config/offboard.toml]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

impl Configured {
    /// Where the configuration is.
    pub fn path(&self) -> PathBuf {
        let named = std::env::var_os("OFFBOARD_CONFIG").filter(|path| !path.is_empty());
        self.config.clone().or(named.map(PathBuf::from)).unwrap_or_else(|| "config/offboard.toml".into())
    }

    /// One more certificate authority, for AWS too, if there is a configuration that names one.
    pub fn extra_ca(&self) -> Result<Option<Vec<u8>>, String> {
        if self.config.is_none() && !self.path().exists() {
            return Ok(None);
        }
        self.load()?.extra_ca().map_err(|faults| faults.to_string())
    }

    /// Reads it, with the mode of OFFBOARD_MODE, if that is set.
    pub fn load(&self) -> Result<Config, String> {
        read(&self.path())
    }
}

/// Reads the configuration in this file.
pub fn read(path: &Path) -> Result<Config, String> {
    let mode = std::env::var("OFFBOARD_MODE").ok().filter(|mode| !mode.is_empty());
    Config::load(path, mode.as_deref()).map_err(|faults| {
        let path = path.display();
        format!("{faults}\nthe configuration is {path}; --config or OFFBOARD_CONFIG names another one")
    })
}

/// Looks a person up at every provider, and removes nothing.
pub async fn look_up(config: &mut Config, person: &Person) -> Result<Vec<ProviderResult>, String> {
    // The id that was typed is whose the operator says it is.
    for provider in &mut config.providers {
        provider.sources.insert(COMMAND_LINE.to_owned());
    }
    let (engine, secrets) = Engine::connect(config).await?;
    let emails = person.emails().cloned().map(OwnedIdentity::Email);
    let identities = emails.chain(person.external_id.clone().map(OwnedIdentity::ExternalId));
    let targets = identities.map(|identity| Target { identity, status: AddressStatus::Current });
    let assignment = Assignment {
        targets: targets.collect(),
        source: COMMAND_LINE.to_owned(),
        action: Action::LookUp,
        released: BTreeMap::new(),
        begun: BTreeSet::new(),
    };
    Ok(engine.execute(&secrets, assignment, Instant::now() + LOOK_UP_TIMEOUT).await)
}

/// Reads an e-mail address that was typed.
pub fn address(text: &str) -> Result<Email, &'static str> {
    Email::parse(text).ok_or("not an e-mail address")
}
