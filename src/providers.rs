//! The products from which a departed person is removed: what one is, and what is found there.

use std::{borrow::Cow, fmt, sync::Arc};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::{
    outbound::Http,
    outcome::{Failure, Outcome},
    person::{Email, Identity, KnownBy},
    secrets::{Secret, SecretError},
};

mod aerospike_cloud;
mod cloudflare_access;
mod data;
mod description;
mod flashduty;
mod instaply;
mod kind;
mod manual;
mod pages;
mod rate;
mod stytch_b2b;

pub use description::{Confidence, SecretKey, Setting, SettingForm};
pub use kind::{Action, KINDS, ProviderKind};
use kind::{Configure, settings};
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
