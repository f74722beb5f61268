//! The vendor of a product as data, connected: its calls, authorized as its file says.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::json;

use super::{
    answer::Reading,
    call::Call,
    spec::{CallKind, Spec, Statuses},
    template::{EMAIL, Values, asks_for_no_page},
};
use crate::{
    oauth::Tokens,
    outbound::{Http, Request, Response},
    outcome::{Failure, FailureKind},
    person::Email,
    source::rules::Conditions,
};

/// A vendor, connected. All look-ups of a product share it, and with it an access token.
#[derive(Debug)]
pub(super) struct Vendor {
    pub(super) spec: &'static Spec,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) headers: Vec<(&'static str, SecretString)>,
    pub(super) login: Login,
}

/// How calls are authorized.
#[derive(Debug)]
pub(super) enum Login {
    Headers,
    Bearer(SecretString),
    Basic(String, SecretString),
    Oauth(Tokens),
}

impl Vendor {
    pub(super) fn reading<'a>(
        &'a self,
        call: CallKind,
        expect: &'a Statuses,
        r#where: Option<&'a Conditions>,
        graphql: bool,
    ) -> Reading<'a> {
        Reading { spec: self.spec, call, expect, r#where, graphql, oauth: matches!(self.login, Login::Oauth(_)) }
    }

    pub(super) fn values<'a>(&'a self, email: &'a Email) -> Values<'a> {
        Values::from_table(&self.settings).with(EMAIL, Some(email.expose()))
    }

    /// Sends a call and reads its answer.
    pub(super) async fn send<T: Send>(
        &self,
        http: &Http,
        call: &Call<'static>,
        values: &Values<'_>,
        read: impl Fn(&Response) -> Result<T, Failure> + Send + Sync,
    ) -> Result<T, Failure> {
        let request = self.request(http, call, values)?;
        match &self.login {
            Login::Headers => request.read(read).await,
            Login::Bearer(token) => request.bearer(token).read(read).await,
            Login::Basic(user, password) => request.basic(user, password).read(read).await,
            Login::Oauth(tokens) => tokens.read(http, request, read).await,
        }
    }

    fn request<'h>(&self, http: &'h Http, call: &Call<'static>, values: &Values<'_>) -> Result<Request<'h>, Failure> {
        let Some((method, path)) = call.methods.first() else {
            return Err(Failure::new(FailureKind::Rejected, "no_steps"));
        };
        let mut segments = path.segments(values)?;
        // Where a path ends in a slash, its last segment is empty.
        let slash = path.ends_with_slash() && segments.pop().is_some();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let request = http.call(method.clone(), &segments);
        let mut request = if slash { request.trailing_slash() } else { request };
        for (name, template) in call.query {
            if !asks_for_no_page(template, values) {
                request = request.query(name, &template.render(values)?);
            }
        }
        request = match (call.graphql, call.json) {
            (Some(document), _) => {
                let variables = call.variables.map_or(Ok(json!({})), |variables| variables.render(values))?;
                request.json(&json!({ "query": document, "variables": variables }))
            }
            (None, Some(body)) => request.json(&body.render(values)?),
            (None, None) => request,
        };
        let has_body = call.graphql.is_some() || call.json.is_some();
        for (name, template) in call.headers.into_iter().flatten() {
            if !asks_for_no_page(template, values) {
                request = request.secret_header(name, &SecretString::from(template.render(values)?));
            }
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| has_body || *name != "content-type") {
            request = request.secret_header(name, value);
        }
        Ok(if call.lists { request.large_response() } else { request })
    }
}
