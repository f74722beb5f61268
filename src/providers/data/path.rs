//! JSON Pointers with one more kind of step: `*` stands for every element of a list.

use serde::Deserialize;
use serde_json::Value;

use crate::source::pointer::Pointer;

/// `/emails/*/value`: every value that stands there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Path(Vec<Pointer>);

/// One path, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "PathOrPaths")]
pub(super) struct Paths(Vec<Path>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a JSON Pointer, which begins with a /, or a list of them")]
enum PathOrPaths {
    Path(Path),
    Paths(Vec<Path>),
}

impl From<PathOrPaths> for Paths {
    fn from(paths: PathOrPaths) -> Self {
        match paths {
            PathOrPaths::Path(path) => Self(vec![path]),
            PathOrPaths::Paths(paths) => Self(paths),
        }
    }
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("`{text}` is not a JSON Pointer: it begins with a /"));
        }
        let mut pointers = vec![String::new()];
        for step in text.split('/').skip(1) {
            match (step, pointers.last_mut()) {
                ("*", _) | (_, None) => pointers.push(String::new()),
                (step, Some(last)) => *last = format!("{last}/{step}"),
            }
        }
        pointers.into_iter().map(Pointer::try_from).collect::<Result<_, _>>().map(Self)
    }
}

impl Path {
    /// Every value that stands here. Of the elements of a list, one may lack what another has.
    fn values<'a>(&self, body: &'a Value) -> Vec<&'a Value> {
        let step = |found: Vec<&'a Value>, (index, pointer): (usize, &Pointer)| match index {
            0 => found.into_iter().filter_map(|value| pointer.find(value)).collect(),
            _ => {
                let elements = found.into_iter().filter_map(Value::as_array).flatten();
                elements.filter_map(|value| pointer.find(value)).collect()
            }
        };
        self.0.iter().enumerate().fold(vec![body], step)
    }

    /// Every value that stands here; `None` if one is missing, or what should be a list is none.
    pub(super) fn all<'a>(&self, body: &'a Value) -> Option<Vec<&'a Value>> {
        let step = |found: Vec<&'a Value>, (index, pointer): (usize, &Pointer)| {
            let found = if index > 0 { elements(found)? } else { found };
            found.into_iter().map(|value| pointer.find(value)).collect::<Option<Vec<_>>>()
        };
        self.0.iter().enumerate().try_fold(vec![body], step)
    }

    /// The elements of the lists that stand here; `None` if any of them is missing or not a list.
    pub(super) fn elements<'a>(&self, body: &'a Value) -> Option<Vec<&'a Value>> {
        elements(self.all(body)?)
    }
}

/// The elements of lists; `None` if any of them is none.
fn elements(found: Vec<&Value>) -> Option<Vec<&Value>> {
    let lists = found.into_iter().map(Value::as_array).collect::<Option<Vec<_>>>()?;
    Some(lists.into_iter().flatten().collect())
}

impl Paths {
    /// The elements at the first of the paths where there are lists.
    pub(super) fn elements<'a>(&self, body: &'a Value) -> Option<Vec<&'a Value>> {
        self.0.iter().find_map(|path| path.elements(body))
    }

    /// Whether nothing stands at any of the paths.
    pub(super) fn are_missing(&self, body: &Value) -> bool {
        self.0.iter().all(|path| path.all(body).is_none())
    }

    /// The texts that stand at the paths without a `*`.
    pub(super) fn single<'a>(&self, item: &'a Value) -> Vec<&'a str> {
        let paths = self.0.iter().filter(|path| path.0.len() == 1);
        paths.flat_map(|path| path.values(item)).filter_map(Value::as_str).collect()
    }

    /// The texts that stand at the paths with a `*`, each with whether its element of the list is the `primary` one.
    pub(super) fn listed<'a>(&self, item: &'a Value) -> Vec<(&'a str, bool)> {
        let paths = self.0.iter().filter_map(|path| path.0.split_last().filter(|(_, lists)| !lists.is_empty()));
        let elements = paths.flat_map(|(last, lists)| {
            let lists = Path(lists.to_vec()).values(item).into_iter().filter_map(Value::as_array).flatten();
            lists.map(move |element| (last.find(element), element.get("primary") == Some(&Value::Bool(true))))
        });
        elements.filter_map(|(text, is_primary)| Some((text?.as_str()?, is_primary))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        Path::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn star_stands_for_every_element_of_a_list() {
        let item = json!({"emails": [{"value": "a"}, {"type": "work"}, {"value": "b", "primary": true}], "plain": "c"});
        let paths = |paths: &[&str]| Paths(paths.iter().map(|text| path(text)).collect());
        let all = paths(&["/emails/*/value", "/plain", "/nowhere", "/emails/0/value"]);
        assert_eq!(all.single(&item), ["c", "a"]);
        assert_eq!(all.listed(&item), [("a", false), ("b", true)]);
        assert_eq!(
            Path::try_from("plain".to_owned()),
            Err("`plain` is not a JSON Pointer: it begins with a /".to_owned())
        );
    }

    #[test]
    fn first_list_that_is_there_counts() {
        let paths = Paths(vec![path("/resources"), path("/Resources")]);
        assert_eq!(paths.elements(&json!({"Resources": [1]})), Some(vec![&json!(1)]));
        assert_eq!(paths.elements(&json!({"resources": [2], "Resources": [1]})), Some(vec![&json!(2)]));
        assert_eq!(paths.elements(&json!({})), None);
    }

    #[test]
    fn elements_are_those_of_every_list_and_none_of_a_missing_one() {
        let body = json!({"domains": [{"users": [1, 2]}, {"users": [3]}], "broken": [{"users": [1]}, {}]});
        assert_eq!(path("/domains/*/users").elements(&body), Some(vec![&json!(1), &json!(2), &json!(3)]));
        assert_eq!(path("").elements(&json!([4])), Some(vec![&json!(4)]));
        for missing in ["/broken/*/users", "/nowhere", "/domains/0", ""] {
            assert_eq!(path(missing).elements(&body), None, "{missing}");
        }
    }
}
