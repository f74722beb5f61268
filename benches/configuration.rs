//! How long a configuration takes to be read: every built-in kind at once, and each kind by itself. `cargo bench --bench configuration`.
#![allow(unreachable_pub, missing_docs, reason = "a benchmark has no users")]

use std::{
    env,
    time::{Duration, Instant},
};

use offboard::{config::Config, providers::ProviderKind};

/// So often everything is read; the median counts.
const ROUNDS: usize = 301;

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        println!("run it with `cargo bench`");
        return;
    }
    // A file of a kind is read once in a process. The first read is what a cold start pays.
    let mut first: Vec<_> =
        ProviderKind::names().into_iter().map(|name| (time(|| _ = ProviderKind::named(name)), name)).collect();
    first.sort();
    let sum: Duration = first.iter().map(|(took, _)| *took).sum();
    println!("first read of {} kinds: {sum:?} in all", first.len());
    for (took, name) in first.iter().rev().take(5) {
        println!("  {name}: {took:?}");
    }
    let text = configuration();
    let mut reads: Vec<_> =
        (0..ROUNDS).map(|_| time(|| _ = Config::parse(&text, None).expect("a configuration"))).collect();
    reads.sort();
    println!("read of a configuration with all of them, median of {ROUNDS}: {:?}", reads[ROUNDS / 2]);
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// A configuration with a provider of every kind.
fn configuration() -> String {
    let mut text = "[sources.workos]\nkind = \"workos\"\n".to_owned();
    for kind in ProviderKind::all() {
        let lines: Vec<_> = kind.settings.iter().map(|setting| setting.line()).collect();
        text += &format!("[providers.{0}]\nkind = \"{0}\"\n{1}\n", kind.name, lines.join("\n"));
        for need in kind.needs {
            text += match *need {
                "canary" => "canary = \"ops@example.com\"\n",
                _ => "base_url = \"https://api.example.com\"\n",
            };
        }
    }
    text
}
