//! A user as an identity provider writes it: what is kept of it, and how it is shown.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    ScimError,
    path::{CORE, ENTERPRISE, truth},
};
use crate::person::Email;

/// Longest text of an attribute, in bytes.
const MAX_TEXT: usize = 1024;
/// E-mail addresses of one user that are kept.
pub(super) const MAX_EMAILS: usize = 50;

/// What is kept of a user. Everything else that a client sends (a password, a phone number, a title) is dropped unread.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    /// Name at the identity provider: an e-mail address as a rule.
    pub user_name: String,
    /// The identity provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whether the user is active; `None` as long as nobody said.
    pub active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    #[serde(skip_serializing_if = "Name::is_empty")]
    pub(super) name: Name,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) emails: Vec<UserEmail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) employee_number: Option<String>,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Name {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) formatted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) given_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) family_name: Option<String>,
}

/// An element of `emails`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct UserEmail {
    pub(super) value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) primary: Option<bool>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Name {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns a part by its name in lower case; `None` for one that is not kept.
    pub(super) fn part(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "formatted" => Some(&mut self.formatted),
            "givenname" => Some(&mut self.given_name),
            "familyname" => Some(&mut self.family_name),
            _ => None,
        }
    }

    /// Writes the parts that an object names; null removes all. A value of another type is passed over.
    pub(super) fn write(&mut self, value: &Value) {
        if value.is_null() {
            *self = Self::default();
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            if let Some(part) = self.part(&key.to_ascii_lowercase()) {
                display(part, value);
            }
        }
    }
}

impl UserEmail {
    /// Reads an element. Entra's older form is a bare text. One without a usable address or with a type that cannot be read is none:
    /// it might be a private address.
    fn read(value: &Value) -> Option<Self> {
        let mut email = Self::default();
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let is_written = email.write(&key.to_ascii_lowercase(), value);
                    is_written.then_some(())?;
                }
            }
            value => _ = email.write("value", value),
        }
        (!email.value.is_empty()).then_some(email)
    }

    /// Writes a sub-attribute, named in lower case. Returns `false` for a value or type that cannot be used: then nothing is written.
    pub(super) fn write(&mut self, sub: &str, value: &Value) -> bool {
        match (sub, text("emails", value)) {
            ("value", Ok(text)) => self.value = text.unwrap_or_default(),
            ("type", Ok(text)) => self.r#type = text,
            ("value" | "type", Err(_)) => return false,
            ("primary", _) => self.primary = boolean("emails.primary", value).unwrap_or_default(),
            _ => {}
        }
        true
    }

    fn is_primary(&self) -> bool {
        self.primary == Some(true)
    }

    pub(super) fn is_work(&self) -> bool {
        self.r#type.as_deref().is_some_and(|of| of.eq_ignore_ascii_case("work"))
    }
}

impl User {
    /// Writes what a resource says of the attributes that are kept. What it does not name stays; so do `active` and `emails`
    /// where they are null, as JumpCloud sends them. A value that cannot be used is passed over, or cut, if nothing depends on it: a
    /// departure must not be lost for it.
    ///
    /// # Errors
    /// [`ScimError::InvalidSyntax`], or [`ScimError::InvalidValue`] of `userName` or `active`.
    pub fn write(&mut self, resource: &Value) -> Result<(), ScimError> {
        let Value::Object(fields) = resource else { return Err(ScimError::InvalidSyntax("it is not an object")) };
        let mut seen = BTreeSet::new();
        for (key, value) in fields {
            let key = key.to_ascii_lowercase();
            self.write_attribute(&key, value)?;
            if !seen.insert(key) {
                return Err(ScimError::InvalidSyntax("it names an attribute twice"));
            }
        }
        if self.user_name.is_empty() { Err(ScimError::InvalidValue("userName")) } else { Ok(()) }
    }

    fn write_attribute(&mut self, key: &str, value: &Value) -> Result<(), ScimError> {
        match key {
            "username" => self.user_name = required(value)?,
            "externalid" => identifier(&mut self.external_id, value),
            "active" => self.active = boolean("active", value)?.or(self.active),
            "displayname" => display(&mut self.display_name, value),
            "name" => self.name.write(value),
            "emails" if !value.is_null() => self.emails = emails(value),
            key if key.eq_ignore_ascii_case(ENTERPRISE) => self.write_enterprise(value),
            _ => {}
        }
        Ok(())
    }

    /// Writes what the enterprise extension's object says.
    pub(super) fn write_enterprise(&mut self, value: &Value) {
        for (key, value) in value.as_object().into_iter().flatten() {
            if key.eq_ignore_ascii_case("employeeNumber") {
                identifier(&mut self.employee_number, value);
            }
        }
    }

    /// Returns the addresses that say whose account it is: primary ones, those at work and untyped ones, then the user name.
    /// Private ones prove nothing.
    pub fn addresses(&self) -> Vec<Email> {
        let mut counted: Vec<_> = self
            .emails
            .iter()
            .filter(|email| email.is_primary() || email.is_work() || email.r#type.is_none())
            .collect();
        counted.sort_by_key(|email| (!email.is_primary(), !email.is_work()));
        let texts = counted.into_iter().map(|email| email.value.as_str()).chain([self.user_name.as_str()]);
        let mut addresses: Vec<Email> = Vec::new();
        for email in texts.filter_map(Email::parse) {
            if !addresses.contains(&email) {
                addresses.push(email);
            }
        }
        addresses
    }

    /// Returns the resource, without its id and meta.
    pub fn resource(&self) -> Map<String, Value> {
        let mut resource = Map::new();
        let mut schemas = vec![CORE];
        let employee = self.employee_number.as_ref().map(|number| json!({ "employeeNumber": number }));
        let parts = [
            ("userName", Some(Value::from(self.user_name.as_str()))),
            ("externalId", self.external_id.as_deref().map(Value::from)),
            ("active", self.active.map(Value::from)),
            ("displayName", self.display_name.as_deref().map(Value::from)),
            ("name", (!self.name.is_empty()).then(|| json!(self.name))),
            ("emails", (!self.emails.is_empty()).then(|| json!(self.emails))),
            (ENTERPRISE, employee),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                resource.insert(name.to_owned(), value);
            }
        }
        if resource.contains_key(ENTERPRISE) {
            schemas.push(ENTERPRISE);
        }
        resource.insert("schemas".to_owned(), json!(schemas));
        resource
    }
}

/// Reads the user name, which must be there.
pub(super) fn required(value: &Value) -> Result<String, ScimError> {
    text("userName", value)?.ok_or(ScimError::InvalidValue("userName"))
}

/// Writes a text that is only shown: one that is too long is cut. A value of another type is passed over.
pub(super) fn display(field: &mut Option<String>, value: &Value) {
    let cut = value.as_str().map(|text| Value::from(&text[..text.floor_char_boundary(MAX_TEXT)]));
    identifier(field, cut.as_ref().unwrap_or(value));
}

/// Writes a text by which a person is known. One that is too long, or a value of another type, is passed over.
pub(super) fn identifier(field: &mut Option<String>, value: &Value) {
    if let Ok(text) = text("text", value) {
        *field = text;
    }
}

/// Reads a text; null and an empty one are none. Some clients write a number as a number.
fn text(name: &'static str, value: &Value) -> Result<Option<String>, ScimError> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(ScimError::InvalidValue(name)),
    };
    if text.len() > MAX_TEXT {
        return Err(ScimError::InvalidValue(name));
    }
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// Reads a truth value; null is none. Entra writes `"False"`.
pub(super) fn boolean(name: &'static str, value: &Value) -> Result<Option<bool>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(*value)),
        Value::String(text) => truth(text).map(Some).ok_or(ScimError::InvalidValue(name)),
        _ => Err(ScimError::InvalidValue(name)),
    }
}

/// Reads the list `emails`, or its one element.
pub(super) fn emails(value: &Value) -> Vec<UserEmail> {
    elements(value).iter().filter_map(UserEmail::read).take(MAX_EMAILS).collect()
}

/// Returns the elements of a list; a value that is not a list is its one element.
pub(super) fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(list) => list,
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(resource: Value) -> Result<User, ScimError> {
        let mut user = User::default();
        user.write(&resource).map(|()| user)
    }

    fn addresses(resource: Value) -> Vec<String> {
        user(resource).unwrap().addresses().iter().map(|email| email.expose().to_owned()).collect()
    }

    #[test]
    fn resource_is_shown_as_it_was_written_and_what_is_not_kept_is_dropped() {
        let sent = json!({
            "schemas": [CORE, ENTERPRISE], "userName": "ann", "externalId": "7", "active": "True", "displayName": "Ann",
            "name": {"givenName": "Ann", "familyName": "Lee", "middleName": "X"}, "password": "hunter2",
            "emails": [{"value": "ann@example.com", "type": "work", "primary": "true", "display": "x"}],
            "phoneNumbers": [{"value": "1"}], "title": "boss", "id": "theirs", "meta": {"location": "x"},
            ENTERPRISE: {"employeeNumber": 4711, "manager": {"value": "2"}},
        });
        let user = user(sent).unwrap();
        let expected = json!({
            "schemas": [CORE, ENTERPRISE], "userName": "ann", "externalId": "7", "active": true, "displayName": "Ann",
            "name": {"givenName": "Ann", "familyName": "Lee"},
            "emails": [{"value": "ann@example.com", "type": "work", "primary": true}],
            ENTERPRISE: {"employeeNumber": "4711"},
        });
        assert_eq!(Value::Object(user.resource()), expected);
        assert!(!format!("{user:?}{}", json!(user)).contains("hunter2"));
        let read: User = serde_json::from_value(json!(user)).unwrap();
        assert!(read == user);
    }

    #[test]
    fn user_name_or_active_that_cannot_be_read_is_refused() {
        for (field, value) in [
            ("userName", json!(null)),
            ("userName", json!(" ")),
            ("userName", json!({})),
            ("userName", json!("x".repeat(2000))),
            ("active", json!("yes")),
            ("active", json!("")),
            ("active", json!(0)),
            ("active", json!([true])),
        ] {
            let mut sent = json!({"userName": "ann"});
            sent[field] = value;
            assert_eq!(user(sent.clone()).unwrap_err(), ScimError::InvalidValue(field), "{sent}");
        }
        assert_eq!(user(json!({})).unwrap_err(), ScimError::InvalidValue("userName"));
        assert!(matches!(user(json!([])), Err(ScimError::InvalidSyntax(_))));
        assert!(matches!(user(json!({"userName": "a", "username": "b"})), Err(ScimError::InvalidSyntax(_))));
    }

    #[test]
    fn value_that_cannot_be_used_is_passed_over_or_cut_and_the_rest_is_written() {
        let known = json!({
            "userName": "ann", "externalId": "7", "displayName": "Ann", "name": {"givenName": "Ann"},
            "emails": [{"value": "a@example.com"}], ENTERPRISE: {"employeeNumber": "1"},
        });
        for (field, value) in [
            ("name", json!("Ann")),
            ("name", json!([])),
            ("name", json!({"givenName": ["x"]})),
            ("displayName", json!(["x"])),
            ("externalId", json!({})),
            ("externalId", json!("x".repeat(2000))),
            (ENTERPRISE, json!("1")),
            (ENTERPRISE, json!({"employeeNumber": true})),
        ] {
            let mut changed = user(known.clone()).unwrap();
            changed.write(&json!({"userName": "ann", "active": false, field: value})).unwrap();
            assert!(changed == User { active: Some(false), ..user(known.clone()).unwrap() }, "{field} {value}");
        }
        let long = user(json!({"userName": "ann", "displayName": "ä".repeat(600)})).unwrap();
        assert_eq!(long.display_name, Some("ä".repeat(512)));
        let long = user(json!({"userName": "ann", "displayName": format!("x{}", "ä".repeat(600))})).unwrap();
        assert_eq!(long.display_name, Some(format!("x{}", "ä".repeat(511))));
        let emails = json!([
            {"value": {}, "type": "work"}, {"value": "b@example.com", "type": ["home"]}, {"value": "x".repeat(2000)},
            {"value": "c@example.com", "primary": ""}, {"value": "d@example.com", "primary": "maybe", "type": "work"}, true, [],
        ]);
        assert_eq!(addresses(json!({"userName": "ann", "emails": emails})), ["d@example.com", "c@example.com"]);
    }

    #[test]
    fn put_without_active_or_with_null_leaves_active_and_addresses_as_they_were() {
        for sent in [json!({"userName": "ann"}), json!({"userName": "ann", "active": null, "emails": null})] {
            let mut user =
                user(json!({"userName": "ann", "active": false, "emails": [{"value": "a@example.com"}]})).unwrap();
            user.write(&sent).unwrap();
            assert_eq!((user.active, user.emails.len()), (Some(false), 1));
        }
    }

    #[test]
    fn private_addresses_are_not_counted_and_a_user_name_is_if_it_is_an_address() {
        let of = |emails: Value| json!({"userName": "Ann@Example.com", "emails": emails});
        assert_eq!(addresses(of(json!(null))), ["Ann@Example.com"]);
        let many = json!([
            {"value": "home@example.net", "type": "home"}, {"value": "other@example.net", "type": "other"},
            {"value": "plain@example.com"}, {"value": "work@example.com", "type": "Work"},
            {"value": "main@example.com", "type": "other", "primary": true}, {"value": "ann@example.com", "type": "work"},
            {"value": "not an address", "type": "work"},
        ]);
        let expected = ["main@example.com", "work@example.com", "ann@example.com", "plain@example.com"];
        assert_eq!(addresses(of(many)), expected);
        assert_eq!(addresses(json!({"userName": "ann", "emails": "ann@example.com"})), ["ann@example.com"]);
        assert_eq!(addresses(json!({"userName": "ann"})), [""; 0]);
    }
}
