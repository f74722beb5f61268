//! What is refused, and that a departure is never lost for an attribute on which nothing depends.

use super::*;
use crate::flow::world::HOUR;

const BOTH: &str = r#"{"Operations": [{"op": "replace", "path": "active", "value": true}], "operations": [{"op": "replace", "path": "active", "value": false}]}"#;

#[tokio::test]
async fn departure_is_recorded_whatever_else_the_request_holds() {
    let put = |field: &str, value: Value| {
        let mut user = json!({"userName": "ann@example.com", "externalId": "7", "active": false});
        user[field] = value;
        ("PUT", user)
    };
    let patch = |operation: Value| {
        let off = json!({"op": "Replace", "path": "active", "value": "False"});
        ("PATCH", json!({"Operations": [off, operation]}))
    };
    for (method, body) in [
        put("name", json!("Ann")),
        put("displayName", json!(["x"])),
        put("displayName", json!("x".repeat(2000))),
        put("externalId", json!(["x"])),
        put("emails", json!([{"value": "ann@example.com", "type": "work", "primary": ""}])),
        put("emails", json!([{"value": "ann@example.com", "type": ["work"]}])),
        put("emails", json!([{"value": 7, "type": "work"}, [], true])),
        patch(json!({"op": "replace", "path": "name", "value": "Ann"})),
        patch(json!({"op": "replace", "path": "displayName", "value": "x".repeat(2000)})),
        patch(json!({"op": "Replace", "path": "emails[type eq \"work\"]", "value": [{"value": "ann@example.com"}]})),
        patch(json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": ["x"]})),
    ] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        let ann = post(&world, 201, json!({"userName": "ann@example.com", "externalId": "7"})).await;
        world.go(2 * HOUR);
        let answer = expect(&world, 200, &format!("{method} /Users/{ann}"), body.clone()).await;
        assert_eq!(answer["active"], false, "{body}");
        assert_eq!(settle(&world, &format!("scim/{ann}.1")).await.state, State::Done, "{body}");
        assert_eq!(world.vendors.left(), [""; 0], "{body}");
    }
}

#[tokio::test]
async fn body_that_says_both_or_names_a_part_of_active_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    let operations = |operation: Value| json!({"Operations": [operation]});
    for (method, body, kind) in [
        ("PATCH", serde_json::from_str(BOTH).unwrap(), "invalidSyntax"),
        ("PATCH", operations(json!({"op": "replace", "value": {"active": true, "ACTIVE": false}})), "invalidSyntax"),
        (
            "PATCH",
            operations(json!({"op": "replace", "path": "active", "value": true, "VALUE": false})),
            "invalidSyntax",
        ),
        ("PUT", json!({"userName": "ann@example.com", "active": false, "Active": true}), "invalidSyntax"),
        ("PATCH", operations(json!({"op": "replace", "path": "active.value", "value": false})), "invalidPath"),
        ("PATCH", operations(json!({"op": "replace", "path": "active[type eq \"x\"]", "value": false})), "invalidPath"),
    ] {
        let refused = expect(&world, 400, &format!("{method} /Users/{ann}"), body).await;
        assert_eq!(refused["scimType"], kind);
    }
    assert_eq!(get(&world, &ann).await["active"], true);
    assert_eq!(departures(&world).await, [""; 0]);
}
