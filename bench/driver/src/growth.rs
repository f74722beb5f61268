//! How time, processor time, memory and calls grow: with the providers, with the departures of a delivery, and with what the
//! ledger holds.

use std::{process::Command, time::Duration, time::Instant};

use anyhow::{Context, Result, ensure};
use offboard_sandbox::aws::dynamodb::DynamoDb;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    contestants,
    measure::{Bench, Sample, count, event, lambda_variables, milliseconds},
    only,
    options::Options,
    process::{Limits, Process},
    rounds, run_folder,
    runtime_api::RuntimeApi,
    server::lock,
    table::{aligned, mebibytes, median},
    world::World,
};

const PROVIDERS: [usize; 6] = [5, 10, 20, 50, 100, 200];
const DEPARTURES: [usize; 6] = [1, 3, 10, 30, 100, 300];
const RECORDS: [usize; 4] = [1, 1_000, 100_000, 1_000_000];
/// Departures of today: of these, those beyond 50 are left open.
const TODAY: usize = 60;
/// Hours over which the records are spread that are not of today.
const HOURS: usize = 400 * 24;
/// Times that each is read.
const TIMES: usize = 5;

/// What was measured, by name, for one number.
type Figures = Vec<(&'static str, f64)>;

/// Measures all three, and prints tables with what was fitted.
pub(crate) fn run(options: &Options) -> Result<()> {
    let options = Options { rounds: options.rounds.min(5), warm: options.warm.min(4), ..only(options, &["offboard"]) };
    let with = |options: &Options, time| rounds(options).map(|samples| figures(&samples, time));
    let over = |sample: &Sample| median(sample.warm_over.clone());
    let in_all = |sample: &Sample| median(sample.warm.clone());
    let of_providers = |providers| with(&Options { providers, ledger: true, ..options.clone() }, over);
    println!("{}", table("providers", &PROVIDERS, of_providers)?);
    let of_departures = |batch| with(&Options { batch, ledger: true, ..options.clone() }, in_all);
    println!("{}", table("departures", &DEPARTURES, of_departures)?);
    let in_memory = |batch| with(&Options { batch, ..options.clone() }, in_all);
    println!("{}", table("departures, in memory", &DEPARTURES, in_memory)?);
    println!("{}", table("records", &RECORDS, |records| ledger(&options, records))?);
    Ok(())
}

fn figures(samples: &[Sample], time: fn(&Sample) -> Option<f64>) -> Figures {
    let of = |value: &dyn Fn(&Sample) -> f64| median(samples.iter().map(value).collect()).unwrap_or(f64::NAN);
    vec![
        ("warm delivery, ms", of(&|sample| time(sample).unwrap_or(f64::NAN))),
        ("CPU of it, ms", of(&|sample| sample.cpu_warm)),
        ("peak memory, MiB", of(&|sample| mebibytes(sample.memory_bytes))),
        ("calls of providers", of(&|sample| count(sample.warm_counts.calls))),
        ("calls of the ledger", of(&|sample| count(sample.warm_counts.ledger_calls))),
    ]
}

/// What `departures list`, the evidence of today and a tick read of a ledger with so many records beside today's, and how long
/// they take.
fn ledger(options: &Options, records: usize) -> Result<Figures> {
    let options = Options { providers: 1, batch: TODAY, ledger: true, rounds: 1, ..options.clone() };
    let target = options.target.canonicalize()?;
    let folder = run_folder(&target);
    std::fs::create_dir_all(&folder)?;
    let (world, runtime_api) = (World::start(&options, &target.join("bench/tls"), &folder)?, RuntimeApi::start()?);
    let contestants = contestants(&options, &target)?;
    let bench = Bench { options: &options, world: &world, runtime_api: &runtime_api, folder: &folder };
    let session = runtime_api.session();
    world.reset();
    let mut variables = world.environment();
    variables.extend(lambda_variables(runtime_api.address()));
    let _process = Process::start(&contestants[0], &variables, Limits::default(), &folder.join("offboard.log"))?;
    session.next()?;
    let people = bench.people(0, 0);
    world.providers.iter().for_each(|provider| provider.add(&people));
    session.hand_over(event(&people, 0, 0))?;
    session.answer()?;
    session.next()?;
    let (now, apart) = (OffsetDateTime::now_utc(), HOURS * 3600 / records);
    let before =
        |n: usize| now - time::Duration::days(2) - time::Duration::seconds(i64::try_from(n * apart).unwrap_or(0));
    let copies = lock(&world.table().0).copy("hr/0-0-0", (0..records).map(before));
    ensure!(copies == records, "the delivery left no record");
    let since = (now - time::Duration::days(1)).date().to_string();
    let mut figures = read(&world, ["list: items read", "list: calls", "list, ms"], || {
        command(&target, &world, &["departures", "list"])
    })?;
    figures.extend(read(&world, ["evidence: items read", "evidence: calls", "evidence, ms"], || {
        command(&target, &world, &["evidence", "--since", &since])
    })?);
    figures.extend(read(&world, ["tick: items read", "tick: calls", "tick, ms"], || {
        let start = session.hand_over("{\"tick\": true}".to_owned())?;
        let (end, _) = session.answer()?;
        session.next()?;
        Ok(end - start)
    })?);
    Ok(figures)
}

/// Reads several times. Returns what was counted, and the median time.
fn read(world: &World, names: [&'static str; 3], once: impl Fn() -> Result<Duration>) -> Result<Figures> {
    let mut times = Vec::new();
    let mut reads = Default::default();
    for _ in 0..TIMES {
        lock(&world.table().0).take_reads();
        times.push(milliseconds(once()?));
        reads = DynamoDb::take_reads(&mut lock(&world.table().0));
    }
    let [items, calls, time] = names;
    let time = (time, median(times).context("no time")?);
    Ok(vec![(items, count(reads.items)), (calls, count(reads.calls)), time])
}

/// Runs a command of an operator.
fn command(target: &std::path::Path, world: &World, arguments: &[&str]) -> Result<Duration> {
    let mut command = Command::new(target.join("sim/offboard"));
    command.args(arguments).arg("--json").env_clear().envs(world.environment());
    let start = Instant::now();
    let output = command.output().context("target/sim/offboard: use bench/run growth")?;
    let elapsed = start.elapsed();
    let shown = serde_json::from_slice::<Value>(&output.stdout);
    let shown = shown.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let departures = shown["figures"]["departures"].as_u64().or(shown.as_array().map(|listed| listed.len() as u64));
    ensure!(departures > Some(0), "{arguments:?} showed nothing: {shown}");
    Ok(elapsed)
}

/// Measures each number. Returns a row for each figure, with the line through all of them, and the exponent over the last three.
fn table(name: &str, numbers: &[usize], measure: impl Fn(usize) -> Result<Figures>) -> Result<String> {
    let measured = numbers.iter().map(|number| measure(*number)).collect::<Result<Vec<_>>>()?;
    let mut rows = vec![vec![name.to_owned()]];
    rows[0].extend(numbers.iter().map(ToString::to_string));
    rows[0].extend(["a + b·n", "exponent"].map(str::to_owned));
    for (place, (name, _)) in measured[measured.len() - 1].iter().enumerate() {
        let values: Vec<_> =
            measured.iter().map(|figures| figures.get(place).map_or(f64::NAN, |figure| figure.1)).collect();
        let points: Vec<_> = numbers.iter().map(|n| count(*n)).zip(values.iter().copied()).collect();
        let (a, b) = line(&points);
        let logarithms: Vec<_> = points[points.len() - 3..].iter().map(|(n, value)| (n.ln(), value.ln())).collect();
        let mut row = vec![(*name).to_owned()];
        row.extend(
            values.iter().map(|value| if value.fract() == 0.0 { value.to_string() } else { format!("{value:.1}") }),
        );
        row.extend([format!("{:.2} {:+.4} n", seen(a), seen(b)), format!("{:.2}", line(&logarithms).1)]);
        rows.push(row);
    }
    Ok(aligned(&rows))
}

/// Zero for what rounds to it, from either side.
fn seen(number: f64) -> f64 {
    if number.abs() < 5e-5 { 0.0 } else { number }
}

/// The line of least squares through these points: its value at zero, and its slope.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let number = count(points.len());
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let slope = along / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    (y - slope * x, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_that_of_the_points_and_the_exponent_that_of_their_power() {
        let points: Vec<_> = [1.0, 2.0, 5.0, 9.0].map(|n| (n, 3.0 + 2.0 * n)).to_vec();
        let (a, b) = line(&points);
        assert!((a - 3.0).abs() < 1e-9 && (b - 2.0).abs() < 1e-9, "{a} + {b} n");
        let squares = table("n", &[10, 20, 40], |n| Ok(vec![("square", count(n * n))])).expect("numbers");
        assert!(squares.lines().last().is_some_and(|row| row.trim_end_matches(" |").ends_with("2.00")), "{squares}");
    }
}
