//! The key sets of the senders that publish one: fetched within bounds, kept, and read again when a key is new.
//!
//! A sender cannot make us fetch much: a set is read every ten minutes, once more a minute for keys that it does not
//! hold, and not at once again where that failed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use super::JwkSet;
use crate::{
    outbound::{Client, Http, Limits, Response},
    outcome::{Failure, FailureKind},
    secrets::Freshness,
    settings::BaseUrl,
};

/// How long a set is believed without being read again.
const FRESH: time::Duration = time::Duration::minutes(10);
/// How long a set is used while it cannot be read again.
const KEPT: time::Duration = time::Duration::hours(24);
/// A key that is not in a set may cost one fetch in this time, and no more.
const SECOND_LOOK: time::Duration = time::Duration::minutes(1);
/// After a fetch that failed there is no other in this time.
const REST: time::Duration = time::Duration::seconds(10);
/// How long a fetch may take, a second attempt included.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);
/// The largest set that is read, in bytes. A key with its certificates has about two thousand.
const LARGEST: usize = 64 * 1024;

/// A key set cannot be read, and none is kept that could stand in. Its text has the reason, never the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key set cannot be read: {reason}")]
pub struct KeySetError {
    reason: String,
}

impl KeySetError {
    fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }
}

/// The key sets, and what was last read of each.
#[derive(Debug)]
pub struct KeySets {
    client: Client,
    /// Each locked while it is read: others that need it wait for the same response.
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
}

#[derive(Debug, Default)]
struct Slot {
    good: Option<(Arc<JwkSet>, OffsetDateTime)>,
    failed: Option<(KeySetError, OffsetDateTime)>,
    second_look: Option<OffsetDateTime>,
}

impl KeySets {
    /// Fetches through this client. Nothing is fetched yet.
    pub fn new(client: Client) -> Self {
        Self { client, slots: Mutex::default() }
    }

    /// The set at `url` as of `now`, fetched if the one that is kept is older than ten minutes. One of up to a day stands
    /// in while the endpoint is down.
    ///
    /// # Errors
    /// If there is none, or it does not come before `deadline`.
    pub async fn get(&self, url: &BaseUrl, now: OffsetDateTime, deadline: Instant) -> Result<Arc<JwkSet>, KeySetError> {
        let slot = self.slot(url);
        let mut slot = timeout_at(deadline, slot.lock()).await.map_err(|_| KeySetError::new("deadline"))?;
        if let Some(set) = slot.younger_than(FRESH, now) {
            return Ok(set);
        }
        let down = match &slot.failed {
            Some((down, at)) if within(REST, *at, now) => down.clone(),
            _ => match self.fetch(&mut slot, url, now, deadline).await {
                Ok(set) => return Ok(set),
                Err(down) => down,
            },
        };
        slot.younger_than(KEPT, now).ok_or(down)
    }

    /// Returns the set at `url` for a delivery that arrived at `now` and that no key at hand verifies: read anew at most
    /// once a minute, else as it was read last, and whether it was read since the delivery arrived.
    ///
    /// # Errors
    /// If the last fetch failed: whether the key is good is not known.
    pub async fn again(
        &self,
        url: &BaseUrl,
        now: OffsetDateTime,
        deadline: Instant,
    ) -> Result<(Arc<JwkSet>, Freshness), KeySetError> {
        let slot = self.slot(url);
        let mut slot = timeout_at(deadline, slot.lock()).await.map_err(|_| KeySetError::new("deadline"))?;
        // A first read for this very delivery, or for one that came later, is no older than another would be.
        let read_at = slot.good.as_ref().map(|(_, at)| *at);
        if read_at.is_none_or(|at| at < now) && slot.second_look.is_none_or(|at| !within(SECOND_LOOK, at, now)) {
            slot.second_look = Some(now);
            let set = self.fetch(&mut slot, url, now, deadline).await?;
            return Ok((set, Freshness::SinceArrival));
        }
        match (&slot.failed, &slot.good) {
            (None, Some((set, at))) if *at < now => Ok((set.clone(), Freshness::Outdated)),
            (None, Some((set, _))) => Ok((set.clone(), Freshness::SinceArrival)),
            (Some((down, _)), _) => Err(down.clone()),
            (None, None) => Err(KeySetError::new("never_read")),
        }
    }

    fn slot(&self, url: &BaseUrl) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(url.url().to_string()).or_default().clone()
    }

    async fn fetch(
        &self,
        slot: &mut Slot,
        url: &BaseUrl,
        now: OffsetDateTime,
        deadline: Instant,
    ) -> Result<Arc<JwkSet>, KeySetError> {
        let limits = Limits { timeout: TIMEOUT, attempts: 2 };
        let deadline = deadline.min(Instant::now() + TIMEOUT);
        let http = Http::new(self.client.clone(), url.url().clone(), limits, deadline);
        match http.get_from(url.url().as_str()).at_most(LARGEST).read(read).await {
            Ok(set) => {
                let set = Arc::new(set);
                (slot.good, slot.failed) = (Some((set.clone(), now)), None);
                Ok(set)
            }
            Err(failure) => {
                let down = KeySetError { reason: failure.reason };
                tracing::warn!(reason = %down, kept = slot.good.is_some(), "a key set could not be fetched");
                // One that came too late to try says nothing of the endpoint.
                if failure.kind != FailureKind::NotAttempted {
                    slot.failed = Some((down.clone(), now));
                }
                Err(down)
            }
        }
    }
}

impl Slot {
    fn younger_than(&self, age: time::Duration, now: OffsetDateTime) -> Option<Arc<JwkSet>> {
        self.good.as_ref().filter(|(_, at)| within(age, *at, now)).map(|(set, _)| set.clone())
    }
}

/// Either way: a clock that was set back makes nothing last for ever.
fn within(time: time::Duration, at: OffsetDateTime, now: OffsetDateTime) -> bool {
    (now - at).abs() < time
}

fn read(response: &Response) -> Result<JwkSet, Failure> {
    if response.is_success() { response.json() } else { Err(response.failure()) }
}
