//! The parameters of a signature scheme, as they stand in a configuration or in the table of senders.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use http::HeaderName;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Hmac, Refusal};

/// Base64 whose padding may be missing, as in secrets that were copied by hand.
pub(super) const BASE64_LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a sender signs. Every sender that uses an HMAC is a set of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Table")]
pub struct Signature(Hmac);

impl Signature {
    /// The scheme that it describes.
    pub fn scheme(&self) -> &Hmac {
        &self.0
    }
}

/// [`Signature`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The header that holds the signature, or several: the first that is there counts, with the id and timestamp headers
    /// at the same position of their lists.
    header: OneOrMany,
    #[serde(default)]
    id_header: OneOrMany,
    #[serde(default)]
    timestamp_header: OneOrMany,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default)]
    encoding: Encoding,
    /// Text in front of a bare signature: `sha256=`.
    prefix: Option<String>,
    #[serde(default)]
    format: Format,
    /// The version label of the signatures that count, in the formats `pairs` and `list`.
    version: Option<String>,
    /// What is signed: `{id}`, `{ts}` and `{body}`, and anything between.
    #[serde(default = "body_alone")]
    signed: String,
    #[serde(default)]
    timestamp_unit: Unit,
    /// How far the timestamp may be from now, both ways.
    #[serde(default = "five_minutes", with = "crate::settings::duration")]
    tolerance: std::time::Duration,
    #[serde(default)]
    secret: KeyForm,
}

fn body_alone() -> String {
    "{body}".to_owned()
}

fn five_minutes() -> std::time::Duration {
    std::time::Duration::from_secs(300)
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn names(self) -> Result<Vec<HeaderName>, String> {
        let texts = match self {
            Self::None => Vec::new(),
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        };
        let name =
            |text: String| HeaderName::try_from(text.as_str()).map_err(|_| format!("`{text}` is no header name"));
        texts.into_iter().map(name).collect()
    }
}

/// The hash below the HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How the signature's bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in either case.
    #[default]
    Hex,
    /// Base64, the standard alphabet.
    Base64,
}

impl Encoding {
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64_STANDARD.decode(text).ok(),
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64_STANDARD.encode(bytes),
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Bare,
    Pairs,
    List,
}

/// How signatures stand in their header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One signature, behind this text.
    Bare(String),
    /// `t=TIMESTAMP,v1=SIGNATURE,…`: those of this version count.
    Pairs(String),
    /// `v1,SIGNATURE v1,SIGNATURE …`: those of this version count.
    List(String),
}

impl Layout {
    /// The timestamp, if it stands here, and the signatures. Other versions are skipped.
    pub(super) fn read<'a>(&self, value: &'a str) -> Option<(Option<&'a str>, Vec<&'a str>)> {
        match self {
            Self::Bare(prefix) => Some((None, vec![value.strip_prefix(prefix.as_str())?])),
            Self::List(version) => {
                let of_version = |item: &'a str| item.split_once(',').filter(|(label, _)| label == version);
                Some((None, value.split(' ').filter_map(of_version).map(|(_, signature)| signature).collect()))
            }
            Self::Pairs(version) => {
                let pairs: Option<Vec<_>> = value.split(',').map(|pair| pair.trim().split_once('=')).collect();
                let of = |name: &str| {
                    pairs.iter().flatten().filter(|(key, _)| *key == name).map(|(_, text)| *text).collect()
                };
                let (stamps, signatures): (Vec<_>, _) = (of("t"), of(version));
                (pairs.is_some() && stamps.len() == 1).then(|| (Some(stamps[0]), signatures))
            }
        }
    }

    pub(super) fn write(&self, timestamp: &str, signature: &str) -> String {
        match self {
            Self::Bare(prefix) => format!("{prefix}{signature}"),
            Self::List(version) => format!("{version},{signature}"),
            Self::Pairs(version) => format!("t={timestamp}, {version}={signature}"),
        }
    }
}

/// What a timestamp counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds since 1970.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds since 1970.
    #[serde(rename = "ms")]
    Milliseconds,
}

impl Unit {
    pub(super) fn count(self, at: OffsetDateTime) -> i128 {
        match self {
            Self::Seconds => at.unix_timestamp().into(),
            Self::Milliseconds => at.unix_timestamp_nanos().div_euclid(1_000_000),
        }
    }
}

/// How a delivery's own timestamp is checked.
#[derive(Clone, Debug)]
pub struct Timestamp {
    /// What it counts.
    pub unit: Unit,
    /// How far it may be from now, both ways, inclusive.
    pub tolerance: std::time::Duration,
}

impl Timestamp {
    /// Strict digits: the senders' own libraries take `1e9` and ` 12`, and sign the text they were given.
    pub(super) fn check(&self, text: &str, now: OffsetDateTime) -> Result<(), Refusal> {
        let digits = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let stamp: i128 =
            text.parse().ok().filter(|_| digits).ok_or_else(|| Refusal::Malformed("timestamp".to_owned()))?;
        let tolerance = match self.unit {
            Unit::Seconds => u128::from(self.tolerance.as_secs()),
            Unit::Milliseconds => self.tolerance.as_millis(),
        };
        if stamp.abs_diff(self.unit.count(now)) > tolerance { Err(Refusal::OutsideTolerance) } else { Ok(()) }
    }
}

/// How a signing secret becomes a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyForm {
    /// The text's own bytes.
    #[default]
    Raw,
    /// Base64 behind an optional `whsec_` (Standard Webhooks).
    Whsec,
}

impl KeyForm {
    pub(super) fn bytes(self, text: &str) -> Option<Vec<u8>> {
        let text = text.trim();
        match self {
            Self::Raw => Some(text.as_bytes().to_vec()),
            Self::Whsec => BASE64_LENIENT.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok(),
        }
    }
}

/// The header names that one sender uses together.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) signature: HeaderName,
    pub(super) id: Option<HeaderName>,
    pub(super) timestamp: Option<HeaderName>,
}

/// A piece of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Id,
    Timestamp,
    Body,
}

/// Reads a template such as `{id}.{ts}.{body}`.
fn parts(template: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, from)) = rest.split_once('{') {
        if !before.is_empty() {
            parts.push(Part::Literal(before.to_owned()));
        }
        let (name, after) = from.split_once('}').ok_or("`signed` has a `{` without `}`")?;
        parts.push(match name {
            "id" => Part::Id,
            "ts" => Part::Timestamp,
            "body" => Part::Body,
            other => return Err(format!("`signed` knows {{id}}, {{ts}} and {{body}}, not {{{other}}}")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Ok(parts)
}

/// What is sent beside the body must be signed, and what is signed must be sent.
fn check_signed(signed: &[Part], has_id: bool, timed: bool) -> Result<(), String> {
    let uses = |part: Part| signed.contains(&part);
    let error = match () {
        () if !uses(Part::Body) => "`signed` must contain {body}",
        () if uses(Part::Id) && !has_id => "`signed` has {id}, but no `id_header` is named",
        // Anybody who replays a delivery could give it another id.
        () if !uses(Part::Id) && has_id => "`id_header` is named, but `signed` has no {id}",
        () if uses(Part::Timestamp) != timed => {
            "a timestamp must be both sent (`timestamp_header`, or format `pairs`) and signed ({ts})"
        }
        () => return Ok(()),
    };
    Err(error.to_owned())
}

impl TryFrom<Table> for Signature {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let (headers, ids, stamps) = (table.header.names()?, table.id_header.names()?, table.timestamp_header.names()?);
        if headers.is_empty() {
            return Err("`header` names no header".to_owned());
        }
        for (key, names) in [("id_header", &ids), ("timestamp_header", &stamps)] {
            if !names.is_empty() && names.len() != headers.len() {
                return Err(format!("`{key}` must name as many headers as `header`"));
            }
        }
        let version = table.version.clone().unwrap_or_else(|| "v1".to_owned());
        let layout = match table.format {
            Format::Bare => Layout::Bare(table.prefix.clone().unwrap_or_default()),
            Format::Pairs => Layout::Pairs(version),
            Format::List => Layout::List(version),
        };
        let signed = parts(&table.signed)?;
        let timed = !stamps.is_empty() || matches!(layout, Layout::Pairs(_));
        if table.prefix.is_some() && !matches!(layout, Layout::Bare(_)) {
            return Err("`prefix` goes with the format `bare` alone".to_owned());
        }
        check_signed(&signed, !ids.is_empty(), timed)?;
        let family = |(index, signature): (usize, &HeaderName)| Family {
            signature: signature.clone(),
            id: ids.get(index).cloned(),
            timestamp: stamps.get(index).cloned(),
        };
        Ok(Self(Hmac {
            families: headers.iter().enumerate().map(family).collect(),
            algorithm: table.algorithm,
            encoding: table.encoding,
            layout,
            signed,
            timestamp: timed.then_some(Timestamp { unit: table.timestamp_unit, tolerance: table.tolerance }),
            key_form: table.secret,
        }))
    }
}
