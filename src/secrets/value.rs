//! One secret's value: a JSON object of texts.

use std::fmt;

use secrecy::SecretString;
use serde_json::{Map, Value};

/// A secret as Secrets Manager keeps it: a JSON object. `Debug` shows its name and nothing of its value.
pub struct Secret {
    name: String,
    value: Map<String, Value>,
}

impl Secret {
    /// Reads the secret's text.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn parse(name: &str, text: &str) -> Result<Self, SecretFault> {
        match serde_json::from_str(text) {
            Ok(Value::Object(value)) => Ok(Self { name: name.to_owned(), value }),
            _ => Err(SecretFault { secret: name.to_owned(), key: None, problem: Problem::NotAnObject }),
        }
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.value.contains_key(key)
    }

    /// The text under `key`.
    ///
    /// # Errors
    /// If it is missing, empty, or no text.
    pub fn text(&self, key: &'static str) -> Result<SecretString, SecretFault> {
        let value = self.value.get(key).ok_or_else(|| self.fault(key, Problem::Missing))?;
        self.non_empty(key, value)
    }

    /// The texts under `one` and in the list under `many`: at least one of them must be there.
    ///
    /// # Errors
    /// If both are missing, or one of the texts is empty or no text.
    pub fn texts(&self, one: &'static str, many: &'static str) -> Result<Vec<SecretString>, SecretFault> {
        let mut texts = Vec::new();
        if let Some(value) = self.value.get(one) {
            texts.push(self.non_empty(one, value)?);
        }
        match self.value.get(many) {
            Some(Value::Array(values)) => {
                for value in values {
                    texts.push(self.non_empty(many, value)?);
                }
            }
            Some(_) => return Err(self.fault(many, Problem::NotAList)),
            None => {}
        }
        if texts.is_empty() { Err(self.fault(one, Problem::Missing)) } else { Ok(texts) }
    }

    /// `text` without any text of the value: what must never be shown.
    pub(crate) fn redact(&self, text: &str) -> String {
        let values = self.value.values().flat_map(|value| match value {
            Value::Array(values) => values.iter().collect(),
            value => vec![value],
        });
        let mut secrets: Vec<_> = values.filter_map(Value::as_str).map(str::trim).collect();
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // One may begin with another, whose removal would leave the rest standing.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
    }

    /// An error about a key of this secret that a caller found unusable.
    pub fn unusable(&self, key: &'static str) -> SecretFault {
        self.fault(key, Problem::Unusable)
    }

    fn non_empty(&self, key: &'static str, value: &Value) -> Result<SecretString, SecretFault> {
        match value.as_str() {
            None => Err(self.fault(key, Problem::NotAText)),
            Some(text) if text.trim().is_empty() => Err(self.fault(key, Problem::Empty)),
            Some(text) => Ok(SecretString::from(text)),
        }
    }

    fn fault(&self, key: &'static str, problem: Problem) -> SecretFault {
        SecretFault { secret: self.name.clone(), key: Some(key), problem }
    }
}

/// Shorter texts are no secrets (`""`, `"eu"`) and replacing them would garble what is shown.
pub(crate) const SHORTEST_SECRET: usize = 6;

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

/// What is wrong with a secret: names the secret and the key, never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFault {
    secret: String,
    key: Option<&'static str>,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NotFound,
    NotAnObject,
    Missing,
    Empty,
    NotAText,
    NotAList,
    Unusable,
}

impl SecretFault {
    /// The store has no secret of this name, or does not let us read it.
    pub fn not_found(secret: &str) -> Self {
        Self { secret: secret.to_owned(), key: None, problem: Problem::NotFound }
    }

    /// A short token for the report.
    pub fn reason(&self) -> &'static str {
        match self.problem {
            Problem::NotFound => "secret_not_found",
            Problem::NotAnObject => "secret_malformed",
            _ => "secret_incomplete",
        }
    }
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret `{}`", self.secret)?;
        if let Some(key) = self.key {
            write!(f, ": key `{key}`")?;
        }
        f.write_str(match self.problem {
            Problem::NotFound => " does not exist or may not be read",
            Problem::NotAnObject => " is not a JSON object",
            Problem::Missing => " is missing",
            Problem::Empty => " is empty",
            Problem::NotAText => " is not a text",
            Problem::NotAList => " is not a list",
            Problem::Unusable => " is not of the form that the sender hands out",
        })
    }
}

impl std::error::Error for SecretFault {}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::parse("offboard/providers/x", text).unwrap()
    }

    #[test]
    fn a_fault_names_the_secret_and_the_key_but_not_the_value() {
        let broken = secret(r#"{"a": "", "b": 7131719, "list": "hunter2!"}"#);
        let shown = [
            broken.text("token").unwrap_err().to_string(),
            broken.text("a").unwrap_err().to_string(),
            broken.text("b").unwrap_err().to_string(),
            broken.texts("one", "list").unwrap_err().to_string(),
            Secret::parse("offboard/providers/x", "hunter2!").unwrap_err().to_string(),
            format!("{broken:?}"),
        ];
        let expected = [
            "secret `offboard/providers/x`: key `token` is missing",
            "secret `offboard/providers/x`: key `a` is empty",
            "secret `offboard/providers/x`: key `b` is not a text",
            "secret `offboard/providers/x`: key `list` is not a list",
            "secret `offboard/providers/x` is not a JSON object",
            "Secret(offboard/providers/x)",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_text_and_a_list_add_up() {
        let both = secret(r#"{"signing_secret": "first", "signing_secrets": ["second", "third"]}"#);
        let texts = both.texts("signing_secret", "signing_secrets").unwrap();
        let texts: Vec<_> = texts.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(texts, ["first", "second", "third"]);
    }

    #[test]
    fn every_text_of_a_secret_is_redacted() {
        let both = secret(r#"{"region": "eu", "api_token": "hunter2!", "old": ["hunter1!"]}"#);
        assert_eq!(both.redact("key hunter2! or hunter1! in eu"), "key [secret] or [secret] in eu");
        let nested = secret(r#"{"client_id": "hunter", "client_secret": "hunter-2-hunter"}"#);
        assert_eq!(nested.redact("hunter-2-hunter"), "[secret]");
    }
}
