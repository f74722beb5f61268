//! The directory: whom the ids of a source stand for, as its own events told. Many events that say "this user is gone" carry
//! an id and no address.
//!
//! Two items, both forgotten after a time without news. `#directory/SOURCE/HASH OF THE ID` has what was told of one id.
//! `#address/SOURCE/HASH OF THE ADDRESS` has the ids (their hashes) that have or had the address: one that was Ann's may be
//! another Ann's today, and she must not be removed when the first one leaves; and one person may have two ids that are
//! merged into one, which some sources report as the end of the other. So an address is used for an id only while no other
//! id has it that has not left as well. No id of an item holds an address.
//!
//! Events come late, twice, and in any order. Everything is kept with the event's own time, and what holds follows from the
//! times alone.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Kept, Ledger, LedgerDown, ROUNDS, person_key, short};
use crate::{
    departure::{Departure, IdentityFact, Verification},
    person::{Email, Person},
};

mod holders;

use holders::{Holders, Owner, View};

/// How many addresses are kept of one id: the newest.
pub const MOST_ADDRESSES: usize = 20;
/// By how much an item's end may be too early before it is written for that alone.
const SLACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A departed person with all that the directory knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The person. Addresses that are somebody else's are left out, but for the one that the event itself named.
    pub person: Person,
    /// Whether another id has the address that the event named, or every address that is known instead.
    pub taken_over: bool,
}

/// What the directory knows of one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its addresses: those that are proven, the newest first; then those that are not.
    pub addresses: Vec<KnownAddress>,
    /// Its id in the organisation.
    pub external_id: Option<String>,
    /// When it is forgotten, in seconds since 1970.
    pub expires_at: i64,
}

/// An address of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// The address.
    pub email: Email,
    /// When the source said so last.
    pub at: OffsetDateTime,
    /// Whether it is used.
    pub standing: AddressStanding,
}

/// Whether an address is used to remove an id's person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressStanding {
    /// It is.
    Used,
    /// It is not: nobody has confirmed it.
    Claimed,
    /// It is not: another id has it, too, and has not left.
    OfAnother,
    /// It is not: whose it is was told too long ago.
    Forgotten,
}

/// The item of an id.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    /// Each address once, with the last time it was proven.
    proven: BTreeSet<Told>,
    #[serde(default)]
    claimed: BTreeSet<Told>,
    #[serde(default)]
    confirmed: BTreeSet<Moment>,
    #[serde(default)]
    external_id: Option<Told>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Told {
    at: Moment,
    /// Of several addresses in one event, the main one is the newer one.
    main: bool,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Moment(#[serde(with = "time::serde::rfc3339")] OffsetDateTime);

impl Ledger {
    /// Learns whom an id of a source stands for. Writes only what is news, and what would soon be forgotten.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn learn(
        &self,
        source: &str,
        lesson: &IdentityFact,
        now: OffsetDateTime,
        retention: Duration,
    ) -> Result<(), LedgerDown> {
        let Some(key) = lesson.person.idp_id.as_deref().map(short) else { return Ok(()) };
        // A clock that is wrong must not have the last word for years.
        let at = Moment(lesson.at.map_or(now, |at| at.resolve(now)).clamp(OffsetDateTime::UNIX_EPOCH, now));
        let (id, expires_at) = (heard_id(source, &key), now + retention);
        for _ in 0..ROUNDS {
            let Kept { value: before, version, expires_at: expiry } = self.read::<Heard>(&id).await?;
            let mut heard = before.clone();
            heard.add(lesson, at);
            let lasts = is_lasting(expiry, expires_at);
            if heard == before && lasts {
                return Ok(());
            }
            // First whose an address is: whoever is stopped in between has taken it from others, and not used it.
            let known = before.views();
            let named = |told: &Told| lesson.person.emails().any(|email| email.is(&told.text));
            for (told, view) in heard.views() {
                if !known.contains(&(told.clone(), view)) || !lasts && named(&told) {
                    self.hold(source, &told.text, &key, view, expires_at).await?;
                }
            }
            if self.write(&id, &heard, version, expires_at).await? {
                return Ok(());
            }
        }
        Err(LedgerDown("too many at once".to_owned()))
    }

    /// Adds to a departed person what the directory knows of their id: addresses, and the id in the organisation.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn complete(&self, source: &str, person: &Person) -> Result<Completed, LedgerDown> {
        let mut person = person.clone();
        let Some(key) = person.idp_id.as_deref().map(short) else {
            return Ok(Completed { person, taken_over: false });
        };
        let heard = self.read::<Heard>(&heard_id(source, &key)).await?.value;
        let told: Vec<Email> = person.emails().cloned().collect();
        let is_told = |email: &Email| told.iter().any(|told| told.is(email.expose()));
        let learned = heard.addresses().into_iter().filter_map(|told| Email::parse(&told.text));
        let all: Vec<Email> = told.iter().cloned().chain(learned.filter(|email| !is_told(email))).collect();
        let owners = join_all(all.iter().map(|email| self.owner(source, email.expose(), &key))).await;
        let owners: Vec<Owner> = owners.into_iter().collect::<Result<_, _>>()?;
        let main = usize::from(person.email.is_some());
        let usable = |email: &Email, owner| match owner {
            Owner::This => true,
            // The event's own word is enough where nobody says otherwise.
            Owner::Unknown => is_told(email),
            Owner::Another => false,
        };
        let others = all.iter().zip(&owners).skip(main).filter(|(email, owner)| usable(email, **owner));
        let mut others = others.map(|(email, _)| email.clone());
        person.email = person.email.take().or_else(|| others.next());
        let others: Vec<Email> = others.collect();
        person.other_emails = others;
        let passed_on = owners.contains(&Owner::Another);
        // With an address, the whole person may have passed to another id: deleted, and created again.
        if person.external_id.is_none() && !passed_on {
            person.external_id = heard.external_id.map(|told| told.text);
        }
        let told_is_anothers = main == 1 && owners[0] == Owner::Another;
        Ok(Completed { taken_over: told_is_anothers || passed_on && person.email.is_none(), person })
    }

    /// What the directory knows of an id; `None` if nothing.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn known(&self, source: &str, idp_id: &str) -> Result<Option<Known>, LedgerDown> {
        let key = short(idp_id);
        let Kept { value: heard, version, expires_at } = self.read::<Heard>(&heard_id(source, &key)).await?;
        if version.is_none() {
            return Ok(None);
        }
        let proven = heard.addresses();
        let mut addresses = Vec::new();
        for told in &proven {
            let standing = match self.owner(source, &told.text, &key).await? {
                Owner::This => AddressStanding::Used,
                Owner::Another => AddressStanding::OfAnother,
                Owner::Unknown => AddressStanding::Forgotten,
            };
            addresses.extend(known_address(told, standing));
        }
        let claimed = heard.claimed.iter().rev().filter(|claim| !proven.iter().any(|told| told.is(&claim.text)));
        addresses.extend(claimed.filter_map(|told| known_address(told, AddressStanding::Claimed)));
        Ok(Some(Known { addresses, external_id: heard.external_id.map(|told| told.text), expires_at }))
    }

    /// Notes that a source says of an id that it left: its addresses are free for whoever else has them. Those who leave
    /// together are all noted before the first of them is looked up.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn depart(&self, departure: &Departure, now: OffsetDateTime) -> Result<(), LedgerDown> {
        let source = &departure.source;
        let Some(key) = departure.person.idp_id.as_deref().map(short) else { return Ok(()) };
        let at = Moment(
            departure.event.occurred_at.map_or(now, |at| at.resolve(now)).clamp(OffsetDateTime::UNIX_EPOCH, now),
        );
        let heard = self.read::<Heard>(&heard_id(source, &key)).await?.value;
        for told in heard.addresses() {
            self.change(source, &told.text, None, |holders| holders.depart(&key, at)).await?;
        }
        Ok(())
    }

    /// Notes that an id has an address, or had it.
    async fn hold(
        &self,
        source: &str,
        address: &str,
        key: &str,
        view: View,
        expires_at: OffsetDateTime,
    ) -> Result<(), LedgerDown> {
        self.change(source, address, Some(expires_at), |holders| holders.hold(key, view)).await
    }

    /// Changes who holds an address; without `expires_at` an item ends when it would have ended.
    async fn change(
        &self,
        source: &str,
        address: &str,
        expires_at: Option<OffsetDateTime>,
        change: impl Fn(&mut Holders),
    ) -> Result<(), LedgerDown> {
        let id = address_id(source, address);
        for _ in 0..ROUNDS {
            let Kept { value: before, version, expires_at: expiry } = self.read::<Holders>(&id).await?;
            let mut holders = before.clone();
            change(&mut holders);
            let Some(end) = expires_at.or(OffsetDateTime::from_unix_timestamp(expiry).ok()) else { return Ok(()) };
            if holders == before && is_lasting(expiry, end) || self.write(&id, &holders, version, end).await? {
                return Ok(());
            }
        }
        Err(LedgerDown("too many at once".to_owned()))
    }

    async fn owner(&self, source: &str, address: &str, key: &str) -> Result<Owner, LedgerDown> {
        Ok(self.read::<Holders>(&address_id(source, address)).await?.value.owner(key))
    }
}

impl Heard {
    fn add(&mut self, lesson: &IdentityFact, at: Moment) {
        let person = &lesson.person;
        let main = person.email.as_ref();
        let told = |email: &Email| Told { at, main: main == Some(email), text: email.expose().to_owned() };
        match lesson.verified {
            Verification::Proven => person.emails().for_each(|email| note(&mut self.proven, told(email))),
            Verification::Claimed => self.claimed.extend(main.map(told)),
            Verification::Confirms => _ = self.confirmed.insert(at),
        }
        while self.claimed.len() > MOST_ADDRESSES {
            self.claimed.pop_first();
        }
        while self.confirmed.len() > MOST_ADDRESSES {
            self.confirmed.pop_first();
        }
        let external_id = person.external_id.clone().map(|text| Told { at, main: true, text });
        self.external_id = self.external_id.take().max(external_id);
    }

    /// The addresses that are proven, the newest first.
    fn addresses(&self) -> Vec<Told> {
        let mut proven = self.proven.clone();
        for at in &self.confirmed {
            // Its time stays that of the claim: somebody else may have been given the address before the confirmation.
            if let Some(told) = self.main_at(*at) {
                note(&mut proven, told.clone());
            }
        }
        proven.into_iter().rev().collect()
    }

    /// The addresses, each with whether it is still in use: a source that tells one address at a time has replaced the
    /// former one.
    fn views(&self) -> Vec<(Told, View)> {
        let addresses = self.addresses();
        let Some(as_of) = addresses.first().map(|newest| newest.at) else { return Vec::new() };
        addresses.into_iter().map(|told| (told.clone(), View { as_of, current: told.at == as_of })).collect()
    }

    /// The main address at a moment, if it is certain which. Only this one is confirmed then: somebody may have claimed a
    /// colleague's address before their own.
    fn main_at(&self, at: Moment) -> Option<&Told> {
        let before = self.claimed.iter().chain(&self.proven).filter(|told| told.main && told.at <= at);
        let last = before.clone().max_by_key(|told| told.at)?;
        before.filter(|told| told.at == last.at).all(|told| told.is(&last.text)).then_some(last)
    }
}

impl Told {
    fn is(&self, address: &str) -> bool {
        self.text.eq_ignore_ascii_case(address)
    }
}

/// Keeps each address once, with its last time, and the newest of all.
fn note(known: &mut BTreeSet<Told>, told: Told) {
    let last = known.iter().filter(|known| known.is(&told.text)).max().max(Some(&told)).cloned();
    known.retain(|known| !known.is(&told.text));
    known.extend(last);
    while known.len() > MOST_ADDRESSES {
        known.pop_first();
    }
}

fn known_address(told: &Told, standing: AddressStanding) -> Option<KnownAddress> {
    Some(KnownAddress { email: Email::parse(&told.text)?, at: told.at.0, standing })
}

fn is_lasting(expiry: i64, expires_at: OffsetDateTime) -> bool {
    expiry >= (expires_at - SLACK).unix_timestamp()
}

fn heard_id(source: &str, key: &str) -> String {
    format!("#directory/{source}/{key}")
}

fn address_id(source: &str, address: &str) -> String {
    format!("#address/{source}/{}", person_key(address))
}
