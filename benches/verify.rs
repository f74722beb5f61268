//! What the door costs beyond the code that it cannot do without: `cargo bench --bench verify`.
//!
//! A whole [`Scheme::verify`] of a body of 100 kB, from its headers to a `Verified` that owns a copy of the body, against the
//! bare HMAC over the same bytes by the same crates. They take turns, so that whatever else the machine does hits both.
//!
//! In the profile of the release, link-time optimisation and all, because that is what runs: the first build takes minutes.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    env,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use offboard::{
    config::Config,
    secrets::Secret,
    webhook::{Keys, Scheme},
};
use secrecy::SecretString;
use serde_json::json;
use sha2::{Sha256, Sha512};
use time::{OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-01-31 18:42:00 UTC);
const KEY: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const BODY: usize = 100_000;
/// Pairs that are measured, and how often each side of a pair computes.
const PAIRS: usize = 301;
const ROUNDS: u32 = 10;
/// How many times the bare code a verification may take.
const TARGET: f64 = 1.3;

type Bare = fn(&[u8], &[u8]) -> bool;

fn main() -> ExitCode {
    if !env::args().any(|argument| argument == "--bench") {
        println!("run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    println!(
        "a body of {BODY} bytes; {PAIRS} pairs that take turns, each side the mean of {ROUNDS}; microseconds, medians;\n\
         the ratio is the median of the pairs' own, with the least and the greatest\n"
    );
    println!("{:<18} {:<7} {:>9} {:>9} {:>7} {:>7} {:>7}", "", "", "bare", "verify", "ratio", "least", "most");
    let kinds: [(&str, &str, Bare); 4] = [
        ("standard_webhooks", "SHA-256", bare::<Hmac<Sha256>>),
        ("workos", "SHA-256", bare::<Hmac<Sha256>>),
        ("github", "SHA-256", bare::<Hmac<Sha256>>),
        ("hibob", "SHA-512", bare::<Hmac<Sha512>>),
    ];
    let met = kinds.map(|(kind, hash, bare)| measured(kind, hash, bare));
    if met.iter().all(|met| *met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The code of a body, compared as a verifier does; the answer does not matter.
fn bare<M: Mac + KeyInit>(key: &[u8], body: &[u8]) -> bool {
    let Ok(code) = <M as KeyInit>::new_from_slice(key) else { return false };
    code.chain_update(body).verify_slice(&[0; 64][..M::output_size()]).is_ok()
}

/// Measures one kind; whether it meets the target.
fn measured(kind: &str, hash: &str, bare: Bare) -> bool {
    let door = Door::new(kind);
    assert!(door.verifies(), "{kind} does not take its own");
    let mut pairs: Vec<_> = (0..PAIRS)
        .map(|pair| {
            let of_bare = || timed(|| bare(black_box(KEY.as_bytes()), black_box(&door.body)));
            let of_verify = || timed(|| door.verifies());
            // Neither is always the one that finds the other's caches.
            if pair % 2 == 0 {
                let bare = of_bare();
                (bare, of_verify())
            } else {
                let verify = of_verify();
                (of_bare(), verify)
            }
        })
        .collect();
    let ratio = |(bare, verify): &(f64, f64)| verify / bare;
    pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let (least, middle, most) = (ratio(&pairs[0]), ratio(&pairs[PAIRS / 2]), ratio(&pairs[PAIRS - 1]));
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[PAIRS / 2]
    };
    let (bare, verify) =
        (median(pairs.iter().map(|pair| pair.0).collect()), median(pairs.iter().map(|pair| pair.1).collect()));
    let met = middle <= TARGET;
    let verdict = if met { "met" } else { "MISSED" };
    println!(
        "{kind:<18} {hash:<7} {bare:>9.1} {verify:>9.1} {middle:>7.3} {least:>7.3} {most:>7.3}  ≤ {TARGET} {verdict}"
    );
    met
}

/// The mean of some rounds, in microseconds.
fn timed(what: impl Fn() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(what());
    }
    Duration::as_secs_f64(&(start.elapsed() / ROUNDS)) * 1e6
}

/// A signed delivery, and who checks it.
struct Door {
    scheme: Scheme,
    keys: Keys,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Door {
    fn new(kind: &str) -> Self {
        let text = format!("[sources.s]\nkind = \"{kind}\"\n[providers.instaply]\nkind = \"instaply\"\n");
        let config = Config::parse(&text, None).unwrap_or_else(|faults| panic!("{faults}"));
        let scheme = config.sources["s"].scheme.clone();
        let secret = Secret::parse("s", &json!({ "signing_secret": KEY }).to_string()).expect("a secret");
        let keys = scheme.keys(&secret).expect("a key");
        let body: Vec<u8> = (0..BODY).map(|at| b'a' + (at % 26) as u8).collect();
        let signed = scheme.sign(&SecretString::from(KEY), "evt_1", NOW, &body).expect("a signature");
        let name = |text: &str| HeaderName::try_from(text).expect("a header's name");
        let value = |text: &str| HeaderValue::try_from(text).expect("a header's value");
        // A delivery has a dozen others, which come along.
        let usual =
            ["host", "user-agent", "accept", "content-type", "content-length", "x-forwarded-for", "x-amzn-trace-id"];
        let mut headers: HeaderMap = usual.iter().map(|text| (name(text), value("as it is sent"))).collect();
        headers.extend(signed.headers.iter().map(|(text, signature)| (name(text), value(signature))));
        Self { scheme, keys, headers, body }
    }

    fn verifies(&self) -> bool {
        let verified = self.scheme.verify(black_box(&self.headers), black_box(&self.body), &self.keys, NOW);
        black_box(verified).is_ok()
    }
}
