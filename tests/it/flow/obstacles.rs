//! Objects of somebody else under the names of files of evidence.

use sha2::{Digest, Sha256};
use time::macros::datetime;

use crate::flow::{
    exporting::{JANUARY, export, is_as_noted, noted, world},
    world::{HOUR, MINUTE},
};

/// An object by the name of each file, with and without the SHA-256 that most programs have S3 keep.
#[tokio::test]
async fn object_of_somebody_else_is_neither_replaced_nor_listed_and_the_month_is_not_complete() {
    for (name, is_hashed) in JANUARY.into_iter().flat_map(|name| [(name, true), (name, false)]) {
        let world = world().await;
        let key = format!("offboard/2026-01/{name}");
        world.bucket.with(|bucket| {
            bucket.have(&key, "departure,person\n");
            bucket.objects_mut().get_mut(&key).unwrap().sha256.take_if(|_| !is_hashed);
        });
        for _ in 0..3 {
            world.tick().await;
            world.go(HOUR);
        }
        assert_eq!(world.bucket.content(&key), "departure,person\n");
        assert!(!world.store.ids().contains("#export/2026-01"), "{name}");
        let is_listed = world.bucket.keys().iter().any(|key| key.ends_with("SHA256SUMS"));
        assert_eq!(is_listed, name == "SHA256SUMS", "{name} {is_hashed}");
        let export = export(&world).await;
        let obstacle = export.behind[0].obstacle.as_ref().unwrap();
        assert_eq!(
            (obstacle.object.as_str(), export.oldest().to_string()),
            (format!("evidence/{key}").as_str(), "2026-01".to_owned())
        );
    }
}

#[tokio::test]
async fn month_of_another_ledger_in_the_same_place_is_not_taken_as_written() {
    let (first, second) = (world().await, world().await);
    first.tick().await;
    let written = first.bucket.with(|bucket| bucket.objects().clone());
    second.bucket.with(|bucket| *bucket.objects_mut() = written.clone());
    second.go(MINUTE);
    second.tick().await;
    assert_eq!(second.bucket.with(|bucket| bucket.objects().clone()), written);
    let export = export(&second).await;
    assert_eq!((export.behind.len(), export.oldest().to_string()), (1, "2026-01".to_owned()));
}

#[tokio::test]
async fn months_after_a_blocked_one_are_written_and_it_is_once_nothing_is_in_the_way() {
    let world = world().await;
    world.bucket.with(|bucket| bucket.have("offboard/2026-01/evidence.html", "mine"));
    world.tick().await;
    world.clock.set(datetime!(2026-03-05 00:00 UTC));
    world.tick().await;
    is_as_noted(&world, "2026-02").await;
    let puts = || world.bucket.with(|bucket| bucket.refused_puts);
    let refused = puts();
    for _ in 0..10 {
        world.tick().await;
        world.go(MINUTE);
    }
    assert_eq!(puts() - refused, 2, "it is looked at once in an hour: the table, which is there, and the page");
    world.bucket.with(|bucket| bucket.objects_mut().remove("offboard/2026-01/evidence.html").unwrap());
    world.go(HOUR);
    world.tick().await;
    is_as_noted(&world, "2026-01").await;
    let export = export(&world).await;
    assert_eq!((export.behind, export.next.month.to_string()), (vec![], "2026-03".to_owned()));
}

#[tokio::test]
async fn object_that_cannot_be_read_is_in_the_way_and_later_months_are_written() {
    for status in [400, 403] {
        let world = world().await;
        world.bucket.with(|bucket| bucket.have("offboard/2026-01/evidence.csv", "mine"));
        world.bucket.with(|bucket| bucket.hides = Some(status));
        world.tick().await;
        world.clock.set(datetime!(2026-03-05 00:00 UTC));
        world.tick().await;
        is_as_noted(&world, "2026-02").await;
        assert_eq!(export(&world).await.oldest().to_string(), "2026-01", "{status}");
    }
}

#[tokio::test]
async fn month_behind_whose_attempt_fails_does_not_keep_another_from_its_turn() {
    let world = world().await;
    let months = ["2026-01", "2026-02"];
    for month in months {
        world.bucket.with(|bucket| bucket.have(&format!("offboard/{month}/evidence.csv"), "mine"));
    }
    world.tick().await;
    world.clock.set(datetime!(2026-03-05 00:00 UTC));
    world.tick().await;
    assert_eq!(export(&world).await.behind.len(), 2);
    for month in months {
        let key = format!("offboard/{month}/evidence.csv");
        world.bucket.with(|bucket| bucket.objects_mut().remove(&key).unwrap());
    }
    world.go(2 * HOUR);
    world.bucket.with(|bucket| bucket.refuses = Some("AccessDenied"));
    world.tick().await;
    world.bucket.with(|bucket| bucket.refuses = None);
    world.tick().await;
    is_as_noted(&world, "2026-02").await;
    assert_eq!(export(&world).await.oldest().to_string(), "2026-01");
}

#[tokio::test]
async fn blocked_month_is_written_as_a_whole_to_another_place_at_once() {
    let mut world = world().await;
    world.bucket.with(|bucket| bucket.have("offboard/2026-01/SHA256SUMS", "mine"));
    world.tick().await;
    world.deploy("# exports evidence elsewhere");
    world.go(MINUTE);
    world.tick().await;
    let there: Vec<_> = world.bucket.keys().into_iter().filter(|key| key.starts_with("elsewhere/")).collect();
    assert_eq!(there, JANUARY.map(|name| format!("elsewhere/2026-01/{name}")));
    let sums = noted(&world, "2026-01").await;
    for (name, sha256) in sums {
        assert_eq!(hex::encode(Sha256::digest(world.bucket.content(&format!("elsewhere/2026-01/{name}")))), sha256);
    }
    assert_eq!(export(&world).await.behind, []);
}
