//! What a person decides about a recorded departure: release it, dismiss it, have it tried again, confirm a removal by hand.

use std::{collections::BTreeSet, time::Duration};

use time::OffsetDateTime;

use crate::{
    engine::AddressStatus,
    judgement::{self, RaisedVeto, Release, Rules, Verdict, Veto},
    ledger::{Facts, Ledger, LedgerError, MAX_CAS_ATTEMPTS, OperatorAction, Record, SKEW, State},
    outcome::{Outcome, Status},
    person::mask_addresses,
};

/// The longest note, in characters: it is kept in the record.
const LONGEST_NOTE: usize = 500;

/// What a person decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What stood against a removal, as it was shown, is overridden.
    Release(Shown),
    /// Nothing is to be done, now or later.
    Dismiss,
    /// What is not done is tried again; what is done stays as it is.
    Replay,
    /// The account was removed by hand, at a provider without an API.
    Confirm(Confirmation),
}

/// A person's word that they removed an account by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The provider's name.
    pub provider: String,
    /// What they did.
    pub note: Note,
    /// The configured providers that the departure's source reaches.
    pub reached: BTreeSet<String>,
}

/// One line of text, not empty, without e-mail addresses in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// Returns the line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a text of one or several lines; they become one.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn parse(text: &str) -> Result<Self, String> {
        let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = mask_addresses(&visible.split_whitespace().collect::<Vec<_>>().join(" "));
        match text.chars().count() {
            0 => Err("it must not be empty".to_owned()),
            length if length > LONGEST_NOTE => Err(format!("it has at most {LONGEST_NOTE} characters, not {length}")),
            _ => Ok(Self(text)),
        }
    }
}

/// What a person saw of a departure when they released it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The vetoes that stood, with their facts.
    pub standing: Vec<RaisedVeto>,
    /// The vetoes to override; `None` for all that were shown, but for those that are a matter of time.
    pub only: Option<Vec<Veto>>,
}

/// Why a decision was not carried out. The departure is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such departure.
    #[error("the ledger has no such departure")]
    Unknown,
    /// It is not in a state in which this can be decided.
    #[error("{}", not_decidable(*.0))]
    State(State),
    /// A worker has it; the lease ends then.
    #[error("it is being worked on, until {0} at the latest")]
    Busy(OffsetDateTime),
    /// These stand against any release.
    #[error("no release overrides {}", names(.0))]
    NotReleasable(Vec<Veto>),
    /// None of the vetoes to override stands.
    #[error("nothing that can be released stands against it")]
    NothingToRelease,
    /// The outcome at the provider is not `manual`: which it is, if there is one.
    #[error("{}", not_manual(.0, *.1))]
    NotManual(String, Option<Outcome>),
    /// The ledger cannot be used.
    #[error(transparent)]
    Down(#[from] LedgerError),
}

impl Decision {
    /// Returns the name in the record's history and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Release(_) => "release",
            Self::Dismiss => "dismiss",
            Self::Replay => "replay",
            Self::Confirm(_) => "confirm",
        }
    }

    /// Returns whether an earlier decision has done the same.
    fn is_repeated(&self, record: &Record) -> bool {
        let Self::Confirm(confirmation) = self else { return false };
        record.state != State::Dismissed && record.is_confirmed_at(&confirmation.provider)
    }

    /// Changes the record accordingly. Returns the vetoes that were overridden.
    fn apply(&self, record: &mut Record, retention: Duration, now: OffsetDateTime) -> Result<Vec<Veto>, Refused> {
        match self {
            Self::Confirm(confirmation) => confirm(record, confirmation, retention, now),
            Self::Release(shown) => release(record, shown, now),
            Self::Dismiss if record.state.is_settled() => Err(Refused::State(record.state)),
            Self::Dismiss => {
                record.state = State::Dismissed;
                record.end(retention, now.unix_timestamp());
                Ok(Vec::new())
            }
            Self::Replay => match record.state {
                State::NeedsAttention | State::Pending => {
                    record.reopen(now, |outcome| outcome.status() != Status::Done);
                    Ok(Vec::new())
                }
                state => Err(Refused::State(state)),
            },
        }
    }
}

/// Records the removal by hand. The departure is done if nothing else is open; else it stays as it is, since nothing is to be
/// tried again.
fn confirm(
    record: &mut Record,
    confirmation: &Confirmation,
    retention: Duration,
    now: OffsetDateTime,
) -> Result<Vec<Veto>, Refused> {
    let Confirmation { provider, note: Note(note), reached } = confirmation;
    if !matches!(record.state, State::NeedsAttention | State::Pending) {
        return Err(Refused::State(record.state));
    }
    // Who said so is in the history: the result goes to the sender and into the log, and the name of a session may be an address.
    let recorded = record.removed_by_hand(provider, format!("confirmed: {note}"), now);
    recorded.map_err(|outcome| Refused::NotManual(provider.clone(), outcome))?;
    if record.is_complete(&reached.iter().map(String::as_str).collect()) {
        record.state = State::Done;
        record.end(retention, now.unix_timestamp());
    }
    Ok(Vec::new())
}

fn release(record: &mut Record, shown: &Shown, now: OffsetDateTime) -> Result<Vec<Veto>, Refused> {
    // What is released during a dry run would be carried out once it goes live.
    if record.state.is_settled() {
        return Err(Refused::State(record.state));
    }
    let fixed = shown.standing.iter().filter(|one| !one.is_releasable()).map(|one| one.veto);
    let fixed: Vec<_> = fixed.collect();
    if fixed.iter().any(|veto| matches!(veto, Veto::DryRun | Veto::Protected)) {
        return Err(Refused::NotReleasable(fixed));
    }
    let named = |veto: &Veto| match &shown.only {
        Some(only) => only.contains(veto),
        None => !veto.is_a_matter_of_time(),
    };
    let former = former_accounts(record);
    let mut overridden = Vec::new();
    for standing in shown.standing.iter().filter(|one| one.is_releasable() && named(&one.veto)) {
        record.planned &= standing.veto != Veto::DryRun;
        record.release.vetoes.entry(standing.veto).or_default().extend(standing.facts.iter().cloned());
        overridden.push(standing.veto);
    }
    let is_asked = shown.only.is_none();
    if overridden.is_empty() && (former.is_empty() || !is_asked) && !is_free(record, shown) {
        return Err(if fixed.is_empty() { Refused::NothingToRelease } else { Refused::NotReleasable(fixed) });
    }
    if is_asked {
        for (provider, accounts) in former {
            record.release.former.entry(provider).or_default().extend(accounts);
        }
    }
    record.reopen(now, |outcome| outcome == Outcome::Ambiguous);
    Ok(overridden)
}

/// Whether the dry run is over that held it, or the configuration was changed and nothing stands against it any more: then
/// its release overrides nothing, and says that it may go on. Nothing else would judge it again.
fn is_free(record: &Record, shown: &Shown) -> bool {
    record.state == State::Held && (shown.standing.is_empty() || record.has_veto(Veto::DryRun))
}

/// The accounts under former and new addresses that the record shows, by provider.
fn former_accounts(record: &Record) -> Vec<(String, Vec<String>)> {
    let shown = |result: &crate::ledger::StoredResult| {
        let former =
            result.found.all().filter(|account| account.reason.as_deref().is_some_and(AddressStatus::is_released));
        former.filter_map(|account| account.account_id.clone()).collect::<Vec<_>>()
    };
    let shown = record.providers.iter().map(|(name, result)| (name.clone(), shown(result)));
    shown.filter(|(_, accounts)| !accounts.is_empty()).collect()
}

impl Ledger {
    /// Returns a departure and what stands against its removal now.
    ///
    /// # Errors
    /// If there is no such departure, or the ledger cannot be used.
    pub async fn review(&self, id: &str, rules: Rules<'_>, now: OffsetDateTime) -> Result<(Record, Verdict), Refused> {
        let record = self.get(id).await?.ok_or(Refused::Unknown)?;
        let facts: Facts = self.facts(&record, rules.policy).await?;
        let verdict = judgement::judge(&record, &facts, rules, now);
        Ok((record, verdict))
    }

    /// Carries out what `who` decided about a departure, and adds it to the record's history. What is released or replayed is
    /// due at once.
    ///
    /// # Errors
    /// If it is not in a state in which this can be decided, a worker has it, or the ledger cannot be used.
    pub async fn decide(
        &self,
        id: &str,
        decision: &Decision,
        who: &str,
        retention: Duration,
        now: OffsetDateTime,
    ) -> Result<Record, Refused> {
        for _ in 0..MAX_CAS_ATTEMPTS {
            let mut record = self.get(id).await?.ok_or(Refused::Unknown)?;
            if decision.is_repeated(&record) {
                return Ok(record);
            }
            if let Some(lease) = record.lease.as_ref().filter(|_| record.is_leased(now)) {
                return Err(Refused::Busy(lease.until + SKEW));
            }
            let reasons = decision.apply(&mut record, retention, now)?;
            record.lease = None;
            let (who, what) = (who.to_owned(), decision.name().to_owned());
            let (provider, note) = match decision {
                Decision::Confirm(said) => (Some(said.provider.clone()), Some(said.note.0.clone())),
                _ => (None, None),
            };
            record.note(OperatorAction { at: now, who, what, reasons, provider, note });
            if self.close(&mut record, now).await? {
                if record.state == State::Dismissed {
                    // A reference that stays counts as nothing: the record says that it was dismissed.
                    let _ = self.forget_references(&record).await;
                }
                return Ok(record);
            }
        }
        Err(Refused::Down(LedgerError::Contention))
    }
}

impl Release {
    /// Returns the vetoes that were released.
    pub fn reasons(&self) -> impl Iterator<Item = Veto> {
        self.vetoes.keys().copied()
    }
}

fn not_decidable(state: State) -> &'static str {
    match state {
        State::Done => "it is done: nothing is left to decide",
        State::Dismissed => "it was dismissed, and its person is no longer known",
        State::Held => "it is held: release or dismiss it",
        State::Pending => "it is pending",
        State::NeedsAttention => "it is needs_attention",
    }
}

fn not_manual(provider: &str, outcome: Option<Outcome>) -> String {
    match outcome {
        None => format!("it has no result at a provider {provider}"),
        Some(outcome) => format!("nothing is to be confirmed: its outcome at {provider} is {outcome}, not manual"),
    }
}

fn names(vetoes: &[Veto]) -> String {
    vetoes.iter().map(|veto| veto.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{
        departure::{Departure, Event},
        ledger::NEVER,
        person::{Email, Person},
    };

    const NOW: OffsetDateTime = datetime!(2026-01-31 18:42 UTC);

    /// A departure that these held.
    fn held(vetoes: &[Veto]) -> Record {
        let event = Event { id: "1".into(), kind: "left".into(), occurred_at: None, organization: None };
        let person = Person { email: Email::parse("lee@example.com"), ..Person::default() };
        let departure = Departure { id: "hr/1".into(), source: "hr".into(), event, person };
        let mut record = Record::new(&departure, NOW, 0);
        (record.state, record.due_at, record.vetoes) = (State::Held, Some(NEVER), Some(standing(vetoes)));
        record
    }

    fn standing(vetoes: &[Veto]) -> Vec<RaisedVeto> {
        vetoes.iter().map(|veto| RaisedVeto { veto: *veto, facts: Vec::new() }).collect()
    }

    fn released(record: &mut Record, stands: &[Veto], only: Option<&[Veto]>) -> Result<Vec<Veto>, Refused> {
        release(record, &Shown { standing: standing(stands), only: only.map(<[_]>::to_vec) }, NOW)
    }

    #[test]
    fn held_departure_against_which_nothing_stands_any_more_is_due_after_a_release() {
        for only in [None, Some(&[Veto::EventTooOld][..])] {
            let mut record = held(&[Veto::EventTooOld]);
            assert_eq!(released(&mut record, &[], only), Ok(Vec::new()));
            assert_eq!((record.state, record.due_at), (State::Pending, Some(NOW.unix_timestamp())));
            assert!(record.release.is_empty());
        }
    }

    #[test]
    fn release_of_a_reason_that_does_not_stand_is_refused_where_another_does() {
        let mut record = held(&[Veto::EventTooOld]);
        let refused = released(&mut record, &[Veto::TooManyDepartures], Some(&[Veto::EventTooOld]));
        assert_eq!((refused, record.state), (Err(Refused::NothingToRelease), State::Held));
        let refused = released(&mut record, &[Veto::Paused], None);
        assert_eq!((refused, record.state), (Err(Refused::NotReleasable(vec![Veto::Paused])), State::Held));
    }

    #[test]
    fn reason_that_ends_by_itself_is_released_only_by_name() {
        let mut record = held(&[Veto::EventTooOld]);
        let both = [Veto::EventTooOld, Veto::Settling];
        record.vetoes = Some(standing(&both));
        assert_eq!(released(&mut record, &both, None), Ok(vec![Veto::EventTooOld]));
        assert_eq!(record.reasons(), [Veto::Settling]);
        assert_eq!(released(&mut record, &both[1..], Some(&both[1..])), Ok(vec![Veto::Settling]));
    }
}
