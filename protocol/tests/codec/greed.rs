//! Inputs that want as much memory as they can get.

use bytes::Bytes;
use moorline_protocol::binary::varint;
use moorline_protocol::{ClientFrame, Codec, ServerFrame};

use crate::allocation::peak;
use crate::properties::{CONSTANT, FACTOR};
use crate::wire::Wire;

/// Bytes of such an input, about.
const SIZE: usize = 256 * 1024;

/// A binary frame with this body.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(body.len() as u64 + 1, &mut out);
    out.push(kind);
    out.extend_from_slice(body);
    out
}

/// `head`, a count, and as many of `item`.
fn many(head: &[u8], item: &[u8]) -> Vec<u8> {
    let mut body = head.to_vec();
    let count = SIZE / item.len();
    varint::put(count as u64, &mut body);
    body.extend(item.iter().copied().cycle().take(count * item.len()));
    body
}

fn factor<F: Wire>(codec: Codec, message: Vec<u8>) -> usize {
    let mut message = Bytes::from(message);
    let len = message.len();
    let (bytes, _) = peak(|| F::decode(codec, &mut message));
    bytes.saturating_sub(CONSTANT).div_ceil(len)
}

#[test]
fn lists_of_small_things_stay_within_the_bound() {
    let server = |name, body: Vec<u8>| (name, factor::<ServerFrame>(Codec::Binary, body));
    let client = |name, body: Vec<u8>| (name, factor::<ClientFrame>(Codec::Binary, body));
    let json = |name, head: &str, item: &str, tail: &str| {
        let text = format!("{head}{}{tail}", item.repeat(SIZE / item.len()));
        let factors =
            [factor::<ClientFrame>(Codec::Json, text.clone().into()), factor::<ServerFrame>(Codec::Json, text.into())];
        (name, factors.into_iter().max().unwrap())
    };
    let keys: String = (0..SIZE / 8).map(|n| format!(",\"{n:x}\":0")).collect();
    let all = [
        client("caps", frame(1, &many(&[0, 1], &[0]))),
        client("subscriptions", frame(1, &many(&[0, 1, 0], &[7, 0, 0, 1, b'a', 0, 0, 0]))),
        client("users", frame(11, &many(&[0, 0], &[1, b'a']))),
        server("messages", frame(71, &[&[1, 0][..], &[5, 2, 0, 1, b'a', 0].repeat(SIZE / 6)].concat())),
        server("members", frame(76, &many(&[0, 1, b'a', 0, 0, 0, 0], &[0, 1, b'a', 0]))),
        server("changes", frame(77, &many(&[1, 0, 0, 0], &[0, 1, 1, b'a']))),
        server("statuses", frame(78, &many(&[0], &[0, 1, b'a']))),
        json("keys", &format!("{{\"t\":\"pong\",\"n\":1{keys}"), " ", "}"),
        json("objects", r#"{"t":"hello","v":1,"subscribe":["#, "{},", "{}]}"),
        json("subscriptions", r#"{"t":"hello","v":1,"subscribe":["#, r#"{"channel":"a"},"#, r#"{"channel":"a"}]}"#),
        json("caps", r#"{"t":"hello","v":1,"caps":["#, "\"\",", "\"\"]}"),
        json("users", r#"{"t":"status","req":1,"users":["#, "\"a\",", "\"a\"]}"),
        json(
            "messages",
            r#"{"t":"deliver","channel":"a","messages":["#,
            r#"{"id":"a","time":0,"text":""},"#,
            r#"{"id":"a","time":0,"text":""}]}"#,
        ),
        json("since", r#"{"t":"subscribe","req":1,"channel":"a","since":{"a":["#, "[],", "[]]}}"),
        json("headers", r#"{"t":"publish","channel":"a","text":"","headers":{"#, r#""":"","#, r#""":""}}"#),
        json("places", r#"{"t":"history","req":1,"channel":"a","after":["#, "[],", "[]]}"),
        json("statuses", r#"{"t":"statuses","users":{"#, r#""a":{"online":true},"#, r#""a":{"online":true}}}"#),
    ];
    for (name, factor) in all {
        assert!(factor <= FACTOR, "{name}: {factor} bytes held for each of the input");
    }
}
