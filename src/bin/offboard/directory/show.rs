//! `offboard directory show`.

use std::process::ExitCode;

use clap::Args;
use offboard::{
    ledger::directory::{AddressStanding, KnownAddress},
    person::mask_addresses,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    moment,
    screen::{Screen, print},
    stored::Stored,
};

/// The options of `offboard directory show`.
#[derive(Args)]
pub struct Show {
    /// The source, as the configuration names it
    source: String,
    /// The id by which its events name the person
    id: String,
    #[command(flatten)]
    stored: Stored,
}

impl Show {
    pub async fn run(&self) -> Result<ExitCode, String> {
        let ledger = self.stored.connect().await?.ledger;
        let known = ledger.known(&self.source, &self.id).await.map_err(|down| down.to_string())?;
        let id = mask_addresses(&self.id);
        let known = known.ok_or_else(|| format!("the directory knows nothing of {id} at {}", self.source))?;
        let external_id = known.external_id.as_deref().map(mask_addresses);
        let until = OffsetDateTime::from_unix_timestamp(known.expires_at).ok();
        if self.stored.configured.json {
            let addresses: Vec<_> = known.addresses.iter().map(view).collect();
            print(
                &json!({
                    "source": self.source, "idp_id": id, "external_id": external_id, "addresses": addresses,
                    "known_until": until.map(moment::machine),
                })
                .to_string(),
            );
            return Ok(ExitCode::SUCCESS);
        }
        let screen = Screen::new(false);
        let fact = |name: &str, value: Option<String>| value.map(|value| format!("{name:<13}{value}"));
        let facts = [fact("external id", external_id), fact("known until", until.map(moment::person))];
        screen.section(&format!("{} {id}", self.source), facts.into_iter().flatten());
        screen.section("Addresses", []);
        let mut table = screen.table(["ADDRESS", "TOLD LAST (UTC)", "IS"]);
        table.add_rows(known.addresses.iter().map(row));
        screen.show(&table);
        Ok(ExitCode::SUCCESS)
    }
}

fn view(address: &KnownAddress) -> serde_json::Value {
    json!({"email": address.email.masked(), "at": moment::machine(address.at), "standing": address.standing})
}

fn row(address: &KnownAddress) -> [String; 3] {
    let standing = match address.standing {
        AddressStanding::Used => "used",
        AddressStanding::Claimed => "not used: it was claimed, and not confirmed",
        AddressStanding::OfAnother => "not used: it is another id's by now",
        AddressStanding::Forgotten => "not used: whose it is was told too long ago",
    };
    [address.email.masked(), moment::person(address.at), standing.to_owned()]
}
