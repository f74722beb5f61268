//! One word for one thing: words that the project does not use, each with the one that it does.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Words, and what is said instead. Lower case; the text is compared without case, at word boundaries.
const WORDS: &[(&str, &str)] = &[
    ("lesson", "identity fact"),
    ("lessons", "identity facts"),
    ("teaches", "records"),
    ("told", "shown, described"),
    ("heard", "received"),
    ("keeper", "barrier"),
    ("unfold", "normalize"),
    ("unfolds", "normalizes"),
    ("lacks", "limitations, is without"),
    ("finding", "result, diagnostic"),
    ("findings", "results, diagnostics, mismatches"),
    ("accountreport", "AccountResult"),
    ("settled", "done, closed"),
    ("the door", "authenticator"),
    ("desk", "decisions"),
    ("stranger", "other_key"),
    ("shows a secret", "static token in a header"),
    ("show a secret", "static token in a header"),
    ("patience", "response timeout"),
    ("stands twice", "duplicate"),
    ("in vain", "failed attempt"),
    ("circuit breaker", "safeguard"),
    ("genuine", "authenticated"),
    ("unproven", "unverified"),
    ("fault", "error"),
    ("faults", "errors"),
    ("nobody was called", "no provider API was called"),
    ("nobody is left", "no account remains"),
    ("stand-in", "mock service"),
    ("stand-ins", "mock services"),
    ("falls back by itself", "returns to OK"),
    ("nobody is called", "no provider API is called"),
    ("shall", "must, may"),
    ("reminder", "work message"),
    ("neighbour", "neighbor"),
    ("neighbours", "neighbors"),
    ("colour", "color"),
    ("behaviour", "behavior"),
    ("organisation", "organization"),
    ("authorisation", "authorization"),
];

/// Folders and files that are read.
const READ: &[&str] = &[
    "src",
    "cli/src",
    "sandbox/src",
    "docs",
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "config",
    "events",
    "template.yaml",
];

/// Files that are not read, and why.
const NOT_READ: &[&str] = &[];

#[test]
fn text_has_no_word_that_has_a_replacement() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    READ.iter().for_each(|path| collect(&root.join(path), &mut files));
    assert!(files.len() > 50, "only {} files were read", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().display().to_string();
        if NOT_READ.contains(&name.as_str()) {
            continue;
        }
        // A picture, say, has no words.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (n, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            let used = WORDS.iter().filter(|(word, _)| has(&line, word));
            wrong.extend(used.map(|(word, instead)| format!("{name}:{}: \"{word}\": {instead}", n + 1)));
        }
    }
    assert!(wrong.is_empty(), "{} words:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn word_is_found_at_its_boundaries_only() {
    for (line, expected) in [("a fault", true), ("fault: x", true), ("default", false), ("fault_x", false)] {
        assert_eq!(has(line, "fault"), expected, "{line}");
    }
}

fn has(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        collect(&entry.unwrap().path(), files);
    }
}
