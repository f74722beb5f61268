//! One person in one place: look up, exactly one exact match, remove, look again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Gate;
use crate::{
    config::Policy,
    http::Http,
    outcome::{Failure, FailureKind, Outcome, Proof},
    person::{Identity, Person, mask_addresses},
    providers::{Account, LookUp, Provider, Removal},
    report::Finding,
};

/// How often, and how far apart, it is looked again when a removed account is still shown: lists lag behind.
const PROOFS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(750)];

/// What one person's removal from one place needs.
pub(super) struct Removing<'a> {
    pub(super) provider: &'a dyn Provider,
    pub(super) http: &'a Http,
    pub(super) policy: &'a Policy,
    pub(super) confirm: bool,
    pub(super) look_only: bool,
    pub(super) gate: &'a Gate,
}

impl Removing<'_> {
    /// What is true in the end. Somebody with several addresses may have as many accounts: each address is seen to by itself,
    /// one after the other, and named (masked).
    pub(super) async fn run(&self, person: &Person) -> Vec<(Option<String>, Finding)> {
        let identities = person.identities(self.provider.known_by());
        if identities.is_empty() {
            return vec![(None, Finding::of(Outcome::Unidentified).reason("no_identity"))];
        }
        let mut findings = Vec::new();
        for (identity, name) in identities.iter().zip(names(&identities)) {
            let ended = match self.provider.look_up() {
                Some(look_up) => self.listed(look_up, *identity, person).await,
                None => self.unlisted(*identity).await,
            };
            findings.push((name, ended.unwrap_or_else(failed)));
        }
        findings
    }

    /// Removes an account that can be looked up.
    async fn listed(&self, look_up: &dyn LookUp, identity: Identity<'_>, person: &Person) -> Result<Finding, Failure> {
        let mut accounts = self.accounts(look_up, identity).await?;
        let Some(account) = accounts.pop() else {
            return Ok(Finding::of(Outcome::AlreadyAbsent).proof(Proof::FoundAbsent));
        };
        if !accounts.is_empty() {
            let detail = format!("{} accounts match", accounts.len() + 1);
            return Ok(Finding::of(Outcome::Ambiguous).reason("several_matches").detail(detail));
        }
        let found = |outcome| Finding { account_id: Some(account.id.clone()), ..Finding::of(outcome) };
        if account.is_another_address_than(person) {
            let detail = "the id is the person's, the address is another";
            return Ok(found(Outcome::Ambiguous).reason("address_differs").detail(detail));
        }
        if account.email.as_deref().is_some_and(|email| self.policy.protects(email)) {
            return Ok(found(Outcome::Protected).reason("protected"));
        }
        if let Some(hold) = &account.hold {
            return Ok(found(Outcome::Blocked).reason(hold.reason).detail(hold.detail));
        }
        if self.look_only {
            return Ok(found(Outcome::Planned));
        }
        let finding = match self.remove(&account).await {
            Ok(removal) => self.proven(look_up, identity, removal).await,
            Err(failure) => failed(failure),
        };
        Ok(Finding { account_id: Some(account.id), ..finding })
    }

    /// Removes an account, once that is allowed.
    async fn remove(&self, account: &Account) -> Result<Removal, Failure> {
        if !self.gate.passed().await {
            return Err(Failure::new(FailureKind::NotAttempted, "not_recorded"));
        }
        self.provider.remove(self.http, account).await
    }

    /// The person's accounts, each once.
    async fn accounts(&self, look_up: &dyn LookUp, identity: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let mut accounts = look_up.find(self.http, identity).await?;
        accounts.retain(|account| account.is_of(identity));
        accounts.sort_by(|a, b| a.id.cmp(&b.id));
        accounts.dedup_by(|a, b| a.id == b.id);
        Ok(accounts)
    }

    /// What a removal comes to after a second look.
    async fn proven(&self, look_up: &dyn LookUp, identity: Identity<'_>, removal: Removal) -> Finding {
        let finding = Finding { request_id: removal.request_id, ..Finding::of(removal.now) };
        if !self.confirm {
            return finding.proof(Proof::NotConfirmed).detail("not looked at again, as configured");
        }
        let mut listed = false;
        for pause in PROOFS {
            if Instant::now() + pause >= self.http.deadline() {
                break;
            }
            sleep(pause).await;
            match self.accounts(look_up, identity).await {
                Ok(accounts) if accounts.is_empty() => return finding.proof(Proof::SecondLook),
                Ok(_) => listed = true,
                Err(failure) => {
                    let detail = format!("the second look failed: {}", failure.reason);
                    return unconfirmed(finding, "proof_failed").detail(detail);
                }
            }
        }
        if listed {
            return unconfirmed(finding, "still_listed");
        }
        unconfirmed(finding, "deadline").detail("no time was left for the second look")
    }

    /// Removes an account that cannot be looked up: its id is the address, its proof a second removal that finds nobody.
    async fn unlisted(&self, identity: Identity<'_>) -> Result<Finding, Failure> {
        let Identity::Email(email) = identity else {
            return Ok(Finding::of(Outcome::Unidentified).reason("no_identity"));
        };
        if self.look_only {
            let detail = "this product has no look-up: a removal of the address would be tried";
            return Ok(Finding::of(Outcome::Planned).reason("no_look_up").detail(detail));
        }
        let account =
            Account { id: email.expose().to_owned(), email: Some(email.expose().to_owned()), ..Account::default() };
        let removal = self.remove(&account).await?;
        let finding =
            Finding { account_id: removal.account_id, request_id: removal.request_id, ..Finding::of(removal.now) };
        if removal.now == Outcome::AlreadyAbsent {
            return Ok(finding.proof(Proof::FoundAbsent));
        }
        if !self.confirm {
            return Ok(finding.proof(Proof::NotConfirmed).detail("not looked at again, as configured"));
        }
        Ok(match self.provider.remove(self.http, &account).await {
            Ok(second) if second.now == Outcome::AlreadyAbsent => finding.proof(Proof::SecondRemoval),
            Ok(_) => unconfirmed(finding, "still_listed"),
            Err(failure) => {
                unconfirmed(finding, "proof_failed").detail(format!("the second look failed: {}", failure.reason))
            }
        })
    }
}

/// What several identities are called. Two addresses of a person often look the same when they are masked.
fn names(identities: &[Identity<'_>]) -> Vec<Option<String>> {
    let masked: Vec<_> = identities
        .iter()
        .map(|identity| match identity {
            Identity::Email(email) => email.masked(),
            Identity::ExternalId(id) => mask_addresses(id),
        })
        .collect();
    let name = |(n, name): (usize, &String)| match masked[..n].iter().filter(|other| *other == name).count() {
        0 => name.clone(),
        before => format!("{name} ({})", before + 1),
    };
    masked.iter().enumerate().map(|one| (identities.len() > 1).then(|| name(one))).collect()
}

fn unconfirmed(finding: Finding, reason: &str) -> Finding {
    Finding { outcome: Outcome::Unconfirmed, ..finding.reason(reason) }
}

fn failed(failure: Failure) -> Finding {
    Finding {
        outcome: failure.kind.outcome(),
        proof: None,
        account_id: None,
        request_id: failure.request_id,
        reason: Some(failure.reason),
        detail: failure.detail,
        references: failure.references,
        retry_after: failure.retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http::{Client, Limits},
        person::Email,
    };

    const ADDRESS: &str = "ann@example.com";
    const PATIENCE: Duration = Duration::from_millis(50);

    /// A product that has one account, and takes all the time there is to remove it.
    #[derive(Debug)]
    struct Slow;

    #[async_trait::async_trait]
    impl Provider for Slow {
        fn look_up(&self) -> Option<&dyn LookUp> {
            Some(self)
        }

        async fn remove(&self, http: &Http, _: &Account) -> Result<Removal, Failure> {
            tokio::time::sleep_until(http.deadline()).await;
            Ok(Removal::deleted())
        }
    }

    #[async_trait::async_trait]
    impl LookUp for Slow {
        async fn find(&self, _: &Http, _: Identity<'_>) -> Result<Vec<Account>, Failure> {
            Ok(vec![Account { id: "1".into(), email: Some(ADDRESS.into()), ..Account::default() }])
        }
    }

    /// The outcome and its reason under this policy.
    async fn outcome(policy: &Policy) -> (Outcome, Option<String>) {
        let base = reqwest::Url::parse("http://127.0.0.1:9").unwrap();
        let limits = Limits { timeout: PATIENCE, attempts: 1 };
        let http = Http::new(Client::new(None, false).unwrap(), base, limits, Instant::now() + PATIENCE);
        let gate = Gate::open();
        let removing = Removing { provider: &Slow, http: &http, policy, confirm: true, look_only: false, gate: &gate };
        let findings = removing.run(&Person { email: Email::parse(ADDRESS), ..Person::default() }).await;
        let [(None, finding)] = &findings[..] else { panic!("one address has one finding: {findings:?}") };
        (finding.outcome, finding.reason.clone())
    }

    #[tokio::test]
    async fn what_was_not_looked_at_again_is_not_said_to_be_listed() {
        let ended = outcome(&Policy::default()).await;
        assert_eq!(ended, (Outcome::Unconfirmed, Some("deadline".to_owned())));
    }

    #[tokio::test]
    async fn an_account_whose_own_address_is_protected_is_not_removed() {
        let protected = vec![ADDRESS.to_owned().try_into().unwrap()];
        let ended = outcome(&Policy { protected, ..Policy::default() }).await;
        assert_eq!(ended, (Outcome::Protected, Some("protected".to_owned())));
    }
}
