//! The template's indexes. A query evaluates what it returns and nothing else, however much the table holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{
        Bound::{Excluded, Included, Unbounded},
        RangeInclusive,
    },
};

use serde_json::json;

use super::{
    expression::{Comparison, Condition},
    item::{Attribute, Item, size},
};

/// Bytes of one answer to a query.
const MAX_PAGE: usize = 1024 * 1024;

/// Where an item stands in an index: by its number (0 where it is sorted by id alone), then by its id.
type Place = (i64, String);

/// One index.
#[derive(Default)]
pub(super) struct Index {
    pub(super) name: &'static str,
    hash: &'static str,
    range: &'static str,
    /// Attributes beside the keys; `None` if all are in it.
    projected: Option<&'static [&'static str]>,
    places: BTreeMap<String, BTreeSet<Place>>,
}

/// What a query asks an index.
pub(super) struct Asked {
    pub(super) condition: Condition,
    pub(super) start: Option<Item>,
    pub(super) is_forward: bool,
    pub(super) limit: Option<usize>,
}

/// One answer to a query.
pub(super) struct Page {
    pub(super) body: serde_json::Value,
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Index {
    /// The indexes of the template.
    pub(super) fn all() -> [Self; 3] {
        let index = |name, hash, range, projected| Self { name, hash, range, projected, ..Self::default() };
        [
            index("by_state", "state", "due_at", Some(&["attempts", "dry_run"])),
            index("by_month", "month", "received_at", None),
            index("by_source", "source", "id", Some(&[])),
        ]
    }

    /// Returns whether attributes of these names may stand in a condition on its keys.
    pub(super) fn takes<'a>(&self, mut names: impl Iterator<Item = &'a str> + Clone) -> bool {
        names.clone().any(|name| name == self.hash) && names.all(|name| [self.hash, self.range].contains(&name))
    }

    /// Takes an item out of its place, and puts another into its own.
    pub(super) fn replace(&mut self, before: Option<&Item>, after: &Item) {
        if let Some((hash, place)) = before.and_then(|item| self.place(item))
            && let Some(places) = self.places.get_mut(hash)
        {
            places.remove(&place);
        }
        if let Some((hash, place)) = self.place(after) {
            self.places.entry(hash.to_owned()).or_default().insert(place);
        }
    }

    fn place<'a>(&self, item: &'a Item) -> Option<(&'a str, Place)> {
        let at = if self.range == "id" { 0 } else { item.get(self.range)?.number()? };
        Some((item.get(self.hash)?.text()?, (at, item.get("id")?.text()?.to_owned())))
    }

    /// Returns the page that a query gets; `None` if its condition is not one on the keys, or its start is not in the index.
    pub(super) fn page(&self, items: &BTreeMap<String, Item>, asked: &Asked) -> Option<Page> {
        let (hash, numbers) = self.keys(&asked.condition)?;
        let start = asked.start.as_ref().map(|start| self.place(start).map(|(_, place)| place));
        let start = start.map_or(Some(None), |start| start.map(Some))?;
        let is_after = |place: &Place| match &start {
            Some(start) if asked.is_forward => place > start,
            Some(start) => place < start,
            None => true,
        };
        let (first, last) = numbers.into_inner();
        // Where the page begins, so that what comes before is not walked over.
        let first = start.as_ref().filter(|_| asked.is_forward).map_or(first, |start| first.max(start.0));
        let last = start.as_ref().filter(|_| !asked.is_forward).map_or(last, |start| last.min(start.0));
        let end = last.checked_add(1).map_or(Unbounded, |end| Excluded((end, String::new())));
        let places = self.places.get(hash).filter(|_| first <= last);
        let within =
            places.into_iter().flat_map(|places| places.range((Included((first, String::new())), end.clone())));
        Some(match asked.is_forward {
            true => self.read(within.filter(|place| is_after(place)), items, asked.limit),
            false => self.read(within.rev().filter(|place| is_after(place)), items, asked.limit),
        })
    }

    /// The hash key, and the range of numbers, that a condition asks for.
    fn keys<'a>(&self, condition: &'a Condition) -> Option<(&'a str, RangeInclusive<i64>)> {
        let parts = if let Condition::All(parts) = condition { &parts[..] } else { std::slice::from_ref(condition) };
        let (mut hash, mut numbers) = (None, i64::MIN..=i64::MAX);
        for part in parts {
            match part {
                Condition::Compare { name, comparison: Comparison::Equal, value, .. } if name == self.hash => {
                    hash = value.text();
                }
                Condition::Compare { name, comparison: Comparison::LessOrEqual, value, .. } if name == self.range => {
                    numbers = i64::MIN..=value.number()?;
                }
                Condition::Between(name, from, to) if name == self.range => numbers = *from..=*to,
                _ => return None,
            }
        }
        Some((hash?, numbers))
    }

    /// Reads items up to the limit or [`MAX_PAGE`].
    fn read<'a>(
        &self,
        mut places: impl Iterator<Item = &'a Place>,
        items: &BTreeMap<String, Item>,
        limit: Option<usize>,
    ) -> Page {
        let (mut shown, mut bytes) = (Vec::new(), 0);
        let is_key = |name: &str| ["id", self.hash, self.range].contains(&name);
        let is_shown = |name: &str| is_key(name) || self.projected.is_none_or(|others| others.contains(&name));
        let is_full = |shown: usize, bytes: usize| bytes > MAX_PAGE || Some(shown) == limit;
        while !is_full(shown.len(), bytes)
            && let Some(item) = places.next().and_then(|(_, id)| items.get(id))
        {
            let attributes: BTreeMap<&String, &Attribute> = item.iter().filter(|(name, _)| is_shown(name)).collect();
            bytes += size(attributes.iter().map(|(name, value)| (*name, *value)));
            shown.push(attributes);
        }
        let mut body = json!({ "Items": shown, "Count": shown.len(), "ScannedCount": shown.len() });
        // As in DynamoDB: a page that its limit ends has a last key, also if nothing comes after it.
        if Some(shown.len()) == limit || places.next().is_some() {
            let last = shown.last().into_iter().flatten().filter(|(name, _)| is_key(name));
            body["LastEvaluatedKey"] = json!(last.collect::<BTreeMap<_, _>>());
        }
        Page { body, items: shown.len(), bytes }
    }
}
