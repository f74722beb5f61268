//! What every command shares that works with a configuration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use offboard::{
    config::{Config, Mode},
    departure::{Departure, Event},
    engine::Engine,
    person::{Email, Person},
    plan::Plan,
    report::Entry,
    secrets::Secrets,
};
use time::OffsetDateTime;
use tokio::time::Instant;

/// How long an operator waits for all providers together.
pub const PATIENCE: Duration = Duration::from_secs(60);

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

    /// Reads it. Whatever its mode is, nothing is deleted from a command line.
    pub fn load(&self) -> Result<Config, String> {
        let mut config = read(&self.path())?;
        config.policy.mode = Mode::DryRun;
        Ok(config)
    }
}

/// Reads the configuration in this file.
pub fn read(path: &Path) -> Result<Config, String> {
    Config::load(path, None).map_err(|faults| {
        let path = path.display();
        format!("{faults}\nthe configuration is {path}; --config or OFFBOARD_CONFIG names another one")
    })
}

/// Looks at every provider for the accounts of a person, and touches nothing.
pub async fn look(config: &mut Config, person: Person) -> Result<(Vec<Entry>, std::sync::Arc<Secrets>), String> {
    // Whose external id was typed, the person at the keyboard knows.
    for provider in &mut config.providers {
        provider.sources.insert("command-line".to_owned());
    }
    let (engine, secrets) = Engine::connect(config).await?;
    let event = Event { id: "command-line".into(), kind: "plan".into(), occurred_at: None, organization: None };
    let departure = Departure { id: "command-line".into(), source: "command-line".into(), event, person };
    let plan = Plan::new(&config.policy, departure, OffsetDateTime::now_utc());
    let entries = plan.execute(&engine, &secrets, Instant::now() + PATIENCE).await;
    Ok((entries, secrets))
}

/// An address that was typed.
pub fn address(text: &str) -> Result<Email, &'static str> {
    Email::parse(text).ok_or("not an e-mail address")
}
