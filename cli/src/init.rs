//! `offboard init`: a first configuration, and what is left to do for it.

mod file;
mod menu;
mod steps;

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, IsTerminal, Write, stderr, stdin},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Error, anyhow, bail};
use clap::Args;
use file::{ChosenProvider, ChosenSource};
use menu::{Choice, Item, Menu};
use offboard::{
    config::Config,
    providers::ProviderKind,
    source::{KINDS, SourceKind},
};
use offboard_sandbox::screen::{Screen, print};
use steps::Steps;

use crate::{
    configured::Configured,
    providers::describe,
    stack::{Api, NO_API, wrong_usage},
};

/// The options of `offboard init`.
#[derive(Args)]
#[command(
    after_help = "On a terminal it asks for what is not named. `offboard sources` and `offboard providers` list the kinds.\nThe \
                  configuration is in dry-run mode: nothing is removed until you change that."
)]
pub struct Init {
    /// A sender that reports departures: its kind, or NAME=KIND; may be repeated
    #[arg(long = "source", value_name = "KIND")]
    sources: Vec<String>,
    /// A product from which leavers are removed: its kind, or NAME=KIND; may be repeated
    #[arg(long = "provider", value_name = "KIND")]
    providers: Vec<String>,
    /// The stack in CloudFormation whose URL is to be shown in the steps, if it is deployed already
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Replace a configuration that exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    configured: Configured,
}

impl Init {
    /// Asks for what is not named, writes the configuration, and says what is left to do.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let path = self.configured.path();
        if path.exists() && !self.force {
            bail!(exists(&path));
        }
        let api = Api::named(self.stack.as_deref(), NO_API).await?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let kinds: Vec<_> = ProviderKind::all().into_iter().chain(ProviderKind::own(folder)?).collect();
        let sources = self.sources()?;
        let providers = choices("provider", &self.providers, kinds.iter().map(|kind| of_provider(kind)).collect())?;
        let of_kind = |Choice { name, kind }: Choice| {
            kinds.iter().find(|known| known.name == kind).map(|kind| ChosenProvider { name, kind })
        };
        let providers: Vec<_> = providers.into_iter().filter_map(of_kind).collect();
        let has_schema = folder.join("offboard.schema.json").exists();
        write(&path, &file::text(&sources, &providers, has_schema), self.force)?;
        let left = Config::load(&path, None).err().map(|errors| errors.to_string()).unwrap_or_default();
        let left = left.lines().map(str::to_owned).collect();
        let steps = Steps::new(path.display().to_string(), left, &sources, &providers, &api)?;
        match self.configured.json {
            true => print(&serde_json::to_string(&steps)?),
            false => steps.show(&Screen::new(false)),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn sources(&self) -> anyhow::Result<Vec<ChosenSource>> {
        let specs = KINDS.iter().map(|kind| kind.spec().map_err(Error::msg)).collect::<anyhow::Result<Vec<_>>>()?;
        let items = KINDS.iter().zip(specs).map(|(kind, spec)| Item {
            kind: kind.name.to_owned(),
            title: spec.sender,
            words: spec.guides,
        });
        let chosen = choices("source", &self.sources, items.collect())?;
        let of_kind = |Choice { name, kind }: Choice| {
            let kind = SourceKind::named(&kind).ok_or_else(|| anyhow!("unknown kind of source {kind}"))?;
            Ok(ChosenSource { name, kind, spec: kind.spec().map_err(Error::msg)? })
        };
        chosen.into_iter().map(of_kind).collect()
    }
}

fn of_provider(kind: &ProviderKind) -> Item {
    let (product, title) = (describe::product(kind).to_owned(), kind.title.to_owned());
    Item { kind: kind.name.to_owned(), title: product, words: vec![title] }
}

/// Returns what the options name, or what is chosen on the terminal.
fn choices(noun: &'static str, named: &[String], items: Vec<Item>) -> anyhow::Result<Vec<Choice>> {
    let menu = Menu::new(noun, items);
    match named {
        [] if stdin().is_terminal() => menu.ask(stdin().lock(), stderr()),
        [] => wrong_usage(&format!("name each {noun} with --{noun}: no terminal is there to ask on")),
        _ => Ok(menu.take(named).unwrap_or_else(|why| wrong_usage(&format!("{why:#}")))),
    }
}

/// Writes the configuration, with its folder. One that exists is replaced by `force` alone.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(!force).create(force).truncate(force);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => Error::new(error).context(failed()),
    })?;
    file.write_all(text.as_bytes()).with_context(failed)
}

fn exists(path: &Path) -> Error {
    anyhow!("{} exists: --force replaces it, --config writes to another file", path.display())
}

/// Returns the address of a page in `docs`.
fn page_url(page: &str) -> String {
    format!("{}/blob/main/docs/{page}.md", env!("CARGO_PKG_REPOSITORY"))
}
