//! Waiting and redacting: what needs no server.

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
