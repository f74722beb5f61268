//! Reading answers: which are refusals, and what they mean.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::spec::{CallKind, ErrorRule, RetryAfter, Sign, Spec, Statuses, Unit};
use crate::{
    oauth::INVALID_TOKEN,
    outbound::Response,
    outcome::{Failure, FailureKind},
    source::{pointer::Pointer, rules::Conditions},
};

/// The longest code of a vendor's that is a reason, in bytes.
const LONGEST_CODE: usize = 64;

/// How the answers to one call are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) spec: &'a Spec,
    pub(super) call: CallKind,
    /// The statuses of success.
    pub(super) expect: &'a Statuses,
    /// What a success says besides.
    pub(super) r#where: Option<&'a Conditions>,
    /// Whether this is GraphQL, where a 200 may hold errors.
    pub(super) graphql: bool,
    pub(super) oauth: bool,
}

impl Reading<'_> {
    /// The body of an answer that agrees.
    ///
    /// # Errors
    /// What the refusal means.
    pub(super) fn accepted(self, response: &Response) -> Result<Value, Failure> {
        let failed = |failure: Failure| Err(failure.request_id(self.request_id(response)));
        let expected = self.expect.0.contains(&response.status());
        let Some(body) = response.value() else {
            // A gateway's page is no answer of the vendor's, whatever its status.
            let page = Failure::not_understood(format!("HTTP {}: not JSON", response.status()));
            return failed(if response.is_success() { page } else { self.unexplained(response) });
        };
        let errors = self.graphql
            && body.get("errors").is_some_and(|errors| *errors != Value::Null && *errors != Value::Array(Vec::new()));
        let rule = self.spec.errors.iter().find(|rule| self.fits(rule, response, &body));
        let refused = rule.is_some_and(|rule| !expected || rule.r#where.is_some());
        if !expected || errors || refused {
            return failed(self.refusal(rule, response, &body));
        }
        let says = response.status() != 204;
        if says && self.r#where.is_some_and(|conditions| !conditions.hold(&body)) {
            return failed(Failure::not_understood(format!("HTTP {}: not the documented answer", response.status())));
        }
        Ok(body)
    }

    /// The vendor's id of the request.
    pub(super) fn request_id(self, response: &Response) -> Option<String> {
        let header = self.spec.http.as_ref().and_then(|http| http.request_id.as_deref());
        header.and_then(|name| response.header(name)).map(str::to_owned).or_else(|| response.request_id())
    }

    /// Whether an answer is one of these.
    pub(super) fn is_any(response: &Response, signs: &[Sign]) -> bool {
        let fits = |sign: &Sign, body: &Value| {
            sign.status.0.contains(&response.status())
                && sign.r#where.as_ref().is_none_or(|conditions| conditions.hold(body))
        };
        response.value().is_some_and(|body| signs.iter().any(|sign| fits(sign, &body)))
    }

    fn fits(self, rule: &ErrorRule, response: &Response, body: &Value) -> bool {
        rule.call.is_none_or(|call| call == self.call)
            && rule.status.as_ref().is_none_or(|status| status.0.contains(&response.status()))
            && rule.header.iter().all(|(name, value)| response.header(name) == Some(value.as_str()))
            && rule.r#where.as_ref().is_none_or(|conditions| conditions.hold(body))
    }

    fn refusal(self, rule: Option<&ErrorRule>, response: &Response, body: &Value) -> Failure {
        let mut failure = self.unexplained(response);
        let (codes, messages) = match &self.spec.http {
            Some(http) => (http.code.as_slice(), http.message.as_slice()),
            None => (&[][..], &[][..]),
        };
        let code = codes.iter().find_map(|pointer| token(pointer, body));
        if let Some(reason) = rule.and_then(|rule| rule.reason.clone()).or(code) {
            failure.reason = reason;
        }
        if let Some(rule) = rule {
            failure.kind = rule.kind.into();
        }
        if failure.kind == FailureKind::Unauthorized && response.status() == 401 && self.oauth {
            failure.reason = INVALID_TOKEN.to_owned();
        }
        let text = messages.iter().find_map(|pointer| pointer.find(body)).and_then(Value::as_str);
        failure.detail_if(text.map(str::to_owned))
    }

    /// What the status alone says.
    fn unexplained(self, response: &Response) -> Failure {
        let limit = self.spec.http.as_ref().and_then(|http| http.retry_after.as_ref());
        let failure = response.failure();
        match failure.kind {
            _ if response.is_success() => Failure::new(FailureKind::Rejected, "refused"),
            // A limit that some vendors set beside the one that they count: `Retry-After` alone says when it ends.
            _ if response.status() == 403 && response.header("retry-after").is_some() => {
                Failure { kind: FailureKind::RateLimited, ..failure }
            }
            FailureKind::RateLimited => {
                Failure { retry_after: limit.and_then(|limit| wait(limit, response)), ..failure }
            }
            FailureKind::Unauthorized if response.status() == 401 && self.oauth => {
                Failure { reason: INVALID_TOKEN.to_owned(), ..failure }
            }
            _ => failure,
        }
    }
}

/// A code that can stand for a reason: a short word, or a number.
fn token(pointer: &Pointer, body: &Value) -> Option<String> {
    let text = match pointer.find(body)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    ((1..=LONGEST_CODE).contains(&text.len()) && text.chars().all(plain)).then_some(text)
}

/// How long the vendor asks to be left alone.
fn wait(limit: &RetryAfter, response: &Response) -> Option<Duration> {
    let number: f64 = response.header(&limit.header)?.trim().parse().ok()?;
    let since = match limit.unit {
        Unit::Seconds => return Duration::try_from_secs_f64(number).ok(),
        Unit::Epoch => Duration::try_from_secs_f64(number).ok()?,
        Unit::EpochMilliseconds => Duration::try_from_secs_f64(number / 1000.0).ok()?,
    };
    let at = UNIX_EPOCH.checked_add(since)?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}
