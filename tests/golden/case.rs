//! Reads a golden file.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// The key that signs assertions.
pub const PRIVATE_KEY: &str = include_str!("../data/keys/rsa.pem");

/// One file.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub kind: String,
    pub name: String,
    pub policy: String,
    pub provider: String,
    pub secret: String,
    pub runs: Vec<Run>,
}

/// Who left, and what is known of earlier work.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    pub email: Option<String>,
    pub external_id: Option<String>,
    pub former: Vec<String>,
    pub former_in_use: Vec<String>,
    /// Ids of accounts that a release showed.
    pub released: Vec<String>,
    /// Whether an earlier run began to remove.
    pub begun: bool,
    /// Whether it shall only be found out what came of that.
    pub resolve: bool,
}

/// One departure in it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub person: Person,
    pub exchanges: Vec<Exchange>,
    pub outcome: Value,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub lane: String,
    pub request: Request,
    pub answer: Answer,
}

/// A request, as it must be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// In lower case, without those that every request has.
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
}

/// What a server can do.
#[derive(Clone, Debug)]
pub enum Answer {
    Http {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The same, but the end of the body never comes.
    Stalled {
        body: String,
    },
    /// The connection breaks.
    Reset,
}

impl Case {
    /// All cases of a kind, sorted by name.
    pub fn all_of(kind: &str) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut cases: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
            .map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                Self { kind: kind.to_owned(), name, ..Self::parse(&fs::read_to_string(path).unwrap()) }
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    /// The case of this name.
    pub fn named(kind: &str, name: &str) -> Self {
        Self::all_of(kind).into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no {kind}/{name}"))
    }

    fn parse(text: &str) -> Self {
        let mut case = Self::default();
        for (head, body) in parts(text) {
            let (marker, rest) = head.split_at(3);
            let rest = rest.trim();
            match (marker, rest) {
                ("===", "policy") => case.policy = body,
                ("===", "provider") => case.provider = body,
                ("===", "secret") => case.secret = body.replace("$private_key", &PRIVATE_KEY.replace('\n', "\\n")),
                ("===", "person") => case.runs.push(Run { person: toml::from_str(&body).unwrap(), ..Run::default() }),
                ("===", "outcome") => case.last().outcome = toml::from_str(&body).unwrap(),
                (">>>", line) => {
                    let exchange = request(line, &body);
                    case.last().exchanges.push(exchange);
                }
                ("<<<", status) => {
                    let answer = answer(status, &body);
                    case.last().exchanges.last_mut().expect("an answer without a request").answer = answer;
                }
                _ => panic!("unknown part: {head}"),
            }
        }
        case
    }

    fn last(&mut self) -> &mut Run {
        self.runs.last_mut().expect("`=== person` comes first")
    }
}

/// The parts of a file: the line that begins each, and what follows.
fn parts(text: &str) -> Vec<(&str, String)> {
    let mut parts: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        if ["===", ">>>", "<<<"].iter().any(|marker| line.starts_with(marker)) {
            parts.push((line, String::new()));
        } else if let Some((_, body)) = parts.last_mut() {
            body.push_str(&expanded(line));
            body.push('\n');
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "only comments stand before the first part: {line}");
        }
    }
    parts
}

fn expanded(line: &str) -> String {
    let line = line.replace("$long", &"x".repeat(10 * 1024));
    let Some(rest) = line.strip_prefix('*') else {
        return line;
    };
    let (count, rest) = rest.split_once(" from ").expect("*N from M: TEXT");
    let (first, text) = rest.split_once(": ").expect("*N from M: TEXT");
    let (count, first): (usize, usize) = (count.parse().unwrap(), first.parse().unwrap());
    let (text, comma) = text.strip_suffix(',').map_or((text, ""), |text| (text, ","));
    let items: Vec<_> = (first..first + count).map(|n| text.replace("$n", &n.to_string())).collect();
    items.join(",\n") + comma
}

fn request(line: &str, text: &str) -> Exchange {
    let (lane, line) = match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").expect("[LANE] METHOD TARGET"),
        None => ("", line),
    };
    let (method, target) = line.split_once(' ').expect("METHOD TARGET");
    let (headers, body) = message(text);
    let request = Request {
        method: method.to_owned(),
        target: expanded(target),
        headers: headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
        body: (!body.is_empty()).then(|| serde_json::from_str(&body).expect("a request's body is JSON")),
    };
    Exchange { lane: lane.to_owned(), request, answer: Answer::Reset }
}

fn answer(status: &str, text: &str) -> Answer {
    let (headers, body) = message(text);
    Answer::Http { status: status.parse().expect("a status"), headers, body }
}

/// Header lines, an empty line, a body.
fn message(text: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let (head, body) = if text.starts_with('\n') { ("", text) } else { (head, body) };
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
        (name.to_owned(), value.to_owned())
    };
    (head.lines().filter(|line| !line.is_empty()).map(header).collect(), body.trim().to_owned())
}
