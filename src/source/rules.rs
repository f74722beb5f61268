//! Which events mean what, and where their traits stand: as a table says it, and checked.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use serde_json::Value;

use super::pointer::{Pointer, Pointers};
use crate::settings::nearest::nearest;

/// `event = { … }`. A source's own keys come before those of its kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EventTable {
    /// The list of events, where a delivery may hold several. All other pointers start at an event.
    pub(super) items: Option<Pointers>,
    /// One JSON document a line, each an event or a list of them.
    pub(super) lines: Option<bool>,
    pub(super) id: Option<Pointers>,
    pub(super) r#type: Option<Pointers>,
    pub(super) occurred_at: Option<Pointers>,
    pub(super) organization: Option<Pointers>,
    /// What holds of every event that counts.
    pub(super) r#where: Option<Conditions>,
    /// What holds of an event that was only sent to try the connection.
    pub(super) tests: Option<Conditions>,
    pub(super) departures: Option<Vec<Rule>>,
    pub(super) suspensions: Option<Vec<Rule>>,
    pub(super) removals: Option<Vec<Rule>>,
    pub(super) optional: Option<Vec<Rule>>,
    pub(super) returns: Option<Vec<Rule>>,
    pub(super) people: Option<Vec<Rule>>,
    pub(super) claims: Option<Vec<Rule>>,
    pub(super) confirmations: Option<Vec<Rule>>,
}

/// `person = { … }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PersonTable {
    pub(super) idp_id: Option<Pointers>,
    pub(super) external_id: Option<Pointers>,
    pub(super) email: Option<Pointers>,
    /// A list of the person's addresses, the main one first. Where it stands, `email` is not read.
    pub(super) emails: Option<Pointers>,
    /// Where the sender says whether the e-mail address is verified.
    pub(super) verified: Option<Pointers>,
}

/// What an event says about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventClass {
    /// Left.
    Departure,
    /// Is suspended or locked, or on leave.
    Suspension,
    /// Is no longer in a group or an organization.
    Removal,
    /// Something that some take for a departure.
    Optional,
    /// Is there.
    Return,
    /// Has these addresses.
    Person,
    /// Claims this e-mail address, which is not verified yet.
    Claim,
    /// The claimed address is verified.
    Confirmation,
}

/// An event of this type, if all conditions hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RuleText")]
pub(super) struct Rule {
    pub(super) kind: String,
    pub(super) conditions: Conditions,
}

/// A rule as it is written. Of two forms, so that serde buffers it: an unknown key in it is reported as a wrong rule.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "an event is named by its type, or by { type = \"…\", where = { \"/pointer\" = value } }"
)]
enum RuleText {
    Type(String),
    Conditional { r#type: String, r#where: Conditions },
}

impl TryFrom<RuleText> for Rule {
    type Error = String;

    fn try_from(text: RuleText) -> Result<Self, String> {
        Ok(match text {
            RuleText::Type(kind) => Self { kind, conditions: Conditions::default() },
            RuleText::Conditional { r#type, r#where } => Self { kind: r#type, conditions: r#where },
        })
    }
}

impl Rule {
    /// Whether its type alone is not enough.
    pub(super) fn is_conditional(&self) -> bool {
        !self.conditions.0.is_empty()
    }

    fn fits(&self, kind: &str, event: &Value) -> bool {
        self.kind == kind && self.conditions.hold(event)
    }
}

/// As shown to an administrator: `user.updated, if /data/blocked is true`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        for (index, (pointer, values)) in self.conditions.0.iter().enumerate() {
            let values: Vec<_> = values.iter().map(Value::to_string).collect();
            let joint = if index == 0 { ", if" } else { " and" };
            write!(f, "{joint} {} is {}", pointer.text(), values.join(" or "))?;
        }
        Ok(())
    }
}

/// Each pointer points at this value, or at one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>")]
pub(crate) struct Conditions(Vec<(Pointer, Vec<Value>)>);

impl TryFrom<BTreeMap<String, Value>> for Conditions {
    type Error = String;

    fn try_from(table: BTreeMap<String, Value>) -> Result<Self, String> {
        let condition = |(pointer, value)| {
            let values = match value {
                Value::Array(values) if values.is_empty() => {
                    return Err(format!("`{pointer}` must be one of something"));
                }
                Value::Array(values) => values,
                value => vec![value],
            };
            Ok((Pointer::try_from(pointer)?, values))
        };
        table.into_iter().map(condition).collect::<Result<_, _>>().map(Self)
    }
}

impl Conditions {
    pub(crate) fn hold(&self, event: &Value) -> bool {
        self.0.iter().all(|(pointer, values)| pointer.find(event).is_some_and(|value| values.contains(value)))
    }

    /// Each pointer with its values, at least one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Pointer, &[Value])> {
        self.0.iter().map(|(pointer, values)| (pointer, values.as_slice()))
    }

    /// Each pointer with a value that fits.
    pub(super) fn examples(&self) -> impl Iterator<Item = (&Pointer, &Value)> {
        self.0.iter().filter_map(|(pointer, values)| Some((pointer, values.first()?)))
    }
}

/// [`EventTable`], checked.
#[derive(Clone, Debug)]
pub(super) struct EventMap {
    pub(super) items: Option<Pointers>,
    pub(super) lines: bool,
    pub(super) id: Option<Pointers>,
    pub(super) kind: Pointers,
    pub(super) occurred_at: Option<Pointers>,
    pub(super) organization: Option<Pointers>,
    pub(super) r#where: Conditions,
    pub(super) tests: Option<Conditions>,
    rules: Vec<(EventClass, Rule)>,
}

/// [`PersonTable`], checked.
#[derive(Clone, Debug)]
pub(super) struct PersonMap {
    pub(super) idp_id: Option<Pointers>,
    pub(super) external_id: Option<Pointers>,
    pub(super) email: Option<Pointers>,
    pub(super) emails: Option<Pointers>,
    pub(super) verified: Option<Pointers>,
}

impl EventTable {
    /// This table, and where it says nothing, what `kind` says.
    pub(super) fn over(self, kind: Self) -> Self {
        Self {
            items: self.items.or(kind.items),
            lines: self.lines.or(kind.lines),
            id: self.id.or(kind.id),
            r#type: self.r#type.or(kind.r#type),
            occurred_at: self.occurred_at.or(kind.occurred_at),
            organization: self.organization.or(kind.organization),
            r#where: self.r#where.or(kind.r#where),
            tests: self.tests.or(kind.tests),
            departures: self.departures.or(kind.departures),
            suspensions: self.suspensions.or(kind.suspensions),
            removals: self.removals.or(kind.removals),
            optional: self.optional.or(kind.optional),
            returns: self.returns.or(kind.returns),
            people: self.people.or(kind.people),
            claims: self.claims.or(kind.claims),
            confirmations: self.confirmations.or(kind.confirmations),
        }
    }

    /// Checks the table. `also` names the types that must count as departures, out of those that otherwise do not.
    ///
    /// # Errors
    /// The key, `event` or `also`, and what is wrong with it.
    pub(super) fn check(self, also: &[String]) -> Result<EventMap, (&'static str, String)> {
        let kind = self
            .r#type
            .ok_or_else(|| ("event", "`event` must say where an event's `type` stands (a JSON Pointer)".to_owned()))?;
        let starting_at_event = [&self.id, &Some(kind.clone()), &self.occurred_at, &self.organization];
        check_pointers(&starting_at_event, self.items.as_ref()).map_err(|why| ("event", why))?;
        let groups = [
            (EventClass::Departure, self.departures),
            (EventClass::Suspension, self.suspensions),
            (EventClass::Removal, self.removals),
            (EventClass::Optional, self.optional),
            (EventClass::Return, self.returns),
            (EventClass::Person, self.people),
            (EventClass::Claim, self.claims),
            (EventClass::Confirmation, self.confirmations),
        ];
        let of = |(class, rules): (EventClass, Option<Vec<Rule>>)| {
            rules.into_iter().flatten().map(move |rule| (class, rule))
        };
        let mut rules: Vec<_> = groups.into_iter().flat_map(of).collect();
        name_departures(&mut rules, also).map_err(|why| ("also", why))?;
        if !rules.iter().any(|(class, _)| *class == EventClass::Departure) {
            let message = "`event` must name the `departures`: the types of the events that say that somebody left";
            return Err(("event", message.to_owned()));
        }
        Ok(EventMap {
            items: self.items,
            lines: self.lines.unwrap_or(false),
            id: self.id,
            kind,
            occurred_at: self.occurred_at,
            organization: self.organization,
            r#where: self.r#where.unwrap_or_default(),
            tests: self.tests,
            rules,
        })
    }
}

/// Refuses a pointer that can point at nothing: the event would be taken for one without the field.
fn check_pointers(pointers: &[&Option<Pointers>], items: Option<&Pointers>) -> Result<(), String> {
    let vain = pointers.iter().find_map(|pointers| pointers.as_ref()?.is_vain(items));
    vain.map_or(Ok(()), Err)
}

/// Makes departures of what `also` names. The conditions stay: `user.updated` means the update that is listed.
fn name_departures(rules: &mut [(EventClass, Rule)], also: &[String]) -> Result<(), String> {
    let may = |class: EventClass| matches!(class, EventClass::Suspension | EventClass::Removal | EventClass::Optional);
    for name in also {
        let named: Vec<_> = rules.iter_mut().filter(|(class, rule)| may(*class) && rule.kind == *name).collect();
        if !named.is_empty() {
            named.into_iter().for_each(|(class, _)| *class = EventClass::Departure);
        } else if !rules.iter().any(|(class, rule)| *class == EventClass::Departure && rule.kind == *name) {
            let known: Vec<_> = rules.iter().filter(|(class, _)| may(*class)).map(|(_, rule)| &*rule.kind).collect();
            return Err(match (nearest(name, known.iter().copied()), known.is_empty()) {
                (Some(nearest), _) => format!("`also` cannot name `{name}`: did you mean `{nearest}`?"),
                (None, true) => format!("`also` cannot name `{name}`: no event of this kind is left out"),
                (None, false) => format!("`also` cannot name `{name}`: it may name {}", known.join(", ")),
            });
        }
    }
    Ok(())
}

impl EventMap {
    /// What an event of this type means; `None` if it is none of our business.
    pub(super) fn class(&self, kind: &str, event: &Value) -> Option<EventClass> {
        // A departure that `also` names stands behind the others in the list.
        let fitting = || self.rules.iter().filter(|(_, rule)| rule.fits(kind, event)).map(|(class, _)| *class);
        fitting().find(|class| *class == EventClass::Departure).or_else(|| fitting().next())
    }

    /// The first rule for events that mean this.
    pub(super) fn rule(&self, meant: EventClass) -> Option<&Rule> {
        self.rules.iter().find(|(class, _)| *class == meant).map(|(_, rule)| rule)
    }
}

impl PersonTable {
    /// This table, and where it says nothing, what `kind` says.
    pub(super) fn over(self, kind: Self) -> Self {
        Self {
            idp_id: self.idp_id.or(kind.idp_id),
            external_id: self.external_id.or(kind.external_id),
            email: self.email.or(kind.email),
            emails: self.emails.or(kind.emails),
            verified: self.verified.or(kind.verified),
        }
    }

    /// Checks the table, whose pointers start at an event: in the list at `items`, if that is given.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(self, items: Option<&Pointers>) -> Result<PersonMap, String> {
        let Self { idp_id, external_id, email, emails, verified } = self;
        check_pointers(&[&idp_id, &external_id, &email, &emails, &verified], items)?;
        if [&idp_id, &external_id, &email, &emails].into_iter().all(Option::is_none) {
            return Err("`person` must say where an `email`, an `external_id` or an `idp_id` stands".to_owned());
        }
        Ok(PersonMap { idp_id, external_id, email, emails, verified })
    }
}
