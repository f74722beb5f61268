//! The products from which a departed person is removed: what one is, and the registry of all kinds.

use std::{borrow::Cow, fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::{
    config::{Diagnostics, Reporter, Section},
    outbound::Http,
    outcome::{Failure, Outcome},
    person::{Email, Identity, KnownBy},
    secrets::{Secret, SecretError},
};

pub mod aerospike_cloud;
pub mod cloudflare_access;
mod data;
pub mod flashduty;
pub mod instaply;
mod pages;
pub mod stytch_b2b;

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
    /// The accounts this person may have here, those that can no longer be used left out. Read-only. The engine compares
    /// each with the person and counts: a vendor's search is never trusted to be exact.
    ///
    /// # Errors
    /// If it cannot be known who is there. A failed look-up is never an empty one.
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure>;

    /// Whether [`LookUp::find`] returns every account of the product, whoever is asked for. Otherwise the product searches, and
    /// the engine asks for every spelling of an e-mail address.
    fn lists_everybody(&self, _: Identity<'_>) -> bool {
        false
    }
}

/// An account as a look-up shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The id by which it is removed.
    pub id: String,
    /// Its address, if it has one.
    pub email: Option<String>,
    /// The organization's own id of the person, if the product keeps one.
    pub external_id: Option<String>,
    /// Why this account must not be removed by a machine: an emergency account, say.
    pub hold: Option<Hold>,
    /// Whether another system (single sign-on) manages it, so that the product may refuse its removal.
    pub managed_elsewhere: bool,
    /// Which of the product's look-ups showed it, where there are several.
    pub look_up: &'static str,
}

impl Account {
    /// Whether this is the person's account.
    pub fn is_of(&self, person: Identity<'_>) -> bool {
        match person {
            Identity::Email(email) => self.email.as_deref().is_some_and(|other| email.is(other)),
            Identity::ExternalId(id) => self.external_id.as_deref() == Some(id),
        }
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

    /// Adds the account's id, where only the removal tells it.
    pub fn account_id(mut self, id: Option<String>) -> Self {
        self.account_id = id;
        self
    }
}

/// What the registry needs of a product beyond [`Provider`].
pub trait Product: Provider + Sized + 'static {
    /// The name of the kind in the configuration.
    const KIND: &'static str;
    /// The vendor's name of the product and the operation.
    const TITLE: &'static str;
    /// The keys of its secret, for a person.
    const SECRET_KEYS: &'static str;
    /// Whether accounts can be looked up; else `canary` is refused.
    const LOOKS_UP: bool = true;
    /// The keys of its table in the configuration that only it has.
    type Settings: DeserializeOwned + fmt::Debug + Send + Sync;

    /// Makes the product from its settings and its secret: one tenant, or one per organization.
    ///
    /// # Errors
    /// If the secret lacks a key.
    fn connect(settings: &Self::Settings, secret: &Secret) -> Result<Vec<Tenant<Self>>, SecretError>;

    /// Returns by what the product knows people.
    fn known_by(_: &Self::Settings) -> KnownBy {
        KnownBy::Email
    }
}

/// One tenant where a person can have one account: a product, or one organization in it.
#[derive(Debug)]
pub struct Tenant<P> {
    /// The organization, where there are several by design.
    pub scope: Option<String>,
    /// The vendor's own base URL; the configuration's wins.
    pub base_url: Cow<'static, str>,
    /// The product, connected.
    pub provider: P,
}

/// A [`Tenant`] of any product.
pub type AnyTenant = Tenant<Arc<dyn Provider>>;

/// One kind of provider: a row of the registry.
pub struct ProviderKind {
    /// The name in the configuration.
    pub name: &'static str,
    /// The vendor's name of the product and the operation.
    pub title: &'static str,
    /// The keys of its secret, for a person.
    pub secret_keys: &'static str,
    /// Whether accounts can be looked up.
    pub looks_up: bool,
    /// The keys that a provider of it must have of those that every provider takes.
    pub(crate) needs: &'static [&'static str],
    configure: Configure,
}

/// Who reads the keys that only one kind has.
enum Configure {
    Rust(fn(Section<'_>, &mut Reporter<'_>) -> Option<Box<dyn Configured>>),
    Data(&'static data::Kind),
}

/// The kinds that are written in Rust, sorted by name.
pub const KINDS: &[ProviderKind] = &[
    ProviderKind::of::<aerospike_cloud::AerospikeCloud>(),
    ProviderKind::of::<cloudflare_access::CloudflareAccess>(),
    ProviderKind::of::<flashduty::Flashduty>(),
    ProviderKind::of::<instaply::Instaply>(),
    ProviderKind::of::<stytch_b2b::StytchB2b>(),
];

impl ProviderKind {
    /// The kind of this name that is built in.
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

    /// Reads the keys that only this kind has.
    pub(crate) fn configure(&self, own: Section<'_>, reporter: &mut Reporter<'_>) -> Option<Box<dyn Configured>> {
        match self.configure {
            Configure::Rust(configure) => configure(own, reporter),
            Configure::Data(kind) => kind.configure(own, reporter),
        }
    }

    const fn of<P: Product>() -> Self {
        Self {
            name: P::KIND,
            title: P::TITLE,
            secret_keys: P::SECRET_KEYS,
            looks_up: P::LOOKS_UP,
            needs: &[],
            configure: Configure::Rust(configure::<P>),
        }
    }
}

impl fmt::Debug for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderKind({})", self.name)
    }
}

/// A product whose settings are read; it lacks the secret to be called.
pub trait Configured: fmt::Debug + Send + Sync {
    /// Makes the product from its secret: one tenant, or one per organization.
    ///
    /// # Errors
    /// If the secret lacks a key.
    fn connect(&self, secret: &Secret) -> Result<Vec<AnyTenant>, SecretError>;

    /// Returns by what the product knows people.
    fn known_by(&self) -> KnownBy {
        KnownBy::Email
    }
}

#[derive(Debug)]
struct SettingsOf<P: Product>(P::Settings);

impl<P: Product> Configured for SettingsOf<P> {
    fn connect(&self, secret: &Secret) -> Result<Vec<AnyTenant>, SecretError> {
        let any = |tenant: Tenant<P>| Tenant {
            scope: tenant.scope,
            base_url: tenant.base_url,
            provider: Arc::new(tenant.provider) as Arc<dyn Provider>,
        };
        Ok(P::connect(&self.0, secret)?.into_iter().map(any).collect())
    }

    fn known_by(&self) -> KnownBy {
        P::known_by(&self.0)
    }
}

fn configure<P: Product>(own: Section<'_>, reporter: &mut Reporter<'_>) -> Option<Box<dyn Configured>> {
    let settings = own.read::<P::Settings>(reporter)?;
    Some(Box::new(SettingsOf::<P>(settings)))
}
