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
    outcome::{Failure, FailureKind},
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
    /// Beginning of the objects' keys, with its slash; empty for none. No segment of it has dots alone: it would be left out of the
    /// URL, or point above.
    pub prefix: String,
    /// The ledger's table, which the evidence names.
    pub table: String,
}

impl Place {
    fn is_usable(&self) -> bool {
        let is_plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        let has_dots_alone = |segment: &str| !segment.is_empty() && segment.chars().all(|c| c == '.');
        let is_path = is_plain(&self.prefix, "-._/") && !self.prefix.split('/').any(has_dots_alone);
        !self.bucket.is_empty() && is_plain(&self.bucket, "-.") && is_path
    }
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
    /// There is an object of this name with another content than any that was sent: its bucket and key.
    #[error(
        "the object {0} is in the way: it is not what was sent from this ledger, or cannot be read, and nothing is replaced"
    )]
    InTheWay(String),
}

/// A bucket.
#[derive(Debug)]
pub struct Archive {
    service: Service,
    place: Place,
}

/// A file to be kept, with its SHA-256.
#[derive(Debug)]
pub(crate) struct File {
    /// Its name in its folder.
    pub(crate) name: String,
    media_type: &'static str,
    content: Bytes,
    digest: [u8; 32],
}

impl File {
    /// The file of this name and content.
    pub(crate) fn new(name: String, media_type: &'static str, content: String) -> Self {
        let digest = Sha256::digest(&content).into();
        Self { name, media_type, content: content.into(), digest }
    }

    /// Returns the SHA-256 in hexadecimal digits.
    pub(crate) fn sha256(&self) -> String {
        hex::encode(self.digest)
    }
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
        if !place.is_usable() {
            let why = "the bucket and its prefix may have letters, digits and -._ alone, and no segment of dots alone";
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

    /// Returns where the evidence is kept: the bucket, and the beginning of the keys.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.place.bucket, self.place.prefix)
    }

    /// Writes a file into a folder, unless there is an object of its name. Returns the SHA-256 of what is there, in hexadecimal
    /// digits: the file's, or one of `known`, of what was sent before under this name.
    ///
    /// # Errors
    /// If S3 refuses, or cannot be reached; then the object may be there. [`ArchiveError::InTheWay`] if something else is there.
    pub(crate) async fn put(&self, folder: &str, file: &File, known: &[String]) -> Result<String, ArchiveError> {
        let path = format!("{}{folder}/{}", self.place(), file.name);
        let checksum = BASE64_STANDARD.encode(file.digest);
        let headers = &[("content-type", file.media_type), ("if-none-match", "*"), (CHECKSUM, checksum.as_str())];
        let call = Call { method: Method::PUT, path: &path, headers, body: file.content.clone() };
        match self.service.call(call, |response| written(response, &checksum)).await? {
            Put::Written => Ok(file.sha256()),
            Put::Exists => {
                let sha256 = self.sha256(&path).await?;
                let is_ours = |sha256: &String| *sha256 == file.sha256() || known.contains(sha256);
                sha256.filter(is_ours).ok_or(ArchiveError::InTheWay(path))
            }
        }
    }

    /// Returns the SHA-256 of an object, in hexadecimal digits, if it has one.
    async fn sha256(&self, path: &str) -> Result<Option<String>, ArchiveError> {
        let headers = &[("x-amz-checksum-mode", "ENABLED")];
        let call = Call { method: Method::HEAD, path, headers, body: Bytes::new() };
        let checksum = self.service.call(call, checksum).await?;
        Ok(checksum.and_then(|checksum| BASE64_STANDARD.decode(checksum).ok()).map(hex::encode))
    }
}

/// Reads the answer to an object with this checksum. An error has its code in an XML element.
fn written(response: &Response, checksum: &str) -> Result<Put, Failure> {
    match (response.status(), response.header(CHECKSUM)) {
        (200..300, Some(stored)) if stored != checksum => {
            return Err(Failure::new(FailureKind::Rejected, "AnotherChecksum"));
        }
        (200..300, _) => return Ok(Put::Written),
        (412, _) => return Ok(Put::Exists),
        _ => {}
    }
    let text = String::from_utf8_lossy(response.body());
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    Err(signed::refused(response, code.map(|(code, _)| code)))
}

/// Reads the checksum of an object that is there, where it has one. One that only its owner may read, or with a key of the
/// owner's, is answered 400 or 403.
fn checksum(response: &Response) -> Result<Option<String>, Failure> {
    match response.status() {
        200..300 => Ok(response.header(CHECKSUM).map(str::to_owned)),
        400 | 403 => Ok(None),
        _ => Err(response.failure()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_that_points_elsewhere_is_not_usable() {
        let usable =
            |prefix: &str| Place { bucket: "b".into(), prefix: prefix.into(), table: String::new() }.is_usable();
        for prefix in ["", "offboard/", "a/b.c/", ".hidden/", "a..b/"] {
            assert!(usable(prefix), "{prefix}");
        }
        for prefix in ["../other/", "./", "a/../b/", "a/./", "...", "a b/", "ä/", "a?b/", "a%2f/"] {
            assert!(!usable(prefix), "{prefix}");
        }
    }
}
