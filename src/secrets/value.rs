//! One secret's value: a JSON object of texts.

use std::fmt;

use secrecy::SecretString;
use serde_json::{Map, Value};

/// A secret as Secrets Manager keeps it: a JSON object. `Debug` shows its name and nothing of its value.
pub struct Secret {
    name: String,
    value: Map<String, Value>,
}

/// `text` without a secret, also where it was encoded: for a form, for a URL, in JSON, in base64.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    // No form is shorter than the secret.
    if text.len() < secret.len() {
        return text.to_owned();
    }
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        form.replace('+', "%20"),
        form,
        json[1..json.len() - 1].to_owned(),
        BASE64_STANDARD.encode(secret),
    ];
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.into_iter().fold(text.to_owned(), |text, form| text.replace(&form, "[secret]"))
}

impl Secret {
    /// Reads the secret's text.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn parse(name: &str, text: &str) -> Result<Self, SecretError> {
        match serde_json::from_str(text) {
            Ok(Value::Object(value)) => Ok(Self { name: name.to_owned(), value }),
            _ => Err(SecretError { secret: name.to_owned(), key: None, problem: Problem::NotAnObject }),
        }
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.value.contains_key(key)
    }

    /// Returns the text under `key`, without white space around it.
    ///
    /// # Errors
    /// If it is missing, empty, or no text.
    pub fn text(&self, key: &'static str) -> Result<SecretString, SecretError> {
        let value = self.value.get(key).ok_or_else(|| self.error(key, Problem::Missing))?;
        self.non_empty(key, value)
    }

    /// Returns the text under `one` and those in the list under `many`, each by itself: an unusable one spoils no other.
    /// Never empty: without any, the one element says what is missing.
    pub fn texts(&self, one: &'static str, many: &'static str) -> Vec<KeyText> {
        let single = self.value.get(one).map(|value| self.key_text(one, value));
        let listed = match self.value.get(many) {
            Some(Value::Array(values)) => values.iter().map(|value| self.key_text(many, value)).collect(),
            Some(_) => vec![KeyText { key: many, text: Err(self.error(many, Problem::NotAList)) }],
            None => Vec::new(),
        };
        let texts: Vec<_> = single.into_iter().chain(listed).collect();
        let missing = || KeyText { key: one, text: Err(self.error(one, Problem::Missing)) };
        if texts.is_empty() { vec![missing()] } else { texts }
    }

    /// Returns the keys whose text, or a text of whose list, has white space around it, which is ignored.
    pub fn padded_keys(&self) -> Vec<&str> {
        let is_padded = |value: &Value| value.as_str().is_some_and(|text| text.trim() != text);
        let any_padded = |value: &Value| match value {
            Value::Array(values) => values.iter().any(is_padded),
            value => is_padded(value),
        };
        self.value.iter().filter(|(_, value)| any_padded(value)).map(|(key, _)| key.as_str()).collect()
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
        secrets.into_iter().fold(text.to_owned(), |text, secret| redact(&text, secret))
    }

    /// Returns an error about a key of this secret that a caller found unusable.
    pub fn unusable(&self, key: &'static str) -> SecretError {
        self.error(key, Problem::Unusable)
    }

    /// Returns an error about a key of this secret that is short enough to be guessed.
    pub(crate) fn guessable(&self, key: &'static str) -> SecretError {
        self.error(key, Problem::Guessable)
    }

    fn key_text(&self, key: &'static str, value: &Value) -> KeyText {
        KeyText { key, text: self.non_empty(key, value) }
    }

    fn non_empty(&self, key: &'static str, value: &Value) -> Result<SecretString, SecretError> {
        match value.as_str() {
            None => Err(self.error(key, Problem::NotAText)),
            Some(text) if text.trim().is_empty() => Err(self.error(key, Problem::Empty)),
            Some(text) => Ok(SecretString::from(text.trim())),
        }
    }

    fn error(&self, key: &'static str, problem: Problem) -> SecretError {
        SecretError { secret: self.name.clone(), key: Some(key), problem }
    }
}

/// One of the texts that a secret lists.
#[derive(Debug)]
pub struct KeyText {
    /// The key under which it stands.
    pub key: &'static str,
    /// The text without white space around it.
    pub text: Result<SecretString, SecretError>,
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
pub struct SecretError {
    secret: String,
    key: Option<&'static str>,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NotFound,
    Unreadable,
    NotAnObject,
    Missing,
    Empty,
    NotAText,
    NotAList,
    Unusable,
    Guessable,
}

impl SecretError {
    /// Returns the error that the store has no secret of this name.
    pub fn not_found(secret: &str) -> Self {
        Self { secret: secret.to_owned(), key: None, problem: Problem::NotFound }
    }

    /// Returns the error that the store does not let us read a secret of this name, which may exist.
    pub(crate) fn unreadable(secret: &str) -> Self {
        Self { secret: secret.to_owned(), key: None, problem: Problem::Unreadable }
    }

    /// Whether the store said that the secret does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        self.problem == Problem::NotFound
    }

    /// A short token for the report.
    pub fn reason(&self) -> &'static str {
        match self.problem {
            Problem::NotFound | Problem::Unreadable => "secret_not_found",
            Problem::NotAnObject => "secret_malformed",
            _ => "secret_incomplete",
        }
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret `{}`", self.secret)?;
        if let Some(key) = self.key {
            write!(f, ": key `{key}`")?;
        }
        f.write_str(match self.problem {
            Problem::NotFound | Problem::Unreadable => " does not exist or may not be read",
            Problem::NotAnObject => " is not a JSON object",
            Problem::Missing => " is missing",
            Problem::Empty => " is empty",
            Problem::NotAText => " is not a text",
            Problem::NotAList => " is not a list",
            Problem::Unusable => " is not of the form that the sender hands out",
            Problem::Guessable => {
                " is under 16 bytes (guessable), so it is not used: put at least 32 random bytes there"
            }
        })
    }
}

impl std::error::Error for SecretError {}

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
            broken.texts("one", "list").remove(0).text.unwrap_err().to_string(),
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
    fn texts_under_one_key_and_in_a_list_add_up_and_a_bad_one_spoils_no_other() {
        let both = secret(r#"{"signing_secret": "first", "signing_secrets": ["second", 7, " third\n"]}"#);
        let texts = both.texts("signing_secret", "signing_secrets");
        let texts: Vec<_> = texts.iter().map(|one| one.text.as_ref().map(ExposeSecret::expose_secret)).collect();
        let number = both.error("signing_secrets", Problem::NotAText);
        assert_eq!(texts, [Ok("first"), Ok("second"), Err(&number), Ok("third")]);
    }

    #[test]
    fn white_space_around_a_text_is_trimmed_and_its_key_is_named() {
        let padded = secret(r#"{"api_token": "hunter2!\n", "list": ["a", " b"], "good": "a b", "number": 7}"#);
        assert_eq!(padded.text("api_token").unwrap().expose_secret(), "hunter2!");
        assert_eq!(padded.padded_keys(), ["api_token", "list"]);
    }

    #[test]
    fn every_text_of_a_secret_is_redacted() {
        let both = secret(r#"{"region": "eu", "api_token": "hunter2!", "old": ["hunter1!"]}"#);
        assert_eq!(both.redact("key hunter2! or hunter1! in eu"), "key [secret] or [secret] in eu");
        let nested = secret(r#"{"client_id": "hunter", "client_secret": "hunter-2-hunter"}"#);
        assert_eq!(nested.redact("hunter-2-hunter"), "[secret]");
    }
}
