//! How an address is masked, wherever it stands in a text.

/// Masks every address in `text`, also where the `@` is escaped or another sign for it: `%40`, `%2540`, `\u0040`, `&#64;`, `＠`.
///
/// A word ends only at what no address has: combining marks, typographic apostrophes and emoji are letters of some address, and so is
/// what is escaped. A word in which something beside an address is hidden is the lesser evil.
pub fn mask_addresses(text: &str) -> String {
    let text = unescape_at_signs(text);
    if !text.contains('@') {
        return text;
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c| !ends_word(c)) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(word_length(from));
        masked.push_str(before);
        masked.push_str(&mask(word));
        rest = after;
    }
    masked + rest
}

/// Whether no address has this character outside quotes.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "()<>[]:;,\"".contains(c)
}

/// Returns the length of the word with which `text` begins, in bytes. The `;` of a character that is escaped as in HTML is part of it.
fn word_length(text: &str) -> usize {
    let is_name =
        |name: &str| (2..=8).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#');
    let is_escaped = |before: &str| before.rsplit_once('&').is_some_and(|(_, name)| is_name(name));
    let mut ends = text.char_indices().filter(|(_, c)| ends_word(*c));
    ends.find(|(at, c)| *c != ';' || !is_escaped(&text[..*at])).map_or(text.len(), |(at, _)| at)
}

/// Masks every address in a departure's id, `SOURCE/EVENT`. The source's name stays.
pub fn mask_departure_id(id: &str) -> String {
    match id.split_once('/') {
        Some((source, event)) => format!("{source}/{}", mask_addresses(event)),
        None => mask_addresses(id),
    }
}

/// Replaces every escaped `@` by itself, however often it was escaped.
fn unescape_at_signs(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['%', '\\', '&', '＠', '﹫']) {
        let (before, from) = rest.split_at(start);
        plain.push_str(before);
        rest = match after_escaped_at(from) {
            Some(after) => {
                plain.push('@');
                after
            }
            None => {
                let (first, after) = from.split_at(1);
                plain.push_str(first);
                after
            }
        };
    }
    plain + rest
}

/// Returns what follows an escaped `@` at the start of `text`.
fn after_escaped_at(text: &str) -> Option<&str> {
    let signs = ["＠", "﹫", "&#64;", "&#x40;", "&#X40;", "&commat;"];
    if let Some(after) = signs.iter().find_map(|sign| text.strip_prefix(sign)) {
        return Some(after);
    }
    let mut percent = text.strip_prefix('%');
    while let Some(after) = percent {
        match after.strip_prefix("40") {
            Some(after) => return Some(after),
            None => percent = after.strip_prefix("25"),
        }
    }
    text.starts_with('\\').then(|| text.trim_start_matches('\\').strip_prefix("u0040"))?
}

/// Masks what stands before the last `@` of a word; a word without one stays as it is.
pub(super) fn mask(word: &str) -> String {
    match word.rsplit_once('@') {
        Some((local, domain)) => {
            let first = local.chars().next().map(String::from).unwrap_or_default();
            format!("{first}…@{domain}")
        }
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::Email;

    #[test]
    fn departure_id_is_masked_behind_its_source() {
        for (id, masked) in [
            ("okta/lee@example.com", "okta/l…@example.com"),
            ("okta/a/lee@example.com", "okta/a…@example.com"),
            ("hr/4711", "hr/4711"),
            ("lee@example.com", "l…@example.com"),
        ] {
            assert_eq!(mask_departure_id(id), masked);
            assert_eq!(mask_departure_id(masked), masked);
        }
    }

    #[test]
    fn addresses_are_masked_wherever_they_stand() {
        let ann = Email::parse("ann@example.com").unwrap();
        assert_eq!(format!("{ann} {ann:?}"), "a…@example.com a…@example.com");
        let text = "user <ann@example.com>, \"bob.b+x@sub.example.com\": q=eve%40example.com; nobody";
        let masked = "user <a…@example.com>, \"b…@sub.example.com\": q…@example.com; nobody";
        assert_eq!(mask_addresses(text), masked);
        assert_eq!(mask_addresses(masked), masked);
    }

    #[test]
    fn escaped_addresses_are_masked() {
        for escape in ["%40", "%2540", "%252540", "\\u0040", "\\\\u0040", "&#64;", "&#x40;", "&commat;", "＠", "﹫"] {
            for text in ["q=ann{}example.com&x", "\\nann{}example.com", "an\\u002bn{}example.com", "5%ann{}example.com"]
            {
                let masked = mask_addresses(&text.replace("{}", escape));
                assert!(masked.contains("…@example.com") && !masked.contains("nn"), "{masked}");
            }
        }
        assert_eq!(mask_addresses("100%, C:\\users, %41, \\u0041"), "100%, C:\\users, %41, \\u0041");
    }

    #[test]
    fn address_is_masked_whatever_characters_it_has() {
        for local in [
            "jose\u{301}",
            "o\u{2019}neil",
            "a\u{300}\u{323}nn",
            "a\u{1f469}\u{200d}\u{1f4bb}b",
            "a\u{e33}b",
            "a\u{ad}b",
            "a“b”",
            "o&#39;neil",
            "jos&eacute;",
            "jos\\u00e9",
            "jos%C3%A9",
        ] {
            let first = local.chars().next().unwrap();
            for (around, expected) in [
                ("{}", "{}"),
                ("user <{}>, gone", "user <{}>, gone"),
                ("{\"email\":\"{}\",\"name\":\"x\"}", "{\"email\":\"{}\",\"name\":\"x\"}"),
                ("ids: [{}]; (x)", "ids: [{}]; (x)"),
            ] {
                let masked = mask_addresses(&around.replace("{}", &format!("{local}@example.com")));
                assert_eq!(masked, expected.replace("{}", &format!("{first}…@example.com")));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn address_in_a_text_is_masked_as_it_is_alone(text in "\\PC{1,12}@\\PC{1,12}\\.[a-z]{2,3}", before in "[a-z]{3}[ :;,<(\"\\[]") {
            if let Some(email) = Email::parse(&text) {
                let masked = mask_addresses(&format!("{before}{}", email.expose()));
                let first = email.expose().chars().next().unwrap_or_default();
                proptest::prop_assert!(masked.starts_with(&format!("{before}{first}…@")), "{}", masked);
            }
        }
    }
}
