use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Outer {
    count: u32,
    inner: Inner,
    list: Vec<Inner>,
    map: BTreeMap<String, Inner>,
    form: Option<Form>,
    header: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    depth: u32,
    header: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Table(Inner),
}

fn read(text: &str) -> Result<Outer, Vec<String>> {
    let mut reporter = Reporter { text, diagnostics: Diagnostics::default() };
    let value = Section::new("it".to_owned(), DeTable::parse(text).unwrap()).read(&mut reporter);
    let diagnostics = reporter.diagnostics.sorted();
    assert_eq!(value.is_none(), !diagnostics.is_empty(), "{diagnostics}");
    value.ok_or_else(|| diagnostics.to_string().lines().map(str::to_owned).collect())
}

#[test]
fn unknown_key_is_reported_with_its_line_wherever_it_stands() {
    for (text, expected) in [
        ("count = 1\ncuont = 1", "line 2: unknown key `cuont` in `it`: did you mean `count`?"),
        ("\n[inner]\ndepht = 1", "line 3: unknown key `inner.depht` in `it`: did you mean `depth`?"),
        ("inner.depht = 1", "line 1: unknown key `inner.depht` in `it`: did you mean `depth`?"),
        (
            "[[list]]\ndepth = 1\n[[list]]\ndepth = 2\ndepht = 1",
            "line 5: unknown key `list.1.depht` in `it`: did you mean `depth`?",
        ),
        ("list = [\n  { depht = 1 },\n]", "line 2: unknown key `list.0.depht` in `it`: did you mean `depth`?"),
        ("[map.a]\n[map.b]\ndepht = 1", "line 3: unknown key `map.b.depht` in `it`: did you mean `depth`?"),
        ("[form.table]\ndepht = 1", "line 2: unknown key `form.table.depht` in `it`: did you mean `depth`?"),
        ("[inner]\n\"a, expected `depht\" = 1", "line 2: unknown key `inner.a, expected `depht` in `it`"),
        ("inner = { depth = 1 }\nother = { depth = 1, deep = { er = [1] } }", "line 2: unknown key `other` in `it`"),
    ] {
        assert_eq!(read(text), Err(vec![expected.to_owned()]), "{text}");
    }
}

#[test]
fn all_unknown_keys_and_wrong_values_are_reported_together() {
    let text = "hedaer = 1\ncount = \"x\"\ninner = { hedaer = 1, depht = 1, depth = 3 }\nmap = { a = { depth = \"x\" } }\n\
                [[list]]\nhedaer = \"x\"\n[[list]]\nhedaer = \"x\"\n";
    let expected = [
        "line 1: unknown key `hedaer` in `it`: did you mean `header`?",
        "line 2: `it.count` must be a whole number, not a string",
        "line 3: unknown key `inner.depht` in `it`: did you mean `depth`?",
        "line 3: unknown key `inner.hedaer` in `it`: did you mean `header`?",
        "line 4: `it.map.a.depth` must be a whole number, not a string",
        "line 6: unknown key `list.0.hedaer` in `it`: did you mean `header`?",
        "line 8: unknown key `list.1.hedaer` in `it`: did you mean `header`?",
    ];
    assert_eq!(read(text), Err(expected.map(str::to_owned).to_vec()));
}

#[test]
fn key_that_was_taken_out_is_suggested_at_the_top_alone() {
    let mut reporter = Reporter { text: "", diagnostics: Diagnostics::default() };
    let table = DeTable::parse("secret = 1\nsercet = 1\ninner = { sercet = 1 }").unwrap();
    let mut section = Section::new("it".to_owned(), table);
    section.split(&["secret"]);
    assert_eq!(section.read::<Outer>(&mut reporter), None);
    let messages = reporter.diagnostics.0.into_iter().map(|diagnostic| diagnostic.message).collect::<Vec<_>>();
    let expected = ["unknown key `inner.sercet` in `it`", "unknown key `sercet` in `it`: did you mean `secret`?"]
        .map(str::to_owned);
    assert_eq!(messages, expected);
}
