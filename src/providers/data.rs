//! Products as data: one file per kind says how accounts are looked up and removed. Exactness, proof, retry and vetoes are
//! the engine's, as for the products in Rust.
//!
//! Built-in kinds are `kinds/*.toml`; one's own are `providers/*.toml` beside the configuration. A file is read when a
//! configuration uses its kind.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{Confidence, Configure, ProviderKind};
use crate::settings::{Diagnostics, fields::known_keys};

mod answer;
mod call;
mod check;
#[cfg(test)]
mod injection;
mod list;
mod path;
mod place;
mod product;
mod settings;
mod spec;
mod template;
#[cfg(test)]
mod tests;
mod vendor;

use spec::Spec;

/// The largest file of one's own that is read, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The files that are built in, as JSON, each with the name of its kind; sorted. `build.rs` makes them of `kinds/*.toml`, and a
/// test checks them as one's own are checked.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kinds.rs"));

/// The built-in kinds that were read. Each is kept for good: it is read once per process.
static READ: LazyLock<Mutex<BTreeMap<&'static str, &'static ProviderKind>>> = LazyLock::new(Mutex::default);

/// What a kind's file says, checked.
#[derive(Debug)]
pub(crate) struct Kind {
    spec: Spec,
}

/// The keys of each table of a kind's file, by the table's heading in the page on the language.
pub(super) fn keys() -> [(&'static str, &'static [&'static str]); 8] {
    [
        ("The file", known_keys::<Spec>(&[])),
        ("`[settings.NAME]`", known_keys::<spec::Setting>(&[])),
        ("`[auth]`", known_keys::<spec::OauthTable>(&[])),
        ("`[http]`", known_keys::<Spec>(&["http"])),
        ("`[find.NAME]`", known_keys::<spec::Find>(&[])),
        ("`page`", known_keys::<spec::Find>(&["page"])),
        ("`[remove.ACTION]`", known_keys::<spec::Step>(&[])),
        ("`[[errors]]`", known_keys::<spec::ErrorRule>(&[])),
    ]
}

/// The names of the built-in kinds.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The kind of this name: built in, or a file in the folder `providers` of `folder`.
///
/// # Errors
/// What is wrong with its file.
pub(super) fn known(name: &str, folder: Option<&Path>) -> Result<Option<&'static ProviderKind>, Diagnostics> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = read.get(name) {
            return Ok(Some(kind));
        }
        let kind = kind(name, built_in(text).map_err(Diagnostics::one)?);
        read.insert(name, kind);
        return Ok(Some(kind));
    }
    // The name becomes a file's: it may not lead elsewhere.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let Some(folder) = folder.filter(|_| !name.is_empty() && name.chars().all(plain)) else { return Ok(None) };
    let file = format!("providers/{name}.toml");
    match read(&folder.join(&file)) {
        Ok(text) => own_kind(name, &text, &file).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Diagnostics::one(format!("cannot read {file}: {error}"))),
    }
}

/// Reads a file of one's own, if it is a regular one: reading another could wait, or go on, for ever.
fn read(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(io::Error::other("it must be a regular file of at most 1 MiB"));
    }
    std::fs::read_to_string(path)
}

/// The kinds in the folder `providers` of `folder`, sorted by name.
///
/// # Errors
/// What is wrong with any of their files.
pub(super) fn own(folder: &Path) -> Result<Vec<&'static ProviderKind>, Diagnostics> {
    let entries = match std::fs::read_dir(folder.join("providers")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Diagnostics::one(format!("cannot read the folder providers: {error}"))),
    };
    let file_names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = file_names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort_unstable();
    let (mut kinds, mut errors) = (Vec::new(), Diagnostics::default());
    for name in names {
        let unusable = |why: &str| Diagnostics::one(format!("providers/{name}.toml: {why}"));
        let read = match known(&name, Some(folder)) {
            _ if ProviderKind::named(&name).is_some() => {
                Err(unusable("a built-in kind has this name: rename the file"))
            }
            Ok(None) => Err(unusable("the name of a kind has the characters a-z, 0-9 and _: rename the file")),
            Ok(Some(kind)) => Ok(kind),
            Err(errors) => Err(errors),
        };
        match read {
            Ok(kind) => kinds.push(kind),
            Err(more) => errors.0.extend(more.0),
        }
    }
    if errors.is_empty() { Ok(kinds) } else { Err(errors) }
}

/// Makes a kind of a file of one's own.
fn own_kind(name: &str, text: &str, file: &str) -> Result<&'static ProviderKind, Diagnostics> {
    let spec = check::parse(text, like).map_err(|errors| errors.within(file))?;
    Ok(kind(name, spec))
}

/// Reads a built-in file.
fn built_in(text: &str) -> Result<Spec, String> {
    let spec: Spec = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(match spec.like.as_deref().and_then(like) {
        Some(other) => spec.over(other),
        None => spec,
    })
}

/// The built-in kind of this name, if it is like no other: what another can be like.
fn like(name: &str) -> Option<Spec> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    serde_json::from_str(text).ok().filter(|spec: &Spec| spec.like.is_none())
}

/// Makes a kind of what its file says. It lives as long as the process, as those in Rust do.
fn kind(name: &str, spec: Spec) -> &'static ProviderKind {
    let kind: &'static Kind = Box::leak(Box::new(Kind { spec }));
    let inferred = kind.spec.status == Confidence::PartlyInferred;
    let placed = kind.spec.http.as_ref().is_some_and(|http| http.base_url.is_some());
    Box::leak(Box::new(ProviderKind {
        name: String::leak(name.to_owned()),
        title: &kind.spec.title,
        page: &kind.spec.page,
        effect: &kind.spec.effect,
        permission: &kind.spec.permission,
        limits: kind.spec.limits.as_deref(),
        status: kind.spec.status,
        actions: &kind.spec.actions,
        settings: Vec::leak(kind.settings()),
        secret: Vec::leak(vec![&*Vec::leak(kind.secret_keys())]),
        looks_up: true,
        needs: match (placed, inferred) {
            (true, true) => &["canary"],
            (true, false) => &[],
            (false, true) => &["base_url", "canary"],
            (false, false) => &["base_url"],
        },
        configure: Configure::Data(kind),
    }))
}
