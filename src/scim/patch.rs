//! PATCH (RFC 7644 3.5.2) as Entra, Okta and others send it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    ScimError,
    path::{Attribute, Condition, Path, Scalar, bare},
    user::{MAX_EMAILS, User, UserEmail, boolean, display, elements, emails, identifier, required},
};

#[cfg(test)]
mod tests;

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
