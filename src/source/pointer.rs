//! JSON Pointers (RFC 6901) into a body, with one more kind of step.

use serde::Deserialize;
use serde_json::Value;

use super::Unreadable;

/// The longest text that is believed, in bytes.
pub(super) const LONGEST_TEXT: usize = 512;

/// A JSON Pointer, one step of which may be `[key=value]`: the one element of a list that has this text, number or truth
/// value there.
///
/// Senders put whom an event is about into a list beside others. If several elements fit, none is meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pointer {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Only { key: String, is: String },
}

/// Several pointers: the first that points at something counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "OneOrMany")]
pub(super) struct Pointers(Vec<Pointer>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a JSON Pointer, which begins with a /, or a list of them")]
enum OneOrMany {
    One(Pointer),
    Many(Vec<Pointer>),
}

impl From<OneOrMany> for Pointers {
    fn from(pointers: OneOrMany) -> Self {
        match pointers {
            OneOrMany::One(pointer) => Self(vec![pointer]),
            OneOrMany::Many(pointers) => Self(pointers),
        }
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("`{text}` is not a JSON Pointer: it begins with a /"));
        }
        let steps = text.split('/').skip(1).map(step).collect();
        Ok(Self { text, steps })
    }
}

fn step(text: &str) -> Step {
    let plain = |text: &str| text.replace("~1", "/").replace("~0", "~");
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match inner.and_then(|inner| inner.split_once('=')) {
        Some((key, is)) => Step::Only { key: plain(key), is: plain(is) },
        None => Step::Key(plain(text)),
    }
}

impl Pointer {
    /// The pointer as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns why this pointer, which starts at an event, can point at nothing: JSON Pointers have no wildcard, and an event
    /// is an element of the list at `items` already.
    pub(super) fn is_vain(&self, items: Option<&Pointers>) -> Option<String> {
        let text = &self.text;
        let starts_at = |list: &Pointer| !list.steps.is_empty() && self.steps.starts_with(&list.steps);
        let first = self.steps.first();
        let is_index =
            matches!(first, Some(Step::Key(key)) if !key.is_empty() && key.bytes().all(|c| c.is_ascii_digit()));
        if self.steps.contains(&Step::Key("*".to_owned())) {
            Some(format!("`{text}` has a `*`, which JSON Pointers do not know: name the list in `event.items`"))
        } else if items.is_some_and(|items| is_index || items.0.iter().any(starts_at)) {
            let rest = "where `items` is given, pointers start at an event in the list";
            Some(format!("`{text}` can match nothing: {rest}, so leave out the way to it"))
        } else {
            None
        }
    }

    /// What stands here.
    pub(crate) fn find<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(body, |value, step| match (step, value) {
            (Step::Key(key), Value::Object(object)) => object.get(key),
            (Step::Key(key), Value::Array(list)) => list.get(key.parse::<usize>().ok()?),
            (Step::Only { key, is }, Value::Array(list)) => list.get(only(list, key, is)?),
            _ => None,
        })
    }

    /// Returns the value that stands here, to be changed.
    fn find_mut<'a>(&self, body: &'a mut Value) -> Option<&'a mut Value> {
        self.steps.iter().try_fold(body, |value, step| match (step, value) {
            (Step::Key(key), Value::Object(object)) => object.get_mut(key),
            (Step::Key(key), Value::Array(list)) => list.get_mut(key.parse::<usize>().ok()?),
            (Step::Only { key, is }, Value::Array(list)) => {
                let index = only(list, key, is)?;
                list.get_mut(index)
            }
            _ => None,
        })
    }

    /// Puts a value here, making what is missing on the way.
    pub(super) fn put(&self, body: &mut Value, value: Value) {
        let mut at = body;
        for step in &self.steps {
            at = match step {
                Step::Key(key) => {
                    if !at.is_object() {
                        *at = Value::Object(serde_json::Map::new());
                    }
                    &mut at[key.as_str()]
                }
                Step::Only { key, is } => {
                    if !at.is_array() {
                        *at = serde_json::json!([{ key.as_str(): is }]);
                    }
                    &mut at[0]
                }
            };
        }
        *at = value;
    }
}

/// Returns the index of the one element that has this text, number or truth value under `key`.
fn only(list: &[Value], key: &str, is: &str) -> Option<usize> {
    let fits = |value: &Value| match value {
        Value::String(text) => text == is,
        other => *is == format!("{other}"),
    };
    let has = |(index, element): (usize, &Value)| element.get(key).is_some_and(fits).then_some(index);
    let mut fitting = list.iter().enumerate().filter_map(has);
    fitting.next().filter(|_| fitting.next().is_none())
}

impl Pointers {
    /// The pointers as they were written.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.0.iter().map(Pointer::text).collect()
    }

    /// Returns why one of the pointers, which start at an event, can point at nothing.
    pub(super) fn is_vain(&self, items: Option<&Self>) -> Option<String> {
        self.0.iter().find_map(|pointer| pointer.is_vain(items))
    }

    /// The first pointer, as it was written.
    pub(super) fn name(&self) -> String {
        self.0.first().map(|pointer| pointer.text.clone()).unwrap_or_default()
    }

    /// The first pointer of all.
    pub(super) fn first(&self) -> Option<&Pointer> {
        self.0.first()
    }

    /// Returns what each of the pointers points at, nulls included.
    pub(super) fn all<'a>(&self, body: &'a Value) -> impl Iterator<Item = (&Pointer, &'a Value)> {
        self.0.iter().filter_map(|pointer| Some((pointer, pointer.find(body)?)))
    }

    /// Returns what the first pointer that points at something points at.
    pub(super) fn find<'a>(&self, body: &'a Value) -> Option<(&Pointer, &'a Value)> {
        let found =
            |pointer| Pointer::find(pointer, body).filter(|value| !is_nothing(value)).map(|value| (pointer, value));
        self.0.iter().find_map(found)
    }

    /// Takes the value out of the body at which the first such pointer points.
    pub(super) fn take(&self, body: &mut Value) -> Option<(&Pointer, Value)> {
        let (pointer, _) = self.find(body)?;
        pointer.find_mut(body).map(|value| (pointer, value.take()))
    }

    /// A text, or a number as text; `None` where there is nothing, or nothing but white space.
    pub(super) fn text(&self, body: &Value) -> Result<Option<String>, Unreadable> {
        self.find(body).map(|(pointer, value)| text(pointer, value)).transpose()
    }
}

/// Senders write null or an empty text for what is not known.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A text without control characters, or a whole number as text.
pub(super) fn text(pointer: &Pointer, value: &Value) -> Result<String, Unreadable> {
    let malformed = || Unreadable::Malformed(pointer.text.clone());
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return Err(malformed()),
    };
    let plain = text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
    if plain { Ok(text) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn an_element_is_picked_only_if_it_is_the_only_one() {
        let one = json!({ "target": [{ "type": "Group", "id": "g" }, { "type": "User", "id": "u" }] });
        assert_eq!(pointer("/target/[type=User]/id").find(&one), Some(&json!("u")));
        assert_eq!(pointer("/target/[type=App]/id").find(&one), None);
        let two = json!({ "target": [{ "type": "User", "id": "u" }, { "type": "User", "id": "v" }] });
        assert_eq!(pointer("/target/[type=User]/id").find(&two), None);
        assert_eq!(pointer("/target/1/id").find(&two), Some(&json!("v")));
        let primary = json!([{ "primary": false, "value": 1 }, { "primary": true, "value": 2 }, {}]);
        assert_eq!(pointer("/[primary=true]/value").find(&primary), Some(&json!(2)));
        assert_eq!(pointer("/[type=User]").find(&json!({ "[type=User]": 1 })), None);
    }

    #[test]
    fn keys_are_escaped_as_in_rfc_6901() {
        assert_eq!(pointer("/a~1b/m~0n").find(&json!({ "a/b": { "m~n": 8 } })), Some(&json!(8)));
        assert_eq!(pointer("").find(&json!(1)), Some(&json!(1)));
        let relative = Pointer::try_from("a/b".to_owned());
        assert_eq!(relative, Err("`a/b` is not a JSON Pointer: it begins with a /".to_owned()));
    }

    #[test]
    fn what_is_put_is_found_there() {
        let mut body = Value::Null;
        for (text, value) in
            [("/a/b", json!(1)), ("/list/[type=User]/id", json!("u")), ("/list/[type=User]/x", json!(2))]
        {
            pointer(text).put(&mut body, value.clone());
            assert_eq!(pointer(text).find(&body), Some(&value), "{text}");
        }
    }
}
