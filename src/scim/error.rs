//! Errors of the SCIM endpoint, and the answers that they become (RFC 7644 3.12).

use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{answer::Problem, ledger::LedgerError};

/// What a client reads where it is to come again.
const LATER: &str = "nothing is wrong with the request: try again later";
/// When a client is asked to come again, in seconds.
const RETRY_AFTER: &str = "60";

/// Why a request was not carried out. No text of it holds a value of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScimError {
    /// The body is not JSON, or not of the message's form.
    #[error("the body is not a SCIM message: {0}")]
    InvalidSyntax(&'static str),
    /// The filter is not one of those that are supported.
    #[error("the filter is not supported: compare by `eq`, joined by `and`")]
    InvalidFilter,
    /// The path of an operation is not a path.
    #[error("the operation's path cannot be read")]
    InvalidPath,
    /// A value has another type than its attribute; names the attribute.
    #[error("the value of {0} cannot be used")]
    InvalidValue(&'static str),
    /// An operation that needs a path has none.
    #[error("the operation needs a path")]
    NoTarget,
    /// Another user has the user name.
    #[error("another user has this userName")]
    Uniqueness,
    /// No such resource.
    #[error("there is no such resource")]
    NotFound,
    /// The resource takes these methods.
    #[error("this resource takes {0}")]
    MethodNotAllowed(&'static str),
    /// The token is missing or wrong.
    #[error("the token is missing or wrong")]
    Unauthorized,
    /// Something that this endpoint does not do.
    #[error("{0} is not supported")]
    NotImplemented(&'static str),
    /// The body is larger than the limit, in bytes.
    #[error("a body may have {0} bytes")]
    TooLarge(usize),
    /// The token does not match, and the secret cannot be read again yet.
    #[error("the token does not match; it may be newer than the one that was read last: try again later, or check it")]
    TokenMayBeNewer,
    /// The time ran out, a token cannot be checked now, or work is left without durable storage.
    #[error("{LATER}")]
    Unavailable,
    /// The ledger cannot be used. A repetition does no harm.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<&Problem> for ScimError {
    fn from(problem: &Problem) -> Self {
        match problem {
            Problem::Unverified => Self::Unauthorized,
            Problem::TooLarge(limit) => Self::TooLarge(*limit),
            Problem::NotFound => Self::NotFound,
            Problem::KeyMayBeNewer => Self::TokenMayBeNewer,
            _ => Self::Unavailable,
        }
    }
}

impl ScimError {
    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidSyntax(_)
            | Self::InvalidFilter
            | Self::InvalidPath
            | Self::InvalidValue(_)
            | Self::NoTarget => StatusCode::BAD_REQUEST,
            Self::Uniqueness => StatusCode::CONFLICT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TokenMayBeNewer | Self::Unavailable | Self::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn scim_type(&self) -> Option<&'static str> {
        match self {
            Self::InvalidSyntax(_) => Some("invalidSyntax"),
            Self::InvalidFilter => Some("invalidFilter"),
            Self::InvalidPath => Some("invalidPath"),
            Self::InvalidValue(_) => Some("invalidValue"),
            Self::NoTarget => Some("noTarget"),
            Self::Uniqueness => Some("uniqueness"),
            _ => None,
        }
    }

    /// Returns the answer, without its media type.
    pub(super) fn answer(&self) -> Response<Value> {
        let status = self.status();
        let detail = if matches!(self, Self::Ledger(_)) { LATER.to_owned() } else { self.to_string() };
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.as_u16().to_string(),
            "detail": detail,
        });
        if let Some(scim_type) = self.scim_type() {
            body["scimType"] = scim_type.into();
        }
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        let (name, value) = match self {
            Self::MethodNotAllowed(methods) => (header::ALLOW, *methods),
            Self::Unauthorized => (header::WWW_AUTHENTICATE, "Bearer"),
            // Whole seconds: Okta reads nothing else.
            Self::TokenMayBeNewer | Self::Unavailable | Self::Ledger(_) => (header::RETRY_AFTER, RETRY_AFTER),
            _ => return answer,
        };
        answer.headers_mut().insert(name, header::HeaderValue::from_static(value));
        answer
    }
}
