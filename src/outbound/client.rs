//! The connections to the providers: bounded in number, and not trusted after a pause.

use std::{
    collections::HashSet,
    env,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use reqwest::Url;
use rustls::ClientConfig;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::early::{self, Early};
use crate::tls;

/// The most calls in flight: a process of Lambda's has 1,024 file descriptors.
const CALLS: usize = 384;
/// The most calls in flight to one provider: one that hangs must not take what the others need.
const CALLS_TO_ONE: usize = 32;
/// The most connections to one host that are kept for later calls.
const KEPT: usize = 8;
/// The most connections that are begun early.
const EARLY: usize = 64;
/// After so long a pause a connection may be dead without a sign: an environment that is frozen answers nobody.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How long the first call after a pause may take. Then it is made again, on a new connection.
pub(super) const FIRST_CALL: Duration = Duration::from_secs(1);

/// Variables that name a proxy.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The connections to all providers. Made once; cloning shares them.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    own: Arc<Own>,
}

/// What all providers share.
#[derive(Debug)]
struct Shared {
    tls: ClientConfig,
    proxy: bool,
    http: Mutex<reqwest::Client>,
    /// Begins connections for the first calls, and sends nothing.
    keeping: reqwest::Client,
    /// How often the connections were given up.
    renewals: AtomicU64,
    calls: Semaphore,
}

/// What one provider has to itself.
#[derive(Debug)]
struct Own {
    calls: Semaphore,
    answered: Mutex<Option<Moment>>,
}

/// A time by both clocks: that of a machine that is frozen may stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(Instant, SystemTime);

impl Moment {
    pub(super) fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    /// Whether more than [`PAUSE`] passed since.
    pub(super) fn is_before_pause(self) -> bool {
        self.0.elapsed() > PAUSE || self.1.elapsed().is_ok_and(|since| since > PAUSE)
    }
}

impl Default for Own {
    fn default() -> Self {
        Self { calls: Semaphore::new(CALLS_TO_ONE), answered: Mutex::default() }
    }
}

/// A place among the calls in flight.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) http: reqwest::Client,
    renewals: u64,
    _permits: [Option<SemaphorePermit<'a>>; 2],
}

impl Client {
    /// Makes the client. Certificate roots are compiled in; `extra_ca` is one more authority, in PEM. With
    /// `proxy`, the proxy that the environment names is used.
    ///
    /// # Errors
    /// If `extra_ca` holds no usable certificate.
    pub fn new(extra_ca: Option<&[u8]>, proxy: bool) -> Result<Self, String> {
        Self::over(tls::config(tls::mozilla_roots(), extra_ca)?, proxy)
    }

    fn over(tls: ClientConfig, proxy: bool) -> Result<Self, String> {
        let early = Early::taking();
        let keeping = builder(tls.clone(), proxy).connector_layer(early.keeping()).build().map_err(unusable)?;
        let http = builder(tls.clone(), proxy).connector_layer(early).build().map_err(unusable)?;
        let http = Mutex::new(http);
        let shared = Shared { tls, proxy, http, keeping, renewals: AtomicU64::new(0), calls: Semaphore::new(CALLS) };
        Ok(Self { shared: Arc::new(shared), own: Arc::default() })
    }

    /// Returns the same connections for another provider: what it has in flight is bounded by itself.
    pub fn for_provider(&self) -> Self {
        Self { shared: self.shared.clone(), own: Arc::default() }
    }

    /// Returns the same for a service of AWS, but past a proxy that the environment names: the SDK uses none, so AWS is reached
    /// without.
    pub(crate) fn for_aws(&self) -> Self {
        let is_named = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let direct = if self.shared.proxy && PROXIES.into_iter().any(is_named) {
            Self::over(self.shared.tls.clone(), false).ok()
        } else {
            None
        };
        direct.unwrap_or_else(|| self.for_provider())
    }

    /// Begins a connection to each host of these URLs, and returns at once. The first calls take what is there within a second;
    /// what fails, fails without a word: the call tries again.
    pub(crate) fn connect_early(&self, urls: impl IntoIterator<Item = Url>) {
        let mut hosts = HashSet::new();
        let urls = urls.into_iter().filter(|url| hosts.insert(url.origin()));
        urls.take(EARLY).for_each(|url| _ = tokio::spawn(early::connect(self.shared.keeping.clone(), url)));
    }

    /// Waits for a place among the calls in flight.
    pub(super) async fn place(&self) -> Place<'_> {
        // Neither is ever closed.
        let own = self.own.calls.acquire().await.ok();
        let all = self.shared.calls.acquire().await.ok();
        let renewals = self.shared.renewals.load(Ordering::Acquire);
        let http = self.shared.http.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Place { http, renewals, _permits: [own, all] }
    }

    /// Whether so long passed since this provider's last answer that its connections may be dead.
    pub(super) fn is_after_pause(&self) -> bool {
        self.own.answered.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(Moment::is_before_pause)
    }

    /// Notes that the provider answered.
    pub(super) fn answered(&self) {
        *self.own.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Moment::now());
    }

    /// Gives up the connections that were made after so many `renewals`, unless another call did that already. Calls in
    /// flight keep theirs.
    pub(super) fn renew(&self, renewals: u64) {
        let mut http = self.shared.http.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.renewals.load(Ordering::Acquire) == renewals
            && let Ok(new) = builder(self.shared.tls.clone(), self.shared.proxy).build()
        {
            *http = new;
            self.shared.renewals.store(renewals + 1, Ordering::Release);
        }
    }
}

impl Place<'_> {
    /// Tells its connections from those after a renewal.
    pub(super) fn renewals(&self) -> u64 {
        self.renewals
    }
}

fn unusable(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

fn builder(tls: ClientConfig, proxy: bool) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .pool_max_idle_per_host(KEPT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("offboard/", env!("CARGO_PKG_VERSION")));
    if proxy { builder } else { builder.no_proxy() }
}
