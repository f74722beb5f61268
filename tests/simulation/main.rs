//! Random histories of deliveries, operators and faults, through the real flow, judgement and ledger, over a store in memory,
//! scripted providers and a clock that the history moves. What crosses deliveries is tested here: that nobody is removed who
//! did not leave, and that no departure is lost.
//!
//! `OFFBOARD_SIM_HISTORIES=20000` sets the number of histories, `OFFBOARD_SIM_FIRST=20000` the first seed; `OFFBOARD_SIM_SEED=7` runs
//! that one alone and shows every step. A history that fails is shown with its seed, and with the fewest steps that still fail.
//! `OFFBOARD_SIM_SURVEY=1` goes on after a failure and counts the kinds of failures first.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

mod bus;
mod driver;
mod ending;
mod environment;
mod invocations;
mod observed;
mod operator;
mod product;
mod removals;
mod said;
mod shrink;
mod steps;
mod store;
mod truth;
mod world;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use driver::Driver;
use ending::Tally;
use steps::History;

/// Histories of a plain `cargo test`.
const HISTORIES: u64 = 400;

/// Seeds by kind of violation.
type Failures = BTreeMap<String, Vec<u64>>;

/// How a history ended.
pub struct Ended {
    pub violation: Option<String>,
    pub trace: Vec<String>,
    pub tally: Tally,
}

pub fn run(history: &History, is_traced: bool) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut driver = Driver::new(history, is_traced);
        driver.open(history).await;
        for step in &history.steps {
            driver.step(step).await;
            if driver.world.state().violation.is_some() {
                break;
            }
        }
        if driver.world.state().violation.is_none() {
            driver.close(!history.seed.is_multiple_of(3), history.setup.arrives).await;
        }
        let tally = driver.tally();
        let mut state = driver.world.state();
        Ended { violation: state.violation.take(), trace: state.trace.take().unwrap_or_default(), tally }
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn random_histories_keep_the_invariants() {
    if let Some(seed) = number("OFFBOARD_SIM_SEED") {
        return shrink::explain(&History::of(seed));
    }
    let histories = number("OFFBOARD_SIM_HISTORIES").unwrap_or(HISTORIES);
    let first = number("OFFBOARD_SIM_FIRST").unwrap_or(0);
    let (next, failed, total) = (AtomicU64::new(first), Mutex::new(Failures::new()), Mutex::new(Tally::default()));
    let is_survey = number("OFFBOARD_SIM_SURVEY").is_some();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + histories || !(is_survey || failed.lock().unwrap().is_empty()) {
                        return;
                    }
                    let ended = run(&History::of(seed), false);
                    total.lock().unwrap().add(ended.tally);
                    if let Some(violation) = ended.violation {
                        failed.lock().unwrap().entry(shrink::kind(&violation)).or_default().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{:?}", total.lock().unwrap());
    for (kind, seeds) in &failed {
        println!("{} histories fail, {:?} first: {kind}", seeds.len(), seeds.first());
    }
    if let Some(seed) = failed.values().flatten().min() {
        shrink::explain(&History::of(*seed));
    }
}
