//! The configuration that `offboard init` writes.

use offboard::{
    providers::{Confidence, ProviderKind},
    source::{KindSpec, SourceKind},
};
use offboard_sandbox::screen::wrapped;

use super::page_url;
use crate::{providers::describe, sources};

/// Width of the comments, in columns.
const WIDTH: usize = 116;
/// What every source takes.
const OF_EVERY_SOURCE: [&str; 2] = [
    "# secret = \"offboard/sources/NAME\"",
    "# providers = [\"PROVIDER\"]   # its leavers are removed from these alone; or except = [\"PROVIDER\"]",
];
const POLICY: &str = r#"[policy]
# dry_run: look accounts up, report which would be removed, remove none. Departures are recorded as held.
# live:    remove them. What was held before is not removed by that: release or dismiss it with `offboard departures`.
mode = "dry_run"
# People who are never removed, whatever a source reports: e-mail addresses, or all of a domain.
# protected = ["root@example.com", "*@breakglass.example.com"]
# The organization's own e-mail domains: an account with another's address in one of them is left to a person.
# domains = ["example.com"]
# The safeguard: departures beyond it are held. Choose what your busiest hour cannot reach.
# max_departures = { count = 50, per = "1h" }
# An event that was older when it arrived is held.
# max_event_age = "7d"
# How long a departure waits for another source that still has the person.
# overlap = "1h"
"#;

/// A source that was chosen.
pub(super) struct ChosenSource {
    pub(super) name: String,
    pub(super) kind: &'static SourceKind,
    pub(super) spec: KindSpec,
}

/// A provider that was chosen.
pub(super) struct ChosenProvider {
    pub(super) name: String,
    pub(super) kind: &'static ProviderKind,
}

/// Returns the configuration. `has_schema` is whether the schema for editors is beside it.
pub(super) fn text(sources: &[ChosenSource], providers: &[ChosenProvider], has_schema: bool) -> String {
    let mut text = if has_schema { "#:schema ./offboard.schema.json\n" } else { "" }.to_owned();
    text += &comment(&format!(
        "Written by `offboard init`. Sources, which may report that a person left, and providers, from which that person is \
         removed. All keys: {}. A line with a comment sign is an example, or a default.",
        page_url("configuration")
    ));
    text += &comment("`offboard check --offline` says what is wrong or missing here.");
    text += &format!("\n{POLICY}");
    text += "\n\n# ---- Sources: one for each sender ----\n";
    sources.iter().for_each(|chosen| text += &source(chosen));
    text += "\n\n# ---- Providers: one for each account or organization from which a leaver is removed ----\n";
    providers.iter().for_each(|chosen| text += &provider(chosen));
    text
}

fn source(ChosenSource { name, kind, spec }: &ChosenSource) -> String {
    let about = format!("{}. {}", spec.sender, spec.page);
    let about = [about, format!("Authentication: {}.", spec.authentication)].into_iter();
    let limitations = (!spec.limitations.is_empty()).then(|| format!("Limitations: {}.", spec.limitations));
    let of_every = OF_EVERY_SOURCE.iter().filter(|line| !line.contains("secret") || kind.secret_key(spec).is_some());
    let keys = sources::keys(spec).into_iter().chain(of_every.map(|line| line.replace("NAME", name)));
    let settle = spec.configure.iter().all(|line| !line.contains("settle")).then(|| {
        "# settle = \"0s\"   # wait so long before anything is removed, so that a mass change is seen as one".to_owned()
    });
    let eventbridge = spec.eventbridge.iter().flat_map(|one| {
        let name = format!("# event_source = \"{}…\"   # the partner event source, with `via`", one.prefix);
        [
            "# via = \"eventbridge\"   # not to a webhook, but to Amazon EventBridge: its events are tried for a day"
                .into(),
            name,
        ]
    });
    let seconds = spec.response_timeout().as_secs();
    let timeout = format!("# response_timeout = \"{seconds}s\"   # how long the sender waits for an answer");
    section(
        "sources",
        name,
        kind.name,
        about.chain(limitations),
        keys.chain(eventbridge).chain([timeout]).chain(settle),
    )
}

fn provider(ChosenProvider { name, kind }: &ChosenProvider) -> String {
    let about = [format!("{}. {}", kind.title, kind.page), kind.effect.to_owned()].into_iter();
    let permission = (!kind.secret.is_empty()).then(|| format!("The credentials need: {}.", kind.permission));
    let facts = (kind.status == Confidence::PartlyInferred).then(|| format!("Facts: {}.", kind.status.in_words()));
    section("providers", name, kind.name, about.chain(permission).chain(facts), describe::keys(kind, name).into_iter())
}

/// Returns a section. What has to be filled in is a comment too, so that `check` names it until it is.
fn section(
    table: &str,
    name: &str,
    kind: &str,
    about: impl Iterator<Item = String>,
    keys: impl Iterator<Item = String>,
) -> String {
    let about: String = about.map(|text| comment(&text)).collect();
    let (optional, required): (Vec<_>, Vec<_>) = keys.partition(|line| line.starts_with('#'));
    let mut text = format!("\n{about}[{table}.{name}]\nkind = \"{kind}\"\n");
    if !required.is_empty() {
        text += "# Required: fill in, and remove the comment sign.\n";
        required.iter().for_each(|line| text += &format!("# {line}\n"));
    }
    text += "# Optional:\n";
    optional.iter().for_each(|line| text += &format!("{line}\n"));
    text
}

/// Returns a text as lines of comments.
fn comment(text: &str) -> String {
    wrapped(text, WIDTH).iter().map(|line| format!("# {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use offboard::config::Config;

    use super::*;

    #[test]
    fn examples_of_the_policy_are_its_defaults_or_can_be_read() {
        let active: String = POLICY.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let is_key = |line: &&str| line.starts_with('[') || line.contains(" = ");
        let keys: Vec<_> = active.lines().filter(is_key).collect();
        let rest = "[sources.workos]\nkind = \"workos\"\n[providers.instaply]\nkind = \"instaply\"\n";
        let read = |policy: &str| Config::parse(&format!("{policy}\n{rest}"), None).expect("a configuration").policy;
        let (policy, default) = (read(&keys.join("\n")), read("[policy]"));
        assert_eq!((policy.protected.len(), policy.domains.len()), (2, 1));
        assert_eq!(
            (policy.mode, policy.max_event_age, policy.overlap, policy.max_departures),
            (default.mode, default.max_event_age, default.overlap, default.max_departures)
        );
    }
}
