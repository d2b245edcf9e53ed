//! Clients that send too slowly or too much are given up, and nobody else notices.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use moorline_server::server::{Options, Server};
use serde_json::json;

use super::client::{Answer, Http};

const HEAD: &str = "POST /v1/apps/default/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\ncontent-type: application/json\r\n";

/// A server that waits for little, with a listener of its own for the API.
fn server() -> (Server, Http) {
    let listen = Some(([127, 0, 0, 1], 0).into());
    let server = Server::start(Options { head_within_ms: 300, http_listen: listen, ..Options::dev() }).unwrap();
    let http = Http::new(server.http_address(), "dev");
    (server, http)
}

/// Sends bytes and returns the status of what comes back until the server closes; 0 for nothing.
fn status(server: &Server, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(server.http_address()).unwrap();
    // Refused early, not all of it is taken.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

#[test]
fn a_head_or_a_body_that_never_ends_is_given_up() {
    let (server, http) = server();
    let said_nothing = status(&server, b"");
    assert!(matches!(said_nothing, 0 | 408), "{said_nothing}");
    let half_a_head = status(&server, HEAD.as_bytes());
    assert!(matches!(half_a_head, 0 | 408), "{half_a_head}");
    let mut stream = TcpStream::connect(server.http_address()).unwrap();
    stream.write_all(format!("{HEAD}content-length: 100\r\n\r\n{{\"channel\"").as_bytes()).unwrap();
    Answer::read(&mut BufReader::new(stream)).unwrap().problem(408, "request.timeout");
    // Without a key nobody's body is waited for.
    let mut stream = TcpStream::connect(server.http_address()).unwrap();
    stream.write_all(format!("{}content-length: 100\r\n\r\n", HEAD.replace("dev", "?")).as_bytes()).unwrap();
    Answer::read(&mut BufReader::new(stream)).unwrap().problem(401, "auth.invalid");
    http.post("/v1/apps/default/messages", &json!({"channel": "a", "text": "x"})).good();
}

#[test]
fn who_asks_and_does_not_read_is_given_up() {
    let (server, http) = server();
    let large = "x".repeat(60_000);
    let list: Vec<_> = (0..20).map(|_| json!({"channel": "a", "text": large})).collect();
    http.post("/v1/apps/default/messages", &json!(list)).good();
    let mut stream = TcpStream::connect(server.http_address()).unwrap();
    stream.set_write_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let ask = "GET /v1/apps/default/channels/a/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\n\r\n"
        .repeat(1_000);
    // It asks until what nobody reads fills all buffers, and then until it is told that this is over.
    let error = loop {
        if let Err(error) = stream.write_all(ask.as_bytes()) {
            break error;
        }
    };
    let over = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
    assert!(over.contains(&error.kind()), "{error}");
    http.post("/v1/apps/default/messages", &json!({"channel": "a", "text": "x"})).good();
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (server, http) = server();
    assert_eq!(status(&server, format!("{HEAD}x: {}\r\n\r\n", "x".repeat(20_000)).as_bytes()), 431);
    let many: String = (0..70).map(|n| format!("x{n}: y\r\n")).collect();
    assert_eq!(status(&server, format!("{HEAD}{many}\r\n").as_bytes()), 431);
    assert_eq!(status(&server, b"\0\0\0\0\r\n\r\n"), 400);
    http.post("/v1/apps/default/messages", &json!({"channel": "a", "text": "x"})).good();
}

#[test]
fn a_key_that_sends_too_much_is_told_when_to_go_on() {
    let options = Options { api_rate: Some(1), api_burst: 1_000, ..Options::dev() };
    let server = Server::start(options).unwrap();
    let http = Http::new(server.address(), "dev");
    let list: Vec<_> = (0..999).map(|n| json!({"channel": "a", "text": n.to_string()})).collect();
    http.post("/v1/apps/default/messages", &json!(list)).good();
    let refused = http.post("/v1/apps/default/messages", &json!(list));
    refused.problem(429, "limit.rate");
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 1));
    assert!(refused.json()["after"].as_u64().unwrap() > 1_000);
}

#[test]
fn a_connection_serves_many_requests() {
    let (server, _) = server();
    let mut stream = TcpStream::connect(server.http_address()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for n in 1..=20 {
        let body = json!({"channel": "a", "text": n.to_string()}).to_string();
        stream.write_all(format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        assert_eq!(Answer::read(&mut reader).unwrap().good()["offset"], n);
    }
    server.drain();
    server.wait();
}
