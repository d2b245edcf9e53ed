//! Messages as a backend sends them.

use std::collections::HashMap;
use std::marker::PhantomData;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use moorline_protocol::{Headers, Payload, Qos, Utf8Bytes, headers_are_valid};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, Object, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Problem, malformed};
use crate::node::backend::Wanted;

/// Messages of one request; a message for several channels counts once for each.
const MOST: usize = 1_000;

/// A message to publish: for one `channel` or several `channels`, with exactly one of `data`, `text` and `bin`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageIn {
    /// The channel: 1–128 bytes, no control characters, no `*`, not beginning with `$`.
    channel: Option<String>,
    /// Several channels: the message is published on each.
    channels: Option<Few<String>>,
    /// The payload: any JSON.
    #[serde(default, deserialize_with = "some_json")]
    data: Option<Box<RawValue>>,
    /// The payload: a text.
    text: Option<String>,
    /// The payload: bytes in base64.
    bin: Option<String>,
    /// The message's id; the same id with the same content is stored once.
    id: Option<String>,
    /// 0 = handed to who is subscribed now and not stored, 1 or 2 = stored (default 1; a subscriber gets the lower of
    /// this and its own).
    qos: Option<u8>,
    /// Seconds until the message may be forgotten.
    ttl: Option<u32>,
    /// At most 16 names and values, at most 1 KiB in all.
    #[serde(default, deserialize_with = "headers")]
    headers: Headers,
}

/// What OpenAPI says of it: one object for each way to say where it goes and what it carries, so that each says of itself that
/// it has no other fields.
pub(super) struct MessageBody;

impl PartialSchema for MessageBody {
    fn schema() -> RefOr<Schema> {
        let options = objects(PublishOptions::schema());
        let mut all = OneOfBuilder::new().description(Some("A message: where it goes, and exactly one payload."));
        for (target, content) in objects(Target::schema())
            .iter()
            .flat_map(|target| objects(Content::schema()).into_iter().map(move |content| (target.clone(), content)))
        {
            let mut message = Object::with_type(Type::Object);
            for part in [target, content].into_iter().chain(options.iter().cloned()) {
                message.properties.extend(part.properties);
                message.required.extend(part.required);
            }
            message.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            all = all.item(message);
        }
        RefOr::T(Schema::OneOf(all.build()))
    }
}

impl ToSchema for MessageBody {}

/// Returns the objects that a schema is one of.
#[expect(clippy::wildcard_enum_match_arm, reason = "a body is an object, or one of several")]
fn objects(schema: RefOr<Schema>) -> Vec<Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => vec![object],
        RefOr::T(Schema::OneOf(one)) => one.items.into_iter().flat_map(objects).collect(),
        _ => Vec::new(),
    }
}

/// Where it goes.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of a body")]
enum Target {
    One {
        /// The channel: 1–128 bytes, no control characters, no `*`, not beginning with `$`.
        #[schema(
            pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f*$@][^\\u0000-\\u001f\\u007f-\\u009f*]*$",
            max_length = 128,
            example = "room:42"
        )]
        channel: String,
    },
    Many {
        /// Several channels: the message is published on each.
        #[schema(min_items = 1, max_items = 1000)]
        channels: Vec<String>,
    },
}

/// What it carries: exactly one of these.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of a body")]
enum Content {
    Data {
        /// Any JSON.
        data: serde_json::Value,
    },
    Text {
        /// A text.
        text: String,
    },
    Bin {
        /// Bytes in base64.
        #[schema(content_encoding = "base64", pattern = "^([A-Za-z0-9+/]{4})*$")]
        bin: String,
    },
}

/// What else may be said.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of a body")]
struct PublishOptions {
    /// The message's id; the same id with the same content is stored once.
    #[schema(min_length = 1, max_length = 128)]
    id: Option<String>,
    /// 0 = handed to who is subscribed now and not stored, 1 or 2 = stored (default 1; a subscriber gets the lower of
    /// this and its own).
    #[schema(minimum = 0, maximum = 2)]
    qos: Option<u8>,
    /// Seconds until the message may be forgotten.
    #[schema(minimum = 0, maximum = 4_294_967_295_u32)]
    ttl: Option<u32>,
    /// At most 16 names and values, at most 1 KiB in all.
    headers: Option<HashMap<String, String>>,
}

/// One message, or a list.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of a body")]
pub(super) enum MessagesIn {
    One(Box<MessageBody>),
    List(Vec<MessageBody>),
}

impl MessageIn {
    /// Tells whether it is for one channel, named as one.
    pub(super) fn is_single(&self) -> bool {
        self.channel.is_some()
    }

    /// Returns how many messages it counts for.
    fn count(&self) -> usize {
        let channels = self.channels.as_ref().map_or(0, |channels| channels.0.len());
        channels.max(1)
    }

    fn parts(self) -> Result<(Vec<String>, Option<String>, Wanted), String> {
        let channels = match (self.channel, self.channels) {
            (Some(channel), None) => vec![channel],
            (None, Some(Few(channels))) if !channels.is_empty() => channels,
            _ => return Err("a message has one `channel`, or a list of `channels` that is not empty".into()),
        };
        let payload = match (self.data, self.text, self.bin) {
            (Some(data), None, None) => Payload::Json(Bytes::copy_from_slice(data.get().as_bytes())),
            (None, Some(text), None) => Payload::Text(text.into()),
            (None, None, Some(bin)) => match STANDARD.decode(bin) {
                Ok(bytes) => Payload::Binary(bytes.into()),
                Err(_) => return Err("`bin` is base64 with its padding".into()),
            },
            _ => return Err("a message has exactly one of `data`, `text` and `bin`".into()),
        };
        let qos = Qos::from_level(self.qos.unwrap_or(1)).ok_or("`qos` is 0, 1 or 2")?;
        let (channel, id) = (String::new(), String::new().into());
        Ok((channels, self.id, Wanted { channel, id, qos, ttl: self.ttl, headers: self.headers, payload }))
    }
}

/// Makes one entry per message and channel, each with its id: its own, or `key`, or in a list `key` and its number.
/// Too many are refused before any is made.
pub(super) fn entries(messages: Vec<MessageIn>, key: &str, is_list: bool) -> Result<Vec<Wanted>, Problem> {
    let count = messages.iter().map(MessageIn::count).sum();
    if count > MOST {
        return Err(malformed("a request has at most 1,000 messages; one for several channels counts for each"));
    }
    let mut entries = Vec::with_capacity(count);
    for (at, message) in messages.into_iter().enumerate() {
        let place = |error: String| malformed(if is_list { format!("message {at}: {error}") } else { error });
        let (channels, id, wanted) = message.parts().map_err(place)?;
        let made = || if is_list { format!("{key}/{at}") } else { key.to_owned() };
        let id: Utf8Bytes = id.unwrap_or_else(made).into();
        for channel in channels {
            entries.push(Wanted { channel, id: id.clone(), ..wanted.clone() });
        }
    }
    Ok(entries)
}

/// Reads `Idempotency-Key`: a text, with quotes around it or without.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().map(|text| {
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        quoted.unwrap_or(text)
    });
    match text.filter(|text| (1..=LONGEST_KEY).contains(&text.len())) {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(malformed("`Idempotency-Key` is 1 to 120 characters of ASCII")),
    }
}

/// Leaves room for the number of an entry.
const LONGEST_KEY: usize = 120;

/// JSON that is there, `null` too.
fn some_json<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// A list of which no more is kept than says that it is too long: the rest is read, and dropped.
#[derive(Debug)]
pub(super) struct Few<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Few<T>;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() <= MOST {
                    let Some(item) = list.next_element()? else { return Ok(Few(items)) };
                    items.push(item);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Few(items))
            }
        }
        from.deserialize_seq(Items(PhantomData))
    }
}

/// Names and values in the sender's order. Of those that are refused later, for each channel of the message, no more is
/// kept than one without a name, which is refused, too.
fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<Headers, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Headers;

        fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            to.write_str("an object of names and texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
            let (mut headers, mut are_valid) = (Headers::new(), true);
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                if are_valid {
                    headers.push((name.into(), value.into()));
                    are_valid = headers_are_valid(&headers);
                }
            }
            Ok(if are_valid { headers } else { vec![(String::new().into(), String::new().into())] })
        }
    }
    from.deserialize_map(Pairs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(body: &serde_json::Value) -> MessageIn {
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[test]
    fn of_too_many_messages_and_channels_hardly_more_than_allowed_is_kept() {
        let body = vec![json!({"channel": "a", "text": "x"}); 300_000];
        let Few(list) = serde_json::from_str::<Few<MessageIn>>(&json!(body).to_string()).unwrap();
        assert_eq!(list.len(), MOST + 1);
        let many = message(&json!({"channels": vec!["a"; 300_000], "text": "x"}));
        assert_eq!(many.count(), MOST + 1);
        assert!(serde_json::from_str::<Few<String>>(&format!("[{}1}}]", "\"a\",".repeat(MOST + 1))).is_err());
    }

    #[test]
    fn too_many_messages_are_refused_before_any_is_made() {
        // Whoever makes one finds that it has no payload.
        let detail = |list: Vec<MessageIn>| serde_json::to_value(entries(list, "k", true).unwrap_err()).unwrap();
        let one = json!({"channels": vec!["a"; MOST]});
        assert!(detail(vec![message(&one)])["detail"].to_string().contains("exactly one of"));
        let lists = [
            vec![message(&json!({"channels": vec!["a"; MOST + 1]}))],
            vec![message(&one), message(&json!({"channel": "a"}))],
            (0..=MOST).map(|_| message(&json!({}))).collect(),
        ];
        for list in lists {
            let detail = detail(list);
            assert!(detail["detail"].to_string().contains("at most 1,000 messages"), "{detail}");
        }
    }

    #[test]
    fn of_headers_that_are_refused_nothing_is_copied_for_each_channel() {
        let pairs =
            |count: usize| -> serde_json::Map<_, _> { (0..count).map(|n| (format!("{n}"), json!("v"))).collect() };
        let few = message(&json!({"channels": ["a", "b"], "text": "x", "headers": pairs(16)}));
        assert_eq!(few.headers.len(), 16);
        for headers in [json!(pairs(17)), json!(pairs(100_000)), json!({"a": "x".repeat(1 << 20)})] {
            let body = json!({"channels": vec!["a"; MOST], "text": "x", "headers": headers});
            let wanted = entries(vec![message(&body)], "k", false).unwrap();
            assert_eq!(wanted.len(), MOST);
            for wanted in wanted {
                let bytes: usize =
                    wanted.headers.iter().map(|(name, value)| name.as_bytes().len() + value.as_bytes().len()).sum();
                assert_eq!((wanted.headers.len(), bytes, headers_are_valid(&wanted.headers)), (1, 0, false));
            }
        }
    }
}
