//! Errors of the TOML reader in the words of TOML: a string, a number, a list, a table.

use super::nearest::suggestion;

/// Returns what is wrong with the value at `path`. A string's text is left out: it may be an e-mail address.
pub(super) fn in_words(path: &str, message: &str) -> String {
    let mismatch = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = mismatch.and_then(|mismatch| mismatch.split_once(", expected ")) {
        return format!("`{path}` must be {}, not {}", wanted(expected), given(found));
    }
    let unknown = |kind: &str| message.strip_prefix("unknown ")?.strip_prefix(kind)?.split_once(", expected ");
    let (noun, unknown) = match (unknown("variant "), unknown("field ")) {
        (Some(unknown), _) => ("value", Some(unknown)),
        (None, unknown) => ("key", unknown),
    };
    if let Some((name, known)) = unknown {
        return format!("`{path}`: unknown {noun} {name}: {}", suggestion(name.trim_matches('`'), &quoted(known)));
    }
    match message.strip_prefix("missing field ") {
        Some(key) => format!("`{path}`: {key} is missing"),
        None => format!("`{path}`: {message}"),
    }
}

/// Returns the keys that a table has, if the error is that it has another.
pub(super) fn fields_instead(message: &str) -> Option<Vec<&str>> {
    let known = message.strip_prefix("unknown field ")?.rsplit_once(", expected ");
    Some(known.map(|(_, known)| quoted(known)).unwrap_or_default())
}

/// Returns the names between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns a value that serde names by its Rust type.
fn given(found: &str) -> String {
    let quoted = || found.split('`').nth(1).unwrap_or_default();
    match found.split(' ').next().unwrap_or_default() {
        "boolean" => quoted().to_owned(),
        "integer" | "floating" => format!("the number {}", quoted()),
        "string" => "a string".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => found.to_owned(),
    }
}

/// Returns an expectation that serde names by its Rust type.
fn wanted(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a sequence" => "a list, like [\"…\"]",
        "path string" => "a string, the path of a file",
        "a nonzero u32" => "a whole number from 1",
        "i64" | "u32" | "u64" | "usize" => "a whole number",
        "a map" => "a table",
        expected if expected.starts_with("struct ") => "a table, like { key = \"…\" }",
        expected => expected,
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, path::PathBuf};

    use serde::de::DeserializeOwned;

    use super::*;

    /// Returns the error about a value that cannot be read as a `T`.
    fn said<T: DeserializeOwned>(value: &str) -> String {
        let error = toml::de::ValueDeserializer::parse(value).and_then(T::deserialize).err().expect(value);
        in_words("k", error.message())
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is never read")]
    struct Table {
        count: u32,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Reply {
        Report,
        Empty,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Empty {}

    #[test]
    fn fields_are_those_that_serde_names_beside_an_unknown_one() {
        fn message<T: DeserializeOwned>(table: &str) -> String {
            toml::from_str::<T>(table).err().expect(table).message().to_owned()
        }
        assert_eq!(fields_instead(&message::<Table>("cuont = 1")), Some(vec!["count"]));
        assert_eq!(fields_instead(&message::<Table>("\", expected `x\" = 1")), Some(vec!["count"]));
        assert_eq!(fields_instead(&message::<Empty>("cuont = 1")), Some(vec![]));
        assert_eq!(fields_instead(&message::<Table>("")), None);
    }

    #[test]
    fn error_is_said_in_the_words_of_toml() {
        for (said, expected) in [
            (said::<String>("3"), "`k` must be a string, not the number 3"),
            (said::<String>("1.5"), "`k` must be a string, not the number 1.5"),
            (said::<bool>("\"lee@example.com\""), "`k` must be true or false, not a string"),
            (said::<Vec<String>>("true"), "`k` must be a list, like [\"…\"], not true"),
            (said::<PathBuf>("[]"), "`k` must be a string, the path of a file, not a list"),
            (said::<NonZeroU32>("0"), "`k` must be a whole number from 1, not the number 0"),
            (said::<usize>("{ a = 1 }"), "`k` must be a whole number, not a table"),
            (said::<Table>("3"), "`k` must be a table, like { key = \"…\" }, not the number 3"),
            (said::<Table>("{}"), "`k`: `count` is missing"),
            (said::<Table>("{ cuont = 1 }"), "`k`: unknown key `cuont`: did you mean `count`?"),
            (said::<Reply>("\"emtpy\""), "`k`: unknown value `emtpy`: did you mean `empty`?"),
            (said::<Reply>("\"nothing\""), "`k`: unknown value `nothing`: expected one of report, empty"),
        ] {
            assert_eq!(said, expected);
        }
    }
}
