//! The verifiers and the readers against inputs that nobody thought of: recorded deliveries, changed at random.
//!
//! A second each in `cargo test`. Longer, and led to code that no input has reached yet, as `.ci/run` does it:
//!
//! ```sh
//! OFFBOARD_FUZZ_SECONDS=60 bash .ci/fuzz
//! ```
//!
//! `OFFBOARD_FUZZ_KIND=okta` looks at one kind alone, `OFFBOARD_FUZZ_SEED=1` begins where an earlier run began. An input
//! that fails is written out; in `tests/fuzz/regressions` it is tried in every run.
#![allow(unsafe_code, reason = "reads the counters that the compiler puts in")]
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fastrand::Rng;

mod case;
mod corpus;
mod coverage;
#[path = "../it/doors/mod.rs"]
mod doors;
mod mutation;
mod oracles;
mod scim;

use case::Case;
use coverage::Reached;

/// The counters are of the whole process: one target at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn verifiers() {
    let change = |rng: &mut Rng, case: &mut Case, pool: &[Case]| {
        let same: Vec<_> = pool.iter().filter(|other| other.door == case.door).collect();
        let other = rng.choice(same).expect("itself");
        mutation::verifying(rng, case, other);
    };
    fuzz("verifiers", corpus::verifiers(), change, oracles::verifier);
}

#[test]
fn readers() {
    fuzz("readers", corpus::readers(), |rng, case, _| mutation::reading(rng, case), oracles::reader);
}

#[test]
fn provisioning() {
    fuzz("provisioning", scim::corpus(), |rng, case, _| mutation::reading(rng, case), scim::oracle);
}

/// Tries changed inputs until the time is over. What reaches new code is changed further.
fn fuzz(target: &str, corpus: Vec<Case>, change: impl Fn(&mut Rng, &mut Case, &[Case]), check: fn(&Case)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let setting = |name: &str| env::var(name).ok();
    let number =
        |name: &str| setting(name).map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")));
    let time = Duration::from_secs(number("OFFBOARD_FUZZ_SECONDS").unwrap_or(1));
    let seed = number("OFFBOARD_FUZZ_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let kind = setting("OFFBOARD_FUZZ_KIND");
    let wanted = |case: &Case| kind.as_ref().is_none_or(|kind| case.door.source.kind.name == kind);
    let mut pool: Vec<_> = corpus.into_iter().filter(wanted).collect();
    if pool.is_empty() {
        // SCIM is one kind.
        assert_eq!(target, "provisioning", "OFFBOARD_FUZZ_KIND names no kind");
        return;
    }

    let (mut rng, mut reached, mut tried) = (Rng::with_seed(seed), Reached::nothing(), 0_u64);
    println!("{target}: seed {seed}, {} inputs to begin with", pool.len());
    for case in &pool {
        reached.anew(|| judge(target, case, check, seed));
    }
    let end = Instant::now() + time;
    while Instant::now() < end {
        let mut case = pool[rng.usize(..pool.len())].clone();
        change(&mut rng, &mut case, &pool);
        // What the handler would not take either.
        case.body.truncate(1 << 20);
        if reached.anew(|| judge(target, &case, check, seed)) && case.body.len() < 1 << 12 {
            pool.push(case);
        }
        tried += 1;
    }
    let (edges, of) = reached.edges();
    println!("{target}: {tried} inputs tried, {} kept, {edges} of {of} edges reached", pool.len());
}

/// Ends the test if the input fails, and says where it is kept.
fn judge(target: &str, case: &Case, check: fn(&Case), seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
        let least = smaller(case.clone(), check);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}.{seed}.case"));
        least.write(&path);
        let folder = "tests/fuzz/regressions";
        panic!(
            "{}, seed {seed}: keep {} in {folder}\n{}",
            case.door.name,
            path.display(),
            String::from_utf8_lossy(&least.body)
        );
    }
}

/// The input without what it fails without as well.
fn smaller(mut case: Case, check: fn(&Case)) -> Case {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let fails = |case: &Case| catch_unwind(AssertUnwindSafe(|| check(case))).is_err();
    let mut size = case.body.len();
    while size > 0 {
        let mut at = 0;
        while at + size <= case.body.len() {
            let mut less = case.clone();
            less.body.drain(at..at + size);
            if fails(&less) { case = less } else { at += size }
        }
        size /= 2;
    }
    set_hook(hook);
    case
}

#[test]
fn no_input_fails_that_once_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions");
    for entry in fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()) {
        match entry.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next()) {
            Some("verifiers") => oracles::verifier(&Case::read(&entry)),
            Some("readers") => oracles::reader(&Case::read(&entry)),
            Some("provisioning") => scim::oracle(&Case::read(&entry)),
            _ => assert!(entry.ends_with("README.md"), "{}: whose input is it?", entry.display()),
        }
    }
}

#[test]
fn an_input_is_kept_as_it_was() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept.case");
    for case in corpus::readers().into_iter().chain(corpus::verifiers()) {
        case.write(&path);
        assert_eq!(Case::read(&path), case);
    }
}
