//! The keys that a table of the configuration knows, as the `Deserialize` of its type names them, and whether it refuses any
//! other.

use std::{
    cell::{Cell, RefCell},
    iter::once,
};

use serde::{
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, VariantAccess,
        Visitor,
        value::{self, MapDeserializer, SeqDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

/// Stands for the key or the index of a value where any will do.
const ANY: &str = "*";
/// Tables deeper than this are not looked at: a type that holds itself has no end.
const DEEPEST: usize = 16;

/// Returns the keys that the table at `path` within a `T` knows; none where `T` has no such table.
pub(crate) fn known_keys<T: DeserializeOwned>(path: &[&str]) -> &'static [&'static str] {
    match found::<T>(path) {
        Probed { shape: Shape::Struct(fields), .. } => fields,
        _ => &[],
    }
}

/// Checks that no table within a `T` accepts an unknown key: a misspelt `mode` would otherwise be its default.
///
/// # Panics
/// If one does. Not checked: a table in an untagged enum, which serde buffers first, and tables within a value of several forms
/// that is itself read by hand.
pub(crate) fn assert_strict<T: DeserializeOwned>() {
    let lenient = lenient_tables::<T>();
    let name = std::any::type_name::<T>();
    assert!(lenient.is_empty(), "{name} needs #[serde(deny_unknown_fields)], and no `flatten`, at {lenient:?}");
}

/// Returns the paths of the tables within a `T` that accept unknown keys.
fn lenient_tables<T: DeserializeOwned>() -> Vec<String> {
    let (mut lenient, mut paths) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = paths.pop() {
        let found = found::<T>(&path);
        if found.is_lenient {
            lenient.push(path.join("."));
        }
        if path.len() < DEEPEST {
            paths.extend(found.shape.steps().iter().map(|step| [&path[..], &[*step]].concat()));
        }
    }
    lenient.sort();
    lenient
}

fn found<T: DeserializeOwned>(path: &[&str]) -> Probed {
    let found = RefCell::default();
    // The probe has no values: hardly any type can be read from it.
    let _ = T::deserialize(Probe { path, found: &found });
    found.into_inner()
}

/// What is at the end of a path within a type.
#[derive(Default)]
struct Probed {
    shape: Shape,
    is_lenient: bool,
}

#[derive(Default)]
enum Shape {
    /// No table of fixed keys, and none within it.
    #[default]
    Plain,
    /// A table with these keys.
    Struct(&'static [&'static str]),
    /// An enum with these variants.
    Enum(&'static [&'static str]),
    /// A list, or a table of any keys.
    Many,
}

impl Shape {
    fn steps(&self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Struct(names) | Self::Enum(names) => names,
            Self::Many => &[ANY],
        }
    }
}

/// Asks a type for what is at the end of `path`.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'a str],
    found: &'a RefCell<Probed>,
}

impl<'a> Probe<'a> {
    /// Returns the first step of the path, and a probe for the rest of it. At its end `shape` is noted.
    fn step(self, shape: Shape) -> Result<(&'a str, Self), value::Error> {
        match self.path {
            [] => {
                self.found.borrow_mut().shape = shape;
                Err(Error::custom("the end of the path"))
            }
            [first, path @ ..] => Ok((first, Self { path, ..self })),
        }
    }

    /// Notes whether a table's unknown key would be ignored.
    fn offer_unknown_key<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        let is_ignored = Cell::new(false);
        let entry = ("no such key", UnknownValue { is_ignored: &is_ignored });
        let result = visitor.visit_map(MapDeserializer::new(once(entry)));
        self.found.borrow_mut().is_lenient |= is_ignored.get();
        result
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.step(Shape::Struct(fields)) {
            Ok((key, value)) => visitor.visit_map(MapDeserializer::new(once((key, value)))),
            Err(_) => self.offer_unknown_key(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        // As a struct with a flattened field is read: all keys that are not its own are the field's.
        if self.path.is_empty() && (&visitor as &dyn Expected).to_string().starts_with("struct ") {
            self.found.borrow_mut().is_lenient = true;
        }
        let (key, value) = self.step(Shape::Many)?;
        visitor.visit_map(MapDeserializer::new(once((AnyKey(key), value))))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let (_, item) = self.step(Shape::Many)?;
        visitor.visit_seq(SeqDeserializer::new(once(item)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let (variant, value) = self.step(Shape::Enum(variants))?;
        visitor.visit_enum(Chosen { variant, value })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A value of several forms: one of them may be a table.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.offer_unknown_key(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

impl IntoDeserializer<'_> for Probe<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The value of a key that no table knows.
#[derive(Clone, Copy)]
struct UnknownValue<'a> {
    is_ignored: &'a Cell<bool>,
}

impl<'de> Deserializer<'de> for UnknownValue<'_> {
    type Error = value::Error;

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.is_ignored.set(true);
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl IntoDeserializer<'_> for UnknownValue<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The key of a map: this text, or a variant where the keys are an enum.
struct AnyKey<'a>(&'a str);

impl<'de> Deserializer<'de> for AnyKey<'_> {
    type Error = value::Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(StrDeserializer::new(variants.first().copied().unwrap_or(self.0)))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'a> IntoDeserializer<'_> for AnyKey<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// An enum's variant, whose value is probed.
struct Chosen<'a> {
    variant: &'a str,
    value: Probe<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Chosen<'a> {
    type Error = value::Error;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'a>), Self::Error> {
        Ok((seed.deserialize(StrDeserializer::new(self.variant))?, self.value))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = value::Error;

    fn unit_variant(self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Self::Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests;
