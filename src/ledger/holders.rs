//! The item of a trait (an e-mail address, an external id): which ids have or had it, and which of them departed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DepartureRef, LedgerError,
    identity::{CROWDED, Holding},
    key::{IdentityKey, TraitKey},
    store::{Item, Merge},
};

/// Ids of one trait. A person has two or three; a shared mailbox has many, and is marked crowded.
const MAX_IDS: usize = 100;
/// Departures of one id that an item refers to.
pub(super) const MAX_DEPARTURES: usize = 100;
const IDS: &str = "ids";

/// The ids that have or had a trait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// By id.
    pub ids: BTreeMap<IdentityKey, Holder>,
    /// Whether there are more ids or departures than an item holds.
    pub crowded: bool,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// What its source said; `None` if only its departure is known.
    pub holding: Option<Holding>,
    /// Its departures.
    pub departures: BTreeSet<DepartureRef>,
}

impl Holder {
    /// Returns the last time at which its source said anything of the id, a departure included.
    fn last_word(&self) -> Option<i64> {
        let said = self.holding.map(|holding| {
            let Holding { from, regained, until, active, inactive, first } = holding;
            [Some(first), Some(from), regained, until, active, inactive].into_iter().max().flatten()
        });
        let departed = self.departures.iter().map(|departure| departure.rank).max();
        said.flatten().max(departed)
    }
}

impl Holders {
    /// Returns the last time at which a source said anything of any of its ids at these traits, as far as their items exist.
    pub(super) fn last_word(
        source: &str,
        traits: &BTreeSet<TraitKey>,
        items: &BTreeMap<String, Item>,
    ) -> Result<Option<i64>, LedgerError> {
        let mut last = None;
        for item in traits.iter().filter_map(|of| items.get(of.item())) {
            let holders = Self::read(item)?;
            let own = holders.ids.iter().filter(|(id, _)| id.source() == source);
            last = last.max(own.filter_map(|(_, holder)| holder.last_word()).max());
        }
        Ok(last)
    }

    /// Reads an item.
    pub(crate) fn read(item: &Item) -> Result<Self, LedgerError> {
        let mut holders = Self { crowded: item.fields.contains_key(CROWDED), ..Self::default() };
        for (name, text) in &item.fields {
            let Some(key) = name.strip_prefix("h:") else { continue };
            let holding = serde_json::from_str(text).map_err(|_| LedgerError::Unreadable("address"))?;
            holders.ids.entry(key.into()).or_default().holding = Some(holding);
        }
        for (name, members) in &item.sets {
            let Some(key) = name.strip_prefix("d:") else { continue };
            let departures = members.iter().filter_map(|text| DepartureRef::parse(text)).collect();
            holders.ids.entry(key.into()).or_default().departures = departures;
        }
        Ok(holders)
    }
}

/// Writes that an id has or had a trait, and which departures of it are known: one that is done writes no reference any more,
/// and the id would look active here for good. Refused where the item is full.
pub(super) fn holds(of: &TraitKey, id: &IdentityKey, holding: &Holding, departures: &BTreeSet<DepartureRef>) -> Merge {
    let text = serde_json::to_string(holding).unwrap_or_default();
    let holds = present(of, id).field(format!("h:{id}"), text);
    departures.iter().fold(holds, |holds, departure| holds.add(format!("d:{id}"), departure.to_string()))
}

/// Writes that an id with this trait departed. Refused where the item is full.
pub(super) fn departed(of: &TraitKey, id: &IdentityKey, departure: &DepartureRef) -> Merge {
    let (set, member) = (format!("d:{id}"), departure.to_string());
    present(of, id).room(&set, MAX_DEPARTURES, Some(&member)).add(set, member)
}

/// Takes a reference to a departure back.
pub(super) fn not_departed(of: &TraitKey, id: &IdentityKey, departure: &DepartureRef) -> Merge {
    Merge::of(of.item()).remove(format!("d:{id}"), departure.to_string())
}

/// Marks an item that is full: departures that act on it are held.
pub(super) fn crowded(item: &str) -> Merge {
    Merge::of(item).field(CROWDED, "true")
}

fn present(of: &TraitKey, id: &IdentityKey) -> Merge {
    Merge::of(of.item()).add(IDS, id.as_str()).room(IDS, MAX_IDS, Some(id.as_str()))
}
