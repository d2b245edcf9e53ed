//! Rules about payloads, which are more than decoding.

use bytes::Bytes;
use moorline_protocol::json::is_valid;
use moorline_protocol::{ChannelName, ChannelRef, ClientFrame, Codec, Payload, Publish, Qos, limits};

use crate::wire::Wire;

fn published(payload: Payload) -> String {
    let channel = ChannelRef::Name(ChannelName::new("a").unwrap());
    let (qos, headers) = (Qos::AtMostOnce, Vec::new());
    let (req, id, seq, generation, ttl) = (None, None, None, None, None);
    let publish = Publish { channel, qos, req, id, seq, generation, ttl, headers, payload };
    String::from_utf8(ClientFrame::Publish(publish).encoded(Codec::Json)).unwrap()
}

#[test]
fn json_of_the_app_is_what_every_reader_can_take() {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let valid = [
        " {\"a\": [1, -0, 1.5e-3, \"\\ud83e\\udd80\"]}\n",
        "null",
        "12345678901234567890123",
        &deep(limits::JSON_DEPTH),
    ];
    for text in valid {
        assert!(is_valid(text.as_bytes()), "{text}");
    }
    let invalid = [
        "",
        " ",
        "nul",
        "{\"a\":1,}",
        "1 2",
        "01",
        "\"\\ud83e\"",
        "\"\\udd80\\ud83e\"",
        "1e999",
        &deep(limits::JSON_DEPTH + 1),
    ];
    for text in invalid {
        assert!(!is_valid(text.as_bytes()), "{text}");
    }
    assert!(!is_valid(b"\"\xff\""), "not UTF-8");
}

#[test]
fn line_breaks_of_a_payload_do_not_end_its_frame() {
    let json = Payload::Json(Bytes::from_static(b"\r\n[1,\n2]\n"));
    assert_eq!(published(json), r#"{"t":"publish","channel":"a","qos":0,"data":[1, 2]}"#);
}

#[test]
fn a_payload_that_is_not_json_does_not_break_its_frame() {
    for bad in [&b"nonsense"[..], b"", b"\"\xff\"", b"1}{\"t\":\"pong\""] {
        assert_eq!(
            published(Payload::Json(Bytes::from_static(bad))),
            r#"{"t":"publish","channel":"a","qos":0,"data":null}"#
        );
    }
}
