//! The products, with the limits of their vendors' pages.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use offboard::{
    outbound::Http,
    outcome::{Failure, FailureKind},
    person::{Identity, KnownBy},
    providers::{Account, LookUp, Provider, Removal, Tenant},
    secrets::{Secret, SecretError},
};
use tokio::time::{Instant, sleep};

use crate::limit::{RateLimit, Window};

const MINUTE: Duration = Duration::from_secs(60);

/// A vendor: who has an account, and what was called.
pub struct Vendor {
    /// The kind, which is also its name in the configuration.
    pub kind: &'static str,
    pub state: Mutex<State>,
    /// Whether removals alone count.
    counts_removals: bool,
    started: Instant,
}

pub struct State {
    pub accounts: BTreeMap<String, u32>,
    pub limits: Vec<RateLimit>,
    pub calls: usize,
    pub refused: usize,
    /// When somebody was removed, since the beginning.
    pub removals: Vec<Duration>,
    random: fastrand::Rng,
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)
    }
}

/// Flashduty: 1,000 a minute, 50 a second. Cloudflare: 1,200 in five minutes, then nothing for five. Slack: 180 removals a
/// minute. PagerDuty: 960 a minute. Zoom: 30 a second.
pub fn vendors(people: impl Iterator<Item = String> + Clone) -> Vec<Arc<Vendor>> {
    let limit = RateLimit::new;
    let second = Duration::from_secs(1);
    let of = [
        ("flashduty", vec![limit(1000, MINUTE, Window::Fixed), limit(50, second, Window::Fixed)]),
        ("cloudflare_access", vec![limit(1200, 5 * MINUTE, Window::Blocking(5 * MINUTE))]),
        ("slack", vec![limit(180, MINUTE, Window::Fixed)]),
        ("pagerduty_user", vec![limit(960, MINUTE, Window::Sliding)]),
        ("zoom", vec![limit(30, second, Window::Fixed)]),
    ];
    let vendor = |(n, (kind, limits)): (usize, (&'static str, Vec<RateLimit>))| {
        let state = State {
            accounts: people.clone().map(|person| (person, 1)).collect(),
            limits,
            calls: 0,
            refused: 0,
            removals: Vec::new(),
            random: fastrand::Rng::with_seed(n as u64),
        };
        let (state, started) = (Mutex::new(state), Instant::now());
        Arc::new(Vendor { kind, state, counts_removals: kind == "slack", started })
    };
    of.into_iter().enumerate().map(vendor).collect()
}

impl Vendor {
    /// Returns the least time for this many departures: the look-up, the removal, the second look.
    pub fn least(&self, departures: usize) -> Duration {
        let calls = if self.counts_removals { departures } else { 3 * departures };
        let state = self.state.lock().unwrap();
        state.limits.iter().map(|limit| limit.least(calls)).max().unwrap_or_default()
    }

    /// Makes one call as the HTTP layer does: a refusal is attempted again as long as that layer would.
    async fn call<T>(
        &self,
        http: &Http,
        is_removal: bool,
        effect: impl Fn(&mut State, Duration) -> T,
    ) -> Result<T, Failure> {
        for attempt in 1.. {
            let latency = self.state.lock().unwrap().random.u64(80..240);
            sleep(Duration::from_millis(latency / 2)).await;
            let answer = self.answer(is_removal, &effect);
            sleep(Duration::from_millis(latency / 2)).await;
            let Err(wait) = answer else { return answer.map_err(|_: Duration| unreachable()) };
            // A header has whole seconds.
            let wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            let failure = Failure { retry_after: Some(wait), ..Failure::new(FailureKind::RateLimited, "http_429") };
            match http.pause(&failure, attempt) {
                Some(wait) => sleep(wait).await,
                None => return Err(failure),
            }
        }
        Err(unreachable())
    }

    fn answer<T>(&self, is_removal: bool, effect: &impl Fn(&mut State, Duration) -> T) -> Result<T, Duration> {
        let (now, mut state) = (Instant::now(), self.state.lock().unwrap());
        state.calls += 1;
        if is_removal || !self.counts_removals {
            let refusals = state.limits.iter_mut().filter_map(|limit| limit.refuses(now, self.started));
            if let Some(wait) = refusals.max() {
                state.refused += 1;
                return Err(wait);
            }
            state.limits.iter_mut().for_each(|limit| limit.count(now));
        }
        Ok(effect(&mut state, now - self.started))
    }
}

fn unreachable() -> Failure {
    Failure::new(FailureKind::Rejected, "unreachable")
}

/// One environment's connection.
#[derive(Clone, Debug)]
pub struct Product(pub Arc<Vendor>);

impl offboard::providers::Product for Product {
    fn connect(&self, _: &Secret) -> Result<Vec<Tenant>, SecretError> {
        let provider = Arc::new(self.clone());
        Ok(vec![Tenant { scope: None, base_url: "https://product.example.com".into(), provider }])
    }

    fn known_by(&self) -> KnownBy {
        KnownBy::Email
    }
}

#[async_trait]
impl Provider for Product {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        let remove = |state: &mut State, at: Duration| {
            let left = state.accounts.get_mut(&account.id).expect("an account that was looked up");
            // Below zero it would be removed twice.
            *left = left.wrapping_sub(1);
            state.removals.push(at);
        };
        self.0.call(http, true, remove).await?;
        Ok(Removal::deleted())
    }
}

#[async_trait]
impl LookUp for Product {
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let Identity::Email(email) = person else { return Ok(Vec::new()) };
        let id = email.expose().to_owned();
        let is_there =
            self.0.call(http, false, |state, _| state.accounts.get(&id).is_some_and(|left| *left > 0)).await?;
        let account = Account { id: id.clone(), email: Some(id), ..Account::default() };
        Ok(if is_there { vec![account] } else { Vec::new() })
    }
}
