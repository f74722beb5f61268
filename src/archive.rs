//! The owner's bucket in which the evidence of each month is kept: Amazon S3.
//!
//! An object is written once and never replaced, so that a bucket with object lock gets no second version of it.

use std::time::Duration;

use aws_types::SdkConfig;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use reqwest::Method;
use sha2::{Digest, Sha256};

use crate::{
    aws::{
        explained,
        signed::{self, Api, Call, CallError, Service, Timeouts},
    },
    outbound::{Client, Response},
    outcome::Failure,
};

const API: Api = Api { name: "s3", id: "S3" };
/// A file has some megabytes.
const TIMEOUTS: Timeouts = Timeouts { operation: Duration::from_secs(15), attempt: Duration::from_secs(10) };
/// The checksum by which S3 refuses what was damaged on the way, and which it keeps. Object lock requires one.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// Where the evidence is kept.
#[derive(Clone, Debug)]
pub struct Place {
    /// The bucket's name.
    pub bucket: String,
    /// Beginning of the objects' keys, with its slash; empty for none.
    pub prefix: String,
    /// The ledger's table, which the evidence names.
    pub table: String,
}

/// A bucket that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// S3 cannot be called.
    #[error("the bucket cannot be used: {0}")]
    NotUsable(String),
    /// S3 cannot be reached, or refuses: the error's code. The same call may succeed later.
    #[error("the bucket refuses: {}", explained(.0))]
    Refused(String),
    /// There is an object of this name, which has no SHA-256 and so was not written by offboard.
    #[error("the object {0} is in the way: somebody else wrote it")]
    InTheWay(String),
}

/// A bucket.
#[derive(Debug)]
pub struct Archive {
    service: Service,
    place: Place,
}

/// What S3 answered to an object.
enum Put {
    Written,
    /// There is one of this name.
    Exists,
}

impl From<CallError> for ArchiveError {
    fn from(CallError(code): CallError) -> Self {
        Self::Refused(code)
    }
}

impl Archive {
    /// The bucket of this name, in the region, at the endpoint and with the credentials of `aws`.
    ///
    /// # Errors
    /// If there is no region, there are no credentials, or a name is not usable.
    pub fn new(aws: &SdkConfig, client: &Client, place: Place) -> Result<Self, ArchiveError> {
        let is_plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        if place.bucket.is_empty() || !is_plain(&place.bucket, "-.") || !is_plain(&place.prefix, "-._/") {
            let why = "the bucket and its prefix may have letters, digits and -._ alone";
            return Err(ArchiveError::NotUsable(why.to_owned()));
        }
        let service = Service::new(aws, client, API, TIMEOUTS);
        let service = service.map_err(|CallError(why)| ArchiveError::NotUsable(why))?;
        Ok(Self { service, place })
    }

    /// Returns the ledger's table.
    pub(crate) fn table(&self) -> &str {
        &self.place.table
    }

    /// Writes an object, unless there is one of this name. Returns the SHA-256 of what is there, in hexadecimal digits.
    ///
    /// # Errors
    /// If S3 refuses, or cannot be reached; then the object may be there.
    pub(crate) async fn put(
        &self,
        name: &str,
        media_type: &'static str,
        content: String,
    ) -> Result<String, ArchiveError> {
        let body = Bytes::from(content);
        let digest = Sha256::digest(&body);
        let checksum = BASE64_STANDARD.encode(digest);
        let headers = &[("content-type", media_type), ("if-none-match", "*"), (CHECKSUM, checksum.as_str())];
        let call = Call { method: Method::PUT, path: &self.path(name), headers, body };
        match self.service.call(call, written).await? {
            Put::Written => Ok(hex::encode(digest)),
            Put::Exists => self.sha256(name).await,
        }
    }

    /// Returns the SHA-256 of an object, in hexadecimal digits: an earlier attempt may have written something else.
    async fn sha256(&self, name: &str) -> Result<String, ArchiveError> {
        let headers = &[("x-amz-checksum-mode", "ENABLED")];
        let call = Call { method: Method::HEAD, path: &self.path(name), headers, body: Bytes::new() };
        let checksum = self.service.call(call, checksum).await?;
        let digest = checksum.and_then(|checksum| BASE64_STANDARD.decode(checksum).ok());
        digest.map(hex::encode).ok_or_else(|| ArchiveError::InTheWay(name.to_owned()))
    }

    /// The path of an object, with its bucket: a name with dots is no name of a host with a certificate.
    fn path(&self, name: &str) -> String {
        format!("{}/{}{name}", self.place.bucket, self.place.prefix)
    }
}

/// Reads the answer to an object. An error has its code in an XML element.
fn written(response: &Response) -> Result<Put, Failure> {
    match response.status() {
        status if (200..300).contains(&status) => return Ok(Put::Written),
        412 => return Ok(Put::Exists),
        _ => {}
    }
    let text = String::from_utf8_lossy(response.body());
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    Err(signed::refused(response, code.map(|(code, _)| code)))
}

/// Reads the checksum of an object, where it has one.
fn checksum(response: &Response) -> Result<Option<String>, Failure> {
    if response.is_success() { Ok(response.header(CHECKSUM).map(str::to_owned)) } else { Err(response.failure()) }
}
