//! The keys that a delivery is checked with, and when to fetch them anew.

use std::{fmt::Display, sync::Arc};

use http::Request;

use super::Invocation;
use crate::{
    answer::Problem,
    config::BaseUrl,
    secrets::{Secret, SecretFault, Secrets},
    source::{KeySource, Source},
    webhook::{Keys, Refusal, Verified, key_sets::KeySets},
};

/// What a delivery must pass before anybody reads it.
#[derive(Debug)]
pub(super) struct Door {
    secrets: Arc<Secrets>,
    key_sets: KeySets,
}

type Verdict = Result<Verified, Refusal>;

impl Door {
    pub(super) fn new(secrets: Arc<Secrets>, key_sets: KeySets) -> Self {
        Self { secrets, key_sets }
    }

    /// Verifies a delivery; `log` is told why it cannot be.
    pub(super) async fn verify(
        &self,
        source: &Source,
        request: &Request<Vec<u8>>,
        invocation: &Invocation,
        log: &(impl Fn(&dyn Display, &str) + Sync),
    ) -> Result<Verified, Problem> {
        let check = |keys: &Keys| source.scheme.verify(request.headers(), request.body(), keys, invocation.now);
        let no_keys = |why: &dyn Display, problem| {
            log(why, "the delivery cannot be verified");
            problem
        };
        let verdict = match &source.keys {
            KeySource::Secret(name) => {
                let check = |secret: &Secret| source.scheme.keys(secret).map(|keys| check(&keys));
                self.by_secret(name, check).await.map_err(|why| no_keys(&why, Problem::NoSecrets))?
            }
            KeySource::Set(url) => {
                self.by_key_set(url, invocation, check).await.map_err(|why| no_keys(&why, Problem::NoKeySet))?
            }
        };
        verdict.map_err(|refusal| {
            log(&refusal, "a delivery was refused");
            Problem::Unverified
        })
    }

    /// With the secret at hand, and if that does not match, with its other versions.
    async fn by_secret(
        &self,
        name: &str,
        check: impl Fn(&Secret) -> Result<Verdict, SecretFault> + Sync,
    ) -> Result<Verdict, String> {
        let held = self.secrets.get(name).await.map_err(|down| down.to_string())?;
        let mut verdict = held.clone().and_then(|secret| check(&secret));
        // Only a key can be outdated: what is wrong with the headers stays wrong.
        if matches!(verdict, Err(_) | Ok(Err(Refusal::Mismatch))) {
            let others = self.secrets.other_versions(name, &held).await.map_err(|down| down.to_string())?;
            if let Some(good) = others.iter().filter_map(|secret| check(secret).ok()).find(Result::is_ok) {
                verdict = Ok(good);
            }
        }
        verdict.map_err(|fault| fault.to_string())
    }

    /// With the key set at hand, and if that does not hold the key, with the one that is published now.
    async fn by_key_set(
        &self,
        url: &BaseUrl,
        invocation: &Invocation,
        check: impl Fn(&Keys) -> Verdict,
    ) -> Result<Verdict, String> {
        let (now, deadline) = (invocation.now, invocation.deadline);
        let set = self.key_sets.get(url, now, deadline).await.map_err(|down| down.to_string())?;
        let verdict = check(&Keys::Set(set));
        if !matches!(verdict, Err(Refusal::UnknownKey)) {
            return Ok(verdict);
        }
        let set = self.key_sets.again(url, now, deadline).await.map_err(|down| down.to_string())?;
        Ok(check(&Keys::Set(set)))
    }
}
