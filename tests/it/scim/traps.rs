//! What goes wrong with SCIM in the field, each a test: who is removed by mistake, locked out, or forgotten.

use std::time::Duration;

use offboard::outcome::Outcome;

use super::*;
use crate::flow::world::{self, HOUR, MINUTE, recorded};

#[tokio::test]
async fn client_that_tests_itself_with_a_colleagues_address_removes_nobody() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    for is_deleted in [true, false] {
        let id = create(&world, "ann@example.com").await;
        world.go(59 * MINUTE);
        match is_deleted {
            true => delete(&world, &id).await,
            false => _ = set_active(&world, &id, false).await,
        }
        let record = settle(&world, &format!("scim/{id}.1")).await;
        assert_eq!(record.state, State::Held);
        assert!(vetoes(&record).contains(&Veto::RemovedRightAfterCreation));
    }
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn user_who_was_restored_by_the_clients_test_is_held_as_well() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    set_active(&world, &ann, false).await;
    world.go(24 * HOUR);
    assert_eq!(create(&world, "ann@example.com").await, ann);
    set_active(&world, &ann, false).await;
    let record = settle(&world, &format!("scim/{ann}.2")).await;
    assert_eq!(held_for(&record), (State::Held, vec![Veto::RemovedRightAfterCreation]));
}

#[tokio::test]
async fn departure_right_after_creation_is_carried_out_once_a_person_releases_it() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let id = create(&world, "ann@example.com").await;
    delete(&world, &id).await;
    settle(&world, &format!("scim/{id}.1")).await;
    assert_eq!(world.release(&format!("scim/{id}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn rename_by_a_new_user_with_the_same_external_id_is_not_a_departure() {
    for is_posted_first in [true, false] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com"]);
        let old = post(&world, 201, json!({"userName": "ann@example.com", "externalId": "00u1"})).await;
        world.go(2 * HOUR);
        let new = json!({"userName": "lee@example.com", "externalId": "00u1"});
        if is_posted_first {
            assert_ne!(post(&world, 201, new).await, old);
            set_active(&world, &old, false).await;
        } else {
            set_active(&world, &old, false).await;
            world.go(MINUTE);
            assert_eq!(post(&world, 201, new).await, old);
        }
        settle(&world, &format!("scim/{old}.1")).await;
        for _ in 0..30 {
            world.go(5 * MINUTE);
            world.tick_and_follow().await;
        }
        let record = world.record(&format!("scim/{old}.1")).await;
        let veto = if is_posted_first { Veto::ActiveElsewhere } else { Veto::PersonReturned };
        assert_eq!(held_for(&record), (State::Held, vec![veto]));
        assert_eq!(world.vendors.removals(), 0);
    }
}

#[tokio::test]
async fn address_that_a_user_gets_right_before_leaving_is_a_colleagues_until_a_release_showed_it() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "boss@example.com"]);
    let user = json!({"userName": "ann", "emails": [{"value": "ann@example.com", "type": "work"}]});
    let ann = post(&world, 201, user).await;
    world.go(2 * HOUR);
    let boss = json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "boss@example.com"});
    patch(&world, &ann, boss).await;
    world.go(Duration::from_secs(100));
    set_active(&world, &ann, false).await;
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(record.state, State::NeedsAttention);
    assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("new_address")));
    assert_eq!(recorded(&record)["instaply"], (Outcome::Unidentified, Some("new_address")));
    assert_eq!(world.vendors.left(), ["access boss@example.com", "instaply boss@example.com"]);
    // The address was theirs after all.
    world.release(&record.id).await;
    assert_eq!(world.vendors.left(), ["instaply boss@example.com"]);
}

#[tokio::test]
async fn address_that_a_user_got_before_settle_is_theirs() {
    let world = World::new().await;
    world.vendors.have(&["lee@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    patch(&world, &ann, json!({"op": "replace", "path": "userName", "value": "lee@example.com"})).await;
    world.go(Duration::from_secs(120));
    set_active(&world, &ann, false).await;
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!((record.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn name_that_is_freed_right_after_leaving_is_still_the_leavers() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    set_active(&world, &ann, false).await;
    world.go(MINUTE);
    patch(&world, &ann, json!({"op": "replace", "path": "userName", "value": "0f1aann@example.com"})).await;
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!((record.state, world.vendors.left()), (State::Done, vec![]));
}

#[tokio::test]
async fn names_are_kept_and_given_back() {
    let world = World::new().await;
    let user = json!({"userName": "ann@example.com", "name": {"givenName": "Ann", "familyName": "Lee"}});
    let id = post(&world, 201, user).await;
    let listed = expect(&world, 200, "GET /Users?count=1", Value::Null).await;
    assert_eq!(listed["Resources"][0]["name"], json!({"givenName": "Ann", "familyName": "Lee"}));
    assert_eq!(get(&world, &id).await["name"]["givenName"], "Ann");
}

#[tokio::test]
async fn form_that_is_not_understood_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    let before = get(&world, &ann).await;
    for (operation, kind) in [
        (json!({"op": "replace", "path": "active", "value": "gone"}), "invalidValue"),
        (json!({"op": "disable", "path": "active"}), "invalidSyntax"),
        (json!({"op": "replace", "path": "active eq true", "value": false}), "invalidPath"),
        (json!({"op": "remove"}), "noTarget"),
    ] {
        let refused = expect(&world, 400, &format!("PATCH /Users/{ann}"), json!({"Operations": [operation]})).await;
        assert_eq!(refused["scimType"], kind);
    }
    expect(&world, 400, &format!("PUT /Users/{ann}"), json!({"active": false})).await;
    expect(&world, 400, &format!("PUT /Users/{ann}"), json!({"userName": "ann@example.com", "active": "gone"})).await;
    assert_eq!(get(&world, &ann).await, before);
    assert_eq!(departures(&world).await, [""; 0]);
}

#[tokio::test]
async fn put_or_patch_without_active_is_not_a_departure() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    for body in
        [json!({"userName": "ann@example.com"}), json!({"userName": "ann@example.com", "active": null, "emails": null})]
    {
        let put = expect(&world, 200, &format!("PUT /Users/{ann}"), body).await;
        assert_eq!(put["active"], true);
    }
    assert_eq!(patch(&world, &ann, json!({"op": "remove", "path": "active"})).await["active"], true);
    assert_eq!(departures(&world).await, [""; 0]);
    set_active(&world, &ann, false).await;
    assert_eq!(patch(&world, &ann, json!({"op": "remove", "path": "active"})).await["active"], false);
    let record = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(record.state, State::Done, "to unset it is no return either");
}

#[tokio::test]
async fn address_that_changed_removes_nobody_and_the_new_one_is_looked_up() {
    let world = World::new().await;
    world.vendors.have(&["lee@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    let email = json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "lee@example.com"});
    patch(&world, &ann, email).await;
    patch(&world, &ann, json!({"op": "Replace", "path": "userName", "value": "lee@example.com"})).await;
    assert_eq!(departures(&world).await, [""; 0]);
    world.go(2 * MINUTE);
    set_active(&world, &ann, false).await;
    assert_eq!(settle(&world, &format!("scim/{ann}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn of_two_people_with_one_address_neither_is_removed_by_the_others_departure() {
    let world = World::new().await;
    world.vendors.have(&["team@example.com"]);
    let work = |name: &str| json!({"userName": name, "emails": [{"value": "team@example.com", "type": "work"}]});
    let ann = post(&world, 201, work("ann")).await;
    post(&world, 201, work("lee")).await;
    world.go(2 * HOUR);
    set_active(&world, &ann, false).await;
    settle(&world, &format!("scim/{ann}.1")).await;
    world.go(2 * HOUR);
    let record = world.advance(&format!("scim/{ann}.1")).await;
    assert_eq!(held_for(&record), (State::Held, vec![Veto::ActiveElsewhere]));
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn private_address_is_not_looked_up() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "shared@example.net"]);
    let emails = json!([{"value": "ann@example.com", "type": "work"}, {"value": "shared@example.net", "type": "home"}]);
    let ann = post(&world, 201, json!({"userName": "ann", "emails": emails})).await;
    world.go(2 * HOUR);
    delete(&world, &ann).await;
    assert_eq!(settle(&world, &format!("scim/{ann}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), ["access shared@example.net", "instaply shared@example.net"]);
}

#[tokio::test]
async fn smallest_put_leaves_the_known_addresses_as_they_were() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com", "a.lee@example.com"]);
    let emails = json!([{"value": "a.lee@example.com", "type": "work", "primary": true}]);
    let ann = post(&world, 201, json!({"userName": "ann@example.com", "emails": emails})).await;
    world.go(2 * HOUR);
    let smallest = json!({"userName": "ann@example.com", "emails": null, "photos": [], "active": false});
    expect(&world, 200, &format!("PUT /Users/{ann}"), smallest).await;
    assert_eq!(settle(&world, &format!("scim/{ann}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn guest_is_known_by_the_outside_address() {
    let world = World::new().await;
    world.vendors.have(&["ann@partner.example"]);
    let [ann] = staff(&world, ["ann@partner.example"]).await;
    set_active(&world, &ann, false).await;
    assert_eq!(settle(&world, &format!("scim/{ann}.1")).await.state, State::Done);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn path_is_routed_whatever_the_slashes_the_case_and_the_stage() {
    use offboard::scim::route;
    for path in [
        "/scim/v2/scim/Users",
        "/scim/v2/scim/Users/",
        "/scim/v2/scim//Users",
        "//scim/v2/scim/users",
        "/SCIM/v2/SCIM/USERS",
        "/prod/scim/v2/scim/Users",
        "/scim/v2/scim/Users/Users",
    ] {
        let route = route(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(route.source, "scim", "{path}");
        let shown = format!("{route:?}");
        assert!(shown.contains("rest: [\"users\"]"), "{path}: {shown}");
    }
    assert!(
        format!("{:?}", route("/scim/v2/scim/Users/ServiceProviderConfig")).contains("[\"serviceproviderconfig\"]")
    );
    assert!(format!("{:?}", route("/scim/v2/scim/Users/users-7")).contains("[\"users\", \"users-7\"]"));
    for path in ["/webhooks/scim", "/scim/v1/scim/Users", "/scim/v2", "/a/b/scim/v2/scim/Users", "/"] {
        assert_eq!(route(path), None, "{path}");
    }
}

#[tokio::test]
async fn write_is_refused_for_no_reason_of_ours() {
    let mut world =
        World::with("max_departures = { count = 1, per = \"1h\" }\nprotected = [\"ann@example.com\"]").await;
    world.vendors.have(&["ann@example.com", "lee@example.com"]);
    let [ann, lee, kim] = staff(&world, ["ann@example.com", "lee@example.com", "not an address"]).await;
    for id in [&ann, &lee, &kim] {
        set_active(&world, id, false).await;
    }
    let protected = settle(&world, &format!("scim/{ann}.1")).await;
    assert_eq!(protected.state, State::NeedsAttention);
    assert_eq!(held_for(&world.advance(&format!("scim/{lee}.1")).await), (State::Held, vec![Veto::TooManyDepartures]));
    world.deploy("mode = \"dry_run\"");
    world.pause(true).await;
    let [max] = staff(&world, ["max@example.com"]).await;
    set_active(&world, &max, false).await;
    let planned = settle(&world, &format!("scim/{max}.1")).await;
    assert_eq!(held_for(&planned), (State::Held, vec![Veto::Paused, Veto::DryRun]));
    assert_eq!(world.vendors.removals(), 0);
}

#[tokio::test]
async fn event_hook_and_scim_of_the_same_people_do_not_remove_twice_nor_wait_for_ever() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    world.say("idp", [world::active(world::named("u1", "ann@example.com"), -60)]).await;
    world.leave("idp", "1", world::named("u1", "ann@example.com")).await;
    assert_eq!(held_for(&world.record("idp/1").await), (State::Pending, vec![Veto::ActiveElsewhere]));
    world.go(20 * std::time::Duration::from_secs(1));
    set_active(&world, &ann, false).await;
    for _ in 0..8 {
        world.go(MINUTE);
        world.tick_and_follow().await;
    }
    for id in ["idp/1".to_owned(), format!("scim/{ann}.1")] {
        assert_eq!(world.record(&id).await.state, State::Done, "{id}");
    }
    let record = world.record("idp/1").await;
    assert_eq!(world::recorded(&record)["access"].0, Outcome::AlreadyAbsent);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn user_name_taken_over_by_a_rename_is_refused_and_one_that_was_given_up_is_free() {
    let world = World::new().await;
    let [ann, lee] = staff(&world, ["ann@example.com", "lee@example.com"]).await;
    let rename = |name: &str| json!({"Operations": [{"op": "replace", "path": "userName", "value": name}]});
    let refused = expect(&world, 409, &format!("PATCH /Users/{lee}"), rename("ANN@example.com")).await;
    assert_eq!(refused["scimType"], "uniqueness");
    expect(&world, 200, &format!("PATCH /Users/{ann}"), rename("ann.lee@example.com")).await;
    expect(&world, 200, &format!("PATCH /Users/{lee}"), rename("ann@example.com")).await;
    let found = expect(&world, 200, "GET /Users?filter=userName eq \"ann@example.com\"", Value::Null).await;
    assert_eq!((&found["totalResults"], &found["Resources"][0]["id"]), (&json!(1), &json!(lee)));
    assert_eq!(
        expect(&world, 200, "GET /Users?filter=userName eq \"lee@example.com\"", Value::Null).await["totalResults"],
        0
    );
}

#[tokio::test]
async fn address_that_a_user_gets_while_leaving_is_not_the_leavers() {
    let mail = json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "boss@example.com"});
    let name = json!({"op": "replace", "path": "userName", "value": "0f1aann@example.com"});
    for change in [&mail, &name] {
        let world = World::new().await;
        world.vendors.have(&["ann@example.com", "boss@example.com"]);
        let [ann] = staff(&world, ["ann@example.com"]).await;
        let off = json!({"op": "replace", "path": "active", "value": false});
        expect(&world, 200, &format!("PATCH /Users/{ann}"), json!({"Operations": [change, off]})).await;
        let record = settle(&world, &format!("scim/{ann}.1")).await;
        let is_reported = change == &mail;
        let state = if is_reported { State::NeedsAttention } else { State::Done };
        assert_eq!((record.state, vetoes(&record)), (state, vec![]), "{change}");
        if is_reported {
            assert_eq!(recorded(&record)["access"], (Outcome::Ambiguous, Some("new_address")));
        }
        assert_eq!(world.vendors.left(), ["access boss@example.com", "instaply boss@example.com"], "{change}");
    }
}
