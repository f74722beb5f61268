//! Paths and filters, read and refused.

use super::*;

fn text(text: &str) -> Option<Scalar> {
    Some(Scalar::Text(text.to_owned()))
}

#[test]
fn path_with_schema_brackets_and_sub_attribute_is_read_in_any_case() {
    let work = Condition { name: "type".into(), value: Scalar::Text("work".into()) };
    let path = |attribute, elements: &[Condition], sub: Option<&str>| {
        Ok(Path { attribute, elements: elements.to_vec(), sub: sub.map(str::to_owned) })
    };
    for (written, expected) in [
        ("userName", path(Attribute::UserName, &[], None)),
        (" ACTIVE ", path(Attribute::Active, &[], None)),
        ("name.GivenName", path(Attribute::Name, &[], Some("givenname"))),
        ("emails[type eq \"work\"].value", path(Attribute::Emails, std::slice::from_ref(&work), Some("value"))),
        ("emails[ type EQ work ]", path(Attribute::Emails, &[work], None)),
        (CORE, path(Attribute::Core, &[], None)),
        (&format!("{CORE}:emails.value"), path(Attribute::Emails, &[], Some("value"))),
        (&ENTERPRISE.to_uppercase(), path(Attribute::Enterprise, &[], None)),
        (&format!("{ENTERPRISE}:employeeNumber"), path(Attribute::EmployeeNumber, &[], None)),
        (&format!("{ENTERPRISE}:manager"), path(Attribute::Manager, &[], None)),
        (&format!("{ENTERPRISE}:active"), path(Attribute::Other, &[], None)),
        ("urn:example:2.0:User:shoe", path(Attribute::Other, &[], None)),
        ("members", path(Attribute::Other, &[], None)),
    ] {
        assert_eq!(Path::parse(written), expected, "{written}");
    }
}

#[test]
fn text_that_is_not_a_path_is_refused() {
    for written in [
        "",
        "[",
        "emails[",
        "emails[]",
        "roles[]",
        "roles[\"a]",
        "emails[type]",
        "emails[type co \"x\"]",
        "a b",
        "1a",
        "a..b",
        "a.",
    ] {
        assert_eq!(Path::parse(written), Err(ScimError::InvalidPath), "{written}");
    }
    let schema = [format!("{CORE}.active"), format!("{CORE}[type eq \"x\"]"), format!("{ENTERPRISE}.employeeNumber")];
    let single = ["active[type eq \"x\"]", "active.value", "userName.x", "externalId[a eq b]", "name[a eq b]", "id.x"];
    for written in single.into_iter().chain(schema.iter().map(String::as_str)) {
        assert_eq!(Path::parse(written), Err(ScimError::InvalidPath), "{written}");
    }
    assert_eq!(Path::parse(&"a".repeat(5000)), Err(ScimError::InvalidPath));
}

#[test]
fn filter_is_read_as_clients_write_it() {
    let parts = |written: &str| -> Vec<(Attribute, Option<String>, Option<Scalar>)> {
        let terms = Filter::parse(written).unwrap_or_else(|error| panic!("{written}: {error}")).0;
        terms.into_iter().map(|term| (term.path.attribute, term.path.sub, term.value)).collect()
    };
    let value = || Some("value".to_owned());
    for (written, expected) in [
        ("userName eq \"ann@example.com\"", vec![(Attribute::UserName, None, text("ann@example.com"))]),
        ("USERNAME Eq \"a \\\"b\\\"\"", vec![(Attribute::UserName, None, text("a \"b\""))]),
        ("externalId eq jyoung", vec![(Attribute::ExternalId, None, text("jyoung"))]),
        ("active eq True", vec![(Attribute::Active, None, Some(Scalar::Bool(true)))]),
        ("emails[type eq \"work\"].value eq \"x\"", vec![(Attribute::Emails, value(), text("x"))]),
        ("emails[type eq \"work\" and value eq \"x\"]", vec![(Attribute::Emails, None, None)]),
        (
            "id eq \"1\" and manager eq \"2\"",
            vec![(Attribute::Id, None, text("1")), (Attribute::Manager, None, text("2"))],
        ),
    ] {
        assert_eq!(parts(written), expected, "{written}");
    }
}

#[test]
fn filter_of_another_form_is_refused() {
    for written in [
        "",
        "userName",
        "userName eq",
        "userName eq \"a",
        "userName co \"a\"",
        "userName eq \"a\" or active eq true",
        "(userName eq \"a\")",
        "not (userName eq \"a\")",
        "userName pr",
        "userName eq \"a\" and",
        "userName eq \"a\" active eq true",
        "userName eqx",
    ] {
        assert_eq!(Filter::parse(written), Err(ScimError::InvalidFilter), "{written}");
    }
}
