//! The operations of a PATCH: what they write, what they pass over, and what is refused.

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
    let named = json!({"op": "replace", "path": "emails[primary eq \"True\"]", "value": {"value": "b@example.com"}});
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
