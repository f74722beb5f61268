//! The answer to a delivery, in bounds: what is too long to be listed is counted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{DepartureReport, Report};
use crate::{departure::Ignored, outcome::Status};

/// Departures, and ignored events, beyond which an answer gives counts.
const MAX_LISTED: usize = 100;
/// The longest answer, in bytes, that lists departures. Lambda takes 6 MB, senders less.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The answer to a delivery that is too large to be reported in full.
#[derive(Serialize)]
struct Summary<'a> {
    status: Status,
    request_id: &'a str,
    departures: List<'a, DepartureReport, Status>,
    ignored: List<'a, Ignored, &'static str>,
}

/// A list, or how often what stands in it.
#[derive(Serialize)]
#[serde(untagged)]
enum List<'a, T, K: Ord> {
    Each(&'a [T]),
    Counts(BTreeMap<K, usize>),
}

impl<'a, T, K: Ord> List<'a, T, K> {
    fn of(items: &'a [T], max: usize, kind: impl Fn(&T) -> K) -> Self {
        if items.len() <= max {
            return Self::Each(items);
        }
        let mut counts = BTreeMap::new();
        for item in items {
            *counts.entry(kind(item)).or_default() += 1;
        }
        Self::Counts(counts)
    }
}

impl Report {
    /// Returns the answer as JSON, in at most `LONGEST_ANSWER` bytes: beyond 100 departures, or where the list would be
    /// longer, counts by status stand for them. The log has each.
    pub fn to_json(&self) -> String {
        let departures = |max| List::of(&self.departures, max, |departure: &DepartureReport| departure.status);
        let json = |departures| {
            let ignored = List::of(&self.ignored, MAX_LISTED, |event: &Ignored| event.reason);
            let summary = Summary { status: self.status, request_id: &self.request_id, departures, ignored };
            // Our own types serialize: maps have text keys, numbers are finite.
            serde_json::to_string(&summary).unwrap_or_default()
        };
        let full = json(departures(MAX_LISTED));
        if full.len() > LONGEST_ANSWER { json(departures(0)) } else { full }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::MaskedPerson, *};
    use crate::{
        departure::Event,
        outcome::{AccountResult, Outcome, ProviderResult},
    };

    fn departure(n: usize, detail: &str) -> DepartureReport {
        let result = ProviderResult::new("p", AccountResult::of(Outcome::Deleted).detail(detail));
        DepartureReport {
            id: format!("s/{n}"),
            source: "s".into(),
            event: Event { id: n.to_string(), kind: "left".into(), occurred_at: None, organization: None },
            person: MaskedPerson {
                idp_id: None,
                external_id: None,
                email: None,
                other_emails: Vec::new(),
                more_emails: None,
            },
            status: if n.is_multiple_of(3) { Status::Pending } else { Status::Done },
            reasons: Vec::new(),
            duplicate: false,
            providers: vec![result],
            mode: crate::config::Mode::Live,
            received_at: time::OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn answer(departures: usize, ignored: usize, detail: &str) -> serde_json::Value {
        let departures = (0..departures).map(|n| departure(n, detail)).collect();
        let event = |n: usize| Ignored { id: n.to_string(), kind: "changed".into(), reason: "not a departure" };
        let text = Report::new("r".into(), departures, (0..ignored).map(event).collect()).to_json();
        assert!(text.len() <= LONGEST_ANSWER, "{} bytes", text.len());
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn answer_to_a_large_delivery_gives_counts() {
        let each = answer(100, 100, "");
        assert_eq!(
            (each["departures"][99]["id"].as_str(), each["ignored"][99]["id"].as_str()),
            (Some("s/99"), Some("99"))
        );
        let counts = answer(101, 10_000, "");
        assert_eq!(counts["departures"], serde_json::json!({ "pending": 34, "done": 67 }));
        assert_eq!(counts["ignored"], serde_json::json!({ "not a departure": 10_000 }));
        // Few departures of which there is much to say.
        assert_eq!(answer(3, 0, &"x".repeat(400_000))["departures"], serde_json::json!({ "pending": 1, "done": 2 }));
    }
}
