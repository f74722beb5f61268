//! Notifications: what people, and other automation, are to know of a departure, or once a day of all that are open.
//!
//! No e-mail address in full and no secret is in one: it goes to mail and chat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    ledger::{Record, State, short},
    outcome::{Outcome, ProviderResult, Status},
    person::{mask_addresses, mask_departure_id},
    report::MaskedPerson,
    verdict::Veto,
};

/// Departures that a digest names; the rest is counted.
pub(crate) const MAX_NAMED: usize = 20;
/// Providers of a departure that a notification names.
const MAX_PROVIDERS: usize = 50;
/// Further addresses of a person that a notification names; the rest is counted.
const MAX_EMAILS: usize = 20;
/// Bytes that an event has beside its `detail`, at most.
const OVERHEAD: usize = 64;
/// The longest list of providers with their sentences and references, in bytes. EventBridge takes 256 KB of ten events.
const MAX_DETAILED: usize = 12 * 1024;
/// The longest line of the text for people, in characters.
const MAX_LINE: usize = 1000;

/// What a notification is about: a name in `notify.about`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A departure became held, and not by a dry run or a pause alone.
    Held,
    /// A departure became one that needs a person.
    NeedsAttention,
    /// No account of a departed person remains.
    Done,
    /// Once a day: what is open.
    Digest,
}

impl Occasion {
    /// Returns the `detail-type` of the event.
    pub fn detail_type(self) -> &'static str {
        match self {
            Self::Held => "Departure Held",
            Self::NeedsAttention => "Departure Needs Attention",
            Self::Done => "Departure Done",
            Self::Digest => "Departures Open",
        }
    }
}

/// A notification, as it waits to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its id. A notification that is published twice has the same one both times.
    pub id: String,
    /// What it is about.
    pub about: Occasion,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The event's `detail`, an object.
    pub detail: Value,
}

/// What is open, by the index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    /// Departures that are held, but for those that a dry run holds as planned.
    pub(crate) held: usize,
    /// Departures that need a person.
    pub(crate) needs_attention: usize,
    /// Departures on which work is left.
    pub(crate) pending: usize,
    /// Departures that a dry run planned.
    pub(crate) planned: usize,
    /// The records of some that wait for a person.
    pub(crate) waiting: Vec<Record>,
}

/// A notification's lines for people. EventBridge has no line breaks in what it fills into a template.
#[derive(Debug, Serialize)]
struct Text {
    title: String,
    who: String,
    why: String,
    providers: String,
    next: String,
}

/// A departure, in a notification.
#[derive(Debug, Serialize)]
struct Case {
    id: String,
    source: String,
    state: State,
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    person: MaskedPerson,
    reasons: Vec<Veto>,
    /// Providers that are not done.
    providers: Vec<ProviderResult>,
}

impl Record {
    /// Returns what a person is to know of the departure as it is now.
    pub fn occasion(&self) -> Option<Occasion> {
        let vetoes = || self.vetoes.iter().flatten();
        match self.state {
            State::Done => Some(Occasion::Done),
            State::NeedsAttention => Some(Occasion::NeedsAttention),
            // What a dry run or a pause holds, an operator has asked for.
            State::Held if self.has_veto(Veto::DryRun) || vetoes().all(|raised| raised.veto == Veto::Paused) => None,
            State::Held => Some(Occasion::Held),
            State::Pending | State::Dismissed => None,
        }
    }
}

impl Notification {
    /// The `number`th notification about a departure.
    pub(crate) fn of(record: &Record, about: Occasion, number: u32, at: OffsetDateTime) -> Self {
        let id = format!("{}-{number}", short(&record.id));
        let case = Case::of(record);
        let text = case.text(about).bounded();
        Self::new(id, about, at, "departure", json!(case), &text)
    }

    /// What is open, at a time; `id` names the notification.
    pub(crate) fn digest(id: String, open: &Open, at: OffsetDateTime) -> Self {
        let cases: Vec<_> = open.waiting.iter().take(MAX_NAMED).map(Case::of).collect();
        let text = open.text(&cases).bounded();
        let Open { held, needs_attention, pending, planned, .. } = open;
        let counts = json!({
            "held": held, "needs_attention": needs_attention, "pending": pending, "planned": planned,
            "departures": cases.iter().map(|case| &case.id).collect::<Vec<_>>(),
        });
        Self::new(id, Occasion::Digest, at, "open", counts, &text)
    }

    fn new(id: String, about: Occasion, at: OffsetDateTime, name: &str, content: Value, text: &Text) -> Self {
        let mut detail = json!({ "id": id, "text": text, "summarized": false });
        detail[name] = content;
        Self { id, about, at, detail }
    }

    /// Returns its size as an event, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.detail.to_string().len() + OVERHEAD
    }

    /// The notification, marked as one of many of which people get a digest: nobody reads hundreds of mails.
    pub(crate) fn summarized(mut self) -> Self {
        self.detail["summarized"] = true.into();
        self
    }
}

impl Case {
    fn of(record: &Record) -> Self {
        let open = record.providers.values().map(|result| &result.found);
        let open = open.filter(|found| found.worst.outcome.status() != Status::Done);
        let mut providers: Vec<_> = open.take(MAX_PROVIDERS).cloned().collect();
        // Our own types serialize: maps have text keys, numbers are finite.
        if serde_json::to_string(&providers).unwrap_or_default().len() > MAX_DETAILED {
            for found in &mut providers {
                found.shorten();
                found.accounts.clear();
                (found.worst.account_id, found.worst.request_id) = (None, None);
            }
        }
        Self {
            id: mask_departure_id(&record.id),
            source: record.source.clone(),
            state: record.state,
            received_at: record.received_at,
            person: MaskedPerson::of(record).with_at_most(MAX_EMAILS),
            reasons: record.reasons(),
            providers,
        }
    }

    fn text(&self, about: Occasion) -> Text {
        let id = &self.id;
        let title = match about {
            Occasion::Held => format!("Departure held: {id}"),
            Occasion::NeedsAttention => format!("Departure needs attention: {id}"),
            Occasion::Done | Occasion::Digest => format!("Departure done: {id}"),
        };
        let reasons = list(self.reasons.iter().map(ToString::to_string));
        let next = match about {
            Occasion::Held => format!(
                "`offboard departures show {id}`; then `offboard departures release {id}` lets the removals go on, \
                 `offboard departures dismiss {id}` ends it without a removal"
            ),
            Occasion::NeedsAttention => self.next(),
            Occasion::Done | Occasion::Digest => format!("nothing; `offboard departures show {id}` has the proof"),
        };
        let who = format!("{}, who left by source {}", self.person.line(), self.source);
        Text { title, who, why: reasons, providers: list(self.providers.iter().map(obstacle)), next }
    }

    /// What a person does about a departure that needs one.
    fn next(&self) -> String {
        let id = &self.id;
        let is_manual = |found: &&ProviderResult| found.worst.outcome == Outcome::Manual;
        let mut steps = vec![format!("`offboard departures show {id}`")];
        let by_hand = self.providers.iter().filter(is_manual).map(|found| {
            let provider = &found.provider;
            format!("remove the account at {provider} by hand and `offboard departures confirm {id} {provider}`")
        });
        steps.extend(by_hand);
        if self.reasons.contains(&Veto::Protected) {
            steps.push(format!("once nothing protects the person any more, `offboard departures replay {id}`"));
        } else if !self.providers.iter().all(|found| is_manual(&found)) {
            steps.push(format!("act at the providers, then `offboard departures replay {id}`"));
        }
        steps.push(format!("or `offboard departures dismiss {id}`"));
        steps.join("; ")
    }

    /// The departure as one of several.
    fn item(&self) -> String {
        let why = self.reasons.iter().map(ToString::to_string);
        let why = why.chain(self.providers.iter().map(|found| format!("{} {}", found.provider, found.worst.outcome)));
        format!("{} {} ({})", self.id, self.state, list(why))
    }
}

impl Open {
    /// Returns whether nothing waits for anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.held + self.needs_attention + self.pending + self.planned == 0
    }

    fn text(&self, cases: &[Case]) -> Text {
        let Self { held, needs_attention, pending, planned, .. } = self;
        let more = (held + needs_attention).saturating_sub(cases.len());
        let more = (more > 0).then(|| format!("and {more} more"));
        let mut reasons: BTreeMap<Veto, usize> = BTreeMap::new();
        cases.iter().flat_map(|case| &case.reasons).for_each(|veto| *reasons.entry(*veto).or_default() += 1);
        let obstacles = cases.iter().flat_map(|case| &case.providers);
        let obstacles = obstacles.map(|found| format!("{} {}", found.provider, found.worst.outcome));
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        obstacles.for_each(|obstacle| *counted.entry(obstacle).or_default() += 1);
        Text {
            title: format!(
                "Departures open: {held} held, {needs_attention} need attention, {pending} pending, {planned} planned by a dry run"
            ),
            who: list(cases.iter().map(Case::item).chain(more)),
            why: list(reasons.iter().map(|(veto, count)| format!("{veto} ({count})"))),
            providers: list(counted.iter().map(|(obstacle, count)| format!("{obstacle} ({count})"))),
            next: "`offboard departures list`".to_owned(),
        }
    }
}

impl Text {
    fn bounded(self) -> Self {
        let Self { title, who, why, providers, next } = self;
        let [title, who, why, providers, next] = [title, who, why, providers, next].map(|line| one_line(&line));
        Self { title, who, why, providers, next }
    }
}

/// What stands in the way at a provider.
fn obstacle(found: &ProviderResult) -> String {
    let worst = &found.worst;
    let why = worst.reason.iter().chain(&worst.detail).map(|text| mask_addresses(text));
    let references =
        worst.references.iter().map(|reference| mask_addresses(&format!("{} {}", reference.kind, reference.name)));
    match list(why.chain(references)).as_str() {
        "none" => format!("{}: {}", found.provider, worst.outcome),
        why => format!("{}: {} ({why})", found.provider, worst.outcome),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// A text as one line of bounded length. EventBridge fills it into JSON as it is: it has no quote and no backslash.
fn one_line(text: &str) -> String {
    let plain = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        c if c.is_control() => ' ',
        c => c,
    };
    let line: String = text.chars().map(plain).take(MAX_LINE).collect();
    if text.chars().count() > MAX_LINE { line + "…" } else { line }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{
        departure::{Departure, Event},
        event_bus::{MAX_EVENTS, MAX_SIZE},
        outcome::{AccountResult, Reference},
        person::Person,
    };

    const NOW: OffsetDateTime = datetime!(2026-01-31 18:42 UTC);

    fn blocked(detail: &str, providers: usize) -> Record {
        let event = Event { id: "1".into(), kind: "left".into(), occurred_at: None, organization: None };
        let person = Person { idp_id: Some("u1".into()), ..Person::default() };
        let mut record = Record::new(&Departure { id: "hr/1".into(), source: "hr".into(), event, person }, NOW, 0);
        for n in 0..providers {
            let reference = Reference { kind: "schedule".into(), name: detail.into(), href: None };
            let result = AccountResult::of(Outcome::Blocked).reason("ReferenceExist").detail(detail);
            let result = AccountResult { references: vec![reference; 20], ..result };
            record.note_result(ProviderResult::new(format!("provider-{n}"), result), true, NOW);
        }
        record.state = State::NeedsAttention;
        record
    }

    #[test]
    fn ten_notifications_with_all_that_vendors_say_fit_into_one_call() {
        for record in [blocked(&"long ".repeat(200), 3), blocked(&"x".repeat(4000), 500), blocked("", 500)] {
            let one = Notification::of(&record, Occasion::NeedsAttention, 1, NOW);
            assert!(
                one.detail["text"]["providers"].as_str().is_some_and(|line| line.starts_with("provider-0: blocked"))
            );
            assert!(one.size() * MAX_EVENTS < MAX_SIZE, "{} bytes", one.size());
        }
    }

    #[test]
    fn notification_with_the_longest_ids_and_codes_fits_into_one_call() {
        let mut record = blocked("", 0);
        let long = "\u{1f4a9}".repeat(300);
        for n in 0..100 {
            let result = AccountResult::of(Outcome::Blocked).reason(&long).detail(&long);
            let result = AccountResult { account_id: Some(long.clone()), request_id: Some(long.clone()), ..result };
            record.note_result(ProviderResult::new(format!("provider-{n}"), result), true, NOW);
        }
        record.person.known_emails = vec![format!("l…@{}.example", "d".repeat(200)); 300];
        let one = Notification::of(&record, Occasion::NeedsAttention, 1, NOW);
        assert!(one.size() < MAX_SIZE, "{} bytes", one.size());
        assert_eq!(one.detail["departure"]["person"]["more_emails"], json!(279));
    }

    #[test]
    fn text_has_nothing_that_a_template_could_not_take() {
        let record = blocked("say \"no\" to C:\\temp\nlee@example.com", 1);
        let text = Notification::of(&record, Occasion::NeedsAttention, 1, NOW).detail["text"].clone();
        let expected = "provider-0: blocked (ReferenceExist, say 'no' to C:/temp l…@example.com, schedule say";
        assert!(text["providers"].as_str().is_some_and(|line| line.starts_with(expected)), "{text}");
        assert!(text["next"].as_str().is_some_and(|line| line.contains("`offboard departures replay hr/1`")), "{text}");
    }
}
