//! What a kind of provider says of itself: its settings, the keys of its secret, and what its facts rest on.

use serde::{Deserialize, Serialize};

/// A key of a provider's secret.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SecretKey {
    /// The key in the JSON object.
    pub key: &'static str,
    /// What its value is, for a person.
    pub description: &'static str,
}

/// A key of a provider's section that only its kind has.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setting {
    /// The key in the configuration.
    pub name: &'static str,
    /// What it is, for a person.
    pub description: &'static str,
    /// What its value is.
    pub form: SettingForm,
    /// Whether it must be given.
    pub required: bool,
    /// What it is unless given, where that can be said.
    pub default: Option<&'static str>,
    /// A value as it may be.
    pub example: Option<&'static str>,
    /// All its possible values, unless empty.
    pub one_of: &'static [&'static str],
    /// Its possible characters, as in a class of a regular expression: `a-z0-9-`.
    pub characters: Option<&'static str>,
    /// The most characters of it.
    pub longest: Option<usize>,
}

/// What the value of a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingForm {
    /// A text.
    Text,
    /// A list of texts, at least one: a tenant each.
    Texts,
    /// `true` or `false`.
    Flag,
    /// An `https` URL.
    Url,
}

impl Setting {
    /// A text that must be given. The base of the others.
    pub(crate) const TEXT: Self = Self {
        name: "",
        description: "",
        form: SettingForm::Text,
        required: true,
        default: None,
        example: None,
        one_of: &[],
        characters: None,
        longest: None,
    };

    /// Where access tokens are fetched, of kinds with OAuth.
    pub(crate) const TOKEN_URL: Self = Self {
        name: "token_url",
        description: "where access tokens are fetched, if not at the vendor's",
        form: SettingForm::Url,
        required: false,
        example: Some("https://auth.example.com/oauth/token"),
        ..Self::TEXT
    };

    /// By what people are found. `description` says what their external id is called.
    pub(crate) const fn known_by(description: &'static str) -> Self {
        let one_of = &["email", "external_id"];
        Self { name: "match", description, required: false, default: Some("email"), one_of, ..Self::TEXT }
    }

    /// Returns a line of the configuration that sets it: a comment, where it may be left out.
    pub fn line(&self) -> String {
        let Self { name, description, form, .. } = self;
        let value = self.default.or(self.example).or(self.one_of.first().copied()).unwrap_or("…");
        let quoted = || format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        let value = match form {
            SettingForm::Text | SettingForm::Url => quoted(),
            SettingForm::Texts => format!("[{}]", quoted()),
            SettingForm::Flag => value.to_owned(),
        };
        format!("{}{name} = {value}   # {description}", if self.required { "" } else { "# " })
    }
}

/// What the facts of a kind rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The vendor's documentation, SDK or recorded exchanges, in everything that decides whether somebody is gone.
    VerifiedDocs,
    /// Partly inference: only a `canary` in sight shows that the look-up works.
    PartlyInferred,
}

impl Confidence {
    /// Returns what it means for a person who relies on it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::VerifiedDocs => "as the vendor documents them",
            Self::PartlyInferred => {
                "partly inferred: what the vendor's pages leave open was concluded, and not tried. So a `canary` is required: \
                 unless this account is found in the same look-up, no person is reported as absent. Try it with `offboard check \
                 --live` and `offboard plan` before going live"
            }
        }
    }
}
