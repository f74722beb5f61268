//! What must not grow, against committed bounds. Counts are the same in every run; milliseconds are compared with the
//! floor's in the same round, and with room.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    measure::{Counts, Sample, count},
    only,
    options::{Options, Stale},
    rounds, run_folder,
    table::{self, median},
};

/// Warm deliveries over which instructions and allocations are averaged.
const WARM: usize = 10;
/// Rounds, and warm deliveries of each, for memory and for what is compared with the floor.
const ROUNDS: usize = 6;

/// Measures everything that has a bound, and fails if one is exceeded, is missing or is of nothing.
pub(crate) fn run(options: &Options, bounds: &Path) -> Result<()> {
    let text = fs::read_to_string(bounds).with_context(|| bounds.display().to_string())?;
    let bounds: BTreeMap<String, f64> = toml::from_str(&text)?;
    let mut measured = compared(options)?;
    measured.extend(connections(options)?);
    measured.extend(ledger(options)?);
    measured.extend(disturbed(options)?);
    measured.extend(counted(options)?);
    println!("{:<28} {:>14} {:>14}", "", "measured", "at most");
    let mut failed = 0;
    for (name, value) in &measured {
        // NaN, because nothing is at most that.
        let bound = bounds.get(*name).unwrap_or(&f64::NAN);
        let is_kept = value <= bound;
        failed += usize::from(!is_kept);
        println!("{name:<28} {value:>14.2} {bound:>14.2}  {}", if is_kept { "ok" } else { "FAILED" });
    }
    let unused: Vec<_> = bounds.keys().filter(|name| !measured.contains_key(name.as_str())).collect();
    ensure!(unused.is_empty(), "bounds of what is not measured: {unused:?}");
    println!("{} passed, {failed} failed", measured.len() - failed);
    ensure!(failed == 0, "raise a bound only with a reason that the commit gives");
    Ok(())
}

type Measured = BTreeMap<&'static str, f64>;

/// Plain HTTP, beside the floor.
fn compared(options: &Options) -> Result<Measured> {
    let samples = rounds(&Options { rounds: ROUNDS, warm: WARM, ..only(options, &["offboard", "floor"]) })?;
    let ratio = |value| table::ratio(&samples, "offboard", "floor", value).context("no ratio");
    let own: Vec<&Sample> = samples.iter().filter(|sample| sample.contestant == "offboard").collect();
    let of_own = |value: fn(&Sample) -> f64| median(own.iter().map(|sample| value(sample)).collect());
    let zip = own[0].zip_bytes.context("no zip: use bench/run")?;
    Ok(Measured::from([
        ("cold_to_floor", ratio(|sample| sample.cold_over)?),
        ("warm_to_floor", ratio(|sample| median(sample.warm_over.clone()))?),
        ("cpu_cold_to_floor", ratio(|sample| Some(sample.cpu_cold))?),
        ("cpu_warm_to_floor", ratio(|sample| Some(sample.cpu_warm))?),
        ("memory_mebibytes", of_own(|sample| table::mebibytes(sample.memory_bytes)).context("no memory")?),
        ("zip_mebibytes", table::mebibytes(zip)),
    ]))
}

/// TLS: connections, handshakes and calls are the same in every round.
fn connections(options: &Options) -> Result<Measured> {
    let samples = rounds(&Options { rounds: 2, warm: 2, tls: true, ..only(options, &["offboard"]) })?;
    let most = |value: fn(&Counts) -> f64, is_cold: bool| {
        let counts = samples.iter().map(|sample| if is_cold { &sample.cold_counts } else { &sample.warm_counts });
        counts.map(value).fold(f64::NAN, f64::max)
    };
    Ok(Measured::from([
        ("connections_cold", most(|counts| counts.connections.into(), true)),
        ("connections_warm", most(|counts| counts.connections.into(), false)),
        ("handshakes_cold", most(|counts| (counts.handshakes + counts.resumptions).into(), true)),
        ("calls_cold", most(|counts| count(counts.calls), true)),
        ("calls_warm", most(|counts| count(counts.calls), false)),
        ("secrets_calls_cold", most(|counts| count(counts.secrets_calls), true)),
    ]))
}

/// The durable path.
fn ledger(options: &Options) -> Result<Measured> {
    let samples = rounds(&Options { rounds: 2, warm: 2, ledger: true, ..only(options, &["offboard"]) })?;
    let most = |value: fn(&Counts) -> usize| {
        samples.iter().map(|sample| count(value(&sample.warm_counts))).fold(f64::NAN, f64::max)
    };
    Ok(Measured::from([
        ("ledger_calls_warm", most(|counts| counts.ledger_calls)),
        ("ledger_sequence_warm", most(|counts| counts.ledger_sequence)),
    ]))
}

/// Many departures with few descriptors, and connections that are dropped while the function is frozen.
fn disturbed(options: &Options) -> Result<Measured> {
    let one = Options { rounds: 1, warm: 1, ..only(options, &["offboard"]) };
    let batch = rounds(&Options { batch: 300, descriptors: Some(1024), ..one.clone() })?;
    let slowest = |stale| -> Result<f64> {
        let samples = rounds(&Options { stale: Some(stale), ..one.clone() })?;
        Ok(samples[0].warm.iter().copied().fold(f64::NAN, f64::max) / 1000.0)
    };
    Ok(Measured::from([
        ("left_of_300_departures", count(batch[0].left)),
        ("silent_seconds", slowest(Stale::Silent)?),
        ("reset_seconds", slowest(Stale::Reset)?),
    ]))
}

/// Instructions and allocations: of a process with one delivery, and of one more delivery.
fn counted(options: &Options) -> Result<Measured> {
    let log = run_folder(&options.target).join("offboard.log");
    let measure = |tool: &str, before: &str, after: &str| -> Result<(f64, f64)> {
        let mut totals = [0.0; 2];
        for (total, warm) in totals.iter_mut().zip([0, WARM]) {
            let under = Some(format!("valgrind {tool}"));
            rounds(&Options { rounds: 1, warm, under, ..only(options, &["offboard"]) })?;
            *total = number(&fs::read_to_string(&log)?, before, after)?;
        }
        let [cold, all] = totals;
        Ok((cold, (all - cold) / count(WARM)))
    };
    let callgrind = "--tool=callgrind --callgrind-out-file=/dev/null";
    let instructions = measure(callgrind, "Collected : ", "\n")?;
    let allocations = measure("--tool=dhat --dhat-out-file=/dev/null", " bytes in ", " blocks")?;
    Ok(Measured::from([
        ("instructions_cold_millions", instructions.0 / 1e6),
        ("instructions_warm_millions", instructions.1 / 1e6),
        ("allocations_cold", allocations.0),
        ("allocations_warm", allocations.1),
    ]))
}

/// The first number between two texts of a tool's output.
fn number(output: &str, before: &str, after: &str) -> Result<f64> {
    let found = output.lines().find_map(|line| {
        let (_, rest) = line.split_once(before)?;
        let text = rest.split(after).next()?.replace(',', "");
        text.trim().parse::<f64>().ok()
    });
    match found {
        Some(number) if number > 0.0 => Ok(number),
        _ => bail!("no `{before}` in what valgrind wrote"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_and_allocations_are_read_from_what_valgrind_writes() {
        let callgrind = "==7== Events    : Ir\n==7== Collected : 10123456\n";
        assert_eq!(number(callgrind, "Collected : ", "\n").unwrap(), 10_123_456.0);
        let dhat = "==7== Total:     1,234,567 bytes in 5,159 blocks\n==7== At t-gmax: 9 bytes in 3 blocks\n";
        assert_eq!(number(dhat, " bytes in ", " blocks").unwrap(), 5159.0);
    }

    #[test]
    fn count_of_nothing_is_an_error() {
        for output in ["", "==7== Total: 0 bytes in 0 blocks\n"] {
            number(output, " bytes in ", " blocks").expect_err(output);
        }
    }
}
