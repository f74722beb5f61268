//! The page of a kind of provider in `docs/providers`.

use offboard::providers::{ProviderKind, Setting};

use super::describe;

/// Returns the page in Markdown.
pub(super) fn page(kind: &ProviderKind) -> String {
    let mut page = format!("# {}\n\n", kind.title);
    page += "<!-- Generated from what the code knows of the kind; `cargo test -p offboard-cli` says how it is renewed. -->\n\n";
    page += &format!("`kind = \"{}\"`. [The vendor's page]({})\n\n", kind.name, kind.page);
    page += "| | |\n| --- | --- |\n";
    let limits = kind.limits.unwrap_or("not documented");
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
    if !kind.looks_up {
        page += &format!("\n{}\n", describe::NO_LOOK_UP);
    }
    if !kind.settings.is_empty() {
        page += "\n## Settings\n\n| key | default | meaning |\n| --- | --- | --- |\n";
        kind.settings.iter().for_each(|setting| page += &row(setting));
    }
    page += "\n## Configuration\n\n";
    describe::configuration(kind).iter().for_each(|line| page += &format!("    {line}\n"));
    page += &format!("\nIts secret in AWS Secrets Manager is a JSON object with {}:\n\n", kind.secret_keys());
    page += "| key | value |\n| --- | --- |\n";
    for key in kind.secret.iter().flat_map(|set| set.iter()) {
        page += &format!("| `{}` | {} |\n", key.key, cell(key.description));
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
