//! `[notify]`: what people, and other automation, are notified of.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error};

use crate::{notification::Occasion, settings::nearest::suggestion};

/// The names in `about`.
const NAMES: [(&str, Occasion); 4] = [
    ("held", Occasion::Held),
    ("needs_attention", Occasion::NeedsAttention),
    ("done", Occasion::Done),
    ("digest", Occasion::Digest),
];

/// `[notify]`: what is published on the event bus, where the function has one.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifySettings {
    /// What notifications are about.
    #[serde(deserialize_with = "occasions")]
    pub about: BTreeSet<Occasion>,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self { about: BTreeSet::from([Occasion::Held, Occasion::NeedsAttention, Occasion::Digest]) }
    }
}

fn occasions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Occasion>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let occasion = |name: &String| {
        let known = NAMES.iter().find(|(known, _)| known == name).map(|(_, occasion)| *occasion);
        known.ok_or_else(|| {
            let known = NAMES.map(|(known, _)| known);
            D::Error::custom(format!("nothing is published about `{name}`: {}", suggestion(name, &known)))
        })
    };
    names.iter().map(occasion).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeSet<Occasion>, String> {
        let settings = toml::from_str::<NotifySettings>(text).map_err(|error| error.message().to_owned());
        settings.map(|settings| settings.about)
    }

    #[test]
    fn people_are_notified_of_what_waits_for_them_unless_it_is_switched_off() {
        let default = [Occasion::Held, Occasion::NeedsAttention, Occasion::Digest];
        assert_eq!(read(""), Ok(default.into()));
        assert_eq!(read("about = []"), Ok([].into()));
        assert_eq!(read("about = [\"done\", \"done\"]"), Ok([Occasion::Done].into()));
        let names = format!("about = {:?}", NAMES.map(|(name, _)| name));
        assert_eq!(read(&names), Ok(NAMES.map(|(_, occasion)| occasion).into()));
    }

    #[test]
    fn misspelt_name_is_an_error_with_the_nearest() {
        let error = read("about = [\"needs-attention\"]").unwrap_err();
        assert!(
            error.starts_with("nothing is published about `needs-attention`") && error.contains("needs_attention"),
            "{error}"
        );
    }
}
