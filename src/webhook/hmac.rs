//! Signatures by a shared key: every sender that uses an HMAC is a set of parameters.

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use super::{
    Key, Refusal, mac,
    signature::{Algorithm, Encoding, Family, KeyForm, Layout, Part, Timestamp},
    single,
};

/// How one sender signs: [`Signature`](super::Signature), checked and ready for use.
#[derive(Clone, Debug)]
pub struct Hmac {
    pub(super) families: Vec<Family>,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    pub(super) layout: Layout,
    pub(super) signed: Vec<Part>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) key_form: KeyForm,
}

/// What a signature header says.
struct Claim {
    id: Option<String>,
    timestamp: Option<String>,
    signatures: Vec<Vec<u8>>,
}

impl Hmac {
    /// The delivery's signed id, where there is one. Every signature in the header is tried with every key; one match is
    /// enough.
    pub(super) fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        keys: &[Key],
        now: OffsetDateTime,
    ) -> Result<Option<String>, Refusal> {
        let claim = self.claim(headers)?;
        if let (Some(rule), Some(text)) = (&self.timestamp, &claim.timestamp) {
            rule.check(text, now)?;
        }
        let parts = self.parts(claim.id.as_deref(), claim.timestamp.as_deref(), body);
        let is_match = |key: &Key| mac::matches(self.algorithm, key.0.expose_secret(), &parts, &claim.signatures);
        if keys.iter().any(is_match) { Ok(claim.id.clone()) } else { Err(Refusal::Mismatch) }
    }

    /// The headers of a delivery with this id and body; `None` if the secret is no key.
    pub(super) fn sign(
        &self,
        secret: &SecretString,
        id: &str,
        now: OffsetDateTime,
        body: &[u8],
    ) -> Option<Vec<(String, String)>> {
        let key = self.key(secret)?;
        let family = self.families.first()?;
        let timestamp = self.timestamp.as_ref().map(|rule| rule.unit.count(now).to_string());
        let parts = self.parts(Some(id), timestamp.as_deref(), body);
        let signature = self.encoding.encode(&mac::compute(self.algorithm, key.0.expose_secret(), &parts));
        let stamp = timestamp.clone().unwrap_or_default();
        let mut headers = vec![(family.signature.to_string(), self.layout.write(&stamp, &signature))];
        headers.extend(family.id.as_ref().map(|name| (name.to_string(), id.to_owned())));
        headers.extend(family.timestamp.as_ref().zip(timestamp).map(|(name, stamp)| (name.to_string(), stamp)));
        Some(headers)
    }

    /// A signing secret as a key; `None` if it is not of the form that the sender hands out.
    pub(super) fn key(&self, text: &SecretString) -> Option<Key> {
        let bytes = self.key_form.bytes(text.expose_secret())?;
        (!bytes.is_empty()).then(|| Key(bytes.into()))
    }

    /// Reads the headers. All of them are taken from the same family, the first whose signature is there.
    fn claim(&self, headers: &HeaderMap) -> Result<Claim, Refusal> {
        let present = self.families.iter().find(|family| headers.contains_key(&family.signature));
        let Some(family) = present.or(self.families.first()) else {
            return Err(Refusal::Missing("signature".to_owned()));
        };
        let value = single(headers, &family.signature)?;
        let id = family.id.as_ref().map(|name| single(headers, name)).transpose()?;
        let stamp = family.timestamp.as_ref().map(|name| single(headers, name)).transpose()?;
        let malformed = || Refusal::Malformed(family.signature.to_string());
        let (inline, candidates) = self.layout.read(value).ok_or_else(malformed)?;
        let timestamp = stamp.or(inline).map(str::to_owned);
        if self.timestamp.is_some() && timestamp.is_none() {
            return Err(malformed());
        }
        // A candidate that cannot be decoded is skipped: the next one may be ours.
        let signatures = candidates.into_iter().filter_map(|text| self.encoding.decode(text)).collect();
        Ok(Claim { id: id.map(str::to_owned), timestamp, signatures })
    }

    fn parts<'a>(&'a self, id: Option<&'a str>, timestamp: Option<&'a str>, body: &'a [u8]) -> Vec<&'a [u8]> {
        let part = |part: &'a Part| match part {
            Part::Literal(text) => text.as_bytes(),
            Part::Id => id.unwrap_or_default().as_bytes(),
            Part::Timestamp => timestamp.unwrap_or_default().as_bytes(),
            Part::Body => body,
        };
        self.signed.iter().map(part).collect()
    }
}
