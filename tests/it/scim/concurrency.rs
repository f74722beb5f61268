//! Two environments at one user, and an environment that dies between any two calls.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::*;
use crate::flow::{
    store::Fault,
    world::{HOUR, MINUTE},
};

#[tokio::test]
async fn of_users_who_are_posted_at_once_with_one_name_one_is_created() {
    let world = World::new().await;
    let user = json!({"userName": "ann@example.com"});
    let replies = join_all((0..12).map(|_| send(&world, "scim", "POST /Users", user.clone()))).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[201].as_slice(), [409; 11].as_slice()].concat());
    assert_eq!(expect(&world, 200, "GET /Users", Value::Null).await["totalResults"], 1);
}

#[tokio::test]
async fn no_change_is_lost_where_many_come_at_once() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    let changes = [
        json!({"op": "replace", "path": "displayName", "value": "Ann"}),
        json!({"op": "replace", "path": "name.givenName", "value": "Ann"}),
        json!({"op": "replace", "path": "name.familyName", "value": "Lee"}),
        json!({"op": "replace", "path": "externalId", "value": "E1"}),
        json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "ann@example.com"}),
        json!({"op": "replace", "path": "active", "value": false}),
        json!({"op": "replace", "path": "active", "value": "False"}),
    ];
    join_all(changes.into_iter().map(|change| patch(&world, &ann, change))).await;
    let user = get(&world, &ann).await;
    let name = json!({"givenName": "Ann", "familyName": "Lee"});
    assert_eq!((&user["displayName"], &user["name"], &user["externalId"]), (&json!("Ann"), &name, &json!("E1")));
    assert_eq!((&user["active"], &user["emails"][0]["value"]), (&json!(false), &json!("ann@example.com")));
    assert_eq!(departures(&world).await, [format!("scim/{ann}.1")]);
}

#[tokio::test]
async fn call_that_fails_or_whose_answer_is_lost_leaves_exactly_one_departure_once_the_client_repeats() {
    for fault in [Fault::Fails, Fault::LosesAnswer] {
        for (n, is_deleted) in (1..12).flat_map(|n| [(n, false), (n, true)]) {
            let world = World::new().await;
            world.vendors.have(&["ann@example.com"]);
            let [ann] = staff(&world, ["ann@example.com"]).await;
            world.store.fault_at(n, fault);
            let (request, body) = match is_deleted {
                true => (format!("DELETE /Users/{ann}"), Value::Null),
                false => {
                    let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
                    (format!("PATCH /Users/{ann}"), off)
                }
            };
            let first = send(&world, "scim", &request, body.clone()).await;
            assert!([200, 204, 503].contains(&first.status), "{n}: {first:?}");
            if first.status == 503 {
                assert_eq!(first.retry_after.as_deref(), Some("60"));
                let again = send(&world, "scim", &request, body).await;
                assert!([200, 204, 404].contains(&again.status), "{n}: {again:?}");
            }
            // A call that was not reached.
            world.store.calls();
            assert_eq!(departures(&world).await, [format!("scim/{ann}.1")], "{fault:?} at {n}");
            world.go(3 * MINUTE);
            world.tick_and_follow().await;
            assert_eq!(world.record(&format!("scim/{ann}.1")).await.state, State::Done, "{fault:?} at {n}");
            assert_eq!(world.vendors.left(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn environment_that_dies_at_any_call_leaves_a_user_and_a_departure_or_neither() {
    for fault in [Fault::Dies, Fault::DiesAfterwards] {
        for n in 1..10 {
            let world = Arc::new(World::new().await);
            world.vendors.have(&["ann@example.com"]);
            let [ann] = staff(&world, ["ann@example.com"]).await;
            world.store.fault_at(n, fault);
            let dying = {
                let (world, ann) = (world.clone(), ann.clone());
                tokio::spawn(async move { set_active(&world, &ann, false).await })
            };
            // It dies, or ends with fewer calls.
            tokio::select! {
                () = world.store.died.notified() => dying.abort(),
                () = tokio::time::sleep(Duration::from_millis(300)) => {}
            }
            let _ = dying.await;
            world.store.calls();
            let is_inactive = get(&world, &ann).await["active"] == false;
            assert_eq!(departures(&world).await.len(), usize::from(is_inactive), "{fault:?} at {n}");
            // The client comes back, with the same or with the opposite.
            set_active(&world, &ann, false).await;
            assert_eq!(departures(&world).await, [format!("scim/{ann}.1")], "{fault:?} at {n}");
            world.go(3 * MINUTE);
            world.tick_and_follow().await;
            assert_eq!(world.record(&format!("scim/{ann}.1")).await.state, State::Done, "{fault:?} at {n}");
        }
    }
}

#[tokio::test]
async fn user_whose_creation_was_interrupted_is_known_once_the_client_repeats() {
    for fault in [Fault::Fails, Fault::LosesAnswer] {
        for n in 1..8 {
            let world = World::new().await;
            world.store.fault_at(n, fault);
            let user = json!({"userName": "ann@example.com"});
            let first = send(&world, "scim", "POST /Users", user.clone()).await;
            if first.status != 201 {
                assert_eq!(first.status, 503);
                let again = send(&world, "scim", "POST /Users", user).await;
                assert!([201, 409].contains(&again.status), "{n}: {again:?}");
            }
            world.store.calls();
            let listed = expect(&world, 200, "GET /Users?filter=userName eq \"ann@example.com\"", Value::Null).await;
            assert_eq!(listed["totalResults"], 1, "{fault:?} at {n}");
            let id = listed["Resources"][0]["id"].as_str().unwrap().to_owned();
            world.go(2 * HOUR);
            set_active(&world, &id, false).await;
            assert_eq!(settle(&world, &format!("scim/{id}.1")).await.state, State::Done);
        }
    }
}

#[tokio::test]
async fn store_that_is_down_is_answered_503_and_nothing_is_done() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    world.store.set_down(true);
    for request in ["GET /Users", "POST /Users", &format!("GET /Users/{ann}"), &format!("DELETE /Users/{ann}")] {
        let reply = send(&world, "scim", request, json!({"userName": "lee@example.com"})).await;
        assert_eq!((reply.status, reply.retry_after.as_deref()), (503, Some("60")), "{request}");
    }
    world.store.set_down(false);
    assert_eq!(get(&world, &ann).await["active"], true);
}

#[tokio::test]
async fn queue_that_is_down_does_not_cost_the_departure() {
    let world = World::new().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    world.sqs.set_down(true);
    set_active(&world, &ann, false).await;
    world.sqs.set_down(false);
    world.go(3 * MINUTE);
    assert_eq!(world.tick_and_follow().await, [format!("scim/{ann}.1")]);
    assert_eq!(world.record(&format!("scim/{ann}.1")).await.state, State::Done);
}

#[tokio::test]
async fn without_a_queue_the_client_is_asked_to_come_again_until_the_departure_is_done() {
    let world = World::without_queue().await;
    world.vendors.have(&["ann@example.com"]);
    let [ann] = staff(&world, ["ann@example.com"]).await;
    let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
    let request = format!("PATCH /Users/{ann}");
    for (status, wait) in [(503, 0), (503, 60), (200, 61), (200, 0)] {
        world.go(Duration::from_secs(wait));
        assert_eq!(send(&world, "scim", &request, off.clone()).await.status, status, "{wait}");
    }
    assert_eq!(world.vendors.left(), [""; 0]);
    world.vendors.have(&["lee@example.com"]);
    let [lee] = staff(&world, ["lee@example.com"]).await;
    for (status, wait) in [(503, 0), (503, 60), (204, 61), (404, 0)] {
        world.go(Duration::from_secs(wait));
        assert_eq!(send(&world, "scim", &format!("DELETE /Users/{lee}"), Value::Null).await.status, status, "{wait}");
    }
    assert_eq!(departures(&world).await.len(), 2);
    assert_eq!(world.vendors.left(), [""; 0]);
}

#[tokio::test]
async fn request_costs_as_many_calls_as_the_store_must_answer() {
    let world = World::new().await;
    let [ann] = staff(&world, ["ann@example.com"]).await;
    let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
    let calls = async |request: String, body: Value| {
        world.store.calls();
        send(&world, "scim", &request, body).await;
        world.store.calls()
    };
    assert_eq!(calls(format!("GET /Users/{ann}"), Value::Null).await, 1);
    assert_eq!(calls("GET /Users?filter=userName eq \"ann@example.com\"".into(), Value::Null).await, 2);
    assert_eq!(calls("GET /Users?filter=userName eq \"nobody\"".into(), Value::Null).await, 1);
    assert_eq!(calls("GET /Users?filter=emails eq \"ann@example.com\"".into(), Value::Null).await, 2);
    assert_eq!(calls("GET /Users?filter=emails eq \"nobody@example.com\"".into(), Value::Null).await, 1);
    assert_eq!(calls("GET /Users?count=10".into(), Value::Null).await, 2);
    // Claims; the id's and its traits' last words; one transaction.
    assert_eq!(calls("POST /Users".into(), json!({"userName": "lee@example.com"})).await, 4);
    // The user; the id's and its traits' last words; one transaction; the count.
    assert_eq!(calls(format!("PATCH /Users/{ann}"), off.clone()).await, 4);
    assert_eq!(calls(format!("PATCH /Users/{ann}"), off).await, 1);
}
