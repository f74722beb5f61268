//! One person in one tenant: look up, exactly one exact match, ask, remove, look again.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Action, AddressStatus, Assignment, Barrier, Target,
    sight::{Seen, Sight},
};
use crate::{
    config::{Policy, ProviderConfig},
    outbound::Http,
    outcome::{AccountResult, Failure, Outcome, Proof},
    person::{Email, Identity, KnownBy, mask_addresses},
    providers::{Account, Provider, Removal},
    verdict::VetoFact,
};

/// How often, and how far apart, it is looked again when a removed account is still shown: lists lag behind.
const PROOFS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_millis(750)];

/// What is said of an account that was gone when it was looked up: the intent is noted for all providers at once, so that an
/// interrupted run may have announced a removal that it did not begin.
const ANNOUNCED: &str = "a removal had been announced, or begun, by an earlier run whose end is not known";

/// What one person's removal from one tenant needs.
pub(super) struct Removing<'a> {
    pub(super) provider: &'a dyn Provider,
    pub(super) http: &'a Http,
    pub(super) config: &'a ProviderConfig,
    pub(super) policy: &'a Policy,
    pub(super) assignment: &'a Assignment,
    pub(super) barrier: &'a Barrier,
    /// Called when permission for a removal has been asked.
    pub(super) asked: &'a (dyn Fn() + Send + Sync),
}

impl Removing<'_> {
    /// What is true in the end. Somebody with several addresses may have as many accounts: each is named (masked). All are
    /// looked up before any is removed, because two addresses may be of one account.
    pub(super) async fn run(&self) -> Vec<(Option<String>, AccountResult)> {
        let targets = self.assignment.targets(self.config.settings.known_by());
        if let Some(result) = self.refusal(&targets) {
            return vec![(None, result)];
        }
        let Some(look_up) = self.provider.look_up() else { return self.without_look_up(&targets).await };
        let sight = Sight { look_up, http: self.http, canary: self.config.canary.as_ref() };
        let names = names(&targets);
        let mut looks = Vec::new();
        for (target, name) in targets.into_iter().zip(names) {
            looks.push((target, name, sight.look(target.identity.borrowed()).await));
        }
        // The account is named after the best address under which it stands.
        looks.sort_by_key(|(target, ..)| target.status);
        let (mut results, mut met) = (Vec::new(), BTreeSet::new());
        for (target, name, seen) in looks {
            match seen {
                Ok(Seen::Accounts(accounts)) if accounts.iter().all(|account| met.contains(&account.id)) => {}
                Ok(Seen::Accounts(accounts)) => {
                    met.extend(accounts.iter().map(|account| account.id.clone()));
                    results.push((name, self.found(sight, target, accounts).await));
                }
                Ok(Seen::NoAccount | Seen::Inactive) => results.push((name, self.no_account(target))),
                Ok(Seen::NotEvenCanary) => {
                    results.push((name, canary_not_found(AccountResult::of(Outcome::Unconfirmed))))
                }
                Err(failure) => results.push((name, failed(failure))),
            }
        }
        results
    }

    /// Why no look-up is made.
    fn refusal(&self, targets: &[&Target]) -> Option<AccountResult> {
        let by_id = self.config.settings.known_by() == KnownBy::ExternalId;
        let canary = |email: &Email| self.config.canary.as_ref() == Some(email);
        match () {
            () if targets.is_empty() => Some(AccountResult::of(Outcome::Unidentified).reason("no_identity")),
            () if by_id && !self.config.sources.contains(&self.assignment.source) => {
                let detail = "the product knows the ids of other sources (`sources`)";
                let result = AccountResult::of(Outcome::Unidentified).reason("external_id_of_another_source");
                Some(result.detail(detail))
            }
            () if self.assignment.targets.iter().filter_map(Target::email).any(canary) => {
                Some(AccountResult::of(Outcome::Protected).reason("canary").detail("this account is the canary"))
            }
            () => None,
        }
    }

    /// The result where no account is there.
    fn no_account(&self, target: &Target) -> AccountResult {
        // An account under a former address was removed only if a release showed it.
        let may_be_ours =
            target.status == AddressStatus::Current || self.assignment.released.contains_key(&self.config.name);
        match self.is_begun() && may_be_ours {
            true => AccountResult::of(self.provider.makes()).proof(Proof::FoundAbsentAfterRemoval).detail(ANNOUNCED),
            false => AccountResult::of(Outcome::AlreadyAbsent).proof(Proof::FoundAbsent),
        }
    }

    fn is_begun(&self) -> bool {
        self.assignment.begun.contains(&self.config.name)
    }

    /// What becomes of the accounts that were found under one identity.
    async fn found(&self, sight: Sight<'_>, target: &Target, mut accounts: Vec<Account>) -> AccountResult {
        let several = accounts.len();
        let Some(account) = accounts.pop() else { return self.no_account(target) };
        if self.assignment.action == Action::Resolve {
            return AccountResult { account_id: Some(account.shown_id()), ..held() };
        }
        if several > 1 {
            let detail = format!("{several} accounts match");
            return AccountResult::of(Outcome::Ambiguous).reason("several_matches").detail(detail);
        }
        let result = match self.objection(target, &account) {
            Some(objection) => objection,
            None => match self.remove(&account, &account.shown_id()).await {
                Ok((removal, lost)) => self.prove(sight, target.identity.borrowed(), removal, lost).await,
                Err(failure) => failed(failure),
            },
        };
        AccountResult { account_id: Some(account.shown_id()), ..result }
    }

    /// Why this account is left alone.
    fn objection(&self, target: &Target, account: &Account) -> Option<AccountResult> {
        let unverified = self.unverified(target, account);
        let known = self.assignment.targets.iter().any(|target| target.email().is_some());
        let another = known && self.is_anothers(account);
        let canary = self.config.canary.as_ref();
        Some(match () {
            () if account.addresses().any(|address| self.policy.protects(address)) => {
                AccountResult::protected_by(VetoFact::CONFIGURED)
            }
            () if account.addresses().any(|address| self.assignment.protected.since(address).is_some()) => {
                AccountResult::protected_by(VetoFact::AT_RUN_TIME)
            }
            () if canary.is_some_and(|canary| account.addresses().any(|address| canary.is(address))) => {
                AccountResult::of(Outcome::Protected).reason("canary").detail("this account is the canary")
            }
            () if another => {
                let detail = "an own address of the account is not the person's";
                AccountResult::of(Outcome::Ambiguous).reason("address_differs").detail(detail)
            }
            () if unverified.is_some() => AccountResult::of(Outcome::Ambiguous).reason(unverified.unwrap_or_default()),
            () => match &account.hold {
                Some(hold) => AccountResult::of(Outcome::Blocked).reason(hold.reason).detail(hold.detail),
                None if self.assignment.action == Action::LookUp => AccountResult::of(Outcome::Planned),
                None => return None,
            },
        })
    }

    /// Whether an account may be another person's: its first own address is not this person's, or a further one is not, and is of
    /// a domain of the organization's, or of one in which this person has an address. In other domains, products keep names that
    /// only look like addresses.
    fn is_anothers(&self, account: &Account) -> bool {
        let is_unknown = |own: &&str| self.assignment.status_of(own).is_none();
        let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        let targets = self.assignment.targets.iter().filter_map(Target::email);
        let configured = self.policy.domains.iter().map(|domain| domain.as_str().to_owned());
        let domains: BTreeSet<_> = targets.filter_map(|email| domain(email.expose())).chain(configured).collect();
        let is_colleagues = |own: &&str| is_unknown(own) && domain(own).is_some_and(|domain| domains.contains(&domain));
        let mut own = account.own();
        own.next().as_ref().is_some_and(is_unknown) || own.any(|own| is_colleagues(&own))
    }

    /// The reason why an account is left alone under an address that is not the person's for certain.
    fn unverified(&self, target: &Target, account: &Account) -> Option<&'static str> {
        let in_use = account.own().any(|own| self.assignment.status_of(own) == Some(AddressStatus::FormerInUse));
        let reason = if in_use { AddressStatus::FormerInUse } else { target.status }.reason()?;
        let is_released =
            AddressStatus::is_released(reason) && self.assignment.is_released(&self.config.name, &account.shown_id());
        (!is_released).then_some(reason)
    }

    /// Removes an account, once that is permitted. Says also whether an answer was lost, so that an earlier attempt may have
    /// removed it.
    async fn remove(&self, account: &Account, named: &str) -> Result<(Removal, Lost), Failure> {
        let pass = self.barrier.pass(&self.config.name, named);
        pass.ask(self.asked).await?;
        let (before, http) = (self.http.lost_responses(), self.http.for_removal(pass));
        let removal = self.provider.remove(&http, account).await?;
        let lost = self.is_begun() || self.http.lost_responses() > before;
        Ok((removal, if lost { Lost::Perhaps } else { Lost::No }))
    }

    /// What a removal comes to after a second look.
    async fn prove(&self, sight: Sight<'_>, identity: Identity<'_>, removal: Removal, lost: Lost) -> AccountResult {
        let (result, proof) = removed(removal, lost, Proof::SecondLook, self.provider.makes());
        if !self.config.confirm {
            return not_confirmed(result, proof);
        }
        let mut listed = false;
        for pause in PROOFS {
            if Instant::now() + pause >= self.http.deadline() {
                break;
            }
            if !pause.is_zero() {
                // A sleep of nothing takes a millisecond: timers are no finer.
                sleep(pause).await;
            }
            match sight.look(identity).await {
                // An account that is not shown any more was not seen to be inactive.
                Ok(Seen::NoAccount) if proof == Proof::Status => return result.proof(Proof::SecondLook),
                Ok(Seen::NoAccount | Seen::Inactive) => return result.proof(proof),
                Ok(Seen::NotEvenCanary) => return canary_not_found(result),
                Ok(Seen::Accounts(_)) => listed = true,
                Err(failure) => return proof_failed(result, &failure),
            }
        }
        if listed {
            return unconfirmed(result, "still_listed");
        }
        unconfirmed(result, "deadline").detail("no time was left for the second look")
    }

    /// Removes accounts that cannot be looked up, each by its address: a former or new one cannot be tried.
    async fn without_look_up(&self, targets: &[&Target]) -> Vec<(Option<String>, AccountResult)> {
        let resolves = self.assignment.action == Action::Resolve;
        let is_named = |target: &&Target| match target.status {
            AddressStatus::Current => true,
            AddressStatus::New => !resolves,
            AddressStatus::Later | AddressStatus::Former | AddressStatus::FormerInUse => false,
        };
        let named: Vec<_> = targets.iter().copied().filter(is_named).collect();
        if named.is_empty() && !resolves {
            let detail = "only former addresses are known, and this product has no look-up to try them with";
            let result = AccountResult::of(Outcome::Unidentified).reason("former_address_only").detail(detail);
            return vec![(None, result)];
        }
        let mut results = Vec::new();
        for (target, name) in named.iter().zip(names(&named)) {
            let result = match target.email() {
                Some(email) if target.status == AddressStatus::Current => {
                    self.unlisted(email).await.unwrap_or_else(failed)
                }
                Some(_) => AccountResult::of(Outcome::Unidentified)
                    .reason(target.status.reason().unwrap_or_default())
                    .detail("it is not certain whose address it is, and this product has no look-up"),
                None => AccountResult::of(Outcome::Unidentified).reason("no_identity"),
            };
            results.push((name, result));
        }
        if results.is_empty() { vec![(None, held())] } else { results }
    }

    /// Removes an account that cannot be looked up: its id is the address, its proof a second removal that finds no account.
    async fn unlisted(&self, email: &Email) -> Result<AccountResult, Failure> {
        match self.assignment.action {
            Action::Remove => {}
            Action::Resolve => return Ok(held().detail("this product has no look-up")),
            Action::LookUp => {
                let detail = "this product has no look-up: a removal of the address would be tried";
                return Ok(AccountResult::of(Outcome::Planned).reason("no_look_up").detail(detail));
            }
        }
        let mut absent = AccountResult::of(Outcome::AlreadyAbsent).proof(Proof::FoundAbsent);
        for spelling in email.spellings() {
            let result = self.unlisted_as(&spelling).await?;
            if result.outcome != Outcome::AlreadyAbsent {
                return Ok(result);
            }
            absent = result;
        }
        Ok(absent)
    }

    /// Removes it under one spelling of its address.
    async fn unlisted_as(&self, spelling: &Email) -> Result<AccountResult, Failure> {
        let (id, named) = (spelling.expose().to_owned(), spelling.masked());
        let account = Account { email: Some(id.clone()), id, ..Account::default() };
        let (removal, lost) = self.remove(&account, &named).await?;
        let was_absent = removal.now == Outcome::AlreadyAbsent;
        let (result, proof) = removed(removal, lost, Proof::SecondRemoval, self.provider.makes());
        if was_absent {
            // There is no other look than the removal itself.
            let proof = if lost == Lost::Perhaps { proof } else { Proof::FoundAbsent };
            return Ok(result.proof(proof));
        }
        if !self.config.confirm {
            return Ok(not_confirmed(result, proof));
        }
        Ok(match self.remove(&account, &named).await {
            Ok((second, _)) if second.now == Outcome::AlreadyAbsent => result.proof(proof),
            Ok(_) => unconfirmed(result, "still_listed"),
            Err(failure) => proof_failed(result, &failure),
        })
    }
}

/// Whether an attempt to remove may have worked although its answer did not come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    No,
    Perhaps,
}

/// What a removal comes to if it is confirmed, and how that is then known. `makes` is what the product's removals do.
fn removed(removal: Removal, lost: Lost, proof: Proof, makes: Outcome) -> (AccountResult, Proof) {
    let (outcome, proof) = match (removal.now, lost) {
        (Outcome::AlreadyAbsent, Lost::Perhaps) => (makes, Proof::FoundAbsentAfterRemoval),
        (Outcome::Deactivated, _) => (Outcome::Deactivated, Proof::Status),
        (outcome, _) => (outcome, proof),
    };
    let Removal { account_id, request_id, .. } = removal;
    (AccountResult { account_id, request_id, ..AccountResult::of(outcome) }, proof)
}

/// What is not looked at again, as configured.
fn not_confirmed(result: AccountResult, proof: Proof) -> AccountResult {
    match proof {
        Proof::FoundAbsentAfterRemoval => result.proof(proof),
        _ => result.proof(Proof::NotConfirmed).detail("not looked at again, as configured"),
    }
}

fn held() -> AccountResult {
    AccountResult::of(Outcome::NotAttempted).reason(AccountResult::HELD)
}

fn canary_not_found(result: AccountResult) -> AccountResult {
    let detail =
        "the account that is always there (`canary`) was not found either: wrong credentials, or a wrong tenant?";
    unconfirmed(result, "canary_not_found").detail(detail)
}

fn proof_failed(result: AccountResult, failure: &Failure) -> AccountResult {
    let result = AccountResult { retry_after: failure.retry_after, ..result };
    unconfirmed(result, "proof_failed").detail(format!("the second look failed: {}", failure.reason))
}

/// What several identities are called. Two addresses of a person often look the same when they are masked.
fn names(targets: &[&Target]) -> Vec<Option<String>> {
    let masked: Vec<_> = targets
        .iter()
        .map(|target| match target.identity.borrowed() {
            Identity::Email(email) => email.masked(),
            Identity::ExternalId(id) => mask_addresses(id),
        })
        .collect();
    let name = |(n, name): (usize, &String)| match masked[..n].iter().filter(|other| *other == name).count() {
        0 => name.clone(),
        before => format!("{name} ({})", before + 1),
    };
    masked.iter().enumerate().map(|one| (targets.len() > 1).then(|| name(one))).collect()
}

fn unconfirmed(result: AccountResult, reason: &str) -> AccountResult {
    AccountResult { outcome: Outcome::Unconfirmed, ..result.reason(reason) }
}

fn failed(failure: Failure) -> AccountResult {
    AccountResult {
        request_id: failure.request_id,
        reason: Some(failure.reason),
        detail: failure.detail,
        references: failure.references,
        retry_after: failure.retry_after,
        ..AccountResult::of(failure.kind.outcome())
    }
}
