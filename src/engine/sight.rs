//! Looks one identity up in one tenant, so that a person who could not have been seen is not called absent.

use crate::{
    outbound::Http,
    outcome::Failure,
    person::{Email, Identity},
    providers::{Account, LookUp},
};

/// A tenant that can be looked at.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) look_up: &'a dyn LookUp,
    pub(super) http: &'a Http,
    pub(super) canary: Option<&'a Email>,
}

/// What a look-up showed.
pub(super) enum Seen {
    /// These accounts, each once, sorted by id: at least one that can be used, and those that cannot.
    Accounts(Vec<Account>),
    /// Only accounts that can no longer be used, and that is all that is wanted.
    Inactive,
    /// No account, and the canary, if one is configured, was in sight.
    NoAccount,
    /// No account, and the canary was not in sight either.
    NotEvenCanary,
}

impl Sight<'_> {
    /// Looks for the accounts of an identity.
    pub(super) async fn look(&self, identity: Identity<'_>) -> Result<Seen, Failure> {
        let (accounts, everybody) = self.find(identity).await?;
        let in_sight = self.canary.is_none_or(|canary| accounts.iter().any(|account| is_of(account, canary)));
        let accounts = of(identity, accounts);
        Ok(match self.canary {
            _ if accounts.iter().any(|account| !account.inactive) => Seen::Accounts(accounts),
            Some(canary) if !in_sight && !self.shows(canary, everybody).await? => Seen::NotEvenCanary,
            _ if !accounts.is_empty() => Seen::Inactive,
            _ => Seen::NoAccount,
        })
    }

    /// Whether the canary is shown, by a look-up that did not show it with the person.
    async fn shows(&self, canary: &Email, everybody: bool) -> Result<bool, Failure> {
        let look_up = match self.look_up.shows_canary() {
            Some(other) => other,
            None if everybody => return Ok(false),
            None => self.look_up,
        };
        let (accounts, _) = Self { look_up, ..*self }.find(Identity::Email(canary)).await?;
        Ok(accounts.iter().any(|account| is_of(account, canary)))
    }

    /// Every account that a look-up shows, and whether that is everybody. A search is made for every spelling of an address.
    async fn find(&self, identity: Identity<'_>) -> Result<(Vec<Account>, bool), Failure> {
        match identity {
            _ if self.look_up.lists_everybody(identity) => Ok((self.look_up.find(self.http, identity).await?, true)),
            Identity::ExternalId(_) => Ok((self.look_up.find(self.http, identity).await?, false)),
            Identity::Email(email) => {
                let mut accounts = Vec::new();
                for spelling in email.spellings() {
                    accounts.extend(self.look_up.find(self.http, Identity::Email(&spelling)).await?);
                }
                Ok((accounts, false))
            }
        }
    }
}

/// The accounts of an identity, each once, sorted by id. What is shown of one id is shown of one account, also where a row of it
/// has another address, or must not be removed.
fn of(identity: Identity<'_>, accounts: Vec<Account>) -> Vec<Account> {
    let (theirs, others): (Vec<_>, Vec<_>) = accounts.into_iter().partition(|account| account.is_of(identity));
    let mut accounts: Vec<Account> = Vec::new();
    for account in theirs {
        match accounts.iter_mut().find(|known| known.id == account.id) {
            Some(known) => known.hold = known.hold.take().or(account.hold),
            None => accounts.push(account),
        }
    }
    for account in &mut accounts {
        for other in others.iter().filter(|other| other.id == account.id) {
            account.further.extend(other.own().map(str::to_owned));
            account.hold = account.hold.take().or_else(|| other.hold.clone());
        }
    }
    accounts.sort_by(|a, b| a.id.cmp(&b.id));
    accounts
}

fn is_of(account: &Account, email: &Email) -> bool {
    account.is_of(Identity::Email(email))
}
