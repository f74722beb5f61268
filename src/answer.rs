//! The answer to a sender: a report or a problem (RFC 9457), and its status. Nothing else knows a status code.

use std::{collections::BTreeMap, time::Duration};

use http::{Response, StatusCode, header};
use serde::Serialize;

use crate::{outcome::Status, report::Report, source::Reply};

/// When a sender is asked to deliver again, if no provider asks for longer.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// The longest that a sender is asked to wait, whatever a provider asks for: a sender that is sent away for days never comes back.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// A request that is not answered with a report. The status decides what the sender does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No such route, or no such source.
    NotFound,
    /// The route takes these methods.
    MethodNotAllowed(&'static str),
    /// The header that should hold a challenge is missing or too long.
    NoChallenge(String),
    /// The body is larger than the limit, in bytes.
    TooLarge(usize),
    /// The signature is missing, wrong or too old: one text for all three.
    Unverified,
    /// The body cannot be read; names the field.
    Unreadable(String),
    /// Nothing is known about the signature, because the secrets cannot be read.
    NoSecrets,
    /// Nothing is known about the signature, because the sender's published keys cannot be read.
    NoKeySet,
    /// The signature matches no key that was read; a newer one could not be looked for.
    KeyMayBeNewer,
    /// The ledger or the queue cannot be used, so nothing was done.
    NotRecorded,
}

/// RFC 9457.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: String,
    request_id: &'a str,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unverified => StatusCode::UNAUTHORIZED,
            Self::Unreadable(_) | Self::NoChallenge(_) => StatusCode::BAD_REQUEST,
            Self::NoSecrets | Self::NoKeySet | Self::KeyMayBeNewer | Self::NotRecorded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn name_and_title(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("not-found", "Not found"),
            Self::MethodNotAllowed(_) => ("method-not-allowed", "Method not allowed"),
            Self::NoChallenge(_) => ("no-challenge", "There is no challenge to answer"),
            Self::TooLarge(_) => ("too-large", "The delivery is too large"),
            Self::Unverified => ("unverified", "The delivery could not be verified"),
            Self::Unreadable(_) => ("unreadable", "The delivery could not be read"),
            Self::NoSecrets => ("secret-store", "The secret store could not be read"),
            Self::NoKeySet => ("key-set", "The sender's published keys could not be read"),
            Self::KeyMayBeNewer => ("key-may-be-newer", "The delivery may be signed with a key that was not read yet"),
            Self::NotRecorded => ("not-recorded", "The departure could not be recorded"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotFound => "Deliveries go to /webhooks/{source}, where {source} is a configured source.".to_owned(),
            Self::MethodNotAllowed(_) => "Deliveries are sent with POST.".to_owned(),
            Self::NoChallenge(header) => format!("The header {header} is missing or cannot be given back."),
            Self::TooLarge(limit) => format!("A delivery may have {limit} bytes."),
            Self::Unverified => "The signature is missing or wrong, or its time is too far from now.".to_owned(),
            Self::Unreadable(why) => format!("The signature is good, but {why}."),
            Self::NoSecrets | Self::NoKeySet | Self::KeyMayBeNewer | Self::NotRecorded => {
                "Nothing was done. Deliver again later.".to_owned()
            }
        }
    }

    /// The answer.
    pub(crate) fn answer(&self, request_id: &str) -> Response<String> {
        let (name, title) = self.name_and_title();
        let status = self.status();
        let document = Document {
            r#type: format!("urn:offboard:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            request_id,
        };
        let mut answer = answer(status, "application/problem+json", &document);
        match self {
            Self::MethodNotAllowed(methods) => put(&mut answer, header::ALLOW, methods),
            Self::NoSecrets | Self::NoKeySet | Self::KeyMayBeNewer | Self::NotRecorded => {
                put(&mut answer, header::RETRY_AFTER, &RETRY_AFTER.as_secs().to_string())
            }
            _ => {}
        }
        answer
    }
}

/// The answer to a delivery that was taken. Without durable storage the sender must deliver again what is not done.
pub(crate) fn report(report: &Report, reply: Reply, is_durable: bool) -> Response<String> {
    let incomplete = is_incomplete(report, is_durable);
    let taken = if reply == Reply::Accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
    let status = if incomplete { StatusCode::SERVICE_UNAVAILABLE } else { taken };
    let mut answer = match reply {
        Reply::Report => json(status, "application/json", report.to_json()),
        Reply::Empty | Reply::Accepted => plain(status, String::new()),
    };
    if incomplete {
        let wait = report.retry_after().unwrap_or(RETRY_AFTER).clamp(RETRY_AFTER, LONGEST_RETRY_AFTER);
        put(&mut answer, header::RETRY_AFTER, &wait.as_secs().to_string());
    }
    answer
}

/// Returns whether work is left that is forgotten with the process: then the delivery has to come again.
pub(crate) fn is_incomplete(report: &Report, is_durable: bool) -> bool {
    let is_left = |status: Status| matches!(status, Status::Pending | Status::Held | Status::Incomplete);
    !is_durable && report.departures.iter().any(|departure| is_left(departure.status))
}

/// What a sender asked, given back under the name it wants.
pub(crate) fn challenge(field: &str, asked: &str) -> Response<String> {
    answer(StatusCode::OK, "application/json", &BTreeMap::from([(field, asked)]))
}

fn answer(status: StatusCode, media_type: &str, body: &impl Serialize) -> Response<String> {
    // Our own types serialize: maps have text keys, numbers are finite.
    json(status, media_type, serde_json::to_string(body).unwrap_or_default())
}

fn json(status: StatusCode, media_type: &str, body: String) -> Response<String> {
    let mut answer = plain(status, body);
    put(&mut answer, header::CONTENT_TYPE, media_type);
    answer
}

fn plain(status: StatusCode, body: String) -> Response<String> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

fn put(answer: &mut Response<String>, name: header::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        departure::{Departure, Event},
        ledger::Record,
        outcome::{AccountResult, Outcome, ProviderResult},
        person::Person,
        report::DepartureReport,
    };

    fn reported(status: Status, retry_after: Option<u64>) -> Report {
        let event = Event { id: "1".into(), kind: "gone".into(), occurred_at: None, organization: None };
        let departure = Departure { id: "s/1".into(), source: "s".into(), event, person: Person::default() };
        let record = Record::new(&departure, OffsetDateTime::UNIX_EPOCH, 0);
        let retry_after = retry_after.map(Duration::from_secs);
        let result = AccountResult { retry_after, ..AccountResult::of(Outcome::RateLimited) };
        let departures = vec![DepartureReport::of(
            &record,
            status,
            false,
            crate::config::Mode::Live,
            vec![ProviderResult::new("p", result)],
        )];
        Report::new("r".into(), departures, Vec::new())
    }

    #[test]
    fn sender_is_asked_to_wait_between_a_minute_and_an_hour() {
        for (asked, shown) in [(None, "60"), (Some(7), "60"), (Some(300), "300"), (Some(u64::MAX), "3600")] {
            let answer = report(&reported(Status::Incomplete, asked), Reply::Report, false);
            assert_eq!(answer.headers()[header::RETRY_AFTER], shown);
        }
    }

    #[test]
    fn what_is_left_without_durable_storage_is_503() {
        use Status::{Done, Held, Ignored, Incomplete, NeedsAttention, Pending, Planned};
        for (status, code) in [(Done, 200), (Ignored, 200), (Planned, 200), (NeedsAttention, 200)] {
            for is_durable in [false, true] {
                assert_eq!(report(&reported(status, None), Reply::Report, is_durable).status(), code, "{status}");
            }
        }
        for status in [Pending, Held, Incomplete] {
            for (is_durable, code) in [(false, 503), (true, 200)] {
                assert_eq!(report(&reported(status, None), Reply::Report, is_durable).status(), code, "{status}");
            }
        }
    }
}
