//! A layoff: thousands of departures that were held by the safeguard are released by one command, and meet the providers' rate
//! limits. The real flow, judgement, ledger and turns over a store in memory, with a clock that passes by itself.
//!
//! `OFFBOARD_STORM=10000 cargo test --profile sim --test storm -- --nocapture` tries a grid of settings and prints a table;
//! `OFFBOARD_STORM_LINES=FILE` also writes how many departures were done at which time, for `plot`.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

mod cost;
mod function;
mod limit;
mod product;
mod run;
mod store;

use std::fmt::Write;

use run::{Ended, Knobs, Sharing};

/// Departures of a plain `cargo test`.
const DEPARTURES: usize = 300;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What stands in the template, and in the tick.
fn defaults() -> Knobs {
    Knobs { concurrency: 5, queued: offboard::flow::MAX_QUEUED, sharing: Sharing::Turns }
}

fn grid() -> Vec<Knobs> {
    let of = |concurrency, queued, sharing| Knobs { concurrency, queued, sharing };
    let turns = |concurrency, queued| of(concurrency, queued, Sharing::Turns);
    vec![
        defaults(),
        of(2, 500, Sharing::None),
        of(5, 240, Sharing::None),
        of(2, 500, Sharing::NotBefore),
        of(5, 240, Sharing::NotBefore),
        turns(3, 240),
        turns(5, 500),
        turns(10, 240),
    ]
}

#[test]
fn departures_of_a_storm_are_done_at_the_rate_that_the_providers_allow() {
    let Some(count) = number("OFFBOARD_STORM") else {
        let ended = run::run(defaults(), DEPARTURES);
        println!("{}", row(&ended));
        return check(&ended);
    };
    println!("{}", run::heading());
    let (mut lines, mut products) = (String::new(), String::new());
    for knobs in grid() {
        let ended = run::run(knobs, count);
        println!("{}", row(&ended));
        assert_eq!((ended.lost, ended.twice), (0, 0), "{knobs:?}");
        let _ = writeln!(lines, "{}", ended.line());
        if (knobs.concurrency, knobs.queued, knobs.sharing)
            == (defaults().concurrency, defaults().queued, Sharing::Turns)
        {
            products = ended.products();
        }
    }
    println!("\n| product | time, min | least, min | calls | refused |\n| --- | --- | --- | --- | --- |\n{products}");
    if let Ok(file) = std::env::var("OFFBOARD_STORM_LINES") {
        std::fs::write(file, lines).unwrap();
    }
}

fn row(ended: &Ended) -> String {
    ended.row()
}

/// A short storm shows the waste and what is lost; how near it comes to the limits, only a long one does.
fn check(ended: &Ended) {
    assert_eq!((ended.lost, ended.twice), (0, 0));
    assert!(ended.wasted() < 0.05, "{} of the calls were refused", ended.wasted());
}
