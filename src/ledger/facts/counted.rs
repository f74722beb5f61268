//! Whom the safeguard counts: a person who leaves in two sources once, and each of those who share an address in one source.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{IdentityKey, Record, key::short};

/// Digits of a member: of the address, the kind of id, and the id. The largest bucket has to fit into an item.
const DIGITS: (usize, usize, usize) = (7, 2, 7);

/// A departure in a bucket: hashes of the main address (without one, the id), of the source with the kind of its id, and of the
/// id. A source may name one person by its own id and by an address alone.
pub(super) fn member(record: &Record) -> String {
    let digits = |text: &str, digits: usize| short(text)[..digits].to_owned();
    let id = record.person.key.as_ref().map_or(record.id.as_str(), IdentityKey::as_str);
    let email = record.person.person().email.map(|email| email.canonical());
    let address = digits(email.as_deref().unwrap_or(id), DIGITS.0);
    let kind = id.rsplit_once('-').map_or(record.source.as_str(), |(kind, _)| kind);
    address + &digits(kind, DIGITS.1) + &digits(id, DIGITS.2)
}

/// Returns how many persons these are: of an address, as many as the source with the most ids of a kind says.
pub(super) fn persons<'a>(members: impl Iterator<Item = &'a String>) -> usize {
    let mut by_address: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for member in members {
        let (address, rest) = member.split_at_checked(DIGITS.0).unwrap_or((member, ""));
        let (kind, id) = rest.split_at_checked(DIGITS.1).unwrap_or((rest, ""));
        by_address.entry(address).or_default().entry(kind).or_default().insert(id);
    }
    by_address.values().filter_map(|kinds| kinds.values().map(BTreeSet::len).max()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persons_of(members: &[&str]) -> usize {
        let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
        persons(members.iter())
    }

    #[test]
    fn person_in_two_sources_counts_once() {
        assert_eq!(persons_of(&["aaaaaaa01bbbbbbb", "aaaaaaa02ccccccc"]), 1);
    }

    #[test]
    fn ids_of_one_source_count_each_also_with_one_address() {
        assert_eq!(persons_of(&["aaaaaaa01bbbbbbb", "aaaaaaa01ccccccc", "aaaaaaa02ddddddd", "eeeeeee02fffffff"]), 3);
    }

    #[test]
    fn member_of_an_older_version_counts() {
        assert_eq!(persons_of(&["aaaaaaaaaaaa", "bbbbbbbbbbbb", ""]), 3);
    }
}
