//! What a reader accepts though no writer of this version writes it so, and the frame that it is.

use moorline_protocol::limits;

use super::{Case, binary, json, nested, server_binary, server_json, text};

/// Each with the JSON form of the frame as this version writes it.
pub(crate) fn accepted() -> Vec<(Case, String)> {
    [json_shapes(), json_fields(), json_of_servers(), binary_forms()]
        .concat()
        .into_iter()
        .map(|(case, means)| (case, means.to_owned()))
        .chain(depths())
        .collect()
}

fn json_shapes() -> Vec<(Case, &'static str)> {
    const PONG: &str = r#"{"t":"pong","n":1}"#;
    vec![
        (json("white space", " \t{ \"t\" : \"pong\" , \"n\" : 1 } \r"), PONG),
        (json("blank lines", "\r\n\n{\"t\":\"pong\",\"n\":1}\n\n"), PONG),
        (json("the fields in another order", r#"{"n":1,"t":"pong"}"#), PONG),
        (json("escapes in names", r#"{"\u0074":"p\u006fng","n":1}"#), PONG),
        (json("an unknown field", r#"{"t":"pong","n":1,"later":{"a":[1,"x",null]}}"#), PONG),
        (
            json(
                "a field of another frame, of another type",
                r#"{"t":"pong","n":1,"token":5,"req":"x","users":0,"since":[]}"#,
            ),
            PONG,
        ),
        (json("`crit` in a known frame", r#"{"t":"pong","n":1,"crit":false}"#), PONG),
    ]
}

fn json_fields() -> Vec<(Case, &'static str)> {
    const PUBLISH: &str = r#"{"t":"publish","channel":"a","qos":1,"text":""}"#;
    vec![
        (json("what is written by hand", r#"{"t":"publish","channel":"a","text":""}"#), PUBLISH),
        (
            json(
                "null for what is absent",
                r#"{"t":"publish","req":null,"channel":"a","qos":null,"id":null,"headers":null,"text":"","bin":null}"#,
            ),
            PUBLISH,
        ),
        (json("no headers", r#"{"t":"publish","channel":"a","text":"","headers":{}}"#), PUBLISH),
        (
            json(
                "false and defaults, written out",
                r#"{"t":"subscribe","req":1,"channel":"a","since":null,"reset":"first","qos":1,"durable":false,"presence":"none"}"#,
            ),
            r#"{"t":"subscribe","req":1,"channel":"a","qos":1}"#,
        ),
        (
            json("the cursor as a word", r#"{"t":"subscribe","req":1,"channel":"a","since":"cursor","durable":true}"#),
            r#"{"t":"subscribe","req":1,"channel":"a","since":{"cursor":null},"qos":1,"durable":true}"#,
        ),
        (
            json(
                "an unknown field in `since`",
                r#"{"t":"subscribe","req":1,"channel":"a","since":{"last":5,"later":1}}"#,
            ),
            r#"{"t":"subscribe","req":1,"channel":"a","since":{"last":5},"qos":1}"#,
        ),
        (
            json("no `req` in an entry of `hello`", r#"{"t":"hello","v":1,"subscribe":[{"channel":"a"}]}"#),
            r#"{"t":"hello","v":1,"subscribe":[{"req":0,"channel":"a","qos":1}]}"#,
        ),
        (
            json("a producer in capitals", r#"{"t":"hello","v":1,"producer":"AABBCCDDEEFF00112233445566778899"}"#),
            r#"{"t":"hello","v":1,"producer":"aabbccddeeff00112233445566778899"}"#,
        ),
        (
            json("white space around `data`", r#"{"t":"publish","channel":"a","data": {"b": 1}  }"#),
            r#"{"t":"publish","channel":"a","qos":1,"data":{"b": 1}}"#,
        ),
        (
            json(
                "half a surrogate pair in `data`, which the server refuses later",
                r#"{"t":"publish","channel":"a","data":"\ud83e"}"#,
            ),
            r#"{"t":"publish","channel":"a","qos":1,"data":"\ud83e"}"#,
        ),
    ]
}

fn json_of_servers() -> Vec<(Case, &'static str)> {
    vec![
        (
            server_json(
                "an unknown field in a message",
                r#"{"t":"deliver","channel":"a","messages":[{"id":"m","time":1,"text":"","later":[]}]}"#,
            ),
            r#"{"t":"deliver","channel":"a","messages":[{"id":"m","time":1,"text":""}]}"#,
        ),
        (
            server_json("no messages", r#"{"t":"deliver","channel":"a","replay":true}"#),
            r#"{"t":"deliver","channel":"a","replay":true,"more":false,"messages":[]}"#,
        ),
        (
            server_json("an error without `retry`", r#"{"t":"error","code":"auth.invalid","message":"no"}"#),
            r#"{"t":"error","code":"auth.invalid","message":"no","retry":false}"#,
        ),
    ]
}

fn binary_forms() -> Vec<(Case, &'static str)> {
    const PONG: &str = r#"{"t":"pong","n":1}"#;
    vec![
        (binary("a number longer than needed", 15, &[&[0x81, 0x80, 0x00]]), PONG),
        (binary("a number of ten bytes", 15, &[&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]]), PONG),
        (binary("bytes at the end of a body", 15, &[&[1, 2, 3]]), PONG),
        (binary("an unknown flag, and its field at the end", 12, &[&[4, 9]]), r#"{"t":"park"}"#),
        (binary("an unknown flag of two bytes", 12, &[&[0x80, 0x40]]), r#"{"t":"park"}"#),
        (
            binary("bytes at the end of an entry of `hello`", 1, &[&[0, 1, 0, 1], &text([0, 0, 1, b'a', 0, 1, 9, 9])]),
            r#"{"t":"hello","v":1,"subscribe":[{"req":0,"channel":"a","qos":1}]}"#,
        ),
        (
            binary("no headers, with their flag", 5, &[&[0x85, 0x04, 0, 1, b'a', 0, 0]]),
            r#"{"t":"publish","channel":"a","qos":1,"text":""}"#,
        ),
        (
            server_binary("a known value by its name", 79, &[&[0, 0, 0], &text("move")]),
            r#"{"t":"goaway","after":0,"window":0,"reason":"move"}"#,
        ),
        (
            server_binary("a value of a later version by its number", 79, &[&[0, 0, 9]]),
            r#"{"t":"goaway","after":0,"window":0,"reason":"9"}"#,
        ),
        (
            server_binary("an error code of a later version by its number", 80, &[&[0], &[0xe7, 0x07], &text("")]),
            r#"{"t":"error","code":"999","message":"","retry":false}"#,
        ),
        (
            server_binary(
                "an unknown flag of a message",
                71,
                &[&[0, 1, b'a', 0], &text([&[0x81, 1][..], &text("m")].concat())],
            ),
            r#"{"t":"deliver","channel":"a","messages":[{"id":"m","time":1,"text":""}]}"#,
        ),
    ]
}

/// Values of the depth that is allowed, as deep in a frame as they can stand.
fn depths() -> Vec<(Case, String)> {
    let deep = nested(limits::JSON_DEPTH);
    let publish = format!(r#"{{"t":"publish","channel":"a","qos":1,"data":{deep}}}"#);
    let deliver = format!(r#"{{"t":"deliver","channel":"a","messages":[{{"id":"m","time":1,"data":{deep}}}]}}"#);
    let subscribed = format!(
        r#"{{"t":"subscribed","req":1,"channel":"a","number":1,"epoch":"e","head":0,"from":0,"start":"live","members":{{"version":{{"run":1,"n":1}},"count":1,"members":[{{"user":"u","state":{deep},"since":1}}]}}}}"#
    );
    vec![
        (json("`data`, 64 deep", publish.clone()), publish),
        (server_json("`data` of a message, 64 deep", deliver.clone()), deliver),
        (server_json("a member's state, 64 deep", subscribed.clone()), subscribed),
    ]
}
