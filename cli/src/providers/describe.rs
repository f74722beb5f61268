//! What is known of a kind of provider: as sentences, as a block of configuration, as a JSON document.

use offboard::providers::{ProviderKind, Setting, SettingForm};
use serde_json::{Value, json};

/// What it means that a product cannot be searched.
const NO_LOOK_UP: &str =
    "The product has no look-up: no read proves the credentials, and the proof of a removal is a second one.";

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

/// Returns the product's name, without the operation.
pub fn product(kind: &ProviderKind) -> &'static str {
    kind.title.split_once(": ").map_or(kind.title, |(product, _)| product)
}

/// Returns its actions, the default first.
pub(super) fn actions(kind: &ProviderKind) -> String {
    kind.actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ")
}

/// Returns a section that can be taken as it is, or adapted.
pub(super) fn configuration(kind: &ProviderKind) -> Vec<String> {
    let head = [format!("[providers.{}]", kind.name), format!("kind = \"{}\"", kind.name)];
    head.into_iter().chain(keys(kind, kind.name)).collect()
}

/// Returns a line for each key that a provider of this kind and name takes: a comment, where it may be left out.
pub fn keys(kind: &ProviderKind, name: &str) -> Vec<String> {
    let key = |line: &str| line.trim_start_matches("# ").split(' ').next().unwrap_or_default().to_owned();
    let common = COMMON.into_iter().filter(|line| kind.takes(&key(line)));
    let (required, optional): (Vec<_>, Vec<_>) = common.partition(|line| kind.needs.contains(&key(line).as_str()));
    let required = required.into_iter().map(|line| match line.starts_with("# base_url") {
        true => "base_url = \"https://api.example.com\"   # where the product is".to_owned(),
        false => line.trim_start_matches("# ").to_owned(),
    });
    let actions = match kind.actions {
        [] | [_] => None,
        [first, others @ ..] => {
            let others: Vec<_> = others.iter().map(|action| action.name()).collect();
            Some(format!("# action = \"{}\"   # or {}", first.name(), others.join(", ")))
        }
    };
    let settings = |required: bool| kind.settings.iter().filter(move |setting| setting.required == required);
    settings(true)
        .map(Setting::line)
        .chain(required)
        .chain(settings(false).map(Setting::line))
        .chain(actions)
        .chain(optional.into_iter().map(|line| line.replace("NAME", name)))
        .collect()
}

/// Returns what cannot be done, because the product has no look-up.
pub(super) fn limitations(kind: &ProviderKind) -> Option<&'static str> {
    (!kind.looks_up && !kind.secret.is_empty()).then_some(NO_LOOK_UP)
}

/// Returns a setting with its description, its default and its values.
pub(super) fn setting(setting: &Setting) -> String {
    let Setting { name, description, default, one_of, characters, longest, .. } = setting;
    let default = match default {
        Some(default) => format!(" Default: {default}."),
        None if setting.required => " Required.".to_owned(),
        None => String::new(),
    };
    let list = if setting.form == SettingForm::Texts { " A list." } else { "" };
    let one_of = if one_of.is_empty() { String::new() } else { format!(" One of {}.", one_of.join(", ")) };
    let length = longest.map(|longest| format!(" At most {longest} characters.")).unwrap_or_default();
    let characters = characters.map(|class| format!(" Characters: {class}")).unwrap_or_default();
    format!("{name}: {description}.{list}{default}{one_of}{length}{characters}")
}

/// Returns each key of the secret with its description.
pub(super) fn secret(kind: &ProviderKind) -> Vec<String> {
    kind.secret.iter().flat_map(|set| set.iter()).map(|it| format!("{}: {}", it.key, it.description)).collect()
}

/// Returns all that is known of a kind.
pub(super) fn document(kind: &ProviderKind) -> Value {
    json!({
        "kind": kind.name,
        "title": kind.title,
        "page": kind.page,
        "actions": kind.actions,
        "effect": kind.effect,
        "permission": kind.permission,
        "limits": kind.limits,
        "status": kind.status,
        "status_in_words": kind.status.in_words(),
        "looks_up": kind.looks_up,
        "settings": kind.settings,
        "requires": kind.needs,
        "secret_keys": kind.secret_keys(),
        "secret": kind.secret,
        "configuration": configuration(kind).join("\n"),
    })
}
