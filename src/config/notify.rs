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
#[serde(default)]
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
