//! A partner's event as EventBridge puts it into a queue, and as Lambda hands it to the function.

use offboard::source::{Source, Subject};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::aws::sqs;

/// Returns the function's event for a sample of what this source delivers by EventBridge. `queue` is the ARN of the queue of
/// events, in whose account the event is.
///
/// # Errors
/// If the source does not deliver by EventBridge, or has no such sample.
pub fn sample<'a>(
    source: &Source,
    what: &str,
    subject: impl Into<Subject<'a>>,
    id: &str,
    at: OffsetDateTime,
    queue: &str,
) -> Result<Value, String> {
    let partner = source.partner().ok_or_else(|| format!("{} has a webhook", source.name))?;
    let known = || format!("{} has no sample `{what}`: it has {}", source.kind.name, source.samples().join(", "));
    let (_, body) = source.sample(what, subject, id, at).ok_or_else(known)?;
    let detail: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let mut parts = queue.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
    let event = json!({
        "version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Sample", "source": partner.as_str(),
        "account": account, "time": at.format(&Rfc3339).unwrap_or_default(), "region": region, "resources": [],
        "detail": detail,
    });
    Ok(sqs::batch("sample", &event.to_string(), queue))
}
