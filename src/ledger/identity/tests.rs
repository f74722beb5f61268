//! Addresses and their times, from statements in any order.

use super::*;
use crate::person::Person;

fn fact(word: Word, verified: Verification, emails: &[&str]) -> IdentityFact {
    let mut emails = emails.iter().filter_map(|text| Email::parse(text));
    let person = Person { email: emails.next(), other_emails: emails.collect(), ..Person::default() };
    IdentityFact { person, word, verified, at: None }
}

fn known(emails: &[&str]) -> IdentityFact {
    fact(Word::Known, Verification::Verified, emails)
}

fn shown(identity: &IdentityRecord) -> Vec<(String, i64, Option<i64>)> {
    identity
        .emails()
        .into_iter()
        .map(|held| {
            let (from, until) = (held.from(), held.until());
            (held.text, from, until)
        })
        .collect()
}

#[test]
fn replaced_address_ends_when_another_is_first_said_in_any_order_of_arrival() {
    let said = [(10, "a@example.com"), (20, "a@example.com"), (30, "b@example.com"), (40, "b@example.com")];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut identity = IdentityRecord::default();
        for n in order {
            identity.record(&known(&[said[n].1]), said[n].0);
        }
        let expected = [("a@example.com".to_owned(), 10, Some(30)), ("b@example.com".to_owned(), 30, None)];
        assert_eq!(shown(&identity), expected, "{order:?}");
        assert_eq!((identity.first, identity.active), (Some(10), None));
    }
}

#[test]
fn address_taken_back_is_current_again() {
    let mut identity = IdentityRecord::default();
    for (at, email) in [(1, "a@example.com"), (2, "b@example.com"), (3, "a@example.com")] {
        identity.record(&known(&[email]), at);
    }
    let expected = [("a@example.com".to_owned(), 1, None), ("b@example.com".to_owned(), 2, Some(3))];
    assert_eq!(shown(&identity), expected);
    let regained: Vec<_> = identity.emails().into_iter().map(|held| held.regained()).collect();
    assert_eq!(regained, [Some(3), None]);
}

#[test]
fn time_of_taking_back_is_kept_whatever_statements_are_left_out() {
    let mut identity = IdentityRecord::default();
    (0..38).for_each(|at| identity.record(&known(&[&format!("old{at}@example.com")]), at));
    for at in 38..200 {
        let texts = ["a@example.com", "b@example.com"];
        identity.record(&known(&[texts[at % 2]]), i64::try_from(at).unwrap());
        let regained = |text: &str| identity.emails().into_iter().find(|held| held.text == text)?.regained();
        let expected = |at: usize| i64::try_from(at).ok().filter(|at| *at >= 40);
        assert_eq!((regained(texts[at % 2]), regained(texts[(at + 1) % 2])), (expected(at), expected(at - 1)), "{at}");
    }
    assert!(identity.emails.len() <= MAX_STATEMENTS + 2 && !identity.crowded);
}

#[test]
fn claim_is_an_address_only_once_confirmed_and_with_the_time_of_the_claim() {
    let mut identity = IdentityRecord::default();
    identity.record(&fact(Word::Known, Verification::Claimed, &["a@example.com"]), 5);
    assert_eq!((shown(&identity), identity.unverified_emails().len()), (vec![], 1));
    identity.record(&fact(Word::Known, Verification::Confirms, &[]), 9);
    assert_eq!(shown(&identity), [("a@example.com".to_owned(), 5, None)]);
    assert!(identity.unverified_emails().is_empty());
}

#[test]
fn two_claims_at_one_time_confirm_neither() {
    let mut identity = IdentityRecord::default();
    identity.record(&fact(Word::Known, Verification::Claimed, &["a@example.com"]), 5);
    identity.record(&known(&["b@example.com"]), 5);
    identity.record(&fact(Word::Known, Verification::Confirms, &[]), 9);
    assert_eq!(shown(&identity), [("b@example.com".to_owned(), 5, None)]);
}

#[test]
fn statements_are_bounded_and_an_id_that_lost_an_address_is_crowded() {
    let mut identity = IdentityRecord::default();
    for at in 0..10_000 {
        identity.record(&known(&[&format!("a{at}@example.com")]), at);
        assert_eq!(identity.crowded, at >= 100, "{at}");
    }
    assert_eq!(identity.emails.len(), MAX_KEPT.0);
    assert_eq!(shown(&identity).last(), Some(&("a9999@example.com".to_owned(), 9999, None)));
}

#[test]
fn address_is_kept_with_its_times_whatever_is_said_again_and_again() {
    let mut identity = IdentityRecord::default();
    identity.record(&known(&["old@example.com"]), 0);
    for at in 1..1000 {
        identity.record(&known(&[["a@example.com", "b@example.com"][at % 2]]), i64::try_from(at).unwrap());
    }
    let (a, b) = (("a@example.com".to_owned(), 2, Some(999)), ("b@example.com".to_owned(), 1, None));
    assert_eq!(shown(&identity), [("old@example.com".to_owned(), 0, Some(1)), b, a]);
    assert!(identity.emails.len() <= MAX_STATEMENTS && !identity.crowded);
}

#[test]
fn many_addresses_at_once_are_bounded() {
    let mut identity = IdentityRecord::default();
    for at in 0..200 {
        let addresses: Vec<_> = (0..MAX_EMAILS).map(|n| format!("a{at}-{n}@example.com")).collect();
        identity.record(&known(&addresses.iter().map(String::as_str).collect::<Vec<_>>()), at);
    }
    assert_eq!((texts(&identity.emails), identity.crowded), (MAX_KEPT.1 / MAX_EMAILS * MAX_EMAILS, true));
}

#[test]
fn word_inactive_stands_until_a_later_word_active_and_an_older_item_has_none() {
    let record = |said: &[(Word, i64)]| {
        let mut identity = IdentityRecord::default();
        for (word, at) in said {
            identity.record(&fact(*word, Verification::Verified, &["a@example.com"]), *at);
        }
        identity
    };
    let is_inactive = |said: &[(Word, i64)]| {
        let identity = record(said);
        let stored: IdentityRecord = serde_json::from_str(&serde_json::to_string(&identity).unwrap()).unwrap();
        assert_eq!(stored, identity);
        identity.holdings("hr").into_values().all(|holding| holding.is_inactive())
    };
    use Word::{Active, Inactive, Known};
    assert!(is_inactive(&[(Inactive, 5)]) && is_inactive(&[(Inactive, 5), (Active, 3)]));
    assert!(is_inactive(&[(Inactive, 5), (Known, 9)]));
    assert!(!is_inactive(&[(Known, 5)]) && !is_inactive(&[(Inactive, 5), (Active, 5)]));
    assert!(!is_inactive(&[(Active, 9), (Inactive, 5)]));
    assert_eq!(record(&[(Known, 5), (Inactive, 9)]).last_word(), Some(9));
    let old: IdentityRecord = serde_json::from_str(r#"{"first":1,"active":2}"#).unwrap();
    assert_eq!((old.active, old.inactive), (Some(2), None));
    let old: Holding = serde_json::from_str(r#"{"from":1,"first":1,"active":2}"#).unwrap();
    assert!(!old.is_inactive());
}
