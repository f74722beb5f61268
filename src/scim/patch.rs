//! PATCH (RFC 7644 3.5.2) as Entra, Okta and others send it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    ScimError,
    path::{Attribute, Condition, Path, Scalar, bare},
    user::{MAX_EMAILS, User, UserEmail, boolean, display, elements, emails, identifier, required},
};

/// Which of the two counts is not defined, and one of them may say that the user is not active.
const TWICE: ScimError = ScimError::InvalidSyntax("it names an attribute twice");

/// The operations of a PATCH.
#[derive(Clone, Debug)]
pub struct Patch(Vec<Operation>);

#[derive(Clone, Debug)]
struct Operation {
    verb: Verb,
    path: Option<Path>,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

impl Patch {
    /// Reads the body of a PATCH. Names are compared without case.
    ///
    /// # Errors
    /// [`ScimError::InvalidSyntax`], [`ScimError::InvalidPath`] or [`ScimError::NoTarget`].
    pub fn read(body: &Value) -> Result<Self, ScimError> {
        let operations = member(body, "operations")?.and_then(Value::as_array).filter(|list| !list.is_empty());
        let operations = operations.ok_or(ScimError::InvalidSyntax("it has no list `Operations`"))?;
        operations.iter().map(Operation::read).collect::<Result<_, _>>().map(Self)
    }

    /// Carries the operations out in order, all or none. Attributes that are not kept are passed over, and so are values that cannot
    /// be used if nothing depends on them.
    ///
    /// # Errors
    /// The user is as it was: [`ScimError::InvalidPath`], [`ScimError::InvalidSyntax`], or [`ScimError::InvalidValue`] of `userName`, or
    /// of `active`, also where an operation takes back that the user is not active.
    pub fn apply(&self, user: &mut User) -> Result<(), ScimError> {
        let mut changed = user.clone();
        let mut said = None;
        for Operation { verb, path, value } in &self.0 {
            changed.active = None;
            match path {
                Some(path) => write(&mut changed, *verb, path, value)?,
                None => write_all(&mut changed, *verb, value, &mut BTreeSet::new())?,
            }
            if said == Some(false) && changed.active == Some(true) {
                return Err(ScimError::InvalidValue("active"));
            }
            said = changed.active.or(said);
        }
        *user = User { active: said.or(user.active), ..changed };
        Ok(())
    }
}

impl Operation {
    fn read(operation: &Value) -> Result<Self, ScimError> {
        let verb = member(operation, "op")?.and_then(Value::as_str).map(str::to_ascii_lowercase);
        let verb = match verb.as_deref() {
            Some("add") => Verb::Add,
            Some("replace") => Verb::Replace,
            Some("remove") => Verb::Remove,
            _ => return Err(ScimError::InvalidSyntax("an operation is add, replace or remove")),
        };
        let path = match member(operation, "path")? {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(Path::parse(text)?),
            Some(_) => return Err(ScimError::InvalidPath),
        };
        if path.is_none() && verb == Verb::Remove {
            return Err(ScimError::NoTarget);
        }
        let value = member(operation, "value")?.cloned().unwrap_or_default();
        Ok(Self { verb, path, value })
    }
}

/// Returns a member of an object, whose name is compared without case.
fn member<'a>(object: &'a Value, name: &str) -> Result<Option<&'a Value>, ScimError> {
    let mut found = object.as_object().into_iter().flatten().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(TWICE),
        (found, None) => Ok(found.map(|(_, value)| value)),
    }
}

/// Writes an object whose keys are paths: `name.givenName`, or one that begins with a schema. `seen` has the attributes that the
/// operation named so far, in lower case.
fn write_all(user: &mut User, verb: Verb, value: &Value, seen: &mut BTreeSet<String>) -> Result<(), ScimError> {
    let Value::Object(fields) = value else { return Err(ScimError::InvalidValue("the operation")) };
    for (key, value) in fields {
        let path = Path::parse(key)?;
        if !seen.insert(bare(&key.trim().to_ascii_lowercase()).to_owned()) {
            return Err(TWICE);
        }
        match path.attribute {
            Attribute::Core if verb != Verb::Remove => write_all(user, verb, value, seen)?,
            _ => write(user, verb, &path, value)?,
        }
    }
    Ok(())
}

fn write(user: &mut User, verb: Verb, path: &Path, value: &Value) -> Result<(), ScimError> {
    let value = if verb == Verb::Remove && path.attribute != Attribute::Emails { &Value::Null } else { value };
    match path.attribute {
        Attribute::UserName => user.user_name = required(value)?,
        Attribute::ExternalId => identifier(&mut user.external_id, value),
        // `remove` says nothing of whether the user is active.
        Attribute::Active => user.active = boolean("active", value)?.or(user.active),
        Attribute::DisplayName => display(&mut user.display_name, value),
        Attribute::EmployeeNumber => identifier(&mut user.employee_number, value),
        Attribute::Name => match &path.sub {
            None => user.name.write(value),
            Some(sub) => {
                if let Some(part) = user.name.part(sub) {
                    display(part, value);
                }
            }
        },
        Attribute::Emails => write_emails(&mut user.emails, verb, path, value),
        Attribute::Core if verb != Verb::Remove => write_all(user, verb, value, &mut BTreeSet::new())?,
        Attribute::Enterprise if verb == Verb::Remove => user.employee_number = None,
        Attribute::Enterprise => user.write_enterprise(value),
        Attribute::Core | Attribute::Id | Attribute::Manager | Attribute::Other => {}
    }
    Ok(())
}

fn write_emails(list: &mut Vec<UserEmail>, verb: Verb, path: &Path, value: &Value) {
    let fits = |email: &UserEmail| path.elements.iter().all(|condition| holds(condition, email));
    match (&path.sub, verb) {
        (None, Verb::Remove) => {
            // Entra lists the values to remove.
            let named = emails(value);
            let is_named = |email: &UserEmail| named.is_empty() || named.iter().any(|one| one.value == email.value);
            list.retain(|email| !(fits(email) && is_named(email)));
        }
        (None, _) if path.elements.is_empty() => {
            let new = emails(value);
            if verb == Verb::Replace {
                list.clear();
            }
            new.into_iter().for_each(|email| add(list, email));
        }
        (None, _) => {
            for (key, value) in elements(value).iter().filter_map(Value::as_object).take(1).flatten() {
                write_sub(list, path, &key.to_ascii_lowercase(), value);
            }
        }
        (Some(sub), Verb::Remove) => write_sub(list, path, sub, &Value::Null),
        (Some(sub), _) => write_sub(list, path, sub, value),
    }
    list.retain(|email| !email.value.is_empty());
    list.truncate(MAX_EMAILS);
}

/// Adds an element, in place of one with the same value and type.
fn add(list: &mut Vec<UserEmail>, email: UserEmail) {
    match list.iter_mut().find(|known| known.value == email.value && known.r#type == email.r#type) {
        Some(known) => *known = email,
        None => list.push(email),
    }
}

/// Writes a sub-attribute of the elements that fit; without any, of a new one, as Entra expects it.
fn write_sub(list: &mut Vec<UserEmail>, path: &Path, sub: &str, value: &Value) {
    let mut is_found = false;
    for email in list.iter_mut().filter(|email| path.elements.iter().all(|condition| holds(condition, email))) {
        email.write(sub, value);
        is_found = true;
    }
    if !is_found && !value.is_null() {
        let mut email = UserEmail::default();
        for condition in &path.elements {
            email.write(&condition.name, &Value::from(condition.value.text()));
        }
        email.write(sub, value);
        list.push(email);
    }
}

/// Returns whether a condition in brackets holds of an element. A sub-attribute that is not kept is in none.
pub(super) fn holds(condition: &Condition, email: &UserEmail) -> bool {
    let Condition { name, value } = condition;
    match name.as_str() {
        "value" => email.value.eq_ignore_ascii_case(value.text()),
        "type" => email.r#type.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(value.text())),
        "primary" => Scalar::truth(value) == Some(email.primary.unwrap_or_default()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::path::{CORE, ENTERPRISE};

    fn ann() -> User {
        let mut user = User::default();
        let resource = json!({
            "userName": "ann@example.com", "active": true, "name": {"givenName": "Ann", "familyName": "Lee"},
            "emails": [{"value": "ann@example.com", "type": "work", "primary": true}, {"value": "a@example.net", "type": "home"}],
        });
        user.write(&resource).unwrap();
        user
    }

    /// Carries one operation out.
    fn patched(operation: Value) -> Result<User, ScimError> {
        let mut user = ann();
        Patch::read(&json!({"Operations": [operation]}))?.apply(&mut user).map(|()| user)
    }

    fn emails(operation: Value) -> Vec<(String, Option<String>)> {
        let user = patched(operation).unwrap();
        user.emails.into_iter().map(|email| (email.value, email.r#type)).collect()
    }

    fn work(value: &str) -> (String, Option<String>) {
        (value.to_owned(), Some("work".to_owned()))
    }

    fn home() -> (String, Option<String>) {
        ("a@example.net".to_owned(), Some("home".to_owned()))
    }

    #[test]
    fn every_form_in_which_a_user_is_disabled_disables() {
        let key = format!("{ENTERPRISE}:employeeNumber");
        for operation in [
            json!({"op": "Replace", "path": "active", "value": "False"}),
            json!({"op": "replace", "path": "active", "value": false}),
            json!({"op": "Replace", "path": "active", "value": false}),
            json!({"op": "replace", "value": {"active": false}}),
            json!({"op": "replace", "value": {"active": "False", "name.givenName": "X", key: "7"}}),
            json!({"op": "Add", "path": "active", "value": false}),
            json!({"OP": "REPLACE", "Path": "ACTIVE", "Value": "FALSE"}),
            json!({"op": "replace", "path": format!("{CORE}:active"), "value": false}),
            json!({"op": "replace", "path": CORE, "value": {"active": false}}),
            json!({"op": "replace", "value": {CORE: {"active": false}}}),
        ] {
            assert_eq!(patched(operation.clone()).unwrap().active, Some(false), "{operation}");
        }
        for value in [json!(true), json!("True"), json!("true")] {
            let mut user = User { active: Some(false), ..ann() };
            let body = json!({"operations": [{"op": "replace", "path": "active", "value": value}]});
            Patch::read(&body).unwrap().apply(&mut user).unwrap();
            assert_eq!(user.active, Some(true));
        }
    }

    #[test]
    fn active_that_is_removed_or_null_stays_and_anything_else_is_refused() {
        for operation in
            [json!({"op": "remove", "path": "active"}), json!({"op": "replace", "path": "active", "value": null})]
        {
            assert_eq!(patched(operation).unwrap().active, Some(true));
        }
        for value in [json!("no"), json!(0), json!({}), json!([false]), json!("")] {
            let refused = patched(json!({"op": "replace", "path": "active", "value": value}));
            assert_eq!(refused.unwrap_err(), ScimError::InvalidValue("active"), "{value}");
        }
    }

    #[test]
    fn address_is_replaced_where_it_stands_and_created_where_it_does_not() {
        let path = "emails[type eq \"work\"].value";
        let new = json!({"op": "Replace", "path": path, "value": "b@example.com"});
        assert_eq!(emails(new), [work("b@example.com"), home()]);
        let other = ("o@example.com".to_owned(), Some("other".to_owned()));
        let new = json!({"op": "Add", "path": "emails[type eq \"other\"].value", "value": "o@example.com"});
        assert_eq!(emails(new), [work("ann@example.com"), home(), other]);
        assert_eq!(emails(json!({"op": "Remove", "path": path})), [home()]);
        assert_eq!(emails(json!({"op": "remove", "path": "emails[type eq \"work\"]"})), [home()]);
        assert_eq!(emails(json!({"op": "remove", "path": "emails"})), []);
        assert_eq!(
            emails(json!({"op": "Remove", "path": "emails", "value": [{"value": "a@example.net"}]})),
            [work("ann@example.com")]
        );
        let listed = json!([{"value": "b@example.com", "type": "work"}]);
        assert_eq!(emails(json!({"op": "replace", "path": "emails", "value": listed})), [work("b@example.com")]);
        assert_eq!(emails(json!({"op": "add", "path": "emails", "value": listed})).len(), 3);
        let named =
            json!({"op": "replace", "path": "emails[primary eq \"True\"]", "value": {"value": "b@example.com"}});
        assert_eq!(emails(named), [work("b@example.com"), home()]);
        assert_eq!(
            emails(json!({"op": "replace", "path": "emails[display eq x].value", "value": "b@example.com"})).len(),
            3
        );
    }

    #[test]
    fn word_that_the_user_is_inactive_is_never_taken_back_by_the_same_body() {
        let off = json!({"op": "replace", "path": "active", "value": false});
        let on = json!({"op": "replace", "path": "active", "value": true});
        let display = json!({"op": "replace", "path": "displayName", "value": "A"});
        let active = |operations: Value| {
            let mut user = ann();
            Patch::read(&json!({"Operations": operations}))?.apply(&mut user).map(|()| user.active)
        };
        let unset = json!({"op": "remove", "path": "active"});
        for operations in [json!([off, display]), json!([off, unset]), json!([on, off]), json!([off, off])] {
            assert_eq!(active(operations.clone()), Ok(Some(false)), "{operations}");
        }
        assert_eq!(active(json!([off, on])), Err(ScimError::InvalidValue("active")));
        assert_eq!(
            active(json!([off, display, {"op": "add", "value": {"active": "True"}}])),
            Err(ScimError::InvalidValue("active"))
        );
        let key = format!("{}:active", CORE.to_uppercase());
        for value in [
            json!({"active": true, "ACTIVE": false}),
            json!({"ACTIVE": true, "active": false}),
            json!({"active": false, key: true}),
            json!({"active": true, CORE: {"active": false}}),
            json!({CORE: {"active": false}, CORE.to_uppercase(): {"active": true}}),
            json!({"active": false, " active": true}),
        ] {
            assert_eq!(active(json!([{"op": "replace", "value": value}])), Err(TWICE), "{value}");
        }
        for operation in [
            json!({"op": "replace", "path": "active", "value": false, "VALUE": true}),
            json!({"op": "replace", "path": "active", "PATH": "displayName", "value": false}),
            json!({"op": "replace", "OP": "remove", "path": "active", "value": false}),
        ] {
            assert_eq!(active(json!([operation])), Err(TWICE), "{operation}");
        }
        assert_eq!(Patch::read(&json!({"Operations": [on], "operations": [off]})).unwrap_err(), TWICE);
    }

    #[test]
    fn value_that_cannot_be_used_costs_no_other_operation() {
        let off = json!({"op": "replace", "path": "active", "value": "False"});
        for operation in [
            json!({"op": "replace", "path": "displayName", "value": ["x"]}),
            json!({"op": "replace", "path": "name", "value": "Ann"}),
            json!({"op": "replace", "path": "name.givenName", "value": {}}),
            json!({"op": "replace", "path": "externalId", "value": [7]}),
            json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": ["x"]}),
            json!({"op": "replace", "path": "emails[type eq \"work\"]", "value": "x"}),
            json!({"op": "add", "path": "emails[type eq \"other\"].value", "value": {}}),
            json!({"op": "add", "path": "emails[type eq \"work\"]", "value": [{"value": "ann@example.com"}]}),
            json!({"op": "add", "path": "emails", "value": [{"value": [], "type": "work"}]}),
            json!({"op": "replace", "path": ENTERPRISE, "value": 7}),
        ] {
            let mut user = ann();
            Patch::read(&json!({"Operations": [operation, off]})).unwrap().apply(&mut user).unwrap();
            assert!(user == User { active: Some(false), ..ann() }, "{operation}");
        }
        let listed = json!([{"value": "b@example.com"}, {"value": "c@example.com"}]);
        let named = json!({"op": "replace", "path": "emails[type eq \"work\"]", "value": listed});
        assert_eq!(emails(named), [work("b@example.com"), home()]);
    }

    #[test]
    fn attribute_that_is_not_kept_is_accepted_and_dropped() {
        for operation in [
            json!({"op": "Add", "path": "nickName", "value": "Annie"}),
            json!({"op": "Add", "path": "manager", "value": [{"$ref": "../Users/1", "value": "1"}]}),
            json!({"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "1"}),
            json!({"op": "Remove", "path": "members", "value": [{"value": "u1"}]}),
            json!({"op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "admin"}),
            json!({"op": "Replace", "path": "addresses[type eq \"work\"].formatted", "value": "x"}),
            json!({"op": "Replace", "path": "phoneNumbers[value pr].value", "value": "1"}),
            json!({"op": "remove", "path": "roles[not (display eq \"a]\\\"]b\") or primary eq true]"}),
            json!({"op": "Replace", "path": "password", "value": "hunter2"}),
            json!({"op": "replace", "value": {"id": "2", "schemas": [], "urn:example:2.0:User": {"x": 1}, "phoneNumbers": null}}),
            json!({"op": "replace", "path": "name.middleName", "value": "X"}),
            json!({"op": "replace", "path": "displayName", "value": null}),
        ] {
            assert!(patched(operation.clone()).unwrap() == ann(), "{operation}");
        }
    }

    #[test]
    fn all_operations_are_carried_out_in_order_or_none() {
        let mut user = ann();
        let body = json!({"Operations": [
            {"op": "Replace", "path": "userName", "value": "b@example.com"},
            {"op": "replace", "path": "name.familyName", "value": "Li"},
            {"op": "replace", "path": "userName", "value": "c@example.com"},
            {"op": "replace", "path": "externalId", "value": 7},
        ]});
        Patch::read(&body).unwrap().apply(&mut user).unwrap();
        assert_eq!((user.user_name.as_str(), user.name.family_name.as_deref()), ("c@example.com", Some("Li")));
        assert_eq!(user.external_id.as_deref(), Some("7"));
        let body = json!({"Operations": [{"op": "replace", "path": "userName", "value": "x"}, {"op": "replace", "path": "active", "value": 1}]});
        let before = user.clone();
        assert_eq!(Patch::read(&body).unwrap().apply(&mut user), Err(ScimError::InvalidValue("active")));
        assert!(user == before);
    }

    #[test]
    fn body_that_is_not_understood_is_refused() {
        for (body, error) in [
            (json!({}), ScimError::InvalidSyntax("it has no list `Operations`")),
            (json!({"Operations": []}), ScimError::InvalidSyntax("it has no list `Operations`")),
            (
                json!({"Operations": [{"op": "move", "path": "active"}]}),
                ScimError::InvalidSyntax("an operation is add, replace or remove"),
            ),
            (
                json!({"Operations": [{"path": "active"}]}),
                ScimError::InvalidSyntax("an operation is add, replace or remove"),
            ),
            (json!({"Operations": [{"op": "remove"}]}), ScimError::NoTarget),
            (json!({"Operations": [{"op": "add", "path": "a b"}]}), ScimError::InvalidPath),
            (json!({"Operations": [{"op": "add", "path": 7}]}), ScimError::InvalidPath),
        ] {
            assert_eq!(Patch::read(&body).unwrap_err(), error, "{body}");
        }
        for (operation, error) in [
            (json!({"op": "replace", "value": "False"}), ScimError::InvalidValue("the operation")),
            (json!({"op": "replace", "value": {"a b": 1}}), ScimError::InvalidPath),
            (json!({"op": "remove", "path": "userName"}), ScimError::InvalidValue("userName")),
        ] {
            assert_eq!(patched(operation).unwrap_err(), error);
        }
    }
}
