//! Whether a call can work: its method, its path, its body, and the variables in them.

use reqwest::Method;

use super::{Checker, Place};
use crate::providers::data::{
    call::Call,
    spec::Spec,
    template::{EMAIL, Escape, ID, JOB, JsonTemplate, PAGE, Template},
};

impl Checker<'_, '_, '_> {
    pub(super) fn call(&mut self, spec: &Spec, path: &[&str], call: &Call<'_>, place: Place) {
        match call.methods.as_slice() {
            [(_, target)] if target.starts_with_slash() => {
                self.template(spec, path, target, place);
                self.path(path, target);
                if target.variables().any(|variable| variable.escape.is_some()) {
                    self.add(path, "a path escapes by itself: take the escape out");
                }
            }
            [_] => self.add(path, "a path begins with a /"),
            _ => self.add(path, "a call has exactly one method"),
        }
        let is_get = |(method, _): &(Method, &Template)| method == Method::GET;
        if call.graphql.is_some() && call.methods.iter().any(is_get) {
            self.add(path, "a `graphql` document is sent with `post`");
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
        for (name, template) in call.headers.into_iter().flatten() {
            let path = [path, &["headers", name]].concat();
            self.header_name(&path, name);
            self.template(spec, &path, template, place);
            self.escapes(&path, template);
        }
        for template in [call.json, call.variables].into_iter().flatten().flat_map(JsonTemplate::texts) {
            self.template(spec, path, template, place);
            self.escapes(path, template);
        }
    }

    /// Every segment of a path is sent as it stands, encoded: what has a meaning in a URL would lose it.
    fn path(&mut self, path: &[&str], target: &Template) {
        let text = target.text();
        let mut segments: Vec<_> = text.split('/').skip(1).collect();
        if segments.last() == Some(&"") {
            segments.pop();
        }
        if text.contains(['?', '#']) {
            self.add(path, "a path has neither `?` nor `#`: parameters stand in `query`");
        }
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            self.add(path, "a path has no empty segments, no `.` and no `..`");
        }
        if target.variables().any(|variable| variable.name == PAGE) {
            self.add(path, "`{page}` stands in a query, a header or a body, which leave it out for the first page");
        }
    }

    /// A value within a longer text is within a language, which must not read it.
    pub(super) fn escapes(&mut self, path: &[&str], template: &Template) {
        let theirs = |name: &str| [EMAIL, ID, JOB].contains(&name);
        for (before, variable) in template.variables_in_context() {
            let quoted = before.matches(['"', '\'']).count() % 2 == 1;
            let name = &variable.name;
            if variable.escape.is_none() && theirs(name) && !template.is_bare() {
                self.add(path, format!("`{{{name}}}` stands in a longer text: name its escape, `{{{name}:scim}}` say"));
            } else if quoted && variable.escape == Some(Escape::Plain) {
                self.add(path, format!("`{{{name}}}` stands between quotes: name their escape"));
            } else if !quoted && variable.escape.is_some_and(Escape::needs_quotes) {
                self.add(path, format!("`{{{name}}}` has an escape for quotes, and stands between none"));
            }
        }
    }

    pub(super) fn template(&mut self, spec: &Spec, path: &[&str], template: &Template, place: Place) {
        for variable in template.variables() {
            let name = variable.name.as_str();
            let known = match (name, place) {
                (PAGE, Place::Find { paged }) => paged,
                (EMAIL, Place::Find { .. } | Place::Remove { .. }) | (ID, Place::Remove { .. }) => true,
                (JOB, Place::Remove { job }) => job,
                (_, Place::Connection { secrets: true }) if spec.secret.contains_key(name) => true,
                _ => spec.settings.contains_key(name),
            };
            if !known {
                let message = match name {
                    _ if spec.secret.contains_key(name) => "a secret stands in headers and [auth] alone".to_owned(),
                    ID => "only a removal has an id, that of a look-up".to_owned(),
                    JOB => "no earlier step has a `job`".to_owned(),
                    _ => format!("unknown variable `{{{name}}}`"),
                };
                self.add(path, message);
            }
        }
    }
}
