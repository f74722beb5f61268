//! The protected list: what is stored, compare-and-swap, its bound, and the decisions that are kept.

use std::time::Duration;

use offboard::{
    config::Pattern,
    ledger::{
        MAX_PROTECTED, Protection, ProtectionAction, ProtectionRefused,
        store::{Change, Item},
    },
};

use super::*;

const RETENTION: Duration = Duration::from_secs(400 * 86_400);
const FOR_EVER: ProtectionAction = ProtectionAction::Protect { until: None };

fn pattern(text: &str) -> Pattern {
    text.to_owned().try_into().unwrap()
}

async fn decide(
    ledger: &Ledger,
    text: &str,
    action: ProtectionAction,
    at: OffsetDateTime,
) -> Result<(), ProtectionRefused> {
    let pattern = pattern(text);
    let (who, reason) = ("arn:ann".to_owned(), Some("case 4711".to_owned()));
    let decision = Protection { action, address: pattern.masked(), at, who, reason };
    ledger.decide_protection(&pattern, &decision, RETENTION).await
}

async fn shown(ledger: &Ledger, at: OffsetDateTime) -> Vec<(String, bool)> {
    let listed = ledger.protections(None, at).await.unwrap();
    listed.into_iter().map(|(decision, is_in_force)| (decision.address, is_in_force)).collect()
}

#[tokio::test]
async fn address_is_stored_as_its_hash_and_shown_masked() {
    for store in stores().await {
        let ledger = Ledger::new(store.clone());
        decide(&ledger, "lee@example.com", FOR_EVER, NOW).await.unwrap();
        decide(&ledger, "*@breakglass.example.com", FOR_EVER, NOW + time::Duration::SECOND).await.unwrap();
        let expected = [("l…@example.com".to_owned(), true), ("*@breakglass.example.com".to_owned(), true)];
        assert_eq!(shown(&ledger, NOW).await, expected);
        let only = ledger.protections(Some("LEE@example.com"), NOW).await.unwrap();
        assert_eq!(only.len(), 1);
        for id in store.by_source("#protection").await.unwrap().into_iter().chain(["#protected".to_owned()]) {
            let item = read(&store, &id).await.unwrap();
            assert!(!format!("{item:?}").contains("lee@"), "{item:?}");
        }
    }
}

#[tokio::test]
async fn decisions_at_once_are_all_kept() {
    for store in stores().await {
        let ledger = Ledger::new(store);
        let names: Vec<_> = (0..12).map(|n| format!("p{n}@example.com")).collect();
        let decided = join_all(names.iter().map(|name| decide(&ledger, name, FOR_EVER, NOW))).await;
        assert_eq!(decided, vec![Ok(()); 12]);
        let protected = ledger.protected().await.unwrap().at(NOW);
        assert!(names.iter().all(|name| protected.since(name).is_some()));
        assert_eq!(ledger.protection_history().await.unwrap().len(), 12);
    }
}

#[tokio::test]
async fn what_is_taken_back_or_replaced_stays_in_the_history_until_its_retention() {
    for store in stores().await {
        let ledger = Ledger::new(store.clone());
        let until = Some(NOW + time::Duration::HOUR);
        let actions = [FOR_EVER, ProtectionAction::Protect { until }, ProtectionAction::Unprotect];
        for action in actions {
            decide(&ledger, "lee@example.com", action, NOW).await.unwrap();
        }
        assert_eq!(shown(&ledger, NOW).await, []);
        assert_eq!(ledger.protected().await.unwrap().at(NOW).since("lee@example.com"), None);
        let history = ledger.protection_history().await.unwrap();
        assert_eq!(history.iter().map(|decision| decision.action).collect::<Vec<_>>(), actions);
        for id in store.by_source("#protection").await.unwrap() {
            let expires_at = read(&store, &id).await.unwrap().expires_at;
            assert_eq!(expires_at, Some((NOW + RETENTION).unix_timestamp()), "{id}");
        }
        let refused = decide(&ledger, "lee@example.com", ProtectionAction::Unprotect, NOW).await;
        assert_eq!(refused, Err(ProtectionRefused::NotListed));
    }
}

#[tokio::test]
async fn entry_that_has_ended_is_shown_as_such_and_dropped_at_the_next_decision() {
    for store in stores().await {
        let ledger = Ledger::new(store);
        let until = Some(NOW + time::Duration::HOUR);
        decide(&ledger, "lee@example.com", ProtectionAction::Protect { until }, NOW).await.unwrap();
        let later = NOW + time::Duration::DAY;
        assert_eq!(ledger.protected().await.unwrap().count(later), (0, 1));
        assert_eq!(shown(&ledger, later).await, [("l…@example.com".to_owned(), false)]);
        decide(&ledger, "ann@example.com", FOR_EVER, later).await.unwrap();
        assert_eq!(shown(&ledger, later).await, [("a…@example.com".to_owned(), true)]);
        assert_eq!(ledger.protection_history().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn full_list_refuses_another_address_and_still_changes_its_own() {
    for store in stores().await {
        let ledger = Ledger::new(store.clone());
        decide(&ledger, "lee@example.com", FOR_EVER, NOW).await.unwrap();
        let mut entries: serde_json::Map<_, _> =
            serde_json::from_str(&read(&store, "#protected").await.unwrap().document).unwrap();
        let widest = serde_json::json!({"since": 1_769_860_800_000_i64, "until": 253_402_300_799_i64});
        entries.extend((1..MAX_PROTECTED).map(|n| (format!("{n:032x}"), widest.clone())));
        let document = serde_json::to_string(&entries).unwrap();
        assert!(document.len() < MAX_ITEM / 3, "{} bytes", document.len());
        let item = Item { id: "#protected".into(), version: 2, document, ..Item::default() };
        store.change(&[Change::Swap { item, expected: 1 }]).await.unwrap();
        assert_eq!(decide(&ledger, "ann@example.com", FOR_EVER, NOW).await, Err(ProtectionRefused::Full));
        decide(&ledger, "lee@example.com", FOR_EVER, NOW).await.unwrap();
        decide(&ledger, "lee@example.com", ProtectionAction::Unprotect, NOW).await.unwrap();
        decide(&ledger, "ann@example.com", FOR_EVER, NOW).await.unwrap();
        assert_eq!(ledger.protected().await.unwrap().count(NOW), (MAX_PROTECTED, 0));
    }
}
