use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::frame::ChannelRef;

/// Writes a JSON object, field by field.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// Where its fields begin.
    at: usize,
}

impl<'a> Object<'a> {
    /// Writes an object with the fields that `fields` puts.
    pub(super) fn write(out: &'a mut Vec<u8>, fields: impl FnOnce(&mut Self)) {
        out.push(b'{');
        let at = out.len();
        let mut object = Self { out, at };
        fields(&mut object);
        object.out.push(b'}');
    }

    /// Writes a field.
    pub(super) fn put(&mut self, name: &str, value: impl Serialize) -> &mut Self {
        write_value(value, self.field(name));
        self
    }

    /// Writes a field that is there.
    pub(super) fn opt(&mut self, name: &str, value: Option<impl Serialize>) -> &mut Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    /// Writes a field that is `false` where it is absent.
    pub(super) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.opt(name, value.then_some(true))
    }

    /// Writes the channel. Numbers are the binary form's; there is nothing to say here.
    pub(super) fn channel(&mut self, channel: &ChannelRef) -> &mut Self {
        match channel {
            ChannelRef::Name(name) => self.put("channel", name.as_str()),
            ChannelRef::Number(_) => self,
        }
    }

    /// Writes JSON as it stands, but for what surrounds it and its line breaks: they separate frames, and are white
    /// space here. What is not JSON would break the frame: `other` stands in for it.
    pub(super) fn json(&mut self, name: &str, json: &Bytes, other: Option<&str>) -> &mut Self {
        let text = std::str::from_utf8(json).ok();
        let text = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok()).map(RawValue::get).or(other);
        if let Some(text) = text {
            let to = self.field(name);
            to.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        }
        self
    }

    /// Writes a field that is an object.
    pub(super) fn object(&mut self, name: &str, fields: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        Object::write(self.field(name), fields);
        self
    }

    /// Writes a field that is a list of objects.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: &[T],
        mut fields: impl FnMut(&T, &mut Object<'_>),
    ) -> &mut Self {
        let to = self.field(name);
        to.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                to.push(b',');
            }
            Object::write(to, |object| fields(item, object));
        }
        to.push(b']');
        self
    }

    /// Writes a field's name; its value goes to what is returned.
    fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if self.out.len() > self.at {
            self.out.push(b',');
        }
        write_value(name, self.out);
        self.out.push(b':');
        self.out
    }
}

fn write_value(value: impl Serialize, out: &mut Vec<u8>) {
    // Texts, numbers and lists of them cannot fail, and neither can a `Vec`.
    let written = serde_json::to_writer(out, &value);
    debug_assert!(written.is_ok(), "a value that has no JSON form");
}
