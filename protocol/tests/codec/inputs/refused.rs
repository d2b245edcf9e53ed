//! What is answered with `request.malformed` and 4500.

use moorline_protocol::limits;

use super::{Case, From, Input, binary, case, frame, json, nested, number, server_binary, server_json, text};

/// 2^53: one too many.
const TOO_MANY: u64 = limits::MAX_SAFE_INTEGER + 1;

pub(crate) fn refused() -> Vec<Case> {
    [
        json_shapes(),
        json_values(),
        json_names(),
        json_messages(),
        json_of_servers(),
        binary_shapes(),
        binary_values(),
        binary_of_servers(),
    ]
    .concat()
}

fn json_shapes() -> Vec<Case> {
    let deep = format!(r#"{{"t":"publish","channel":"a","later":{},"text":""}}"#, nested(limits::JSON_DEPTH + 4));
    vec![
        json("not JSON", "hello"),
        json("cut short", r#"{"t":"pong","n":1"#),
        json("not an object", r#"["pong",1]"#),
        json("null", "null"),
        json("a comma too many", r#"{"t":"pong","n":1,}"#),
        json("two frames on one line", r#"{"t":"pong","n":1}{"t":"pong","n":2}"#),
        json("a frame on two lines", "{\"t\":\"pong\",\n\"n\":1}"),
        json("a byte order mark", "\u{feff}{\"t\":\"pong\",\"n\":1}"),
        json("no type", r#"{"n":1}"#),
        json("the type is a number", r#"{"t":1}"#),
        json("the type twice", r#"{"t":"pong","t":"pong","n":1}"#),
        json("a field twice", r#"{"t":"pong","n":1,"n":1}"#),
        json("a field twice, once with escapes", r#"{"t":"pong","n":1,"\u006e":1}"#),
        json("an unknown field twice", r#"{"t":"pong","n":1,"later":1,"later":1}"#),
        json(
            "a field twice in an entry of a list",
            r#"{"t":"hello","v":1,"subscribe":[{"channel":"a","channel":"a"}]}"#,
        ),
        json("nested too deep", deep),
        json(
            "an unknown type, nested too deep",
            format!(r#"{{"t":"later","crit":false,"x":{}}}"#, nested(limits::JSON_DEPTH + 4)),
        ),
        json("`crit` is not a boolean", r#"{"t":"later","crit":0}"#),
        json("a control character in a text", "{\"t\":\"publish\",\"channel\":\"a\",\"text\":\"\u{1}\"}"),
        json("half a surrogate pair in a text", r#"{"t":"publish","channel":"a","text":"\ud83e"}"#),
        case(
            "not UTF-8",
            From::Client,
            Input::Text([&br#"{"t":"publish","channel":"a","text":""#[..], b"\xff\"}"].concat()),
        ),
        case(
            "UTF-8 of a surrogate",
            From::Client,
            Input::Text([&br#"{"t":"publish","channel":"a","text":""#[..], b"\xed\xa0\x80\"}"].concat()),
        ),
        case(
            "UTF-8, longer than needed",
            From::Client,
            Input::Text([&br#"{"t":"publish","channel":"a","text":""#[..], b"\xc0\x80\"}"].concat()),
        ),
    ]
}

fn json_values() -> Vec<Case> {
    let ack = |offset: &str| format!(r#"{{"t":"ack","channel":"a","epoch":"e","offset":{offset}}}"#);
    let subscribe = |field: &str| format!(r#"{{"t":"subscribe","req":1,"channel":"a",{field}}}"#);
    vec![
        json("`req` missing", r#"{"t":"auth","token":"x"}"#),
        json("`req` is null", r#"{"t":"auth","req":null,"token":"x"}"#),
        json("an offset of 2^53", ack(&TOO_MANY.to_string())),
        json("an offset below zero", ack("-1")),
        json("an offset with a fraction", ack("1.0")),
        json("an offset with an exponent", ack("1e3")),
        json("an offset as a text", ack("\"1\"")),
        json("a `req` of 2^53", format!(r#"{{"t":"unsubscribe","req":{TOO_MANY},"channel":"a"}}"#)),
        json("an `n` of 2^53", format!(r#"{{"t":"pong","n":{TOO_MANY}}}"#)),
        json("a version of 2^32", r#"{"t":"hello","v":4294967296}"#),
        json("a `run` of one number", r#"{"t":"hello","v":1,"run":[1]}"#),
        json("a `run` of 2^53", format!(r#"{{"t":"hello","v":1,"run":[1,{TOO_MANY}]}}"#)),
        json("QoS 3", subscribe(r#""qos":3"#)),
        json("an unknown `reset`", subscribe(r#""reset":"later""#)),
        json("an unknown `presence`", subscribe(r#""presence":"later""#)),
        json("a `since` of no known form", subscribe(r#""since":{"later":1}"#)),
        json("a `since` of two forms", subscribe(r#""since":{"last":1,"first":true}"#)),
        json("a `since` that is another word", subscribe(r#""since":"first""#)),
        json("a `since` that is a number", subscribe(r#""since":9"#)),
        json("`first` is false", subscribe(r#""since":{"first":false}"#)),
        json("a position without an offset", subscribe(r#""since":{"epoch":"e"}"#)),
        json("a position without an epoch", subscribe(r#""since":{"offset":1}"#)),
        json("a time of 2^53", subscribe(&format!(r#""since":{{"time":{TOO_MANY}}}"#))),
        json("`durable` is a number", subscribe(r#""durable":1"#)),
        json(
            "a state of more than 4,096 bytes",
            subscribe(&format!(r#""state":"{}""#, "s".repeat(limits::PRESENCE_STATE_BYTES - 1))),
        ),
        json("an unknown `op`", r#"{"t":"presence","req":1,"channel":"a","op":"later"}"#),
        json("both `after` and `before`", r#"{"t":"history","req":1,"channel":"a","after":1,"before":3}"#),
        json("an `after` of 2^53", format!(r#"{{"t":"history","req":1,"channel":"a","after":{TOO_MANY}}}"#)),
        json("a `more` after a time", r#"{"t":"more","channel":"a","after":{"time":1}}"#),
        json(
            "501 users",
            format!(r#"{{"t":"status","req":1,"users":[{}"a"]}}"#, "\"a\",".repeat(limits::STATUS_USERS)),
        ),
    ]
}

fn json_names() -> Vec<Case> {
    let pause = |channel: &str| format!(r#"{{"t":"pause","channel":"{channel}"}}"#);
    let more = |epoch: &str| format!(r#"{{"t":"more","channel":"a","after":0,"epoch":"{epoch}"}}"#);
    let hello = |field: &str| format!(r#"{{"t":"hello","v":1,{field}}}"#);
    let device = |device: &str| hello(&format!(r#""device":"{device}""#));
    let caps = |caps: &str| hello(&format!(r#""caps":[{caps}]"#));
    vec![
        json("an empty channel", pause("")),
        json("a channel of 129 bytes", pause(&"c".repeat(limits::CHANNEL_NAME + 1))),
        json("a channel of 65 characters of two bytes", pause(&"é".repeat(65))),
        json("a channel with `*`", pause("chat:*")),
        json("a channel with a line break", pause(r"a\nb")),
        json("a channel with the control character U+0085", pause(r"a\u0085b")),
        json("an empty epoch", more("")),
        json("an epoch of 17 characters", more(&"e".repeat(limits::EPOCH + 1))),
        json("an epoch with a space", more("e 1")),
        json("an epoch beyond ASCII", more("é")),
        json("a device of 15 characters", device(&"d".repeat(limits::DEVICE_ID.0 - 1))),
        json("a device of 65 characters", device(&"d".repeat(limits::DEVICE_ID.1 + 1))),
        json("a device with a dot", device("d.d.d.d.d.d.d.d.")),
        json("a producer of 31 digits", hello(&format!(r#""producer":"{}""#, "0".repeat(31)))),
        json("a producer with a sign", hello(&format!(r#""producer":"+{}""#, "0".repeat(31)))),
        json("a token of 8,193 bytes", hello(&format!(r#""token":"{}""#, "t".repeat(limits::TOKEN_BYTES + 1)))),
        json("an `sdk` of 65 bytes", hello(&format!(r#""sdk":"{}""#, "s".repeat(limits::SDK + 1)))),
        json("33 `caps`", caps(&format!("{}\"c\"", "\"c\",".repeat(limits::CAPS)))),
        json("a cap of 33 bytes", caps(&format!("\"{}\"", "c".repeat(limits::CAP + 1)))),
        json(
            "4,097 subscriptions",
            hello(&format!(
                r#""subscribe":[{}{{"channel":"a"}}]"#,
                r#"{"channel":"a"},"#.repeat(limits::HELLO_SUBSCRIPTIONS)
            )),
        ),
        json("a user with a control character", r#"{"t":"status","req":1,"users":["a\u0000"]}"#),
        json("an empty user", r#"{"t":"status","req":1,"users":[""]}"#),
    ]
}

fn json_messages() -> Vec<Case> {
    let publish = |fields: &str| format!(r#"{{"t":"publish","channel":"a",{fields}}}"#);
    let headers = |headers: &str| publish(&format!(r#""text":"","headers":{{{headers}}}"#));
    let many: Vec<String> = (0..=limits::HEADERS).map(|n| format!(r#""h{n}":"""#)).collect();
    vec![
        json("no payload", publish(r#""qos":0"#)),
        json("two payloads", publish(r#""text":"a","data":1"#)),
        json("two payloads, one of them null", publish(r#""text":"a","data":null"#)),
        json("`text` is a number", publish(r#""text":1"#)),
        json("`bin` is not base64", publish(r#""bin":"a*==""#)),
        json("`bin` without padding", publish(r#""bin":"/w""#)),
        json("`bin` in the alphabet of URLs", publish(r#""bin":"_w==""#)),
        json("`bin` with bits to spare", publish(r#""bin":"/x==""#)),
        json("an empty id", publish(r#""text":"","id":"""#)),
        json("an id of 129 bytes", publish(&format!(r#""text":"","id":"{}""#, "i".repeat(limits::MESSAGE_ID + 1)))),
        json("a sequence of 0", publish(r#""text":"","seq":0"#)),
        json("a sequence of 2^53", publish(&format!(r#""text":"","seq":{TOO_MANY}"#))),
        json("a ttl of 2^32", publish(r#""text":"","ttl":4294967296"#)),
        json("17 headers", headers(&many.join(","))),
        json("1,025 bytes of headers", headers(&format!(r#""n":"{}""#, "v".repeat(limits::HEADER_BYTES)))),
        json("a header without a name", headers(r#""":"v""#)),
        json("a header twice", headers(r#""n":"v","n":"v""#)),
        json("a header that is a number", headers(r#""n":1"#)),
    ]
}

fn json_of_servers() -> Vec<Case> {
    let deliver = |message: &str| format!(r#"{{"t":"deliver","channel":"a","messages":[{message}]}}"#);
    let subscribed = |number: &str| {
        format!(
            r#"{{"t":"subscribed","req":1,"channel":"a","number":{number},"epoch":"e","head":0,"from":0,"start":"live"}}"#
        )
    };
    vec![
        server_json("a message without an id", deliver(r#"{"offset":1,"time":1,"text":""}"#)),
        server_json("a message without a payload", deliver(r#"{"offset":1,"id":"m","time":1}"#)),
        server_json("a message at offset 0", deliver(r#"{"offset":0,"id":"m","time":1,"text":""}"#)),
        server_json(
            "a message at offset 2^53",
            deliver(&format!(r#"{{"offset":{TOO_MANY},"id":"m","time":1,"text":""}}"#)),
        ),
        server_json("the channel's number is 0", subscribed("0")),
        server_json("the channel's number is 2^32", subscribed("4294967296")),
        server_json("`by` of no known word", r#"{"t":"error","code":"publish.reused","message":"","by":"later"}"#),
        server_json("a user twice", r#"{"t":"statuses","users":{"a":{"online":true},"a":{"online":true}}}"#),
        server_json("published at offset 0", r#"{"t":"published","req":1,"epoch":"e","offset":0}"#),
    ]
}

fn binary_shapes() -> Vec<Case> {
    let bytes = |name, bytes: &[u8]| case(name, From::Client, Input::Binary(bytes.to_vec()));
    vec![
        bytes("a length of 0", &[0]),
        bytes("a length that ends in mid-air", &[0x80]),
        bytes("a length beyond the message", &[3, 15, 1]),
        bytes("the largest length", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 15, 1]),
        bytes("a length of 2^64", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 15, 1]),
        bytes("a number of eleven bytes", &[&[12, 15][..], &[0x80; 10], &[0]].concat()),
        binary("a body that is too short", 15, &[]),
        binary("a body that ends inside a text", 8, &[&[0, 5], b"room"]),
        binary("a body that ends inside a producer", 1, &[&[32, 1], &[0; 15]]),
        bytes("the second frame is broken", &[&frame(15, &[&[1]])[..], &[0]].concat()),
    ]
}

fn binary_values() -> Vec<Case> {
    let hello = |flags: u8, rest: &[&[u8]]| [&[&[flags, 1][..]], rest].concat().concat();
    let publish = |flags: u64, rest: &[&[u8]]| [&[&number(flags)[..], &[1]], rest].concat().concat();
    let subscribe = |flags: u8, since: u8, qos: u8| vec![flags, 1, 1, b'a', since, qos];
    let headers: Vec<u8> = (0..=limits::HEADERS).flat_map(|n| [text(format!("h{n}")), text("")].concat()).collect();
    vec![
        binary("an offset of 2^53", 6, &[&[1], &text("e"), &number(TOO_MANY)]),
        binary("an `n` of 2^53", 15, &[&number(TOO_MANY)]),
        binary("a channel number of 2^32", 8, &[&number(1 << 32)]),
        binary("a version of 2^32", 1, &[&[0], &number(1 << 32), &[0, 0]]),
        binary("a ttl of 2^32", 5, &[&publish(256, &[&number(1 << 32), &text("")])]),
        binary("an empty channel", 8, &[&[0], &text("")]),
        binary("a channel with `*`", 8, &[&[0], &text("*")]),
        binary("a channel of 129 bytes", 8, &[&[0], &text("c".repeat(129))]),
        binary("a channel that is not UTF-8", 8, &[&[0], &text(b"\xff")]),
        binary("an empty epoch", 6, &[&[1], &text(""), &[1]]),
        binary("an epoch of 17 characters", 6, &[&[1], &text("e".repeat(17)), &[1]]),
        binary("a device of 15 characters", 1, &[&hello(2, &[&text("d".repeat(15)), &[0, 0]])]),
        binary("a token of 8,193 bytes", 1, &[&hello(1, &[&text("t".repeat(8_193)), &[0, 0]])]),
        binary("an `sdk` of 65 bytes", 1, &[&hello(8, &[&text("s".repeat(65)), &[0, 0]])]),
        binary("33 `caps`", 1, &[&hello(0, &[&[33], &text("c").repeat(33), &[0]])]),
        binary("a cap of 33 bytes", 1, &[&hello(0, &[&[1], &text("c".repeat(33)), &[0]])]),
        binary("a count beyond the frame", 11, &[&[0, 1], &number(400), &text("a")]),
        binary(
            "4,097 subscriptions",
            1,
            &[&hello(0, &[&[0], &number(4_097), &text([0, 0, 1, b'a', 0, 1]).repeat(4_097)])],
        ),
        binary("both a new producer and an old one", 1, &[&hello(48, &[&[0; 16], &[0, 0]])]),
        binary("501 users", 11, &[&[0, 1], &number(501), &text("a").repeat(501)]),
        binary("QoS 3", 3, &[&subscribe(0, 0, 3)]),
        binary("a `since` of no known form", 3, &[&subscribe(0, 7, 1)]),
        binary("both presence modes", 3, &[&subscribe(12, 0, 1)]),
        binary("a state of more than 4,096 bytes", 3, &[&subscribe(16, 0, 1), &text("s".repeat(4_097))]),
        binary("a range of no known form", 9, &[&[0, 1, 1, 5]]),
        binary("an unknown `op`", 10, &[&[0, 1, 1, 4]]),
        binary("a publish of QoS 3", 5, &[&publish(3, &[&text("")])]),
        binary("a payload of no known kind", 5, &[&publish(12, &[&text("")])]),
        binary("a text that is not UTF-8", 5, &[&publish(4, &[&text(b"\xff")])]),
        binary("an empty id", 5, &[&publish(4 + 32, &[&text(""), &text("")])]),
        binary("an id of 129 bytes", 5, &[&publish(4 + 32, &[&text("i".repeat(129)), &text("")])]),
        binary("a sequence of 0", 5, &[&publish(4 + 64, &[&[0], &text("")])]),
        binary("17 headers", 5, &[&publish(4 + 512, &[&[17], &headers, &text("")])]),
        binary(
            "1,025 bytes of headers",
            5,
            &[&publish(4 + 512, &[&[1], &text("n"), &text("v".repeat(1_024)), &text("")])],
        ),
        binary("a header without a name", 5, &[&publish(4 + 512, &[&[1], &text(""), &text("v"), &text("")])]),
        binary(
            "a header twice",
            5,
            &[&publish(4 + 512, &[&[2], &text("n"), &text("v"), &text("n"), &text("v"), &text("")])],
        ),
    ]
}

fn binary_of_servers() -> Vec<Case> {
    let deliver = |message: &[&[u8]]| [&[1, 0][..], &text(message.concat())].concat();
    let subscribed = |number: &[u8]| [&[0, 1][..], &text("a"), number, &text("e"), &[0, 0, 1]].concat();
    vec![
        server_binary("a message longer than its frame", 71, &[&[1, 0, 9, 1, 0]]),
        server_binary("a message without an id", 71, &[&deliver(&[&[1, 0], &text("")])]),
        server_binary("a message at offset 0", 71, &[&deliver(&[&[5, 0, 0], &text("m")])]),
        server_binary("a message at offset 2^53", 71, &[&deliver(&[&[5], &number(TOO_MANY), &[0], &text("m")])]),
        server_binary("a payload of no known kind", 71, &[&deliver(&[&[3, 0], &text("m")])]),
        server_binary("the channel's number is 0", 67, &[&subscribed(&[0])]),
        server_binary("the channel's number is 2^32", 67, &[&subscribed(&number(1 << 32))]),
        server_binary("published at offset 0", 69, &[&[2, 1], &text("e"), &[0]]),
        server_binary("both kinds of `by`", 80, &[&[96], &number(601), &text("")]),
        server_binary("an error code of 2^16", 80, &[&[0], &number(1 << 16), &text("")]),
        server_binary("a user twice", 78, &[&[0, 2], &[&[0][..], &text("a")].concat().repeat(2)]),
        server_binary("a checksum cut short", 72, &[&[0, 1, 9, 1, 2, 3]]),
    ]
}
