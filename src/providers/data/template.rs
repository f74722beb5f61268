//! Texts with variables: `/users/{id}`, `userName eq "{email:scim}"`. A template inserts values and has no logic.
//!
//! The place escapes: a path segment and a query parameter are percent-encoded by the HTTP layer, a JSON text by the
//! serializer. A filter language within a query or a JSON text is named beside the variable.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::outcome::{Failure, FailureKind};

/// The address of the person who is looked up, or of the account that is removed.
pub(super) const EMAIL: &str = "email";
/// The id of the account that is removed.
pub(super) const ID: &str = "id";
/// The job that a step of a removal began.
pub(super) const JOB: &str = "job";
/// The page that is asked for: its number, its offset, or a cursor.
pub(super) const PAGE: &str = "page";

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// `{name}`, or `{name:escape}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) escape: Option<Escape>,
}

/// How a value is put into a filter language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// Between double quotes (RFC 7644 3.4.2.2): `\` and `"` get a backslash.
    Scim,
    /// Between single quotes: `'` is doubled.
    Odata,
    /// Between single quotes: `\` and `'` get a backslash.
    Soql,
    /// In a language without quotes: letters, digits and `@ . _ + -` alone; any other value is refused.
    Plain,
}

impl Escape {
    const ALL: [(&'static str, Self); 4] =
        [("scim", Self::Scim), ("odata", Self::Odata), ("soql", Self::Soql), ("plain", Self::Plain)];

    /// Whether it is of a language where values stand between quotes.
    pub(super) fn needs_quotes(self) -> bool {
        self != Self::Plain
    }

    fn apply(self, value: &str) -> Result<String, Failure> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
        match self {
            Self::Scim => Ok(value.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Odata => Ok(value.replace('\'', "''")),
            Self::Soql => Ok(value.replace('\\', "\\\\").replace('\'', "\\'")),
            Self::Plain if value.chars().all(is_plain) => Ok(value.to_owned()),
            Self::Plain => Err(unusable("a character that this product's search cannot take")),
        }
    }
}

/// The values of variables, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Values<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Values<'a> {
    /// The values of a table.
    pub(super) fn from_table(table: &'a BTreeMap<String, String>) -> Self {
        Self(table.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    /// Adds a variable, if it has a value.
    pub(super) fn with(mut self, name: &'a str, value: Option<&'a str>) -> Self {
        self.0.extend(value.map(|value| (name, value)));
        self
    }

    /// The id of the account that is removed.
    pub(super) fn id(&self) -> Option<&'a str> {
        self.0.get(ID).copied()
    }

    fn get(&self, name: &str) -> Result<&'a str, Failure> {
        let value = self.0.get(name).copied().filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| unusable(&format!("`{name}` has no value")))?;
        // Nothing that is known of a person or an account needs them, and headers, logs and filters break at them.
        if value.chars().any(char::is_control) {
            return Err(unusable(&format!("`{name}` has a control character")));
        }
        Ok(value)
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new(FailureKind::Rejected, "unusable_value").detail(why)
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        while let Some(at) = rest.find(['{', '}']) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let end = rest[at..].find('}').filter(|end| *end > 0);
            let Some(end) = end else { return Err(format!("`{text}`: a variable stands between `{{` and `}}`")) };
            parts.push(Part::Variable(variable(&rest[at + 1..at + end])?));
            rest = &rest[at + end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

fn variable(text: &str) -> Result<Variable, String> {
    let (name, escape) = text.split_once(':').map_or((text, None), |(name, escape)| (name, Some(escape)));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("`{{{text}}}` is not a variable: its name has the characters a-z, 0-9 and _"));
    }
    let known = |escape: &str| Escape::ALL.iter().find(|(name, _)| *name == escape).map(|(_, escape)| *escape);
    let escape = match escape {
        None => None,
        Some(escape) => Some(known(escape).ok_or_else(|| {
            let names: Vec<_> = Escape::ALL.iter().map(|(name, _)| *name).collect();
            format!("`{{{text}}}`: unknown escape `{escape}`: expected one of {}", names.join(", "))
        })?),
    };
    Ok(Variable { name: name.to_owned(), escape })
}

impl Template {
    /// Its variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }

    /// Whether it is one variable and nothing else.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.0[..], [Part::Variable(_)])
    }

    /// The text, each variable escaped as it says.
    ///
    /// # Errors
    /// `unusable_value` if a variable has no value, or one that cannot stand here.
    pub(super) fn render(&self, values: &Values<'_>) -> Result<String, Failure> {
        self.0.iter().map(|part| part.render(values)).collect()
    }

    /// The segments of a path: a slash in a value is not one of the path's. The last is empty if the path ends in a slash.
    ///
    /// # Errors
    /// As for [`Template::render`].
    pub(super) fn segments(&self, values: &Values<'_>) -> Result<Vec<String>, Failure> {
        let mut segments = vec![String::new()];
        for part in &self.0 {
            let text = part.render(values)?;
            let mut pieces = match part {
                Part::Text(_) => text.split('/').collect::<Vec<_>>(),
                Part::Variable(_) => vec![text.as_str()],
            }
            .into_iter();
            if let (Some(last), Some(first)) = (segments.last_mut(), pieces.next()) {
                last.push_str(first);
            }
            segments.extend(pieces.map(str::to_owned));
        }
        // The path begins with a slash, before which nothing stands.
        Ok(segments.split_off(1))
    }

    /// The text as the file has it, its escapes left out.
    pub(super) fn text(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(variable) => format!("{{{}}}", variable.name),
        };
        self.0.iter().map(part).collect()
    }

    /// Whether it begins as a URL that is encrypted, with a host.
    pub(super) fn starts_with_https(&self) -> bool {
        matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with("https://"))
    }

    /// Whether it begins with a slash, as a path does.
    pub(super) fn starts_with_slash(&self) -> bool {
        matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with('/'))
    }

    /// Whether it ends with a slash of its own.
    pub(super) fn ends_with_slash(&self) -> bool {
        matches!(self.0.last(), Some(Part::Text(text)) if text.ends_with('/'))
    }

    /// Each variable with the text before it.
    pub(super) fn variables_in_context(&self) -> impl Iterator<Item = (String, &Variable)> {
        self.0.iter().enumerate().filter_map(|(index, part)| match part {
            Part::Variable(variable) => {
                let before = self.0[..index].iter().map(|part| match part {
                    Part::Text(text) => text.as_str(),
                    Part::Variable(_) => "",
                });
                Some((before.collect(), variable))
            }
            Part::Text(_) => None,
        })
    }
}

impl Part {
    fn render(&self, values: &Values<'_>) -> Result<String, Failure> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Variable(Variable { name, escape }) => {
                let value = values.get(name)?;
                escape.map_or_else(|| Ok(value.to_owned()), |escape| escape.apply(value))
            }
        }
    }
}

/// A JSON value whose texts are templates.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum JsonTemplate {
    /// A text with variables.
    Text(Template),
    /// A number or a truth value.
    Constant(Value),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

impl TryFrom<Value> for JsonTemplate {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::try_from(text)?),
            Value::Array(items) => Self::List(items.into_iter().map(Self::try_from).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let field = |(name, value)| Ok::<_, String>((name, Self::try_from(value)?));
                Self::Object(fields.into_iter().map(field).collect::<Result<_, _>>()?)
            }
            constant => Self::Constant(constant),
        })
    }
}

impl JsonTemplate {
    /// All its texts.
    pub(super) fn texts(&self) -> Vec<&Template> {
        match self {
            Self::Text(text) => vec![text],
            Self::Constant(_) => Vec::new(),
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
            Self::Object(fields) => fields.values().flat_map(Self::texts).collect(),
        }
    }

    /// The value. A field that asks for a page is left out of the request for the first one, where no cursor is known.
    ///
    /// # Errors
    /// As for [`Template::render`].
    pub(super) fn render(&self, values: &Values<'_>) -> Result<Value, Failure> {
        Ok(match self {
            Self::Text(text) => Value::String(text.render(values)?),
            Self::Constant(value) => value.clone(),
            Self::List(items) => Value::Array(items.iter().map(|item| item.render(values)).collect::<Result<_, _>>()?),
            Self::Object(fields) => {
                let mut object = Map::new();
                for (name, field) in fields {
                    if !field.is_first_page(values) {
                        object.insert(name.clone(), field.render(values)?);
                    }
                }
                Value::Object(object)
            }
        })
    }

    fn is_first_page(&self, values: &Values<'_>) -> bool {
        matches!(self, Self::Text(text) if asks_for_no_page(text, values))
    }
}

/// Whether a parameter is left out, because it asks for a page and the first one has no name.
pub(super) fn asks_for_no_page(template: &Template, values: &Values<'_>) -> bool {
    template.variables().any(|variable| variable.name == PAGE) && !values.0.contains_key(PAGE)
}
