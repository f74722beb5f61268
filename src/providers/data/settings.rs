//! What a provider's table says of a product as data: its settings and its action, and the connection made of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Kind,
    product::DataProduct,
    spec::{Auth, Find, OauthTable, Send, Setting},
    template::{Template, Values},
    vendor::{Login, Vendor},
};
use crate::{
    oauth::{Assertion, Client, SendClient, Shows, Tokens},
    providers::{Action, Product, SecretKey, Setting as Described, SettingForm, Tenant, Urls},
    secrets::{Secret, SecretError},
    settings::{BaseUrl, Reporter, Section, nearest},
};

/// The most characters of a setting that does not say it.
const LONGEST: usize = 256;

/// A product as data whose settings are read.
#[derive(Debug)]
pub(super) struct DataSettings {
    kind: &'static Kind,
    action: Action,
    values: BTreeMap<String, String>,
    /// The setting that is a list, and its values: a tenant each.
    tenants: Option<(String, Vec<String>)>,
    /// Where tokens come from, if not from the vendor's own address.
    token_url: Option<String>,
}

/// A text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
enum Given {
    Text(String),
    List(Vec<String>),
}

impl Kind {
    /// Reads the keys that only this kind has.
    pub(crate) fn configure(
        &'static self,
        action: Action,
        own: Section<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Option<Box<dyn Product>> {
        let (spans, span, section) = (own.spans(), own.table.span(), own.name.clone());
        let mut given: BTreeMap<String, Given> = own.read(reporter)?;
        let (mut errors, mut values, mut tenants) = (Vec::new(), BTreeMap::new(), None);
        let token_url = self.token_url(&mut given).unwrap_or_else(|message| {
            errors.push(("token_url", message));
            None
        });
        for (name, setting) in &self.spec.settings {
            match setting.read(name, given.remove(name)) {
                Ok(Given::Text(value)) => {
                    values.insert(name.clone(), value);
                }
                Ok(Given::List(list)) => tenants = Some((name.clone(), list)),
                Err(message) => errors.push((name.as_str(), message)),
            }
        }
        let unknown = given.keys().map(|name| (name.as_str(), self.unknown(name)));
        let errors: Vec<_> = errors.into_iter().chain(unknown).collect();
        for (name, message) in &errors {
            let at = spans.get(*name).unwrap_or(&span);
            reporter.add(Some(at.clone()), format!("`{section}`: {message}"));
        }
        let settings = DataSettings { kind: self, action, values, tenants, token_url };
        errors.is_empty().then(|| Box::new(settings) as Box<dyn Product>)
    }

    /// Returns the keys of its table, as the registry lists them.
    pub(super) fn settings(&'static self) -> Vec<Described> {
        let own = self.spec.settings.iter().map(|(name, setting)| setting.describe(name));
        let token_url = matches!(self.spec.auth, Some(Auth::Oauth(_))).then_some(Described::TOKEN_URL);
        own.chain(token_url).collect()
    }

    /// Returns the keys of its secret, as the registry lists them.
    pub(super) fn secret_keys(&'static self) -> Vec<SecretKey> {
        self.spec.secret.iter().map(|(key, description)| SecretKey { key, description }).collect()
    }

    fn token_url(&'static self, given: &mut BTreeMap<String, Given>) -> Result<Option<String>, String> {
        match (&self.spec.auth, given.remove("token_url")) {
            (_, None) => Ok(None),
            (Some(Auth::Oauth(_)), Some(Given::Text(url))) => {
                BaseUrl::try_from(url).map(|url| Some(url.url().to_string()))
            }
            (_, Some(_)) => Err(self.unknown("token_url")),
        }
    }

    fn unknown(&'static self, name: &str) -> String {
        let known: Vec<_> = self.settings().iter().map(|setting| setting.name).collect();
        format!("unknown key `{name}`: {}", nearest::suggestion(name, &known))
    }
}

impl Setting {
    fn describe(&'static self, name: &'static str) -> Described {
        Described {
            name,
            description: &self.description,
            form: if self.list { SettingForm::Texts } else { SettingForm::Text },
            required: self.default.is_none(),
            default: self.default.as_deref(),
            example: self.example.as_deref(),
            one_of: Vec::leak(self.one_of.iter().map(String::as_str).collect()),
            characters: self.characters.as_deref(),
            longest: self.longest,
        }
    }

    fn read(&self, name: &str, given: Option<Given>) -> Result<Given, String> {
        match (given, self.list) {
            (None, false) => match &self.default {
                Some(default) => Ok(Given::Text(default.clone())),
                None => Err(format!("`{name}` is missing: {}", self.description)),
            },
            (None, true) => Err(format!("`{name}` is missing, a list: {}", self.description)),
            (Some(Given::Text(value)), false) => self.check(name, &value).map(|()| Given::Text(value)),
            (Some(Given::List(values)), true) if !values.is_empty() => {
                values.iter().try_for_each(|value| self.check(name, value))?;
                let twice = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value));
                match twice {
                    Some((_, value)) => Err(format!("`{name}` names `{value}` twice: take one out")),
                    None => Ok(Given::List(values)),
                }
            }
            (Some(_), false) => Err(format!("`{name}` must be a text")),
            (Some(_), true) => Err(format!("`{name}` must be a list of texts, at least one")),
        }
    }

    /// Whether a value may stand here.
    ///
    /// # Errors
    /// What a value must be.
    pub(super) fn check(&self, name: &str, value: &str) -> Result<(), String> {
        let longest = self.longest.unwrap_or(LONGEST);
        let allowed = |c: char| !c.is_control() && self.characters.as_deref().is_none_or(|class| contains(class, c));
        let fits = (1..=longest).contains(&value.chars().count()) && value.chars().all(allowed);
        if !self.one_of.is_empty() && !self.one_of.iter().any(|known| known == value) {
            let known: Vec<_> = self.one_of.iter().map(String::as_str).collect();
            return Err(format!("`{name}`: unknown value `{value}`: {}", nearest::suggestion(value, &known)));
        }
        let class = self.characters.as_ref().map(|class| format!(" of {class}")).unwrap_or_default();
        if fits { Ok(()) } else { Err(format!("`{name}` must have 1 to {longest} characters{class}")) }
    }
}

/// Whether a class as in a regular expression (`a-z0-9-`) has this character.
pub(super) fn contains(class: &str, c: char) -> bool {
    let characters: Vec<_> = class.chars().collect();
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(last)) if (*first..=*last).contains(&c) => return true,
            (Some('-'), Some(_)) => at += 3,
            _ if *first == c => return true,
            _ => at += 1,
        }
    }
    false
}

impl Product for DataSettings {
    fn urls(&self) -> Urls {
        let spec = &self.kind.spec;
        let base_url = spec.http.as_ref().and_then(|http| http.base_url.as_ref());
        let token_url = match &spec.auth {
            Some(Auth::Oauth(table)) if self.token_url.is_none() => Some(&table.token_url),
            _ => None,
        };
        let mut urls = Urls { base: Vec::new(), token: self.token_url.iter().cloned().collect() };
        let mut add = |own: Option<(&str, &str)>| {
            let values = Values::from_table(&self.values);
            let values = own.into_iter().fold(values, |values, (name, value)| values.with(name, Some(value)));
            // A variable of the secret has no value yet.
            let known = |template: Option<&Template>| template.and_then(|template| template.render(&values).ok());
            urls.base.extend(known(base_url));
            urls.token.extend(known(token_url));
        };
        match &self.tenants {
            None => add(None),
            Some((name, values)) => values.iter().for_each(|value| add(Some((name, value)))),
        }
        urls
    }

    fn connect(&self, secret: &Secret) -> Result<Vec<Tenant>, SecretError> {
        match &self.tenants {
            None => self.tenants(secret, None),
            Some((name, values)) => {
                let tenants = values.iter().map(|value| self.tenants(secret, Some((name, value))));
                Ok(tenants.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
        }
    }
}

impl DataSettings {
    /// A tenant for each look-up.
    fn tenants(&self, secret: &Secret, own: Option<(&String, &String)>) -> Result<Vec<Tenant>, SecretError> {
        let (vendor, base_url) = self.vendor(secret, own)?;
        let finds = &self.kind.spec.find;
        let tenant = |(name, find): (&'static String, &'static Find)| {
            let canary = find.canary.as_ref().and_then(|name| finds.get_key_value(name));
            let canary = canary.map(|(name, find)| Arc::new(self.product(&vendor, name, find, None)));
            let provider = Arc::new(self.product(&vendor, name, find, canary));
            let name = Some(name).filter(|_| finds.len() > 1);
            let scope: Vec<_> =
                own.into_iter().map(|(_, value)| value.as_str()).chain(name.map(String::as_str)).collect();
            let scope = Some(scope.join(" · ")).filter(|scope| !scope.is_empty());
            Tenant { scope, base_url: base_url.clone().into(), provider }
        };
        Ok(finds.iter().map(tenant).collect())
    }

    fn product(
        &self,
        vendor: &Arc<Vendor>,
        name: &str,
        find: &'static Find,
        canary: Option<Arc<DataProduct>>,
    ) -> DataProduct {
        let spec = &self.kind.spec;
        let steps = spec.remove.get(&self.action).and_then(|steps| steps.get(name)).map_or(&[][..], Vec::as_slice);
        DataProduct { vendor: vendor.clone(), find, steps, makes: spec.makes(self.action, find), canary }
    }

    /// The vendor, connected, and its base URL; empty if the configuration has it.
    fn vendor(&self, secret: &Secret, own: Option<(&String, &String)>) -> Result<(Arc<Vendor>, String), SecretError> {
        let spec = &self.kind.spec;
        let mut settings = self.values.clone();
        settings.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        let texts = spec.secret.keys().map(|key| Ok((key.as_str(), secret.text(key)?)));
        let texts: BTreeMap<&'static str, SecretString> = texts.collect::<Result<_, SecretError>>()?;
        let known = texts.iter().map(|(key, text)| (*key, text));
        let values = known.fold(Values::from_table(&settings), |values, (key, text)| {
            use secrecy::ExposeSecret;
            values.with(key, Some(text.expose_secret()))
        });
        let unusable = |template: &Template| {
            let key = template.variables().find_map(|variable| texts.get_key_value(variable.name.as_str()));
            secret.unusable(key.map_or("", |(key, _)| *key))
        };
        let render = |template: &'static Template| template.render(&values).map_err(|_| unusable(template));
        let http = spec.http.as_ref();
        let headers = http
            .into_iter()
            .flat_map(|http| &http.headers)
            .map(|(name, template)| Ok((name.as_str(), SecretString::from(render(template)?))));
        let base_url = http.and_then(|http| http.base_url.as_ref()).map(&render).transpose()?.unwrap_or_default();
        let login = match &spec.auth {
            None => Login::Headers,
            Some(Auth::Bearer(key)) => Login::Bearer(secret.text(key)?),
            Some(Auth::Basic { user, password }) => Login::Basic(render(user)?, secret.text(password)?),
            Some(Auth::Oauth(table)) => Login::Oauth(self.tokens(table, secret, &render)?),
        };
        let headers = headers.collect::<Result<_, SecretError>>()?;
        Ok((Arc::new(Vendor { spec, settings: settings.clone(), headers, login }), base_url))
    }

    fn tokens(
        &self,
        table: &'static OauthTable,
        secret: &Secret,
        render: &impl Fn(&'static Template) -> Result<String, SecretError>,
    ) -> Result<Tokens, SecretError> {
        let url = match &self.token_url {
            Some(url) => url.clone(),
            None => render(&table.token_url)?,
        };
        let client = |send| {
            let (id, secret) = (secret.text("client_id")?, secret.text("client_secret")?);
            Ok(Shows::Secret { id, secret, send })
        };
        let shows = match (table.send, &table.assertion) {
            (Send::Basic, _) => client(SendClient::Basic)?,
            (Send::Form, _) => client(SendClient::Form)?,
            (Send::Json, _) => client(SendClient::Json)?,
            (Send::Assertion, Some(assertion)) => {
                let claims = assertion.claims.iter().map(|(name, value)| Ok((name.clone(), render(value)?)));
                let claims = claims.collect::<Result<_, SecretError>>()?;
                let signed = Assertion::new(&secret.text(&assertion.key)?, claims);
                Shows::Assertion(signed.ok_or_else(|| secret.unusable(&assertion.key))?)
            }
            (Send::Assertion | Send::Fields, _) => Shows::Fields,
        };
        let fields = table.fields.iter().map(|(name, value)| Ok((name.clone(), render(value)?.into())));
        let client = Client::new(&url, shows).with(fields.collect::<Result<_, SecretError>>()?);
        Ok(Tokens::Fetched(client.lasting(Duration::from_secs(table.lasts))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_has_its_ranges_and_its_single_characters() {
        for (class, c, has) in [
            ("a-z0-9-", 'q', true),
            ("a-z0-9-", '-', true),
            ("a-z0-9-", 'Q', false),
            ("a-z0-9-", '/', false),
            ("a-z.", '.', true),
            ("a-z", '-', false),
            ("", 'a', false),
        ] {
            assert_eq!(contains(class, c), has, "{c} in {class}");
        }
    }
}
