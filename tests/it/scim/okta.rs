//! Okta's published suite, "Okta SCIM 2.0 SPEC Test", in words of our own: every request, and every assertion about its answer.
//! <https://developer.okta.com/docs/guides/scim-provisioning-integration-test/>

use super::*;

/// What the suite asserts of an answer.
enum Assertion {
    Status(u16),
    /// Something stands here.
    Some(&'static str),
    Number(&'static str),
    Is(&'static str, Value),
    /// The list `schemas` has this.
    Schema(&'static str),
    /// Within 600 milliseconds.
    InTime,
}

use Assertion::{InTime, Is, Number, Schema, Status};

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Judges an answer; returns the number of assertions.
async fn judge(world: &World, request: &str, body: Value, assertions: Vec<Assertion>) -> (usize, Value) {
    let begun = std::time::Instant::now();
    let reply = send(world, "scim", request, body).await;
    let elapsed = begun.elapsed();
    let at = |pointer: &str| reply.body.pointer(pointer).unwrap_or(&Value::Null);
    for assertion in &assertions {
        match assertion {
            Status(status) => assert_eq!(reply.status, *status, "{request}"),
            Assertion::Some(pointer) => {
                let value = at(pointer);
                assert!(!value.is_null() && *value != json!("") && *value != json!([]), "{request}: {pointer}");
            }
            Number(pointer) => assert!(at(pointer).is_u64(), "{request}: {pointer}"),
            Is(pointer, value) => assert_eq!(at(pointer), value, "{request}: {pointer}"),
            Schema(schema) => assert!(at("/schemas").as_array().unwrap().contains(&json!(schema)), "{request}"),
            InTime => assert!(elapsed.as_millis() < 600, "{request}"),
        }
    }
    (assertions.len(), reply.body)
}

/// The suite's own user.
fn realistic() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "runscope300@example.com",
        "name": {"givenName": "Runscope", "familyName": "Tester"},
        "emails": [{"primary": true, "value": "runscope300@example.com", "type": "work"}],
        "displayName": "Runscope Tester", "active": true,
    })
}

#[tokio::test]
async fn suite_of_okta_holds_with_all_its_assertions() {
    let world = World::new().await;
    // One user must be there.
    let existing = json!({
        "userName": "ann@example.com", "name": {"givenName": "Ann", "familyName": "Lee"},
        "emails": [{"value": "ann@example.com", "type": "work", "primary": true}],
    });
    post(&world, 201, existing).await;
    let some = Assertion::Some;
    let mut counts = Vec::new();
    let (count, list) = judge(
        &world,
        "GET /Users?count=1&startIndex=1",
        Value::Null,
        vec![
            Status(200),
            some("/Resources"),
            Schema(LIST),
            Number("/itemsPerPage"),
            Number("/startIndex"),
            Number("/totalResults"),
            some("/Resources/0/id"),
            some("/Resources/0/name/familyName"),
            some("/Resources/0/name/givenName"),
            some("/Resources/0/userName"),
            some("/Resources/0/active"),
            some("/Resources/0/emails/0/value"),
        ],
    )
    .await;
    counts.push(count);
    let id = list["Resources"][0]["id"].clone();
    let (count, _) = judge(
        &world,
        &format!("GET /Users/{}", id.as_str().unwrap()),
        Value::Null,
        vec![
            Status(200),
            some("/id"),
            some("/name/familyName"),
            some("/name/givenName"),
            some("/userName"),
            some("/active"),
            some("/emails/0/value"),
            Is("/id", id.clone()),
        ],
    )
    .await;
    counts.push(count);
    let nobody = vec![Status(200), Schema(LIST), Is("/totalResults", json!(0))];
    counts.push(judge(&world, "GET /Users?filter=userName eq \"abcdefgh@example.com\"", Value::Null, nobody).await.0);
    let missing = vec![Status(404), some("/detail"), Schema(ERROR)];
    counts.push(judge(&world, "GET /Users/010101001010101011001010101011", Value::Null, missing).await.0);
    let nobody = vec![Status(200), Is("/totalResults", json!(0)), Schema(LIST)];
    counts
        .push(judge(&world, "GET /Users?filter=userName eq \"runscope300@example.com\"", Value::Null, nobody).await.0);
    let (count, created) = judge(
        &world,
        "POST /Users",
        realistic(),
        vec![
            Status(201),
            Is("/active", json!(true)),
            some("/id"),
            Is("/name/familyName", json!("Tester")),
            Is("/name/givenName", json!("Runscope")),
            Schema("urn:ietf:params:scim:schemas:core:2.0:User"),
            Is("/userName", json!("runscope300@example.com")),
        ],
    )
    .await;
    counts.push(count);
    let verified = vec![
        Status(200),
        Is("/userName", json!("runscope300@example.com")),
        Is("/name/familyName", json!("Tester")),
        Is("/name/givenName", json!("Runscope")),
    ];
    let url = format!("GET /Users/{}", created["id"].as_str().unwrap());
    counts.push(judge(&world, &url, Value::Null, verified).await.0);
    counts.push(judge(&world, "POST /Users", realistic(), vec![Status(409)]).await.0);
    let caps = "GET /Users?filter=userName eq \"RUNSCOPE300@EXAMPLE.COM\"";
    counts.push(judge(&world, caps, Value::Null, vec![Status(200)]).await.0);
    counts.push(judge(&world, "GET /Groups", Value::Null, vec![Status(200), InTime]).await.0);
    let missing = vec![Status(404), some("/detail"), Is("/status", json!("404")), Schema(ERROR)];
    counts.push(judge(&world, "GET /Users/00919288221112222", Value::Null, missing).await.0);
    // Four more are about a wrong token, at the function itself: `function::scim` has them.
    assert_eq!(counts.iter().sum::<usize>(), 52 - 4, "{counts:?}");
}
