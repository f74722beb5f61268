//! What a request about a user does, and what it means for the ledger.
//!
//! Every write is one transaction: the user's item, the claims of its name and external id, and the departure or the
//! identity fact that follows. If a part has changed since it was read, all is read again.

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::{
    ScimError, User,
    storage::{Claimed, Storage, StoredUser},
};
use crate::{
    departure::{Departure, Event, IdentityFact, Verification, Word},
    flow::{Flow, Worker},
    ledger::{MAX_CAS_ATTEMPTS, State, store::Change},
    person::Person,
    source::Source,
};

/// How soon after its creation the removal of a user is held: a client that is being set up tries both.
const RIGHT_AFTER_CREATION: Duration = Duration::HOUR;

/// How a user left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Deactivated,
    Deleted,
}

impl Leaving {
    /// The event's type.
    fn as_str(self) -> &'static str {
        match self {
            Self::Deactivated => "user.deactivated",
            Self::Deleted => "user.deleted",
        }
    }
}

/// The users of a source, as one request sees them.
#[derive(Clone, Copy)]
pub(super) struct Users<'a> {
    pub(super) source: &'a Source,
    pub(super) flow: &'a Flow,
    pub(super) worker: Worker<'a>,
}

impl<'a> Users<'a> {
    pub(super) fn storage(&self) -> Storage<'a> {
        Storage::new(&self.flow.ledger, &self.source.name)
    }

    /// Creates a user, or makes an inactive one active again who is meant by the user name or external id, with the same id.
    ///
    /// # Errors
    /// [`ScimError::Uniqueness`] if an active user has the name.
    pub(super) async fn create(&self, mut user: User) -> Result<StoredUser, ScimError> {
        user.active = user.active.or(Some(true));
        self.drop_unwanted(&mut user);
        for _ in 0..MAX_CAS_ATTEMPTS {
            if let Some(created) = self.try_create(&user).await? {
                return Ok(created);
            }
        }
        Err(ScimError::Unavailable)
    }

    /// Returns `None` if something that was read has changed.
    async fn try_create(&self, user: &User) -> Result<Option<StoredUser>, ScimError> {
        let claimed = self.storage().claimed(user).await?;
        let now = self.worker.now();
        if let Some(known) = claimed.active(&user.user_name) {
            // Its sender takes the user for active: an identity fact that a crash kept back is stored now.
            let is_stored = self.commit(Some(known), known.clone(), None).await?.is_some();
            return if is_stored { Err(ScimError::Uniqueness) } else { Ok(None) };
        }
        let before = claimed.inactive(user);
        let is_active = user.active != Some(false);
        let after = match before {
            Some(known) => {
                let known = StoredUser { modified: now, posted: now, was_restored: true, ..known.clone() };
                StoredUser { user: user.clone(), is_active, ..known }
            }
            None => StoredUser {
                id: random_id(),
                version: 0,
                user: user.clone(),
                is_active,
                created: now,
                modified: now,
                posted: now,
                departures: 0,
                was_restored: false,
            },
        };
        self.commit(before, after, Some(&claimed)).await
    }

    /// Changes a user.
    ///
    /// # Errors
    /// [`ScimError::NotFound`], [`ScimError::Uniqueness`] of the name, or what `edit` says.
    pub(super) async fn change(
        &self,
        id: &str,
        edit: impl Fn(&mut User) -> Result<(), ScimError>,
    ) -> Result<StoredUser, ScimError> {
        for _ in 0..MAX_CAS_ATTEMPTS {
            let before = self.storage().get(id).await?.ok_or(ScimError::NotFound)?;
            let mut user = before.user.clone();
            edit(&mut user)?;
            self.drop_unwanted(&mut user);
            let is_active = user.active.unwrap_or(before.is_active);
            let is_renamed = !before.has_name(&user.user_name) || before.user.external_id != user.external_id;
            let claims = is_renamed || (is_active && !before.is_active);
            let claimed = if claims { Some(self.storage().claimed(&user).await?) } else { None };
            let is_taken = |claimed: &Claimed| claimed.active(&user.user_name).is_some_and(|known| known.id != id);
            // A name that is taken is no reason to lose a departure.
            if is_active && claimed.as_ref().is_some_and(is_taken) {
                return Err(ScimError::Uniqueness);
            }
            // Who is given another external id while inactive is perhaps another person.
            let was_restored = before.was_restored || (!before.is_active && is_relinked(&before.user, &user));
            let modified = if user == before.user { before.modified } else { self.worker.now() };
            let after = StoredUser { user, is_active, modified, was_restored, ..before.clone() };
            if let Some(stored) = self.commit(Some(&before), after, claimed.as_ref()).await? {
                return Ok(stored);
            }
        }
        Err(ScimError::Unavailable)
    }

    /// Deletes a user: a departure, unless the user was inactive before. In two steps: one who is deleted is inactive by then, also where
    /// the departure is dismissed later.
    ///
    /// # Errors
    /// [`ScimError::NotFound`].
    pub(super) async fn delete(&self, id: &str) -> Result<(), ScimError> {
        for _ in 0..MAX_CAS_ATTEMPTS {
            let before = self.storage().get(id).await?.ok_or(ScimError::NotFound)?;
            if before.is_active {
                let user = User { active: Some(false), ..before.user.clone() };
                let after = StoredUser { user, is_active: false, departures: before.departures + 1, ..before.clone() };
                self.depart(&before, &after, Leaving::Deleted, &self.storage().writes(&after, None)?).await?;
                continue;
            }
            self.go_on(&before).await?;
            let deletes = [self.storage().deletes(&before, self.flow.retention(), self.worker.now())];
            if self.say(&before, Word::Inactive, &deletes).await? {
                return Ok(());
            }
        }
        Err(ScimError::Unavailable)
    }

    /// Writes a user, with what follows from it. Returns `None` if something that was read has changed.
    async fn commit(
        &self,
        before: Option<&StoredUser>,
        mut after: StoredUser,
        claimed: Option<&Claimed>,
    ) -> Result<Option<StoredUser>, ScimError> {
        let was_active = before.is_some_and(|before| before.is_active);
        if !after.is_active && before == Some(&after) {
            self.go_on(&after).await?;
            return Ok(Some(after));
        }
        if was_active && !after.is_active {
            after.departures += 1;
        }
        let writes = self.storage().writes(&after, claimed)?;
        let is_made = match before.filter(|_| was_active && !after.is_active) {
            Some(before) => self.depart(before, &after, Leaving::Deactivated, &writes).await?,
            None => self.say(&after, word(before, &after), &writes).await?,
        };
        Ok(is_made.then_some(after))
    }

    /// Stores what is said of a user, with a write.
    async fn say(&self, user: &StoredUser, word: Word, writes: &[Change]) -> Result<bool, ScimError> {
        let fact = IdentityFact { person: self.person(user), word, verified: Verification::Complete, at: None };
        Ok(self.flow.ledger.store_fact_with(&self.source.name, &fact, writes, self.worker.now()).await?)
    }

    /// Records that a user left, who was active `before`. What the same write changes of the user is said after that: the mail of a
    /// leaver is often led to a colleague.
    async fn depart(
        &self,
        before: &StoredUser,
        after: &StoredUser,
        how: Leaving,
        writes: &[Change],
    ) -> Result<bool, ScimError> {
        let departure = self.departure(before, before.departures + 1, how.as_str());
        let is_new = self.worker.now() - before.posted < RIGHT_AFTER_CREATION;
        // It may be that of the older of two objects at the identity provider, however late.
        let is_anothers = match how {
            Leaving::Deleted => before.was_restored,
            Leaving::Deactivated => is_relinked(&before.user, &after.user),
        };
        let record = self.flow.record_with(self.source, &departure, is_new || is_anothers, writes, self.worker).await?;
        let Some(record) = record else { return Ok(false) };
        if before.user.addresses() != after.user.addresses() {
            self.say(after, Word::Known, &[]).await?;
        }
        self.answerable(record.state)?;
        Ok(true)
    }

    /// Without a queue nothing but the sender's repetition goes on with a departure.
    async fn go_on(&self, user: &StoredUser) -> Result<(), ScimError> {
        if self.flow.queue.is_some() || user.departures == 0 {
            return Ok(());
        }
        let id = self.departure(user, user.departures, "").id;
        match self.flow.advance(&id, self.worker).await? {
            Some(record) => self.answerable(record.state),
            None => Ok(()),
        }
    }

    /// Without durable storage the sender must come again for what is left.
    fn answerable(&self, state: State) -> Result<(), ScimError> {
        let is_left = matches!(state, State::Pending | State::Held);
        if self.flow.queue.is_none() && is_left { Err(ScimError::Unavailable) } else { Ok(()) }
    }

    /// The `count`th departure of a user: a repetition has the same id.
    fn departure(&self, user: &StoredUser, count: u32, kind: &str) -> Departure {
        let event_id = format!("{}.{count}", user.id);
        Departure {
            id: format!("{}/{event_id}", self.source.name),
            source: self.source.name.clone(),
            event: Event { id: event_id, kind: kind.to_owned(), occurred_at: None, organization: None },
            person: self.person(user),
        }
    }

    /// The person who a user is. An organization's administrators write its users: their addresses are verified.
    fn person(&self, user: &StoredUser) -> Person {
        let mut addresses = user.user.addresses().into_iter();
        Person {
            idp_id: Some(user.id.clone()),
            external_id: self.source.external_id_of(&Value::Object(user.user.resource())),
            email: addresses.next(),
            other_emails: addresses.collect(),
        }
    }

    /// Drops what nothing of the configuration needs.
    fn drop_unwanted(&self, user: &mut User) {
        if !self.source.keeps_employee_number() {
            user.employee_number = None;
        }
    }
}

/// Returns what a write says of a user who does not leave by it. One who is inactive already is not said to be so again: a
/// person may have dismissed the departure.
fn word(before: Option<&StoredUser>, after: &StoredUser) -> Word {
    match (after.is_active, before) {
        (true, _) => Word::Active,
        (false, Some(_)) => Word::Known,
        (false, None) => Word::Inactive,
    }
}

/// Returns whether a user is given another external id in place of one.
fn is_relinked(before: &User, after: &User) -> bool {
    before.external_id.is_some() && after.external_id.is_some() && before.external_id != after.external_id
}

/// Returns a random id in the form of a UUID.
fn random_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// Returns a time as it is shown: RFC 3339 in milliseconds.
pub(super) fn shown(at: OffsetDateTime) -> String {
    use time::format_description::well_known::Rfc3339;
    let at = at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}
