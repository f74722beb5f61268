//! `offboard sources`: the kinds of senders, and what to enter in each one's settings.

use std::process::ExitCode;

use clap::{Args, builder::PossibleValuesParser};
use offboard::source::{KINDS, Kind, KindSpec, Reply};
use serde::Serialize;

use crate::screen::{Ink, Screen, print};

/// The options of `offboard sources`.
#[derive(Args)]
#[command(
    after_help = "Without a KIND: all of them. With one: the steps to take in the sender's settings, and what to\n\
                        put into its secret and the configuration."
)]
pub struct Sources {
    /// The kind, as it stands in the configuration
    #[arg(value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)), hide_possible_values = true)]
    kind: Option<String>,
    /// The address of the deployed API, to be shown in the steps
    #[arg(long, value_name = "URL", default_value = "https://YOUR-API")]
    url: String,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// A kind, for machines.
#[derive(Serialize)]
struct Told {
    kind: &'static str,
    sender: String,
    page: String,
    proof: String,
    lacks: String,
    setup: Vec<String>,
    secret_key: Option<&'static str>,
    departures: Vec<String>,
    also: Vec<String>,
    lessons: Vec<String>,
    samples: Vec<String>,
    reply: &'static str,
    response_timeout_seconds: u64,
}

impl Sources {
    /// Lists the kinds, or explains one.
    pub fn run(&self) -> Result<ExitCode, String> {
        let kinds: Vec<&Kind> = match &self.kind {
            None => KINDS.iter().collect(),
            Some(name) => Kind::named(name).into_iter().collect(),
        };
        let rows: Vec<(&Kind, KindSpec)> =
            kinds.into_iter().map(|kind| Ok((kind, kind.spec()?))).collect::<Result<_, String>>()?;
        match (&rows[..], &self.kind) {
            _ if self.json => {
                let told: Vec<Told> = rows.into_iter().map(|(kind, row)| self.told(kind, row)).collect();
                print(&serde_json::to_string_pretty(&told).map_err(|fault| fault.to_string())?);
            }
            ([(kind, row)], Some(_)) => self.explain(kind, row),
            _ => list(&rows),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn explain(&self, kind: &Kind, row: &KindSpec) {
        let screen = Screen::new(false);
        screen.line(&screen.paint(Ink::Bold, &format!("{}: {}", kind.name, row.sender)));
        screen.line(&row.page);
        screen.section("How a delivery is known to be the sender's", [row.authentication.clone()]);
        let steps = self.steps(kind, row).into_iter().enumerate();
        screen.section("What to do there", steps.map(|(index, step)| format!("{}. {step}", index + 1)));
        screen.section("In offboard.toml", configuration(kind, row));
        let secret = match kind.secret_key(row) {
            Some(key) => format!("offboard/sources/{}: {{\"{key}\": \"…\"}}", kind.name),
            None => "nothing: its keys are published".to_owned(),
        };
        screen.section("In AWS Secrets Manager", [secret]);
        let none = |names: Vec<&str>, otherwise: &str| match names.is_empty() {
            true => otherwise.to_owned(),
            false => names.join(", "),
        };
        let mut departures = row.departures_in_words();
        if departures.is_empty() {
            departures.push("as configured: event = { departures = [\"…\"] }".to_owned());
        }
        screen.section("Who has left", departures);
        screen
            .section("What teaches the directory", [none(row.identity_facts(), "nothing: import it, if it is needed")]);
        let mut samples = row.samples();
        samples.retain(|sample| *sample != "departure");
        samples.insert(0, "departure");
        screen.section("What `offboard send --sample` knows", [samples.join(", ")]);
        if !row.limitations.is_empty() {
            screen.section("What can be missing", [row.limitations.clone()]);
        }
        let answer = match row.reply() {
            Reply::Report => "the report",
            Reply::Empty => "an empty 200",
            Reply::Accepted => "an empty 202",
        };
        screen.section("What it is answered", [format!("{answer}, within {} s", row.response_timeout().as_secs())]);
    }

    /// What to do in the sender's settings.
    fn steps(&self, kind: &Kind, row: &KindSpec) -> Vec<String> {
        let url = format!("{}/webhooks/{}", self.url.trim_end_matches('/'), kind.name);
        row.setup.iter().map(|step| step.replace("{url}", &url)).collect()
    }

    fn told(&self, kind: &Kind, row: KindSpec) -> Told {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Told {
            kind: kind.name,
            setup: self.steps(kind, &row),
            secret_key: kind.secret_key(&row),
            departures: owned(row.departures()),
            also: owned(row.also()),
            lessons: owned(row.identity_facts()),
            samples: owned(row.samples()),
            reply: match row.reply() {
                Reply::Report => "report",
                Reply::Empty => "empty",
                Reply::Accepted => "accepted",
            },
            response_timeout_seconds: row.response_timeout().as_secs(),
            sender: row.sender,
            page: row.page,
            proof: row.authentication,
            lacks: row.limitations,
        }
    }
}

/// A section that can be taken as it is, or adapted where the kind leaves something open.
fn configuration(kind: &Kind, row: &KindSpec) -> Vec<String> {
    let mut lines = vec![format!("[sources.{}]", kind.name), format!("kind = \"{}\"", kind.name)];
    lines.extend(row.configure.clone());
    let also = row.also();
    if !also.is_empty() {
        let names = also.join("\", \"");
        lines.push(format!("# also = [\"{names}\"]   # count as departures only if they are named"));
        lines.extend(row.also_under_conditions().into_iter().map(|rule| format!("#   {rule}")));
    }
    lines
}

fn list(rows: &[(&Kind, KindSpec)]) {
    let screen = Screen::new(false);
    let mut table = screen.table(["KIND", "SENDER", "KNOWN BY"]);
    table.add_rows(rows.iter().map(|(kind, row)| [kind.name, &row.sender, &row.authentication]));
    screen.show(&table);
    screen.line("\n`offboard sources KIND` says what to enter in the sender's settings, and what its events lack.");
}
