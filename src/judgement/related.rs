//! Who else has what the departed person has: one question asked of each id, *whose last word is "active"?*

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::{VetoFact, activity, leaving::Leaving};
use crate::{
    engine::{AddressStatus, OwnedIdentity, Target},
    ledger::{Facts, Held, Holders, Holding, IdentityKey, Record, Span, StoredIdentity, TraitKey},
    person::Email,
};

/// Ids and traits around a departure.
pub(super) struct Related {
    /// The ids whose last word is "active" and which are, or may be, the departed person.
    pub(super) active: Vec<Active>,
    /// By what the person is looked up.
    pub(super) targets: Vec<Target>,
    /// Every address of the person that is known, current, former or unverified, by whatever id. Those that the event named are
    /// masked once the departure is done.
    pub(super) every_email: BTreeSet<String>,
}

/// An id whose last word is "active".
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) fact: VetoFact,
    /// Whether that word is later than the departure.
    pub(super) is_later: bool,
}

impl Active {
    /// An item that holds more than can be read: somebody active may be among it.
    fn crowded(id: String) -> Self {
        Self { fact: VetoFact { id, at: 0 }, is_later: false }
    }
}

/// A trait of the departed person.
struct Own {
    key: TraitKey,
    /// `None` where it is known by its hash alone.
    identity: Option<OwnedIdentity>,
    status: AddressStatus,
    /// When the person's own id had it; `None` if only the event says so.
    time: Option<(i64, Option<i64>)>,
}

impl Related {
    /// `settle`: the source's, in milliseconds.
    pub(super) fn of(record: &Record, facts: &Facts, settle: i64, now: OffsetDateTime) -> Self {
        let ids = own_ids(record, facts, now);
        let leaving = Leaving::of(record, facts, &ids, settle, now);
        let mut traits = own_traits(record, facts, &ids, leaving);
        let mut active: BTreeMap<String, Active> = BTreeMap::new();
        for id in &ids {
            // What could not be read counts as active.
            if facts.identities.get(id).is_none_or(|stored| stored.crowded) {
                active.insert(id.to_string(), Active::crowded(id.to_string()));
            }
            if let Some(at) = last_active(record, facts, id, now).filter(|at| *at > record.rank) {
                active.insert(id.to_string(), Active { fact: VetoFact { id: id.to_string(), at }, is_later: true });
            }
        }
        let mut every_email = every_email(record, facts, &ids);
        for own in &mut traits {
            let Some(holders) = facts.traits.get(&own.key) else { continue };
            if holders.crowded {
                active.insert(own.key.item().to_owned(), Active::crowded(own.key.item().to_owned()));
            }
            every_email.extend(emails_of_others(own, holders, record, facts));
            for (id, holding) in others(own, holders, &ids, record, facts, now) {
                let is_idle = || activity::is_inactive(holders, &id, facts, now, &record.id);
                match relation(own, &holding, record) {
                    // An address is not free for all that: who has not begun yet may have accounts.
                    Relation::SamePerson if !leaving.is_next(&holding) && is_idle() => {}
                    Relation::SamePerson => {
                        // A word of the departure's own source ranks by when it was reported, another's by when it is.
                        let rank = if id.source() == record.source { record.rank } else { record.time() };
                        let at = holding.active.unwrap_or(holding.first);
                        let is_later = holding.active.is_some_and(|at| at > rank);
                        let fact = VetoFact { id: id.to_string(), at };
                        active.insert(id.to_string(), Active { fact, is_later });
                    }
                    Relation::NewHolder => own.status = AddressStatus::FormerInUse,
                    Relation::Earlier => own.identity = None,
                    Relation::None => {}
                }
            }
        }
        let target = |own: Own| Some(Target { identity: own.identity?, status: own.status });
        let targets = traits.into_iter().filter_map(target).collect();
        Self { active: active.into_values().collect(), targets, every_email }
    }
}

/// An id's last word "active", unless the same id left again later. Where something stands against that later departure, the
/// person may be active elsewhere by what was said since this one, and this one waits as well.
fn last_active(record: &Record, facts: &Facts, id: &IdentityKey, now: OffsetDateTime) -> Option<i64> {
    let stored = facts.identities.get(id)?;
    let active = stored.identity.active?;
    let later = stored.departures.iter().filter(|departure| departure.id != record.id && departure.rank > active);
    let has_left =
        later.into_iter().any(|departure| facts.stands(&departure.id, now) && facts.is_unopposed(&departure.id));
    (!has_left).then_some(active)
}

/// The ids that are the departed person: the event's own, and what it stands for by rule 2.
fn own_ids(record: &Record, facts: &Facts, now: OffsetDateTime) -> BTreeSet<IdentityKey> {
    let Some(key) = record.person.key.clone() else { return BTreeSet::new() };
    let mut ids = BTreeSet::from([key.clone()]);
    let known = facts.identities.get(&key).into_iter().flat_map(|stored| stored.identity.holdings(key.source()));
    let traits: BTreeSet<_> = record.person.traits.iter().cloned().chain(known.map(|(key, _)| key)).collect();
    for of in &traits {
        let Some(holders) = facts.traits.get(of) else { continue };
        let mut active = activity::active_ids(of, holders, &record.source, facts, now, &record.id);
        active.retain(|other| {
            let holding = holders.ids.get(*other).and_then(|holder| holder.holding);
            holding.is_some_and(|holding| holding.from <= record.rank)
        });
        ids.extend(activity::covered(of, holders, &active, &key, record.rank).into_iter().cloned());
    }
    ids
}

/// What the departed person has or had, as of the departure.
fn own_traits(record: &Record, facts: &Facts, ids: &BTreeSet<IdentityKey>, leaving: Leaving) -> Vec<Own> {
    let (mut emails, mut external_ids) = (BTreeMap::new(), BTreeMap::new());
    // A weak id beside the event's own may have traits that are another person's.
    let is_weak =
        record.person.key.as_ref().is_some_and(|key| record.person.traits.iter().any(|of| key.is_weak_at(of)));
    let own = ids.iter().filter(|id| is_weak || record.person.key.as_ref() == Some(id));
    for stored in own.filter_map(|id| facts.identities.get(id)) {
        merge(&mut emails, stored.identity.emails());
        merge(&mut external_ids, stored.identity.external_ids());
    }
    let mut traits = own_emails(record, &emails, leaving);
    let said = record.person.person().external_id.filter(|id| !id.contains('…'));
    let known: BTreeSet<_> = traits.iter().map(|own| own.key.clone()).collect();
    // A record that is done knows by their hashes alone what its event named.
    for key in record.person.traits.iter().filter(|key| !known.contains(key)) {
        let identity = said.clone().filter(|_| key.is_external_id()).map(OwnedIdentity::ExternalId);
        traits.push(Own { key: key.clone(), identity, status: AddressStatus::Current, time: None });
    }
    let is_looked_up = looked_up(record, &external_ids, said.is_some(), leaving);
    for (id, held) in &external_ids {
        let key = TraitKey::external_id(&record.source, id);
        match traits.iter_mut().find(|own| own.key == key) {
            Some(own) => {
                let is_new = leaving.status(held, true) == AddressStatus::New;
                own.status = if is_new { AddressStatus::New } else { own.status };
                own.time = Some(leaving.time(held, own.status));
            }
            None if said.is_none() => {
                let (status, identity) = (leaving.status(held, false), OwnedIdentity::ExternalId(id.clone()));
                if status != AddressStatus::Former && is_looked_up(held, status) {
                    let time = Some(leaving.time(held, status));
                    traits.push(Own { key, identity: Some(identity), status, time });
                }
            }
            None => {}
        }
    }
    traits
}

/// The addresses that the event names, and those that the map knows of the person's ids.
fn own_emails(record: &Record, known: &BTreeMap<String, Held>, leaving: Leaving) -> Vec<Own> {
    let person = record.person.person();
    let said: Vec<Email> = person.emails().filter(|_| !record.person.is_masked()).cloned().collect();
    // A source that names an address of which the map knows nothing has replaced what the map knows.
    let replaced = said.iter().any(|email| !known.contains_key(&email.canonical()));
    // What was said until a scheduled departure took effect has replaced what its event names.
    let since = |span: &Span| span.from > record.rank && span.from <= record.time() && span.until.is_none();
    let moved_on = known.values().flat_map(|held| &held.spans).any(since);
    let own = |email: Email, status: AddressStatus, held: Option<&Held>| Own {
        key: TraitKey::email(&email.canonical()),
        identity: Some(OwnedIdentity::Email(email)),
        status,
        time: held.map(|held| leaving.time(held, status)),
    };
    let mut emails: Vec<Own> = Vec::new();
    for email in &said {
        let held = known.get(&email.canonical());
        let unknown = if moved_on { AddressStatus::Former } else { AddressStatus::Current };
        emails.push(own(email.clone(), held.map_or(unknown, |held| leaving.status(held, true)), held));
    }
    let is_looked_up = looked_up(record, known, !said.is_empty(), leaving);
    for held in known.values() {
        let Some(email) = Email::parse(&held.text).filter(|email| !said.contains(email)) else { continue };
        let is_replaced = replaced && held.from() <= record.rank;
        let status = if is_replaced { AddressStatus::Former } else { leaving.status(held, false) };
        // An address said long afterwards is not looked up; but another id that has it is the same person.
        emails.push(match is_looked_up(held, status) {
            true => own(email, status, Some(held)),
            false => Own { identity: None, ..own(email, AddressStatus::Current, Some(held)) },
        });
    }
    emails
}

/// Whether the person is looked up by what the map knows: what was said long after the departure ends what was said before, and is
/// looked up only where nothing was.
fn looked_up(
    record: &Record,
    known: &BTreeMap<String, Held>,
    said: bool,
    leaving: Leaving,
) -> impl Fn(&Held, AddressStatus) -> bool {
    let at = record.time();
    let any_before = said || known.values().any(|held| held.from() <= at);
    move |held, status| status != AddressStatus::Later || !any_before || leaving.covers(held)
}

fn merge(known: &mut BTreeMap<String, Held>, said: Vec<Held>) {
    for held in said {
        match known.get_mut(&held.text) {
            Some(other) => other.merge(&held),
            None => _ = known.insert(held.text.clone(), held),
        }
    }
}

/// The other ids at a trait that are active, in every source.
fn others(
    own: &Own,
    holders: &Holders,
    ids: &BTreeSet<IdentityKey>,
    record: &Record,
    facts: &Facts,
    now: OffsetDateTime,
) -> Vec<(IdentityKey, Holding)> {
    let sources: BTreeSet<&str> = holders.ids.keys().map(IdentityKey::source).collect();
    let active = sources
        .into_iter()
        .flat_map(|source| activity::active_ids(&own.key, holders, source, facts, now, &record.id))
        .filter(|id| !ids.contains(*id));
    active.filter_map(|id| Some((id.clone(), holders.ids.get(id)?.holding?))).collect()
}

/// What another id at the same trait is to the departed person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// Both had it at the same time, or the other has the departed person's current one: one person, or indistinguishable.
    SamePerson,
    /// The other has a former address of the departed person.
    NewHolder,
    /// The other had an address before it was said of the departed person, who had left by then: their mail is led there.
    Earlier,
    /// Had it at another time.
    None,
}

fn relation(own: &Own, other: &Holding, record: &Record) -> Relation {
    if own.status == AddressStatus::Later && own.time.is_some_and(|(from, _)| other.from < from) {
        return Relation::Earlier;
    }
    let from = own.time.map_or(record.rank, |(from, _)| from);
    let until = match (own.status, own.time) {
        // Replaced by the departure's event alone, which may be late: the person may have the address still.
        (AddressStatus::Current, _) | (_, Some((_, None))) => None,
        (_, Some((_, until))) => until,
        // What a scheduled departure's event replaced may have been said again before it took effect.
        (_, None) => Some(record.time()),
    };
    let overlap = until.is_none_or(|until| other.from <= until) && other.until.is_none_or(|other| other >= from);
    match (overlap, other.until) {
        (true, _) => Relation::SamePerson,
        (false, None) if own.status != AddressStatus::Current => Relation::NewHolder,
        _ => Relation::None,
    }
}

fn every_email(record: &Record, facts: &Facts, ids: &BTreeSet<IdentityKey>) -> BTreeSet<String> {
    let known = ids.iter().filter_map(|id| facts.identities.get(id)).flat_map(every_email_of);
    known.chain(record.person.emails().iter().cloned()).collect()
}

fn every_email_of(stored: &StoredIdentity) -> impl Iterator<Item = String> {
    let held = stored.identity.emails().into_iter().chain(stored.identity.unverified_emails());
    held.map(|held| held.text)
}

/// The addresses of ids that are the departed person by this trait, active or not.
fn emails_of_others<'a>(
    own: &'a Own,
    holders: &'a Holders,
    record: &'a Record,
    facts: &'a Facts,
) -> impl Iterator<Item = String> + 'a {
    let is_same = |holding: &Holding| relation(own, holding, record) == Relation::SamePerson;
    let same = holders.ids.iter().filter(move |(_, holder)| holder.holding.as_ref().is_some_and(is_same));
    same.filter_map(|(id, _)| facts.others.get(id)).flat_map(every_email_of)
}
