//! Frames at random: every field, its ends and its absence.

mod client;
mod server;

use bytes::Bytes;
use moorline_protocol::{
    ChannelName, ChannelNumber, ChannelRef, DeviceId, Epoch, Headers, Message, Offset, Payload, Position, ProducerId,
    Qos, UserName, Utf8Bytes, headers_are_valid, limits,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::Value;

pub(crate) use client::client;
pub(crate) use server::server;

/// A number of at most 2^53−1.
fn safe() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, 0..=limits::MAX_SAFE_INTEGER, Just(limits::MAX_SAFE_INTEGER)]
}

/// A number from 1 to 2^53−1.
fn positive() -> impl Strategy<Value = u64> {
    safe().prop_map(|number| number.max(1))
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![0..300_u32, any::<u32>(), Just(u32::MAX)]
}

fn offset() -> impl Strategy<Value = Offset> {
    safe().prop_map(Offset)
}

fn text(most: usize) -> impl Strategy<Value = Utf8Bytes> {
    string(most).prop_map(Utf8Bytes::from)
}

/// Any text of at most so many bytes.
fn string(most: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=most / 4).prop_map(|chars| chars.into_iter().collect())
}

fn id() -> impl Strategy<Value = Utf8Bytes> {
    string(limits::MESSAGE_ID).prop_filter_map("empty", |id| (!id.is_empty()).then(|| id.into()))
}

/// What `make` takes of these texts.
fn made<T: std::fmt::Debug, E>(
    texts: impl Strategy<Value = String>,
    make: impl Fn(&str) -> Result<T, E>,
) -> impl Strategy<Value = T> {
    texts.prop_filter_map("not such a name", move |text| make(&text).ok())
}

fn name() -> impl Strategy<Value = ChannelName> {
    made(prop_oneof!["[a-z:]{1,20}", "[^*\\pC]{1,32}"], ChannelName::new)
}

fn user() -> impl Strategy<Value = UserName> {
    made(prop_oneof!["[a-z]{1,8}", "[^*\\pC]{1,32}"], UserName::new)
}

fn device() -> impl Strategy<Value = DeviceId> {
    made("[A-Za-z0-9_-]{16,64}", DeviceId::new)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    made("[!-~]{1,16}", Epoch::new)
}

fn producer() -> impl Strategy<Value = ProducerId> {
    any::<u128>().prop_map(ProducerId)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), offset()).prop_map(|(epoch, offset)| Position { epoch, offset })
}

fn channel() -> impl Strategy<Value = ChannelRef> {
    prop_oneof![
        name().prop_map(ChannelRef::Name),
        small().prop_map(|number| ChannelRef::Number(ChannelNumber(number.max(1))))
    ]
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn caps() -> impl Strategy<Value = Vec<Utf8Bytes>> {
    vec(text(limits::CAP), 0..=3)
}

/// JSON as it is written by hand or by a program, without line breaks and without white space around it.
fn json() -> impl Strategy<Value = Bytes> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        string(40).prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((string(12), inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    });
    prop_oneof![
        value.prop_map(|value| Bytes::from(value.to_string())),
        Just(Bytes::from_static(br#"{ "b" : 1.0e-7 ,"a":[ ],	"a":"\u00e9\ud83e\udd80\/" }"#)),
    ]
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        json().prop_map(Payload::Json),
        text(60).prop_map(Payload::Text),
        vec(any::<u8>(), 0..60).prop_map(|bytes| Payload::Binary(bytes.into())),
    ]
}

fn headers() -> impl Strategy<Value = Headers> {
    vec((text(12), text(40)), 0..4).prop_filter("names are unique and not empty", headers_are_valid)
}

fn message() -> impl Strategy<Value = Message> {
    let fields =
        (option::of(positive()), option::of(offset()), id(), option::of(text(40)), safe(), headers(), payload());
    fields.prop_map(|(offset, prev, id, user, time, headers, payload)| {
        let offset = offset.map(Offset);
        Message { offset, prev, id, user, time, headers, payload }
    })
}

/// One of these, or a value of a later version, known by its name or by its number.
fn open<T: Clone + std::fmt::Debug + 'static>(
    known: impl IntoIterator<Item = T>,
    other: impl Fn(Box<str>) -> T + 'static,
) -> impl Strategy<Value = T> {
    let later = prop_oneof!["later\\.[a-z]{1,8}", (30_000..=u16::MAX).prop_map(|number| number.to_string())];
    let later = later.prop_map(move |name| other(name.into())).boxed();
    Union::new(known.into_iter().map(|value| Just(value).boxed()).chain([later]))
}
