//! A departure as an auditor reads it.

use time::OffsetDateTime;

use super::{figures::time_to_removal, times};
use crate::{
    judgement::Veto,
    ledger::{OperatorAction, Record, State, StoredResult},
    outcome::{Outcome, Proof, Status},
    person::{mask_addresses, mask_departure_id},
};

/// One departure. All texts are ready to be shown: addresses are masked.
pub(super) struct Case {
    /// The departure's id.
    pub(super) id: String,
    /// Their main e-mail address.
    pub(super) person: String,
    /// Their external id, else the source's own.
    pub(super) external_id: String,
    /// The source's name.
    pub(super) source: String,
    /// The event's id.
    pub(super) event_id: String,
    /// The event's type.
    pub(super) event_type: String,
    /// As the source said it: a time, or a date.
    pub(super) occurred: String,
    /// When its first delivery arrived.
    pub(super) received: OffsetDateTime,
    /// Where it stands.
    pub(super) state: String,
    /// Vetoes at the last judgement that were not released since.
    pub(super) reasons: String,
    /// Whether work is left, or a person has to act.
    pub(super) is_open: bool,
    /// From receipt to the last removal.
    pub(super) took: Option<String>,
    /// Results, by provider.
    pub(super) providers: Vec<ProviderRow>,
    /// Operators' decisions.
    pub(super) decisions: Vec<String>,
}

/// Result at one provider.
pub(super) struct ProviderRow {
    /// The provider's name.
    pub(super) provider: String,
    /// What became of the account.
    pub(super) outcome: String,
    /// Whether no usable account remains.
    pub(super) is_done: bool,
    /// Time of the proof.
    pub(super) gone_by: Option<OffsetDateTime>,
    /// How long after the reception, in words.
    pub(super) after: String,
    /// The same in seconds.
    pub(super) seconds: Option<i64>,
    /// How it is known.
    pub(super) proof: &'static str,
    /// Ids of the accounts.
    pub(super) account: String,
    /// The provider's ids of the requests.
    pub(super) request_ids: String,
    /// Why not, as a code.
    pub(super) reason: String,
    /// Why not, in words.
    pub(super) detail: String,
    /// Whether a person's word alone says that the account is gone; `detail` is who they are, and what they did.
    pub(super) is_by_hand: bool,
    /// How often the call that needed most was made in the last run.
    pub(super) attempts: u32,
    /// Number of runs in which the provider was tried.
    pub(super) runs: u32,
}

impl Case {
    /// Returns what is recorded of a departure.
    pub(super) fn of(record: &Record) -> Self {
        let person = record.person.person();
        let masked = |text: Option<&str>| text.map(mask_addresses).unwrap_or_default();
        let is_open = !record.state.is_settled();
        Self {
            id: mask_departure_id(&record.id),
            person: masked(record.person.emails().first().map(String::as_str)),
            external_id: masked(person.external_id.as_deref().or(person.idp_id.as_deref())),
            source: record.source.clone(),
            event_id: mask_addresses(&record.event.id),
            event_type: mask_addresses(&record.event.kind),
            occurred: record.event.occurred_at.map(|at| at.to_string()).unwrap_or_default(),
            received: record.received_at,
            state: record.state.to_string(),
            reasons: names(record.reasons().into_iter()),
            is_open,
            took: time_to_removal(record).filter(|_| record.state == State::Done).map(times::span),
            providers: record.providers.values().map(|result| ProviderRow::of(result, record.received_at)).collect(),
            decisions: record.history.iter().map(decision).collect(),
        }
    }

    /// Returns why it is open: what stood against the removals, else the providers at which work is left.
    pub(super) fn left(&self) -> String {
        if !self.reasons.is_empty() {
            return self.reasons.clone();
        }
        let left = self.providers.iter().filter(|row| !row.is_done);
        let left = left.map(|row| match row.reason.as_str() {
            "" => format!("{}: {}", row.provider, row.outcome),
            reason => format!("{}: {} ({reason})", row.provider, row.outcome),
        });
        left.collect::<Vec<_>>().join("; ")
    }
}

impl ProviderRow {
    fn of(result: &StoredResult, received: OffsetDateTime) -> Self {
        let entry = &result.found;
        let worst = &entry.worst;
        let is_done = worst.outcome.status() == Status::Done;
        let text = |text: &Option<String>| text.as_deref().map(mask_addresses).unwrap_or_default();
        Self {
            provider: entry.provider.clone(),
            outcome: worst.outcome.to_string(),
            is_done,
            gone_by: is_done.then_some(result.at),
            after: if is_done { times::span(result.at - received) } else { String::new() },
            seconds: is_done.then(|| (result.at - received).whole_seconds()),
            proof: proof(worst.outcome, worst.proof),
            account: mask_addresses(&together(entry.all().map(|result| &result.account_id))),
            request_ids: mask_addresses(&together(entry.all().map(|result| &result.request_id))),
            reason: text(&worst.reason),
            detail: text(&worst.detail),
            is_by_hand: worst.proof == Some(Proof::ByHand),
            attempts: entry.attempts,
            runs: result.runs,
        }
    }
}

fn proof(outcome: Outcome, proof: Option<Proof>) -> &'static str {
    match proof {
        Some(Proof::SecondLook) => "second look",
        Some(Proof::SecondRemoval) => "second removal",
        Some(Proof::NotConfirmed) => "the provider's word alone",
        Some(Proof::FoundAbsent) => "found absent",
        Some(Proof::FoundAbsentAfterRemoval) => "found absent after removal",
        Some(Proof::Status) => "the account's status",
        Some(Proof::ByHand) => "by hand",
        None if outcome.status() == Status::Done => "not recorded",
        None => "",
    }
}

/// Describes an operator's decision, with the reasons that a release overrode.
fn decision(action: &OperatorAction) -> String {
    let OperatorAction { at, who, what, reasons, provider, note } = action;
    let provider = provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
    let note = note.as_ref().map(|note| format!(": {}", mask_addresses(note))).unwrap_or_default();
    let overridden = match names(reasons.iter().copied()) {
        reasons if reasons.is_empty() => String::new(),
        reasons => format!(" of {reasons}"),
    };
    format!("{} UTC: {what}{overridden}{provider} by {}{note}", times::table(*at), operator(who))
}

/// Returns an AWS identity, masked: the session of somebody who signs in by single sign-on has their address as its name.
pub(super) fn operator(who: &str) -> String {
    who.split('/').map(mask_addresses).collect::<Vec<_>>().join("/")
}

fn names(vetoes: impl Iterator<Item = Veto>) -> String {
    vetoes.map(Veto::as_str).collect::<Vec<_>>().join(", ")
}

/// Each once: a product may keep several accounts of a person.
fn together<'a>(texts: impl Iterator<Item = &'a Option<String>>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for text in texts.filter_map(|text| text.as_deref()) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn decision_says_who_overrode_what_and_when() {
        let at = datetime!(2026-01-31 18:42 UTC);
        let action = |what: &str, reasons| {
            let (provider, note) = (None, None);
            OperatorAction { at, who: "arn:ann".into(), what: what.into(), reasons, provider, note }
        };
        let released = decision(&action("release", vec![Veto::EventTooOld, Veto::PersonReturned]));
        assert_eq!(released, "2026-01-31 18:42:00 UTC: release of event_too_old, person_returned by arn:ann");
        assert_eq!(decision(&action("dismiss", vec![])), "2026-01-31 18:42:00 UTC: dismiss by arn:ann");
        let note = Some("deleted in Settings".into());
        let confirmed = OperatorAction { provider: Some("wiki".into()), note, ..action("confirm", vec![]) };
        let expected = "2026-01-31 18:42:00 UTC: confirm of wiki by arn:ann: deleted in Settings";
        assert_eq!(decision(&confirmed), expected);
        let session = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/ann@example.com";
        let note = Some("asked by boss@example.com".into());
        let dismissed = decision(&OperatorAction { who: session.into(), note, ..action("dismiss", vec![]) });
        let expected = "dismiss by arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/a…@example.com: asked by b…@example.com";
        assert_eq!(dismissed, format!("2026-01-31 18:42:00 UTC: {expected}"));
    }
}
