//! Keys in a source's secret: the usable ones, and what is wrong with the others.

use secrecy::{ExposeSecret, SecretString};

use super::{Key, Keys};
use crate::secrets::{Secret, SecretError};

/// Fewest bytes of a key that is used; a shorter one can be guessed. Counted is what the sender computes with: the text's
/// own bytes in UTF-8, for `whsec_…` the bytes that its base64 stands for, for a static token all that the header says
/// after the configured prefix. White space around the text does not count. Standard Webhooks asks for 24, RFC 7518 3.2
/// for 32.
const MIN_KEY_BYTES: usize = 16;

/// Keys in a source's secret. An unusable one spoils no other.
#[derive(Debug)]
pub struct SecretKeys {
    usable: Vec<Key>,
    errors: Vec<SecretError>,
}

impl SecretKeys {
    /// Reads the keys under the two `names` of a secret, one and a list.
    pub(super) fn read(
        secret: &Secret,
        names: (&'static str, &'static str),
        key: impl Fn(&SecretString) -> Option<Key>,
    ) -> Self {
        let (mut usable, mut errors) = (Vec::new(), Vec::new());
        for listed in secret.texts(names.0, names.1) {
            match listed.text.and_then(|text| key(&text).ok_or_else(|| secret.unusable(listed.key))) {
                Ok(key) if key.0.expose_secret().len() < MIN_KEY_BYTES => errors.push(secret.guessable(listed.key)),
                Ok(key) => usable.push(key),
                Err(error) => errors.push(error),
            }
        }
        Self { usable, errors }
    }

    /// Number of keys that are used.
    pub fn count(&self) -> usize {
        self.usable.len()
    }

    /// What is wrong with the keys that are not used.
    pub fn errors(&self) -> &[SecretError] {
        &self.errors
    }

    /// Returns the keys that are used.
    ///
    /// # Errors
    /// If there is none: what is wrong with the first.
    pub fn into_keys(self) -> Result<Keys, SecretError> {
        match self.errors.into_iter().next() {
            Some(error) if self.usable.is_empty() => Err(error),
            _ => Ok(Keys::Shared(self.usable)),
        }
    }
}
