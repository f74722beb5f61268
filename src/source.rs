//! The identity sources: who may report a departure, how it proves to be itself, and what its bodies mean.
//!
//! A source is data: a [`Scheme`] to verify with and JSON Pointers to read with. The senders known by name are
//! [`KINDS`], a file each; `kind = "hmac"` and `kind = "token"` take the same keys from the configuration.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderName;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;

use crate::{
    departure::DeliveryEvents,
    settings::{BaseUrl, Reporter, Section, duration, fields::known_keys, nearest::suggestion},
    webhook::{PartnerSource, Scheme, Signature, Token, Verified},
};

mod coverage;
mod delivery;
pub(crate) mod json;
mod kinds;
mod partner;
pub(crate) mod pointer;
mod reading;
pub(crate) mod rules;
mod sample;
mod scim;

pub use crate::departure::Unreadable;
use coverage::Coverage;
use kinds::Samples;
pub use kinds::{EventBridgeSpec, KINDS, KindSpec, Protocol, SourceKind};
use partner::Via;
use reading::Reader;
use rules::{EventTable, PersonTable};
pub use sample::Subject;
pub use scim::SCIM_SAMPLES;

/// One identity source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, in the webhook's address.
    pub name: String,
    /// What it is.
    pub kind: &'static SourceKind,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where the keys are that its deliveries are checked with.
    pub keys: KeySource,
    /// How it proves that a delivery is its own.
    pub scheme: Scheme,
    /// What its sender gets as an answer.
    pub reply: Reply,
    /// How long its sender waits for an answer. What is not done by then is left to the queue, where there is one.
    pub response_timeout: Duration,
    /// How long a departure of this source waits before anything is removed, so that a mass change is seen as one first. At
    /// most a day.
    pub settle: Duration,
    /// What it asks once, to see that the address is ours.
    pub challenge: Option<Challenge>,
    coverage: Coverage,
    reader: Reader,
    samples: Option<Samples>,
}

/// Where a source's keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In the secret of this name.
    Secret(String),
    /// In the key set that the sender publishes here.
    Set(BaseUrl),
    /// Nowhere: its events come by Amazon EventBridge, which says that they are of this partner event source. It has no
    /// webhook.
    Partner(PartnerSource),
}

/// What a sender gets for a delivery that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The report.
    #[default]
    Report,
    /// Nothing: the status says it all.
    Empty,
    /// Nothing, and the status 202.
    Accepted,
}

/// A question that a sender asks with `GET`, and that is answered by giving it back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The header that holds it.
    #[serde(with = "header_name")]
    pub header: HeaderName,
    /// The name under which it is given back, in a JSON object.
    pub field: String,
}

mod header_name {
    use serde::{Deserialize, Deserializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<http::HeaderName, D::Error> {
        let text = String::deserialize(deserializer)?;
        http::HeaderName::try_from(text.as_str()).map_err(|_| D::Error::custom(format!("`{text}` is no header name")))
    }
}

/// `[sources.NAME]`, without its `kind`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    via: Via,
    /// The partner event source, of a source that delivers by EventBridge.
    event_source: Option<String>,
    /// The secret's name; `offboard/sources/NAME` unless it is given.
    secret: Option<String>,
    reply: Option<Reply>,
    #[serde(default, deserialize_with = "crate::settings::duration::option")]
    response_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "settle")]
    settle: Option<Duration>,
    /// The providers that this source covers, and no other.
    providers: Option<Vec<String>>,
    /// The providers that this source does not cover.
    except: Option<Vec<String>>,
    /// How a sender of kind `hmac` signs.
    signature: Option<Signature>,
    /// Where a sender shows its secret.
    token: Option<Token>,
    /// Where a sender of JSON Web Tokens publishes its keys.
    jwks: Option<BaseUrl>,
    issuer: Option<String>,
    audience: Option<String>,
    /// Types of events that count as departures as well.
    #[serde(default)]
    also: Vec<String>,
    /// Whether an e-mail address counts that its sender calls unverified.
    #[serde(default)]
    accept_unverified: bool,
    event: Option<EventTable>,
    person: Option<PersonTable>,
}

fn settle<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::within(deserializer, Duration::ZERO, duration::DAY).map(Some)
}

/// Returns the keys of a source's tables, by the path of each.
pub(crate) fn keys() -> BTreeMap<&'static str, &'static [&'static str]> {
    let of = |path: &[&str]| known_keys::<Table>(path);
    BTreeMap::from([
        ("sources.*", of(&[])),
        ("sources.*.signature", of(&["signature"])),
        ("sources.*.token", of(&["token"])),
        ("sources.*.event", of(&["event"])),
        ("sources.*.person", of(&["person"])),
    ])
}

/// An error in a source's table: the key where it stands, or none in particular, and what is wrong.
type KeyError = (&'static str, String);

impl Source {
    /// Reads a source's table. `providers` are the names of all configured providers.
    pub(crate) fn read(
        name: &str,
        mut section: Section<'_>,
        providers: &[String],
        reporter: &mut Reporter<'_>,
    ) -> Option<Self> {
        let (path, span, spans) = (section.name.clone(), section.table.span(), section.spans());
        let kind = section.kind(reporter);
        let given: Option<Table> = section.read(reporter);
        let (kind, given) = (kind?, given?);
        let errors = match Self::of(name, &kind, given, providers) {
            Ok(source) => return Some(source),
            Err(errors) => errors,
        };
        for (key, message) in errors {
            let at = spans.get(key).cloned().unwrap_or_else(|| span.clone());
            reporter.add(Some(at), format!("`{path}`: {message}"));
        }
        None
    }

    /// Returns a source of this kind and name that is configured in nothing else.
    ///
    /// # Errors
    /// If there is no such kind, or it needs more.
    pub fn of_kind(kind: &str) -> Result<Self, String> {
        let joined =
            |errors: Vec<KeyError>| errors.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; ");
        Self::of(kind, kind, Table::default(), &[]).map_err(joined)
    }

    fn of(name: &str, kind: &str, mut given: Table, providers: &[String]) -> Result<Self, Vec<KeyError>> {
        let known = SourceKind::named(kind).ok_or_else(|| {
            let known: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
            vec![("kind", format!("unknown kind `{kind}`: {}", suggestion(kind, &known)))]
        })?;
        let mut spec = known.spec().map_err(|why| vec![("kind", why)])?;
        let mut errors = Vec::new();
        if spec.protocol == Protocol::Scim {
            errors.extend(scim::check(&given));
        }
        let partner = partner::read(known, &mut spec, &given).map_err(|wrong| errors.extend(wrong));
        let authentication = authentication(name, known, &spec, &mut given).map_err(|why| errors.push(("", why)));
        let coverage = Coverage::new(given.providers.take(), given.except.take(), providers);
        let coverage = coverage.map_err(|wrong| errors.extend(wrong));
        // A sender's own samples no longer fit a body that is read otherwise, unless code of ours lies between.
        let is_remapped = known.normalize.is_none() && (given.event.is_some() || given.person.is_some());
        let reader = reader(known, &mut given, &spec, &mut errors);
        let (Ok(partner), Ok((scheme, keys)), Ok(coverage), Some(reader), true) =
            (partner, authentication, coverage, reader, errors.is_empty())
        else {
            return Err(errors);
        };
        let reader = Reader { id_is_signed: matches!(scheme, Scheme::Hmac(_)), ..reader };
        Ok(Self {
            name: name.to_owned(),
            kind: known,
            protocol: spec.protocol,
            keys: partner.map_or(keys, KeySource::Partner),
            scheme,
            reply: given.reply.unwrap_or(spec.reply),
            response_timeout: given.response_timeout.unwrap_or(spec.response_timeout),
            settle: given.settle.unwrap_or(spec.settle),
            challenge: spec.challenge,
            coverage,
            reader,
            samples: spec.samples.filter(|_| !is_remapped),
        })
    }

    /// Returns whether the people whom this source reports are removed from this provider.
    pub fn covers(&self, provider: &str) -> bool {
        self.coverage.contains(provider)
    }

    /// Returns whether this source knows people by an id. One that knows them by e-mail address alone cannot distinguish two
    /// holders of an address apart.
    pub fn knows_ids(&self) -> bool {
        self.reader.person.idp_id.is_some() || self.reader.person.external_id.is_some()
    }

    /// Returns whether its events have an id or a time. Those of a source with neither differ by their content alone.
    pub fn identifies_events(&self) -> bool {
        let event = &self.reader.event;
        event.id.is_some() || event.occurred_at.is_some() || self.scheme.signs_ids()
    }

    /// The name of its secret, if its keys are in one.
    pub fn secret(&self) -> Option<&str> {
        match &self.keys {
            KeySource::Secret(name) => Some(name),
            KeySource::Set(_) | KeySource::Partner(_) => None,
        }
    }

    /// Returns the partner event source by which it delivers, if it does so by Amazon EventBridge.
    pub fn partner(&self) -> Option<&PartnerSource> {
        match &self.keys {
            KeySource::Partner(partner) => Some(partner),
            KeySource::Secret(_) | KeySource::Set(_) => None,
        }
    }

    /// Returns whether it delivers to a webhook.
    pub fn has_webhook(&self) -> bool {
        self.protocol == Protocol::Webhook && self.partner().is_none()
    }

    /// What a verified delivery says.
    ///
    /// # Errors
    /// Which field is missing or cannot be read.
    pub fn delivery(&self, verified: &Verified) -> Result<DeliveryEvents, Unreadable> {
        self.reader.delivery(&self.name, verified)
    }

    /// A delivery about a person as this source would send it at `now`: the headers that belong to the body, and the body.
    /// `what` is one of [`Source::samples`]; `None` if it is not.
    pub fn sample<'a>(
        &self,
        what: &str,
        subject: impl Into<Subject<'a>>,
        event_id: &str,
        now: OffsetDateTime,
    ) -> Option<sample::Body> {
        match &self.samples {
            Some(own) => Some(sample::filled(own.get(what)?, subject.into(), event_id, now)),
            None => Some(sample::put(&self.reader, sample::rule(&self.reader, what)?, subject.into(), event_id, now)),
        }
    }

    /// What this source can report in a sample: `departure` and, where it has such events, `created`.
    pub fn samples(&self) -> Vec<&str> {
        match &self.samples {
            Some(own) => own.keys().map(String::as_str).collect(),
            None => [sample::DEPARTURE, sample::CREATED]
                .into_iter()
                .filter(|what| sample::rule(&self.reader, what).is_some())
                .collect(),
        }
    }
}

/// Returns how a source's deliveries are read, or adds to `errors`.
fn reader(known: &SourceKind, given: &mut Table, spec: &KindSpec, errors: &mut Vec<KeyError>) -> Option<Reader> {
    let (event, person) = (given.event.take().unwrap_or_default(), given.person.take().unwrap_or_default());
    let event = event.over(spec.event.clone().unwrap_or_default());
    let items = event.items.clone();
    let event = event.check(&given.also).map_err(|wrong| errors.push(wrong)).ok();
    let person = person.over(spec.person.clone().unwrap_or_default()).check(items.as_ref());
    let person = person.map_err(|wrong| errors.push(("person", wrong))).ok();
    if given.accept_unverified && person.as_ref().is_some_and(|person| person.verified.is_none()) {
        let kind = known.name;
        errors.push((
            "accept_unverified",
            format!("`accept_unverified` changes nothing: `{kind}` does not say whether an e-mail address is verified"),
        ));
        return None;
    }
    Some(Reader {
        event: event?,
        person: person?,
        normalize: known.normalize,
        id_is_signed: false,
        accept_unverified: given.accept_unverified,
        accept_unreadable: spec.accept_unreadable,
    })
}

/// How a source proves to be itself, and with which keys. A sender that signs is not believed without its signature; one
/// that sends a static token lets its administrator choose the header; one that publishes its keys has none to share.
fn authentication(
    name: &str,
    kind: &SourceKind,
    spec: &KindSpec,
    given: &mut Table,
) -> Result<(Scheme, KeySource), String> {
    check_authentication(kind, spec, given)?;
    let published = given.jwks.take();
    let signature = given.signature.take().or(spec.signature.clone());
    // A sender that can do both signs tokens where its published keys are named.
    let jwt = spec.jwt.clone().filter(|_| published.is_some() || signature.is_none());
    let parties = (given.issuer.take(), given.audience.take());
    if jwt.is_none() && parties != (None, None) {
        return Err(match spec.jwt {
            Some(_) => {
                "`issuer` and `audience` go with `jwks`, which must say where the sender publishes its keys".to_owned()
            }
            None => format!("`issuer` and `audience` go with JSON Web Tokens; `{}` signs none", kind.name),
        });
    }
    let scheme = match (jwt, signature, given.token.take().or(spec.token.clone())) {
        (Some(jwt), ..) => Scheme::Jwt(jwt.expecting(parties.0, parties.1)?),
        (None, Some(signature), _) => Scheme::Hmac(signature.scheme().clone()),
        (None, None, Some(token)) => Scheme::Token(token),
        (None, None, None) => {
            return Err(format!("`{}` is missing", if kind.name == "hmac" { "signature" } else { "token" }));
        }
    };
    match published {
        Some(url) => Ok((scheme, KeySource::Set(url))),
        None if spec.published => Err("`jwks` must say where the sender publishes its keys".to_owned()),
        None => {
            let secret = given.secret.take().unwrap_or_else(|| format!("offboard/sources/{name}"));
            Ok((scheme, KeySource::Secret(secret)))
        }
    }
}

/// Refuses what does not go with the kind, and what does not go together.
fn check_authentication(kind: &SourceKind, spec: &KindSpec, given: &Table) -> Result<(), String> {
    let kind_name = kind.name;
    if given.signature.is_some() && kind_name != "hmac" {
        return Err(format!("`signature` goes with kind `hmac`: how `{kind_name}` signs is known"));
    }
    if given.token.is_some() && kind_name != "token" && spec.token.is_none() {
        return Err(format!("`token` goes with senders of a static token; `{kind_name}` is not one"));
    }
    if given.jwks.is_some() && spec.jwt.is_none() {
        return Err(format!("`jwks` goes with senders that sign JSON Web Tokens; `{kind_name}` does not"));
    }
    if given.jwks.is_some() && given.secret.is_some() {
        return Err("`jwks` and `secret` exclude each other: a token is checked with one kind of key".to_owned());
    }
    Ok(())
}
