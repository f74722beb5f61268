//! Reading a TOML table piece by piece, so that every error in it is found and reported with its line.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fields::assert_strict,
    nearest::nearest,
    words::{fields_instead, in_words},
};

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub(crate) Vec<Diagnostic>);

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl Diagnostics {
    /// Returns a single error, without a line.
    pub(crate) fn one(message: impl Into<String>) -> Self {
        Self(vec![Diagnostic { line: None, message: message.into() }])
    }

    /// Sorts them by line.
    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|diagnostic| diagnostic.line);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the same errors as those of another file, which each then names beside its line there.
    pub(crate) fn within(self, file: &str) -> Self {
        let name = |Diagnostic { line, message }| {
            let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
            Diagnostic { line: None, message: format!("{place}: {message}") }
        };
        Self(self.0.into_iter().map(name).collect())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some(line) = diagnostic.line {
                write!(f, "line {line}: ")?;
            }
            f.write_str(&diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Collects what is wrong with a text.
pub(crate) struct Reporter<'a> {
    pub(crate) text: &'a str,
    pub(crate) diagnostics: Diagnostics,
}

impl Reporter<'_> {
    /// Reports an error at a place in the text.
    pub(crate) fn add(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        let line = span.map(|span| 1 + self.text[..span.start.min(self.text.len())].matches('\n').count());
        self.diagnostics.0.push(Diagnostic { line, message: message.into() });
    }
}

/// One table of the configuration.
pub(crate) struct Section<'a> {
    /// Its name, as a person finds it: `providers.cloudflare`.
    pub(crate) name: String,
    pub(crate) table: Spanned<DeTable<'a>>,
    /// The keys that were taken out of it: known, too.
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(name: String, table: Spanned<DeTable<'a>>) -> Self {
        Self { name, table, known: Vec::new() }
    }

    /// Returns the position of each key's value.
    pub(crate) fn spans(&self) -> BTreeMap<String, Range<usize>> {
        self.table.get_ref().iter().map(|(key, value)| (key.get_ref().to_string(), value.span())).collect()
    }

    /// Returns the names in the table of this name.
    pub(crate) fn names_in(&self, name: &str) -> Vec<String> {
        match self.table.get_ref().get(name).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// Moves the keys named out of this section, into one of their own.
    pub(crate) fn split(&mut self, keys: &[&'static str]) -> Section<'a> {
        self.known.extend(keys);
        let span = self.table.span();
        let (taken, left) = std::mem::take(self.table.get_mut())
            .into_iter()
            .partition(|(key, _)| keys.contains(&key.get_ref().as_ref()));
        *self.table.get_mut() = left;
        Section::new(self.name.clone(), Spanned::new(span, taken))
    }

    /// Takes the table of this name out of this section.
    pub(crate) fn table_named(&mut self, name: &'static str, reporter: &mut Reporter<'_>) -> Option<Section<'a>> {
        let taken = self.split(&[name]);
        taken.tables(reporter).pop().map(|(_, section)| section)
    }

    /// Takes the key `kind` out of this section; it is an error if there is none.
    pub(crate) fn kind(&mut self, reporter: &mut Reporter<'_>) -> Option<String> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Tag {
            kind: String,
        }
        self.split(&["kind"]).read(reporter).map(|tag: Tag| tag.kind)
    }

    /// Returns the position of a key of this section.
    pub(crate) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_ref().get_key_value(key).map(|(key, _)| key.span())
    }

    /// Reports every key that is still in this section as unknown.
    pub(crate) fn refuse_the_rest(self, reporter: &mut Reporter<'_>) {
        for (key, _) in self.table.into_inner() {
            let hint = hint(key.get_ref(), &self.known);
            reporter.add(Some(key.span()), format!("unknown key `{}`{hint}", key.get_ref()));
        }
    }

    /// The tables in this one, each with its name; anything else in it is an error.
    pub(crate) fn tables(self, reporter: &mut Reporter<'_>) -> Vec<(String, Section<'a>)> {
        let mut tables = Vec::new();
        for (key, value) in self.table.into_inner() {
            let (span, name) = (value.span(), key.into_inner().into_owned());
            let path = if self.name.is_empty() { name.clone() } else { format!("{}.{name}", self.name) };
            match value.into_inner() {
                DeValue::Table(table) => tables.push((name, Section::new(path, Spanned::new(span, table)))),
                _ => reporter.add(Some(span), format!("`{path}` must be a table")),
            }
        }
        tables
    }

    /// Reads the whole section. An unknown key and a wrong value are reported; after either the answer is `None`.
    ///
    /// Each is left out, and the rest is read again: so every error is found, not only the first.
    ///
    /// # Panics
    /// In debug builds, if a table within `T` accepts unknown keys.
    pub(crate) fn read<T: DeserializeOwned>(mut self, reporter: &mut Reporter<'_>) -> Option<T> {
        if cfg!(any(test, debug_assertions)) {
            assert_strict::<T>();
        }
        let mut omitted = Omitted::default();
        let value = loop {
            match T::deserialize(self.table.clone().into_deserializer()) {
                Ok(value) => break Some(value),
                Err(error) if self.omit(&error, &mut omitted, reporter) => {}
                Err(_) => break None,
            }
        };
        let is_whole = omitted.is_empty();
        omitted.report_unknown_keys(reporter);
        value.filter(|_| is_whole)
    }

    /// Leaves out what an error is about, and reports it. Returns whether there was something to leave out.
    fn omit(&mut self, error: &toml::de::Error, omitted: &mut Omitted, reporter: &mut Reporter<'_>) -> bool {
        let (span, table) = (self.table.span(), self.table.get_mut());
        if let (Some(fields), Some(at)) = (fields_instead(error.message()), error.span())
            && let Some(path) = take_key(table, &at)
        {
            let key = path.last().map_or("", String::as_str);
            let taken = if path.len() == 1 { &self.known[..] } else { &[] };
            let hint = hint(key, &[&fields, taken].concat());
            let path = path.join(".");
            let message = format!("unknown key `{path}` in `{}`{hint}", self.name);
            omitted.unknown_keys.push(UnknownKey { path, span: at, message });
            return true;
        }
        let wrong = error.span().map(|at| keys_around(table, &at)).unwrap_or_default();
        // That a value is missing which was left out is our doing.
        if !omitted.values.iter().any(|key| error.message() == format!("missing field `{key}`")) {
            let path = [vec![self.name.clone()], wrong.clone()].concat().join(".");
            reporter.add(error.span().or(Some(span)), in_words(&path, error.message()));
        }
        let entry = wrong.first().and_then(|key| table.remove_entry(key.as_str()));
        let is_left_out = entry.is_some();
        omitted.values.extend(entry.map(|(key, _)| key.into_inner().into_owned()));
        is_left_out
    }
}

/// What was left out of a section so that the rest could be read.
#[derive(Default)]
struct Omitted {
    unknown_keys: Vec<UnknownKey>,
    /// The keys of the section whose values are wrong.
    values: Vec<String>,
}

struct UnknownKey {
    path: String,
    span: Range<usize>,
    message: String,
}

impl Omitted {
    fn is_empty(&self) -> bool {
        self.unknown_keys.is_empty() && self.values.is_empty()
    }

    /// Reports the unknown keys, by their paths, whatever the order in which they were found.
    fn report_unknown_keys(mut self, reporter: &mut Reporter<'_>) {
        self.unknown_keys.sort_by(|a, b| a.path.cmp(&b.path));
        for key in self.unknown_keys {
            reporter.add(Some(key.span), key.message);
        }
    }
}

/// Returns what to add to the report of an unknown key.
fn hint(key: &str, known: &[&str]) -> String {
    nearest(key, known.iter().copied()).map(|known| format!(": did you mean `{known}`?")).unwrap_or_default()
}

/// Returns the keys, from the outermost to the innermost, whose values span this place.
fn keys_around(table: &DeTable<'_>, at: &Range<usize>) -> Vec<String> {
    let around = |value: &Range<usize>| value.start <= at.start && at.end <= value.end;
    let Some((key, value)) = table.iter().find(|(_, value)| around(&value.span())) else { return Vec::new() };
    let inner = match value.get_ref() {
        DeValue::Table(inner) => keys_around(inner, at),
        _ => Vec::new(),
    };
    [vec![key.get_ref().to_string()], inner].concat()
}

/// Takes the entry whose key stands at this place out of a table, or out of one within it. Returns its path.
fn take_key(table: &mut DeTable<'_>, at: &Range<usize>) -> Option<Vec<String>> {
    let key = table.keys().find(|key| key.span() == *at).map(|key| key.get_ref().to_string());
    if let Some(key) = key {
        table.remove_entry(key.as_str())?;
        return Some(vec![key]);
    }
    table.iter_mut().find_map(|(key, value)| take_key_within(key.get_ref(), value, at))
}

/// The same of the value that stands at this step.
fn take_key_within(step: &str, value: &mut Spanned<DeValue<'_>>, at: &Range<usize>) -> Option<Vec<String>> {
    let path = match value.get_mut() {
        DeValue::Table(table) => take_key(table, at),
        DeValue::Array(items) => {
            items.iter_mut().enumerate().find_map(|(index, item)| take_key_within(&index.to_string(), item, at))
        }
        _ => None,
    };
    Some([vec![step.to_owned()], path?].concat())
}

#[cfg(test)]
mod tests;
