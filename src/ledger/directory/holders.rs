//! Who has an address, or had it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Moment;

/// How many ids of one address are kept. A person has two or three; a shared mailbox has many.
const MOST_IDS: usize = 50;

/// The item of an address: the ids (their hashes) that have or had it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holders(BTreeMap<String, Hold>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    #[serde(flatten)]
    view: View,
    /// When the source said that this id left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    departed: Option<Moment>,
}

/// Whether an id has an address, as far as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct View {
    /// When something was last told of the id's addresses.
    pub(super) as_of: Moment,
    /// Whether this one was among them.
    pub(super) current: bool,
}

/// To whom an address belongs, as one id sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// To this id, and to nobody else who is there.
    This,
    /// To another id that is there, whoever had it before.
    Another,
    /// It is not known that anybody has it.
    Unknown,
}

impl Hold {
    /// Whether this id has the address, and its person is there.
    fn is_live(&self) -> bool {
        self.view.current && self.departed.is_none_or(|departed| departed < self.view.as_of)
    }
}

impl Holders {
    /// Notes whether an id has the address. What was told later holds; told both at once, it has.
    pub(super) fn hold(&mut self, key: &str, view: View) {
        let hold = self.0.entry(key.to_owned()).or_insert(Hold { view, departed: None });
        if view.as_of > hold.view.as_of {
            hold.view = view;
        } else if view.as_of == hold.view.as_of {
            hold.view.current |= view.current;
        }
        while self.0.len() > MOST_IDS {
            // Those first who do not stand in anybody's way.
            let oldest = self.0.iter().min_by_key(|(_, hold)| (hold.is_live(), hold.view.as_of));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { break };
            self.0.remove(&key);
        }
    }

    /// Notes that an id left.
    pub(super) fn depart(&mut self, key: &str, at: Moment) {
        if let Some(hold) = self.0.get_mut(key) {
            hold.departed = hold.departed.max(Some(at));
        }
    }

    /// To whom the address belongs, as the id `key` sees it.
    pub(super) fn owner(&self, key: &str) -> Owner {
        let another = self.0.iter().any(|(other, hold)| other != key && hold.is_live());
        match another {
            true => Owner::Another,
            false if self.0.contains_key(key) => Owner::This,
            false => Owner::Unknown,
        }
    }
}
