//! How often a product lets its API be called, read from the sentence that describes it.

use std::time::Duration;

/// Calls that one departure takes: the look-up, the removal, the second look.
const CALLS: u32 = 3;
/// How much of a limit is used: what other programs of the same account call counts as well.
const SHARE: f64 = 0.97;

/// A rate that a product allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Calls.
    count: u32,
    /// In this time.
    per: Duration,
    /// Whether removals alone count.
    is_of_removals: bool,
}

impl Rate {
    /// Reads the lowest rate in a sentence such as "1,000 requests a minute, 50 a second per account"; `None` if none is in it.
    pub fn read(limits: &str) -> Option<Self> {
        let rates = limits.split(", ").filter_map(Self::read_clause);
        rates.min_by(|a, b| a.per_second().total_cmp(&b.per_second()))
    }

    fn read_clause(clause: &str) -> Option<Self> {
        let words: Vec<_> = clause.split(' ').collect();
        let count = number(words.first()?)?;
        let per = words.windows(3).find_map(|words| match words {
            ["in", many, unit] => Some(time(unit)? * number(many)?),
            ["a" | "an", unit, _] | [_, "a" | "an", unit] => time(unit),
            _ => None,
        })?;
        Some(Self { count, per, is_of_removals: words.contains(&"removals") }).filter(|rate| rate.count > 0)
    }

    fn per_second(&self) -> f64 {
        f64::from(self.count) / self.per.as_secs_f64()
    }

    /// Returns the time between two departures that keeps within it. With a canary a departure takes one more call.
    pub fn interval(&self, has_canary: bool) -> Duration {
        let calls = if self.is_of_removals { 1 } else { CALLS + u32::from(has_canary) };
        (self.per * calls).div_f64(f64::from(self.count) * SHARE)
    }
}

fn number(word: &str) -> Option<u32> {
    word.replace(',', "").parse().ok()
}

fn time(unit: &str) -> Option<Duration> {
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 1,
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::ProviderKind;

    #[test]
    fn every_kind_whose_limits_name_a_rate_is_read() {
        let read = |kind: &&ProviderKind| {
            let rate = Rate::read(kind.limits?)?;
            let of = if rate.is_of_removals { "removals" } else { "calls" };
            Some(format!("{} {} {of} in {} s", kind.name, rate.count, rate.per.as_secs()))
        };
        let kinds = ProviderKind::all();
        let expected = [
            "airtable_enterprise 50 calls in 1 s",
            "buildkite 200 calls in 60 s",
            "cloudflare_access 1200 calls in 300 s",
            "cloudflare_members 1200 calls in 300 s",
            "flashduty 1000 calls in 60 s",
            "github_org_member 5000 calls in 3600 s",
            "google_workspace 2400 calls in 60 s",
            "hubspot 100 calls in 10 s",
            "mongodb_atlas_org 5 calls in 60 s",
            "netlify_team_member 500 calls in 60 s",
            "pagerduty_user 960 calls in 60 s",
            "slack 180 removals in 60 s",
            "zoom 30 calls in 1 s",
        ];
        assert_eq!(kinds.iter().filter_map(read).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn interval_counts_the_calls_of_a_departure() {
        let interval = |limits: &str, has_canary| Rate::read(limits).map(|rate| rate.interval(has_canary).as_millis());
        assert_eq!(interval("1,200 requests in 5 minutes per token", false), Some(773));
        assert_eq!(interval("1,200 requests in 5 minutes per token", true), Some(1030));
        assert_eq!(interval("180 removals a minute per organization", true), Some(343));
        for none in ["", "what the response headers say", "0 calls a minute", "many a day", "10 calls in no time"] {
            assert_eq!(interval(none, false), None, "{none}");
        }
    }
}
