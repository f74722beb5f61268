//! How an address is masked, wherever it stands in a text.

/// Masks every address in `text`, also where the `@` is escaped or another sign for it: `%40`, `%2540`, `\u0040`, `&#64;`, `＠`.
pub fn mask_addresses(text: &str) -> String {
    // With the mask itself: what is masked already stays as it is. With the backslash: other characters may be escaped, too.
    let part_of_address = |c: char| c.is_alphanumeric() || "@.!#$%&'*+-/=?^_`{|}~…\\".contains(c);
    let text = unescape_at_signs(text);
    if !text.contains('@') {
        return text;
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(part_of_address) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !part_of_address(c)).unwrap_or(from.len()));
        masked.push_str(before);
        masked.push_str(&mask(word));
        rest = after;
    }
    masked + rest
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
    while let Some(start) = rest.find(['%', '\\', '&', '＠']) {
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
    let signs = ["＠", "&#64;", "&#x40;", "&#X40;", "&commat;"];
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
        for escape in ["%40", "%2540", "%252540", "\\u0040", "\\\\u0040", "&#64;", "&#x40;", "&commat;", "＠"] {
            for text in ["q=ann{}example.com&x", "\\nann{}example.com", "an\\u002bn{}example.com", "5%ann{}example.com"]
            {
                let masked = mask_addresses(&text.replace("{}", escape));
                assert!(masked.contains("…@example.com") && !masked.contains("nn"), "{masked}");
            }
        }
        assert_eq!(mask_addresses("100%, C:\\users, %41, \\u0041"), "100%, C:\\users, %41, \\u0041");
    }
}
