//! Paths and filters of SCIM (RFC 7644 3.4.2.2, 3.5.2), as far as identity providers send them: `eq` joined by `and`, and the
//! value paths of Entra, `emails[type eq "work"].value`, which the RFC's grammar does not have.

use super::ScimError;

#[cfg(test)]
mod tests;

/// Schema of a user.
pub(super) const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Schema of a user's attributes in a company.
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Longest path or filter that is read, in bytes.
const MAX_TEXT: usize = 4096;

/// An attribute, of a user or of an element of a list: `name.givenName`, `emails[type eq "work"].value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub(super) attribute: Attribute,
    /// What holds of the elements of a list that are meant; empty for all.
    pub(super) elements: Vec<Condition>,
    /// Sub-attribute, in lower case.
    pub(super) sub: Option<String>,
}

/// An attribute of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Id,
    UserName,
    ExternalId,
    Active,
    Name,
    DisplayName,
    Emails,
    EmployeeNumber,
    Manager,
    /// All attributes of the schema [`CORE`].
    Core,
    /// All attributes of the schema [`ENTERPRISE`].
    Enterprise,
    /// An attribute that is not kept.
    Other,
}

/// What holds of an element of a list: a sub-attribute, in lower case, equals the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) name: String,
    pub(super) value: Scalar,
}

/// A comparison in a filter: the attribute equals the value. Without a value the path's own conditions are all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) path: Path,
    pub(super) value: Option<Scalar>,
}

/// Conditions that hold together: a filter of a list of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(pub(super) Vec<Term>);

/// A value in a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text(String),
    Bool(bool),
}

impl Scalar {
    /// Returns the value as text.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
        }
    }

    /// Returns the truth value; Entra writes `"True"`.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) => truth(text),
        }
    }
}

/// Returns the truth value that a text stands for, in any case.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Returns an attribute as a client names it, in lower case, without the schema in front of it.
pub(super) fn bare(name: &str) -> &str {
    let core = CORE.to_ascii_lowercase();
    name.strip_prefix(&core).and_then(|rest| rest.strip_prefix(':')).unwrap_or(name)
}

impl Path {
    /// Parses a path of a PATCH operation.
    ///
    /// # Errors
    /// [`ScimError::InvalidPath`] if the text is not a path.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let mut scanner = Scanner::new(text).ok_or(ScimError::InvalidPath)?;
        let path = scanner.path().filter(|_| scanner.is_at_end());
        path.ok_or(ScimError::InvalidPath)
    }
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// [`ScimError::InvalidFilter`] for everything but comparisons by `eq`, joined by `and`.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let mut scanner = Scanner::new(text).ok_or(ScimError::InvalidFilter)?;
        let terms = scanner.terms(Scanner::term).filter(|_| scanner.is_at_end());
        terms.map(Self).ok_or(ScimError::InvalidFilter)
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Filter,
    Brackets,
}

/// The rest of a text.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Option<Self> {
        (text.len() <= MAX_TEXT).then(|| Self(text.trim()))
    }

    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn skip(&mut self, prefix: char) -> bool {
        let rest = self.0.strip_prefix(prefix);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Skips white space; there must be some.
    fn space(&mut self) -> Option<()> {
        let rest = self.0.trim_start();
        let is_there = rest.len() < self.0.len();
        self.0 = rest;
        is_there.then_some(())
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// An attribute's name: `$ref` is one.
    fn name(&mut self) -> Option<&'a str> {
        let starts = self.0.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$');
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || "$_-".contains(c));
        starts.then_some(name)
    }

    fn path(&mut self) -> Option<Path> {
        let attribute = self.attribute()?;
        let mut elements = Vec::new();
        if self.skip('[') {
            if matches!(attribute, Attribute::Other | Attribute::Manager) {
                self.skip_elements()?;
            } else {
                self.0 = self.0.trim_start();
                elements = self.terms(Scanner::condition)?;
                self.0 = self.0.trim_start();
                self.skip(']').then_some(())?;
            }
        }
        let sub = if self.skip('.') { Some(self.name()?.to_ascii_lowercase()) } else { None };
        let fits = match attribute {
            Attribute::Emails | Attribute::Manager | Attribute::Other => true,
            Attribute::Name => elements.is_empty(),
            // A single value: neither elements nor parts.
            _ => elements.is_empty() && sub.is_none(),
        };
        fits.then_some(Path { attribute, elements, sub })
    }

    /// Skips what selects elements of an attribute that is not kept, whatever the filter, and the bracket after it.
    fn skip_elements(&mut self) -> Option<()> {
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = self.0.find(|c: char| {
            let is_end = c == ']' && !is_quoted;
            is_quoted ^= c == '"' && !is_escaped;
            is_escaped = c == '\\' && is_quoted && !is_escaped;
            is_end
        })?;
        self.0 = &self.0[end + 1..];
        (end > 0).then_some(())
    }

    /// An attribute with its schema in front of it, or a schema alone.
    fn attribute(&mut self) -> Option<Attribute> {
        let is_urn = self.0.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
        if !is_urn {
            let name = self.name()?;
            return Some(named(name));
        }
        for (schema, whole) in [(CORE, Attribute::Core), (ENTERPRISE, Attribute::Enterprise)] {
            let Some(start) = self.0.get(..schema.len()) else { continue };
            let rest = &self.0[start.len()..];
            if start.eq_ignore_ascii_case(schema) && !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                self.0 = rest;
                if !self.skip(':') {
                    return Some(whole);
                }
                let attribute = named(self.name()?);
                let is_enterprise = matches!(attribute, Attribute::EmployeeNumber | Attribute::Manager);
                let fits = is_enterprise == (whole == Attribute::Enterprise);
                return Some(if fits { attribute } else { Attribute::Other });
            }
        }
        // Another extension's: its version has dots.
        let urn = self.take_while(|c| c.is_ascii_alphanumeric() || "$_-.:".contains(c));
        (!urn.ends_with([':', '.'])).then_some(Attribute::Other)
    }

    /// Terms joined by `and`.
    fn terms<T>(&mut self, term: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut terms = vec![term(self)?];
        loop {
            let before = self.0;
            if self.space().is_none() || !self.word("and") {
                self.0 = before;
                return Some(terms);
            }
            self.space()?;
            terms.push(term(self)?);
        }
    }

    /// A word in any case.
    fn word(&mut self, word: &str) -> bool {
        let is_there = self.0.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if is_there {
            self.0 = &self.0[word.len()..];
        }
        is_there
    }

    fn condition(&mut self) -> Option<Condition> {
        let name = self.name()?.to_ascii_lowercase();
        let value = self.equals(Where::Brackets)?;
        Some(Condition { name, value })
    }

    fn term(&mut self) -> Option<Term> {
        let path = self.path()?;
        let before = self.0;
        if let Some(value) = self.equals(Where::Filter) {
            return Some(Term { path, value: Some(value) });
        }
        self.0 = before;
        // `emails[type eq "work" and value eq "ann@example.com"]` is a condition by itself.
        let selects = !path.elements.is_empty() && path.sub.is_none();
        selects.then_some(Term { path, value: None })
    }

    /// The operator `eq` and a value.
    fn equals(&mut self, place: Where) -> Option<Scalar> {
        self.space()?;
        if !self.word("eq") {
            return None;
        }
        self.space()?;
        self.value(place)
    }

    fn value(&mut self, place: Where) -> Option<Scalar> {
        if self.0.starts_with('"') {
            let mut texts = serde_json::Deserializer::from_str(self.0).into_iter::<String>();
            let text = texts.next()?.ok()?;
            self.0 = &self.0[texts.byte_offset()..];
            return Some(Scalar::Text(text));
        }
        // Entra's own page has values without quotes.
        let ends = |c: char| c.is_whitespace() || "\"()".contains(c) || (place == Where::Brackets && c == ']');
        let text = self.take_while(|c| !ends(c));
        (!text.is_empty()).then(|| truth(text).map_or_else(|| Scalar::Text(text.to_owned()), Scalar::Bool))
    }
}

fn named(name: &str) -> Attribute {
    match name.to_ascii_lowercase().as_str() {
        "id" => Attribute::Id,
        "username" => Attribute::UserName,
        "externalid" => Attribute::ExternalId,
        "active" => Attribute::Active,
        "name" => Attribute::Name,
        "displayname" => Attribute::DisplayName,
        "emails" => Attribute::Emails,
        "employeenumber" => Attribute::EmployeeNumber,
        "manager" => Attribute::Manager,
        _ => Attribute::Other,
    }
}
