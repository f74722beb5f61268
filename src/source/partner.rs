//! What may be configured of a source that delivers by Amazon EventBridge, and what differs in its events.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    KeyError, Table,
    kinds::{KINDS, KindSpec, Sample, SourceKind, ten_seconds},
    pointer::Pointers,
};
use crate::webhook::PartnerSource;

/// How long a departure waits unless configured. EventBridge promises no order: that the person came back may be a message later, and
/// a message that could not be taken comes again after the template's `VisibilityTimeout` of the queue.
const SETTLE: Duration = Duration::from_secs(5 * 60);

/// How a source delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Via {
    /// To its webhook.
    #[default]
    Webhook,
    /// To an event bus of Amazon EventBridge, as a partner.
    EventBridge,
}

/// Returns the partner event source of a source that delivers by EventBridge, and changes what is known of its kind to what
/// holds there; `None` of any other.
///
/// # Errors
/// What does not go with it, or is missing.
pub(super) fn read(
    known: &SourceKind,
    spec: &mut KindSpec,
    given: &Table,
) -> Result<Option<PartnerSource>, Vec<KeyError>> {
    if given.via == Via::Webhook {
        let is_unused = given.event_source.is_some();
        let why = || "`event_source` goes with `via = \"eventbridge\"`: a webhook has none".to_owned();
        return if is_unused { Err(vec![("event_source", why())]) } else { Ok(None) };
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
    if !errors.is_empty() {
        return Err(errors);
    }
    unlist(spec);
    (spec.challenge, spec.response_timeout, spec.settle) = (None, ten_seconds(), SETTLE);
    Ok(partner)
}

/// Takes events out of lists: an event bus delivers each alone.
fn unlist(spec: &mut KindSpec) {
    let Some(event) = &mut spec.event else { return };
    event.lines = None;
    let Some(items) = event.items.take() else { return };
    for sample in spec.samples.iter_mut().flat_map(BTreeMap::values_mut) {
        *sample = alone(sample, &items);
    }
}

/// Takes the event of a sample out of the list in which a webhook delivers it.
fn alone(sample: &Sample, items: &Pointers) -> Sample {
    let event = serde_json::from_str(&sample.body).ok().and_then(|mut document: Value| {
        Some(match items.take(&mut document)?.1 {
            Value::Array(mut events) => events.pop()?,
            event => event,
        })
    });
    Sample { body: event.map_or_else(|| sample.body.clone(), |event| event.to_string()), headers: BTreeMap::new() }
}
