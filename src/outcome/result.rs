//! What is now true at one provider, and of each account there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Outcome, Proof, Reference, Status};

/// References that are kept of what stands in the way: a record has to fit into an item of the table.
const MAX_REFERENCES: usize = 20;

/// What is now true at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderResult {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The account's result; of several accounts, the one that needs most.
    #[serde(flatten)]
    pub worst: AccountResult,
    /// Each account, where there are several: the product keeps one per organization, or the person has several addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountResult>,
    /// For how long from its end the provider asked to be left alone, also if a later attempt succeeded.
    #[serde(skip)]
    pub asked_to_wait: Option<Duration>,
    /// How often the call that needed most was attempted; 0 if nothing was called.
    pub attempts: u32,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// What is now true of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountResult {
    /// The organization, the e-mail address (masked), or both, where there are several accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What is now true.
    pub outcome: Outcome,
    /// How that is known, of an account that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The account's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The provider's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// A short token: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// How long the provider asks to be left alone.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl ProviderResult {
    /// Returns the result of a provider with at most one account, without any attempt.
    pub fn new(provider: impl Into<String>, worst: AccountResult) -> Self {
        Self { provider: provider.into(), worst, accounts: Vec::new(), asked_to_wait: None, attempts: 0, elapsed_ms: 0 }
    }

    /// Returns the result of a provider that is not called for so long, because it said so: as if it had refused the call.
    pub(crate) fn waiting(provider: &str, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000);
        let detail = format!("no call was made: the provider asked for none, {seconds} s from now at the earliest");
        let account = AccountResult::of(Outcome::RateLimited).reason(AccountResult::ASKED_TO_WAIT).detail(detail);
        Self::new(provider, AccountResult { retry_after: Some(wait), ..account })
    }

    /// Returns whether it was not called, because it asked for no calls.
    pub(crate) fn is_waiting(&self) -> bool {
        self.worst.reason.as_deref() == Some(AccountResult::ASKED_TO_WAIT)
    }

    /// Returns whether accounts were left, because the facts had changed on which they were to be removed.
    pub(crate) fn is_outdated(&self) -> bool {
        self.worst.reason.as_deref() == Some(AccountResult::FACTS_CHANGED)
    }

    /// Returns whether it is not known what is true at the provider, but may be later. Of an account that was found and left, because
    /// the departure is held, it is known.
    pub(crate) fn is_silent(&self) -> bool {
        let is_held = |account: &AccountResult| account.reason.as_deref() == Some(AccountResult::HELD);
        self.all().any(|account| account.outcome.status() == Status::Incomplete && !is_held(account))
    }

    /// Returns how long the provider asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        let refused = self.all().filter(|account| account.outcome.status() == Status::Incomplete);
        refused.filter_map(|account| account.retry_after).max()
    }

    /// Returns the worst result and those of all accounts.
    pub fn all(&self) -> impl Iterator<Item = &AccountResult> {
        self.accounts.iter().chain([&self.worst])
    }

    /// Keeps the accounts that an earlier run removed: a later one finds no account any more, and what was removed, and how that
    /// is known, would be lost.
    pub(crate) fn keep_removed(&mut self, earlier: &Self) {
        for before in earlier.accounts.iter().filter(|account| account.is_removal()) {
            match self.accounts.iter_mut().find(|account| account.scope == before.scope) {
                Some(now) if now.outcome == Outcome::AlreadyAbsent => *now = before.clone(),
                Some(now) if now.account_id == before.account_id => {}
                _ => self.accounts.push(before.clone()),
            }
        }
        // The only account of that run has no scope.
        let alone = Some(&earlier.worst).filter(|one| one.is_removal() && earlier.accounts.is_empty());
        let is_known = |removed: &AccountResult| match self.accounts.is_empty() {
            // A run that found out nothing, as while the provider asks to wait.
            true => {
                let is_same = self.worst.account_id.is_some() && self.worst.account_id == removed.account_id;
                is_same || self.worst.outcome.status() == Status::Done
            }
            false => self.accounts.iter().any(|now| now.account_id == removed.account_id),
        };
        if let Some(removed) = alone.filter(|removed| !is_known(removed)) {
            self.accounts.push(AccountResult { scope: Some("removed earlier".to_owned()), ..removed.clone() });
        }
        if let Some(removal) = self.accounts.iter().max_by_key(|account| account.outcome)
            && removal.outcome > self.worst.outcome
        {
            self.worst = AccountResult { scope: None, ..removal.clone() };
        }
    }

    /// Drops the references and sentences of all results.
    pub(crate) fn shorten(&mut self) {
        for result in self.accounts.iter_mut().chain([&mut self.worst]) {
            result.references.clear();
            result.detail = None;
        }
    }
}

impl AccountResult {
    /// The reason where no call was made, because the provider asked for none.
    pub(crate) const ASKED_TO_WAIT: &str = "asked_to_wait";

    /// The reason where accounts were found on facts that had changed when they were to be removed.
    pub(crate) const FACTS_CHANGED: &str = "facts_changed";
    /// The reason where an account was left, because the departure is held.
    pub(crate) const HELD: &str = "held";

    /// An outcome and nothing else.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            scope: None,
            outcome,
            proof: None,
            account_id: None,
            request_id: None,
            reason: None,
            detail: None,
            references: Vec::new(),
            retry_after: None,
        }
    }

    /// The outcome of an account that is left, because this list protects it.
    pub(crate) fn protected_by(list: &str) -> Self {
        Self::of(Outcome::Protected).reason("protected").detail(format!("on the list `{list}`"))
    }

    /// Whether an account was there and is gone, or can no longer be used.
    pub(crate) fn is_removal(&self) -> bool {
        matches!(self.outcome, Outcome::Deleted | Outcome::Deactivated)
    }

    /// Adds how it is known.
    pub fn proof(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Adds a short token.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a sentence.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Passes every text through `clean`, and keeps as many references as fit into a record.
    pub(crate) fn cleaned(mut self, clean: impl Fn(String) -> String) -> Self {
        if let Some(more) = self.references.len().checked_sub(MAX_REFERENCES).filter(|more| *more > 0) {
            self.references.truncate(MAX_REFERENCES);
            let detail = self.detail.take().map(|detail| format!("{detail}; ")).unwrap_or_default();
            self.detail = Some(format!("{detail}{more} more references are not shown"));
        }
        let texts = [&mut self.account_id, &mut self.request_id, &mut self.reason, &mut self.detail];
        let references = self.references.iter_mut().flat_map(|reference| {
            [Some(&mut reference.kind), Some(&mut reference.name), reference.href.as_mut()].into_iter().flatten()
        });
        for text in texts.into_iter().flatten().chain(references) {
            *text = clean(std::mem::take(text));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_kept_as_far_as_they_fit_into_a_record() {
        let references = |count: usize| {
            let reference = Reference { kind: "schedule".into(), name: "Primary".into(), href: None };
            let result = AccountResult {
                references: vec![reference; count],
                ..AccountResult::of(Outcome::Blocked).detail("on call")
            };
            let result = result.cleaned(|text| text);
            (result.references.len(), result.detail.unwrap_or_default())
        };
        assert_eq!(references(MAX_REFERENCES), (MAX_REFERENCES, "on call".to_owned()));
        let expected = (MAX_REFERENCES, "on call; 3980 more references are not shown".to_owned());
        assert_eq!(references(4000), expected);
    }
}
