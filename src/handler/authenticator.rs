//! Keys that a delivery is checked with, and when to read them anew.

use std::{fmt::Display, sync::Arc};

use http::Request;
use tokio::time::Instant;

use super::Invocation;
use crate::{
    answer::Problem,
    secrets::{Freshness, Secret, SecretError, SecretStoreError, Secrets},
    settings::BaseUrl,
    source::{KeySource, Source},
    webhook::{
        Keys, Refusal, Verified,
        key_sets::{KeySetError, KeySets},
    },
};

/// Proves that a delivery comes from its source, before anything of its body is read.
#[derive(Debug)]
pub(super) struct Authenticator {
    secrets: Arc<Secrets>,
    key_sets: KeySets,
}

type Verdict = Result<Verified, Refusal>;

/// Why a delivery can be neither taken nor refused for good.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error(transparent)]
    Store(#[from] SecretStoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    #[error("no key that was read matches, and none may be read again yet")]
    KeyMayBeNewer,
}

impl Undecided {
    fn problem(&self) -> Problem {
        match self {
            Self::Store(_) | Self::Secret(_) => Problem::NoSecrets,
            Self::KeySet(_) => Problem::NoKeySet,
            Self::KeyMayBeNewer => Problem::KeyMayBeNewer,
        }
    }
}

impl Authenticator {
    pub(super) fn new(secrets: Arc<Secrets>, key_sets: KeySets) -> Self {
        Self { secrets, key_sets }
    }

    /// Verifies a delivery. `log` is given the reason if it is not taken.
    ///
    /// # Errors
    /// [`Problem::Unverified`] if the delivery is wrong for good, another problem if it may be right.
    pub(super) async fn verify(
        &self,
        source: &Source,
        request: &Request<Vec<u8>>,
        invocation: &Invocation,
        log: &(impl Fn(&dyn Display, &str) + Sync),
    ) -> Result<Verified, Problem> {
        let check = |keys: &Keys| source.scheme.verify(request.headers(), request.body(), keys, invocation.now);
        let verdict = match &source.keys {
            KeySource::Secret(name) => {
                let check = |secret: &Secret| usable_keys(source, secret, invocation).map(|keys| check(&keys));
                self.by_secret(name, invocation.started, check).await
            }
            KeySource::Set(url) => self.by_key_set(url, invocation, check).await,
            // No request leads here: such a source has no webhook.
            KeySource::Partner(_) => return Err(Problem::NotFound),
        };
        let verdict = verdict.map_err(|undecided| {
            log(&undecided, "the delivery cannot be verified");
            undecided.problem()
        })?;
        verdict.map_err(|refusal| {
            log(&refusal, "a delivery was refused");
            Problem::Unverified
        })
    }

    /// Checks with the secret at hand, and if that does not match, with its other versions.
    async fn by_secret(
        &self,
        name: &str,
        arrived: Instant,
        check: impl Fn(&Secret) -> Result<Verdict, SecretError> + Sync,
    ) -> Result<Verdict, Undecided> {
        let held = self.secrets.get(name).await?;
        let mut verdict = held.clone().and_then(|secret| check(&secret));
        // Only a key can be outdated: what is wrong with the headers stays wrong.
        if !matches!(verdict, Err(_) | Ok(Err(Refusal::Mismatch))) {
            return Ok(verdict?);
        }
        let others = self.secrets.other_versions(name, &held, arrived).await;
        if let Some(current) = &others.current {
            verdict = check(current);
        }
        if matches!(verdict, Err(_) | Ok(Err(Refusal::Mismatch)))
            && let Some(Ok(good @ Ok(_))) = others.previous.as_deref().map(&check)
        {
            return Ok(good);
        }
        match verdict? {
            Err(Refusal::Mismatch) if others.freshness == Freshness::Outdated => Err(Undecided::KeyMayBeNewer),
            verdict => Ok(verdict),
        }
    }

    /// Checks with the key set at hand, and if no key of it matches, with the one that is published now.
    async fn by_key_set(
        &self,
        url: &BaseUrl,
        invocation: &Invocation,
        check: impl Fn(&Keys) -> Verdict,
    ) -> Result<Verdict, Undecided> {
        let (now, deadline) = (invocation.now, invocation.deadline);
        let verdict = check(&Keys::Set(self.key_sets.get(url, now, deadline).await?));
        if !may_be_newer(&verdict) {
            return Ok(verdict);
        }
        let (set, freshness) = self.key_sets.again(url, now, deadline).await?;
        let verdict = check(&Keys::Set(set));
        if may_be_newer(&verdict) && freshness == Freshness::Outdated {
            return Err(Undecided::KeyMayBeNewer);
        }
        Ok(verdict)
    }
}

/// Whether a newer key set may verify the delivery: its key is not in the set, or the key that is has been replaced.
fn may_be_newer(verdict: &Verdict) -> bool {
    matches!(verdict, Err(Refusal::UnknownKey | Refusal::Mismatch))
}

/// The usable keys of a source's secret. What is wrong with the others goes to the log.
fn usable_keys(source: &Source, secret: &Secret, invocation: &Invocation) -> Result<Keys, SecretError> {
    let keys = source.scheme.secret_keys_of(secret);
    for error in keys.errors() {
        let request_id = &invocation.request_id;
        tracing::error!(request_id, source = source.name, reason = %error, "a key of a source's secret is not used");
    }
    keys.into_keys()
}
