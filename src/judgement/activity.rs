//! Which ids are active: a source's last word, ended by the departures that stand.

use std::collections::BTreeSet;

use crate::ledger::{Facts, Holders, Holding, IdentityKey, TraitKey};
use time::OffsetDateTime;

/// Returns the ids of `source` at a trait that are active, without regard to the departure `except`; `until`: as of which
/// rank a departure is looked at.
pub(super) fn active_ids<'a>(
    key: &TraitKey,
    holders: &'a Holders,
    source: &str,
    facts: &Facts,
    now: OffsetDateTime,
    except: &str,
) -> BTreeSet<&'a IdentityKey> {
    let own = || holders.ids.iter().filter(|(id, _)| id.source() == source);
    let mut active: BTreeSet<&IdentityKey> =
        own().filter(|(_, holder)| holder.holding.is_some()).map(|(id, _)| id).collect();
    let mut departures: Vec<(i64, &IdentityKey)> = own()
        .flat_map(|(id, holder)| holder.departures.iter().map(move |departure| (departure, id)))
        .filter(|(departure, _)| departure.id != except && facts.stands(&departure.id, now))
        .map(|(departure, id)| (departure.rank, id))
        .collect();
    departures.sort();
    for (rank, id) in departures {
        let ended = covered(key, holders, &active, id, rank);
        active.retain(|other| !ended.contains(other) || has_returned(holders, other, rank));
    }
    active
}

/// The ids that a departure of `id` speaks of: itself; for a weak id the one stronger id that had the trait then; and the
/// weak id beside an id that is the only strong one that had it. An id that had moved on then and came back later is one more
/// that may have had it, and surely had it only since.
pub(super) fn covered<'a>(
    key: &TraitKey,
    holders: &'a Holders,
    active: &BTreeSet<&'a IdentityKey>,
    id: &'a IdentityKey,
    rank: i64,
) -> BTreeSet<&'a IdentityKey> {
    let holding = |id: &IdentityKey| holders.ids.get(id).and_then(|holder| holder.holding);
    let may_have_had_it = |holding: Holding| holding.from <= rank && holding.until.is_none_or(|until| until > rank);
    let had_it = |holding| may_have_had_it(holding) && holding.regained.is_none_or(|regained| regained <= rank);
    let is_another =
        |other: &&IdentityKey| !other.is_weak_at(key) && **other != *id && holding(other).is_some_and(may_have_had_it);
    let strong: Vec<_> = active.iter().copied().filter(is_another).collect();
    let mut covered = BTreeSet::from([id]);
    match (id.is_weak_at(key), &strong[..]) {
        (true, [only]) if holding(only).is_some_and(had_it) => _ = covered.insert(only),
        // An id that moved on says nothing of who has the trait now.
        (false, []) if holding(id).is_none_or(had_it) => {
            covered.extend(active.iter().copied().filter(|other| other.is_weak_at(key)));
        }
        _ => {}
    }
    covered
}

/// Whether an id's last word is "inactive", and nothing else is to say so: where a departure of it does not stand, what becomes
/// of that decides.
pub(super) fn is_inactive(
    holders: &Holders,
    id: &IdentityKey,
    facts: &Facts,
    now: OffsetDateTime,
    except: &str,
) -> bool {
    let Some(holder) = holders.ids.get(id) else { return false };
    let mut others = holder.departures.iter().filter(|departure| departure.id != except);
    holder.holding.is_some_and(|holding| holding.is_inactive()) && others.all(|other| facts.stands(&other.id, now))
}

/// Whether an id's last word "active" is not ended by a departure of this rank: later is strict.
fn has_returned(holders: &Holders, id: &IdentityKey, rank: i64) -> bool {
    let holding = holders.ids.get(id).and_then(|holder| holder.holding);
    holding.and_then(|holding| holding.active).is_some_and(|active| active >= rank)
}
