//! The request that becomes a WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moorline_server::ws::{self, MAX_HEAD, Refusal, Upgrade};
use sha1::{Digest, Sha1};

use crate::choices::Choices;

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the first byte of an input chooses.
const RAW: u8 = 0;

/// The head of a request, whatever its pieces: the answer is HTTP, says nothing that the request put into it, and
/// does not change with what follows.
pub fn upgrade(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let (request, mut cuts) = match *mode {
        RAW => (rest.to_vec(), Choices::new(rest)),
        _ => {
            let mut choices = Choices::new(rest);
            (request(&mut choices), choices)
        }
    };
    let mut end = 0;
    loop {
        end = (end + 1 + usize::from(cuts.byte())).min(request.len());
        match ws::upgrade(&request[..end]) {
            Ok(None) if end == request.len() => return,
            Ok(None) => assert!(end < MAX_HEAD, "{end} bytes without an end of the head"),
            Ok(Some(upgrade)) => {
                accepted(&upgrade, &request[..end]);
                assert_eq!(ws::upgrade(&request), Ok(Some(upgrade)), "the rest changes the answer");
                return;
            }
            Err(refusal) => {
                refused(&refusal);
                assert!(ws::upgrade(&request).is_err(), "the rest makes it good");
                return;
            }
        }
    }
}

/// Inputs of [`upgrade`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let browser = "GET /ws/shop?x=1 HTTP/1.1\r\nHost: localhost:8000\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: websocket\r\nOrigin: http://localhost\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: moorline.v1.json, moorline.v1.bin\r\n\r\n";
    let whole = ["GET /healthz HTTP/1.1\r\n\r\n", browser].map(|text| [&[RAW], text.as_bytes()].concat());
    whole.into_iter().chain((0..16).map(|n| [&[1], crate::noise(n, 48).as_slice()].concat())).collect()
}

fn accepted(upgrade: &Upgrade, request: &[u8]) {
    assert!(upgrade.head <= request.len() && upgrade.head <= MAX_HEAD, "a head of {} bytes", upgrade.head);
    let mut headers = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(upgrade.response.as_bytes());
    assert_eq!(parsed, Ok(httparse::Status::Complete(upgrade.response.len())), "{}", upgrade.response);
    assert_eq!(response.code, Some(101));
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(header.value).ok()
    };
    assert_eq!((value("Upgrade"), value("Connection")), (Some("websocket"), Some("Upgrade")));
    let accept = value("Sec-WebSocket-Accept").expect("a proof");
    let keys = request[..upgrade.head].split(|byte| *byte == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        line.split_once(':').map(|(_, value)| value.trim())
    });
    let proof = |key: &str| STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    assert!(keys.map(proof).any(|proof| proof == accept), "a proof of another key");
    let allowed = [None, Some("moorline.v1.bin"), Some("moorline.v1.json")];
    assert!(allowed.contains(&value("Sec-WebSocket-Protocol")));
}

fn refused(refusal: &Refusal) {
    let text = refusal.response();
    let mut headers = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(text.as_bytes()) else { panic!("not HTTP: {text}") };
    assert_eq!(response.code, Some(refusal.status));
    let length = response.headers.iter().find(|header| header.name == "Content-Length").expect("a length");
    let length: usize = std::str::from_utf8(length.value).expect("text").parse().expect("a number");
    assert_eq!(length, text.len() - head, "{text}");
}

/// A request with most of what is needed, in odd forms.
fn request(choices: &mut Choices<'_>) -> Vec<u8> {
    const LINES: &[&str] = &[
        "Upgrade: websocket",
        "upgrade:\tWebSocket, h2c",
        "Connection: keep-alive, Upgrade",
        "CONNECTION: upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Key: AAAA",
        "Sec-WebSocket-Protocol: moorline.v1.bin",
        "Sec-WebSocket-Protocol: moorline.v1.json, mqtt",
        "Origin: http://a\u{e4}",
        " folded",
        "Host: x",
    ];
    let path = choices.pick(&["/ws", "/ws/shop", "/ws/a/b", "/", "/ws?token=1", "*", "http://x/ws", "/ws/%2e"]);
    let mut request =
        format!("{} {path} {}\r\n", choices.pick(&["GET", "POST"]), choices.pick(&["HTTP/1.1", "HTTP/1.0"]));
    if choices.chance(70) {
        request += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    }
    for _ in 0..choices.below(70) {
        request += choices.pick(LINES);
        request += choices.pick(&["\r\n", "\n", "\r\n", "\r"]);
    }
    if choices.chance(10) {
        request += &format!("Padding: {}\r\n", "x".repeat(1 + choices.below(256) * 64));
    }
    request += "\r\n";
    let mut request = request.into_bytes();
    request.extend_from_slice(choices.bytes());
    request
}
