//! A product without an API: a person removes the account, and says so with `offboard departures confirm`.

use reqwest::Url;
use serde::Deserialize;

use super::{Action, Confidence, Configure, Product, ProviderKind, Setting, SettingForm, Tenant};
use crate::{
    person::mask_addresses,
    secrets::{Secret, SecretError},
};

/// The longest instructions, and the longest title, in characters: they stand in every report.
const LONGEST: usize = 500;

/// The kind in the registry.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "manual",
    title: "A product without an API: removed by hand",
    page: "https://github.com/offboard-rs/offboard/blob/main/docs/operate.md#what-is-removed-by-hand",
    effect: "No API is called. The departure needs a person until somebody confirms that they removed the account.",
    permission: "none",
    limits: None,
    status: Confidence::VerifiedDocs,
    actions: &[Action::Delete, Action::Deactivate],
    secret: &[],
    settings: &[
        Setting {
            name: "instructions",
            description: "what a person has to do there",
            example: Some("Settings, Users: delete the user"),
            longest: Some(LONGEST),
            ..Setting::TEXT
        },
        Setting {
            name: "title",
            description: "the product's name",
            required: false,
            example: Some("Wiki"),
            longest: Some(LONGEST),
            ..Setting::TEXT
        },
        Setting {
            name: "url",
            description: "where to do it",
            form: SettingForm::Url,
            required: false,
            example: Some("https://wiki.example.com/admin/users"),
            ..Setting::TEXT
        },
    ],
    looks_up: false,
    needs: &[],
    configure: Configure::Manual,
};

/// The keys that only this kind has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    instructions: Text,
    title: Option<Text>,
    url: Option<Page>,
}

/// A text that may stand in reports and logs.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

/// The page on which a person removes the account.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Page(Text);

impl Product for Settings {
    /// No tenant: nothing is called.
    fn connect(&self, _: &Secret) -> Result<Vec<Tenant>, SecretError> {
        Ok(Vec::new())
    }

    fn instructions(&self) -> Option<String> {
        let title = self.title.as_ref().map(|Text(title)| format!("{title}: ")).unwrap_or_default();
        let url = self.url.as_ref().map(|Page(Text(url))| format!(" ({url})")).unwrap_or_default();
        Some(format!("{title}{}{url}", self.instructions.0))
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    /// Reads a text of one or several lines; they become one.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.chars().count() {
            0 => Err("it must not be empty".to_owned()),
            length if length > LONGEST => Err(format!("it has {length} characters: at most {LONGEST} are allowed")),
            _ if text.chars().any(char::is_control) => Err("it must not have control characters".to_owned()),
            _ if mask_addresses(&text) != text => {
                Err("it stands in reports and logs, which have no e-mail addresses in \
                                                       full: name a team or a page"
                    .to_owned())
            }
            _ => Ok(Self(text)),
        }
    }
}

impl TryFrom<String> for Page {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "https" | "http") || !url.username().is_empty() || url.password().is_some() {
            return Err("the URL of a page is http or https, and has neither user nor password".to_owned());
        }
        Ok(Self(Text::try_from(text)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Action, LONGEST};
    use crate::config::Config;

    fn parse(keys: &str) -> Result<Config, String> {
        let text = format!("[sources.hr]\nkind = \"workos\"\n[providers.wiki]\nkind = \"manual\"\n{keys}\n");
        Config::parse(&text, None).map_err(|errors| errors.to_string())
    }

    #[test]
    fn configuration_says_what_a_person_has_to_do_and_names_no_secret() {
        let config = parse(
            "instructions = \"\"\"\nSettings, Users:\n  deactivate them\"\"\"\ntitle = \"Wiki\"\n\
             url = \"https://wiki.example.com/admin?tab=users\"\naction = \"deactivate\"",
        );
        let config = config.unwrap();
        let wiki = &config.providers[0];
        let expected = "Wiki: Settings, Users: deactivate them (https://wiki.example.com/admin?tab=users)";
        assert_eq!(wiki.settings.instructions().as_deref(), Some(expected));
        assert_eq!((wiki.secret.as_deref(), wiki.action), (None, Action::Deactivate));
        assert_eq!((config.secret_names(), config.calls_out()), (vec!["offboard/sources/hr".to_owned()], false));
        let short = parse("instructions = \"Delete the user\"").unwrap();
        assert_eq!(short.providers[0].settings.instructions().as_deref(), Some("Delete the user"));
        assert_eq!(short.providers[0].action, Action::Delete);
    }

    #[test]
    fn text_that_may_not_stand_in_a_report_is_refused_with_its_line() {
        let long = format!("instructions = \"{}\"", "x".repeat(LONGEST + 1));
        for (keys, expected) in [
            ("", "line 3: `providers.wiki`: `instructions` is missing"),
            ("instructions = \" \"", "line 5: `providers.wiki.instructions`: it must not be empty"),
            (&long, "line 5: `providers.wiki.instructions`: it has 501 characters: at most 500 are allowed"),
            (
                "instructions = \"a\\u0007b\"",
                "line 5: `providers.wiki.instructions`: it must not have control characters",
            ),
            (
                "instructions = \"Ask it@example.com\"",
                "line 5: `providers.wiki.instructions`: it stands in reports and logs",
            ),
            ("instructions = \"x\"\nurl = \"wiki\"", "line 6: `providers.wiki.url`: not a URL"),
            ("instructions = \"x\"\nurl = \"file:///wiki\"", "line 6: `providers.wiki.url`: the URL of a page is http"),
            (
                "instructions = \"x\"\nurl = \"https://a:b@wiki.example.com\"",
                "line 6: `providers.wiki.url`: the URL of a",
            ),
            ("instructions = \"x\"\nmatch = \"email\"", "line 6: unknown key `match`"),
        ] {
            let errors = parse(keys).expect_err(keys);
            assert!(errors.starts_with(expected), "{errors}");
        }
    }

    #[test]
    fn key_of_a_call_is_refused_because_nothing_is_called() {
        for key in [
            "secret = \"s\"",
            "base_url = \"https://wiki.example.com\"",
            "timeout = \"1s\"",
            "attempts = 1",
            "confirm = false",
            "canary = \"ops@example.com\"",
        ] {
            let name = key.split(' ').next().unwrap();
            let errors = parse(&format!("instructions = \"x\"\n{key}")).expect_err(key);
            let expected =
                format!("line 6: `providers.wiki`: `{name}` has no effect, because manual calls nothing: take it out");
            assert_eq!(errors, expected);
        }
    }
}
