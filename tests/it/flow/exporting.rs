//! The evidence of each month in the owner's bucket: once, complete, and as its list says, whatever fails.

use std::collections::BTreeSet;

use offboard::{
    config::Pattern,
    evidence::Evidence,
    flow::MAX_PART,
    ledger::{Export, OperatorAction, Protection, ProtectionAction, Recorded, State},
    outcome::{AccountResult, Outcome, ProviderResult, Status},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, macros::datetime};

use crate::{
    flow::store::Fault,
    flow::world::{DAY, HOUR, MINUTE, SECOND, World, at, by_email, departure, id},
};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
/// When January is due.
const FIFTH: OffsetDateTime = datetime!(2026-02-05 00:00 UTC);
pub(super) const JANUARY: [&str; 3] = ["SHA256SUMS", "evidence.csv", "evidence.html"];

/// A world on the day on which January is due: one departure of it is done, one is held.
pub(super) async fn world() -> World {
    let world = World::with("# exports evidence").await;
    world.vendors.have(&[ANN]);
    assert_eq!(world.leave("idp", "1", by_email(ANN)).await.status, Status::Done);
    assert_eq!(world.leave_at("idp", "2", by_email(BOB), at(-60 * 24 * 8)).await.status, Status::Held);
    world.clock.set(FIFTH);
    world
}

pub(super) fn keys(month: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("offboard/{month}/{name}")).collect()
}

/// The files of a month by the ledger: name and SHA-256.
pub(super) async fn noted(world: &World, month: &str) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&world.document(&format!("#export/{month}")).await).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    document["files"].as_array().unwrap().iter().map(|file| (text(&file["name"]), text(&file["sha256"]))).collect()
}

pub(super) async fn export(world: &World) -> Export {
    world.ledger.export("2026-01".parse().unwrap()).await.unwrap()
}

/// The bucket has what the ledger and the list of hashes say, and the list names every file but itself.
pub(super) async fn is_as_noted(world: &World, month: &str) {
    let folder = format!("offboard/{month}/");
    let hash = |name: &str| hex::encode(Sha256::digest(world.bucket.content(&format!("{folder}{name}"))));
    let noted = noted(world, month).await;
    for (name, sha256) in &noted {
        assert_eq!(&hash(name), sha256, "{name}");
    }
    let names: BTreeSet<_> = noted.iter().map(|(name, _)| format!("{folder}{name}")).collect();
    let there: BTreeSet<_> = world.bucket.keys().into_iter().filter(|key| key.starts_with(&folder)).collect();
    assert_eq!(names, there);
    let listed: Vec<_> = noted.iter().filter(|(name, _)| name != "SHA256SUMS").collect();
    let list: String = listed.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
    assert_eq!(world.bucket.content(&format!("{folder}SHA256SUMS")), list);
}

/// The departures of a table, row by row.
fn departures(table: &str) -> Vec<String> {
    table.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn month_is_written_once_and_is_what_the_command_writes() {
    let world = world().await;
    world.tick().await;
    assert_eq!(world.bucket.keys(), keys("2026-01", &JANUARY));
    is_as_noted(&world, "2026-01").await;
    let (records, _) = world.ledger.of_month("2026-01", None).await.unwrap();
    let mut evidence = Evidence::default();
    records.iter().for_each(|record| evidence.add(record));
    let (table, page) =
        (world.bucket.content("offboard/2026-01/evidence.csv"), world.bucket.content("offboard/2026-01/evidence.html"));
    assert_eq!(table, evidence.csv());
    assert_eq!(departures(&table), ["idp/1", "idp/1", "idp/2"]);
    assert!(page.contains("Departures received from 2026-01-01 00:00:00 to 2026-02-01 00:00:00."), "{page}");
    assert!(
        page.contains("by the monthly export, request worker-") && page.contains("DynamoDB table ledger"),
        "{page}"
    );
    assert!(!(table + &page).contains(ANN) && page.contains("<h2>Open cases</h2>\n<table"), "{page}");
    let types = world.bucket.with(|bucket| bucket.objects().values().map(|object| object.media_type.clone()).collect());
    let types: Vec<String> = types;
    assert_eq!(types, ["text/plain; charset=utf-8", "text/csv; charset=utf-8", "text/html; charset=utf-8"]);
    for _ in 0..3 {
        world.go(HOUR);
        world.tick().await;
    }
    assert_eq!(world.bucket.with(|bucket| (bucket.objects().len(), bucket.refused_puts)), (3, 0));
}

#[tokio::test]
async fn month_is_written_on_its_fifth_day_after_and_an_empty_one_as_well() {
    let world = World::with("# exports evidence").await;
    world.leave("idp", "1", id("u1")).await;
    for (now, months) in [
        (datetime!(2026-01-31 12:00 UTC), vec!["2025-12"]),
        (datetime!(2026-02-04 23:59 UTC), vec!["2025-12"]),
        (FIFTH, vec!["2025-12", "2026-01"]),
        (datetime!(2026-03-04 23:59 UTC), vec!["2025-12", "2026-01"]),
        (datetime!(2026-03-05 00:01 UTC), vec!["2025-12", "2026-01", "2026-02"]),
    ] {
        world.clock.set(now);
        world.tick().await;
        let expected: Vec<_> = months.iter().flat_map(|month| keys(month, &JANUARY)).collect();
        assert_eq!(world.bucket.keys(), expected, "{now}");
    }
    let rows = |month: &str| departures(&world.bucket.content(&format!("offboard/{month}/evidence.csv"))).len();
    assert_eq!(["2025-12", "2026-01", "2026-02"].map(rows), [0, 2, 0]);
}

#[tokio::test]
async fn bucket_that_refuses_stops_nothing_and_every_month_is_written_in_turn_afterwards() {
    let world = world().await;
    world.bucket.with(|bucket| bucket.refuses = Some("AccessDenied"));
    world.leave_at("idp", "3", by_email("eve@example.com"), at(-60 * 24 * 8)).await;
    for _ in 0..50 {
        let (_, ticked) = world.try_tick().await;
        assert!(ticked.is_ok());
        world.go(DAY);
    }
    assert_eq!((world.bucket.keys(), world.bus.take().is_empty()), (vec![], false));
    world.bucket.with(|bucket| bucket.refuses = None);
    for months in [vec!["2026-01"], vec!["2026-01", "2026-02"], vec!["2026-01", "2026-02"]] {
        world.tick().await;
        let expected: Vec<_> = months.iter().flat_map(|month| keys(month, &JANUARY)).collect();
        assert_eq!(world.bucket.keys(), expected);
    }
    is_as_noted(&world, "2026-01").await;
    is_as_noted(&world, "2026-02").await;
}

/// The page has the time at which it was written: what a later tick would write is something else.
#[tokio::test]
async fn file_survives_a_failure_at_every_store_call_and_is_written_once() {
    for fault in [Fault::Fails, Fault::LosesAnswer, Fault::Dies, Fault::DiesAfterwards] {
        for n in 1.. {
            let world = world().await;
            world.store.fault_at(n, fault);
            tokio::select! {
                _ = world.try_tick() => {}
                () = world.store.died.notified() => {}
            }
            let is_over = world.store.calls() < n;
            for _ in 0..3 {
                world.go(MINUTE);
                world.tick().await;
            }
            let case = format!("{fault:?} at {n}");
            assert_eq!(world.bucket.keys(), keys("2026-01", &JANUARY), "{case}");
            is_as_noted(&world, "2026-01").await;
            let page = world.bucket.content("offboard/2026-01/evidence.html");
            assert!(page.contains("Written 2026-02-05 00:0"), "{case}");
            if is_over {
                break;
            }
        }
    }
}

#[tokio::test]
async fn file_whose_answer_was_lost_is_noted_as_it_is_in_the_bucket() {
    let world = world().await;
    world.bucket.with(|bucket| bucket.loses_answers = true);
    world.tick().await;
    is_as_noted(&world, "2026-01").await;
    assert_eq!(world.bucket.with(|bucket| bucket.refused_puts), 3, "each was sent again");
}

/// What a tick began that died between the bucket and the ledger is found there by the next one, although the page is another.
#[tokio::test]
async fn part_that_was_begun_is_written_by_the_next_tick_with_the_same_departures() {
    let world = world().await;
    world.store.set_stuck(Some("#export/"));
    world.tick().await;
    assert_eq!(world.bucket.keys(), keys("2026-01", &JANUARY));
    let before = world.bucket.with(|bucket| bucket.objects().clone());
    world.go(DAY);
    world.decide("idp/2", offboard::operator::Decision::Dismiss).await.unwrap();
    world.store.set_stuck(None);
    world.tick().await;
    assert_eq!(world.bucket.with(|bucket| bucket.objects().clone()), before);
    is_as_noted(&world, "2026-01").await;
}

#[tokio::test]
async fn two_ticks_at_once_write_a_month_once() {
    let world = world().await;
    let (one, other) = tokio::join!(world.try_tick(), world.try_tick());
    assert!(one.1.is_ok() && other.1.is_ok());
    world.tick().await;
    assert_eq!(world.bucket.keys(), keys("2026-01", &JANUARY));
    is_as_noted(&world, "2026-01").await;
}

/// Each attempt's page is another, and the answers of two are lost.
#[tokio::test]
async fn file_of_an_earlier_attempt_is_known_by_its_hash() {
    let world = world().await;
    world.bucket.with(|bucket| bucket.refuses = Some("AccessDenied"));
    world.tick().await;
    world.bucket.with(|bucket| (bucket.refuses, bucket.confuses_checksums) = (None, true));
    for _ in 0..2 {
        world.go(MINUTE);
        world.tick().await;
    }
    assert_eq!(world.bucket.keys(), keys("2026-01", &["evidence.csv", "evidence.html"]));
    world.go(MINUTE);
    world.bucket.with(|bucket| bucket.confuses_checksums = false);
    world.tick().await;
    is_as_noted(&world, "2026-01").await;
}

#[tokio::test]
async fn month_that_could_not_be_read_until_the_next_was_due_is_written() {
    let world = world().await;
    for now in [FIFTH, datetime!(2026-03-04 23:59 UTC)] {
        world.clock.set(now);
        world.store.set_unreadable(true);
        world.try_tick().await.1.unwrap();
        assert_eq!(world.bucket.keys(), [""; 0]);
    }
    world.store.set_unreadable(false);
    world.clock.set(datetime!(2026-03-05 00:00 UTC));
    for _ in 0..2 {
        world.tick().await;
    }
    is_as_noted(&world, "2026-01").await;
    is_as_noted(&world, "2026-02").await;
}

#[tokio::test]
async fn evidence_is_written_while_the_event_bus_does_not_answer() {
    let world = World::with("# exports evidence\n# the bus hangs").await;
    world.leave_at("idp", "2", by_email(BOB), at(-60 * 24 * 8)).await;
    world.clock.set(FIFTH);
    world.tick_within(2 * SECOND).await.1.unwrap();
    is_as_noted(&world, "2026-01").await;
}

// ---- Many ----

/// Records a departure about which a great deal is to be written, a second after the one before.
async fn long(world: &World, n: usize) {
    long_at(world, n, world.clock.now() + time::Duration::seconds(i64::try_from(n).unwrap())).await;
}

async fn long_at(world: &World, n: usize, now: OffsetDateTime) {
    let departure = departure("idp", &format!("{n:03}"), id(&format!("u{n}")), None);
    let recorded = world.ledger.record(&departure, now, |record| {
        let note = Some("x".repeat(500));
        let (who, what) = ("arn".to_owned(), "replay".to_owned());
        let action = OperatorAction { at: now, who, what, reasons: vec![], provider: None, note };
        record.history = vec![action; 50];
        for provider in ["access", "instaply"] {
            let result = ProviderResult::new(provider.to_owned(), AccountResult::of(Outcome::Deleted));
            record.note_result(result, true, now);
        }
        record.state = State::Done;
        record.due_at = None;
    });
    assert!(matches!(recorded.await, Ok(Recorded::New(_))));
}

#[tokio::test]
async fn large_month_is_written_in_parts_a_tick_each_and_every_departure_is_in_one() {
    let world = World::with("# exports evidence").await;
    for n in 0..300 {
        long(&world, n).await;
    }
    world.clock.set(FIFTH);
    let mut ticks = 0;
    while export(&world).await.next.month.to_string() == "2026-01" {
        // Every second tick writes a part and cannot note it. Before the next there is less to say.
        if ticks % 2 == 0 {
            world.store.fault_at(12, Fault::Fails);
        }
        world.try_tick().await.1.unwrap();
        assert!(world.store.calls() >= 12);
        for n in (0..300).step_by(25).filter(|_| ticks % 2 == 0) {
            let mut record = world.record(&format!("idp/{n:03}")).await;
            record.history.clear();
            assert!(world.ledger.save(&mut record).await.unwrap());
        }
        world.go(MINUTE);
        ticks += 1;
        assert!(ticks < 40);
    }
    is_as_noted(&world, "2026-01").await;
    assert!(world.bucket.with(|bucket| bucket.refused_puts) >= 4);
    let files = noted(&world, "2026-01").await;
    let tables: Vec<_> = files.iter().map(|(name, _)| name.as_str()).filter(|name| name.ends_with(".csv")).collect();
    let expected: Vec<_> = (1..=tables.len())
        .map(|n| if n == 1 { "evidence.csv".to_owned() } else { format!("evidence-{n}.csv") })
        .collect();
    assert!(tables.len() > 2 && tables == expected, "{tables:?}");
    let content = |name: &str| world.bucket.content(&format!("offboard/2026-01/{name}"));
    let written: Vec<_> = tables.iter().rev().flat_map(|name| departures(&content(name))).collect();
    let all: Vec<_> = (0..300).flat_map(|n| vec![format!("idp/{n:03}"); 2]).collect();
    assert_eq!(written, all, "the last file begins with the oldest");
    let mut until = "2026-02-01 00:00:00".to_owned();
    for name in &tables {
        let (table, page) = (content(name), content(&name.replace("csv", "html")));
        assert!(table.len() + page.len() < MAX_PART + 200_000, "{name}: {} bytes", table.len() + page.len());
        let (since, end) = page.split_once("Departures received from ").unwrap().1.split_once(" to ").unwrap();
        assert!(end.starts_with(&until), "{name}: {end:.30} {until}");
        until = since.to_owned();
    }
    assert_eq!(until, "2026-01-01 00:00:00");
}

#[tokio::test]
async fn rest_of_a_month_without_a_departure_is_written_only_if_it_has_a_decision() {
    for (is_decided, tables) in [(false, vec!["evidence.csv"]), (true, vec!["evidence.csv", "evidence-2.csv"])] {
        let world = World::with("# exports evidence").await;
        if is_decided {
            let (action, reason) = (ProtectionAction::Protect { until: None }, Some("case 4711".to_owned()));
            let (address, who) = ("c…@example.com".to_owned(), "arn".to_owned());
            let decision = Protection { action, address, at: world.clock.now(), who, reason };
            let pattern = Pattern::try_from("ceo@example.com".to_owned()).unwrap();
            world.ledger.decide_protection(&pattern, &decision, 400 * DAY).await.unwrap();
        }
        // As many departures as fill a part.
        let mut evidence = Evidence::default();
        for n in 1.. {
            long(&world, n).await;
            evidence.add(&world.record(&format!("idp/{n:03}")).await);
            if evidence.length() >= MAX_PART {
                break;
            }
        }
        world.clock.set(FIFTH);
        for _ in 0..3 {
            world.tick().await;
        }
        is_as_noted(&world, "2026-01").await;
        let files = noted(&world, "2026-01").await;
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).filter(|name| name.ends_with("csv")).collect();
        assert_eq!(names, tables);
        let shown = files.iter().filter(|(name, _)| name.ends_with("html"));
        let shown =
            shown.filter(|(name, _)| world.bucket.content(&format!("offboard/2026-01/{name}")).contains("case 4711"));
        assert_eq!(shown.count(), usize::from(is_decided));
    }
}

/// The part is begun, then one that was received when it ends expires, in whatever order the index has them.
#[tokio::test]
async fn departures_of_one_millisecond_are_in_one_file_although_some_expire() {
    for expired in [100, 200, 299] {
        let world = World::with("# exports evidence").await;
        let now = world.clock.now();
        for n in 0..400 {
            let seconds = if n < 100 {
                0
            } else if n < 300 {
                1
            } else {
                2
            };
            long_at(&world, n, now + time::Duration::seconds(seconds)).await;
        }
        world.clock.set(FIFTH);
        world.bucket.with(|bucket| bucket.refuses = Some("AccessDenied"));
        world.tick().await;
        world.bucket.with(|bucket| bucket.refuses = None);
        world.expire(&format!("idp/{expired:03}")).await;
        for _ in 0..5 {
            world.tick().await;
        }
        is_as_noted(&world, "2026-01").await;
        let tables: Vec<_> =
            noted(&world, "2026-01").await.into_iter().filter(|file| file.0.ends_with("csv")).collect();
        let tables = tables.iter().map(|file| world.bucket.content(&format!("offboard/2026-01/{}", file.0)));
        let written: Vec<BTreeSet<_>> = tables.map(|table| departures(&table).into_iter().collect()).collect();
        assert!(written.len() > 1);
        assert_eq!(written.iter().map(BTreeSet::len).sum::<usize>(), 399, "{expired}");
        assert_eq!(written.iter().flatten().collect::<BTreeSet<_>>().len(), 399, "{expired}");
    }
}
