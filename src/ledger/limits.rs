//! Before when a provider is not called, because it said so: `Retry-After` that one environment got is respected by all.
//!
//! One small item, read together with the facts. It is written only when a provider limits, and while turns are taken at
//! one that did.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Ledger, LedgerError, SKEW,
    key::PROVIDERS,
    millis,
    store::{Change, Changed, Item},
};

/// The longest `Retry-After` of a provider that is respected.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long turns are taken at a provider after the last one: the longest window over which a known limit counts.
const TURNS_TAKEN: Duration = Duration::from_secs(60 * 60);
/// Attempts of a compare-and-swap. A wait that is not shared costs a refused call; more attempts would cost more.
const MAX_ATTEMPTS: u32 = 10;

/// What is known of the providers' limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderLimits {
    version: u64,
    providers: BTreeMap<String, Limit>,
}

/// A provider that limits. Times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Limit {
    /// Before then it is not called.
    not_before: i64,
    /// When the next turn begins.
    #[serde(default, skip_serializing_if = "is_zero")]
    next: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Limit {
    /// Whether it is of use at `now`. A time further ahead than a provider may ask for is a wrong clock's, and does not count.
    fn is_plausible(self, now: i64) -> bool {
        let longest = now + milliseconds(MAX_RETRY_AFTER + SKEW);
        self.not_before <= longest && self.next <= longest && now < self.ends()
    }

    fn ends(self) -> i64 {
        self.not_before.max(self.next) + milliseconds(TURNS_TAKEN)
    }
}

impl ProviderLimits {
    /// Reads the item. One that cannot be read counts as none, and is replaced: no departure may wait for it.
    pub(super) fn read(item: Option<&Item>) -> Self {
        let Some(item) = item else { return Self::default() };
        Self { version: item.version, providers: serde_json::from_str(&item.document).unwrap_or_default() }
    }

    /// Returns before when a provider is not called, in milliseconds since 1970; `None` if it may be called at `now`.
    pub fn not_before(&self, provider: &str, now: OffsetDateTime) -> Option<i64> {
        let limit = self.at(provider, millis(now))?;
        Some(limit.not_before).filter(|at| *at > millis(now))
    }

    /// Returns whether a provider limited lately: then each departure takes a turn there, if the limit is known.
    pub fn limited_lately(&self, provider: &str, now: OffsetDateTime) -> bool {
        self.at(provider, millis(now)).is_some()
    }

    /// Returns when the departure's turn at a provider begins, in milliseconds since 1970, `interval` before the next one.
    pub fn take_turn(&mut self, provider: &str, interval: Duration, now: OffsetDateTime) -> i64 {
        let now = millis(now);
        let limit = self.at(provider, now).unwrap_or_default();
        let latest = now + milliseconds(MAX_RETRY_AFTER);
        let turn = now.max(limit.not_before).max(limit.next).min(latest);
        // Later than the latest it would count as a wrong clock's, and with it what the provider asked for.
        let next = turn.saturating_add(milliseconds(interval)).min(latest);
        self.providers.insert(provider.to_owned(), Limit { next, ..limit });
        turn
    }

    /// Notes that a provider is not to be called before `at`, in milliseconds since 1970. The latest time counts.
    fn note(&mut self, provider: &str, at: i64, now: i64) {
        let limit = self.at(provider, now).unwrap_or_default();
        if at > limit.not_before {
            self.providers.insert(provider.to_owned(), Limit { not_before: at, ..limit });
        }
    }

    fn at(&self, provider: &str, now: i64) -> Option<Limit> {
        self.providers.get(provider).copied().filter(|limit| limit.is_plausible(now))
    }

    /// Returns the item to store, with the next version, and what is over left out.
    fn item(&self, now: i64) -> Result<Item, LedgerError> {
        let providers: BTreeMap<_, _> = self.providers.iter().filter(|(_, limit)| limit.is_plausible(now)).collect();
        let ends = providers.values().map(|limit| limit.ends()).max().unwrap_or(now);
        let document = serde_json::to_string(&providers).map_err(|_| LedgerError::Unreadable("provider limits"))?;
        let expires_at = Some(ends.div_euclid(1000) + 1);
        Ok(Item { id: PROVIDERS.to_owned(), version: self.version + 1, document, expires_at, ..Item::default() })
    }
}

impl Ledger {
    /// Notes for all environments that a provider is not to be called before `at`, in milliseconds since 1970.
    ///
    /// # Errors
    /// If that cannot be written: then others find it out by themselves.
    pub async fn note_limit(
        &self,
        known: &ProviderLimits,
        provider: &str,
        at: i64,
        now: OffsetDateTime,
    ) -> Result<ProviderLimits, LedgerError> {
        let (limits, ()) = self.change_limits(known, now, |limits| limits.note(provider, at, millis(now))).await?;
        Ok(limits)
    }

    /// Changes the limits by compare-and-swap, beginning with those that are `known`.
    ///
    /// # Errors
    /// If that cannot be written.
    pub async fn change_limits<T>(
        &self,
        known: &ProviderLimits,
        now: OffsetDateTime,
        change: impl Fn(&mut ProviderLimits) -> T,
    ) -> Result<(ProviderLimits, T), LedgerError> {
        let mut before = known.clone();
        for _ in 0..MAX_ATTEMPTS {
            let mut after = before.clone();
            let changed = change(&mut after);
            if after == before {
                return Ok((after, changed));
            }
            let swap = Change::Swap { item: after.item(millis(now))?, expected: before.version };
            if self.store.change(&[swap]).await? == Changed::All {
                after.version += 1;
                return Ok((after, changed));
            }
            before = ProviderLimits::read(self.item(PROVIDERS).await?.as_ref());
        }
        Err(LedgerError::Contention)
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
