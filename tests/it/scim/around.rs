//! What a client changes right around a departure, or of a user who left: whose address, and whose departure, it is.

use std::time::Duration;

use offboard::{operator::Decision, outcome::Outcome};

use super::*;
use crate::flow::world::{DAY, HOUR, MINUTE, recorded};

fn email(address: &str) -> Value {
    json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": address})
}

fn off() -> Value {
    json!({"op": "replace", "path": "active", "value": false})
}

async fn patch_all(world: &World, id: &str, operations: &[Value]) {
    expect(world, 200, &format!("PATCH /Users/{id}"), json!({"Operations": operations})).await;
}

/// A user whose user name is no address, with this address at work.
async fn with_address(world: &World, name: &str, address: &str) -> String {
    let user = json!({"userName": name, "emails": [{"value": address, "type": "work"}]});
    let id = post(world, 201, user).await;
    world.go(2 * HOUR);
    id
}

#[tokio::test]
async fn user_who_gets_another_external_id_while_inactive_may_be_another_person() {
    let relinked = json!({"op": "replace", "path": "externalId", "value": "8"});
    let on = json!({"op": "replace", "path": "active", "value": true});
    for writes in [vec![vec![on.clone(), relinked.clone()]], vec![vec![relinked], vec![on]]] {
        let world = World::new().await;
        let john = post(&world, 201, json!({"userName": "john@example.com", "externalId": "7"})).await;
        world.go(2 * HOUR);
        set_active(&world, &john, false).await;
        settle(&world, &format!("scim/{john}.1")).await;
        world.go(10 * DAY);
        world.vendors.have(&["john@example.com"]);
        for operations in writes {
            patch_all(&world, &john, &operations).await;
        }
        world.go(20 * DAY);
        delete(&world, &john).await;
        let record = settle(&world, &format!("scim/{john}.2")).await;
        assert_eq!(held_for(&record), (State::Held, vec![Veto::RemovedRightAfterCreation]));
    }
}

#[tokio::test]
async fn deactivation_that_comes_with_another_external_id_is_held() {
    let world = World::new().await;
    let john = post(&world, 201, json!({"userName": "john@example.com", "externalId": "8"})).await;
    world.go(2 * HOUR);
    let old = json!({"userName": "john@example.com", "externalId": "7", "active": false});
    expect(&world, 200, &format!("PUT /Users/{john}"), old).await;
    let record = settle(&world, &format!("scim/{john}.1")).await;
    assert_eq!(held_for(&record), (State::Held, vec![Veto::RemovedRightAfterCreation]));
}

#[tokio::test]
async fn address_that_was_replaced_when_the_person_came_back_is_former() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let ann = post(&world, 201, json!({"userName": "ann@example.com", "externalId": "00u1"})).await;
    world.go(2 * HOUR);
    set_active(&world, &ann, false).await;
    world.go(Duration::from_secs(30));
    assert_eq!(post(&world, 201, json!({"userName": "ann.b@example.com", "externalId": "00u1"})).await, ann);
    settle(&world, &format!("scim/{ann}.1")).await;
    world.go(30 * DAY);
    set_active(&world, &ann, false).await;
    settle(&world, &format!("scim/{ann}.2")).await;
    world.go(2 * HOUR);
    for departure in [1, 2] {
        let record = world.advance(&format!("scim/{ann}.{departure}")).await;
        assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("former_address")), "{departure}");
    }
    assert_eq!(world.vendors.left(), ["access ann@example.com", "instaply ann@example.com"]);
}

#[tokio::test]
async fn address_of_the_write_by_which_a_user_leaves_is_reported() {
    let same = [vec![email("ann.b@example.com"), off()]];
    let after = [vec![off()], vec![email("ann.b@example.com")]];
    for writes in [same.to_vec(), after.to_vec()] {
        let world = World::new().await;
        world.vendors.have(&["ann.b@example.com"]);
        let ann = with_address(&world, "ann", "ann@example.com").await;
        for operations in &writes {
            patch_all(&world, &ann, operations).await;
        }
        let record = settle(&world, &format!("scim/{ann}.1")).await;
        assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("new_address")), "{writes:?}");
        assert_eq!(record.state, State::NeedsAttention);
        assert_eq!(world.vendors.left(), ["access ann.b@example.com", "instaply ann.b@example.com"]);
        world.release(&record.id).await;
        assert_eq!(world.vendors.left(), ["instaply ann.b@example.com"]);
    }
}

#[tokio::test]
async fn mail_that_is_led_to_a_colleague_by_the_same_write_holds_nothing() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "boss@example.com"]);
    with_address(&world, "boss", "boss@example.com").await;
    let ann = with_address(&world, "ann", "ann@example.com").await;
    patch_all(&world, &ann, &[email("boss@example.com"), off()]).await;
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(held_for(&record), (State::Done, vec![]));
    assert_eq!(world.vendors.left(), ["access boss@example.com", "instaply boss@example.com"]);
}

#[tokio::test]
async fn next_holder_of_an_address_counts_also_before_they_are_active() {
    for wait in [0, 30] {
        let world = World::new().await;
        world.vendors.have(&["info@example.com"]);
        let ann = with_address(&world, "ann", "info@example.com").await;
        set_active(&world, &ann, false).await;
        world.go(Duration::from_secs(wait));
        let emails = json!([{"value": "info@example.com", "type": "work"}]);
        post(&world, 201, json!({"userName": "lee", "active": false, "emails": emails})).await;
        let record = settle(&world, &format!("scim/{ann}.1")).await;
        assert_eq!(held_for(&record), (State::Pending, vec![Veto::ActiveElsewhere]));
        assert_eq!(world.vendors.removals(), 0);
    }
}

#[tokio::test]
async fn dismissal_outlasts_a_change_of_the_inactive_user() {
    let world = World::new().await;
    world.vendors.have(&["bea@example.com"]);
    let bea = with_address(&world, "bea", "bea@example.com").await;
    let other = {
        let user = json!({"userName": "bea", "emails": [{"value": "bea@example.com", "type": "work"}]});
        send(&world, "scim2", "POST /Users", user).await.body["id"].as_str().unwrap().to_owned()
    };
    world.go(2 * HOUR);
    set_active(&world, &bea, false).await;
    settle(&world, &format!("scim/{bea}.1")).await;
    world.decide(&format!("scim/{bea}.1"), Decision::Dismiss).await.unwrap();
    patch(&world, &bea, json!({"op": "replace", "path": "displayName", "value": "Bea"})).await;
    let body = json!({"Operations": [off()]});
    assert_eq!(send(&world, "scim2", &format!("PATCH /Users/{other}"), body).await.status, 200);
    let record = settle(&world, &format!("scim2/{other}.1")).await;
    assert!(vetoes(&record).contains(&Veto::ActiveElsewhere));
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn address_that_was_taken_away_is_former() {
    let gone = [
        json!({"op": "remove", "path": "emails"}),
        json!({"op": "replace", "path": "emails", "value": []}),
        email(""),
        json!({"op": "remove", "path": "emails[type eq \"work\"].value"}),
    ];
    for operation in gone {
        let world = World::new().await;
        world.vendors.have(&["info@example.com"]);
        let ann = with_address(&world, "ann", "info@example.com").await;
        patch(&world, &ann, operation.clone()).await;
        world.go(28 * DAY);
        set_active(&world, &ann, false).await;
        let record = settle(&world, &format!("scim/{ann}.1")).await;
        assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("former_address")), "{operation}");
    }
}

#[tokio::test]
async fn first_address_of_a_user_right_before_leaving_is_new() {
    let world = World::new().await;
    world.vendors.have(&["boss@example.com"]);
    let ann = create(&world, "ann").await;
    world.go(2 * HOUR);
    patch_all(&world, &ann, &[json!({"op": "add", "path": "emails", "value": [{"value": "boss@example.com"}]})]).await;
    world.go(MINUTE);
    set_active(&world, &ann, false).await;
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("new_address")));
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn every_address_that_is_kept_of_an_active_user_protects_it() {
    let world = World::new().await;
    world.vendors.have(&["b49@example.com"]);
    let emails: Vec<_> = (0..50).map(|n| json!({"value": format!("b{n}@example.com"), "type": "work"})).collect();
    post(&world, 201, json!({"userName": "bea", "emails": emails})).await;
    let ann = with_address(&world, "ann", "b49@example.com").await;
    set_active(&world, &ann, false).await;
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert!(vetoes(&record).contains(&Veto::ActiveElsewhere));
    assert_eq!(world.vendors.removals(), 0);
}

/// Boss, whose mail Ann's becomes in the moments before she leaves, or afterwards, is known to no source: only the time tells them apart.
const BOTH: [&str; 2] = ["ann@example.com", "boss@example.com"];

fn remove_emails() -> Value {
    json!({"op": "remove", "path": "emails"})
}

fn add_email(address: &str) -> Value {
    json!({"op": "add", "path": "emails", "value": [{"value": address, "type": "work"}]})
}

#[tokio::test]
async fn address_that_is_new_around_a_departure_is_removed_by_no_return_and_no_second_write() {
    let on = || json!({"op": "replace", "path": "active", "value": true});
    let boss = || email("boss@example.com");
    let histories = [
        vec![boss(), off(), on(), off()],
        vec![boss(), off(), remove_emails(), add_email("boss@example.com")],
        vec![boss(), off(), email("ann@example.com"), boss()],
        vec![off(), on(), boss(), off()],
    ];
    for writes in histories {
        let world = World::new().await;
        world.vendors.have(&BOTH);
        let ann = with_address(&world, "ann", "ann@example.com").await;
        for operation in &writes {
            patch_all(&world, &ann, std::slice::from_ref(operation)).await;
            world.go(Duration::from_secs(2));
        }
        world.go(MINUTE * 3);
        for _ in 0..3 {
            world.tick_and_follow().await;
            world.go(2 * HOUR);
        }
        assert!(world.vendors.left().contains(&"access boss@example.com".to_owned()), "{writes:?}");
    }
}

#[tokio::test]
async fn release_of_a_return_covers_no_address_that_was_new_before_the_departure() {
    let world = World::new().await;
    world.vendors.have(&BOTH);
    let ann = with_address(&world, "ann", "ann@example.com").await;
    for operation in [email("boss@example.com"), off(), json!({"op": "replace", "path": "active", "value": true})] {
        patch_all(&world, &ann, &[operation]).await;
    }
    let id = format!("scim/{ann}.1");
    assert_eq!(held_for(&settle(&world, &id).await), (State::Held, vec![Veto::PersonReturned]));
    let record = world.release(&id).await;
    assert_eq!(recorded(&record)["access"].0, Outcome::Ambiguous);
    assert_eq!(world.vendors.left().len(), 4, "{record:?}");
}

#[tokio::test]
async fn first_address_of_a_user_who_left_needs_a_release() {
    let world = World::new().await;
    world.vendors.have(&BOTH);
    let ann = post(&world, 201, json!({"userName": "ann"})).await;
    world.go(2 * HOUR);
    world.pause(true).await;
    set_active(&world, &ann, false).await;
    settle(&world, &format!("scim/{ann}.1")).await;
    patch_all(&world, &ann, &[add_email("boss@example.com")]).await;
    world.pause(false).await;
    world.go(HOUR);
    let record = world.advance(&format!("scim/{ann}.1")).await;
    assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("new_address")));
    assert_eq!((record.state, world.vendors.left().len()), (State::NeedsAttention, 4));
    world.release(&record.id).await;
    assert_eq!(
        world.vendors.left(),
        ["access ann@example.com", "instaply ann@example.com", "instaply boss@example.com"]
    );
}
