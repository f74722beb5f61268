//! A user name, an external id or an address that another user had before: whose departure is whose, and who is active.

use offboard::operator::Decision;

use super::*;
use crate::flow::world::{self, DAY, HOUR, MINUTE};

fn john(external_id: &str) -> Value {
    json!({"userName": "john@example.com", "externalId": external_id})
}

async fn named(world: &World, name: &str) -> Vec<String> {
    let query = format!("GET /Users?filter=userName eq \"{name}\"");
    let found = expect(world, 200, &query, Value::Null).await;
    let resources = found["Resources"].as_array().unwrap();
    resources.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
}

/// One who left, was removed, and whose name another person has now.
async fn inherited(world: &World) -> [String; 2] {
    world.vendors.have(&["john@example.com"]);
    let old = post(world, 201, john("7")).await;
    world.go(2 * HOUR);
    set_active(world, &old, false).await;
    assert_eq!(settle(world, &format!("scim/{old}.1")).await.state, State::Done);
    world.go(2 * HOUR);
    world.vendors.have(&["john@example.com"]);
    [old, post(world, 201, john("8")).await]
}

#[tokio::test]
async fn new_person_with_the_name_of_one_who_left_is_another_user() {
    let world = World::new().await;
    let [old, new] = inherited(&world).await;
    assert_ne!(old, new);
    assert_eq!(named(&world, "john@example.com").await, [new.as_str()]);
    assert_eq!(get(&world, &old).await["active"], false);
    expect(&world, 409, "POST /Users", john("8")).await;
    world.go(31 * DAY);
    delete(&world, &old).await;
    world.tick_and_follow().await;
    assert_eq!(departures(&world).await, [format!("scim/{old}.1")]);
    assert_eq!(world.vendors.left(), ["access john@example.com", "instaply john@example.com"]);
    set_active(&world, &new, false).await;
    assert_eq!(settle(&world, &format!("scim/{new}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn one_who_left_comes_back_under_an_inherited_name_only_once_it_is_free() {
    let world = World::new().await;
    let [old, new] = inherited(&world).await;
    let on = json!({"Operations": [{"op": "replace", "path": "active", "value": true}]});
    let refused = expect(&world, 409, &format!("PATCH /Users/{old}"), on).await;
    assert_eq!(refused["scimType"], "uniqueness");
    world.go(2 * HOUR);
    set_active(&world, &new, false).await;
    assert_eq!(named(&world, "john@example.com").await, [new.as_str()]);
    set_active(&world, &old, true).await;
    assert_eq!(named(&world, "john@example.com").await, [old.as_str()]);
    expect(&world, 409, "POST /Users", john("8")).await;
    set_active(&world, &old, false).await;
    for (external_id, id) in [("8", &new), ("7", &old)] {
        assert_eq!(post(&world, 201, john(external_id)).await, *id);
        set_active(&world, id, false).await;
    }
}

#[tokio::test]
async fn name_stays_with_an_active_user_however_many_inactive_ones_get_it() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    for n in 0..25 {
        let user = json!({"userName": format!("u{n}"), "externalId": format!("{n}"), "active": false});
        let id = post(&world, 201, user).await;
        patch(&world, &id, json!({"op": "replace", "path": "userName", "value": "ann@example.com"})).await;
    }
    assert_eq!(named(&world, "ann@example.com").await, [ann.as_str()]);
    expect(&world, 409, "POST /Users", json!({"userName": "ann@example.com"})).await;
}

#[tokio::test]
async fn deletion_of_a_user_who_was_created_again_is_held_and_a_deactivation_is_not() {
    let is_same = json!({"userName": "john@example.com", "externalId": "john"});
    let is_renamed = json!({"userName": "john.lee@example.com", "externalId": "john"});
    let has_no_id = json!({"userName": "john@example.com"});
    for (posted, is_deleted, is_held) in [
        (&is_same, true, true),
        (&is_same, false, false),
        (&is_renamed, true, true),
        (&has_no_id, true, true),
        (&is_renamed, false, false),
        (&has_no_id, false, false),
    ] {
        let world = World::new().await;
        let address = posted["userName"].as_str().unwrap();
        world.vendors.have(&["john@example.com"]);
        let id = post(&world, 201, is_same.clone()).await;
        world.go(2 * HOUR);
        set_active(&world, &id, false).await;
        settle(&world, &format!("scim/{id}.1")).await;
        world.go(2 * HOUR);
        world.vendors.have(&[address]);
        assert_eq!(post(&world, 201, posted.clone()).await, id, "the same user is meant");
        world.go(31 * DAY);
        match is_deleted {
            true => delete(&world, &id).await,
            false => _ = set_active(&world, &id, false).await,
        }
        let record = settle(&world, &format!("scim/{id}.2")).await;
        let expected =
            if is_held { (State::Held, vec![Veto::RemovedRightAfterCreation]) } else { (State::Done, vec![]) };
        assert_eq!(held_for(&record), expected, "{posted} {is_deleted}");
    }
}

#[tokio::test]
async fn rename_to_the_name_of_an_inactive_user_takes_it() {
    let world = World::new().await;
    let [ann, lee] = staff(&world, ["ann@example.com", "lee@example.com"]).await;
    set_active(&world, &ann, false).await;
    let rename = json!({"op": "replace", "path": "userName", "value": "ann@example.com"});
    assert_eq!(patch(&world, &lee, rename).await["userName"], "ann@example.com");
    assert_eq!(named(&world, "ann@example.com").await, [lee]);
}

#[tokio::test]
async fn rename_to_a_name_that_is_taken_does_not_cost_the_departure_of_the_same_request() {
    for is_holder_active in [true, false] {
        let world = World::new().await;
        let [ann, lee] = staff(&world, ["ann@example.com", "lee@example.com"]).await;
        if !is_holder_active {
            set_active(&world, &ann, false).await;
        }
        let put = json!({"userName": "ann@example.com", "active": false});
        assert_eq!(expect(&world, 200, &format!("PUT /Users/{lee}"), put).await["active"], false);
        assert_eq!(named(&world, "ann@example.com").await, [if is_holder_active { &ann } else { &lee }.as_str()]);
        assert!(departures(&world).await.contains(&format!("scim/{lee}.1")));
    }
}

fn work(name: &str, active: bool) -> Value {
    json!({"userName": name, "active": active, "emails": [{"value": "ann@example.com", "type": "work"}]})
}

/// What becomes of the departure of Ann, whose address another user has or had.
async fn ann_leaves(world: &World, ann: &str) -> (State, Vec<Veto>) {
    world.go(2 * HOUR);
    set_active(world, ann, false).await;
    settle(world, &format!("scim/{ann}.1")).await;
    for _ in 0..15 {
        world.go(5 * MINUTE);
        world.tick_and_follow().await;
    }
    held_for(&world.record(&format!("scim/{ann}.1")).await)
}

#[tokio::test]
async fn user_who_was_never_active_holds_nobodys_departure() {
    for (is_deleted, source) in [(false, "scim"), (true, "scim"), (false, "scim2")] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        let created = send(&world, source, "POST /Users", work("test", false)).await;
        if is_deleted {
            delete(&world, created.body["id"].as_str().unwrap()).await;
        }
        let ann = create(&world, "ann@example.com").await;
        assert_eq!(ann_leaves(&world, &ann).await, (State::Done, vec![]), "{is_deleted} {source}");
        assert_eq!(world.vendors.left(), [""; 0]);
    }
}

#[tokio::test]
async fn user_who_was_created_inactive_and_enabled_later_is_active() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let other = post(&world, 201, work("other", false)).await;
    let ann = create(&world, "ann@example.com").await;
    set_active(&world, &other, true).await;
    assert_eq!(ann_leaves(&world, &ann).await, (State::Held, vec![Veto::ActiveElsewhere]));
    set_active(&world, &other, false).await;
    settle(&world, &format!("scim/{other}.1")).await;
    for _ in 0..2 {
        world.go(HOUR);
        world.tick_and_follow().await;
    }
    for departure in [format!("scim/{ann}.1"), format!("scim/{other}.1")] {
        assert_eq!(world.record(&departure).await.state, State::Done, "{departure}");
    }
}

#[tokio::test]
async fn user_whose_departure_was_dismissed_holds_nobodys_departure_once_deleted() {
    for (is_deleted, is_written) in [(true, false), (false, true), (false, false)] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        let test = post(&world, 201, work("test", true)).await;
        match is_deleted {
            true => delete(&world, &test).await,
            false => _ = set_active(&world, &test, false).await,
        }
        let record = settle(&world, &format!("scim/{test}.1")).await;
        assert_eq!(record.state, State::Held);
        world.decide(&record.id, Decision::Dismiss).await.unwrap();
        if is_written {
            patch(&world, &test, json!({"op": "replace", "path": "displayName", "value": "Test"})).await;
        }
        let ann = create(&world, "ann@example.com").await;
        let expected = if is_deleted { (State::Done, vec![]) } else { (State::Held, vec![Veto::ActiveElsewhere]) };
        assert_eq!(ann_leaves(&world, &ann).await, expected, "{is_deleted} {is_written}");
    }
}

#[tokio::test]
async fn word_inactive_does_not_stand_for_a_departure_that_waits_for_a_person() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let test = post(&world, 201, work("test", true)).await;
    set_active(&world, &test, false).await;
    patch(&world, &test, json!({"op": "replace", "path": "displayName", "value": "Test"})).await;
    delete(&world, &test).await;
    let ann = create(&world, "ann@example.com").await;
    assert_eq!(ann_leaves(&world, &ann).await, (State::Held, vec![Veto::ActiveElsewhere]));
    let record = world.advance(&format!("scim/{test}.1")).await;
    assert!(vetoes(&record).contains(&Veto::RemovedRightAfterCreation), "nor does it hide the departure");
    world.decide(&record.id, Decision::Dismiss).await.unwrap();
    world.go(HOUR);
    world.tick_and_follow().await;
    assert_eq!(world.record(&format!("scim/{ann}.1")).await.state, State::Done);
}

#[tokio::test]
async fn user_who_is_inactive_here_and_active_in_another_source_is_not_removed() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    world.say("idp", [world::active(world::named("u1", "ann@example.com"), -60)]).await;
    let spare = post(&world, 201, work("spare", false)).await;
    let ann = create(&world, "ann@example.com").await;
    assert_eq!(ann_leaves(&world, &ann).await, (State::Held, vec![Veto::ActiveElsewhere]));
    delete(&world, &spare).await;
    assert_eq!(world.vendors.removals(), 0);
}
