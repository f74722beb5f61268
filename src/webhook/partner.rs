//! Events that a partner of Amazon EventBridge delivers. Nothing in them is signed: EventBridge names the partner event source
//! of each, and lets nobody but the partner put an event of that source.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Verified;

/// Longest name of a partner event source, in bytes.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html>
const LONGEST_NAME: usize = 256;

/// The name of a partner event source: `aws.partner/okta.com/…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartnerSource(String);

/// An event as EventBridge hands it over, as far as it is read before it is verified:
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>.
#[derive(Deserialize)]
pub(crate) struct PartnerEvent {
    source: PartnerSource,
    account: String,
    detail: Box<RawValue>,
}

impl fmt::Debug for PartnerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartnerEvent").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The event is of another account than the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is of another AWS account")]
pub(crate) struct OtherAccount;

impl PartnerSource {
    /// Reads a name. `None` if EventBridge has no partner event source of such a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.strip_prefix("aws.partner/")?.split('/').collect();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = parts.len() >= 2 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(allowed));
        (is_name && name.len() <= LONGEST_NAME).then(|| Self(name.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for PartnerSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a partner event source"))
    }
}

impl PartnerEvent {
    /// Reads an event. `None` if it is none: the library would also read a list of the fields' values.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let is_object = message.trim_ascii_start().starts_with('{');
        serde_json::from_str(message).ok().filter(|_| is_object)
    }

    /// Returns the partner event source that it is from, as EventBridge says.
    pub(crate) fn source(&self) -> &PartnerSource {
        &self.source
    }

    /// Verifies that it was put in this AWS account, which is the function's. Its body is the `detail`.
    ///
    /// # Errors
    /// If it is of another account.
    pub(crate) fn verify(self, account: &str) -> Result<Verified, OtherAccount> {
        match self.account == account {
            true => Ok(Verified::new(None, self.detail.get().as_bytes(), &http::HeaderMap::new())),
            false => Err(OtherAccount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OKTA: &str = "aws.partner/okta.com/acme/offboard";

    #[test]
    fn name_that_eventbridge_does_not_allow_is_none() {
        assert_eq!(PartnerSource::parse(OKTA).as_ref().map(PartnerSource::as_str), Some(OKTA));
        let long = format!("aws.partner/okta.com/{}", "x".repeat(LONGEST_NAME));
        for name in [
            "",
            "offboard",
            "aws.partner/okta.com",
            "aws.partner/okta.com/",
            "aws.partner//x",
            "aws.partner/okta.com/a@b",
            &long,
        ] {
            assert_eq!(PartnerSource::parse(name), None, "{name}");
        }
    }

    #[test]
    fn event_of_another_account_and_one_that_names_a_field_twice_are_refused() {
        let event =
            |extra: &str| format!(r#"{{"source": "{OKTA}", "account": "111122223333", "detail": {{"a": 1}}{extra}}}"#);
        let read = |text: &str| serde_json::from_str::<PartnerEvent>(text);
        let verified = read(&event("")).unwrap().verify("111122223333").unwrap();
        assert_eq!((verified.body(), verified.id()), (&br#"{"a": 1}"#[..], None));
        for other in ["", "111122223334", "11112222333"] {
            assert_eq!(read(&event("")).unwrap().verify(other).err(), Some(OtherAccount), "{other}");
        }
        for extra in [r#", "account": "1""#, r#", "source": "aws.partner/okta.com/a/b""#, r#", "detail": {}"#] {
            assert!(read(&event(extra)).is_err_and(|error| error.is_data()), "{extra}");
        }
    }
}
