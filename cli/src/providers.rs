//! `offboard providers`: the kinds of products, and what to configure for each.

use std::process::ExitCode;

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use offboard::providers::ProviderKind;
use offboard_sandbox::screen::{Ink, Screen, print};
use serde_json::{Value, json};

/// The keys that a provider of any kind takes, with their defaults.
const COMMON: [&str; 7] = [
    "# secret = \"offboard/providers/NAME\"",
    "# enabled = true     # false: not called, and not in reports",
    "# confirm = true     # false: a deletion is not proven by a second look",
    "# timeout = \"10s\"    # for one request",
    "# attempts = 3       # for one request",
    "# base_url = \"https://api.example.com\"   # another endpoint than the vendor's",
    "# canary = \"ops@example.com\"   # an account that is always there: unless it is in sight, no account is called absent",
];

/// The options of `offboard providers`.
#[derive(Args)]
pub struct Providers {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// List the kinds; the default
    List,
    /// Show what to put into the configuration and the secret
    Show {
        /// The kind, as the configuration names it
        #[arg(value_parser = PossibleValuesParser::new(ProviderKind::names()), hide_possible_values = true)]
        kind: String,
    },
}

impl Providers {
    /// Lists the kinds, or shows one.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let shown = match &self.command {
            Some(Command::Show { kind }) => ProviderKind::named(kind),
            _ => None,
        };
        match shown {
            _ if self.json => {
                let kinds = shown.map_or_else(ProviderKind::all, |kind| vec![kind]);
                print(&format!("{:#}", Value::Array(kinds.into_iter().map(document).collect())));
            }
            Some(kind) => show(kind),
            None => list(),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn document(kind: &ProviderKind) -> Value {
    json!({
        "kind": kind.name,
        "title": kind.title,
        "page": kind.page,
        "secret_keys": kind.secret_keys,
        "looks_up": kind.looks_up,
        "configuration": configuration(kind).join("\n"),
    })
}

/// Returns a section that can be taken as it is, or adapted.
fn configuration(kind: &ProviderKind) -> Vec<String> {
    // A canary is found by a look-up; without an API there is no call to set anything for.
    let has_effect = |line: &str| match line.starts_with("# enabled") {
        true => true,
        false => !kind.is_manual() && (kind.looks_up || !line.starts_with("# canary")),
    };
    let common = COMMON.iter().filter(|line| has_effect(line));
    let common = common.map(|line| {
        let line = line.replace("NAME", kind.name);
        let key = line.trim_start_matches("# ");
        if kind.needs.iter().any(|need| key.starts_with(need)) { key.to_owned() } else { line }
    });
    let actions = match kind.actions {
        [] | [_] => None,
        [first, others @ ..] => {
            let others: Vec<_> = others.iter().map(|action| action.name()).collect();
            Some(format!("# action = \"{}\"   # or {}", first.name(), others.join(", ")))
        }
    };
    let own = kind.configure_lines.iter().map(|line| (*line).to_owned());
    [format!("[providers.{}]", kind.name), format!("kind = \"{}\"", kind.name)]
        .into_iter()
        .chain(own)
        .chain(actions)
        .chain(common)
        .collect()
}

fn show(kind: &ProviderKind) {
    let screen = Screen::new(false);
    screen.line(&screen.paint(Ink::Bold, &format!("{}: {}", kind.name, kind.title)));
    screen.line(kind.page);
    screen.section("In offboard.toml", configuration(kind));
    if kind.is_manual() {
        let by_hand = "No API is called, and there is no secret: a person removes the account, and says so with \
                       `offboard departures confirm`.";
        return screen.section("Limitations", [by_hand.to_owned()]);
    }
    let secret = format!("offboard/providers/{}, a JSON object with {}", kind.name, kind.secret_keys);
    screen.section("In AWS Secrets Manager", [secret]);
    if kind.looks_up {
        screen.line("\n`offboard check --live` proves the credentials by a read that changes nothing.");
    } else {
        let no_look_up =
            "The product has no look-up: no read proves the credentials, and the proof of a removal is a second one.";
        screen.section("Limitations", [no_look_up.to_owned()]);
    }
}

fn list() {
    let screen = Screen::new(false);
    let mut table = screen.table(["KIND", "PRODUCT", "KEYS OF ITS SECRET"]);
    table.add_rows(ProviderKind::all().into_iter().map(|kind| [kind.name, kind.title, kind.secret_keys]));
    screen.show(&table);
    screen.line("\n`offboard providers show KIND` shows what to put into the configuration and the secret.");
}
