//! The kinds of provider: the registry, and what is known of each.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Confidence, Product, SecretKey, Setting, aerospike_cloud, cloudflare_access, data, flashduty, instaply, manual,
    stytch_b2b,
};
use crate::settings::{Diagnostics, Reporter, Section};

/// One kind of provider, as the registry lists it.
pub struct ProviderKind {
    /// The name in the configuration.
    pub name: &'static str,
    /// The vendor's name of the product and the operation.
    pub title: &'static str,
    /// The vendor's own page on it.
    pub page: &'static str,
    /// What a removal ends, and what survives it.
    pub effect: &'static str,
    /// What the credentials must be allowed.
    pub permission: &'static str,
    /// How many calls the vendor allows, where it says so.
    pub limits: Option<&'static str>,
    /// What the facts rest on.
    pub status: Confidence,
    /// What can be done to an account; the first is the default.
    pub actions: &'static [Action],
    /// What its secret may hold: the keys of one of these sets.
    pub secret: &'static [&'static [SecretKey]],
    /// The keys of its section in the configuration that only it has.
    pub settings: &'static [Setting],
    /// Whether accounts can be looked up; else `canary` is refused.
    pub looks_up: bool,
    /// The keys that a provider of it must have of those that every provider takes.
    pub needs: &'static [&'static str],
    pub(super) configure: Configure,
}

/// What is done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The account stays, unusable.
    Deactivate,
    /// The account, or its membership, goes.
    Delete,
}

impl Action {
    /// Returns its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
        }
    }
}

/// What reads the keys that only one kind has.
pub(super) enum Configure {
    Rust(fn(Section<'_>, &mut Reporter<'_>) -> Option<Box<dyn Product>>),
    Manual,
    Data(&'static data::Kind),
}

/// The kinds that are written in Rust, sorted by name.
pub const KINDS: &[ProviderKind] =
    &[aerospike_cloud::KIND, cloudflare_access::KIND, flashduty::KIND, instaply::KIND, manual::KIND, stytch_b2b::KIND];

impl ProviderKind {
    /// Returns the built-in kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::known(name, None).ok().flatten()
    }

    /// The kind of this name: built in, or a file in the folder `providers` of `folder`.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub(crate) fn known(name: &str, folder: Option<&Path>) -> Result<Option<&'static Self>, Diagnostics> {
        match KINDS.iter().find(|kind| kind.name == name) {
            Some(kind) => Ok(Some(kind)),
            None => data::known(name, folder),
        }
    }

    /// The names of all kinds that are built in, sorted.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).chain(data::names()).collect();
        names.sort_unstable();
        names
    }

    /// Returns all built-in kinds, sorted by name. Reads every file: for a person who asks, not for a start.
    pub fn all() -> Vec<&'static Self> {
        Self::names().into_iter().filter_map(Self::named).collect()
    }

    /// Returns whether a person removes the account, because the product has no API: then there is no secret.
    pub fn is_manual(&self) -> bool {
        matches!(self.configure, Configure::Manual)
    }

    /// Returns the user's own kinds, sorted by name: the files in the folder `providers` of `folder`, which is the
    /// configuration's.
    ///
    /// # Errors
    /// What is wrong with any of them.
    pub fn own(folder: &Path) -> Result<Vec<&'static Self>, Diagnostics> {
        data::own(folder)
    }

    /// Returns the keys that a kind's file may have, by the heading of each table in the page on the language.
    pub fn file_keys() -> [(&'static str, &'static [&'static str]); 8] {
        data::keys()
    }

    /// Returns the keys of its secret, for a person: "`client_id` and `client_secret`, or `access_token`".
    pub fn secret_keys(&self) -> String {
        let keys = |set: &&[SecretKey]| set.iter().map(|it| format!("`{}`", it.key)).collect::<Vec<_>>().join(" and ");
        self.secret.iter().map(keys).collect::<Vec<_>>().join(", or ")
    }

    /// Returns whether a provider of it takes this key, of those that every provider takes: no canary without a look-up, no
    /// names of sources unless people are known by external ids, and nothing of calls where there is no secret to call with.
    pub fn takes(&self, key: &str) -> bool {
        match key {
            "enabled" | "action" => true,
            _ if self.secret.is_empty() => false,
            "canary" => self.looks_up,
            "sources" => self.settings.iter().any(|setting| setting.name == "match"),
            _ => true,
        }
    }

    /// Reads the keys that only this kind has. `action` is one of its own.
    pub(crate) fn configure(
        &self,
        action: Action,
        own: Section<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Option<Box<dyn Product>> {
        match self.configure {
            Configure::Rust(configure) => configure(own, reporter),
            Configure::Manual => settings::<manual::Settings>(own, reporter),
            Configure::Data(kind) => kind.configure(action, own, reporter),
        }
    }
}

impl fmt::Debug for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderKind({})", self.name)
    }
}

/// Reads a kind's own keys into its settings.
pub(super) fn settings<P: Product + DeserializeOwned + 'static>(
    own: Section<'_>,
    reporter: &mut Reporter<'_>,
) -> Option<Box<dyn Product>> {
    Some(Box::new(own.read::<P>(reporter)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fields::known_keys;

    #[test]
    fn settings_of_a_kind_in_rust_are_the_keys_that_it_reads() {
        let read: [&[&str]; 6] = [
            known_keys::<aerospike_cloud::Settings>(&[]),
            known_keys::<cloudflare_access::Settings>(&[]),
            known_keys::<flashduty::Settings>(&[]),
            known_keys::<instaply::Settings>(&[]),
            known_keys::<manual::Settings>(&[]),
            known_keys::<stytch_b2b::Settings>(&[]),
        ];
        assert_eq!(read.len(), KINDS.len());
        for (kind, keys) in KINDS.iter().zip(read) {
            let described = kind.settings.iter().map(|setting| setting.name).collect::<std::collections::BTreeSet<_>>();
            assert_eq!(described, keys.iter().copied().collect(), "{}", kind.name);
        }
    }
}
