//! Golden exchanges: what is said between offboard and each provider, one text file per case, to be held beside the
//! vendor's page. Each runs through the real engine and the real HTTP client against a strict player on loopback.
//!
//! A file `tests/golden/<kind>/<case>.http` has these parts, each begun by its line:
//!
//! | line | what follows |
//! | --- | --- |
//! | `# …` | at the top: what the case shows |
//! | `=== policy` | the configuration's `[policy]`, if it matters |
//! | `=== provider` | the keys of the provider's table that the case needs; `kind` and `base_url` are added |
//! | `=== secret` | the secret's value |
//! | `=== person` | who left: `email`, `external_id`, `former` and `former_in_use` addresses; the account ids that a release showed (`released`); whether a removal was `begun`, and whether that is all to find out (`resolve`). Begins a departure; there may be several, one after the other |
//! | `>>> METHOD TARGET` | the next request exactly: all headers but the ones that every request has, and the body |
//! | `>>> [LANE] METHOD TARGET` | the same, in an organization of its own: lanes run side by side |
//! | `<<< STATUS` | its answer |
//! | `=== outcome` | what the report says |
//!
//! `$host` stands for the player's own address, `$private_key` for the key that signs assertions (of which a request's form has the
//! claims, once the signature is verified), `$long` for 10 kB, and the line `*N from M: TEXT` for N times the text, with
//! `$n` counting from M.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

mod case;
mod fault;
mod faults;
mod play;
mod player;
mod predicates;
mod settings;
mod wire;

use case::Case;
use futures_util::{StreamExt, stream};
use offboard::providers::{KINDS, ProviderKind};
use play::World;

/// Plays all cases of a kind. Returns those that differ.
async fn differences(kind: &str) -> Vec<String> {
    let cases = Case::all_of(kind);
    let world = World::of(&cases).await;
    let played = cases.iter().map(|case| async {
        match play::whole(case, &world).await {
            Ok(()) => None,
            Err(difference) => Some(format!("── {}/{}\n{difference}", case.kind, case.name)),
        }
    });
    futures_util::future::join_all(played).await.into_iter().flatten().collect()
}

/// Plays all cases of a kind and tells all that differ.
async fn all_of(kind: &str) {
    let differences = differences(kind).await;
    assert!(differences.is_empty(), "{} cases differ\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn aerospike_cloud() {
    all_of("aerospike_cloud").await;
}

#[tokio::test]
async fn cloudflare_access() {
    all_of("cloudflare_access").await;
}

#[tokio::test]
async fn flashduty() {
    all_of("flashduty").await;
}

#[tokio::test]
async fn instaply() {
    all_of("instaply").await;
}

#[tokio::test]
async fn stytch_b2b() {
    all_of("stytch_b2b").await;
}

#[tokio::test]
async fn products_as_data() {
    let all = data_kinds_abreast(PLAYED_ABREAST, differences).await;
    assert!(all.is_empty(), "{} cases differ\n{}", all.len(), all.join("\n"));
}

/// The kinds in Rust that have an API.
fn rust_kinds() -> impl Iterator<Item = &'static ProviderKind> {
    KINDS.iter().filter(|kind| !kind.is_manual())
}

/// So many kinds at a time, in which answers are waited for.
const PLAYED_ABREAST: usize = 8;

/// What `of` says of each kind that is data, so many kinds at a time.
async fn data_kinds_abreast(abreast: usize, of: impl AsyncFn(&'static str) -> Vec<String>) -> Vec<String> {
    stream::iter(data_kinds()).map(|kind| of(kind)).buffered(abreast).concat().await
}

/// The kinds that are data.
fn data_kinds() -> impl Iterator<Item = &'static str> {
    ProviderKind::names().into_iter().filter(|name| !KINDS.iter().any(|kind| kind.name == *name))
}

#[test]
fn every_data_kind_has_golden_exchanges() {
    for kind in data_kinds() {
        assert!(Case::all_of(kind).len() >= 10, "too few golden exchanges for `{kind}`");
    }
}

#[test]
fn every_kind_in_rust_has_golden_exchanges() {
    for kind in rust_kinds() {
        assert!(Case::all_of(kind.name).len() >= 10, "too few golden exchanges for `{}`", kind.name);
    }
    let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    assert_eq!(names, KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>(), "KINDS is not sorted");
}
