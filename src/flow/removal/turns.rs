//! Providers that limit are not called before the time that they named, whichever environment they named it to. Where the limit is
//! known, departures take turns from then on, so that they do not all come at that time.

use std::{collections::BTreeMap, time::Duration};

use super::Removal;
use crate::{
    ledger::{MAX_RETRY_AFTER, ProviderLimits, millis},
    outcome::ProviderResult,
};

/// How soon a turn may be for it to be taken at once.
const SOON: i64 = 2_000;

impl Removal<'_> {
    /// Records that providers are not called in this run, and returns those that are.
    pub(super) async fn called<'a>(&mut self, wanted: Vec<&'a str>) -> Vec<&'a str> {
        let waits = self.waits(&wanted).await;
        let now = self.worker.now();
        for (provider, at) in &waits {
            let wait = Duration::from_millis(u64::try_from(at - millis(now)).unwrap_or_default());
            self.note_result(ProviderResult::waiting(provider, wait));
        }
        wanted.into_iter().filter(|name| !waits.contains_key(*name)).collect()
    }

    /// Returns when those providers are called that are not called now, in milliseconds since 1970.
    async fn waits(&mut self, wanted: &[&str]) -> BTreeMap<String, i64> {
        let now = self.worker.now();
        let (mut waits, mut intervals) = (BTreeMap::new(), BTreeMap::new());
        for name in wanted {
            let own = self.record.not_before(name);
            let shared = self.limits.not_before(name, now);
            let has_turn = shared.is_none() && self.record.has_turn(name, now);
            let interval = self.flow.engine.interval(name);
            match (own, interval) {
                (Some(at), _) if at > millis(now) => _ = waits.insert((*name).to_owned(), at),
                (_, Some(interval)) if !has_turn && self.limits.limited_lately(name, now) => {
                    intervals.insert((*name).to_owned(), interval);
                }
                _ => waits.extend(shared.map(|at| ((*name).to_owned(), at))),
            }
        }
        if intervals.is_empty() {
            return waits;
        }
        let take = |limits: &mut ProviderLimits| {
            let turn = |(name, interval): (&String, &Duration)| (name.clone(), limits.take_turn(name, *interval, now));
            intervals.iter().map(turn).collect::<BTreeMap<_, _>>()
        };
        match self.flow.ledger.change_limits(&self.limits, now, take).await {
            Ok((limits, turns)) => {
                let is_ahead =
                    |name: &String, at: i64| limits.not_before(name, now).is_some() || at > millis(now) + SOON;
                waits.extend(turns.into_iter().filter(|(name, at)| is_ahead(name, *at)));
                self.limits = limits;
            }
            Err(error) => {
                tracing::warn!(request_id = self.worker.name, reason = %error, "no turn could be taken at a provider");
                let shared =
                    intervals.keys().filter_map(|name| Some((name.clone(), self.limits.not_before(name, now)?)));
                waits.extend(shared);
            }
        }
        waits
    }

    /// Lets all environments know what a provider asked for. A failure costs refused calls, and nothing else.
    pub(super) async fn share(&mut self, result: &ProviderResult) {
        let Some(wait) = result.asked_to_wait.max(result.retry_after()) else { return };
        let now = self.worker.now();
        let at = millis(now + wait.min(MAX_RETRY_AFTER));
        match self.flow.ledger.note_limit(&self.limits, &result.provider, at, now).await {
            Ok(limits) => self.limits = limits,
            Err(error) => {
                let (request_id, provider) = (self.worker.name, &result.provider);
                tracing::warn!(request_id, provider, reason = %error, "a provider's limit could not be shared");
            }
        }
    }
}
