//! Waiting and redacting: what needs no server.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn http() -> Http {
    let base = Url::parse("http://127.0.0.1:9").unwrap();
    let limits = Limits { timeout: Duration::from_secs(1), attempts: 3 };
    Http::new(Client::new(None, false).unwrap(), base, limits, Instant::now() + Duration::from_secs(5))
}

#[test]
fn what_was_sent_as_a_credential_is_redacted_in_the_form_in_which_it_was_sent() {
    let http = http();
    let key = SecretString::from("app/key+1");
    let _ = http.get(&["x"]).bearer(&SecretString::from("granted-token-1")).secret_query("key", &key);
    let _ = http.get(&["x"]).basic("project-1", &SecretString::from("hunter2!"));
    let quoted = "granted-token-1 at /x?key=app%2Fkey%2B1 and cHJvamVjdC0xOmh1bnRlcjIh";
    assert_eq!(http.redact(quoted), "[secret] at /x?key=[secret] and [secret]");
}

#[test]
fn a_wait_of_any_length_is_no_panic() {
    let http = http();
    let asked = |seconds| Failure {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Failure::new(FailureKind::RateLimited, "http_429")
    };
    assert_eq!(http.pause(&asked(1), 1), Some(Duration::from_secs(1)));
    for seconds in [6, i64::MAX as u64, u64::MAX] {
        assert_eq!(http.pause(&asked(seconds), 1), None, "{seconds}");
    }
    // A wait that the clock can count, but not to the end of the call after it.
    let counts = |wait: &Duration| Instant::now().checked_add(*wait).is_some();
    let longest = (0..63)
        .rev()
        .map(|bit| Duration::from_secs(1 << bit))
        .fold(Duration::ZERO, |longest, step| longest.checked_add(step).filter(counts).unwrap_or(longest));
    for millis in (0..1000).step_by(10) {
        let failure = Failure { retry_after: Some(longest + Duration::from_millis(millis)), ..asked(0) };
        assert_eq!(http.pause(&failure, 1), None, "{millis}");
    }
}

#[test]
fn backoff_doubles_up_to_its_longest_and_is_jittered() {
    for (attempt, longest) in [(1, 200), (2, 400), (5, 3200), (6, 5000), (u32::MAX, 5000)] {
        let waits: Vec<_> = (0..100).map(|_| backoff(attempt)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(longest)), "{attempt}: {waits:?}");
        assert!(waits.iter().max() > waits.iter().min(), "{attempt}: {waits:?}");
        assert!(waits.iter().max() > Some(&Duration::from_millis(longest / 2)), "{attempt}: {waits:?}");
    }
}

/// What becomes of the second request of a connection.
#[derive(Clone, Copy)]
enum Second {
    /// Nothing, ever.
    Silence,
    Reset,
}

/// A server that answers the first request of every connection. Returns its address, and how many connections came.
async fn server(second: Second) -> (Url, Arc<AtomicU32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(answer_once(stream, second));
        }
    });
    (base, connections)
}

async fn answer_once(mut stream: tokio::net::TcpStream, second: Second) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let _ = stream.read(&mut request).await;
    match second {
        Second::Silence => std::future::pending().await,
        Second::Reset => stream.set_zero_linger().unwrap(),
    }
}

#[tokio::test]
async fn connection_that_died_in_a_pause_costs_no_attempt_and_no_wait() {
    for (second, longest) in [(Second::Silence, 1500), (Second::Reset, 150)] {
        let (base, connections) = server(second).await;
        let limits = Limits { timeout: Duration::from_secs(10), attempts: 1 };
        let client = Client::new(None, false).unwrap();
        let http = Http::new(client, base, limits, Instant::now() + Duration::from_secs(20));
        let call =
            || http.get(&["x"]).read(|response| if response.is_success() { Ok(()) } else { Err(response.failure()) });
        call().await.unwrap();
        sleep(Duration::from_millis(1100)).await;
        let started = Instant::now();
        call().await.unwrap();
        assert!(started.elapsed() < Duration::from_millis(longest), "{:?}", started.elapsed());
        assert_eq!((connections.load(Ordering::Relaxed), http.attempts()), (2, 1));
    }
}

#[tokio::test]
async fn calls_in_flight_to_one_provider_are_bounded_and_all_are_made() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counts = (now.clone(), most.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (now, most) = counts.clone();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut request = [0; 1024];
                while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sleep(Duration::from_millis(20)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
                }
            });
        }
    });
    let limits = Limits { timeout: Duration::from_secs(10), attempts: 1 };
    let http = Http::new(Client::new(None, false).unwrap(), base, limits, Instant::now() + Duration::from_secs(20));
    let calls = (0..200).map(|_| http.get(&["x"]).read(|_| Ok(())));
    let made = futures_util::future::join_all(calls).await;
    assert!(made.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn connection_that_is_begun_early_is_used_by_calls_and_carries_nothing_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (connections, requests) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counts = (connections.clone(), requests.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (connections, requests) = counts.clone();
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut request = [0; 1024];
                while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                    requests.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
                }
            });
        }
    });
    let counted = || (connections.load(Ordering::Relaxed), requests.load(Ordering::Relaxed));
    let client = Client::new(None, false).unwrap();
    client.connect_early([base.join("/a").unwrap(), base.join("/b").unwrap()]);
    while connections.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let limits = Limits { timeout: Duration::from_secs(5), attempts: 1 };
    let http = Http::new(client, base, limits, Instant::now() + Duration::from_secs(20));
    let call = || http.get(&["x"]).read(|response| Ok(response.status()));
    assert_eq!(call().await.unwrap(), 200);
    assert_eq!(counted(), (1, 1));
    // Two at once, and then time for whatever still waits for a connection.
    assert_eq!(tokio::join!(call(), call()), (Ok(200), Ok(200)));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(counted(), (2, 3));
}
