//! Connections that are begun before the first call needs them, while the secrets are read.
//!
//! A vendor sees a connection and a TLS handshake, and no request before the first call. The HTTP client connects for requests
//! alone. So there are two of them: the one that begins connections is made to send requests, but its connector gives no connection
//! away, so that it never can; it puts them where the connector of the other one, which makes the calls, takes them.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use lambda_runtime::tower::{Layer, Service};
use reqwest::Url;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use super::client::{Moment, PAUSE};

type BoxError = Box<dyn Error + Send + Sync>;
/// Scheme, host and port: what a connection is good for.
type Origin = String;

tokio::task_local! {
    /// Where the connection that is being made leads.
    static ORIGIN: Origin;
}

/// Makes `call`, which may take the connection to the origin of `url` that was begun early.
pub(super) async fn with_early<F: Future>(url: &Url, call: F) -> F::Output {
    ORIGIN.scope(origin(url), call).await
}

/// Connects to the origin of this URL, and keeps the connection for the first call. Ends within [`PAUSE`]. `keeping` is a client
/// whose connector is [`Early::keeping`].
pub(super) async fn connect(keeping: reqwest::Client, url: Url) {
    // Always an error: there is no connection to send anything on.
    let _ = ORIGIN.scope(origin(&url), keeping.get(url).send()).await;
}

/// The text of a URL before its path. `Url::origin` would be slower, and every call needs it.
fn origin(url: &Url) -> Origin {
    let text = url.as_str();
    let host = text.find("://").map_or(0, |at| at + 3);
    let end = text[host..].find(['/', '?', '#']).map_or(text.len(), |at| host + at);
    text[..end].to_owned()
}

/// Wraps a client's connector.
pub(super) struct Early<C> {
    begun: Begun<C>,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Begins connections, and gives none away.
    Keeps,
    /// Takes those that were begun, and else connects.
    Takes,
}

impl<C> Early<C> {
    /// Returns one for the client that makes the calls.
    pub(super) fn taking() -> Self {
        Self { begun: Begun::default(), role: Role::Takes }
    }

    /// Returns one for the client that begins connections for those calls.
    pub(super) fn keeping(&self) -> Self {
        Self { begun: self.begun.clone(), role: Role::Keeps }
    }
}

impl<C> Clone for Early<C> {
    fn clone(&self) -> Self {
        Self { begun: self.begun.clone(), role: self.role }
    }
}

impl<S, C> Layer<S> for Early<C> {
    type Service = Connector<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Connector { inner, early: self.clone() }
    }
}

/// A client's connector with early connections.
pub(super) struct Connector<S, C> {
    inner: S,
    early: Early<C>,
}

impl<S: Clone, C> Clone for Connector<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), early: self.early.clone() }
    }
}

impl<S, C, R> Service<R> for Connector<S, C>
where
    S: Service<R, Response = C, Error = BoxError>,
    S::Future: Send + 'static,
    C: Send + 'static,
{
    type Response = C;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Nothing happens before it is awaited.
        let connecting = self.inner.call(request);
        let origin = ORIGIN.try_with(Origin::clone).unwrap_or_default();
        let Early { begun, role } = &self.early;
        if *role == Role::Keeps {
            return Box::pin(begun.clone().keep(origin, connecting));
        }
        match begun.take(&origin) {
            Some(early) => Box::pin(async move {
                match early.await {
                    Ok(connection) => Ok(connection),
                    Err(_) => connecting.await,
                }
            }),
            None => Box::pin(connecting),
        }
    }
}

/// The connections that were begun early and not taken yet.
struct Begun<C>(Arc<Mutex<Vec<Waiting<C>>>>);

/// A connection to an origin, or one that is being made.
struct Waiting<C> {
    origin: Origin,
    since: Moment,
    connection: oneshot::Receiver<C>,
}

impl<C> Default for Begun<C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<C> Clone for Begun<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send> Begun<C> {
    /// Keeps the connection until it is taken, or [`PAUSE`] after its beginning.
    fn keep(
        self,
        origin: Origin,
        connecting: impl Future<Output = Result<C, BoxError>> + Send,
    ) -> impl Future<Output = Result<C, BoxError>> + Send {
        let (give, connection) = oneshot::channel();
        let waiting = Waiting { origin: origin.clone(), since: Moment::now(), connection };
        self.with(|begun| begun.push(waiting));
        async move {
            let end = Instant::now() + PAUSE;
            if let Ok(Ok(connection)) = timeout_at(end, connecting).await
                && give.send(connection).is_ok()
            {
                sleep_until(end).await;
            }
            self.take(&origin);
            Err("the connection is kept for a call".into())
        }
    }

    /// Takes the connection to this origin out. One that was begun before a pause is dropped: it may be dead without a sign.
    fn take(&self, origin: &Origin) -> Option<oneshot::Receiver<C>> {
        self.with(|begun| {
            let at = begun.iter().position(|waiting| waiting.origin == *origin)?;
            let waiting = begun.swap_remove(at);
            Some(waiting.connection).filter(|_| !waiting.since.is_before_pause())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Waiting<C>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Weak,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::{task::JoinHandle, time::sleep};

    use super::*;

    /// Connects after a while, if at all. A connection is a number, counted from 1.
    #[derive(Clone, Default)]
    struct Inner {
        takes: Duration,
        fails: bool,
        made: Arc<AtomicU32>,
        last: Arc<Mutex<Weak<u32>>>,
    }

    impl Service<()> for Inner {
        type Response = Arc<u32>;
        type Error = BoxError;
        type Future = Pin<Box<dyn Future<Output = Result<Arc<u32>, BoxError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            let inner = self.clone();
            Box::pin(async move {
                // Only the first one is slow, or fails.
                let number = inner.made.fetch_add(1, Ordering::Relaxed) + 1;
                if number == 1 {
                    sleep(inner.takes).await;
                    if inner.fails {
                        return Err("refused".into());
                    }
                }
                let connection = Arc::new(number);
                *inner.last.lock().unwrap() = Arc::downgrade(&connection);
                Ok(connection)
            })
        }
    }

    fn begin(connector: &Connector<Inner, Arc<u32>>, origin: &str) -> JoinHandle<bool> {
        let mut keeping = connector.early.keeping().layer(connector.inner.clone());
        tokio::spawn(ORIGIN.scope(origin.to_owned(), async move { keeping.call(()).await.is_err() }))
    }

    /// The number of the connection that a call gets.
    async fn call(connector: &Connector<Inner, Arc<u32>>, url: &str) -> u32 {
        let mut connector = connector.clone();
        let url = Url::parse(url).unwrap();
        with_early(&url, async move { *connector.call(()).await.unwrap() }).await
    }

    #[tokio::test(start_paused = true)]
    async fn early_connection_is_taken_once_and_by_a_call_to_its_origin() {
        let connector = Early::taking().layer(Inner::default());
        begin(&connector, "https://a.example.com");
        sleep(Duration::from_millis(10)).await;
        for (url, number) in [
            ("https://b.example.com/", 2),
            ("http://a.example.com/", 3),
            ("https://a.example.com:8443/", 4),
            ("https://a.example.com/users", 1),
            ("https://a.example.com/users", 5),
        ] {
            assert_eq!(call(&connector, url).await, number, "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_waits_for_an_early_connection_that_is_being_made() {
        let connector = Early::taking().layer(Inner { takes: Duration::from_millis(400), ..Inner::default() });
        let early = begin(&connector, "https://a.example.com");
        sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        assert_eq!(call(&connector, "https://a.example.com").await, 1);
        assert_eq!(started.elapsed(), Duration::from_millis(300));
        assert!(early.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn call_connects_by_itself_where_the_early_connection_fails_or_hangs() {
        let (soon, never) = (Duration::from_millis(100), Duration::from_secs(60));
        for (takes, fails, waited) in [(soon, true, soon), (never, false, PAUSE)] {
            let connector = Early::taking().layer(Inner { takes, fails, ..Inner::default() });
            begin(&connector, "https://a.example.com");
            tokio::task::yield_now().await;
            let started = Instant::now();
            assert_eq!(call(&connector, "https://a.example.com").await, 2);
            assert_eq!(started.elapsed(), waited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn early_connection_that_nobody_takes_is_closed_after_a_pause() {
        let inner = Inner::default();
        let connector = Early::taking().layer(inner.clone());
        let early = begin(&connector, "https://a.example.com");
        sleep(PAUSE / 2).await;
        assert!(inner.last.lock().unwrap().upgrade().is_some());
        assert!(early.await.unwrap());
        assert!(inner.last.lock().unwrap().upgrade().is_none());
        assert_eq!(call(&connector, "https://a.example.com").await, 2);
    }
}
