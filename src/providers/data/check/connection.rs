//! Whether a kind's connection can work: its hosts, its headers, its credentials.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderName;

use super::{Checker, Place};
use crate::{
    providers::data::{
        settings::contains,
        spec::{Auth, OauthTable, Send, Setting, Spec},
        template::{Template, Values},
    },
    settings::BaseUrl,
};

/// Headers of the connection, which the HTTP layer sets.
const OURS: [&str; 6] = ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];
/// Characters that end the host of a URL.
const AFTER_HOST: [char; 6] = ['/', '@', ':', '#', '?', '\\'];

impl Checker<'_, '_, '_> {
    pub(super) fn connection(&mut self, spec: &Spec) {
        if let Some(http) = &spec.http {
            if let Some(base_url) = &http.base_url {
                self.host(spec, &["http", "base_url"], base_url);
            }
            for (name, template) in &http.headers {
                self.header_name(&["http", "headers", name], name);
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
                self.oauth(spec, table);
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

    fn oauth(&mut self, spec: &Spec, table: &OauthTable) {
        let path = ["auth", "oauth"];
        if table.has_client() {
            self.secret(spec, &path, "client_id");
            self.secret(spec, &path, "client_secret");
        }
        self.host(spec, &["auth", "oauth", "token_url"], &table.token_url);
        for (name, template) in &table.fields {
            self.template(
                spec,
                &["auth", "oauth", "fields", name.as_str()],
                template,
                Place::Connection { secrets: true },
            );
        }
        if (table.send == Send::Assertion) != table.assertion.is_some() {
            self.add(&path, "`send = \"assertion\"` and the table `assertion` go together");
        }
        if table.send == Send::Fields && !table.fields.values().any(|field| names_secret(spec, field)) {
            self.add(&path, "no field of the token request has a secret");
        }
        if let Some(assertion) = &table.assertion {
            let path = ["auth", "oauth", "assertion"];
            self.secret(spec, &path, &assertion.key);
            for (name, template) in &assertion.claims {
                let path = [&path[..], &["claims", name]].concat();
                if ["iat", "exp"].contains(&name.as_str()) {
                    self.add(&path, "`iat` and `exp` are added");
                }
                self.template(spec, &path, template, Place::Connection { secrets: true });
            }
        }
    }

    pub(super) fn header_name(&mut self, path: &[&str], name: &str) {
        if name.parse::<HeaderName>().is_err() || name != name.to_ascii_lowercase() {
            self.add(path, "a header's name is in lower case");
        }
        if OURS.contains(&name) {
            self.add(path, "this header is of the connection, and set already");
        }
    }

    /// A URL that credentials are sent to. What may stand in it is listed or bounded, so that no setting moves the host.
    pub(super) fn host(&mut self, spec: &Spec, path: &[&str], url: &Template) {
        if !url.starts_with_https() {
            self.add(path, "a URL that credentials are sent to must be https");
        }
        self.template(spec, path, url, Place::Connection { secrets: false });
        for variable in url.variables() {
            if spec.settings.get(&variable.name).is_some_and(|it| it.one_of.is_empty() && it.characters.is_none()) {
                self.add(path, format!("`{}` stands in a URL, so it needs `one_of` or `characters`", variable.name));
            }
        }
        self.host_variables(spec, path, url);
        let examples: BTreeMap<_, _> =
            spec.settings.iter().map(|(name, setting)| (name.clone(), example(setting))).collect();
        // Unknown variables are reported already.
        if let Ok(text) = url.render(&Values::from_table(&examples))
            && let Err(why) = BaseUrl::try_from(text)
        {
            self.add(path, why);
        }
    }

    /// No setting may move the host that the file names.
    fn host_variables(&mut self, spec: &Spec, path: &[&str], url: &Template) {
        let text = url.text();
        let rest = text.strip_prefix("https://").unwrap_or(&text);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        for (name, setting) in &spec.settings {
            let ends = |c: &&char| setting.characters.as_deref().is_some_and(|class| contains(class, **c));
            if setting.one_of.is_empty()
                && host.contains(&format!("{{{name}}}"))
                && let Some(c) = AFTER_HOST.iter().find(ends)
            {
                self.add(path, format!("`{name}` stands in a host, so its `characters` must not have `{c}`"));
            }
        }
        let mut named = host;
        while let Some(at) = named.rfind('{').filter(|_| named.ends_with('}')) {
            named = &named[..at];
        }
        if named.len() < host.len() && !named.is_empty() && !named.ends_with('.') {
            self.add(path, "a variable directly after a host would move it: put a `.` or a `/` between");
        }
    }

    pub(super) fn secret(&mut self, spec: &Spec, path: &[&str], key: &str) {
        if !spec.secret.contains_key(key) {
            self.add(path, format!("`{key}` is not a key of [secret]"));
        }
    }

    /// What is asked of an administrator must be of use.
    pub(super) fn used(&mut self, spec: &Spec) {
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
                used.extend(table.templates().flat_map(Template::variables).map(|variable| variable.name.as_str()));
                used.extend(table.assertion.iter().map(|assertion| assertion.key.as_str()));
                if table.has_client() {
                    used.extend(["client_id", "client_secret"]);
                }
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

/// A value that a setting may have.
fn example(setting: &Setting) -> String {
    let given = [&setting.example, &setting.default].into_iter().flatten().chain(&setting.one_of).next();
    let first = |class: &String| class.chars().find(char::is_ascii_alphanumeric).unwrap_or('a').to_string();
    given.cloned().or(setting.characters.as_ref().map(first)).unwrap_or_else(|| "a".to_owned())
}

fn names_secret(spec: &Spec, template: &Template) -> bool {
    template.variables().any(|variable| spec.secret.contains_key(&variable.name))
}
