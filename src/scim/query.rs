//! Lists of users: filters, pages, and which attributes are shown.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{
    ScimError,
    patch::holds,
    path::{Attribute, ENTERPRISE, Filter, Path, Scalar, Term, bare},
    storage::{Storage, StoredUser},
};
use crate::person::Email;

/// Users on one page.
pub(super) const MAX_RESULTS: usize = 100;

/// The query of a request, decoded.
pub(super) struct Query<'a>(pub(super) &'a [(String, String)]);

/// What a list shows.
pub(super) struct Page {
    pub(super) total: usize,
    pub(super) start: usize,
    pub(super) users: Vec<StoredUser>,
}

impl<'a> Query<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &'static str) -> Result<Option<i64>, ScimError> {
        let text = self.get(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| ScimError::InvalidValue(name))).transpose()
    }

    /// Finds the users that the request asks for.
    pub(super) async fn page(&self, storage: Storage<'_>) -> Result<Page, ScimError> {
        if self.get("sortBy").is_some() {
            return Err(ScimError::NotImplemented("sortBy"));
        }
        let start = usize::try_from(self.number("startIndex")?.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
        let count = self.number("count")?.map_or(MAX_RESULTS, |count| usize::try_from(count).unwrap_or(0));
        let (skipped, count) = (start - 1, count.min(MAX_RESULTS));
        let Some(filter) = self.get("filter").filter(|text| !text.trim().is_empty()) else {
            let all = storage.all().await?;
            let items: BTreeSet<_> = all.iter().skip(skipped).take(count).cloned().collect();
            return Ok(Page { total: all.len(), start, users: storage.of_items(items).await? });
        };
        let found = find(&Filter::parse(filter)?, storage).await?;
        Ok(Page { total: found.len(), start, users: found.into_iter().skip(skipped).take(count).collect() })
    }

    /// Leaves out of a resource what the request does not ask for. Its schemas and id stay.
    pub(super) fn project(&self, resource: Map<String, Value>) -> Map<String, Value> {
        let named = |text: &str| text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect::<Vec<_>>();
        match (self.get("attributes").map(named), self.get("excludedAttributes").map(named)) {
            (Some(wanted), _) => only(resource, &wanted),
            (None, Some(unwanted)) => without(resource, &unwanted),
            (None, None) => resource,
        }
    }
}

/// Finds the users that a filter selects.
async fn find(filter: &Filter, storage: Storage<'_>) -> Result<Vec<StoredUser>, ScimError> {
    if !filter.0.iter().all(is_supported) {
        return Err(ScimError::InvalidFilter);
    }
    let mut found = Vec::new();
    for filter in spellings(filter) {
        found = candidates(&filter, storage).await?;
        found.retain(|user| filter.0.iter().all(|term| selects(term, user)));
        if !found.is_empty() {
            break;
        }
    }
    // A name has one owner: an inactive user may have it still whom another one followed.
    if filter.0.iter().any(|term| term.path.attribute == Attribute::UserName) {
        found.truncate(1);
    }
    Ok(found)
}

fn is_supported(term: &Term) -> bool {
    let Path { attribute, elements, sub } = &term.path;
    let names = elements.iter().map(|condition| condition.name.as_str()).chain(sub.as_deref());
    match attribute {
        Attribute::Emails => names.into_iter().all(|name| ["value", "type", "primary"].contains(&name)),
        Attribute::Id | Attribute::UserName | Attribute::ExternalId | Attribute::Active | Attribute::Manager => {
            elements.is_empty() && (sub.is_none() || *attribute == Attribute::Manager)
        }
        _ => false,
    }
}

/// The filter, and what its sender may have meant: a `+` that was not escaped arrives as a space, and Microsoft's validator
/// escapes values twice.
fn spellings(filter: &Filter) -> Vec<Filter> {
    let of = |change: &dyn Fn(&str) -> String| {
        let mut filter = filter.clone();
        for term in &mut filter.0 {
            let inner = term.path.elements.iter_mut().map(|condition| &mut condition.value);
            for value in inner.chain(&mut term.value) {
                if let Scalar::Text(text) = value {
                    *text = change(text);
                }
            }
        }
        filter
    };
    let plus = of(&|text| text.replace(' ', "+"));
    let decoded = of(&|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
    let mut all = vec![filter.clone()];
    for other in [plus, decoded] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// The users whom the first usable term names; all users if none does, or too many ids had an address to be sure.
async fn candidates(filter: &Filter, storage: Storage<'_>) -> Result<Vec<StoredUser>, ScimError> {
    for term in &filter.0 {
        let Some(text) = term.value.as_ref().map(Scalar::text) else { continue };
        match term.path.attribute {
            Attribute::Id => return Ok(storage.get(text).await?.into_iter().collect()),
            Attribute::UserName => return Ok(storage.by_name(text).await?),
            Attribute::ExternalId => return Ok(storage.by_external_id(text).await?),
            _ => {}
        }
    }
    // Of a private address the identity map knows nothing, and no user is found by it.
    if let Some(email) = filter.0.iter().find_map(address)
        && let Some(found) = storage.by_address(&email).await?
    {
        return Ok(found);
    }
    Ok(storage.of_items(storage.all().await?.into_iter().collect()).await?)
}

/// The e-mail address that a term asks for.
fn address(term: &Term) -> Option<Email> {
    let Path { attribute, elements, sub } = &term.path;
    if *attribute != Attribute::Emails {
        return None;
    }
    let compared = term.value.as_ref().filter(|_| sub.as_deref().is_none_or(|sub| sub == "value"));
    let inner = || elements.iter().find(|condition| condition.name == "value").map(|condition| &condition.value);
    compared.or_else(inner).and_then(|value| Email::parse(value.text()))
}

fn selects(term: &Term, stored: &StoredUser) -> bool {
    let Term { path, value } = term;
    let text = value.as_ref().map(Scalar::text).unwrap_or_default();
    let user = &stored.user;
    match path.attribute {
        Attribute::Id => stored.id == text,
        Attribute::UserName => stored.has_name(text),
        Attribute::ExternalId => stored.has_external_id(text),
        Attribute::Active => value.as_ref().and_then(Scalar::truth) == Some(stored.is_active),
        Attribute::Emails => user.emails.iter().any(|email| {
            let is_meant = path.elements.iter().all(|condition| holds(condition, email));
            let is_equal = value.as_ref().is_none_or(|value| match path.sub.as_deref() {
                None | Some("value") => email.value.eq_ignore_ascii_case(value.text()),
                Some("primary") => value.truth() == Some(email.primary.unwrap_or_default()),
                Some(_) => email.r#type.as_deref().is_some_and(|of| of.eq_ignore_ascii_case(value.text())),
            });
            is_meant && is_equal
        }),
        // Not kept: nobody has one.
        _ => false,
    }
}

fn only(resource: Map<String, Value>, wanted: &[String]) -> Map<String, Value> {
    let mut shown = Map::new();
    for (key, value) in resource {
        if ["schemas", "id"].contains(&key.as_str()) {
            shown.insert(key, value);
            continue;
        }
        let lower = key.to_ascii_lowercase();
        if wanted.iter().any(|name| bare(name) == lower) {
            shown.insert(key, value);
        } else if let Some(parts) = parts(&value, &|sub| wanted.iter().any(|name| is_sub(bare(name), &lower, sub))) {
            shown.insert(key, parts);
        }
    }
    shown
}

fn without(resource: Map<String, Value>, unwanted: &[String]) -> Map<String, Value> {
    let mut shown = Map::new();
    for (key, value) in resource {
        let lower = key.to_ascii_lowercase();
        if ["schemas", "id"].contains(&key.as_str()) {
            shown.insert(key, value);
        } else if !unwanted.iter().any(|name| bare(name) == lower) {
            let kept = parts(&value, &|sub| !unwanted.iter().any(|name| is_sub(bare(name), &lower, sub)));
            shown.extend(kept.map(|kept| (key, kept)));
        }
    }
    shown
}

/// Whether a name means a sub-attribute: `name.givenname`, or `urn:…:User:employeenumber`.
fn is_sub(name: &str, key: &str, sub: &str) -> bool {
    let separator = if key == ENTERPRISE.to_ascii_lowercase() { ':' } else { '.' };
    let rest = name.strip_prefix(key).and_then(|rest| rest.strip_prefix(separator));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(sub))
}

/// The sub-attributes of a value that are wanted; `None` if none is left. A plain value has none and stays as it is.
fn parts(value: &Value, is_wanted: &dyn Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let kept: Map<_, _> =
                fields.iter().filter(|(key, _)| is_wanted(key)).map(|(key, one)| (key.clone(), one.clone())).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(list) => {
            let kept: Vec<_> = list.iter().filter_map(|one| parts(one, is_wanted)).collect();
            (!kept.is_empty()).then(|| json!(kept))
        }
        _ => is_wanted("").then(|| value.clone()),
    }
}
