//! HTTP/1.1 on hyper's connections: one pool for each host, nothing else.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{net::TcpStream, sync::Semaphore};
use tokio_rustls::TlsConnector;

/// Connections to one host at once.
const CONNECTIONS: usize = 32;

/// What TLS trusts.
pub(crate) type Tls = Arc<ClientConfig>;

/// Trusts one authority.
pub(crate) fn tls(authority: &Path) -> Result<Tls> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(authority)?) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

type Connection = SendRequest<Full<Bytes>>;

/// A host and the connections to it that are idle.
pub(crate) struct Host {
    address: String,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

/// An answer, and the connection that it comes on.
pub(crate) struct Answer<'a> {
    response: Response<Incoming>,
    connection: Connection,
    host: &'a Host,
}

impl Host {
    pub(crate) fn new(url: &str, tls: Option<&Tls>) -> Result<Self> {
        let (scheme, address) = url.split_once("://").with_context(|| format!("{url} is no URL"))?;
        let tls = (scheme == "https").then(|| tls.context("no authority for TLS")).transpose()?;
        let tls = tls.map(|config| TlsConnector::from(Arc::clone(config)));
        let permits = Semaphore::new(CONNECTIONS);
        Ok(Self { address: address.to_owned(), tls, idle: Mutex::default(), permits })
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer<'_>> {
        self.send("GET", path, headers, String::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer<'_>> {
        let _permit = self.permits.acquire().await?;
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        Ok(Answer { response, connection, host: self })
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return open(TokioIo::new(stream)).await };
        let name = self.address.split(':').next().unwrap_or_default().to_owned();
        let stream = tls.connect(ServerName::try_from(name)?, stream).await?;
        open(TokioIo::new(stream)).await
    }
}

async fn open<I>(io: I) -> Result<Connection>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (connection, driver) = handshake(io).await?;
    tokio::spawn(driver);
    Ok(connection)
}

impl Answer<'_> {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Reads the answer to its end, and gives the connection back.
    pub(crate) async fn whole(self) -> Result<(HeaderMap, Bytes)> {
        let (parts, body) = self.response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        self.host.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
        Ok((parts.headers, bytes))
    }

    /// Reads a good answer's JSON.
    pub(crate) async fn json(self) -> Result<Value> {
        let status = self.status();
        let (_, bytes) = self.whole().await?;
        ensure!(status.is_success(), "status {status}");
        Ok(serde_json::from_slice(&bytes)?)
    }
}
