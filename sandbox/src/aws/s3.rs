//! Amazon S3, as far as offboard uses it: objects that are put once, with a checksum, and the checksum of one that is there.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::signature;
use crate::mock::{Answer, Call, Service, Unknown};

const CHECKSUM: &str = "x-amz-checksum-sha256";
/// Headers that have to be signed, of every call and of one that puts an object.
const SIGNED: [&str; 3] = ["host", "x-amz-content-sha256", "x-amz-date"];
const SIGNED_BY_PUT: [&str; 3] = ["content-type", "if-none-match", CHECKSUM];

/// One bucket, and its objects by key.
#[derive(Default)]
pub struct S3 {
    objects: BTreeMap<String, Object>,
    /// How often an object was put that was there.
    pub refused_puts: usize,
    /// The code with which every call is refused.
    pub refuses: Option<&'static str>,
    /// The status with which it is refused to look at an object that is there.
    pub hides: Option<u16>,
    /// Whether objects are put, and the answers are lost.
    pub loses_answers: bool,
    /// Whether objects are put, and the answers have the checksum of something else.
    pub confuses_checksums: bool,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its `content-type`.
    pub media_type: String,
    /// What it has.
    pub content: String,
    /// Its SHA-256, in Base64, if it was put with it.
    pub sha256: Option<String>,
}

impl S3 {
    /// The name of the bucket.
    pub const BUCKET: &str = "evidence";

    /// Returns the objects, by key.
    pub fn objects(&self) -> &BTreeMap<String, Object> {
        &self.objects
    }

    /// Puts an object as somebody else would, with its SHA-256.
    pub fn have(&mut self, key: &str, content: &str) {
        let sha256 = Some(STANDARD.encode(Sha256::digest(content)));
        let (media_type, content) = ("text/plain".to_owned(), content.to_owned());
        self.objects.insert(key.to_owned(), Object { media_type, content, sha256 });
    }

    /// Returns the objects, by key, to change them.
    pub fn objects_mut(&mut self) -> &mut BTreeMap<String, Object> {
        &mut self.objects
    }

    fn put(&mut self, call: &Call, key: String) -> Result<Answer, Unknown> {
        if call.header("if-none-match")? != "*" {
            return Err(Unknown("a put that could replace an object".into()));
        }
        let checksum = call.header(CHECKSUM)?.to_owned();
        if checksum != STANDARD.encode(Sha256::digest(call.body())) {
            return Ok(refusal(400, "BadDigest"));
        }
        if self.objects.contains_key(&key) {
            self.refused_puts += 1;
            return Ok(refusal(412, "PreconditionFailed"));
        }
        let content =
            String::from_utf8(call.body().to_vec()).map_err(|_| Unknown("an object that is no text".into()))?;
        let media_type = call.header("content-type")?.to_owned();
        self.objects.insert(key, Object { media_type, content, sha256: Some(checksum.clone()) });
        let answered = if self.confuses_checksums { STANDARD.encode(Sha256::digest("")) } else { checksum };
        Ok(if self.loses_answers { refusal(503, "SlowDown") } else { Answer::empty(200).with(CHECKSUM, answered) })
    }

    fn head(&self, call: &Call, key: &str) -> Result<Answer, Unknown> {
        if call.header("x-amz-checksum-mode")? != "ENABLED" {
            return Err(Unknown("a look at an object that asks for no checksum".into()));
        }
        let Some(object) = self.objects.get(key) else { return Ok(Answer::empty(404)) };
        if let Some(status) = self.hides {
            return Ok(Answer::empty(status));
        }
        let answer = Answer::empty(200);
        Ok(object.sha256.iter().fold(answer, |answer, sha256| answer.with(CHECKSUM, sha256.clone())))
    }
}

impl Service for S3 {
    fn answer(&mut self, call: &Call) -> Result<Answer, Unknown> {
        call.query(&[])?;
        let (method, path) = call.route();
        let signed = signature(call, "s3")?;
        let required = SIGNED.iter().chain(SIGNED_BY_PUT.iter().filter(|_| method == "PUT"));
        if let Some(missing) = required.into_iter().find(|name| !signed.contains(name)) {
            return Err(Unknown(format!("header {missing} is not signed")));
        }
        if call.header("x-amz-content-sha256")? != hex::encode(Sha256::digest(call.body())) {
            return Ok(refusal(400, "XAmzContentSHA256Mismatch"));
        }
        if let Some(code) = self.refuses {
            return Ok(refusal(403, code));
        }
        let Some((bucket, key)) = path.split_first() else { return Err(Unknown::call()) };
        if bucket != Self::BUCKET {
            return Ok(refusal(404, "NoSuchBucket"));
        }
        match (method, key.join("/")) {
            ("PUT", key) if !key.is_empty() => self.put(call, key),
            ("HEAD", key) if !key.is_empty() => self.head(call, &key),
            _ => Err(Unknown::call()),
        }
    }
}

fn refusal(status: u16, code: &str) -> Answer {
    Answer::xml(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>Refused</Message></Error>"
        ),
    )
}
