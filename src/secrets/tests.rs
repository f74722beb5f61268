//! [`Secrets`] over the real client, with a store in memory and tokio's paused clock.

use std::sync::{Mutex as Lock, MutexGuard, PoisonError};

use aws_sdk_secretsmanager::config::{Credentials, Region};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use super::*;

const HR: &str = "offboard/sources/hr";
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The paused clock stands still: what comes later must be made later.
const TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// `refused` holds error codes by secret.
#[derive(Debug, Default)]
struct State {
    current: HashMap<String, String>,
    previous: HashMap<String, String>,
    refused: HashMap<String, &'static str>,
    down: bool,
    delay: Duration,
    reads: Vec<String>,
}

/// Secrets Manager in memory.
#[derive(Clone, Debug, Default)]
struct Store(Arc<Lock<State>>);

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: &str, key: &str) {
        let mut state = self.state();
        let value = json!({ "signing_secret": key }).to_string();
        if let Some(old) = state.current.insert(name.to_owned(), value) {
            state.previous.insert(name.to_owned(), old);
        }
    }

    fn secrets(&self, names: &[&str]) -> Secrets {
        let connector = SharedHttpConnector::new(self.clone());
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(crate::aws::behavior())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(aws_sdk_secretsmanager::config::retry::RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        Secrets::new(Client::from_conf(config), names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn reads(&self) -> Vec<String> {
        std::mem::take(&mut self.state().reads)
    }

    fn answer(&self, action: &str, asked: &Value) -> (u16, Value) {
        let mut state = self.state();
        let name = asked["SecretId"].as_str().unwrap_or_default().to_owned();
        let stage = asked["VersionStage"].as_str().unwrap_or_default().to_owned();
        state.reads.push(if name.is_empty() { "batch".to_owned() } else { format!("{name} {stage}") });
        if state.down {
            return (500, json!({ "__type": "InternalServiceError" }));
        }
        if action == "secretsmanager.BatchGetSecretValue" {
            let (mut values, mut errors) = (Vec::new(), Vec::new());
            for id in asked["SecretIdList"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()) {
                match (state.refused.get(id), state.current.get(id)) {
                    (Some(code), _) => errors.push(json!({ "SecretId": id, "ErrorCode": code })),
                    (None, Some(value)) => values.push(json!({ "Name": id, "SecretString": value })),
                    (None, None) => errors.push(json!({ "SecretId": id, "ErrorCode": "ResourceNotFoundException" })),
                }
            }
            return (200, json!({ "SecretValues": values, "Errors": errors }));
        }
        let shelf = if stage == "AWSPREVIOUS" { &state.previous } else { &state.current };
        match (state.refused.get(&name), shelf.get(&name)) {
            (Some(code), _) => (400, json!({ "__type": code })),
            (None, Some(value)) => (200, json!({ "Name": name, "SecretString": value })),
            (None, None) => (400, json!({ "__type": "ResourceNotFoundException" })),
        }
    }
}

impl HttpConnector for Store {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let action = request.headers().get("x-amz-target").unwrap().to_owned();
        let (this, delay) = (self.clone(), self.state().delay);
        HttpConnectorFuture::new(async move {
            sleep(delay).await;
            let (status, body) = this.answer(&action, &asked);
            Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), body.to_string().into()))
        })
    }
}

fn key(secret: &Secret) -> String {
    secret.texts("signing_secret", "signing_secrets").remove(0).text.unwrap().expose_secret().to_owned()
}

async fn held(secrets: &Secrets) -> Result<String, SecretStoreError> {
    secrets.get(HR).await.map(|lookup| lookup.map_or_else(|error| error.reason().to_owned(), |secret| key(&secret)))
}

fn down() -> Result<String, SecretStoreError> {
    Err(SecretStoreError { code: "InternalServiceError".to_owned() })
}

/// Current and previous key of a second look for a delivery that arrives now.
async fn look(secrets: &Secrets) -> (Option<String>, Option<String>, Freshness) {
    let arrived = Instant::now();
    let held = secrets.get(HR).await.unwrap();
    let others = secrets.other_versions(HR, &held, arrived).await;
    (others.current.as_deref().map(key), others.previous.as_deref().map(key), others.freshness)
}

#[tokio::test(start_paused = true)]
async fn secret_while_the_store_is_down_keeps_its_value_for_a_day() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    assert_eq!(held(&secrets).await, Ok("one".to_owned()));
    store.state().down = true;
    for after in [5 * MINUTE, HOUR, 22 * HOUR] {
        advance(after).await;
        assert_eq!(held(&secrets).await, Ok("one".to_owned()), "{after:?}");
    }
    advance(2 * HOUR).await;
    assert_eq!(held(&secrets).await, down());
    store.state().down = false;
    advance(TICK).await;
    assert_eq!(held(&secrets).await, Ok("one".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn day_of_a_kept_value_counts_from_its_last_successful_read() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    held(&secrets).await.unwrap();
    advance(20 * HOUR).await;
    held(&secrets).await.unwrap();
    store.state().down = true;
    advance(20 * HOUR).await;
    assert_eq!(held(&secrets).await, Ok("one".to_owned()));
    advance(5 * HOUR).await;
    assert_eq!(held(&secrets).await, down());
}

#[tokio::test(start_paused = true)]
async fn error_about_one_secret_replaces_its_value_only_if_it_does_not_exist() {
    for (code, expected) in [
        ("AccessDeniedException", "one"),
        ("DecryptionFailure", "one"),
        ("InternalServiceError", "one"),
        ("ResourceNotFoundException", "secret_not_found"),
    ] {
        let store = Store::default();
        store.put(HR, "one");
        store.put("other", "two");
        let secrets = store.secrets(&[HR, "other"]);
        held(&secrets).await.unwrap();
        store.state().refused.insert(HR.to_owned(), code);
        store.put("other", "three");
        advance(5 * MINUTE).await;
        assert_eq!(held(&secrets).await, Ok(expected.to_owned()), "{code}");
        assert_eq!(key(&secrets.get("other").await.unwrap().unwrap()), "three", "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn value_that_is_no_object_does_not_replace_a_good_one() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    held(&secrets).await.unwrap();
    store.state().current.insert(HR.to_owned(), "{".to_owned());
    advance(5 * MINUTE).await;
    assert_eq!(held(&secrets).await, Ok("one".to_owned()));
    assert_eq!(look(&secrets).await, (None, None, Freshness::Outdated));
}

#[tokio::test(start_paused = true)]
async fn store_that_hangs_delays_a_kept_value_by_three_seconds_and_once_in_ten() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    held(&secrets).await.unwrap();
    store.state().delay = HOUR;
    advance(5 * MINUTE).await;
    let started = Instant::now();
    for held in join_all((0..20).map(|_| held(&secrets))).await {
        assert_eq!(held, Ok("one".to_owned()));
    }
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(held(&secrets).await, Ok("one".to_owned()));
    assert_eq!(started.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn concurrent_deliveries_share_one_batch_read_also_if_it_fails() {
    for is_down in [false, true] {
        let store = Store::default();
        store.put(HR, "one");
        let secrets = store.secrets(&[HR]);
        store.state().down = is_down;
        store.state().delay = Duration::from_millis(100);
        for held in join_all((0..20).map(|_| held(&secrets))).await {
            assert_eq!(held, if is_down { down() } else { Ok("one".to_owned()) });
        }
        assert_eq!(store.reads(), ["batch"]);
        // Without a value, the next delivery asks again at once.
        store.state().down = false;
        advance(TICK).await;
        assert_eq!(held(&secrets).await, Ok("one".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn second_look_within_a_minute_of_another_is_outdated_and_reads_nothing() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    assert_eq!(look(&secrets).await, (None, None, Freshness::SinceArrival));
    store.put(HR, "two");
    store.reads();
    advance(Duration::from_secs(30)).await;
    for _ in 0..100 {
        assert_eq!(look(&secrets).await, (None, None, Freshness::Outdated));
    }
    assert_eq!(store.reads(), Vec::<String>::new());
    advance(Duration::from_secs(30)).await;
    let (one, two) = (Some("one".to_owned()), Some("two".to_owned()));
    assert_eq!(look(&secrets).await, (two, one.clone(), Freshness::SinceArrival));
    advance(TICK).await;
    assert_eq!(look(&secrets).await, (None, one, Freshness::Outdated));
}

#[tokio::test(start_paused = true)]
async fn concurrent_second_looks_read_once_and_serve_all_that_came_before() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    held(&secrets).await.unwrap();
    store.state().delay = Duration::from_millis(100);
    store.reads();
    let late = async {
        sleep(Duration::from_millis(50)).await;
        look(&secrets).await
    };
    let (looks, late) = tokio::join!(join_all((0..20).map(|_| look(&secrets))), late);
    assert!(looks.iter().all(|look| look.2 == Freshness::SinceArrival), "{looks:?}");
    // Its key may be newer than what the look that was under way had read.
    assert_eq!(late.2, Freshness::Outdated);
    assert_eq!(store.reads().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn second_look_that_fails_is_outdated_and_keeps_both_versions() {
    let store = Store::default();
    store.put(HR, "one");
    store.put(HR, "two");
    let secrets = store.secrets(&[HR]);
    let one = Some("one".to_owned());
    assert_eq!(look(&secrets).await, (None, one.clone(), Freshness::SinceArrival));
    store.state().down = true;
    advance(20 * HOUR).await;
    assert_eq!(look(&secrets).await, (None, one.clone(), Freshness::Outdated));
    store.reads();
    advance(TICK).await;
    assert_eq!(look(&secrets).await, (None, one, Freshness::Outdated));
    assert_eq!(store.reads(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn second_look_that_is_given_up_counts() {
    let store = Store::default();
    store.put(HR, "one");
    let secrets = store.secrets(&[HR]);
    held(&secrets).await.unwrap();
    store.state().delay = Duration::from_secs(5);
    store.reads();
    assert!(timeout(Duration::from_secs(1), look(&secrets)).await.is_err());
    assert_eq!(look(&secrets).await, (None, None, Freshness::Outdated));
    assert_eq!(store.reads(), Vec::<String>::new());
}

#[test]
fn secret_is_redacted_in_every_form_in_which_a_vendor_may_quote_it() {
    let value = "S3cret/token+x=\"q\"&end";
    let text = format!(
        "plain {value}, in JSON S3cret/token+x=\\\"q\\\"&end, in a form S3cret%2Ftoken%2Bx%3D%22q%22%26end, in base64 \
                        UzNjcmV0L3Rva2VuK3g9InEiJmVuZA=="
    );
    let secret = Secret::parse("s", &serde_json::json!({ "token": value }).to_string()).unwrap();
    assert_eq!(secret.redact(&text), "plain [secret], in JSON [secret], in a form [secret], in base64 [secret]");
}
