//! SCIM at the compiled function: tokens, envelopes, and that nothing is done for a client who is not authenticated.

use std::time::Duration;

use offboard_sandbox::envelope::{self, Request};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    function::world::{World, alb, v1},
    support::Reply,
};

const TOKEN: &str = "a token of a SCIM client";
const NEXT: &str = "another token of a SCIM client";
const SOURCE: &str = "[sources.idm]\nkind = \"scim\"\nsettle = \"0s\"\n";

async fn world() -> World {
    let world = World::with(SOURCE, "", &[]).await;
    world.vault.put("offboard/sources/idm", &json!({ "tokens": [TOKEN] }).to_string());
    world
}

fn event(method: &str, target: &str, token: Option<&str>, body: &Value) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let token = token.map(|token| ("authorization".to_owned(), token.to_owned()));
    let media_type = ("content-type".to_owned(), "application/scim+json".to_owned());
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: token.into_iter().chain([media_type]).collect(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    };
    envelope::event(&request, "id", OffsetDateTime::now_utc())
}

async fn send(world: &mut World, method: &str, target: &str, body: Value) -> Reply {
    let token = format!("Bearer {TOKEN}");
    world.function.request(event(method, target, Some(&token), &body)).await
}

#[tokio::test]
async fn user_is_created_found_and_disabled() {
    let mut world = world().await;
    let user = json!({"userName": "lee@example.com", "externalId": "E 1"});
    let created = send(&mut world, "POST", "/scim/v2/idm/Users", user).await;
    assert_eq!((created.status, created.headers["content-type"].as_str()), (201, "application/scim+json"));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let location = format!("https://sandbox.example.com/scim/v2/idm/Users/{id}");
    assert_eq!((&created.headers["location"], &created.json()["meta"]["location"]), (&location, &json!(location)));
    for query in ["filter=userName+eq+%22LEE%40example.com%22", "filter=externalId%20eq%20%22E%201%22", "count=1", ""] {
        let found = send(&mut world, "GET", &format!("/prod/scim/v2/idm/Users?{query}"), Value::Null).await;
        assert_eq!((found.status, &found.json()["Resources"][0]["id"]), (200, &json!(id)), "{query}: {}", found.text);
    }
    // In memory nothing but a repetition goes on: held right after its creation, until a person decides.
    let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
    let disabled = send(&mut world, "PATCH", &format!("/scim/v2/idm/Users/{id}"), off).await;
    assert_eq!((disabled.status, disabled.headers["retry-after"].as_str()), (503, "60"));
    let deleted = send(&mut world, "DELETE", &format!("/scim/v2/idm/Users/{id}"), Value::Null).await;
    assert_eq!(deleted.status, 503, "{}", deleted.text);
    assert_eq!(world.provider.calls().len(), 0);
    let log = world.function.end().await;
    assert!(log.contains("removed_right_after_creation") && log.contains("user.deactivated"), "{log}");
    assert!(!log.contains("lee@example.com") && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn every_envelope_hands_its_query_over() {
    let mut world = world().await;
    send(&mut world, "POST", "/scim/v2/idm/Users", json!({"userName": "ann+x@example.com"})).await;
    let (token, host) = (format!("Bearer {TOKEN}"), "api.example.com".to_owned());
    let headers = [("authorization", token.as_str()), ("host", host.as_str())];
    let single = headers.map(|(name, value)| (name, [value]));
    let single = [(single[0].0, &single[0].1[..]), (single[1].0, &single[1].1[..])];
    let mut rest = v1(&single, "");
    rest["path"] = json!("/scim/v2/idm/Users");
    rest["requestContext"]["path"] = json!("/prod/scim/v2/idm/Users");
    rest["requestContext"]["domainName"] = json!("api.example.com");
    rest["queryStringParameters"] = json!({"filter": "userName eq \"ann+x@example.com\""});
    rest["multiValueQueryStringParameters"] = json!({"filter": ["userName eq \"ann+x@example.com\""]});
    let mut balancer = alb(&headers, "");
    balancer["path"] = json!("/scim/v2/idm/Users");
    balancer["queryStringParameters"] = json!({"filter": "userName+eq+%22ann%2Bx%40example.com%22"});
    for (mut envelope, base) in
        [(rest, "https://api.example.com/prod/scim"), (balancer, "https://api.example.com/scim")]
    {
        envelope["httpMethod"] = json!("GET");
        let found = world.function.request(envelope).await;
        assert_eq!((found.status, &found.json()["totalResults"]), (200, &json!(1)), "{}", found.text);
        let location = found.json()["Resources"][0]["meta"]["location"].as_str().unwrap().to_owned();
        assert!(location.starts_with(base), "{location}");
    }
}

#[tokio::test]
async fn missing_or_wrong_token_is_401_in_the_form_of_scim() {
    let mut world = world().await;
    let path = "/scim/v2/idm/Users?filter=userName eq \"x\"";
    for token in [Some("non-token"), None, Some(""), Some("Basic abc"), Some("Bearer nobody has this token")] {
        let refused = world.function.request(event("GET", path, token, &Value::Null)).await;
        assert_eq!(refused.status, 401, "{token:?}: {}", refused.text);
        let body = refused.json();
        assert_eq!(body["status"], "401");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn wrong_token_that_cannot_be_checked_again_yet_is_not_called_right() {
    let mut world = world().await;
    let wrong = event("GET", "/scim/v2/idm/Users", Some("Bearer nobody has this token"), &Value::Null);
    assert_eq!(world.function.request(wrong.clone()).await.status, 401);
    let again = world.function.request(wrong).await;
    assert_eq!((again.status, again.headers["retry-after"].as_str()), (503, "60"));
    assert!(again.json()["detail"].as_str().is_some_and(|detail| detail.starts_with("the token does not match")));
}

#[tokio::test]
async fn path_that_is_too_long_is_not_found_in_the_form_of_its_endpoint() {
    let mut world = world().await;
    for path in [format!("/scim/v2/idm/Users/{}", "a".repeat(5000)), format!("/scim/v2/idm/Users{}", "/".repeat(5000))]
    {
        let reply = send(&mut world, "DELETE", &path, Value::Null).await;
        assert_eq!((reply.status, &reply.json()["status"]), (404, &json!("404")));
    }
    for path in [format!("/webhooks/idm/{}", "a".repeat(5000)), format!("/scim/v2/{}", "a".repeat(5000))] {
        let reply = send(&mut world, "POST", &path, json!({})).await;
        assert_eq!((reply.status, &reply.json()["type"]), (404, &json!("urn:offboard:problem:not-found")));
    }
}

#[tokio::test]
async fn token_is_rotated_without_a_gap() {
    let mut world = world().await;
    assert_eq!(send(&mut world, "GET", "/scim/v2/idm/Users", Value::Null).await.status, 200);
    world.vault.put("offboard/sources/idm", &json!({ "tokens": [TOKEN, NEXT] }).to_string());
    let next = format!("Bearer {NEXT}");
    for token in [next.as_str(), &format!("Bearer {TOKEN}")] {
        let reply = world.function.request(event("GET", "/scim/v2/idm/Users", Some(token), &Value::Null)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
}

#[tokio::test]
async fn previous_version_of_the_secret_is_accepted_as_well() {
    let world = World::with(SOURCE, "", &[]).await;
    world.vault.put("offboard/sources/idm", &json!({ "token": TOKEN }).to_string());
    world.vault.put("offboard/sources/idm", &json!({ "token": NEXT }).to_string());
    let mut world = world;
    assert_eq!(send(&mut world, "GET", "/scim/v2/idm/Users", Value::Null).await.status, 200);
}

#[tokio::test]
async fn protocols_do_not_mix_and_what_is_unknown_is_not_found() {
    let mut world = world().await;
    for path in ["/scim/v2/hr/Users", "/scim/v2/nobody/Users", "/scim/v2/idm", "/scim/v2/idm/Nothing"] {
        let reply = send(&mut world, "GET", path, Value::Null).await;
        assert_eq!((reply.status, &reply.json()["status"]), (404, &json!("404")), "{path}");
    }
    for path in ["/webhooks/idm", "/scim/v2"] {
        let reply = send(&mut world, "POST", path, json!({})).await;
        assert_eq!((reply.status, &reply.json()["type"]), (404, &json!("urn:offboard:problem:not-found")), "{path}");
    }
}

#[tokio::test]
async fn body_over_the_limit_and_body_that_is_no_json_are_refused() {
    let mut world = world().await;
    let large = json!({"userName": "x".repeat(1 << 20)});
    assert_eq!(send(&mut world, "POST", "/scim/v2/idm/Users", large).await.status, 413);
    let mut torn = event("POST", "/scim/v2/idm/Users", Some(&format!("Bearer {TOKEN}")), &json!({}));
    torn["body"] = json!("{\"userName\": \"a\", \"userName\": \"b\"}");
    let reply = world.function.request_within(torn, Duration::from_secs(15)).await;
    assert_eq!((reply.status, &reply.json()["scimType"]), (400, &json!("invalidSyntax")));
}

#[tokio::test]
async fn client_that_wants_plain_json_gets_it() {
    let mut world = world().await;
    for (accept, media_type) in [("application/json", "application/json"), ("*/*", "application/scim+json")] {
        let mut event = event("GET", "/scim/v2/idm/Users", Some(&format!("Bearer {TOKEN}")), &Value::Null);
        event["headers"]["accept"] = json!(accept);
        let reply = world.function.request(event).await;
        assert_eq!(reply.headers["content-type"], media_type);
    }
}
