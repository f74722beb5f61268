//! An address that is somebody else's: nobody is removed by it.

use offboard::{
    departure::{Delivery, IdentityFact as Lesson},
    durable::Next,
    ledger::{State, directory::AddressStanding, operator::Decision},
    outcome::{Outcome, Status},
    person::Person,
};

use crate::world::{
    DAY, NOW, RETENTION, World, claim, confirmation, departure, email, id, invocation, lesson, outcomes,
};

#[tokio::test]
async fn a_colleague_who_has_the_address_now_is_not_touched() {
    let world = World::new().await;
    world.products.have(&["ann.smith@example.com"]);
    world.learn([lesson("u1", "ann.smith@example.com", 1), lesson("u2", "ann.smith@example.com", 2)]).await;
    let held = vec![(Outcome::NotAttempted, Some("address_of_another")); 2];
    let named = Person { email: Some(email("Ann.Smith@example.com")), ..id("u1") };
    for (event, person) in
        [("1", id("u1")), ("2", named), ("3", Person { email: Some(email("ann.smith@example.com")), ..id("u3") })]
    {
        let report = world.leave(event, person).await;
        assert_eq!((report.status, outcomes(&report)), (Status::Held, held.clone()), "{event}");
    }
    assert_eq!((world.products.asked(), world.products.left().len()), (vec![], 2));
    // Released, what the directory alone knew stays out.
    world.decide("idp/1", Decision::Release).await;
    world.resume("idp/1").await;
    assert_eq!((world.products.asked(), world.products.left().len()), (vec![], 2));
    // The colleague's own departure.
    let report = world.leave("4", id("u2")).await;
    assert_eq!((report.status, world.products.left()), (Status::Done, vec![]));
}

/// A departure that somebody reports by hand bears an id of its own.
#[tokio::test]
async fn a_departure_that_names_the_address_itself_is_done_once_a_person_releases_it() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.learn([lesson("u1", "ann@example.com", 1)]).await;
    let report = world.leave("1", Person { email: Some(email("ann@example.com")), ..id("by hand") }).await;
    assert_eq!((report.status, world.products.left().len()), (Status::Held, 2));
    world.decide("idp/1", Decision::Release).await;
    assert_eq!(world.resume("idp/1").await, Next::Forget);
    assert_eq!(world.products.left(), Vec::<String>::new());
}

#[tokio::test]
async fn of_several_addresses_only_those_are_tried_that_are_the_leavers_still() {
    let world = World::new().await;
    world.products.have(&["ann.smith@example.com", "ann.jones@example.com"]);
    let of = |id: &str, address: &str, hours| {
        let mut lesson = lesson(id, address, hours);
        lesson.person.external_id = Some("8931".to_owned());
        lesson
    };
    world.learn([of("u1", "ann.smith@example.com", 1), of("u1", "ann.jones@example.com", 2)]).await;
    assert_eq!(world.ledger.complete("idp", &id("u1")).await.unwrap().person.external_id.as_deref(), Some("8931"));
    world.learn([of("u2", "ann.smith@example.com", 3)]).await;
    // The person may be there again under another id: what they share is not used.
    assert_eq!(world.ledger.complete("idp", &id("u1")).await.unwrap().person.external_id, None);
    let report = world.leave("1", id("u1")).await;
    assert_eq!((report.status, world.products.asked()), (Status::Done, vec!["ann.jones@example.com".to_owned()]));
    assert_eq!(world.products.left(), ["access ann.smith@example.com", "instaply ann.smith@example.com"]);
}

#[tokio::test]
async fn an_address_that_passes_on_while_work_is_left_is_not_tried_again() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.learn([lesson("u1", "ann@example.com", 1)]).await;
    world.products.fail_for(Some("ann@example.com"));
    let delivery = Delivery { departures: vec![departure("idp", "1", id("u1"))], ..Delivery::default() };
    let report = world.app.act(&world.source, delivery, &invocation()).await.unwrap();
    assert_eq!(report.status, Status::Incomplete);
    world.products.fail_for(None);
    world.learn([lesson("u2", "ann@example.com", 2)]).await;
    assert_eq!(world.resume("idp/1").await, Next::Forget);
    let record = world.ledger.get("idp/1").await.unwrap().unwrap();
    assert_eq!((record.state, record.reason.as_deref()), (State::Held, Some("address_of_another")));
    world.decide("idp/1", Decision::Release).await;
    world.resume("idp/1").await;
    assert_eq!(world.products.left().len(), 2, "the directory's own word was taken back");
}

#[tokio::test]
async fn an_address_that_two_have_is_nobodys_until_one_was_renamed_or_left() {
    let renamed = World::new().await;
    renamed.learn([lesson("u1", "ann@example.com", 1), lesson("u2", "ann@example.com", 2)]).await;
    for person in ["u1", "u2"] {
        assert!(renamed.ledger.complete("idp", &id(person)).await.unwrap().taken_over, "{person}");
    }
    renamed.learn([lesson("u1", "jones@example.com", 3)]).await;
    let first = renamed.ledger.complete("idp", &id("u1")).await.unwrap();
    assert_eq!((first.person.email, first.person.other_emails), (Some(email("jones@example.com")), vec![]));
    let second = renamed.ledger.complete("idp", &id("u2")).await.unwrap();
    assert_eq!((second.person.email, second.taken_over), (Some(email("ann@example.com")), false));
}

/// Two accounts of one person are merged, and the source reports the end of the newer one: nobody has left.
#[tokio::test]
async fn a_person_whose_second_account_was_merged_is_not_removed() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.learn([lesson("first", "ann@example.com", 1), lesson("second", "ann@example.com", 2)]).await;
    let named = |id: &str| Person { email: Some(email("ann@example.com")), ..self::id(id) };
    let report = world.leave("1", named("second")).await;
    let held = vec![(Outcome::NotAttempted, Some("address_of_another")); 2];
    assert_eq!((report.status, outcomes(&report), world.products.left().len()), (Status::Held, held, 2));
    // When the person does leave, nobody stands in the way.
    let report = world.leave("2", named("first")).await;
    assert_eq!((report.status, world.products.left()), (Status::Done, vec![]));
}

#[tokio::test]
async fn a_person_with_two_ids_who_leaves_by_both_is_removed() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.learn([lesson("u1", "ann@example.com", 1), lesson("u2", "ann@example.com", 2)]).await;
    let departures = vec![departure("idp", "1", id("u1")), departure("idp", "2", id("u2"))];
    let delivery = Delivery { departures, ..Delivery::default() };
    let report = world.app.act(&world.source, delivery, &invocation()).await.unwrap();
    assert_eq!((report.status, world.products.left()), (Status::Done, vec![]));
    // Somebody who is told of again after having left is there again.
    let back = Lesson { at: None, ..lesson("u2", "ann@example.com", 0) };
    world.ledger.learn("idp", &back, NOW + DAY, RETENTION).await.unwrap();
    assert!(world.ledger.complete("idp", &id("u1")).await.unwrap().taken_over);
}

#[tokio::test]
async fn a_claimed_address_is_used_only_when_it_is_confirmed() {
    let world = World::new().await;
    world.products.have(&["ann@example.com", "boss@example.com"]);
    world.learn([lesson("u9", "boss@example.com", 0)]).await;
    world.learn([claim("u1", "boss@example.com", 1), claim("u1", "ann@example.com", 2)]).await;
    let report = world.leave("1", id("u1")).await;
    assert_eq!((report.status, outcomes(&report)[0].0), (Status::NeedsAttention, Outcome::Unidentified));
    // Only the address that was claimed last is meant: whoever claims the boss's first does not get it.
    world.learn([confirmation("u1", 3), claim("u1", "eve@example.com", 4)]).await;
    let known = world.ledger.known("idp", "u1").await.unwrap().unwrap();
    let standing: Vec<_> = known.addresses.iter().map(|one| (one.email.expose(), one.standing)).collect();
    let expected = [
        ("ann@example.com", AddressStanding::Used),
        ("eve@example.com", AddressStanding::Claimed),
        ("boss@example.com", AddressStanding::Claimed),
    ];
    assert_eq!(standing, expected);
    let report = world.leave("2", id("u1")).await;
    assert_eq!((report.status, world.products.asked()), (Status::Done, vec!["ann@example.com".to_owned()]));
    assert!(!world.ledger.complete("idp", &id("u9")).await.unwrap().taken_over, "a claim takes nobody's address");
}

#[tokio::test]
async fn two_sources_never_share_what_they_told() {
    let world = World::new().await;
    world.products.have(&["ann@example.com"]);
    world.learn([lesson("u1", "ann@example.com", 1)]).await;
    let other = |person| Delivery { departures: vec![departure("other", "1", person)], ..Delivery::default() };
    let report = world.app.act(&world.other, other(id("u1")), &invocation()).await.unwrap();
    assert_eq!(outcomes(&report)[0].0, Outcome::Unidentified);
    // Nor does one source's address hold up the other's departure.
    let named = Person { email: Some(email("ann@example.com")), ..id("u2") };
    assert!(!world.ledger.complete("other", &named).await.unwrap().taken_over);
    assert!(world.ledger.complete("idp", &named).await.unwrap().taken_over);
}
