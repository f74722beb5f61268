//! The page of a kind of provider in `docs/providers`.

use offboard::providers::{Confidence, ProviderKind, Setting};

use super::describe;

/// What a generated page says of itself.
const GENERATED: &str = "<!-- Generated: `RENEW=1 cargo test -p offboard-cli --test generated` writes it. -->";

/// Returns the page about all of these kinds in Markdown.
pub(super) fn index<'a>(kinds: impl Iterator<Item = &'a ProviderKind>) -> String {
    let mut page = format!("# Kinds of providers\n\n{GENERATED}\n\n");
    page += "A product that is not listed: [with one file](../add-a-provider.md), without a compiler; or, if it has no API for it,\n\
             [by hand](../without-an-api.md).\n\n";
    page += "| kind | product | actions | facts |\n| --- | --- | --- | --- |\n";
    for kind in kinds {
        let facts = match kind.status {
            Confidence::VerifiedDocs => "documented",
            Confidence::PartlyInferred => "partly inferred: a canary is required",
        };
        let (name, title) = (kind.name, cell(kind.title));
        page += &format!("| [`{name}`]({name}.md) | {title} | {} | {facts} |\n", describe::actions(kind));
    }
    page += "\nWhat `deactivate` and `delete` end, and what survives, is on each page; what the keys of every provider mean, in\n\
             [providers.md](../providers.md).";
    page
}

/// Returns the page about a kind in Markdown.
pub(super) fn page(kind: &ProviderKind) -> String {
    let mut page = format!("# {}\n\n", kind.title);
    page += &format!("{GENERATED}\n\n");
    page += &format!("`kind = \"{}\"`. [The vendor's page]({})\n\n", kind.name, kind.page);
    page += "| | |\n| --- | --- |\n";
    let limits = kind.limits.unwrap_or("not known");
    let [actions, facts] = [describe::actions(kind), kind.status.in_words().to_owned()];
    for (name, text) in [
        ("actions", actions.as_str()),
        ("effect", kind.effect),
        ("permission", kind.permission),
        ("rate limits", limits),
        ("facts", &facts),
    ] {
        page += &format!("| {name} | {} |\n", cell(text));
    }
    if let Some(limitations) = describe::limitations(kind) {
        page += &format!("\n{limitations}\n");
    }
    if !kind.settings.is_empty() {
        page += "\n## Settings\n\n| key | default | meaning |\n| --- | --- | --- |\n";
        kind.settings.iter().for_each(|setting| page += &row(setting));
    }
    page += "\n## Configuration\n\n";
    describe::configuration(kind).iter().for_each(|line| page += &format!("    {line}\n"));
    if !kind.secret.is_empty() {
        page += &format!("\nIts secret in AWS Secrets Manager is a JSON object with {}:\n\n", kind.secret_keys());
        page += "| key | value |\n| --- | --- |\n";
        let keys = kind.secret.iter().flat_map(|set| set.iter());
        keys.for_each(|key| page += &format!("| `{}` | {} |\n", key.key, cell(key.description)));
    }
    page += "\nThe keys that every provider takes, and what to do next: [providers.md](../providers.md).";
    page
}

fn row(setting: &Setting) -> String {
    let default = match setting.default {
        Some(default) => format!("`{default}`"),
        None if setting.required => "required".to_owned(),
        None => String::new(),
    };
    let one_of: Vec<_> = setting.one_of.iter().map(|value| format!("`{value}`")).collect();
    let one_of = if one_of.is_empty() { String::new() } else { format!(": one of {}", one_of.join(", ")) };
    format!("| `{}` | {default} | {}{one_of} |\n", setting.name, cell(setting.description))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
