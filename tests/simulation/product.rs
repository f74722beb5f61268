//! The scripted providers. Each environment has its own connection to them, so that it is known who calls.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use offboard::{
    outbound::Http,
    outcome::{Failure, FailureKind},
    person::{Identity, KnownBy},
    providers::{Account, LookUp, Provider, Removal, Tenant},
    secrets::{Secret, SecretError},
};

use crate::{
    observed, removals,
    steps::FaultKind,
    truth::{self, BETA, GAMMA},
    world::World,
};

/// One environment's connection to one provider.
#[derive(Clone, Debug)]
pub struct Product {
    pub world: Arc<World>,
    pub place: usize,
    pub provider: usize,
}

impl offboard::providers::Product for Product {
    fn connect(&self, _: &Secret) -> Result<Vec<Tenant>, SecretError> {
        Ok(vec![Tenant {
            scope: None,
            base_url: "https://product.example.com".into(),
            provider: Arc::new(self.clone()),
        }])
    }

    fn known_by(&self) -> KnownBy {
        if self.provider == GAMMA { KnownBy::ExternalId } else { KnownBy::Email }
    }
}

fn down() -> Failure {
    Failure::new(FailureKind::Unavailable, "simulated")
}

impl Product {
    async fn call(&self) -> Result<Option<FaultKind>, Failure> {
        let fault = self.world.begin_call(self.place).await;
        if let Some(wait) = self.refused() {
            return Err(Failure { retry_after: Some(wait), ..Failure::new(FailureKind::RateLimited, "simulated") });
        }
        let is_down = self.world.state().outage[self.provider] || fault == Some(FaultKind::ErrorBefore);
        if is_down { Err(down()) } else { Ok(fault) }
    }

    /// Returns for how long no call is taken.
    fn refused(&self) -> Option<Duration> {
        let mut state = self.world.state();
        let now = state.now(&self.world);
        observed::check_limit(&mut state, self.place, self.provider, now);
        let left = u64::try_from(state.limited[self.provider] - now).unwrap_or_default();
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Removes an account that is there. Returns whether it was.
    fn take_out(&self, account: &Account) -> bool {
        let mut state = self.world.state();
        let now = state.now(&self.world);
        let lag = if state.lists_lag { *state.random.choice(&[0, 0, 300, 5_000, 3_600_000]).unwrap_or(&0) } else { 0 };
        let is_it = |other: &truth::Account| match self.provider {
            BETA => truth::address(other.address) == account.id && other.provider == BETA,
            _ => other.id == account.id,
        };
        let found = state.truth.accounts.iter().position(|other| is_it(other) && other.removed.is_none());
        removals::check(&mut state, self.place, self.provider, &account.id, found, now);
        match found {
            Some(n) => {
                (state.truth.accounts[n].removed, state.truth.accounts[n].lag) = (Some(now), lag);
                true
            }
            None => false,
        }
    }
}

#[async_trait]
impl Provider for Product {
    fn look_up(&self) -> Option<&dyn LookUp> {
        (self.provider != BETA).then_some(self)
    }

    /// What is sent is sent: an environment that freezes does so after the effect.
    async fn remove(&self, _: &Http, account: &Account) -> Result<Removal, Failure> {
        let was_there = {
            let state = self.world.state();
            let is_limited = state.now(&self.world) < state.limited[self.provider];
            let is_stopped = state.places[self.place].is_frozen || state.outage[self.provider] || is_limited;
            drop(state);
            if is_stopped { None } else { Some(self.take_out(account)) }
        };
        let answered = self.call().await;
        if let Ok(fault) = answered {
            self.world.end_call(self.place, fault).await;
        }
        self.world.state().places[self.place].removes = None;
        match (answered, was_there) {
            (Ok(Some(FaultKind::ErrorAfter)) | Err(_), _) | (_, None) => Err(down()),
            (Ok(_), Some(true)) => Ok(Removal::deleted()),
            (Ok(_), Some(false)) => Ok(Removal::absent()),
        }
    }
}

#[async_trait]
impl LookUp for Product {
    async fn find(&self, _: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let fault = self.call().await?;
        let found = {
            let state = self.world.state();
            let now = state.now(&self.world);
            let is_shown = |account: &&truth::Account| {
                let is_listed = account.removed.is_none_or(|at| now < at + account.lag);
                let is_asked = match person {
                    Identity::Email(email) => truth::address(account.address) == email.expose(),
                    Identity::ExternalId(id) => account.number.as_deref() == Some(id),
                };
                account.provider == self.provider && is_listed && is_asked
            };
            state.truth.accounts.iter().filter(is_shown).map(shown).collect::<Vec<_>>()
        };
        self.world.end_call(self.place, fault).await;
        if fault == Some(FaultKind::ErrorAfter) { Err(down()) } else { Ok(found) }
    }
}

fn shown(account: &truth::Account) -> Account {
    Account {
        id: account.id.clone(),
        email: Some(truth::address(account.address)),
        external_id: account.number.clone(),
        ..Account::default()
    }
}
