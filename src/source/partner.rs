//! What may be configured of a source that delivers by Amazon EventBridge, and what differs in its events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    KeyError, Table, Via,
    kinds::{KINDS, KindSpec, Sample, Samples, SourceKind},
};
use crate::webhook::PartnerSource;

/// Returns the partner event source of a source that delivers by EventBridge; `None` of any other.
///
/// # Errors
/// What does not go with it, or is missing.
pub(super) fn read(known: &SourceKind, spec: &KindSpec, given: &Table) -> Result<Option<PartnerSource>, Vec<KeyError>> {
    if given.via == Via::Webhook {
        let is_vain = given.event_source.is_some();
        let why = || "`event_source` goes with `via = \"eventbridge\"`: a webhook has none".to_owned();
        return if is_vain { Err(vec![("event_source", why())]) } else { Ok(None) };
    }
    let Some(eventbridge) = &spec.eventbridge else {
        let able = KINDS.iter().filter(|kind| kind.spec().is_ok_and(|spec| spec.eventbridge.is_some()));
        let able: Vec<_> = able.map(|kind| format!("`{}`", kind.name)).collect();
        let why = format!("delivers to no event bus of Amazon EventBridge: only {} do", able.join(", "));
        return Err(vec![("via", format!("`{}` {why}", known.name))]);
    };
    let keys = [
        ("secret", given.secret.is_some()),
        ("token", given.token.is_some()),
        ("reply", given.reply.is_some()),
        ("response_timeout", given.response_timeout.is_some()),
    ];
    let wrong = keys.into_iter().filter(|(_, is_given)| *is_given);
    let why =
        "does not go with `via = \"eventbridge\"`: EventBridge says whose an event is, and nobody waits for an answer";
    let mut errors: Vec<KeyError> = wrong.map(|(key, _)| (key, format!("`{key}` {why}"))).collect();
    let name = given.event_source.as_deref().unwrap_or_default();
    let partner = PartnerSource::parse(name).filter(|_| name.starts_with(&eventbridge.prefix));
    if partner.is_none() {
        let key = if name.is_empty() { "via" } else { "event_source" };
        let example = format!("`{}…`, as the EventBridge console shows it", eventbridge.prefix);
        errors.push((key, format!("`event_source` must be the name of the partner event source: {example}")));
    }
    if errors.is_empty() { Ok(partner) } else { Err(errors) }
}

/// Changes where a kind's events stand: an event bus delivers each alone, where a webhook lists several.
pub(super) fn unlist(spec: &mut KindSpec) {
    if let Some(event) = &mut spec.event {
        (event.items, event.lines) = (None, None);
    }
}

/// Takes the event of each sample out of the list in which a webhook delivers it.
pub(super) fn alone(samples: Samples, spec: &KindSpec) -> Samples {
    let items = spec.event.as_ref().and_then(|event| event.items.as_ref());
    let alone = |body: &str| {
        let mut document: Value = serde_json::from_str(body).ok()?;
        match items?.take(&mut document)?.1 {
            Value::Array(mut events) => events.pop(),
            event => Some(event),
        }
    };
    let sample = |sample: Sample| {
        let body = alone(&sample.body).map_or(sample.body, |event| event.to_string());
        Sample { body, headers: BTreeMap::new() }
    };
    samples.into_iter().map(|(name, one)| (name, sample(one))).collect()
}
