//! Whether a kind's file can work: everything in it that could only fail later is an error with its line.

use std::{collections::BTreeSet, ops::Range};

use http::HeaderName;
use toml::de::DeTable;

use super::{
    call::Call,
    place::place,
    spec::{AnyOf, Auth, Find, Sign, Spec, Statuses, Step},
    template::{EMAIL, ID, PAGE, Template},
};
use crate::{
    providers::Action,
    settings::{Diagnostics, Reporter, Section},
    source::rules::Conditions,
};

/// Names that variables of the engine's have.
const RESERVED: [&str; 4] = [EMAIL, ID, PAGE, "token_url"];

/// Gives the file of another kind by its name.
type Like = fn(&str) -> Option<&'static str>;

/// Reads a file and checks it. `like` gives another kind's file by name.
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
    let mut checker = Checker { table: table.get_ref(), reporter };
    if let Some(name) = spec.like.clone() {
        match like(&name).map(|text| parse(text, |_| None)) {
            Some(Ok(other)) => spec = spec.over(other),
            _ => checker.add(&["like"], format!("no kind `{name}` that is like no other")),
        }
    }
    checker.spec(&spec);
    Some(spec)
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
    Remove,
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

    fn connection(&mut self, spec: &Spec) {
        if let Some(http) = &spec.http {
            if let Some(base_url) = &http.base_url {
                self.host(spec, &["http", "base_url"], base_url);
            }
            for (name, template) in &http.headers {
                let usable = name.parse::<HeaderName>().is_ok() && *name == name.to_ascii_lowercase();
                if !usable {
                    self.add(&["http", "headers", name], "a header's name is in lower case");
                }
                self.template(spec, &["http", "headers", name], template, Place::Connection { secrets: true });
            }
        }
        match &spec.auth {
            Some(Auth::Bearer(key)) => self.secret(spec, &["auth", "bearer"], key),
            Some(Auth::Basic { user, password }) => {
                self.secret(spec, &["auth", "basic"], password);
                self.template(spec, &["auth", "basic"], user, Place::Connection { secrets: true });
            }
            Some(Auth::Oauth(table)) => {
                self.secret(spec, &["auth", "oauth"], "client_id");
                self.secret(spec, &["auth", "oauth"], "client_secret");
                self.host(spec, &["auth", "oauth", "token_url"], &table.token_url);
                for (name, template) in &table.fields {
                    let path = ["auth", "oauth", "fields", name.as_str()];
                    self.template(spec, &path, template, Place::Connection { secrets: true });
                }
            }
            None if !spec
                .http
                .as_ref()
                .is_some_and(|http| http.headers.values().any(|header| names_secret(spec, header))) =>
            {
                self.add(&["auth"], "nothing authorizes the calls: add [auth], or a header with a secret");
            }
            None => {}
        }
    }

    /// A URL that credentials are sent to. What may stand in it is listed or bounded, so that no setting moves the host.
    fn host(&mut self, spec: &Spec, path: &[&str], url: &Template) {
        if !url.starts_with_https() {
            self.add(path, "a URL that credentials are sent to must be https");
        }
        self.template(spec, path, url, Place::Connection { secrets: false });
        for variable in url.variables() {
            if spec.settings.get(&variable.name).is_some_and(|it| it.one_of.is_empty() && it.characters.is_none()) {
                self.add(path, format!("`{}` stands in a URL, so it needs `one_of` or `characters`", variable.name));
            }
        }
    }

    fn secret(&mut self, spec: &Spec, path: &[&str], key: &str) {
        if !spec.secret.contains_key(key) {
            self.add(path, format!("`{key}` is not a key of [secret]"));
        }
    }

    fn find(&mut self, spec: &Spec, name: &str, find: &Find) {
        let path = ["find", name];
        let paged =
            find.page.as_ref().is_some_and(|page| page.count.is_some() || page.next.is_some() || page.link.is_some());
        self.call(spec, &path, &find.call(), Place::Find { paged });
        if find.items.is_some() == find.object.is_some() {
            self.add(&path, "either `items` (a list) or `object` (one account) says where accounts stand");
        }
        if let Some(page) = &find.page {
            let ways = [page.count.is_some(), page.next.is_some(), page.link.is_some()];
            if ways.into_iter().filter(|given| *given).count() > 1 {
                self.add(&["find", name, "page"], "a list goes on by one of `count`, `next` and `link`");
            }
            let asked = find.call().variables_used().any(|variable| variable.name == PAGE);
            if paged && !asked {
                self.add(
                    &["find", name, "page"],
                    "no `{page}` stands in the request: the first page would come for ever",
                );
            }
        }
        if find.object.is_some() && find.page.is_some() {
            self.add(&["find", name, "page"], "the look-up of one object has no pages");
        }
        if find.object.is_none() && !find.absent.is_empty() {
            self.add(&["find", name, "absent"], "a list that is refused says nothing of who is on it");
        }
        self.signs(&["find", name, "absent"], &find.absent, true);
        for (key, any) in [("inactive", &find.inactive), ("skip", &find.skip)] {
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
                self.step(spec, &["remove", named, name, &index.to_string()], step);
            }
        }
        if action == Action::Deactivate && spec.find.values().all(|find| find.inactive.is_none()) {
            self.add(&["remove", named], "a deactivation is proven by `inactive` of a look-up, and none has it");
        }
    }

    fn step(&mut self, spec: &Spec, path: &[&str], step: &Step) {
        self.call(spec, path, &step.call(), Place::Remove);
        self.statuses(path, &step.expect, 200..300);
        self.conditions(path, step.r#where.as_ref());
        self.signs(path, &step.gone, false);
        let names = |name: &str| step.call().variables_used().any(|variable| variable.name == name);
        if !names(ID) && !names(EMAIL) {
            self.add(path, "neither `{id}` nor `{email}` stands in the call: whom does it remove?");
        }
    }

    fn call(&mut self, spec: &Spec, path: &[&str], call: &Call<'_>, place: Place) {
        match call.methods.as_slice() {
            [(_, target)] if target.starts_with_slash() => {
                self.template(spec, path, target, place);
                if target.variables().any(|variable| variable.escape.is_some()) {
                    self.add(path, "a path escapes by itself: take the escape out");
                }
            }
            [_] => self.add(path, "a path begins with a /"),
            _ => self.add(path, "a call has exactly one method"),
        }
        let bodies = usize::from(call.json.is_some()) + usize::from(call.graphql.is_some());
        if bodies > 1 || (call.variables.is_some() && call.graphql.is_none()) {
            self.add(path, "a body is either `json`, or `graphql` with `variables`");
        }
        for (name, template) in call.query {
            let path = [path, &["query", name]].concat();
            self.template(spec, &path, template, place);
            self.escapes(&path, template);
        }
        for template in [call.json, call.variables].into_iter().flatten().flat_map(super::template::JsonTemplate::texts)
        {
            self.template(spec, path, template, place);
            self.escapes(path, template);
        }
    }

    /// A value within a longer text is within a language, which must not read it.
    fn escapes(&mut self, path: &[&str], template: &Template) {
        let theirs = |name: &str| [EMAIL, ID].contains(&name);
        for (before, variable) in template.variables_in_context() {
            let quoted = before.matches(['"', '\'']).count() % 2 == 1;
            let name = &variable.name;
            if variable.escape.is_none() && theirs(name) && !template.is_bare() {
                self.add(path, format!("`{{{name}}}` stands in a longer text: name its escape, `{{{name}:scim}}` say"));
            } else if quoted && variable.escape == Some(super::template::Escape::Plain) {
                self.add(path, format!("`{{{name}}}` stands between quotes: name their escape"));
            } else if !quoted && variable.escape.is_some_and(super::template::Escape::needs_quotes) {
                self.add(path, format!("`{{{name}}}` has an escape for quotes, and stands between none"));
            }
        }
    }

    fn template(&mut self, spec: &Spec, path: &[&str], template: &Template, place: Place) {
        for variable in template.variables() {
            let name = variable.name.as_str();
            let known = match (name, place) {
                (PAGE, Place::Find { paged }) => paged,
                (EMAIL, Place::Find { .. } | Place::Remove) | (ID, Place::Remove) => true,
                (_, Place::Connection { secrets: true }) if spec.secret.contains_key(name) => true,
                _ => spec.settings.contains_key(name),
            };
            if !known {
                let message = match name {
                    _ if spec.secret.contains_key(name) => "a secret stands in headers and [auth] alone".to_owned(),
                    ID => "only a removal has an id, that of a look-up".to_owned(),
                    _ => format!("unknown variable `{{{name}}}`"),
                };
                self.add(path, message);
            }
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
            self.statuses(path, &sign.status, 400..500);
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

    /// What is asked of an administrator must be of use.
    fn used(&mut self, spec: &Spec) {
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let http = spec.http.iter();
        let connection = http.flat_map(|http| http.headers.values().chain(&http.base_url));
        used.extend(connection.flat_map(Template::variables).map(|variable| variable.name.as_str()));
        match &spec.auth {
            Some(Auth::Bearer(key)) => used.extend([key.as_str()]),
            Some(Auth::Basic { user, password }) => {
                used.extend(user.variables().map(|variable| variable.name.as_str()).chain([password.as_str()]));
            }
            Some(Auth::Oauth(table)) => {
                let templates = table.fields.values().chain([&table.token_url]);
                used.extend(templates.flat_map(Template::variables).map(|variable| variable.name.as_str()));
                used.extend(["client_id", "client_secret"]);
            }
            None => {}
        }
        let finds = spec.find.values().flat_map(|find| find.call().variables_used().collect::<Vec<_>>());
        let steps = spec.remove.values().flat_map(|steps| steps.values().flatten());
        let steps = steps.flat_map(|step| step.call().variables_used().collect::<Vec<_>>());
        used.extend(finds.chain(steps).map(|variable| variable.name.as_str()));
        let unused = |name: &&String| !used.contains(name.as_str());
        for name in spec.settings.keys().filter(unused) {
            self.add(&["settings", name], "nothing uses it");
        }
        for name in spec.secret.keys().filter(unused) {
            self.add(&["secret", name], "nothing uses it");
        }
    }
}

fn names_secret(spec: &Spec, template: &Template) -> bool {
    template.variables().any(|variable| spec.secret.contains_key(&variable.name))
}
