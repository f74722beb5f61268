//! `offboard providers`: the kinds of products, and what to configure for each.

pub mod describe;
mod page;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use offboard::{
    config::suggestion,
    providers::{Confidence, ProviderKind},
};
use offboard_sandbox::screen::{Ink, Screen, print, wrapped};
use serde_json::Value;

use crate::configured::Configured;

/// The options of `offboard providers`.
#[derive(Args)]
pub struct Providers {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print a page in Markdown, as in docs/providers
    #[arg(long, hide = true, global = true)]
    markdown: bool,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Subcommand)]
enum Command {
    /// List the kinds; the default
    List,
    /// Show what a removal does, and what to put into the configuration and the secret
    Show {
        /// The kind, as the configuration names it
        kind: String,
    },
}

/// The kinds that are known.
struct Kinds {
    built_in: Vec<&'static ProviderKind>,
    /// Those in the folder `providers` beside the configuration.
    own: Vec<&'static ProviderKind>,
}

impl Kinds {
    fn all(&self) -> impl Iterator<Item = &'static ProviderKind> {
        self.built_in.iter().chain(&self.own).copied()
    }

    fn document(&self, kind: &ProviderKind) -> Value {
        let mut document = describe::document(kind);
        document["built_in"] = self.built_in.iter().any(|known| known.name == kind.name).into();
        document
    }
}

impl Providers {
    /// Lists the kinds, or shows one.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let kinds = Kinds { built_in: ProviderKind::all(), own: self.configured.own_kinds()? };
        let name = match &self.command {
            Some(Command::Show { kind }) => kind,
            _ => {
                match self.configured.json {
                    true => print_json(kinds.all().map(|kind| kinds.document(kind)).collect()),
                    false if self.markdown => print(&page::index(kinds.all())),
                    false => self.list(&kinds),
                }
                return Ok(ExitCode::SUCCESS);
            }
        };
        let Some(kind) = kinds.all().find(|kind| kind.name == *name) else {
            let known: Vec<_> = kinds.all().map(|kind| kind.name).collect();
            eprintln!("offboard: unknown kind `{name}`: {}", suggestion(name, &known));
            return Ok(ExitCode::from(2));
        };
        match self.configured.json {
            true => print_json(vec![kinds.document(kind)]),
            false if self.markdown => print(&page::page(kind)),
            false => show(kind),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, kinds: &Kinds) {
        let screen = Screen::new(false);
        let mut table = screen.table(["KIND", "PRODUCT", "ACTIONS"]);
        table.add_rows(kinds.built_in.iter().map(|kind| row(kind)));
        screen.show(&table);
        if !kinds.own.is_empty() {
            let folder = self.configured.path().with_file_name("providers");
            screen.line(&format!("\nYour own, in {}:", folder.display()));
            let mut table = screen.table(["KIND", "PRODUCT", "ACTIONS"]);
            table.add_rows(kinds.own.iter().map(|kind| row(kind)));
            screen.show(&table);
        }
        screen.line("\n* partly inferred from what the vendor documents: a canary is required.");
        screen.line("`offboard providers show KIND` shows what a removal does, and what to configure.");
    }
}

fn print_json(documents: Vec<Value>) {
    print(&format!("{:#}", Value::Array(documents)));
}

fn row(kind: &ProviderKind) -> [String; 3] {
    let mark = if kind.status == Confidence::PartlyInferred { " *" } else { "" };
    [format!("{}{mark}", kind.name), describe::product(kind).to_owned(), describe::actions(kind)]
}

fn show(kind: &ProviderKind) {
    let screen = Screen::new(false);
    let section = |title: &str, text: &str| screen.section(title, wrapped(text, usize::from(screen.width) - 2));
    screen.line(&screen.paint(Ink::Bold, &format!("{}: {}", kind.name, kind.title)));
    screen.line(kind.page);
    section("Actions", &describe::actions(kind));
    section("Effect", kind.effect);
    section("Permission", kind.permission);
    if let Some(limits) = kind.limits {
        section("Rate limits", limits);
    }
    section("Facts", kind.status.in_words());
    if let Some(limitations) = describe::limitations(kind) {
        section("Limitations", limitations);
    }
    let settings =
        kind.settings.iter().flat_map(|setting| wrapped(&describe::setting(setting), 90)).collect::<Vec<_>>();
    if !settings.is_empty() {
        screen.section("Settings", settings);
    }
    screen.section("In offboard.toml", describe::configuration(kind));
    if kind.secret.is_empty() {
        return;
    }
    let secret = format!("offboard/providers/{}, a JSON object with {}", kind.name, kind.secret_keys());
    screen.section("In AWS Secrets Manager", [secret].into_iter().chain(describe::secret(kind)));
    if kind.looks_up {
        screen.line("\n`offboard check --live` proves the credentials by a read that changes nothing.");
    }
}
