//! The keys that a table of the configuration knows, as the `Deserialize` of its type names them.

use std::cell::Cell;

use serde::{
    de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, Visitor, value},
    forward_to_deserialize_any,
};

/// Returns the keys that the table at `path` within a `T` knows; none where `T` has no such table.
pub(crate) fn known_keys<T: DeserializeOwned>(path: &[&str]) -> &'static [&'static str] {
    let found = Cell::new(&[][..]);
    // The probe has no values: reading always ends in an error.
    let _ = T::deserialize(Probe { path, found: &found });
    found.get()
}

/// Asks a type for its fields, going into one field after the other along `path`.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'a str],
    found: &'a Cell<&'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.path {
            [] => {
                self.found.set(fields);
                Err(Error::custom("the fields are known"))
            }
            [first, path @ ..] => visitor.visit_map(OneKey { key: Some(first), value: Self { path, ..self } }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Error::custom("not a table of fixed keys"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// A table with one key, whose value is probed.
struct OneKey<'a> {
    key: Option<&'a str>,
    value: Probe<'a>,
}

impl<'de> MapAccess<'de> for OneKey<'_> {
    type Error = value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        self.key.take().map(|key| seed.deserialize(value::StrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(self.value)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields' names are asked for")]
    struct Outer {
        plain: String,
        inner: Option<Inner>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields' names are asked for")]
    struct Inner {
        depth: u8,
    }

    #[test]
    fn fields_are_found_at_any_depth() {
        assert_eq!(known_keys::<Outer>(&[]), ["plain", "inner"]);
        assert_eq!(known_keys::<Outer>(&["inner"]), ["depth"]);
        for path in [&["plain"][..], &["other"], &["inner", "depth"]] {
            assert_eq!(known_keys::<Outer>(path), [""; 0], "{path:?}");
        }
    }
}
