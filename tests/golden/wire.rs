//! What a hostile or broken server can do on the wire, to every kind alike; and two departures at once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use offboard::outcome::{AccountResult, FailureKind, Outcome, ProviderResult};
use tokio::time::Instant;

use crate::{
    case::{Answer, Case, Exchange, Request},
    play::{Stage, World, leaks},
    player::{Player, Server},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// The clean deletion of every kind, with one of its answers changed by `change`: what each comes to, and what was asked.
async fn changed(keys: &str, change: impl Fn(&Exchange) -> Answer) -> Vec<(String, AccountResult, Vec<Request>)> {
    let cases: Vec<_> = crate::rust_kinds().map(|kind| Case::named(kind.name, "deleted")).collect();
    let world = World::of(&cases).await;
    let mut ends = Vec::new();
    for case in &cases {
        for at in 0..case.runs[0].exchanges.len() {
            let player = Player::start().await;
            let stage = Stage::new(case, &world, &player, keys);
            let mut exchanges = case.runs[0].exchanges.clone();
            exchanges[at].answer = change(&exchanges[at]);
            player.load(&exchanges);
            let entry = stage.run(&case.runs[0], &world, PATIENCE).await;
            assert_eq!((player.complaints(), leaks(&entry)), (Vec::new(), None), "{} answer {at}", case.kind);
            ends.push((format!("{} answer {at}", case.kind), failed_look(entry), player.played()));
        }
    }
    ends
}

/// The finding, with that of a failed second look spelt out like a first one.
fn failed_look(entry: ProviderResult) -> AccountResult {
    let ProviderResult { worst: mut finding, .. } = entry;
    if finding.outcome == Outcome::Unconfirmed && finding.reason.as_deref() == Some("proof_failed") {
        let detail = finding.detail.take().unwrap_or_default();
        finding.reason = detail.strip_prefix("the second look failed: ").map(str::to_owned);
    }
    finding
}

#[tokio::test]
async fn oversized_answer_is_not_read() {
    let padded = |exchange: &Exchange| match &exchange.answer {
        Answer::Http { headers, body, .. } => {
            let body = format!("{body}{}", " ".repeat(17 * 1024 * 1024));
            Answer::Http { status: 200, headers: headers.clone(), body }
        }
        other => other.clone(),
    };
    for (step, finding, _) in changed("", padded).await {
        assert_eq!(finding.reason.as_deref(), Some("answer_too_large"), "{step}");
        assert!(matches!(finding.outcome, Outcome::Rejected | Outcome::Unconfirmed), "{step}: {}", finding.outcome);
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_left() {
    let stalled = |exchange: &Exchange| match &exchange.answer {
        Answer::Http { body, .. } => Answer::Stalled { body: body.clone() },
        other => other.clone(),
    };
    let started = Instant::now();
    for (step, finding, _) in changed("attempts = 1\ntimeout = \"150ms\"", stalled).await {
        assert_eq!(finding.reason.as_deref(), Some("timeout"), "{step}");
        assert!(matches!(finding.outcome, Outcome::Unavailable | Outcome::Unconfirmed), "{step}: {}", finding.outcome);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let called = Arc::new(Mutex::new(Vec::new()));
    let heard = called.clone();
    let elsewhere = Server::start(move |request| {
        heard.lock().unwrap().push(request);
        Answer::Http { status: 200, headers: Vec::new(), body: "{}".to_owned() }
    })
    .await;
    for status in [301, 302, 303, 307, 308] {
        let location = ("Location".to_owned(), format!("http://{}/taken", elsewhere.address));
        let redirect = |_: &Exchange| Answer::Http { status, headers: vec![location.clone()], body: String::new() };
        for (step, finding, _) in changed("", redirect).await {
            assert_eq!(finding.reason.as_deref(), Some("redirect"), "{step}, {status}");
            assert!(matches!(finding.outcome, Outcome::Rejected | Outcome::Unconfirmed), "{step}: {}", finding.outcome);
        }
    }
    assert_eq!(*called.lock().unwrap(), Vec::new(), "somebody else was called");
}

#[tokio::test]
async fn an_error_page_says_no_more_than_its_status() {
    for status in [400, 401, 402, 403, 404, 405, 409, 410, 418, 429, 500, 502, 503, 504, 520] {
        let page = |_: &Exchange| Answer::Http {
            status,
            headers: vec![("content-type".to_owned(), "text/html".to_owned())],
            body: "<html><body>User not found in organization: not_found member_not_found</body></html>".to_owned(),
        };
        for (step, finding, _) in changed("attempts = 1", page).await {
            assert_eq!(finding.reason, Some(format!("http_{status}")), "{step}");
            // An owner at Aerospike Cloud, as far as a page can tell.
            let owner = step == "aerospike_cloud answer 2" && matches!(status, 400 | 403);
            let expected = if owner { Outcome::Blocked } else { FailureKind::of_status(status).outcome() };
            assert!([expected, Outcome::Unconfirmed].contains(&finding.outcome), "{step}: {}", finding.outcome);
        }
    }
}

/// What a status alone is taken for, by ranges.
#[test]
fn verdict_for_every_status() {
    let mut ranges: Vec<(u16, u16, FailureKind)> = Vec::new();
    for status in 100..=599 {
        let verdict = FailureKind::of_status(status);
        match ranges.last_mut() {
            Some((_, last, known)) if *known == verdict => *last = status,
            _ => ranges.push((status, status, verdict)),
        }
    }
    let line = |&(first, last, verdict): &(u16, u16, FailureKind)| {
        let again = if verdict.is_transient() { ", attempted again" } else { "" };
        format!("{first}-{last} {verdict:?}{again}")
    };
    insta::assert_snapshot!(ranges.iter().map(line).collect::<Vec<_>>().join("\n"));
}

/// Two departures that need a token at once share one: a second fetch would not be in the script.
#[tokio::test]
async fn one_token_is_fetched_for_two_departures() {
    let case = Case::named("aerospike_cloud", "token_kept");
    let world = World::of(std::slice::from_ref(&case)).await;
    let player = Player::start().await;
    let stage = Stage::new(&case, &world, &player, "");
    let (token, nobody) = (&case.runs[0].exchanges[0], &case.runs[1]);
    let in_lane = |lane: &str| {
        let exchanges = nobody.exchanges.iter().cloned();
        exchanges.map(|exchange| Exchange { lane: lane.to_owned(), ..exchange }).collect::<Vec<_>>()
    };
    player.load(std::slice::from_ref(token));
    player.load(&in_lane("one"));
    player.load(&in_lane("two"));
    let (one, two) = tokio::join!(stage.run(nobody, &world, PATIENCE), stage.run(nobody, &world, PATIENCE));
    assert_eq!((player.complaints(), player.left()), (Vec::new(), Vec::new()));
    assert_eq!([one.worst.outcome, two.worst.outcome], [Outcome::AlreadyAbsent; 2]);
}
