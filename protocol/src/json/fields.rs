use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::parts::safe;
use crate::codec::DecodeError;
use crate::types::Offset;

/// The fields of a JSON object, each as its text: what a field means is decided by the frame that has it, and a field
/// that the frame does not know may be anything. A key that stands twice is refused.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// The entries of a JSON object, in order.
pub(super) struct Entries<'a, V>(pub(super) Vec<(Cow<'a, str>, V)>);

/// A text that is copied only if it has escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> Fields<'a> {
    /// Reads an object.
    pub(super) fn read(text: &'a str) -> Result<Self, DecodeError> {
        serde_json::from_str(text).map_err(|_| DecodeError::Json)
    }

    /// Returns a field's text; `null` is a value.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let index = self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
        self.0.get(index).map(|(_, value)| *value)
    }

    /// Returns a field that may be absent; `null` is absence, too.
    pub(super) fn opt<T: Deserialize<'a>>(&self, name: &'static str) -> Result<Option<T>, DecodeError> {
        match self.raw(name) {
            Some(value) => serde_json::from_str(value.get()).map_err(|_| DecodeError::Field(name)),
            None => Ok(None),
        }
    }

    /// Returns a field that must be there.
    pub(super) fn need<T: Deserialize<'a>>(&self, name: &'static str) -> Result<T, DecodeError> {
        self.opt(name)?.ok_or(DecodeError::Missing(name))
    }

    /// Returns a field that is `false` where it is absent.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, DecodeError> {
        Ok(self.opt(name)?.unwrap_or(false))
    }

    /// Returns a number of at most 2^53−1.
    pub(super) fn safe(&self, name: &'static str) -> Result<u64, DecodeError> {
        safe(self.need(name)?)
    }

    /// Returns a number of at most 2^53−1 that may be absent.
    pub(super) fn opt_safe(&self, name: &'static str) -> Result<Option<u64>, DecodeError> {
        self.opt(name)?.map(safe).transpose()
    }

    /// Returns an offset.
    pub(super) fn offset(&self, name: &'static str) -> Result<Offset, DecodeError> {
        self.safe(name).map(Offset)
    }

    /// Returns an offset that may be absent.
    pub(super) fn opt_offset(&self, name: &'static str) -> Result<Option<Offset>, DecodeError> {
        Ok(self.opt_safe(name)?.map(Offset))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entries(mut fields) = Entries::deserialize(deserializer)?;
        fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if fields.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(D::Error::custom("a key stands twice"));
        }
        Ok(Self(fields))
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Entries<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Reader<V> {
            type Value = Vec<(Cow<'de, str>, V)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Reader(PhantomData)).map(Entries)
    }
}
