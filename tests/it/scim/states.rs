//! Each line of the table of a user's states: what is kept, what comes, the answer, and what it means for the ledger.

use offboard::ledger::IdentityKey;

use super::*;
use crate::flow::world;

/// Whether the identity map knows the user as active, by the last word.
async fn known(world: &World, id: &str) -> Option<(bool, Vec<String>)> {
    let key = IdentityKey::of("scim", &world::id(id)).unwrap();
    let known = world.ledger.known(&key).await.unwrap()?;
    let current = known.emails.iter().filter(|held| held.until().is_none());
    Some((known.active.is_some(), current.map(|held| held.text.clone()).collect()))
}

#[tokio::test]
async fn new_user_is_created_and_known_as_active() {
    let world = World::new().await;
    for active in [json!({}), json!({"active": true})] {
        let mut user = json!({"userName": format!("ann{}@example.com", active.as_object().unwrap().len())});
        user.as_object_mut().unwrap().extend(active.as_object().unwrap().clone());
        let reply = send(&world, "scim", "POST /Users", user.clone()).await;
        let id = reply.body["id"].as_str().unwrap();
        assert_eq!(
            (reply.status, &reply.body["active"], &reply.body["userName"]),
            (201, &json!(true), &user["userName"])
        );
        assert_eq!(reply.location.unwrap(), format!("https://api.example.com/scim/v2/scim/Users/{id}"));
        assert_eq!(reply.body["meta"]["location"], format!("https://api.example.com/scim/v2/scim/Users/{id}"));
        assert_eq!(reply.media_type.as_deref(), Some("application/scim+json"));
        let address = user["userName"].as_str().unwrap().to_owned();
        assert_eq!(known(&world, id).await, Some((true, vec![address])));
        assert_eq!(get(&world, id).await, reply.body);
    }
    assert_eq!(departures(&world).await, [""; 0]);
}

#[tokio::test]
async fn user_who_is_created_inactive_never_left() {
    let world = World::new().await;
    let id = post(&world, 201, json!({"userName": "ann@example.com", "active": false})).await;
    assert_eq!(get(&world, &id).await["active"], false);
    assert_eq!(known(&world, &id).await, Some((false, vec!["ann@example.com".to_owned()])));
    set_active(&world, &id, false).await;
    delete(&world, &id).await;
    assert_eq!(departures(&world).await, [""; 0]);
}

#[tokio::test]
async fn write_that_leaves_a_user_active_stores_what_is_new_of_the_addresses() {
    let world = World::new().await;
    let id = create(&world, "ann@example.com").await;
    world.go(world::MINUTE);
    patch(&world, &id, json!({"op": "Replace", "path": "userName", "value": "lee@example.com"})).await;
    assert_eq!(known(&world, &id).await, Some((true, vec!["lee@example.com".to_owned()])));
    let body = json!({"userName": "li@example.com", "active": true});
    let put = expect(&world, 200, &format!("PUT /Users/{id}"), body.clone()).await;
    assert_eq!((&put["userName"], &put["id"]), (&json!("li@example.com"), &json!(id)));
    assert_eq!(known(&world, &id).await, Some((true, vec!["li@example.com".to_owned()])));
    let refused = expect(&world, 409, "POST /Users", body).await;
    assert_eq!((&refused["scimType"], &refused["status"]), (&json!("uniqueness"), &json!("409")));
    assert_eq!(departures(&world).await, [""; 0]);
}

#[tokio::test]
async fn active_user_who_is_disabled_left() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "lee@example.com", "joann@example.com"]);
    let [ann, lee] = staff(&world, ["ann@example.com", "lee@example.com"]).await;
    assert_eq!(set_active(&world, &ann, false).await["active"], false);
    let off = json!({"userName": "lee@example.com", "active": false});
    assert_eq!(expect(&world, 200, &format!("PUT /Users/{lee}"), off).await["active"], false);
    let mut expected = [format!("scim/{ann}.1"), format!("scim/{lee}.1")];
    expected.sort();
    assert_eq!(departures(&world).await, expected);
    for departure in expected {
        assert_eq!(held_for(&world.advance(&departure).await), (State::Pending, vec![Veto::Settling]));
    }
    for (id, _) in world.sqs.take() {
        assert_eq!(settle(&world, &id).await.state, State::Done);
    }
    assert_eq!(world.vendors.left(), ["access joann@example.com", "instaply joann@example.com"]);
}

#[tokio::test]
async fn active_user_who_is_deleted_left_and_is_not_found_any_more() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    delete(&world, &ann).await;
    expect(&world, 404, &format!("GET /Users/{ann}"), Value::Null).await;
    expect(&world, 404, &format!("DELETE /Users/{ann}"), Value::Null).await;
    expect(&world, 404, &format!("PATCH /Users/{ann}"), json!({"Operations": [{"op": "remove", "path": "active"}]}))
        .await;
    expect(&world, 404, &format!("PUT /Users/{ann}"), json!({"userName": "ann@example.com"})).await;
    let listed = expect(&world, 200, "GET /Users", Value::Null).await;
    assert_eq!((&listed["totalResults"], &listed["Resources"]), (&json!(0), &json!([])));
    assert_eq!(departures(&world).await, [format!("scim/{ann}.1")]);
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!((record.state, record.event.kind.as_str()), (State::Done, "user.deleted"));
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn inactive_user_who_is_disabled_again_changed_or_deleted_does_not_leave_again() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    set_active(&world, &ann, false).await;
    set_active(&world, &ann, false).await;
    patch(&world, &ann, json!({"op": "add", "path": "displayName", "value": "Ann"})).await;
    let put = json!({"userName": "ann.lee@example.com", "active": false});
    expect(&world, 200, &format!("PUT /Users/{ann}"), put).await;
    world.go(30 * world::DAY);
    delete(&world, &ann).await;
    assert_eq!(departures(&world).await, [format!("scim/{ann}.1")]);
    let former = known(&world, &ann).await.unwrap().1;
    assert_eq!(former, ["ann.lee@example.com"]);
}

#[tokio::test]
async fn inactive_user_who_is_enabled_or_posted_again_returned() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "lee@example.com", "kim@example.com"]);
    let [ann, lee] = staff(&world, ["ann@example.com", "lee@example.com"]).await;
    let kim = post(&world, 201, json!({"userName": "kim@example.com", "externalId": "00u1"})).await;
    world.go(2 * world::HOUR);
    for id in [&ann, &lee, &kim] {
        set_active(&world, id, false).await;
    }
    world.go(world::MINUTE);
    assert_eq!(set_active(&world, &ann, true).await["active"], true);
    assert_eq!(post(&world, 201, json!({"userName": "Lee@example.com"})).await, lee);
    let renamed = json!({"userName": "kim.li@example.com", "externalId": "00u1", "active": true});
    assert_eq!(post(&world, 201, renamed).await, kim);
    assert_eq!(get(&world, &kim).await["userName"], "kim.li@example.com");
    for id in [ann, lee, kim] {
        let record = settle(&world, &format!("scim/{id}.1")).await;
        assert_eq!(held_for(&record), (State::Held, vec![Veto::PersonReturned]));
    }
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn second_departure_of_a_user_has_an_id_of_its_own() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    for active in [false, true, false] {
        set_active(&world, &ann, active).await;
        world.go(world::MINUTE);
    }
    assert_eq!(departures(&world).await, [format!("scim/{ann}.1"), format!("scim/{ann}.2")]);
    assert_eq!(settle(&world, &format!("scim/{ann}.2")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn user_who_is_posted_after_a_deletion_has_a_new_id() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    delete(&world, &ann).await;
    world.go(world::MINUTE);
    let again = create(&world, "ann@example.com").await;
    assert_ne!(again, ann);
    // By the address it is the same person, who is back.
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(held_for(&record), (State::Held, vec![Veto::PersonReturned]));
    assert_eq!(world.vendors.removals(), 0);
}
