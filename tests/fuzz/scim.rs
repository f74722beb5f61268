//! What SCIM clients write: filters, paths, resources and PATCH operations.

use offboard::scim::{Filter, Patch, Path, ScimError, User, route};
use serde_json::{Value, json};

use crate::{case::Case, doors::DOORS};

const PASSWORD: &str = "marked-password";

/// Texts and bodies as clients send them.
pub fn corpus() -> Vec<Case> {
    let door = DOORS.iter().find(|door| door.source.kind.name == "scim").expect("a SCIM source");
    let case =
        |body: String| Case { door, id: String::new(), headers: Vec::new(), body: body.into_bytes(), moved: true };
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let texts = [
        "userName eq \"ann@example.com\"",
        "emails[type eq \"work\" and value eq \"ann\\\"@example.com\"]",
        "emails[type eq \"work\"].value eq ann",
        "id eq \"1\" and manager eq \"2\" and active eq True",
        "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName",
        "/prod/scim/v2/scim//Users/Users/1/",
    ];
    let operation = |op: Value| json!({ "Operations": [op] }).to_string();
    let bodies = [
        operation(json!({"op": "Replace", "path": "active", "value": "False"})),
        operation(json!({"op": "replace", "value": {"active": false, "name.givenName": "X", "emails": [{"value": "a"}]}})),
        operation(json!({"op": "add", "path": "emails[type eq \"work\"].value", "value": "b@example.com"})),
        operation(json!({"op": "remove", "path": "emails", "value": [{"value": "ann@example.com"}]})),
        operation(json!({"op": "replace", "path": format!("{enterprise}:employeeNumber"), "value": 7})),
        json!({"userName": "ann@example.com", "active": true, "password": PASSWORD, enterprise: {"employeeNumber": "1"}})
            .to_string(),
        json!({"userName": "ann", "emails": null, "name": {"formatted": "Ann"}, "active": null}).to_string(),
    ];
    texts.into_iter().map(str::to_owned).chain(bodies).map(case).collect()
}

/// Nothing ends in a panic, nothing is half done, an error shows nothing, and a password is nowhere.
pub fn oracle(case: &Case) {
    if let Ok(text) = std::str::from_utf8(&case.body) {
        let path = Path::parse(text);
        assert!(matches!(path, Ok(_) | Err(ScimError::InvalidPath)));
        let filter = Filter::parse(text);
        assert!(matches!(filter, Ok(_) | Err(ScimError::InvalidFilter)));
        assert_eq!((path, filter), (Path::parse(text), Filter::parse(text)), "read twice, read differently");
        assert!(route(text).is_none_or(|route| !route.source.contains('/')));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&case.body) else { return };
    patch(&body);
    let mut user = User::default();
    match user.write(&body) {
        Ok(()) => whole(&user),
        Err(error) => silent(&error),
    }
}

fn patch(body: &Value) {
    let mut before = User::default();
    let ann = json!({"userName": "ann@example.com", "active": true, "emails": [{"value": "ann@example.com", "type": "work"}]});
    before.write(&ann).expect("a user");
    let mut after = before.clone();
    match Patch::read(body).and_then(|patch| patch.apply(&mut after)) {
        Ok(()) => {
            whole(&after);
            let named = body.to_string().to_ascii_lowercase().contains("active");
            assert!(named || after.active == before.active, "active changed, and nothing named it");
        }
        Err(error) => {
            assert!(after == before, "half of it was done");
            silent(&error);
        }
    }
}

/// A user is shown so that reading it again changes nothing.
fn whole(user: &User) {
    assert!(!user.user_name.is_empty());
    let shown = Value::Object(user.resource());
    assert!(!shown.to_string().contains(PASSWORD) || user.user_name.contains(PASSWORD) || is_named(&shown));
    let mut again = User::default();
    again.write(&shown).expect("what is shown can be read");
    assert!(again == *user || user.active.is_none(), "shown and read, it is another");
    assert!(!format!("{user:?}").contains('@'));
    for email in user.addresses() {
        assert!(
            shown.to_string().contains(&json!(email.expose()).to_string()[1..])
                || shown.to_string().contains(email.expose())
        );
    }
}

/// Whether the changed input wrote the password's text into an attribute that is kept.
fn is_named(shown: &Value) -> bool {
    shown.get("password").is_none()
}

fn silent(error: &ScimError) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains('@') && !text.contains(PASSWORD) && text.len() < 250, "{text}");
}
