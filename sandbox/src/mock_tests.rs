//! A mock service answers what it knows and refuses the rest.

use axum::http::{HeaderName, HeaderValue};
use serde_json::json;

use super::*;
use crate::delivery::Delivery;
use crate::{
    aws::secrets_manager::SecretsManager,
    vendors::{cloudflare_access::CloudflareAccess, flashduty::Flashduty, stytch_b2b::StytchB2b},
};

pub(crate) fn call(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Call {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"))
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(pair) {
        map.append(name, value);
    }
    let (method, uri) = (method.parse().expect("a method"), uri.parse().expect("a URI"));
    Call { number: 1, method, uri, headers: map, body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn flashduty() -> Flashduty {
    Flashduty { app_key: "key".into(), members: Vec::new() }
}

#[tokio::test]
async fn an_unknown_call_is_501_and_remembered_without_its_key() {
    let host = IpAddr::from([127, 0, 0, 1]);
    let server = MockServer::start("flashduty", host, flashduty()).await.expect("a free port");
    let delivery = Delivery { headers: Vec::new(), body: Vec::new() };
    let reply = delivery.send(&server.url("/member/lst?app_key=key")).await.expect("an answer");
    assert_eq!((reply.status, server.calls()), (501, 1));
    assert_eq!(server.unknown(), ["flashduty: POST /member/lst: no such call"]);
    server.answer_next([Answer::empty(503)]);
    assert_eq!(delivery.send(&server.url("/member/list?app_key=key")).await.expect("an answer").status, 503);
}

#[test]
fn every_part_of_a_call_must_be_known() {
    let json = ("content-type", "application/json");
    let list = r#"{"p":1,"limit":100,"query":""}"#;
    let ask = |uri: &str, headers: &[(&str, &str)], body: &str| {
        flashduty().answer(&call("POST", uri, headers, body)).map(|answer| answer.status).map_err(|Unknown(what)| what)
    };
    assert_eq!(ask("/member/list?app_key=key", &[json], list), Ok(200));
    assert_eq!(ask("/member/list?app_key=other", &[json], list), Ok(401));
    for (uri, headers, body, what) in [
        ("/member/list", &[json][..], list, "no app_key"),
        ("/member/list?app_key=key&x=1", &[json], list, "query parameter x"),
        ("/member/list?app_key=key&app_key=key", &[json], list, "query parameter app_key comes twice"),
        ("/member/list?app_key=key", &[], list, "header content-type is missing"),
        ("/member/list?app_key=key", &[json, json], list, "header content-type comes twice"),
        ("/member/list?app_key=key", &[("content-type", "text/plain")], list, "content type text/plain"),
        ("/member/list?app_key=key", &[json], r#"{"p":1}"#, "body: missing field"),
        ("/member/delete?app_key=key", &[json], r#"{"member_name":"Ann"}"#, "body: unknown field"),
        ("/member/list/?app_key=key", &[json], list, "no such call"),
    ] {
        let unknown = ask(uri, headers, body).expect_err(uri);
        assert!(unknown.starts_with(what), "{uri}: {unknown}");
    }
}

#[test]
fn credentials_of_another_form_are_unknown_and_wrong_ones_refused() {
    let uri = "/client/v4/accounts/a/access/users";
    let mut cloudflare = CloudflareAccess { account_id: "a".into(), api_token: "t".into(), users: Vec::new() };
    let mut ask = |authorization: &str| {
        cloudflare.answer(&call("GET", uri, &[("authorization", authorization)], "")).map(|answer| answer.status).ok()
    };
    assert_eq!([ask("Bearer t"), ask("Bearer x"), ask("Basic dDp0")], [Some(200), Some(403), None]);

    let uri = "/v1/b2b/organizations/o/member?email_address=ann%2Bx%40example.com";
    let mut stytch =
        StytchB2b { project_id: "p".into(), secret: "s".into(), organizations: vec!["o".into()], members: Vec::new() };
    let mut ask = |headers: &[(&str, &str)]| stytch.answer(&call("GET", uri, headers, "")).map(|a| a.status).ok();
    let right = ("authorization", "Basic cDpz");
    assert_eq!([ask(&[right]), ask(&[("authorization", "Basic cDp4")])], [Some(404), Some(401)]);
    assert_eq!([ask(&[]), ask(&[right, ("x-stytch-member-session", "s")])], [None, None]);
}

#[test]
fn a_rotated_secret_keeps_its_previous_version() {
    let mut secrets = SecretsManager::default();
    secrets.put("a", json!({ "token": "one" }));
    let ask = |secrets: &mut SecretsManager, target: &str, body: serde_json::Value| {
        let target = format!("secretsmanager.{target}");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
            ("authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/eu-central-1/secretsmanager/aws4_request"),
        ];
        let answer = secrets.answer(&call("POST", "/", &headers, &body.to_string())).expect("a known call");
        (answer.status, answer.document())
    };
    let previous = json!({ "SecretId": "a", "VersionStage": "AWSPREVIOUS" });
    assert_eq!(ask(&mut secrets, "GetSecretValue", previous.clone()).1["__type"], "ResourceNotFoundException");
    secrets.put("a", json!({ "token": "two" }));
    assert_eq!(ask(&mut secrets, "GetSecretValue", previous).1["SecretString"], r#"{"token":"one"}"#);
    let (status, batch) = ask(&mut secrets, "BatchGetSecretValue", json!({ "SecretIdList": ["a", "b"] }));
    assert_eq!((status, &batch["SecretValues"][0]["SecretString"]), (200, &json!(r#"{"token":"two"}"#)));
    assert_eq!(batch["Errors"][0]["SecretId"], "b");
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    assert_eq!(ask(&mut secrets, "BatchGetSecretValue", json!({ "SecretIdList": many })).0, 400);
    let mut values = secrets.values();
    values.sort();
    assert_eq!(values, ["one", "two"]);
}
