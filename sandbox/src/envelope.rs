//! The event that an API Gateway HTTP API hands to a function, payload format 2.0:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

/// One HTTP request as it arrives at the gateway.
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// The headers, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The event for one request.
pub fn event(request: &Request, request_id: &str, now: OffsetDateTime) -> Value {
    let (headers, cookies) = headers(&request.headers);
    let query = joined(form_urlencoded::parse(request.query.as_bytes()).into_owned());
    let agent = headers.get("user-agent").cloned().unwrap_or_default();
    let mut event = json!({
        "version": "2.0", "routeKey": "$default",
        "rawPath": request.path, "rawQueryString": request.query,
        "headers": headers, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "123456789012", "apiId": "sandbox", "domainName": "sandbox.example.com",
            "domainPrefix": "sandbox", "requestId": request_id, "routeKey": "$default", "stage": "$default",
            "http": {
                "method": request.method, "path": request.path, "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": agent,
            },
            "time": clock(now), "timeEpoch": now.unix_timestamp_nanos() / 1_000_000,
        },
    });
    // What is empty is left out, as the gateway does.
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query);
    }
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !request.body.is_empty() {
        let (body, encoded) = body(&request.body, event["headers"]["content-type"].as_str());
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(encoded);
    }
    event
}

/// Lower-cased names, several values in one, cookies apart.
fn headers(sent: &[(String, String)]) -> (BTreeMap<String, String>, Vec<String>) {
    let lower = sent.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let (cookies, headers): (Vec<_>, Vec<_>) = lower.partition(|(name, _)| name == "cookie");
    let cookies = cookies.iter().flat_map(|(_, value)| value.split("; ")).map(str::to_owned);
    (joined(headers.into_iter()), cookies.collect())
}

fn joined(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        joined.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    joined
}

/// A body as text if its media type says so, otherwise in base64.
fn body(bytes: &[u8], media_type: Option<&str>) -> (String, bool) {
    let media_type = media_type.unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let textual = media_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&media_type.as_str())
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml");
    match std::str::from_utf8(bytes) {
        Ok(text) if textual => (text.to_owned(), false),
        _ => (STANDARD.encode(bytes), true),
    }
}

fn clock(now: OffsetDateTime) -> String {
    let format = format_description!(
        "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    now.format(format).unwrap_or_default()
}

/// A function's answer, as the gateway reads it.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Reads a function's answer; `None` if the gateway would call it malformed.
pub fn answer(said: &Value) -> Option<Answer> {
    let status = u16::try_from(said.get("statusCode")?.as_u64()?).ok()?;
    let text = said.get("body").and_then(Value::as_str).unwrap_or_default();
    let body = match said.get("isBase64Encoded") {
        Some(Value::Bool(true)) => STANDARD.decode(text).ok()?,
        _ => text.as_bytes().to_vec(),
    };
    let texts = |name: &str| said.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut headers: Vec<(String, String)> = texts("headers").into_iter().filter_map(text_pair).collect();
    for (name, values) in texts("multiValueHeaders") {
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        let values = values.as_array().cloned().unwrap_or_default();
        headers.extend(values.into_iter().filter_map(|value| text_pair((name.clone(), value))));
    }
    Some(Answer { status, headers, body })
}

fn text_pair((name, value): (String, Value)) -> Option<(String, String)> {
    value.as_str().map(|text| (name, text.to_owned()))
}

/// The document with which the gateway answers for a function that did not.
pub fn refusal(status: u16, message: &str) -> Answer {
    let mut body = Map::new();
    body.insert("message".into(), json!(message));
    let headers = vec![("content-type".into(), "application/json".into())];
    Answer { status, headers, body: Value::Object(body).to_string().into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], body: &[u8]) -> Request {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Request {
            method: "POST".into(),
            path: "/webhooks/a%20b".into(),
            query: "x=1&x=2&y=%2B".into(),
            headers: headers.collect(),
            body: body.to_vec(),
        }
    }

    #[test]
    fn several_values_are_joined_and_cookies_stand_apart() {
        let sent = [("X-A", "1"), ("x-a", "2"), ("Cookie", "k=v; l=w"), ("Content-Type", "application/json")];
        let event = event(&request(&sent, b"{}"), "id", OffsetDateTime::UNIX_EPOCH);
        assert_eq!(event["headers"]["x-a"], "1,2");
        assert_eq!(event["cookies"], json!(["k=v", "l=w"]));
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "+" }));
        assert_eq!(event["rawPath"], "/webhooks/a%20b");
        assert_eq!(event["body"], "{}");
        assert_eq!(event["requestContext"]["time"], "01/Jan/1970:00:00:00 +0000");
    }

    #[test]
    fn what_is_not_text_is_base64() {
        let sent = [("content-type", "application/octet-stream")];
        let event = event(&request(&sent, b"\xff\x00"), "id", OffsetDateTime::UNIX_EPOCH);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }

    #[test]
    fn an_answer_without_a_status_is_malformed() {
        assert!(answer(&json!({ "body": "x" })).is_none());
        let read = answer(&json!({ "statusCode": 200, "multiValueHeaders": { "a": ["1", "2"] }, "body": "eA==",
            "isBase64Encoded": true }));
        let read = read.expect("it has a status");
        assert_eq!((read.status, read.body.as_slice(), read.headers.len()), (200, b"x".as_slice(), 2));
    }
}
