//! Who left: the address and the ids by which a source knows a person, and how an address is compared and masked.

use std::{collections::HashSet, fmt};

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

mod masking;

use masking::mask;
pub use masking::{mask_addresses, mask_departure_id};

/// The longest address that can be delivered to (RFC 5321 4.5.3.1.3), in bytes.
const LONGEST_ADDRESS: usize = 254;

/// An e-mail address, as the source wrote it, without surrounding white space. Two are equal if their canonical forms are.
///
/// `Debug` and `Display` show it masked, so that it cannot slip into a log line or an error.
#[derive(Clone)]
pub struct Email {
    written: String,
    canonical: String,
}

impl Email {
    /// Parses an address that has a local part and a domain; `None` for anything else.
    ///
    /// Refuses white space, control and invisible characters, a second `@`, everything that RFC 5322 3.2.3 allows in
    /// quotes only (`mailto:ann@…`), and a domain with an empty label (`…@example.com.`), also where IDNA would map another
    /// character to one of these. No SaaS account is known by such an address: none would be found, and "no account is there"
    /// would be said of somebody else.
    pub fn parse(text: &str) -> Option<Self> {
        let written = text.trim();
        let canonical = canonical(written);
        let usable = written.len() <= LONGEST_ADDRESS && is_plain(written) && is_plain(&canonical);
        usable.then(|| Self { written: written.to_owned(), canonical })
    }

    /// Returns whether somebody has replaced a part of it: `v***a@…`, `v…@…`, `*@…`. No account is found by it, and "no account
    /// is there" would be said of the wrong one. A star alone among letters may be meant: RFC 5322 allows it.
    pub(crate) fn is_masked(&self) -> bool {
        let local = self.written.split_once('@').map_or("", |(local, _)| local);
        let is_star = |c: char| matches!(c, '*' | '＊' | '∗');
        let replaces = |c: char| matches!(c, '…' | '•' | '●');
        local.contains(replaces) || local.chars().all(is_star) || local.replace(is_star, "*").contains("**")
    }

    /// Returns the address in full, as it was written: for requests to providers only.
    pub fn expose(&self) -> &str {
        &self.written
    }

    /// Returns the form in which addresses are compared: lower case, NFC, the domain in ASCII (punycode).
    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    /// Returns the forms in which a product may keep the address, the canonical form first, each once. A search by exact
    /// text finds an account in its own form only.
    pub fn spellings(&self) -> Vec<Self> {
        let mut texts = vec![self.canonical.clone(), self.written.clone()];
        if let Some((local, domain)) = self.canonical.split_once('@') {
            // What IDNA refuses it also garbles.
            let (unicode, refused) = idna::domain_to_unicode(domain);
            let unicode = if refused.is_ok() { unicode } else { domain.to_owned() };
            let nfd = DecomposingNormalizerBorrowed::new_nfd();
            for domain in [domain, unicode.as_str()] {
                texts.push(format!("{local}@{domain}"));
                texts.push(format!("{}@{}", nfd.normalize(local), nfd.normalize(domain)));
            }
        }
        let mut seen = HashSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        texts.into_iter().map(|written| Self { written, canonical: self.canonical.clone() }).collect()
    }

    /// Returns whether `other` is the same address, both sides normalized.
    pub fn is(&self, other: &str) -> bool {
        other.trim() == self.written || Self::parse(other).is_some_and(|other| *self == other)
    }

    /// Returns the part behind the `@`.
    pub fn domain(&self) -> &str {
        self.written.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// Returns the first character and the domain: `l…@example.com`.
    pub fn masked(&self) -> String {
        mask(&self.written)
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Email {}

/// Whether a text has the shape that [`Email::parse`] takes.
fn is_plain(text: &str) -> bool {
    let special = |c: char| matches!(c, '(' | ')' | '<' | '>' | '[' | ']' | ':' | ';' | '@' | '\\' | ',' | '"');
    let plain = |c: char| match c.is_ascii() {
        true => c.is_ascii_graphic() && !special(c),
        false => !(c.is_whitespace() || c.is_control() || is_invisible(c)),
    };
    text.split_once('@').is_some_and(|(local, domain)| {
        let whole = !local.is_empty() && !domain.split('.').any(str::is_empty);
        whole && local.chars().all(plain) && domain.chars().all(plain)
    })
}

/// Returns the form in which an address is compared. A domain that IDNA refuses is normalized like the local part.
pub(crate) fn canonical(address: &str) -> String {
    let address = address.trim();
    if address.is_ascii() {
        let folded = address.to_ascii_lowercase();
        // Nothing else is to be normalized, except what IDNA decodes and may refuse.
        if !folded.contains("xn--") {
            return folded;
        }
    }
    normalized(address)
}

fn normalized(address: &str) -> String {
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    let folded = nfc.normalize(&nfc.normalize(address).to_lowercase()).into_owned();
    match folded.rsplit_once('@').map(|(local, domain)| (local, idna::domain_to_ascii(domain))) {
        Some((local, Ok(domain))) => format!("{local}@{domain}"),
        _ => folded,
    }
}

/// Soft hyphens, zero-width characters and the marks of writing direction: an address looks the same with and without.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character changes the direction in which text around it is read: what stands there would be shown as something else.
pub(crate) fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    /// The id that the organization gave the person: a personnel number, the directory's id.
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
            if !emails.contains(&email) {
                emails.push(email);
            }
        }
        emails.into_iter().map(Identity::Email).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_differ_only_in_normalization_are_equal() {
        let pairs = [
            ("ann@b\u{fc}cher.example", "ANN@XN--BCHER-KVA.EXAMPLE"),
            ("ann@bu\u{308}cher.example", "ann@b\u{fc}cher.example"),
            ("\u{e4}nn@example.com", "A\u{308}NN@example.com"),
            ("\u{c9}LAN@example.com", "\u{e9}lan@example.com"),
            ("ann@example\u{3002}com", "ann@example.com"),
        ];
        for (one, other) in pairs {
            let (one, other) = (Email::parse(one).unwrap(), Email::parse(other).unwrap());
            assert_eq!(one.canonical(), other.canonical());
            assert!(one == other && one.is(other.expose()) && other.is(one.expose()));
        }
    }

    #[test]
    fn addresses_that_only_look_alike_differ() {
        let pairs = [
            ("ann@b\u{fc}cher.example", "ann@bucher.example"),
            ("\u{e4}nn@example.com", "ann@example.com"),
            ("\u{ff41}nn@example.com", "ann@example.com"),
            ("\u{430}nn@example.com", "ann@example.com"),
            ("i\u{307}nn@example.com", "inn@example.com"),
            ("ann@xn--invalid-.example", "ann@invalid.example"),
        ];
        for (one, other) in pairs {
            assert_ne!(Email::parse(one).unwrap(), Email::parse(other).unwrap());
        }
    }

    #[test]
    fn spellings_of_an_address_cover_every_form_once() {
        let texts = |email: &str| -> Vec<String> {
            Email::parse(email).unwrap().spellings().iter().map(|email| email.expose().to_owned()).collect()
        };
        assert_eq!(texts("ann@example.com"), ["ann@example.com"]);
        assert_eq!(texts("Ann@example.com"), ["ann@example.com", "Ann@example.com"]);
        let forms = ["ann@xn--bcher-kva.example", "ann@b\u{fc}cher.example", "ann@bu\u{308}cher.example"];
        assert_eq!(texts(forms[0]), forms);
        assert_eq!(texts(forms[1]), forms);
    }

    proptest::proptest! {
        #[test]
        fn short_way_to_the_canonical_form_of_ascii_leads_where_the_long_one_does(text in "[ -~]{0,12}@?[!-~]{0,12}") {
            proptest::prop_assert_eq!(canonical(&text), normalized(text.trim()));
        }

        #[test]
        fn canonical_form_is_its_own_canonical_form(text in "\\PC{1,12}@\\PC{1,12}\\.[a-z]{2,3}") {
            if let Some(email) = Email::parse(&text) {
                proptest::prop_assert_eq!(canonical(&email.canonical()), email.canonical());
                proptest::prop_assert!(email.spellings().iter().all(|spelling| email.is(spelling.expose())), "{}", text);
            }
        }
    }

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
            "ann@exa\u{ff20}mple.com",
            "ann@example.com\u{3002}",
        ] {
            assert_eq!(Email::parse(text), None, "{text:?}");
        }
        let plain =
            ["o'neil@example.com", "ann+x@example.com", "ann_b-c.d@sub.example.com", "änn@example.com", "a@localhost"];
        let masked =
            ["v******a@example.com", "v**@example.com", "*@example.com", "v…@example.com", "v•••a@example.com"];
        let masked = masked.into_iter().chain(["＊＊a@example.com"]).map(|text| (text, true));
        let plain = plain.into_iter().chain(["a*n*n@example.com"]).map(|text| (text, false));
        for (text, is_masked) in plain.chain(masked) {
            assert_eq!(Email::parse(text).map(|email| email.is_masked()), Some(is_masked), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("{}@example.com", "a".repeat(300))), None);
    }
}
