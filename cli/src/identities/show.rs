//! `offboard identities show`.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::{anyhow, bail};
use clap::Args;
use offboard::{
    ledger::{Held, IdentityKey, KnownIdentity, Ledger, TraitKey},
    person::{Email, Person, mask_addresses, mask_departure_id},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{stack::Stack, timestamps};
use offboard_sandbox::screen::{Screen, print};

/// The options of `offboard identities show`.
#[derive(Args)]
pub struct Show {
    /// The source, as the configuration names it
    source: String,
    /// The id by which its events name the person, the external id, or the e-mail address
    id: String,
    #[command(flatten)]
    stack: Stack,
}

impl Show {
    pub async fn run(&self) -> anyhow::Result<ExitCode> {
        let ledger = self.stack.connect().await?.ledger;
        let id = mask_addresses(&self.id);
        let known = self.known(&ledger).await?;
        let known = known.ok_or_else(|| anyhow!("the identity map knows nothing of {id} at {}", self.source))?;
        if self.stack.configured.json {
            print(&self.document(&known).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let screen = Screen::new(false);
        screen.section(&format!("{} {id}", self.source), attributes(&known));
        screen.section("Known by", []);
        let mut table = screen.table(["KIND", "VALUE", "SAID FIRST (UTC)", "REPLACED (UTC)"]);
        table.add_rows(held(&known).into_iter().map(|(kind, held)| {
            [kind.to_owned(), mask_addresses(&held.text), shown(Some(held.from())), shown(held.until())]
        }));
        screen.show(&table);
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the identity record of the id, which may be the source's own, an external id or an e-mail address.
    async fn known(&self, ledger: &Ledger) -> anyhow::Result<Option<KnownIdentity>> {
        let by_id = Person { idp_id: Some(self.id.clone()), ..Person::default() };
        let by_external_id = Person { external_id: Some(self.id.clone()), ..Person::default() };
        let by_email = Email::parse(&self.id).map(|email| Person { email: Some(email), ..Person::default() });
        let people: Vec<Person> = [by_id, by_external_id].into_iter().chain(by_email).collect();
        for key in people.iter().filter_map(|person| IdentityKey::of(&self.source, person)) {
            let known = ledger.known(&key).await?;
            if known.is_some() {
                return Ok(known);
            }
        }
        // A source's own id of the person may be one that only its sender and the ledger know.
        let mut ids = BTreeSet::new();
        for of in people.iter().flat_map(|person| TraitKey::all_of(&self.source, person)) {
            ids.extend(ledger.ids_with(&self.source, &of).await?);
        }
        let mut ids = ids.into_iter();
        match (ids.next(), ids.len()) {
            (Some(only), 0) => Ok(ledger.known(&only).await?),
            (Some(_), more) => bail!("{} ids of {} have or had it: name one of them", more + 1, self.source),
            (None, _) => Ok(None),
        }
    }

    fn document(&self, known: &KnownIdentity) -> Value {
        let all = |held: &[Held]| held.iter().map(document).collect::<Vec<_>>();
        let departures = known.departures.iter().map(|departure| mask_departure_id(&departure.id));
        json!({
            "source": self.source,
            "id": mask_addresses(&self.id),
            "emails": all(&known.emails),
            "unverified_emails": all(&known.unverified_emails),
            "external_ids": all(&known.external_ids),
            "first_said_at": known.first.and_then(time).map(timestamps::rfc3339),
            "active_at": known.active.and_then(time).map(timestamps::rfc3339),
            "inactive_at": known.inactive.and_then(time).map(timestamps::rfc3339),
            "departures": departures.collect::<Vec<_>>(),
        })
    }
}

fn document(held: &Held) -> Value {
    let at = |at: i64| time(at).map(timestamps::rfc3339);
    json!({"value": mask_addresses(&held.text), "from": at(held.from()), "until": held.until().and_then(at)})
}

fn attributes(known: &KnownIdentity) -> Vec<String> {
    let mut lines = vec![
        format!("said first   {}", shown(known.first)),
        format!("last active  {}", if known.active.is_some() { shown(known.active) } else { "never said".to_owned() }),
    ];
    lines.extend(known.inactive.map(|at| format!("inactive     {}", shown(Some(at)))));
    lines.extend(known.departures.iter().map(|departure| format!("departure    {}", mask_departure_id(&departure.id))));
    lines
}

/// Everything by which the person is known, with its kind.
fn held(known: &KnownIdentity) -> Vec<(&'static str, &Held)> {
    let kinds = [
        ("e-mail", &known.emails),
        ("e-mail, unverified: not used", &known.unverified_emails),
        ("external id", &known.external_ids),
    ];
    kinds.into_iter().flat_map(|(kind, all)| all.iter().map(move |held| (kind, held))).collect()
}

fn shown(at: Option<i64>) -> String {
    at.and_then(time).map(timestamps::table).unwrap_or_default()
}

/// The time of milliseconds since 1970.
fn time(at: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).ok()
}
