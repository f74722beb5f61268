//! Key sets that are published: fetched within bounds, kept, rotated, and out of reach.

use std::{sync::Arc, time::Duration};

use axum::{http::StatusCode, response::IntoResponse};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    config::BaseUrl,
    outbound::Client,
    secrets::Freshness,
    webhook::{
        JwkSet, Refusal,
        jwt::{Jwt, JwtKeys},
        key_sets::{KeySetError, KeySets},
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::{OffsetDateTime, ext::NumericalDuration, macros::datetime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use crate::support::{Double, serve};

const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
const BODY: &[u8] = b"{}";
const ROW: &str = r#"
    header = "x-signature"
    algorithms = ["ES256", "RS256"]
    body_hash = { claim = "hash", encoding = "hex" }
"#;

fn jwt() -> Jwt {
    toml::from_str(ROW).unwrap()
}

fn private_key(name: &str) -> SecretString {
    let keys: Value = serde_json::from_str(include_str!("../data/vectors/jwt_pyjwt.json")).unwrap();
    SecretString::from(keys["keys"][name]["private_pem"].as_str().unwrap())
}

/// The document of a sender that has these keys.
fn published(names: &[&str]) -> Value {
    let key = |name: &&str| jwt().key_set(&private_key(name)).unwrap()["keys"][0].take();
    json!({ "keys": names.iter().map(key).collect::<Vec<_>>() })
}

/// A delivery that the sender signed with this key.
fn verify(signer: &str, set: Arc<JwkSet>) -> Result<(), Refusal> {
    let signed = jwt().sign(&private_key(signer), "evt-1", NOW, BODY).unwrap();
    let pair =
        |(name, value): &(String, String)| (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
    let headers = HeaderMap::from_iter(signed.headers.iter().map(pair));
    jwt().verify(&headers, &signed.body, &JwtKeys::Set(set), NOW).map(|_| ())
}

fn sets() -> KeySets {
    KeySets::new(Client::new(None, false).unwrap())
}

fn url(address: &str) -> BaseUrl {
    BaseUrl::try_from(format!("{address}/.well-known/jwks.json")).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn reason<T>(verdict: Result<T, KeySetError>) -> String {
    let text = verdict.map(|_| ()).unwrap_err().to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains("jwks"), "{text}");
    text.strip_prefix("the key set cannot be read: ").unwrap().to_owned()
}

#[tokio::test]
async fn a_set_is_fetched_once_in_ten_minutes() {
    let (double, address) = Double::start().await;
    double.then(200, published(&["p256"])).then(200, published(&["rsa"]));
    let (sets, url) = (sets(), url(&address));
    // Whoever has no time left spoils nothing for the next.
    assert_eq!(reason(sets.get(&url, NOW, Instant::now()).await), "deadline");
    for (minutes, signer, calls) in [(0, "p256", 1), (5, "p256", 1), (9, "p256", 1), (10, "rsa", 2), (19, "rsa", 2)] {
        let set = sets.get(&url, NOW + minutes.minutes(), soon()).await.unwrap();
        assert_eq!((verify(signer, set), double.calls().len()), (Ok(()), calls), "after {minutes} minutes");
    }
    let call = &double.calls()[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("GET", "/.well-known/jwks.json"));
}

#[tokio::test]
async fn whoever_comes_at_the_same_time_waits_for_the_same_fetch() {
    for (status, body) in [(200, published(&["p256"])), (404, json!({}))] {
        let (double, address) = Double::start().await;
        double.then(status, body).delay(Duration::from_millis(100));
        let (sets, url) = (sets(), url(&address));
        let verdicts = join_all((0..20).map(|_| sets.get(&url, NOW, soon()))).await;
        assert!(verdicts.iter().all(|verdict| verdict.is_ok() == (status == 200)));
        assert_eq!(double.calls().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_key_that_is_new_is_found_by_one_more_fetch_and_a_flood_of_forged_ones_causes_no_other() {
    let (double, address) = Double::start().await;
    double.then(200, published(&["p256"])).then(200, published(&["p256", "rsa"]));
    let (sets, url) = (sets(), url(&address));
    assert_eq!(verify("rsa", sets.get(&url, NOW, soon()).await.unwrap()), Err(Refusal::UnknownKey));
    let again = |seconds: i64| sets.again(&url, NOW + seconds.seconds(), soon());
    let (set, freshness) = again(1).await.unwrap();
    assert_eq!((verify("rsa", set), freshness), (Ok(()), Freshness::SinceArrival));
    for (seconds, verdict) in (0..60).zip(join_all((0..60).map(again)).await) {
        let (set, freshness) = verdict.unwrap();
        let expected = if seconds <= 1 { Freshness::SinceArrival } else { Freshness::Outdated };
        assert_eq!((verify("rsa", set), freshness), (Ok(()), expected), "{seconds}");
    }
    assert_eq!(verify("rsa", sets.get(&url, NOW + 60.seconds(), soon()).await.unwrap()), Ok(()));
    assert_eq!(double.calls().len(), 2);
    double.then(200, published(&["p256"]));
    let (set, freshness) = again(61).await.unwrap();
    assert_eq!((verify("rsa", set), freshness), (Err(Refusal::UnknownKey), Freshness::SinceArrival));
    assert_eq!(double.calls().len(), 3);
}

#[tokio::test]
async fn each_address_has_a_set_and_a_limit_of_its_own() {
    let (first, second) = (Double::start().await, Double::start().await);
    first.0.then(200, published(&["p256"]));
    second.0.then(200, published(&["rsa"])).then(200, published(&["rsa"]));
    let sets = sets();
    assert_eq!(verify("p256", sets.again(&url(&first.1), NOW, soon()).await.unwrap().0), Ok(()));
    assert_eq!(verify("rsa", sets.again(&url(&second.1), NOW, soon()).await.unwrap().0), Ok(()));
    assert_eq!(verify("rsa", sets.get(&url(&first.1), NOW, soon()).await.unwrap()), Err(Refusal::UnknownKey));
    assert_eq!((first.0.calls().len(), second.0.calls().len()), (1, 1));
}

#[tokio::test]
async fn a_good_set_stands_in_for_a_day_while_its_endpoint_is_down() {
    let (double, address) = Double::start().await;
    double.then(200, published(&["p256"]));
    let (sets, url) = (sets(), url(&address));
    let get = |after: time::Duration| sets.get(&url, NOW + after, soon());
    get(0.seconds()).await.unwrap();
    // Told nothing, the double says 501, which is attempted twice.
    assert_eq!((verify("p256", get(10.minutes()).await.unwrap()), double.calls().len()), (Ok(()), 3));
    // For ten seconds nobody tries again.
    assert_eq!((verify("p256", get(609.seconds()).await.unwrap()), double.calls().len()), (Ok(()), 3));
    assert_eq!((verify("p256", get(610.seconds()).await.unwrap()), double.calls().len()), (Ok(()), 5));
    assert_eq!(verify("p256", get(1439.minutes()).await.unwrap()), Ok(()));
    assert_eq!(reason(get(24.hours()).await), "http_501");
    double.then(200, published(&["p256"]));
    assert_eq!(verify("p256", get(25.hours()).await.unwrap()), Ok(()));
}

#[tokio::test]
async fn whether_an_unknown_key_is_good_nobody_knows_while_the_endpoint_is_down() {
    let (double, address) = Double::start().await;
    double.then(200, published(&["p256"])).then(404, json!({}));
    let (sets, url) = (sets(), url(&address));
    sets.get(&url, NOW, soon()).await.unwrap();
    assert_eq!(reason(sets.again(&url, NOW + 1.seconds(), soon()).await), "http_404");
    assert_eq!(reason(sets.again(&url, NOW + 2.seconds(), soon()).await), "http_404");
    // What was known before is still good.
    assert_eq!(verify("p256", sets.get(&url, NOW + 2.seconds(), soon()).await.unwrap()), Ok(()));
    assert_eq!(double.calls().len(), 2);
}

#[tokio::test]
async fn set_that_was_first_read_for_the_delivery_is_not_read_again_for_it() {
    let (double, address) = Double::start().await;
    double.then(200, published(&["p256"]));
    let (sets, url) = (sets(), url(&address));
    sets.get(&url, NOW, soon()).await.unwrap();
    let (set, freshness) = sets.again(&url, NOW, soon()).await.unwrap();
    assert_eq!((verify("rsa", set), freshness), (Err(Refusal::UnknownKey), Freshness::SinceArrival));
    assert_eq!(double.calls().len(), 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_make_a_set_last() {
    let (double, address) = Double::start().await;
    double.then(200, published(&["p256"])).then(200, published(&["rsa"]));
    let (sets, url) = (sets(), url(&address));
    sets.get(&url, NOW, soon()).await.unwrap();
    assert_eq!(verify("rsa", sets.get(&url, NOW - 1.hours(), soon()).await.unwrap()), Ok(()));
}

#[tokio::test]
async fn a_key_that_cannot_be_read_does_not_spoil_the_rest() {
    let (double, address) = Double::start().await;
    let mut document = published(&["p256"]);
    let good = document["keys"][0].take();
    document["keys"] = json!([
        null, 7, "key", [], {}, { "kty": "EC" }, { "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" },
        { "kty": "RSA", "n": "&&&", "e": "AQAB" }, { "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" },
        { "kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": 7 }, good,
    ]);
    document["issued"] = json!("by a sender that adds what it likes");
    double.then(200, document).then(200, json!({ "keys": [] }));
    let (sets, url) = (sets(), url(&address));
    assert_eq!(verify("p256", sets.get(&url, NOW, soon()).await.unwrap()), Ok(()));
    // A sender may take all its keys back.
    assert_eq!(verify("p256", sets.get(&url, NOW + 1.hours(), soon()).await.unwrap()), Err(Refusal::UnknownKey));
}

/// A server that gives one answer to everything, and the set that is read from it.
async fn fetched<R: IntoResponse + Clone + Send + Sync + 'static>(answer: R) -> Result<Arc<JwkSet>, KeySetError> {
    let address = serve(move |call| {
        let answer = answer.clone();
        async move {
            assert_eq!(call.path, "/.well-known/jwks.json", "a redirect is not followed");
            answer.into_response()
        }
    })
    .await;
    let started = Instant::now();
    let verdict = sets().get(&url(&address), NOW, soon()).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    verdict
}

#[tokio::test]
async fn what_is_no_key_set_is_refused() {
    let json = [("content-type", "application/json")];
    let document = published(&["p256"]).to_string();
    for body in ["", "{}", "[]", "null", "[[]]", "{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[", &document[1..]] {
        let reason = reason(fetched((json, body.to_owned())).await);
        assert_eq!(reason, "not_understood", "{body}");
    }
    let page = "<!doctype html><title>Sign in</title>";
    assert_eq!(reason(fetched(([("content-type", "text/html")], page)).await), "not_understood");
    for (status, expected) in [(500, "http_500"), (503, "http_503"), (401, "http_401"), (304, "redirect")] {
        let answer = (StatusCode::from_u16(status).unwrap(), document.clone());
        assert_eq!(reason(fetched(answer).await), expected);
    }
    let elsewhere = (StatusCode::FOUND, [("location", "/elsewhere")], document.clone());
    assert_eq!(reason(fetched(elsewhere).await), "redirect");
    let padded = |bytes: usize| format!("{document}{}", " ".repeat(bytes - document.len()));
    assert_eq!(verify("p256", fetched(padded(64 * 1024)).await.unwrap()), Ok(()));
    for bytes in [64 * 1024 + 1, 10 * 1024 * 1024] {
        assert_eq!(reason(fetched(padded(bytes)).await), "answer_too_large");
    }
}

/// Hears the beginning of a request, says this much, and no more.
async fn hangs(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            assert_ne!(stream.read(&mut [0; 16]).await.unwrap(), 0);
            stream.write_all(says.as_bytes()).await.unwrap();
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn an_endpoint_that_hangs_costs_three_seconds_and_never_the_deadline() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"keys\":[";
    let (silent, stuck) = (hangs("").await, hangs(begun).await);
    let timed = async |address: &str, allowed: Duration| {
        let started = Instant::now();
        let reason = reason(sets().get(&url(address), NOW, started + allowed).await);
        (reason, started.elapsed())
    };
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(60));
    let verdicts = tokio::join!(timed(&silent, short), timed(&stuck, short), timed(&silent, long), timed(&stuck, long));
    for ((reason, took), allowed) in [(verdicts.0, short), (verdicts.1, short), (verdicts.2, long), (verdicts.3, long)]
    {
        let bound = allowed.min(Duration::from_secs(3)) + Duration::from_millis(800);
        assert_eq!(reason, "timeout");
        assert!(took < bound, "{took:?} of {allowed:?}");
    }
    let past = reason(sets().get(&url(&silent), NOW, Instant::now()).await);
    assert_eq!(past, "deadline");
}

#[tokio::test]
async fn nobody_waits_for_anothers_fetch_beyond_its_own_deadline() {
    let (sets, address) = (sets(), hangs("").await);
    let url = url(&address);
    let started = Instant::now();
    let hasty = async {
        let verdict = sets.get(&url, NOW, started + Duration::from_millis(200)).await;
        (reason(verdict), started.elapsed())
    };
    let (_, (reason, took)) = tokio::join!(sets.get(&url, NOW, started + Duration::from_secs(2)), hasty);
    assert_eq!(reason, "deadline");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_down() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(reason(sets().get(&url(&format!("http://{closed}")), NOW, soon()).await), "no_connection");
}
