//! The HTTP client of the AWS SDK: the library that also calls the providers, so that the function carries and sets up one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
        http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore, pki_types::TrustAnchor};
use webpki_roots::TLS_SERVER_ROOTS;

use crate::tls;

/// The roots of Amazon Trust Services, <https://www.amazontrust.com/repository/>, by the end of their subject: every AWS
/// endpoint chains to one of them, and nothing else is trusted for AWS.
const AMAZON_ROOTS: [&str; 5] = [
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
];

/// Returns a client that trusts the roots of Amazon Trust Services, and the authorities in `extra_ca` (PEM).
///
/// # Errors
/// If `extra_ca` holds no usable certificate.
pub fn http_client(extra_ca: Option<&[u8]>) -> Result<SharedHttpClient, String> {
    let tls = tls::config(amazon_roots(), extra_ca)?;
    let connectors: Mutex<Vec<Arc<Connector>>> = Mutex::default();
    Ok(http_client_fn(move |settings, _| {
        // All clients of a process have the same time-outs, except those that look for credentials.
        let mut connectors = connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = connectors.iter().find(|connector| connector.timeouts == Timeouts::of(settings));
        let connector = known.cloned().unwrap_or_else(|| {
            let new = Arc::new(Connector::new(tls.clone(), Timeouts::of(settings)));
            connectors.push(new.clone());
            new
        });
        SharedHttpConnector::new(Shared(connector))
    }))
}

fn amazon_roots() -> RootCertStore {
    let is_amazons = |root: &&TrustAnchor<'_>| AMAZON_ROOTS.iter().any(|name| root.subject.ends_with(name.as_bytes()));
    RootCertStore { roots: TLS_SERVER_ROOTS.iter().filter(is_amazons).cloned().collect() }
}

/// How long connecting may take, and waiting for an answer, where that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timeouts {
    connect: Option<Duration>,
    read: Option<Duration>,
}

impl Timeouts {
    fn of(settings: &HttpConnectorSettings) -> Self {
        Self { connect: settings.connect_timeout(), read: settings.read_timeout() }
    }
}

/// Connections of the SDK's clients with the same time-outs.
#[derive(Debug)]
struct Connector {
    tls: ClientConfig,
    timeouts: Timeouts,
    http: Mutex<reqwest::Result<reqwest::Client>>,
}

#[derive(Debug)]
struct Shared(Arc<Connector>);

impl Connector {
    fn new(tls: ClientConfig, timeouts: Timeouts) -> Self {
        let http = Mutex::new(build(&tls, timeouts));
        Self { tls, timeouts, http }
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        // No call of ours sends a stream.
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let request = reqwest::Request::try_from(request).map_err(failure)?;
        let http = match &*self.lock() {
            Ok(http) => http.clone(),
            Err(error) => return Err(ConnectorError::user(error.to_string().into())),
        };
        let mut response = http.execute(request).await.map_err(failure)?;
        if response.status().is_server_error() {
            // Another attempt may reach another machine, and does so over another connection.
            *self.lock() = build(&self.tls, self.timeouts);
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut answer = http::Response::new(response.bytes().await.map_err(failure)?.into());
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
    }

    fn lock(&self) -> MutexGuard<'_, reqwest::Result<reqwest::Client>> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpConnector for Shared {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.0.clone();
        HttpConnectorFuture::new(async move { connector.call(request).await })
    }
}

fn build(tls: &ClientConfig, timeouts: Timeouts) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy();
    let builder = timeouts.connect.into_iter().fold(builder, reqwest::ClientBuilder::connect_timeout);
    timeouts.read.into_iter().fold(builder, reqwest::ClientBuilder::read_timeout).build()
}

/// Tells the SDK what failed: by that it decides whether another attempt may help.
fn failure(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, is_ours) = (error.is_timeout(), error.is_builder());
    let error = error.without_url().into();
    match () {
        () if is_timeout => ConnectorError::timeout(error),
        () if is_ours => ConnectorError::user(error),
        () => ConnectorError::io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;

    const NO_BOUND: Timeouts = Timeouts { connect: None, read: None };

    /// Answers requests with these statuses, in turn, and never after the last. Reports each connection.
    async fn serve(statuses: &'static [u16]) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (connected, connections)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
        let left = Arc::new(Mutex::new(statuses.iter()));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connected.send(()).unwrap();
                let left = left.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.unwrap() > 0 {
                        let Some(status) = left.lock().unwrap().next() else { continue };
                        let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 2\r\nx-name: value\r\n\r\n{{}}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (address, connections)
    }

    fn connector(timeouts: Timeouts) -> Connector {
        Connector::new(tls::config(amazon_roots(), None).unwrap(), timeouts)
    }

    fn get(address: SocketAddr) -> HttpRequest {
        HttpRequest::get(format!("http://{address}/")).unwrap()
    }

    #[tokio::test]
    async fn connection_is_used_again_but_not_after_a_server_error() {
        let (address, mut connections) = serve(&[200, 400, 503, 200]).await;
        let connector = connector(NO_BOUND);
        for (status, connected) in [(200, 1), (400, 0), (503, 0), (200, 1)] {
            let answer = connector.call(get(address)).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers().get("x-name")), (status, Some("value")));
            assert_eq!(answer.body().bytes(), Some(b"{}".as_slice()));
            let made = std::iter::from_fn(|| connections.try_recv().ok()).count();
            assert_eq!(made, connected, "{status}");
        }
    }

    #[tokio::test]
    async fn refused_connection_and_missing_answer_are_what_the_sdk_tries_again() {
        let (address, _connections) = serve(&[]).await;
        let soon = Timeouts { read: Some(Duration::from_millis(50)), ..NO_BOUND };
        assert!(connector(soon).call(get(address)).await.unwrap_err().is_timeout());
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let refused = connector(NO_BOUND).call(get(closed)).await.unwrap_err();
        assert!(refused.is_io(), "{refused:?}");
    }

    #[test]
    fn each_root_of_amazon_is_trusted_and_no_other() {
        assert_eq!(amazon_roots().len(), AMAZON_ROOTS.len());
        for name in AMAZON_ROOTS {
            let of_name = |root: &&TrustAnchor<'_>| root.subject.ends_with(name.as_bytes());
            assert_eq!(amazon_roots().roots.iter().filter(of_name).count(), 1, "{name}");
        }
    }
}
