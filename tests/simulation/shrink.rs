//! Leaves steps of a failing history out while it still fails in the same way.

use crate::{run, steps::History};

/// The kind of a violation: its text without the names in it.
pub fn kind(violation: &str) -> String {
    let is_name = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    violation.split(' ').filter(is_name).take(6).collect::<Vec<_>>().join(" ")
}

fn fails(history: &History, wanted: &str) -> bool {
    run(history, false).violation.is_some_and(|violation| kind(&violation) == wanted)
}

fn without(history: &History, wanted: &str) -> History {
    let mut history = history.clone();
    let mut size = history.steps.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        while start < history.steps.len() {
            let mut fewer = history.clone();
            fewer.steps.drain(start..(start + size).min(history.steps.len()));
            if fails(&fewer, wanted) {
                history = fewer;
            } else {
                start += size;
            }
        }
        if size == 1 {
            return history;
        }
        size = size.div_ceil(2);
    }
}

/// Leaves out faults, and people.
fn simplified(mut history: History, wanted: &str) -> History {
    for n in 0..history.steps.len() {
        let mut simpler = history.clone();
        simpler.steps[n].fault = None;
        if fails(&simpler, wanted) {
            history = simpler;
        }
    }
    for n in 0..history.setup.staff.len() {
        let mut simpler = history.clone();
        simpler.setup.staff[n].0 = 0;
        if fails(&simpler, wanted) {
            history = simpler;
        }
    }
    history
}

/// Runs a history and shows it.
///
/// # Panics
/// If it fails.
pub fn explain(history: &History) {
    let ended = run(history, true);
    let Some(violation) = ended.violation else {
        ended.trace.iter().for_each(|line| println!("{line}"));
        return;
    };
    let wanted = kind(&violation);
    let fewest = without(&simplified(without(history, &wanted), &wanted), &wanted);
    let ended = run(&fewest, true);
    println!("seed {} fails: {violation}\nthe fewest steps, {:?}:", history.seed, fewest.setup);
    ended.trace.iter().for_each(|line| println!("{line}"));
    panic!("seed {}: {}", history.seed, ended.violation.unwrap_or(violation));
}
