//! Metrics in CloudWatch's embedded metric format: lines on standard output, no calls.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{io::Write, sync::OnceLock};

use serde_json::{Map, json};
use time::OffsetDateTime;

use crate::{answer::Problem, ledger::Record, notification::Occasion};

const NAMESPACE: &str = "offboard";

/// The function's name, the one dimension. Nothing is published where there is none.
static FUNCTION: OnceLock<String> = OnceLock::new();

/// Sets the function's name for the process.
pub(crate) fn init(function: Option<String>) {
    if let Some(function) = function {
        FUNCTION.get_or_init(|| function);
    }
}

/// Counts an event.
pub(crate) fn count(name: &str) {
    gauges(&[(name, 1)]);
}

/// Counts a departure that has become held, or in need of a person.
pub(crate) fn entered(before: Option<Occasion>, record: &Record) {
    match record.occasion() {
        occasion if occasion == before => {}
        Some(Occasion::Held) => count("NewlyHeld"),
        Some(Occasion::NeedsAttention) => count("NewlyNeedsAttention"),
        _ => {}
    }
}

/// Counts a request that was not answered with a report.
pub(crate) fn refused(problem: &Problem) {
    match problem {
        Problem::NotRecorded => count("NotRecorded"),
        Problem::NoSecrets | Problem::NoKeySet => count("NotVerifiable"),
        Problem::Unverified => count("Refused"),
        _ => {}
    }
}

/// Publishes values.
pub(crate) fn gauges(values: &[(&str, i64)]) {
    let Some(function) = FUNCTION.get() else { return };
    let line = line(function, OffsetDateTime::now_utc(), values);
    // A log that cannot be written is nothing that an invocation should fail for.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(function: &str, now: OffsetDateTime, values: &[(&str, i64)]) -> String {
    let names: Vec<_> = values.iter().map(|(name, _)| json!({ "Name": name })).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": names });
    let mut line = Map::new();
    line.insert("_aws".into(), json!({ "Timestamp": crate::ledger::millis(now), "CloudWatchMetrics": [directive] }));
    line.insert("function".into(), function.into());
    line.extend(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    serde_json::Value::from(line).to_string()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn line_is_in_the_embedded_metric_format() {
        let line = line("f", datetime!(2026-01-15 12:00 UTC), &[("Held", 2), ("Tick", 1)]);
        let expected = json!({
            "_aws": { "Timestamp": 1_768_478_400_000_i64, "CloudWatchMetrics": [{
                "Namespace": "offboard", "Dimensions": [["function"]], "Metrics": [{ "Name": "Held" }, { "Name": "Tick" }],
            }] },
            "function": "f", "Held": 2, "Tick": 1,
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), expected);
    }
}
