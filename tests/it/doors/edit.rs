//! Small changes, and which of them change nothing.
#![allow(dead_code, reason = "each test file uses its own part")]

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use proptest::sample::Index;

/// One change of one byte.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    Change(usize, u8),
    Insert(usize, u8),
    Remove(usize),
}

impl Edit {
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Change(at, byte) => bytes[at] = byte,
            Self::Insert(at, byte) => bytes.insert(at, byte),
            Self::Remove(at) => drop(bytes.remove(at)),
        }
        bytes
    }

    /// Every byte with one bit turned (the one of a letter's case too) and without it, and some bytes that mean something at every place.
    pub fn all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        let places = bytes.iter().copied().enumerate();
        places.flat_map(|(at, byte)| {
            let changed = [1, 2, 0x20, 0x80].map(|bit| Self::Change(at, byte ^ bit));
            let inserted = [byte, b' ', b',', b'=', b'0', b'A'].map(|byte| Self::Insert(at, byte));
            changed.into_iter().chain(inserted).chain([Self::Insert(at + 1, byte), Self::Remove(at)])
        })
    }

    /// A change somewhere.
    pub fn any(bytes: &[u8], (place, what, byte): (Index, u8, u8)) -> Self {
        let at = place.index(bytes.len());
        match what % 3 {
            0 => Self::Change(at, bytes[at] ^ byte.max(1)),
            1 => Self::Insert(at, byte),
            _ => Self::Remove(at),
        }
    }
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Whether two headers hold the same bytes: white space around parts, the case of hexadecimal digits and the unused bits of
/// base64 are nothing that a signature is of. What is not encoded must be the same text.
pub fn means_the_same(good: &str, other: &str) -> bool {
    let bare = |text: &str| text.split([' ', '\t']).collect::<String>();
    let (good, other) = (bare(good), bare(other));
    let shared = good.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // The signature stands at the end, behind what is no digit of it.
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let trimmed = good.trim_end_matches('=').len();
    let from = good[..trimmed].bytes().rposition(|byte| !digit(byte)).map_or(0, |at| at + 1);
    if good == other || shared < from || !other.is_char_boundary(from) {
        return good == other;
    }
    let (good, other) = (&good[from..], &other[from..]);
    let engines = [&alphabet::STANDARD, &alphabet::URL_SAFE].map(|alphabet| GeneralPurpose::new(alphabet, LENIENT));
    let in_base64 =
        engines.iter().any(|engine| engine.decode(good).is_ok_and(|bytes| engine.decode(other) == Ok(bytes)));
    hex::decode(good).is_ok_and(|bytes| hex::decode(other) == Ok(bytes)) || in_base64
}
