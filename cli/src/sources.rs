//! `offboard sources`: the kinds of senders, and what to configure for each.

use std::process::ExitCode;

use anyhow::Error;
use clap::{Args, builder::PossibleValuesParser};
use offboard::source::{EventBridgeSpec, KINDS, KindSpec, Protocol, Reply, SourceKind};
use serde_json::{Value, json};

use crate::stack::{Api, NO_API};
use offboard_sandbox::screen::{Ink, Screen, print};

/// What introduces the steps to a partner event source.
pub const BY_EVENTBRIDGE: &str = "Instead of the webhook, by Amazon EventBridge: its events are tried for a day";

/// The options of `offboard sources`.
#[derive(Args)]
#[command(
    after_help = "Without a KIND: all of them. With one: the steps to take in the sender's settings, and what to\n\
                        put into its secret and the configuration."
)]
pub struct Sources {
    /// The kind, as the configuration names it
    #[arg(value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)), hide_possible_values = true)]
    kind: Option<String>,
    /// The URL of the deployed API, to be shown in the steps
    #[arg(long, value_name = "URL", default_value = NO_API)]
    url: String,
    /// The stack in CloudFormation whose URL is to be shown in the steps
    #[arg(long, value_name = "NAME", conflicts_with = "url")]
    stack: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Sources {
    /// Lists the kinds, or explains one.
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let api = Api::named(self.stack.as_deref(), &self.url).await?;
        let named = self.kind.as_deref().map(|name| SourceKind::named(name).into_iter().collect());
        let kinds: Vec<&'static SourceKind> = named.unwrap_or_else(|| KINDS.iter().collect());
        let spec = |kind: &'static SourceKind| Ok((kind, kind.spec().map_err(Error::msg)?));
        let specs = kinds.into_iter().map(spec).collect::<anyhow::Result<Vec<_>>>()?;
        match (&specs[..], &self.kind) {
            _ if self.json => {
                let kinds = specs.iter().map(|(kind, spec)| document(kind, spec, &api));
                print(&format!("{:#}", Value::Array(kinds.collect::<anyhow::Result<_>>()?)));
            }
            ([(kind, spec)], Some(_)) => explain(kind, spec, &api)?,
            _ => list(&specs),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn explain(kind: &SourceKind, spec: &KindSpec, api: &Api) -> anyhow::Result<()> {
    let screen = Screen::new(false);
    screen.line(&screen.paint(Ink::Bold, &format!("{}: {}", kind.name, spec.sender)));
    screen.line(&spec.page);
    screen.section("Authentication", [spec.authentication.clone()]);
    let steps = steps(kind.name, spec, api)?.into_iter().enumerate();
    screen.section("In the sender's settings", steps.map(|(index, step)| format!("{}. {step}", index + 1)));
    screen.section("In offboard.toml", configuration(kind, spec));
    let secret = match kind.secret_key(spec) {
        Some(key) => format!("offboard/sources/{}: {{\"{key}\": \"…\"}}", kind.name),
        None => "nothing: its keys are published".to_owned(),
    };
    screen.section("In AWS Secrets Manager", [secret]);
    let none = |names: Vec<&str>, otherwise: &str| match names.is_empty() {
        true => otherwise.to_owned(),
        false => names.join(", "),
    };
    let mut departures = spec.departures_in_words();
    if departures.is_empty() {
        departures.push("as configured: event = { departures = [\"…\"] }".to_owned());
    }
    screen.section("Departures", departures);
    screen.section(
        "Identity facts",
        [none(spec.identity_facts(), "none: import them, if its departures have no e-mail address")],
    );
    let mut samples = spec.samples();
    samples.retain(|sample| *sample != "departure");
    samples.insert(0, "departure");
    screen.section("Samples of `offboard send --sample`", [samples.join(", ")]);
    if !spec.limitations.is_empty() {
        screen.section("Limitations", [spec.limitations.clone()]);
    }
    let answer = match spec.reply() {
        _ if spec.protocol == Protocol::Scim => {
            screen.section("Answer", ["as SCIM 2.0 says; a write is refused for no reason of ours".to_owned()]);
            return Ok(());
        }
        Reply::Report => "the report",
        Reply::Empty => "an empty 200",
        Reply::Accepted => "an empty 202",
    };
    screen.section("Answer", [format!("{answer}, within {} s", spec.response_timeout().as_secs())]);
    if let Some(eventbridge) = &spec.eventbridge {
        let steps = event_steps(eventbridge).into_iter().enumerate();
        screen.section(BY_EVENTBRIDGE, steps.map(|(index, step)| format!("{}. {step}", index + 1)));
    }
    Ok(())
}

/// Returns the steps to take in the sender's settings for a source of this name.
pub fn steps(source: &str, spec: &KindSpec, api: &Api) -> anyhow::Result<Vec<String>> {
    let url = api.endpoint(spec.protocol, source)?;
    Ok(spec.setup.iter().map(|step| step.replace("{url}", &url)).collect())
}

/// Returns the steps to take for a source that delivers by Amazon EventBridge.
pub fn event_steps(eventbridge: &EventBridgeSpec) -> Vec<String> {
    let prefix = &eventbridge.prefix;
    let ours = [
        format!("AWS: aws events list-event-sources --name-prefix {prefix} shows its NAME"),
        "AWS: aws events create-event-bus --name NAME --event-source-name NAME".to_owned(),
        "offboard.toml: via = \"eventbridge\", event_source = \"NAME\"; no secret".to_owned(),
        "Deploy with the parameter PartnerEventSource=NAME".to_owned(),
    ];
    eventbridge.setup.iter().cloned().chain(ours).collect()
}

fn document(kind: &SourceKind, spec: &KindSpec, api: &Api) -> anyhow::Result<Value> {
    Ok(json!({
        "kind": kind.name,
        "sender": spec.sender,
        "page": spec.page,
        "authentication": spec.authentication,
        "limitations": spec.limitations,
        "setup": steps(kind.name, spec, api)?,
        "eventbridge": spec.eventbridge.as_ref().map(|one| json!({"page": one.page, "setup": event_steps(one)})),
        "configuration": configuration(kind, spec).join("\n"),
        "secret_key": kind.secret_key(spec),
        "departures": spec.departures(),
        "also": spec.also(),
        "identity_facts": spec.identity_facts(),
        "samples": spec.samples(),
        "reply": match spec.reply() {
            Reply::Report => "report",
            Reply::Empty => "empty",
            Reply::Accepted => "accepted",
        },
        "response_timeout_seconds": spec.response_timeout().as_secs(),
    }))
}

/// Returns a section that can be taken as it is, or adapted where the kind leaves something open.
fn configuration(kind: &SourceKind, spec: &KindSpec) -> Vec<String> {
    let head = [format!("[sources.{}]", kind.name), format!("kind = \"{}\"", kind.name)];
    head.into_iter().chain(keys(spec)).collect()
}

/// Returns a line for each key that is to be adapted: a comment, where it may be left out.
pub fn keys(spec: &KindSpec) -> Vec<String> {
    let mut lines = spec.configure.clone();
    let also = spec.also();
    if !also.is_empty() {
        let names = also.join("\", \"");
        lines.push(format!("# also = [\"{names}\"]   # count as departures only if they are named"));
        lines.extend(spec.also_under_conditions().into_iter().map(|rule| format!("#   {rule}")));
    }
    lines
}

fn list(specs: &[(&SourceKind, KindSpec)]) {
    let screen = Screen::new(false);
    let mut table = screen.table(["KIND", "SENDER", "AUTHENTICATION"]);
    table.add_rows(specs.iter().map(|(kind, spec)| [kind.name, &spec.sender, &spec.authentication]));
    screen.show(&table);
    screen
        .line("\n`offboard sources KIND` says what to enter in the sender's settings, and what its events do not say.");
}
