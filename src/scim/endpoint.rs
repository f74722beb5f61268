//! Routes and answers: `/scim/v2/{source}/Users` and what is beside it.

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    Patch, ScimError, User, discovery,
    query::Query,
    storage::StoredUser,
    users::{Users, shown},
};
use crate::{
    flow::{Flow, Worker},
    metrics,
    source::{Source, json as strict_json},
    webhook::Verified,
};

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// First segments of the paths below a source. A base URL may have been entered with one of them behind it.
const ENDPOINTS: [&str; 8] =
    ["users", "groups", "schemas", "resourcetypes", "serviceproviderconfig", "bulk", "me", ".search"];

/// What the envelope of a request says beside it. `lambda_http` would panic on some of it.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The host by which the client reached us.
    pub host: Option<String>,
    /// A stage in front of the path, which the path itself is without.
    pub stage: String,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The source's name.
    pub source: String,
    /// The path of the source's endpoint.
    base: String,
    /// The segments below it, the first in lower case.
    rest: Vec<String>,
}

impl Route {
    /// Returns a path below the same source at which there is nothing.
    pub fn nowhere(&self) -> String {
        format!("{}/-", self.base)
    }
}

/// Returns where a path goes; `None` if it is not SCIM's. Case, doubled and trailing slashes and a stage do not matter.
pub fn route(path: &str) -> Option<Route> {
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let is = |at: usize, text: &str| segments.get(at).is_some_and(|segment| segment.eq_ignore_ascii_case(text));
    let at = (0..2).find(|at| is(*at, "scim") && is(at + 1, "v2"))?;
    let source = segments.get(at + 2)?.to_ascii_lowercase();
    let mut rest: Vec<String> = segments[at + 3..].iter().map(|segment| (*segment).to_owned()).collect();
    rest.iter_mut().take(1).for_each(|first| first.make_ascii_lowercase());
    if rest.len() > 1 && rest[0] == "users" && ENDPOINTS[..5].contains(&rest[1].to_ascii_lowercase().as_str()) {
        rest.remove(0);
        rest[0].make_ascii_lowercase();
    }
    Some(Route { source, base: format!("/{}", segments[..at + 3].join("/")), rest })
}

/// An authenticated request.
struct Endpoint<'a> {
    users: Users<'a>,
    base: String,
    query: Query<'a>,
    verified: &'a Verified,
}

type Answer = Result<Response<Value>, ScimError>;

/// Answers a request. `verified` is it, once it is authenticated; an error says why it is not.
pub async fn answer(
    route: &Route,
    request: &Request<Vec<u8>>,
    verified: Result<(&Source, Verified), ScimError>,
    flow: &Flow,
    worker: Worker<'_>,
) -> Response<String> {
    let none = Envelope::default();
    let envelope = request.extensions().get::<Envelope>().unwrap_or(&none);
    let answered = match &verified {
        Ok((source, verified)) => {
            let users = Users { source, flow, worker };
            let host = envelope.host.as_ref().map(|host| format!("https://{host}{}", envelope.stage));
            let base = host.unwrap_or_default() + &route.base;
            let endpoint = Endpoint { users, base, query: Query(&envelope.query), verified };
            let answer = endpoint.answer(request.method(), &route.rest);
            let answer = tokio::time::timeout_at(worker.deadline, answer).await;
            let answer = answer.unwrap_or(Err(ScimError::Unavailable));
            answer.inspect_err(|error| note(error, &source.name, request.method(), worker))
        }
        Err(error) => Err(error.clone()),
    };
    let (parts, body) = answered.unwrap_or_else(|error| error.answer()).into_parts();
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = Response::from_parts(parts, text);
    if !body.is_null() {
        response.headers_mut().insert(header::CONTENT_TYPE, media_type(request.headers()));
    }
    response
}

/// Logs why a request was not carried out, and counts a write that has to come again.
fn note(error: &ScimError, source: &str, method: &Method, worker: Worker<'_>) {
    let request_id = worker.name;
    match error {
        ScimError::Unavailable | ScimError::Ledger(_) => {
            tracing::error!(request_id, source, reason = %error, "a SCIM request was answered 503");
            if *method != Method::GET {
                metrics::count("NotRecorded");
            }
        }
        _ => tracing::info!(request_id, source, reason = %error, "a SCIM request was refused"),
    }
}

/// OneLogin's guide wants plain JSON.
fn media_type(headers: &HeaderMap) -> header::HeaderValue {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_plain = accepted.contains("application/json") && !accepted.contains("scim+json");
    header::HeaderValue::from_static(if is_plain { "application/json" } else { "application/scim+json" })
}

impl Endpoint<'_> {
    async fn answer(&self, method: &Method, rest: &[String]) -> Answer {
        let rest: Vec<_> = rest.iter().map(String::as_str).collect();
        let is_search = rest.last().is_some_and(|last| last.eq_ignore_ascii_case(".search"));
        match rest[..] {
            _ if is_search => Err(ScimError::NotImplemented("/.search")),
            ["users"] => self.users(method).await,
            ["users", id] => self.user(method, id).await,
            ["groups", ..] if *method != Method::GET => Err(ScimError::NotImplemented("a group")),
            ["groups"] => Ok(ok(list(Vec::new(), 0, 1))),
            ["bulk"] => Err(ScimError::NotImplemented("/Bulk")),
            ["me", ..] => Err(ScimError::NotImplemented("/Me")),
            ["serviceproviderconfig" | "resourcetypes" | "schemas", ..] if *method != Method::GET => {
                Err(ScimError::MethodNotAllowed("GET"))
            }
            ["serviceproviderconfig"] => Ok(ok(discovery::service_provider_config(&self.base))),
            ["resourcetypes", ref id @ ..] => {
                described(discovery::resource_types(&self.base, self.users.source.keeps_employee_number()), id)
            }
            ["schemas", ref id @ ..] => {
                described(discovery::schemas(&self.base, self.users.source.keeps_employee_number()), id)
            }
            _ => Err(ScimError::NotFound),
        }
    }

    async fn users(&self, method: &Method) -> Answer {
        match *method {
            Method::GET => {
                let page = self.query.page(self.users.storage()).await?;
                let shown = page.users.iter().map(|user| Value::Object(self.shown(user))).collect();
                Ok(ok(list(shown, page.total, page.start)))
            }
            Method::POST => {
                let mut user = User::default();
                user.write(&self.body()?)?;
                let user = self.users.create(user).await?;
                let mut answer = ok(Value::Object(self.shown(&user)));
                *answer.status_mut() = StatusCode::CREATED;
                if let Ok(location) = self.location(&user).parse() {
                    answer.headers_mut().insert(header::LOCATION, location);
                }
                Ok(answer)
            }
            _ => Err(ScimError::MethodNotAllowed("GET, POST")),
        }
    }

    async fn user(&self, method: &Method, id: &str) -> Answer {
        let user = match *method {
            Method::GET => self.users.storage().get(id).await?.ok_or(ScimError::NotFound)?,
            Method::PUT => {
                let body = self.body()?;
                let named = |body: &Value| {
                    let keys = body.as_object().into_iter().flatten().map(|(key, _)| key);
                    keys.into_iter().any(|key| key.eq_ignore_ascii_case("userName"))
                };
                if !named(&body) {
                    return Err(ScimError::InvalidValue("userName"));
                }
                self.users.change(id, |user| user.write(&body)).await?
            }
            Method::PATCH => {
                let patch = Patch::read(&self.body()?)?;
                self.users.change(id, |user| patch.apply(user)).await?
            }
            Method::DELETE => {
                self.users.delete(id).await?;
                let mut answer = Response::new(Value::Null);
                *answer.status_mut() = StatusCode::NO_CONTENT;
                return Ok(answer);
            }
            _ => return Err(ScimError::MethodNotAllowed("GET, PUT, PATCH, DELETE")),
        };
        Ok(ok(Value::Object(self.shown(&user))))
    }

    fn body(&self) -> Result<Value, ScimError> {
        strict_json::document(self.verified.body()).map_err(|_| ScimError::InvalidSyntax("it is not JSON"))
    }

    fn location(&self, user: &StoredUser) -> String {
        format!("{}/Users/{}", self.base, user.id)
    }

    /// A user's resource, as far as the request asks for it.
    fn shown(&self, user: &StoredUser) -> Map<String, Value> {
        let mut resource = user.user.resource();
        let meta = json!({
            "resourceType": "User", "created": shown(user.created), "lastModified": shown(user.modified),
            "location": self.location(user),
        });
        resource.insert("id".to_owned(), user.id.clone().into());
        resource.insert("meta".to_owned(), meta);
        self.query.project(resource)
    }
}

fn ok(body: Value) -> Response<Value> {
    Response::new(body)
}

fn list(resources: Vec<Value>, total: usize, start: usize) -> Value {
    json!({
        "schemas": [LIST], "totalResults": total, "startIndex": start, "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// All documents that describe the endpoint, or the one that is named.
fn described(all: Vec<Value>, id: &[&str]) -> Answer {
    match id {
        [] => Ok(ok(list(all.clone(), all.len(), 1))),
        [id] => all.into_iter().find(|one| one["id"] == *id).map(ok).ok_or(ScimError::NotFound),
        _ => Err(ScimError::NotFound),
    }
}
