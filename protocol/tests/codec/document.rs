//! `docs/protocol.md` says what the code does.

use std::collections::{BTreeMap, BTreeSet};

use moorline_protocol::{ClientFrame, CloseCode, CloseVerdict, Codec, ErrorCode, ServerFrame, limits};

use crate::samples;
use crate::wire::{Wire, hex};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

/// The JSON forms of all vectors, each with the binary forms there are of it.
fn vectors() -> BTreeMap<String, BTreeSet<String>> {
    fn add<F: Wire>(samples: Vec<(String, F)>, to: &mut BTreeMap<String, BTreeSet<String>>) {
        for (_, frame) in samples {
            let json = String::from_utf8(frame.named().encoded(Codec::Json)).unwrap();
            to.entry(json).or_default().insert(hex(&frame.encoded(Codec::Binary)));
        }
    }
    let mut all = BTreeMap::new();
    add(samples::client(), &mut all);
    add(samples::server(), &mut all);
    all
}

/// The fenced blocks: language and content.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut parts = DOCUMENT.split("```").skip(1).step_by(2);
    let block = |part: &'static str| part.split_once('\n').map(|(language, content)| (language, content.trim_end()));
    std::iter::from_fn(|| parts.next()).filter_map(block).collect()
}

/// The rows of the table whose head has these cells.
fn table(head: &[&str]) -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim().trim_matches('|').split(" | ").map(|cell| cell.trim()).collect()
    };
    let mut lines = DOCUMENT.lines().skip_while(|line| !line.starts_with('|') || cells(line) != head);
    assert!(lines.next().is_some(), "no table {head:?}");
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn every_example_is_a_vector() {
    let vectors = vectors();
    let mut json = "";
    for (language, content) in blocks() {
        match language {
            "json" => {
                assert!(vectors.contains_key(content), "not a vector: {content}");
                json = content;
            }
            "hex" => assert!(vectors[json].contains(content), "not the binary form of {json}: {content}"),
            _ => {}
        }
    }
    let conversation: Vec<_> = blocks()[0].1.lines().collect();
    assert_eq!(conversation.len(), 7);
    for line in conversation {
        let frame = line.strip_prefix("> ").or_else(|| line.strip_prefix("< ")).unwrap();
        assert!(vectors.contains_key(frame), "not a vector: {frame}");
    }
}

#[test]
fn every_frame_has_an_example_that_decodes() {
    let mut client = BTreeSet::new();
    let mut server = BTreeSet::new();
    for (_, content) in blocks().into_iter().filter(|(language, _)| *language == "json") {
        // A frame of one side is not one of the other, but for ping, pong and presence.
        match ClientFrame::all(Codec::Json, content).as_deref() {
            Ok([moorline_protocol::Decoded::Frame(frame)]) => client.insert(frame.kind().1),
            _ => server.insert(ServerFrame::only(Codec::Json, content).kind().1),
        };
    }
    let missing = |kinds: &[(u8, &'static str)], seen: &BTreeSet<&str>| -> Vec<&'static str> {
        kinds.iter().map(|(_, name)| *name).filter(|name| !seen.contains(name)).collect()
    };
    // `ping` of the server stands for both, and `packed` has no JSON form.
    assert_eq!(missing(ClientFrame::KINDS, &client), [""; 0]);
    assert_eq!(missing(ServerFrame::KINDS, &server), ["ping", "pong", "packed"]);
}

#[test]
fn the_table_of_frames_is_complete() {
    let side = |kinds: &[(u8, &str)], side| -> Vec<_> {
        kinds.iter().map(|(number, name)| (number.to_string(), format!("`{name}`"), side)).collect()
    };
    let documented = |side| -> Vec<_> {
        let rows = table(&["Type", "Frame", "From", "Answer", "Section"]).into_iter();
        let rows = rows.filter(|row| row[2].contains(side));
        rows.map(|row| (row[0].to_owned(), row[1].to_owned(), side)).collect()
    };
    assert_eq!(documented("client"), side(ClientFrame::KINDS, "client"));
    assert_eq!(documented("server"), side(ServerFrame::KINDS, "server"));
}

#[test]
fn the_table_of_error_codes_is_the_code() {
    let rows = table(&["Number", "Code", "Retry", "Meaning", "What the client does"]);
    let rows: Vec<_> = rows.iter().map(|row| row[..4].join(" | ")).collect();
    let codes = ErrorCode::ALL.iter().map(|code| {
        let retry = if code.is_retryable() { "yes" } else { "no" };
        format!("{} | `{code}` | {retry} | {}", code.number(), code.meaning())
    });
    assert_eq!(rows, codes.collect::<Vec<_>>());
}

#[test]
fn the_table_of_close_codes_is_the_code() {
    let rows = table(&["Code", "Meaning", "Client"]);
    let known = [
        CloseCode::NORMAL,
        CloseCode::GOING_AWAY,
        CloseCode::PING_TIMEOUT,
        CloseCode::OVERLOADED,
        CloseCode::STORAGE_UNAVAILABLE,
        CloseCode::HELLO_TIMEOUT,
        CloseCode::TOKEN_EXPIRED,
        CloseCode::PROTOCOL_ERROR,
        CloseCode::VERSION,
        CloseCode::TOKEN_INVALID,
        CloseCode::REVOKED,
        CloseCode::DISPLACED,
        CloseCode::UNKNOWN_APP,
        CloseCode::TOO_LARGE,
    ];
    let verdict = |code: CloseCode| match code.verdict() {
        CloseVerdict::Retry => "retry",
        CloseVerdict::RetryWithNewToken => "new token",
        CloseVerdict::Final => "final",
    };
    let documented: Vec<_> = rows.iter().map(|row| (row[0].to_owned(), row[2])).collect();
    assert_eq!(documented, known.map(|code| (code.0.to_string(), verdict(code))));
}

/// A number with commas.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn the_table_of_limits_is_the_code() {
    assert_eq!(limits::MAX_SAFE_INTEGER, (1 << 53) - 1);
    let upto = |what: &str, most: usize, unit: &str| (what.to_owned(), format!("1–{most} {unit}"));
    let bytes = |what: &str, most: usize, more: &str| (what.to_owned(), format!("{} bytes{more}", grouped(most)));
    let count = |what: &str, most: usize, more: &str| (what.to_owned(), format!("{}{more}", grouped(most)));
    let (least, most) = limits::DEVICE_ID;
    let expected = [
        ("integers".to_owned(), "2^53−1".to_owned()),
        upto("channel name", limits::CHANNEL_NAME, "bytes"),
        upto("user name", limits::USER_NAME, "bytes"),
        upto("app name", limits::APP_NAME, "bytes"),
        ("device".to_owned(), format!("{least}–{most} characters")),
        upto("message id", limits::MESSAGE_ID, "bytes"),
        upto("epoch", limits::EPOCH, "characters"),
        count("headers of a message", limits::HEADERS, &format!(", {} bytes in all", grouped(limits::HEADER_BYTES))),
        bytes("token", limits::TOKEN_BYTES, ""),
        bytes("`sdk`", limits::SDK, ""),
        count("`caps`", limits::CAPS, &format!(", of {} bytes each", limits::CAP)),
        count("subscriptions in a `hello`", limits::HELLO_SUBSCRIPTIONS, "; more go as `subscribe` frames"),
        bytes("payload", limits::MESSAGE_BYTES, " by default; `limit.message`"),
        bytes("WebSocket message to the server", limits::TRANSPORT_MESSAGE_BYTES, "; 4506"),
        bytes("WebSocket message at which a client begins another", limits::SDK_MESSAGE_BYTES, ""),
        count("messages of a page or of an answer to `history`", limits::PAGE_MESSAGES, ""),
        count("bytes of a replay page", limits::PAGE_BYTES, ", or one larger message"),
        count("unconfirmed replay pages", limits::PAGES_IN_FLIGHT, ""),
        count("unanswered publishes per channel", limits::PUBLISH_WINDOW, ""),
        bytes("method of a call", limits::METHOD, ""),
        count("unanswered calls per connection", limits::CALLS, "; `limit.calls`"),
        count("ms that a call waits for its answer", limits::CALL_MS as usize, ""),
        count("verdicts kept per (producer, channel)", limits::PRODUCER_VERDICTS, ""),
        count("channels of a producer", limits::PRODUCER_CHANNELS, "; `limit.channels`"),
        count("depth of `data` and `state`", limits::JSON_DEPTH, "; `request.malformed` for the publish alone"),
        count("depth of a JSON frame", limits::JSON_FRAME_DEPTH, ""),
        count("users in a `status`", limits::STATUS_USERS, ""),
        count("members of a page, and up to which a channel's members are listed", limits::PRESENCE_LISTED, ""),
        count("members at which they are listed again", limits::PRESENCE_LISTED_AGAIN, ""),
        bytes("presence state", limits::PRESENCE_STATE_BYTES, ""),
        count("messages of a compression dictionary", limits::DICTIONARY_MESSAGES, ""),
        count("bytes of a compression dictionary", limits::DICTIONARY_BYTES, ""),
        count("bytes that a `packed` inflates to", limits::PACKED_BYTES, ""),
    ];
    let rows = table(&["What", "Limit"]);
    let documented: Vec<_> = rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    assert_eq!(documented, expected);
}

/// Returns the number of a growing enumeration's value: in binary, `template` with this name and `template` with an
/// unknown number differ in one byte.
fn number_of(template: &str, name: &str) -> u8 {
    let encoded = |value| ServerFrame::only(Codec::Json, template.replace('?', value)).encoded(Codec::Binary);
    let (known, unknown) = (encoded(name), encoded("99"));
    let differing: Vec<u8> = known.iter().zip(&unknown).filter(|(a, b)| a != b).map(|(a, _)| *a).collect();
    assert_eq!((known.len(), differing.len()), (unknown.len(), 1), "{name}");
    differing[0]
}

#[test]
fn the_table_of_enumerations_is_the_code() {
    const WELCOME: &str = r#"{"t":"welcome","v":1,"session":"","device":"0123456789abcdef","time":0,"ping":0,"durability":"D","producer":{"id":"00000000000000000000000000000000","gen":0,"state":"S"},"limits":{"message":0,"channels":0,"window":0,"spread":0}}"#;
    const SUBSCRIBED: &str =
        r#"{"t":"subscribed","req":0,"channel":"a","number":1,"epoch":"e","head":0,"from":0,"start":"?"}"#;
    let templates = [
        WELCOME.replace("\"D\"", "\"?\"").replace("\"S\"", "\"new\""),
        WELCOME.replace("\"D\"", "\"disk\"").replace("\"S\"", "\"?\""),
        SUBSCRIBED.to_owned(),
        r#"{"t":"reset","channel":"a","epoch":"e","first":0,"head":0,"from":0,"reason":"?"}"#.to_owned(),
        r#"{"t":"goaway","after":0,"window":0,"reason":"?"}"#.to_owned(),
        r#"{"t":"presence","channel":"a","version":{"run":0,"n":0},"count":0,"events":[{"event":"?","user":"u"}]}"#
            .to_owned(),
    ];
    let rows = table(&["Field", "Values"]);
    assert_eq!(rows.len(), templates.len() + 1, "and the row of the error codes");
    for (row, template) in rows.iter().zip(templates) {
        for value in row[1].split(", ") {
            let (number, name) = value.split_once(' ').unwrap();
            assert_eq!(number_of(&template, name.trim_matches('`')).to_string(), number, "{}: {name}", row[0]);
        }
    }
}

#[test]
fn every_section_is_in_the_table_of_contents() {
    let anchor = |title: &str| -> String {
        let plain = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
        plain.collect::<String>().to_lowercase().replace(' ', "-")
    };
    for title in DOCUMENT.lines().filter_map(|line| line.strip_prefix("## ")) {
        let (_, name) = title.split_once(". ").unwrap();
        assert!(DOCUMENT.contains(&format!("[{name}](#{})", anchor(title))), "{title}");
    }
}
