//! How it is recorded that a person removed an account by hand.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::Record;
use crate::{
    outcome::{AccountResult, Outcome, Proof, ProviderResult, Status},
    providers::Action,
};

impl Record {
    /// Returns whether a person has said that they removed the account at this provider.
    pub fn is_confirmed_at(&self, provider: &str) -> bool {
        let result = self.providers.get(provider);
        result.is_some_and(|result| !result.again && result.found.worst.proof == Some(Proof::ByHand))
    }

    /// Records that a person removed the account at a provider whose outcome is `manual`. Nothing but their word says so.
    ///
    /// # Errors
    /// The outcome at this provider, if it is another one; `None` if there is no result.
    pub(crate) fn removed_by_hand(
        &mut self,
        provider: &str,
        detail: String,
        now: OffsetDateTime,
    ) -> Result<(), Option<Outcome>> {
        let result = self.providers.get_mut(provider).ok_or(None)?;
        let worst = &result.found.worst;
        if worst.outcome != Outcome::Manual {
            return Err(Some(worst.outcome));
        }
        let outcome = match worst.reason.as_deref() == Some(Action::Deactivate.name()) {
            true => Outcome::Deactivated,
            false => Outcome::Deleted,
        };
        let worst = AccountResult::of(outcome).proof(Proof::ByHand).detail(detail);
        result.found = ProviderResult { worst, accounts: Vec::new(), ..result.found.clone() };
        (result.at, result.again) = (now, false);
        self.intent.remove(provider);
        Ok(())
    }

    /// Returns whether nothing is left to do, at these providers or any other, and nothing stood at the last judgement.
    pub(crate) fn is_complete(&self, reached: &BTreeSet<&str>) -> bool {
        self.worst(reached) == Status::Done && self.late.is_empty() && self.reasons().is_empty()
    }
}
