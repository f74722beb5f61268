//! What is kept, and for how long.

use std::sync::Arc;

use offboard::{departure::IdentityFact as Lesson, ledger::Ledger, person::Person};

use crate::world::{Counted, DAY, NOW, RETENTION, World, claim, confirmation, email, id, lesson};

#[tokio::test]
async fn lessons_teach_the_same_in_any_order_and_number() {
    let with = |mut lesson: Lesson, external_id: &str| {
        lesson.person.external_id = Some(external_id.to_owned());
        lesson
    };
    let mut parallel = lesson("u1", "ann.main@example.com", 5);
    parallel.person.other_emails = vec![email("ann.alias@example.com")];
    let lessons = [
        with(lesson("u1", "Ann.Smith@example.com", 1), "1"),
        with(lesson("u2", "ann.smith@example.com", 3), "2"),
        with(lesson("u1", "ann.smith@example.com", 2), "3"),
        claim("u1", "ann.jones@example.com", 3),
        confirmation("u1", 4),
        parallel,
    ];
    let mut first = None;
    for order in orders(lessons.len()) {
        let store = Arc::new(Counted::default());
        let ledger = Ledger::new(store.clone());
        for n in order.iter().chain(&order) {
            ledger.learn("idp", &lessons[*n], NOW, RETENTION).await.unwrap();
        }
        let items: Vec<_> = store.items().await.into_iter().map(|item| (item.id, item.document)).collect();
        assert_eq!(&items, first.get_or_insert(items.clone()), "{order:?}");
        let person = ledger.complete("idp", &id("u1")).await.unwrap().person;
        let known: Vec<_> = person.emails().map(|email| email.expose()).collect();
        assert_eq!(known, ["ann.main@example.com", "ann.alias@example.com", "ann.jones@example.com"], "{order:?}");
    }
}

/// All orders of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    let inserted = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, last);
        order
    };
    shorter.iter().flat_map(|order| (0..=last).map(move |at| inserted(order, at))).collect()
}

#[tokio::test]
async fn no_items_id_holds_an_address_and_each_is_forgotten() {
    let world = World::new().await;
    world.learn([lesson("ann@example.com", "ann@example.com", 1)]).await;
    let items = world.store.items().await;
    let ids: Vec<_> = items.iter().map(|item| item.id.rsplit_once('/').unwrap()).collect();
    assert_eq!(ids.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["#address/idp", "#directory/idp"]);
    for (item, (_, key)) in items.iter().zip(&ids) {
        assert!(key.len() == 32 && key.chars().all(|c| c.is_ascii_hexdigit()), "{}", item.id);
        assert_eq!((item.expires_at, item.state.as_str()), ((NOW + RETENTION).unix_timestamp(), ""));
    }
    // They are no departures.
    assert_eq!(world.ledger.list(None).await.unwrap().0, []);
}

#[tokio::test]
async fn nothing_is_written_that_is_no_news_unless_it_would_soon_be_forgotten() {
    let world = World::new().await;
    let (ann, learn) =
        (lesson("u1", "ann@example.com", 1), |lesson, now| world.ledger.learn("idp", lesson, now, RETENTION));
    learn(&ann, NOW).await.unwrap();
    assert_eq!(world.store.calls(), (2, 2));
    learn(&ann, NOW + 29 * DAY).await.unwrap();
    let older = lesson("u1", "ANN@example.com", 0);
    learn(&older, NOW).await.unwrap();
    assert_eq!(world.store.calls(), (2, 0));
    learn(&ann, NOW + 31 * DAY).await.unwrap();
    assert_eq!(world.store.calls(), (2, 2));
    let expiry = (NOW + 31 * DAY + RETENTION).unix_timestamp();
    assert!(world.store.items().await.iter().all(|item| item.expires_at == expiry));
    // What tells nobody's id teaches nothing.
    let nobody = Lesson { person: Person { idp_id: None, ..ann.person.clone() }, ..ann };
    learn(&nobody, NOW).await.unwrap();
    assert_eq!(world.store.calls(), (0, 0));
}

#[tokio::test]
async fn a_clock_that_is_ahead_does_not_have_the_last_word() {
    let world = World::new().await;
    let ahead = Lesson { at: Some((NOW + 3650 * DAY).into()), ..lesson("u1", "ann@example.com", 0) };
    world.ledger.learn("idp", &ahead, NOW, RETENTION).await.unwrap();
    let later = Lesson { at: None, ..lesson("u1", "jones@example.com", 0) };
    world.ledger.learn("idp", &later, NOW + DAY, RETENTION).await.unwrap();
    let completed = world.ledger.complete("idp", &id("u1")).await.unwrap();
    assert_eq!(completed.person.email, Some(email("jones@example.com")));
}

#[tokio::test]
async fn lessons_that_come_at_once_are_all_learned() {
    let world = World::new().await;
    let lessons: Vec<_> = (0..20).map(|n| lesson("u1", &format!("ann{n}@example.com"), n)).collect();
    let learned = lessons.iter().map(|lesson| world.ledger.learn("idp", lesson, NOW, RETENTION));
    for one in futures_util::future::join_all(learned).await {
        one.unwrap();
    }
    let person = world.ledger.complete("idp", &id("u1")).await.unwrap().person;
    assert_eq!(person.emails().count(), 20);
}
