//! What must be known before anything is called: how many left lately, and whether this person came back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Kept, Ledger, LedgerDown, ROUNDS, SKEW, short};
use crate::{
    config::MaxDepartures,
    person::{Identity, KnownBy, Person},
};

const BREAKER: &str = "#breaker";

/// The departures that were let through lately: what the circuit breaker counts, over all environments.
#[derive(Default, Serialize, Deserialize)]
struct Breaker {
    /// Each with its time, in milliseconds since 1970.
    admitted: Vec<(i128, String)>,
}

/// The last time a source said that a person is there.
#[derive(Default, Serialize, Deserialize)]
struct Return {
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
}

impl Ledger {
    /// Whether the circuit breaker lets a departure through. Asked again about the same one, it says the same.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn admit(&self, id: &str, limit: &MaxDepartures, now: OffsetDateTime) -> Result<bool, LedgerDown> {
        let key = short(id);
        let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
        let oldest = milliseconds - i128::try_from(limit.per.as_millis()).unwrap_or(i128::MAX);
        for _ in 0..ROUNDS {
            let Kept { value: mut breaker, version, .. } = self.read::<Breaker>(BREAKER).await?;
            breaker.admitted.retain(|(at, _)| *at > oldest);
            if breaker.admitted.iter().any(|(_, known)| *known == key) {
                return Ok(true);
            }
            if breaker.admitted.len() >= limit.count as usize {
                return Ok(false);
            }
            breaker.admitted.push((milliseconds, key.clone()));
            if self.write(BREAKER, &breaker, version, now + limit.per + SKEW).await? {
                return Ok(true);
            }
        }
        // Whoever is not counted is not let through.
        Ok(false)
    }

    /// Notes that a source said at `at` that this person is there.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn note_return(
        &self,
        source: &str,
        person: &Person,
        at: OffsetDateTime,
        retention: Duration,
    ) -> Result<(), LedgerDown> {
        for id in return_ids(source, person) {
            for _ in 0..ROUNDS {
                let Kept { value: known, version, .. } = self.read::<Return>(&id).await?;
                // Events come in any order.
                let newer = known.at.is_none_or(|known| known < at);
                if !newer || self.write(&id, &Return { at: Some(at) }, version, at + retention).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// When the source last said that this person is there.
    ///
    /// # Errors
    /// If the ledger cannot be reached.
    pub async fn returned(&self, source: &str, person: &Person) -> Result<Option<OffsetDateTime>, LedgerDown> {
        let mut last = None;
        for id in return_ids(source, person) {
            last = last.max(self.read::<Return>(&id).await?.value.at);
        }
        Ok(last)
    }
}

/// A person is known again by the source's own id; a source without one, by what providers know.
fn return_ids(source: &str, person: &Person) -> Vec<String> {
    let own = person.idp_id.clone();
    let others = [KnownBy::ExternalId, KnownBy::Email].map(|known_by| person.identity(known_by));
    let others = others.into_iter().flatten().map(|identity| match identity {
        Identity::Email(email) => email.expose().to_ascii_lowercase(),
        Identity::ExternalId(id) => id.to_owned(),
    });
    own.into_iter().chain(others).take(1).map(|id| format!("#returned/{source}/{}", short(&id))).collect()
}
