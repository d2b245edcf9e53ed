//! Requests that two readers could read differently, and paths that are not what they seem.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use super::server;
use crate::http::Http;
use crate::support::{Wire, upgrade};

const POST: &str = "POST /v1/apps/default/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\n\
    content-type: application/json\r\n";

/// The request that is hidden in another: nobody ever sent it.
fn hidden() -> String {
    let body = json!({"channel": "hidden", "text": "x"}).to_string();
    format!("{POST}content-length: {}\r\n\r\n{body}", body.len())
}

/// Sends bytes, says that there are no more, and returns the status of each answer until the end.
fn statuses(address: SocketAddr, request: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).map_err(|error| assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock));
    let heard = String::from_utf8_lossy(&heard).into_owned();
    heard.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap().parse().unwrap()).collect()
}

#[test]
fn no_request_is_hidden_in_another() {
    let (_dir, mut program) = server("", &["--http-listen", "127.0.0.1:0"]);
    let api = program.http_address();
    let hidden = hidden();
    // Whoever goes by the length sees one request, whoever goes by the coding two.
    let both = format!("0\r\n\r\n{hidden}");
    let length = both.len();
    let ambiguous = [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n{both}"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n{both}"),
        format!("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n{both}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n{both}"),
        format!("transfer-encoding: xchunked\r\ncontent-length: {length}\r\n\r\n{both}"),
        format!("transfer-encoding : chunked\r\ncontent-length: {length}\r\n\r\n{both}"),
        format!("transfer-encoding:\x0bchunked\r\ncontent-length: {length}\r\n\r\n{both}"),
        format!("x: y\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\ncontent-length: {length}\r\n\r\n{both}"),
        format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        format!("content-length: {length}, 0\r\n\r\n{both}"),
        format!("content-length: +{length}\r\n\r\n{both}"),
        format!("content-length: 0x0\r\n\r\n{hidden}"),
        format!("content-length: -1\r\n\r\n{hidden}"),
        format!("content-length: 99999999999999999999\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n{both}"),
        format!("transfer-encoding: chunked\r\n\r\n0x2\r\n{{}}\r\n{both}"),
    ];
    for lines in ambiguous {
        let found = statuses(api, &format!("{POST}{lines}"));
        assert!(found.len() <= 1 && found.iter().all(|status| *status == 400), "{found:?} for {lines}");
    }
    // By an older version of HTTP there is no such coding.
    let old = POST.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(statuses(api, &format!("{old}transfer-encoding: chunked\r\n\r\n{both}")), [400]);
    // A refused upgrade takes what follows with it.
    let told = statuses(program.address(), &format!("GET /ws HTTP/1.1\r\nhost: x\r\n\r\n{hidden}"));
    assert_eq!(told, [426]);
    let http = Http::new(api, "dev");
    let channels = http.get("/v1/apps/default/channels").good();
    assert_eq!(channels["channels"], json!([]), "a hidden request was executed");
    // Two requests in a row are two.
    let close = hidden.replace("host: x", "host: x\r\nconnection: close");
    assert_eq!(statuses(api, &format!("{hidden}{close}")), [200, 200]);
}

#[test]
fn a_path_is_taken_as_it_is_written() {
    let (_dir, program) = server("", &[]);
    let http = Http::new(program.address(), "dev");
    http.post("/v1/apps/default/messages", &json!({"channel": "a", "text": "x"})).good();
    for path in [
        "/v1/apps/default/../default/channels",
        "/v1/apps/other/%2e%2e/default/channels",
        "/v1/apps/other%2f..%2fdefault/channels",
        "/v1/apps/default%00/channels",
        "/v1/apps/default%0d%0ax:y/channels",
        "/v1//apps/default/channels",
        "/v1/apps/default/channels/",
        "/v1/apps/default/channels/%ff/messages",
        "/v1/apps/default/channels/a%00/messages",
        "/v1/apps/default/channels/%2e%2e%2f%2e%2e/presence",
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "/console/../v1/apps/default/channels",
        "/console/%2e%2e/%2e%2e/etc/passwd",
        "/console/assets/../../../../etc/passwd",
        "//metrics",
        "/%6detrics",
    ] {
        let answer = http.get(path);
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let is_nothing = answer.status == 200 && (body.contains("\"members\":[]") || body.contains("\"messages\":[]"));
        assert!(matches!(answer.status, 400 | 404) || is_nothing, "{path}: {} {body}", answer.status);
        assert!(!body.contains("root:"), "{path}");
    }
    for path in ["/ws/../ws", "/ws/%2e%2e", "/ws/default%00", "/ws//default", "/%77s", "/ws\\default", "/WS"] {
        let answer = Wire::dial(program.address()).request(&upgrade(path, ""));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    // Bytes that no request has.
    for head in ["GET /ws\0 HTTP/1.1\r\n\r\n", "GET /v1/\0 HTTP/1.1\r\nhost: x\r\n\r\n", "GET /v1 /x HTTP/1.1\r\n\r\n"]
    {
        let answer = Wire::dial(program.address()).request(head);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
    }
    program.stop();
}
