//! Measures the function beside a bare client, a Python and a Node function that make the same calls.
//!
//! Every contestant runs as Lambda runs it: a process of its own behind a runtime API, with Secrets Manager and the
//! providers on loopback. In every round each is started once, in turn. `bench/run` builds all of it and calls this.

mod gates;
mod growth;
mod measure;
mod options;
mod process;
mod runtime_api;
mod server;
mod table;
mod vendors;
mod world;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use measure::{Bench, Sample};
use options::Options;
use process::Contestant;
use runtime_api::RuntimeApi;
use world::World;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some(process::CONFINED) => process::become_confined(&arguments[1..]),
        _ => {
            let options = Options::read();
            // What is left of a run that failed explains why.
            run(&options).inspect(|()| drop(fs::remove_dir_all(run_folder(&options.target))))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if options.cpu.is_some()
        && let Some(why) = process::no_quota()
    {
        println!("skipped: this machine permits no CPU quota: {why}");
        return Ok(());
    }
    if let Some(bounds) = &options.gates {
        return gates::run(options, bounds);
    }
    if options.growth {
        return growth::run(options);
    }
    let samples = rounds(options)?;
    if let Some(path) = &options.output {
        write(path, &samples)?;
    }
    println!("{}", table::table(options, &samples));
    Ok(())
}

/// Starts every contestant once a round, in turn.
fn rounds(options: &Options) -> Result<Vec<Sample>> {
    let target = options.target.canonicalize().context("no target folder")?;
    let folder = run_folder(&target);
    fs::create_dir_all(&folder)?;
    let contestants = contestants(options, &target)?;
    let (world, runtime_api) = (World::start(options, &target.join("bench/tls"), &folder)?, RuntimeApi::start()?);
    let bench = Bench { options, world: &world, runtime_api: &runtime_api, folder: &folder };
    let mut samples = Vec::new();
    // Files that are read for the first time are not what is measured.
    for contestant in contestants.iter().filter(|_| options.rounds > 1) {
        bench.measure(contestant, 0)?;
    }
    for round in 0..options.rounds {
        for place in 0..contestants.len() {
            samples.push(bench.measure(&contestants[(round + place) % contestants.len()], round)?);
        }
        eprint!("\r{}: round {} of {}", options.mode(), round + 1, options.rounds);
    }
    eprintln!();
    // In the order in which they were named.
    samples.sort_by_key(|sample| contestants.iter().position(|contestant| contestant.name == sample.contestant));
    Ok(samples)
}

/// The same for these contestants.
fn only(options: &Options, names: &[&str]) -> Options {
    let only = names.iter().map(|name| (*name).to_owned()).collect();
    Options { only, gates: None, growth: false, ..options.clone() }
}

/// Configuration and logs of this run alone: another may be under way.
fn run_folder(target: &Path) -> PathBuf {
    target.join(format!("bench/run-{}", std::process::id()))
}

fn contestants(options: &Options, target: &Path) -> Result<Vec<Contestant>> {
    let (release, made) = (target.join("release"), target.join("bench"));
    let text = |path: &Path| path.display().to_string();
    let zip = |name: &str| made.join(format!("{name}.zip"));
    let mut contestants = Vec::new();
    for name in &options.only {
        let (command, folder) = match name.as_str() {
            "offboard" => (vec![text(&release.join("offboard-lambda"))], made.clone()),
            "floor" => (vec![text(&release.join("offboard-floor"))], made.clone()),
            "python" => {
                let python = text(&made.join("python/bin/python"));
                (
                    vec![python, "-m".to_owned(), "awslambdaric".to_owned(), "function.handler".to_owned()],
                    made.join("python/function"),
                )
            }
            "node" => (vec![text(&in_path("node")?), "runtime.mjs".to_owned()], made.join("node/bundle")),
            other => bail!("{other} is no contestant: offboard, floor, python or node"),
        };
        contestants.push(Contestant { name: name.clone(), command, folder, zip: zip(name) });
    }
    for build in &options.build {
        let (name, path) = build.split_once('=').context("--build wants NAME=PATH")?;
        let path = Path::new(path).canonicalize().with_context(|| path.to_owned())?;
        contestants.push(Contestant {
            name: name.to_owned(),
            command: vec![text(&path)],
            folder: made.clone(),
            zip: zip(name),
        });
    }
    if let Some(under) = &options.under {
        let words: Vec<String> = under.split_whitespace().map(str::to_owned).collect();
        let program = in_path(words.first().context("--under wants a program")?)?;
        let other = |contestant: &&mut Contestant| !["floor", "python", "node"].contains(&contestant.name.as_str());
        for contestant in contestants.iter_mut().filter(other) {
            contestant.command.splice(0..0, [vec![text(&program)], words[1..].to_vec()].concat());
        }
    }
    Ok(contestants)
}

/// Finds a program where a shell would.
fn in_path(program: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("{program} is not installed"))
}

/// Adds a line for the run and one for each sample.
fn write(path: &Path, samples: &[Sample]) -> Result<()> {
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(file, "{}", json!({ "run": arguments.join(" "), "cores": cores }))?;
    for sample in samples {
        writeln!(file, "{}", serde_json::to_string(sample)?)?;
    }
    Ok(())
}
