//! Who left: the address and the ids by which a source knows a person, and how an address is compared and masked.

use std::fmt;

/// The longest address that can be delivered to (RFC 5321 4.5.3.1.3), in bytes.
const LONGEST_ADDRESS: usize = 254;

/// An e-mail address, as the source wrote it, without surrounding white space.
///
/// `Debug` and `Display` show it masked, so that it cannot slip into a log line or an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Takes an address that has a local part and a domain; `None` for anything else.
    ///
    /// Refuses white space, control and invisible characters, a second `@`, everything that RFC 5322 3.2.3 allows in
    /// quotes only (`mailto:ann@…`), and a domain with an empty label (`…@example.com.`). No SaaS account is known by such
    /// an address: nobody would be found, and "nobody is there" would be said of somebody else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.split_once('@')?;
        let special = |c: char| "()<>[]:;@\\,\"".contains(c);
        let plain = |c: char| !(c.is_whitespace() || c.is_control() || is_invisible(c) || special(c));
        let whole = !local.is_empty() && !domain.split('.').any(str::is_empty);
        let usable = whole && text.len() <= LONGEST_ADDRESS;
        (usable && local.chars().all(plain) && domain.chars().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The address in full: for the provider's ears only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same address: trimmed, ASCII letters in either case, nothing more.
    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other.trim())
    }

    /// The part behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// The first character and the domain: `l…@example.com`.
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

/// Soft hyphens, zero-width characters and the marks of writing direction: an address looks the same with and without.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// A person as a source reports them. Every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The source's own id of the person.
    pub idp_id: Option<String>,
    /// The id that the organisation gave the person: a personnel number, the directory's id.
    pub external_id: Option<String>,
    /// The person's address.
    pub email: Option<Email>,
    /// Further addresses known for this person, former or parallel, the one last in use first.
    pub other_emails: Vec<Email>,
}

/// By which of a person's traits a provider knows its accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// The address.
    #[default]
    Email,
    /// [`Person::external_id`].
    ExternalId,
}

/// The one trait by which a person is looked up at a provider.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// The address.
    Email(&'a Email),
    /// [`Person::external_id`].
    ExternalId(&'a str),
}

impl Person {
    /// All addresses, the main one first.
    pub fn emails(&self) -> impl Iterator<Item = &Email> {
        self.email.iter().chain(&self.other_emails)
    }

    /// The main trait of the kind that a provider asks for, if it is known.
    pub fn identity(&self, known_by: KnownBy) -> Option<Identity<'_>> {
        self.identities(known_by).into_iter().next()
    }

    /// Everything of the kind that a provider asks for, each once: a person may have several addresses.
    pub fn identities(&self, known_by: KnownBy) -> Vec<Identity<'_>> {
        if known_by == KnownBy::ExternalId {
            return self.external_id.as_deref().map(Identity::ExternalId).into_iter().collect();
        }
        let mut emails: Vec<&Email> = Vec::new();
        for email in self.emails() {
            if !emails.iter().any(|known| known.is(email.expose())) {
                emails.push(email);
            }
        }
        emails.into_iter().map(Identity::Email).collect()
    }
}

/// Masks every address in `text`, also where the `@` is percent-encoded.
pub fn mask_addresses(text: &str) -> String {
    // With the mask itself: what is masked already stays as it is.
    let part_of_address = |c: char| c.is_alphanumeric() || "@.!#$%&'*+-/=?^_`{|}~…".contains(c);
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(part_of_address) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !part_of_address(c)).unwrap_or(from.len()));
        masked.push_str(before);
        masked.push_str(&mask(word));
        rest = after;
    }
    masked + rest
}

/// Masks what stands before the last `@` of a word; a word without one stays as it is.
fn mask(word: &str) -> String {
    let at = word.rfind('@').map(|at| (at, 1)).or_else(|| word.rfind("%40").map(|at| (at, 3)));
    match at {
        Some((at, width)) => {
            let first = word[..at].chars().next().map(String::from).unwrap_or_default();
            format!("{first}…@{}", &word[at + width..])
        }
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_exactly_but_for_case_and_white_space() {
        let ann = Email::parse(" Ann@Example.com ").unwrap();
        assert!(ann.is("ann@example.com") && ann.is(" ANN@EXAMPLE.COM\n"));
        for other in ["joann@example.com", "ann@example.community", "ann@example.co", "ann+x@example.com", "", "ann"] {
            assert!(!ann.is(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "a@b@example.com",
            "a b@example.com",
            "a\n@example.com",
            "\"a\"@b.c",
            "mailto:ann@example.com",
            "ann(left)@example.com",
            "ann@example.com;bob@example.com",
            "ann@[192.0.2.1]",
            "ann@example.com.",
            "ann@.example.com",
            "ann@example..com",
            "ann@example.com\u{200b}",
            "a\u{ad}nn@example.com",
            "\u{202e}ann@example.com",
            "\u{feff}ann@example.com",
        ] {
            assert_eq!(Email::parse(text), None, "{text:?}");
        }
        for text in
            ["o'neil@example.com", "ann+x@example.com", "ann_b-c.d@sub.example.com", "änn@example.com", "a@localhost"]
        {
            assert!(Email::parse(text).is_some(), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("{}@example.com", "a".repeat(300))), None);
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
}
