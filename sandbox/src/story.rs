//! `offboard sandbox`: the real function among mock services, on loopback.

mod cast;
mod ending;
mod own;
mod pages;
mod play;
mod scenes;
mod serve;
mod world;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use offboard::config::Config;
use time::OffsetDateTime;

use own::Own;
use play::Story;
use serve::Served;
use world::World;

use crate::{
    function::{Function, Start},
    screen::{Screen, print},
};

/// The sources of the sandbox's configuration.
const SOURCES: [&str; 5] = ["directory", "workos", "hr", "payroll", "entra"];
/// The policy of the story: the mass departure is more than it allows.
const POLICY: &str = "\n[policy]\nmode = \"live\"\nmax_departures = { count = 20, per = \"1h\" }\n";
/// The providers of the sandbox's configuration, in the order of a report.
const PROVIDERS: [&str; 5] = ["aerospike", "cloudflare", "flashduty", "instaply", "stytch"];

/// What is asked of the sandbox.
pub struct Options {
    /// Whether the function and the mock services stay up instead of playing the story.
    pub serve: bool,
    /// Whether one JSON document is printed instead of tables.
    pub json: bool,
    /// IP address on which the gateway and the mock services listen.
    pub host: IpAddr,
    /// The gateway's port; 0 takes a free one.
    pub port: u16,
    /// A configuration of the user's own to serve.
    pub config: Option<PathBuf>,
    /// Where the configuration for the mock services is written and kept.
    pub config_out: Option<PathBuf>,
}

impl Options {
    /// Plays the story, or serves until interrupted. Everything that was started ends with it.
    pub async fn run(&self) -> Result<ExitCode, String> {
        tokio::select! {
            outcome = self.play_or_serve() => outcome,
            // For a server it is the end that it waits for, for a story it is too early.
            () = interrupted() => if self.serve { Ok(ExitCode::SUCCESS) } else { Err("interrupted".into()) },
        }
    }

    async fn play_or_serve(&self) -> Result<ExitCode, String> {
        let begun = Instant::now();
        let screen = Screen::new(self.json);
        let own = match &self.config {
            Some(file) => Some(Own::start(file, self.host).await?),
            None => None,
        };
        if let Some(own) = &own {
            let (file, config) = self.configuration(&own.configuration)?;
            return Served::own(own).serve(self, &config, &file.path, &screen).await;
        }
        screen.line(&format!("Starting mocks of AWS and of five providers, and the function, on {} …", self.host));
        let world =
            World::start(self.host).await.map_err(|error| format!("cannot listen on {}: {error}", self.host))?;
        let policy = if self.serve { "" } else { POLICY };
        let (file, config) = self.configuration(&(world.configuration() + policy))?;
        if self.serve {
            return Served::world(&world).serve(self, &config, &file.path, &screen).await;
        }
        let (host, config_path) = (self.host, file.path.as_path());
        let start = Start { host, port: 0, config: config_path, aws: &world.aws, mode: Some("live"), show_log: false };
        let mut function = Function::start(start).await?;
        let mut story = Story {
            world: &world,
            config: &config,
            path: config_path,
            function: &mut function,
            start,
            evidence: temporary("evidence", "html"),
            begun,
            sent: BTreeMap::new(),
            said: Vec::new(),
        };
        let ending = story.play(&screen).await;
        pages::ending(&screen, &ending);
        if self.json {
            print(&serde_json::to_string_pretty(&ending).map_err(|error| error.to_string())?);
        }
        if ending.as_expected {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("\nThe end of the function's log:\n{}", function.log().tail());
        Ok(ExitCode::FAILURE)
    }

    /// Writes a configuration, and reads it as the function does.
    fn configuration(&self, text: &str) -> Result<(ConfigFile, Config), String> {
        let file = ConfigFile::write(self.config_out.as_deref(), text, self.config.as_deref())?;
        let config = Config::load(&file.path, None);
        Ok((file, config.map_err(|errors| format!("the configuration for the mock services: {errors}"))?))
    }
}

/// A path for a file of this run, among the machine's temporary files.
fn temporary(what: &str, extension: &str) -> PathBuf {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    std::env::temp_dir().join(format!("offboard-{what}-{}-{now}.{extension}", std::process::id()))
}

/// Waits for Ctrl-C, or for a polite request to end.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    // Without signal handling the process ends at once, and its child with it.
    let _ = tokio::signal::ctrl_c().await;
}

/// The configuration file. With its folder it is removed at the end, unless its path was asked for.
struct ConfigFile {
    path: PathBuf,
    /// The folder that was made for it.
    folder: Option<PathBuf>,
}

impl ConfigFile {
    /// Writes a configuration. In a folder of its own it has the kinds of providers beside it that are beside `original`.
    fn write(asked: Option<&Path>, text: &str, original: Option<&Path>) -> Result<Self, String> {
        let failed = |path: &Path, error: std::io::Error| format!("cannot write {}: {error}", path.display());
        if let Some(path) = asked {
            std::fs::write(path, text).map_err(|error| failed(path, error))?;
            return Ok(Self { path: path.to_owned(), folder: None });
        }
        let folder = temporary("config", "d");
        // In a folder that all users may write to, it is never one that was there.
        std::fs::create_dir(&folder).map_err(|error| failed(&folder, error))?;
        let file = Self { path: folder.join("offboard.toml"), folder: Some(folder.clone()) };
        let kinds = original.and_then(Path::parent).map(|parent| parent.join("providers"));
        let copied =
            kinds.filter(|kinds| kinds.is_dir()).map_or(Ok(()), |kinds| copy(&kinds, &folder.join("providers")));
        copied.and_then(|()| std::fs::write(&file.path, text)).map_err(|error| failed(&file.path, error))?;
        Ok(file)
    }
}

/// Copies the TOML files of a folder into a new one.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let file = entry?.path();
        if let (Some(name), true) = (file.file_name(), file.extension().is_some_and(|extension| extension == "toml")) {
            std::fs::copy(&file, to.join(name))?;
        }
    }
    Ok(())
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // It may be gone already.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
