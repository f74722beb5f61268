//! The products from which a departed person is removed: what one is, and the registry of all kinds.

use std::{borrow::Cow, fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    outbound::Http,
    outcome::{Failure, Outcome},
    person::{Email, Identity, KnownBy},
    secrets::{Secret, SecretError},
    settings::{Diagnostics, Reporter, Section},
};

mod aerospike_cloud;
mod cloudflare_access;
mod data;
mod description;
mod flashduty;
mod instaply;
mod manual;
mod pages;
mod rate;
mod stytch_b2b;

pub use description::{Confidence, SecretKey, Setting, SettingForm};
pub use rate::Rate;

/// One product from which a departed person is removed.
///
/// It looks and removes, once each. Exactness, proof and retry are the engine's and the HTTP layer's.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// How accounts can be looked up here; `None` if the vendor has no look-up. Then the address is the account's id, and
    /// the proof of a removal is a second one that reports absence.
    fn look_up(&self) -> Option<&dyn LookUp>;

    /// Removes one account. Safe to repeat.
    ///
    /// # Errors
    /// If the provider refuses, or cannot be reached, or answers with what is not understood.
    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure>;

    /// What a removal makes of an account: [`Outcome::Deleted`] or [`Outcome::Deactivated`]. It is said of one whose removal
    /// was begun and whose answer was lost.
    fn makes(&self) -> Outcome {
        Outcome::Deleted
    }
}

/// Looks accounts up.
#[async_trait]
pub trait LookUp: Send + Sync {
    /// The accounts this person may have here. Read-only. The engine compares
    /// each with the person and counts: a vendor's search is never trusted to be exact.
    ///
    /// # Errors
    /// If it cannot be known who is there. A failed look-up is never an empty one.
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure>;

    /// Whether [`LookUp::find`] returns every account of the product, whatever is asked. Otherwise the product searches, and
    /// the engine asks for every spelling of an e-mail address.
    fn lists_everybody(&self, _: Identity<'_>) -> bool {
        false
    }

    /// The look-up that shows the canary instead, where no account can stay in this one, as none stays an invitation.
    fn shows_canary(&self) -> Option<&dyn LookUp> {
        None
    }
}

/// An account as a look-up shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The id by which it is removed.
    pub id: String,
    /// Whether the id is a credential, such as the token of an invitation: it is not shown.
    pub secret_id: bool,
    /// Its own address, if it has one.
    pub email: Option<String>,
    /// Further addresses of its own. None may be a colleague's.
    pub further: Vec<String>,
    /// Its other addresses. One may be another person's: of somebody whose mail its owner took over.
    pub aliases: Vec<String>,
    /// The organization's own id of the person, if the product keeps one.
    pub external_id: Option<String>,
    /// Why this account must not be removed by a machine: an emergency account, say.
    pub hold: Option<Hold>,
    /// Whether it can no longer be used, and that is all that is wanted.
    pub inactive: bool,
    /// Whether another system (single sign-on) manages it, so that the product may refuse its removal.
    pub managed_elsewhere: bool,
}

impl Account {
    /// Whether this is the person's account.
    pub fn is_of(&self, person: Identity<'_>) -> bool {
        match person {
            Identity::Email(email) => self.addresses().any(|other| email.is(other)),
            Identity::ExternalId(id) => self.external_id.as_deref() == Some(id),
        }
    }

    /// Its id, as it is shown and recorded: a digest of one that is secret.
    pub(crate) fn shown_id(&self) -> String {
        match self.secret_id {
            true => format!("sha256:{}", hex::encode(&Sha256::digest(&self.id)[..8])),
            false => self.id.clone(),
        }
    }

    /// Its own addresses.
    pub(crate) fn own(&self) -> impl Iterator<Item = &str> {
        self.email.iter().chain(&self.further).map(String::as_str).filter(|address| !address.is_empty())
    }

    /// All its addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.own().chain(self.aliases.iter().map(String::as_str))
    }

    /// Whether its own e-mail address is this one.
    pub fn is_at(&self, email: &str) -> bool {
        self.email.as_deref().and_then(Email::parse).is_some_and(|own| own.is(email))
    }
}

/// Why an account is left to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// A short token.
    pub reason: &'static str,
    /// A sentence.
    pub detail: &'static str,
}

/// What a removal made true, as far as the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// [`Outcome::Deleted`], [`Outcome::Deactivated`] or [`Outcome::AlreadyAbsent`].
    pub(crate) now: Outcome,
    pub(crate) account_id: Option<String>,
    pub(crate) request_id: Option<String>,
}

impl Removal {
    /// The provider took the deletion.
    pub fn deleted() -> Self {
        Self { now: Outcome::Deleted, account_id: None, request_id: None }
    }

    /// The provider says that no such account is there.
    pub fn absent() -> Self {
        Self { now: Outcome::AlreadyAbsent, ..Self::deleted() }
    }

    /// Takes a failure that says that no such account is there for what it is.
    pub(crate) fn or_absent(
        removal: Result<Self, Failure>,
        is_gone: impl Fn(&Failure) -> bool,
    ) -> Result<Self, Failure> {
        match removal {
            Err(failure) if is_gone(&failure) => Ok(Self::absent().request_id(failure.request_id)),
            other => other,
        }
    }

    /// The provider took the deactivation.
    pub fn deactivated() -> Self {
        Self { now: Outcome::Deactivated, ..Self::deleted() }
    }

    /// Adds the provider's id of the request.
    pub fn request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// Adds the account's id, where only the removal shows it.
    pub fn account_id(mut self, id: Option<String>) -> Self {
        self.account_id = id;
        self
    }
}

/// A product as the configuration describes it, to be connected with its secret.
pub trait Product: fmt::Debug + Send + Sync {
    /// Connects the product: one tenant, or one per organization and look-up.
    ///
    /// # Errors
    /// If a key is missing in the secret.
    fn connect(&self, secret: &Secret) -> Result<Vec<Tenant>, SecretError>;

    /// Returns the URLs that will be called, as far as they are known without the secret.
    fn urls(&self) -> Urls {
        Urls::default()
    }

    /// Returns by what the product knows people.
    fn known_by(&self) -> KnownBy {
        KnownBy::Email
    }

    /// Returns what a person has to do where the product has no API: then nothing is called, and no secret is read.
    fn instructions(&self) -> Option<String> {
        None
    }
}

/// URLs that will be called, as far as they are known. Connections to them may be begun early; no call is built on them.
#[derive(Debug, Default)]
pub struct Urls {
    /// The vendor's own base URLs; the configuration's wins.
    pub base: Vec<String>,
    /// Where access tokens come from.
    pub token: Vec<String>,
}

impl Urls {
    /// Returns the only base URL of a product.
    pub(crate) fn base(url: &str) -> Self {
        Self { base: vec![url.to_owned()], ..Self::default() }
    }
}

/// One product, or one organization in it, or one of its look-ups: a person can have one account there.
#[derive(Debug)]
pub struct Tenant {
    /// The organization, the look-up, or both, where there are several by design.
    pub scope: Option<String>,
    /// The vendor's own base URL; the configuration's wins.
    pub base_url: Cow<'static, str>,
    /// The product, connected.
    pub provider: Arc<dyn Provider>,
}

impl Tenant {
    /// Returns the only tenant of a product.
    pub fn only(base_url: &'static str, provider: impl Provider + 'static) -> Vec<Self> {
        vec![Self { scope: None, base_url: base_url.into(), provider: Arc::new(provider) }]
    }
}

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
    configure: Configure,
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
enum Configure {
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
fn settings<P: Product + DeserializeOwned + 'static>(
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
