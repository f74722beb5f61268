//! A blocking HTTP/1.1 server: a port and a thread per host, a thread per connection. Threads that sleep are the cheapest
//! way to be exact: hosts that share a thread would wait for each other, and the contestant would be charged for it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned, server::ServerSessionMemoryCache};
use socket2::SockRef;

use crate::options::Stale;

/// The largest request that is read.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What a host answers with.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request. Whatever is not known in every part is 501.
    fn answer(&self, request: Request) -> Response;
}

/// One request, read to its end.
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// How a host behaves.
#[derive(Clone, Default)]
pub(crate) struct Behavior {
    /// Speaks TLS with this certificate.
    pub(crate) tls: Option<ServerConfig>,
    /// From the first byte of a request to the first byte of its response.
    pub(crate) call: Duration,
    /// Before a new connection is served, as if the network took this long to set it up.
    pub(crate) setup: Duration,
    /// How connections are dropped between deliveries.
    pub(crate) stale: Option<Stale>,
}

/// What happened at a host since it was last asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) connections: u32,
    /// Full TLS handshakes.
    pub(crate) handshakes: u32,
    /// TLS handshakes that resumed a session.
    pub(crate) resumptions: u32,
    /// Requests that were answered, from the first byte read to just before the first byte written.
    pub(crate) busy: Vec<(Instant, Instant)>,
    /// Requests that were not understood.
    pub(crate) unknown: Vec<String>,
}

impl Traffic {
    /// How long its answers took in all.
    pub(crate) fn busy(&self) -> Duration {
        self.busy.iter().map(|(start, end)| *end - *start).sum()
    }
}

/// A host that listens on a port of loopback until the process ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Arc<dyn Handler>,
    behavior: Behavior,
    tls: Option<Arc<ServerConfig>>,
    traffic: Mutex<Traffic>,
    calls: AtomicU64,
    /// Connections of an earlier generation are no longer answered.
    generation: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub(crate) fn start(handler: Arc<dyn Handler>, behavior: Behavior) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        // A burst of connections must not meet a full backlog: the client would wait a second before it tries again.
        SockRef::from(&listener).listen(4096)?;
        let port = listener.local_addr()?.port();
        // Its own sessions: all hosts have one name here, and a client may offer one host the session of another.
        let tls = behavior.tls.clone().map(|mut tls| {
            tls.session_storage = ServerSessionMemoryCache::new(256);
            Arc::new(tls)
        });
        let shared = Arc::new(Shared {
            handler,
            behavior,
            tls,
            traffic: Mutex::default(),
            calls: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                let connection = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                    // A client that goes away is no error here: the driver counts what was answered.
                    let _ = shared.serve(stream);
                });
                drop(connection);
            }
        });
        Ok(Self { port, shared })
    }

    /// Returns what happened since the last call of this.
    pub(crate) fn take_traffic(&self) -> Traffic {
        std::mem::take(&mut *lock(&self.shared.traffic))
    }

    /// Drops every open connection in the configured way. The client does not learn of a silent one.
    pub(crate) fn drop_connections(&self) {
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        for stream in lock(&self.shared.open).drain(..) {
            let dropped = match self.shared.behavior.stale {
                // Wakes the thread that reads; its close sends RST, because of the linger time.
                Some(Stale::Reset) => SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .and_then(|()| stream.shutdown(Shutdown::Read)),
                Some(Stale::Closed) => stream.shutdown(Shutdown::Both),
                Some(Stale::Silent) | None => Ok(()),
            };
            // A connection that the client has closed already.
            let _ = dropped;
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let generation = self.generation.load(Ordering::SeqCst);
        lock(&self.traffic).connections += 1;
        if self.behavior.stale.is_some() {
            lock(&self.open).push(stream.try_clone()?);
        }
        if !self.behavior.setup.is_zero() {
            thread::sleep(self.behavior.setup);
        }
        let Some(tls) = &self.tls else { return self.converse(stream, generation) };
        let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        match stream.conn.handshake_kind() {
            Some(HandshakeKind::Resumed) => lock(&self.traffic).resumptions += 1,
            _ => lock(&self.traffic).handshakes += 1,
        }
        self.converse(stream, generation)
    }

    /// Answers a connection's requests until it ends.
    fn converse(&self, stream: impl Read + Write, generation: u64) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(16 * 1024, stream);
        loop {
            if reader.fill_buf()?.is_empty() {
                return Ok(());
            }
            let start = Instant::now();
            let request = self.read(&mut reader)?;
            if self.generation.load(Ordering::SeqCst) != generation {
                // The network has lost this connection: nothing comes back.
                io::copy(&mut reader, &mut io::sink())?;
                return Ok(());
            }
            let what = format!("{} {}", request.method, request.uri.path());
            let response = self.handler.answer(request);
            if response.status == 501 {
                lock(&self.traffic).unknown.push(format!("{what}: {}", response.body));
            }
            let bytes = response.bytes();
            thread::sleep((start + self.behavior.call).saturating_duration_since(Instant::now()));
            lock(&self.traffic).busy.push((start, Instant::now()));
            reader.get_mut().write_all(&bytes)?;
            reader.get_mut().flush()?;
        }
    }

    fn read(&self, reader: &mut impl BufRead) -> io::Result<Request> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(invalid("request line")) };
        let method = method.parse().map_err(|_| invalid("method"))?;
        let uri = target.parse().map_err(|_| invalid("target"))?;
        let mut headers = HeaderMap::with_capacity(16);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            let name: HeaderName = name.parse().map_err(|_| invalid("header"))?;
            headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| invalid("header"))?);
        }
        let mut body = Vec::new();
        if headers.get("transfer-encoding").is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            read_chunks(reader, &mut body)?;
        } else if let Some(length) = headers.get("content-length") {
            let length: u64 =
                length.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| invalid("length"))?;
            if reader.take(length.min(LARGEST)).read_to_end(&mut body)? as u64 != length {
                return Err(invalid("body"));
            }
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Request { number, method, uri, headers, body: body.into() })
    }
}

/// Reads a body in chunks: RFC 9112, section 7.1. Trailers are not kept.
fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?.min(LARGEST);
        reader.by_ref().take(size).read_to_end(body)?;
        line.clear();
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(());
        }
    }
}

impl Response {
    pub(crate) fn json(status: u16, body: String) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        let mut push = |text: &str| bytes.extend_from_slice(text.as_bytes());
        push(&format!("HTTP/1.1 {} -\r\n", self.status));
        for (name, value) in &self.headers {
            push(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            push(&format!("content-length: {}\r\n", self.body.len()));
        }
        push("\r\n");
        push(&self.body);
        bytes
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Handler for Echo {
        fn answer(&self, request: Request) -> Response {
            Response::json(200, String::from_utf8_lossy(&request.body).into_owned())
        }
    }

    fn server(stale: Option<Stale>) -> Server {
        Server::start(Arc::new(Echo), Behavior { stale, call: Duration::from_millis(5), ..Behavior::default() })
            .unwrap()
    }

    fn ask(stream: &mut TcpStream, request: &str) -> io::Result<String> {
        stream.write_all(request.as_bytes())?;
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    const PLAIN: &str = "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

    #[test]
    fn calls_of_one_connection_are_counted_with_their_time() {
        let server = server(None);
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        for request in [PLAIN, CHUNKED] {
            assert!(ask(&mut stream, request).unwrap().ends_with("\r\n\r\nhello"), "{request}");
        }
        let traffic = server.take_traffic();
        assert_eq!((traffic.connections, traffic.busy.len()), (1, 2));
        assert!(traffic.busy() >= Duration::from_millis(10), "{:?}", traffic.busy());
        assert_eq!(server.take_traffic().busy.len(), 0);
    }

    #[test]
    fn dropped_connection_is_silent_reset_or_closed() {
        for stale in [Stale::Silent, Stale::Reset, Stale::Closed] {
            let server = server(Some(stale));
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            ask(&mut stream, PLAIN).unwrap();
            server.drop_connections();
            let seen = stream.read(&mut [0; 16]).map_err(|error| error.kind());
            let expected = match stale {
                Stale::Silent => Err(io::ErrorKind::WouldBlock),
                Stale::Reset => Err(io::ErrorKind::ConnectionReset),
                Stale::Closed => Ok(0),
            };
            assert_eq!(seen, expected, "{stale:?}");
            if stale == Stale::Silent {
                let seen = ask(&mut stream, PLAIN).map_err(|error| error.kind());
                assert_eq!(seen, Err(io::ErrorKind::WouldBlock), "the request is not answered");
            }
        }
    }
}
