//! What may be configured of a source that speaks SCIM.

use serde_json::Value;

use super::{KeyError, Source, Table, pointer::Pointers, rules::PersonTable};

/// Where the person's external id may stand in a user, as JSON Pointers.
const EXTERNAL_IDS: [&str; 2] =
    ["/externalId", "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/employeeNumber"];

/// What `offboard send` does at a SCIM source: disable a user (created before, if there is none), create, update, delete.
pub const SCIM_SAMPLES: [&str; 4] = ["departure", "created", "updated", "deleted"];

/// Returns what does not go with SCIM, whose events and answers are known.
pub(super) fn check(given: &Table) -> Vec<KeyError> {
    let keys = [
        ("event", given.event.is_some()),
        ("also", !given.also.is_empty()),
        ("reply", given.reply.is_some()),
        ("accept_unverified", given.accept_unverified),
    ];
    let wrong = keys.into_iter().filter(|(_, is_given)| *is_given);
    let mut errors: Vec<KeyError> = wrong
        .map(|(key, _)| (key, format!("`{key}` does not go with kind `scim`: what a client may send is known")))
        .collect();
    if given.person.as_ref().is_some_and(|person| !is_usable(person)) {
        let [default, other] = EXTERNAL_IDS;
        errors.push((
            "person",
            format!("`person` of kind `scim` may hold `external_id` alone: \"{default}\", or \"{other}\""),
        ));
    }
    errors
}

fn is_usable(person: &PersonTable) -> bool {
    let PersonTable { idp_id, external_id, email, emails, verified } = person;
    let others = [idp_id, email, emails, verified];
    let texts = external_id.as_ref().map(Pointers::texts).unwrap_or_default();
    others.into_iter().all(Option::is_none) && texts.iter().all(|text| EXTERNAL_IDS.contains(text))
}

impl Source {
    /// Returns the external id that a SCIM user has for this source.
    pub(crate) fn external_id_of(&self, resource: &Value) -> Option<String> {
        self.reader.person.external_id.as_ref()?.text(resource).ok()?
    }

    /// Returns whether the personnel number of a SCIM user is needed.
    pub(crate) fn keeps_employee_number(&self) -> bool {
        let pointers = self.reader.person.external_id.as_ref();
        pointers.is_some_and(|pointers| pointers.texts().contains(&EXTERNAL_IDS[1]))
    }
}
