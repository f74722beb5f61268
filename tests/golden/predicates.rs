//! The predicates of the kinds that are data: each is taken out or turned around, and then a golden case must end differently.
//! One whose loss no case notices is not known to be right. A file that is refused with the change needs no case.

use std::{
    fs,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, stream};
use toml::{Table, Value};

use crate::{
    case::Case,
    data_kinds_abreast,
    play::{World, whole_of_mutant},
};

/// The tables that a kind takes from the one that it is like, each as a whole.
const INHERITED: [&str; 6] = ["actions", "auth", "http", "find", "remove", "errors"];
/// Cases that every kind has, which decide little.
const COMMON: [&str; 9] = [
    "case_differs",
    "dry_run",
    "item_without_address",
    "item_without_id",
    "look_up_not_found",
    "nobody_there",
    "one_among_neighbours",
    "only_neighbours",
    "several_matches",
];
/// So many mutants at a time.
const ABREAST: usize = 8;
/// So many kinds at a time.
const KINDS_ABREAST: usize = 4;

/// A change to a predicate.
#[derive(Clone, Debug)]
enum Change {
    /// Takes out what stands at a path.
    Drop(Vec<String>),
    /// Puts something else there.
    Set(Vec<String>, Value),
}

impl Change {
    fn name(&self) -> String {
        match self {
            Self::Drop(path) => format!("without {}", path.join(".")),
            Self::Set(path, value) => format!("with {} = {value}", path.join(".")),
        }
    }

    /// The kind's file, changed.
    fn of(&self, file: &Table) -> String {
        let mut file = Value::Table(file.clone());
        let (Self::Drop(path) | Self::Set(path, _)) = self;
        let (last, parents) = path.split_last().unwrap();
        let parent = parents.iter().fold(&mut file, |value, step| child(value, step));
        match (self, parent) {
            (Self::Set(_, new), parent) => *child(parent, last) = new.clone(),
            (Self::Drop(_), Value::Table(table)) => drop(table.remove(last).unwrap()),
            (Self::Drop(_), Value::Array(items)) => drop(items.remove(last.parse().unwrap())),
            (Self::Drop(_), other) => panic!("nothing can be taken out of {other}"),
        }
        toml::to_string(&file).unwrap()
    }
}

fn child<'a>(value: &'a mut Value, step: &str) -> &'a mut Value {
    match value {
        Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        value => &mut value[step],
    }
}

/// The file of a kind, with what it takes from the one that it is like.
fn file_of(kind: &str) -> Table {
    let path = format!("{}/src/providers/kinds/{kind}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut file: Table = fs::read_to_string(path).unwrap().parse().unwrap();
    if let Some(like) = file.remove("like") {
        let other = file_of(like.as_str().unwrap());
        let inherited = other.into_iter().filter(|(name, _)| INHERITED.contains(&name.as_str()));
        inherited.for_each(|(name, value)| _ = file.entry(name).or_insert(value));
    }
    file
}

/// Collects the changes to a kind's predicates.
struct Changes<'a> {
    file: &'a Table,
    all: Vec<Change>,
}

impl Changes<'_> {
    fn get(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.file.get(*first)?, |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            value => value.get(*step),
        })
    }

    fn names(&self, path: &[&str]) -> Vec<String> {
        match self.get(path) {
            Some(Value::Table(table)) => table.keys().cloned().collect(),
            Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes out each element of a table or a list.
    fn drop_each(&mut self, path: &[&str]) {
        let each = |name: &String| Change::Drop(owned(&[path, &[name.as_str()]].concat()));
        self.all.extend(self.names(path).iter().map(each).collect::<Vec<_>>());
    }

    fn drop_each_of_several(&mut self, path: &[&str]) {
        if self.names(path).len() > 1 {
            self.drop_each(path);
        }
    }

    fn drop(&mut self, path: &[&str]) {
        if self.get(path).is_some() {
            self.all.push(Change::Drop(owned(path)));
        }
    }

    /// Weakens conditions: each pointer, and each value of several, is taken out; truth values are turned around.
    fn conditions(&mut self, path: &[&str]) {
        self.drop_each_of_several(path);
        for pointer in self.names(path) {
            let path = [path, &[pointer.as_str()]].concat();
            self.drop_each_of_several(&path);
            if let Some(Value::Boolean(truth)) = self.get(&path) {
                self.all.push(Change::Set(owned(&path), Value::Boolean(!truth)));
            }
        }
    }

    /// Conditions, or a list of them of which one is enough.
    fn any_of(&mut self, path: &[&str]) {
        let never = Table::from_iter([("/no/such/field".to_owned(), Value::Boolean(true))]);
        match self.get(path) {
            Some(Value::Array(_)) => {
                self.drop_each(path);
                for index in self.names(path) {
                    self.conditions(&[path, &[index.as_str()]].concat());
                }
            }
            Some(_) => {
                self.all.push(Change::Set(owned(path), Value::Table(never)));
                self.conditions(path);
            }
            None => {}
        }
    }

    /// Signs and rules: each of them, and of each what it is known by.
    fn rules(&mut self, path: &[&str]) {
        self.drop_each(path);
        for index in self.names(path) {
            let path = [path, &[index.as_str()]].concat();
            self.drop_each_of_several(&[path.as_slice(), &["status"]].concat());
            self.conditions(&[path.as_slice(), &["where"]].concat());
        }
    }

    fn find(&mut self, path: &[&str]) {
        let at = |key| [path, &[key]].concat();
        self.any_of(&at("inactive"));
        self.any_of(&at("skip"));
        self.drop_each(&at("skip_set"));
        self.drop_each(&at("reserved"));
        self.rules(&at("blocked"));
        self.rules(&at("absent"));
        self.drop(&at("where"));
        self.conditions(&at("where"));
        self.drop_each_of_several(&at("expect"));
        for key in ["left_out", "canary"] {
            self.drop(&at(key));
        }
        self.drop_each(&at("headers"));
        // What else is said of pages stands in every request.
        for key in ["inner", "more", "total"] {
            self.drop(&[path, &["page", key]].concat());
        }
    }

    fn step(&mut self, path: &[&str]) {
        let at = |key| [path, &[key]].concat();
        self.drop_each_of_several(&at("expect"));
        self.drop(&at("where"));
        self.conditions(&at("where"));
        self.drop_each(&at("has"));
        self.drop(&at("id"));
        self.drop(&at("running"));
        self.conditions(&at("running"));
        self.drop(&at("job"));
        self.rules(&at("gone"));
        for index in self.names(&at("gone")) {
            self.drop(&[path, &["gone", index.as_str(), "where"]].concat());
        }
    }

    fn of(file: &Table) -> Vec<Change> {
        let mut changes = Changes { file, all: Vec::new() };
        for name in changes.names(&["find"]) {
            changes.find(&["find", &name]);
        }
        for action in changes.names(&["remove"]) {
            for name in changes.names(&["remove", &action]) {
                for index in changes.names(&["remove", &action, &name]) {
                    changes.step(&["remove", &action, &name, &index]);
                }
            }
        }
        changes.rules(&["errors"]);
        for index in changes.names(&["errors"]) {
            changes.drop(&["errors", &index, "call"]);
            changes.drop(&["errors", &index, "header"]);
        }
        changes.all
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|step| (*step).to_owned()).collect()
}

/// A folder with a kind in it. It is removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn with(kind: &str, name: &str, text: &str) -> Self {
        let folder = format!("predicates-{}-{kind}-{name}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(folder.join("providers")).unwrap();
        fs::write(folder.join("providers/mutant.toml"), text).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether any case ends differently with the kind in this folder: twice, since a busy machine can make it differ once.
async fn is_noticed(cases: &[Case], world: &World, folder: &Path) -> bool {
    for case in cases {
        let differs = async || whole_of_mutant(case, world, folder).await.is_err();
        if differs().await && differs().await {
            return true;
        }
    }
    false
}

/// The changes to a kind's predicates that no case notices.
async fn unnoticed(kind: &str) -> Vec<String> {
    let mut cases = Case::all_of(kind);
    // A predicate is mostly decided by a case of its own; what waits comes last.
    cases.sort_by_key(|case| {
        let waits = case.runs.iter().any(|run| run.outcome.to_string().contains("still_listed"));
        (waits, COMMON.contains(&case.name.as_str()))
    });
    let world = World::of(&cases).await;
    let file = file_of(kind);
    let same = Folder::with(kind, "same", &toml::to_string(&file).unwrap());
    assert!(!is_noticed(&cases[..1], &world, &same.0).await, "{kind} is not what it is without a change");
    let changes = Changes::of(&file);
    let results = stream::iter(changes.iter().enumerate()).map(async |(index, change)| {
        let folder = Folder::with(kind, &index.to_string(), &change.of(&file));
        (!is_noticed(&cases, &world, &folder.0).await).then(|| format!("{kind} {}", change.name()))
    });
    results.buffer_unordered(ABREAST).filter_map(|result| async { result }).collect().await
}

#[tokio::test]
async fn every_predicate_of_a_data_kind_decides_a_golden_case() {
    let mut all = data_kinds_abreast(KINDS_ABREAST, unnoticed).await;
    all.sort_unstable();
    assert!(all.is_empty(), "no golden case ends differently:\n{}", all.join("\n"));
}
