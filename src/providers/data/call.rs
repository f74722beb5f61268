//! A call as a file describes it, for a look-up and a step of a removal alike.

use std::collections::BTreeMap;

use reqwest::Method;

use super::{
    spec::{Find, Step},
    template::{JOB, JsonTemplate, Template, Variable},
};

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    /// Exactly one, in a file that was checked.
    pub(super) methods: Vec<(Method, &'a Template)>,
    pub(super) query: &'a BTreeMap<String, Template>,
    pub(super) headers: Option<&'a BTreeMap<String, Template>>,
    pub(super) json: Option<&'a JsonTemplate>,
    pub(super) graphql: Option<&'a str>,
    pub(super) variables: Option<&'a JsonTemplate>,
    /// Whether a list answers, which may be large.
    pub(super) lists: bool,
}

impl Find {
    pub(super) fn call(&self) -> Call<'_> {
        Call {
            methods: methods([(Method::GET, &self.get), (Method::POST, &self.post)]),
            query: &self.query,
            headers: Some(&self.headers),
            json: self.json.as_ref(),
            graphql: self.graphql.as_deref(),
            variables: self.variables.as_ref(),
            lists: self.items.is_some(),
        }
    }
}

impl Step {
    /// Whether it asks how a job goes that an earlier step began.
    pub(super) fn asks_about_job(&self) -> bool {
        self.call().variables_used().any(|variable| variable.name == JOB)
    }

    pub(super) fn call(&self) -> Call<'_> {
        let Self { post, put, patch, delete, .. } = self;
        let all = [(Method::POST, post), (Method::PUT, put), (Method::PATCH, patch), (Method::DELETE, delete)];
        Call {
            methods: methods(all),
            query: &self.query,
            headers: None,
            json: self.json.as_ref(),
            graphql: self.graphql.as_deref(),
            variables: self.variables.as_ref(),
            lists: false,
        }
    }
}

impl<'a> Call<'a> {
    /// The variables of its path, its query, its headers and its body.
    pub(super) fn variables_used(&self) -> impl Iterator<Item = &'a Variable> {
        let bodies = [self.json, self.variables].into_iter().flatten().flat_map(JsonTemplate::texts);
        let paths = self.methods.iter().map(|(_, path)| *path).collect::<Vec<_>>();
        let headers = self.headers.into_iter().flat_map(BTreeMap::values);
        paths.into_iter().chain(self.query.values()).chain(headers).chain(bodies).flat_map(Template::variables)
    }
}

fn methods<const N: usize>(all: [(Method, &Option<Template>); N]) -> Vec<(Method, &Template)> {
    all.into_iter().filter_map(|(method, path)| Some((method, path.as_ref()?))).collect()
}
