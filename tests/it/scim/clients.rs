//! Sequences of requests as each identity provider documents them.

use offboard::scim::{Patch, User};

use super::*;
use crate::flow::world::{self, HOUR, MINUTE};

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn found(world: &World, filter: &str) -> Vec<String> {
    let body = expect(world, 200, &format!("GET /Users?filter={filter}"), Value::Null).await;
    let ids = body["Resources"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn entra_tests_the_connection_creates_updates_and_unassigns_a_user() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "ann.lee@example.com"]);
    assert_eq!(found(&world, "userName+eq+%22a6b5-random%22").await, [""; 0]);
    for filter in ["externalId+eq+%224045%22", "userName+eq+%22ann%40example.com%22"] {
        assert_eq!(found(&world, filter).await, [""; 0]);
    }
    let user = json!({
        "schemas": [CORE, ENTERPRISE], "externalId": "4045", "userName": "ann@example.com", "active": true, "title": "x",
        "emails": [{"primary": true, "type": "work", "value": "ann@example.com"}],
        "meta": {"resourceType": "User"}, "name": {"formatted": "Ann Lee", "familyName": "Lee", "givenName": "Ann"},
        "roles": [], ENTERPRISE: {"manager": {"value": "9"}},
    });
    let ann = post(&world, 201, user).await;
    world.go(40 * MINUTE);
    let changes = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "ann.lee@example.com"},
        {"op": "Replace", "path": "userName", "value": "ann.lee@example.com"},
        {"op": "Add", "path": "nickName", "value": "Annie"},
        {"op": "Add", "path": "manager", "value": [{"$ref": "http://api.example.com/scim/Users/9", "value": "9"}]},
    ]});
    let changed = expect(&world, 200, &format!("PATCH /Users/{ann}"), changes).await;
    assert_eq!(changed["emails"], json!([{"primary": true, "type": "work", "value": "ann.lee@example.com"}]));
    let reference = format!("id+eq+%22{ann}%22+and+manager+eq+%229%22");
    assert_eq!(found(&world, &reference).await, [""; 0]);
    for filter in ["emails[type eq \"work\"].value eq \"ANN.lee@example.com\"", "externalId eq 4045"] {
        assert_eq!(found(&world, filter).await, [ann.as_str()], "{filter}");
    }
    world.go(HOUR);
    // Found once more, then un-assigned.
    get(&world, &ann).await;
    let unassigned = patch(&world, &ann, json!({"op": "Replace", "path": "active", "value": "False"})).await;
    assert_eq!(unassigned["active"], false);
    assert_eq!(found(&world, "userName+eq+%22ann.lee%40example.com%22").await, [ann.as_str()], "inactive ones, too");
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    // The former address is reported, and left to a person.
    assert_eq!(record.state, State::NeedsAttention);
    assert_eq!(world.vendors.left(), ["access ann@example.com", "instaply ann@example.com"]);
    // Thirty days later the recycle bin lets go.
    world.go(30 * world::DAY);
    delete(&world, &ann).await;
    assert_eq!(departures(&world).await, [format!("scim/{ann}.1")]);
}

#[tokio::test]
async fn entra_restores_a_user_who_was_deleted_softly() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    patch(&world, &ann, json!({"op": "replace", "value": {"active": "False", "name.givenName": "Ann"}})).await;
    world.go(MINUTE);
    let restored = patch(&world, &ann, json!({"op": "Replace", "path": "active", "value": "True"})).await;
    assert_eq!((&restored["active"], &restored["name"]["givenName"]), (&json!(true), &json!("Ann")));
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(held_for(&record), (State::Held, vec![Veto::PersonReturned]));
}

#[tokio::test]
async fn entra_finds_no_groups_and_cannot_create_any() {
    let world = World::new().await;
    let groups = "GET /Groups?excludedAttributes=members&filter=displayName eq \"x\"";
    let listed = expect(&world, 200, groups, Value::Null).await;
    assert_eq!((&listed["totalResults"], &listed["Resources"]), (&json!(0), &json!([])));
    for request in ["POST /Groups", "PATCH /Groups/1", "PUT /Groups/1", "DELETE /Groups/1"] {
        expect(&world, 501, request, json!({"displayName": "x"})).await;
    }
    expect(&world, 404, "GET /Groups/1", Value::Null).await;
}

/// What Microsoft's validator asks about users.
#[tokio::test]
async fn validator_of_microsoft_finds_what_it_asks_for() {
    let world = World::new().await;
    let id = create(&world, "CaseFilter@Test.Example.com").await;
    let user = get(&world, &id).await;
    assert_eq!((&user["schemas"], &user["meta"]["resourceType"]), (&json!([CORE]), &json!("User")));
    for filter in ["userName eq \"CASEFILTER@TEST.EXAMPLE.COM\"", "userName eq \"CaseFilter%2540Test.Example.com\""] {
        assert_eq!(found(&world, filter).await, [id.as_str()], "{filter}");
    }
    assert_eq!(found(&world, "userName eq \"nobody\"").await, [""; 0]);
    let verbose = json!({"Operations": [
        {"op": "replace", "path": "displayName", "value": "Updated"}, {"op": "replace", "path": "title", "value": "x"},
        {"op": "add", "path": format!("{ENTERPRISE}:manager"), "value": {"value": "mgr-1"}},
        {"op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": {"value": ""}},
        {"op": "replace", "path": "active", "value": false},
    ]});
    let changed = expect(&world, 200, &format!("PATCH /Users/{id}"), verbose).await;
    assert_eq!((&changed["displayName"], &changed["active"]), (&json!("Updated"), &json!(false)));
    let renamed = patch(&world, &id, json!({"op": "replace", "value": {"userName": "updated@example.com"}})).await;
    assert_eq!(renamed["userName"], "updated@example.com");
    expect(&world, 404, "DELETE /Users/nobody", Value::Null).await;
    delete(&world, &id).await;
    expect(&world, 404, &format!("DELETE /Users/{id}"), Value::Null).await;
}

#[tokio::test]
async fn okta_updates_by_put_of_what_it_read() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    expect(&world, 200, "GET /Users?startIndex=1&count=2", Value::Null).await;
    expect(&world, 200, "GET /Users?filter=userName eq \"ann@example.com\"&startIndex=1&count=100", Value::Null).await;
    let created = json!({
        "schemas": [CORE], "userName": "ann@example.com", "name": {"givenName": "Ann", "familyName": "Lee"},
        "emails": [{"primary": true, "value": "ann@example.com", "type": "work"}], "displayName": "Ann Lee",
        "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq", "active": true,
    });
    let ann = post(&world, 201, created).await;
    world.go(2 * HOUR);
    let mut body = get(&world, &ann).await;
    assert!(!body.to_string().contains("1mz050nq") && !store_text(&world).await.contains("1mz050nq"));
    body["active"] = json!(false);
    let put = expect(&world, 200, &format!("PUT /Users/{ann}"), body.clone()).await;
    assert_eq!((&put["active"], &get(&world, &ann).await["active"]), (&json!(false), &json!(false)));
    assert_eq!(settle(&world, &format!("scim/{ann}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
    body["active"] = json!(true);
    assert_eq!(expect(&world, 200, &format!("PUT /Users/{ann}"), body).await["active"], true);
}

#[tokio::test]
async fn jumpcloud_activates_with_a_test_user_and_removes_both() {
    let world = World::new().await;
    for _ in 0..2 {
        let id = create(&world, "test@example.com").await;
        expect(&world, 501, "POST /Groups", json!({"displayName": "test"})).await;
        delete(&world, &id).await;
        let record = settle(&world, &format!("scim/{id}.1")).await;
        assert_eq!(record.state, State::Held);
        assert!(vetoes(&record).contains(&Veto::RemovedRightAfterCreation));
    }
}

#[tokio::test]
async fn onelogin_enables_and_deletes() {
    let world = World::new().await;
    assert_eq!(found(&world, "userName eq \"nobody\"").await, [""; 0]);
    expect(&world, 200, "GET /Groups", Value::Null).await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    delete(&world, &ann).await;
    assert_eq!(departures(&world).await, [format!("scim/{ann}.1")]);
}

#[tokio::test]
async fn personnel_number_is_the_external_id_where_the_source_says_so() {
    let world = World::new().await;
    let user = json!({"userName": "ann@example.com", "externalId": "00u1", ENTERPRISE: {"employeeNumber": "4711"}});
    for (source, number, external_id) in
        [("scim2", json!({"employeeNumber": "4711"}), "4711"), ("scim", Value::Null, "00u1")]
    {
        let created = send(&world, source, "POST /Users", user.clone()).await.body;
        assert_eq!(created[ENTERPRISE], number);
        world.go(2 * HOUR);
        let id = created["id"].as_str().unwrap();
        assert_eq!(send(&world, source, &format!("DELETE /Users/{id}"), Value::Null).await.status, 204);
        let record = world.record(&format!("{source}/{id}.1")).await;
        assert_eq!(record.person.person().external_id.as_deref(), Some(external_id));
    }
}

#[test]
fn recorded_body_of_a_client_disables_where_its_index_says_so() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/payloads");
    let read = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(format!("{folder}/{name}")).unwrap()).unwrap()
    };
    let mut count = 0;
    for entry in read("INDEX.json").as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        if !file.starts_with("scim.") {
            continue;
        }
        let (body, mut user) = (read(file), User::default());
        user.write(&json!({"userName": "ann@example.com", "active": true})).unwrap();
        match file.starts_with("scim.patch") {
            true => Patch::read(&body).unwrap().apply(&mut user).unwrap(),
            false => user.write(&body).unwrap(),
        }
        let left = entry["expect"][0]["verdict"] == "leaver";
        assert_eq!(user.active, Some(!left), "{file}");
        count += 1;
    }
    assert_eq!(count, 6);
}
