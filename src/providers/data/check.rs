//! Whether a kind's file can work: everything in it that could only fail later is an error with its line.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    place::place,
    spec::{AnyOf, Find, Paging, Sign, Spec, Statuses, Step},
    template::{EMAIL, ID, JOB, PAGE},
};
use crate::{
    providers::Action,
    settings::{Diagnostics, Reporter, Section},
    source::rules::Conditions,
};

mod calls;
mod connection;

/// Names that variables of the engine's have.
const RESERVED: [&str; 5] = [EMAIL, ID, JOB, PAGE, "token_url"];

/// Gives what the file of another kind says, by its name.
type Like = fn(&str) -> Option<Spec>;

/// Reads a file and checks it. `like` gives what another kind can be like.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub(super) fn parse(text: &str, like: Like) -> Result<Spec, Diagnostics> {
    let mut reporter = Reporter { text, diagnostics: Diagnostics::default() };
    let spec = read(text, like, &mut reporter);
    let diagnostics = reporter.diagnostics.sorted();
    match spec {
        Some(spec) if diagnostics.is_empty() => Ok(spec),
        _ => Err(diagnostics),
    }
}

fn read(text: &str, like: Like, reporter: &mut Reporter<'_>) -> Option<Spec> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            reporter.add(error.span(), error.message());
            return None;
        }
    };
    let mut spec: Spec = Section::new("the kind".to_owned(), table.clone()).read(reporter)?;
    control_characters(table.get_ref(), reporter);
    let mut checker = Checker { table: table.get_ref(), reporter };
    if let Some(name) = spec.like.clone() {
        match like(&name) {
            Some(other) => spec = spec.over(other),
            None => checker.add(&["like"], format!("no kind `{name}` that is like no other")),
        }
    }
    checker.spec(&spec);
    Some(spec)
}

/// Reports texts that a terminal or a log would obey. A document of GraphQL alone has lines.
fn control_characters(table: &DeTable<'_>, reporter: &mut Reporter<'_>) {
    for (key, value) in table {
        if key.get_ref() != "graphql" {
            control_character(key.get_ref(), value, reporter);
        }
    }
}

fn control_character(key: &str, value: &Spanned<DeValue<'_>>, reporter: &mut Reporter<'_>) {
    match value.get_ref() {
        DeValue::String(text) if text.contains(char::is_control) => {
            reporter.add(Some(value.span()), format!("`{key}` has a control character"));
        }
        DeValue::Table(table) => control_characters(table, reporter),
        DeValue::Array(items) => items.iter().for_each(|item| control_character(key, item, reporter)),
        _ => {}
    }
}

struct Checker<'a, 'r, 't> {
    table: &'a DeTable<'a>,
    reporter: &'r mut Reporter<'t>,
}

/// What a template's variables may be, by where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A host, a header, a token request: nothing of a person.
    Connection {
        secrets: bool,
    },
    Find {
        paged: bool,
    },
    Remove {
        /// Whether an earlier step may have begun a job.
        job: bool,
    },
}

impl Checker<'_, '_, '_> {
    fn add(&mut self, path: &[&str], message: impl Into<String>) {
        self.reporter.add(place(self.table, path), format!("`{}`: {}", path.join("."), message.into()));
    }

    fn spec(&mut self, spec: &Spec) {
        self.names(spec);
        self.connection(spec);
        for (name, find) in &spec.find {
            self.find(spec, name, find);
        }
        if spec.find.is_empty() {
            self.add(&["find"], "at least one look-up is needed: add a [find.NAME] table");
        }
        if spec.actions.is_empty() {
            self.add(&["actions"], "at least one action is needed: deactivate, delete");
        }
        for action in [Action::Deactivate, Action::Delete] {
            self.action(spec, action);
        }
        for (index, rule) in spec.errors.iter().enumerate() {
            let index = index.to_string();
            let path = ["errors", index.as_str()];
            if rule.status.is_none() && rule.r#where.is_none() && rule.header.is_empty() {
                self.add(&path, "a rule without `status`, `where` and `header` would make every answer a refusal");
            }
            if let Some(status) = &rule.status {
                let least = if rule.r#where.is_some() { 200 } else { 400 };
                self.statuses(&path, status, least..600);
            }
            self.conditions(&path, rule.r#where.as_ref());
        }
        self.used(spec);
    }

    fn names(&mut self, spec: &Spec) {
        for name in spec.settings.keys().chain(spec.secret.keys()) {
            let table = if spec.settings.contains_key(name) { "settings" } else { "secret" };
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if RESERVED.contains(&name.as_str()) || crate::config::PROVIDER_KEYS.contains(&name.as_str()) {
                self.add(&[table, name], "this name has a meaning of its own");
            } else if name.is_empty() || !name.chars().all(plain) {
                self.add(&[table, name], "a name has the characters a-z, 0-9 and _");
            }
        }
        for (name, setting) in &spec.settings {
            if let Some(default) = &setting.default
                && let Err(message) = setting.check(name, default)
            {
                self.add(&["settings", name, "default"], message);
            }
            if let Some(example) = &setting.example
                && let Err(message) = setting.check(name, example)
            {
                self.add(&["settings", name, "example"], message);
            }
        }
        if spec.settings.values().filter(|setting| setting.list).count() > 1 {
            self.add(&["settings"], "only one setting can be a list");
        }
    }

    fn find(&mut self, spec: &Spec, name: &str, find: &Find) {
        let path = ["find", name];
        let paged = find.page.as_ref().is_some_and(Paging::goes_on);
        self.statuses(&path, &find.expect, 200..300);
        self.call(spec, &path, &find.call(), Place::Find { paged });
        if find.items.is_some() == find.object.is_some() {
            self.add(&path, "either `items` (a list) or `object` (one account) says where accounts stand");
        }
        if let Some(page) = &find.page {
            self.page(name, find, page);
        }
        let says = |page: &Paging| page.more.is_some() || page.total.is_some();
        if find.left_out && !find.page.as_ref().is_some_and(says) {
            self.add(
                &["find", name, "left_out"],
                "without `more` or `total` of its page, any answer would be an empty list",
            );
        }
        if find.object.is_some() && find.page.is_some() {
            self.add(&["find", name, "page"], "the look-up of one object has no pages");
        }
        if find.object.is_none() && !find.absent.is_empty() {
            self.add(&["find", name, "absent"], "a list that is refused says nothing of who is on it");
        }
        self.signs(&["find", name, "absent"], &find.absent, true);
        for (key, any) in [("inactive", &find.inactive), ("skip", &find.skip)] {
            if any.as_ref().is_some_and(|AnyOf(any)| any.is_empty()) {
                self.add(&["find", name, key], "an empty list of predicates never holds");
            }
            for conditions in any.iter().flat_map(|AnyOf(any)| any) {
                self.conditions(&["find", name, key], Some(conditions));
            }
        }
        for rule in &find.blocked {
            self.conditions(&["find", name, "blocked"], Some(&rule.r#where));
        }
        self.conditions(&["find", name, "where"], find.r#where.as_ref());
        if let Some(other) = &find.canary
            && (other == name || spec.find.get(other).is_none_or(|other| other.canary.is_some()))
        {
            self.add(
                &["find", name, "canary"],
                format!("`{other}` is not another look-up, which shows its own canary"),
            );
        }
    }

    fn page(&mut self, name: &str, find: &Find, page: &Paging) {
        if page.ways() > 1 {
            self.add(&["find", name, "page"], "a list goes on by one of `count`, `next`, `link` and `header`");
        }
        let asked = find.call().variables_used().any(|variable| variable.name == PAGE);
        if page.goes_on() && !asked {
            self.add(&["find", name, "page"], "no `{page}` stands in the request: the first page would come for ever");
        }
    }

    fn action(&mut self, spec: &Spec, action: Action) {
        let named = action.name();
        let steps = match (spec.remove.get(&action), spec.actions.contains(&action)) {
            (None, false) => return,
            (None, true) => return self.add(&["actions"], format!("`{named}` has no steps: add [remove.{named}]")),
            (Some(_), false) => return self.add(&["remove", named], format!("`actions` does not name `{named}`")),
            (Some(steps), true) => steps,
        };
        for name in spec.find.keys() {
            if steps.get(name).is_none_or(Vec::is_empty) {
                self.add(&["remove", named], format!("no steps for what [find.{name}] shows"));
            }
        }
        for (name, steps) in steps {
            if !spec.find.contains_key(name) {
                self.add(&["remove", named, name], format!("no look-up gives the id: there is no [find.{name}]"));
            }
            for (index, step) in steps.iter().enumerate() {
                let job = steps[..index].iter().any(|step| step.job.is_some());
                self.step(spec, &["remove", named, name, &index.to_string()], step, job);
            }
            let asked = steps.iter().any(Step::asks_about_job);
            if !asked && let Some(index) = steps.iter().position(|step| step.job.is_some()) {
                self.add(&["remove", named, name, &index.to_string()], "no later step asks about the `{job}`");
            }
        }
        if action == Action::Deactivate && spec.find.values().all(|find| find.inactive.is_none()) {
            self.add(&["remove", named], "a deactivation is proven by `inactive` of a look-up, and none has it");
        }
    }

    fn step(&mut self, spec: &Spec, path: &[&str], step: &Step, job: bool) {
        self.call(spec, path, &step.call(), Place::Remove { job });
        self.statuses(path, &step.expect, 200..300);
        self.conditions(path, step.r#where.as_ref());
        self.signs(path, &step.gone, false);
        let reads = !step.has.is_empty() || step.id.is_some() || step.job.is_some();
        if reads && step.expect.0.iter().all(|status| *status == 204) {
            self.add(path, "`has`, `id` and `job` read a body, and a 204 has none");
        }
        let names = |name: &str| step.call().variables_used().any(|variable| variable.name == name);
        self.conditions(path, step.running.as_ref());
        if step.running.is_some() && !step.asks_about_job() {
            self.add(path, "only a call that asks about a `{job}` is repeated while it is `running`");
        }
        if !names(ID) && !names(EMAIL) && !names(JOB) {
            self.add(path, "neither `{id}` nor `{email}` stands in the call: whom does it remove?");
        }
    }

    fn conditions(&mut self, path: &[&str], conditions: Option<&Conditions>) {
        let Some(conditions) = conditions else { return };
        if conditions.iter().next().is_none() {
            self.add(path, "a predicate without conditions holds always");
        }
        for (pointer, values) in conditions.iter() {
            if values.iter().any(|value| !(value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64()))
            {
                self.add(
                    path,
                    format!("`{}` cannot match: a text, a whole number or a truth value can", pointer.text()),
                );
            }
        }
    }

    fn signs(&mut self, path: &[&str], signs: &[Sign], needs_body: bool) {
        for sign in signs {
            self.statuses(path, &sign.status, if needs_body { 200..500 } else { 400..500 });
            self.conditions(path, sign.r#where.as_ref());
            if needs_body && sign.r#where.is_none() {
                self.add(path, "a status alone does not say that nobody is there: add `where`, the vendor's code");
            }
        }
    }

    fn statuses(&mut self, path: &[&str], Statuses(statuses): &Statuses, range: Range<u16>) {
        if statuses.is_empty() || statuses.iter().any(|status| !range.contains(status)) {
            self.add(path, format!("a status from {} to {} is meant", range.start, range.end - 1));
        }
    }
}
