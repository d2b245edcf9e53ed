//! Requests that are not an upgrade, or a bad one.

use std::io::{Read, Write};
use std::net::TcpStream;

use moorline_server::server::Options;

use crate::support::{Heard, Wire, World, upgrade};

/// Sends a request on a connection of its own and returns the answer, which must come and be followed by a clean end.
fn answer(world: &World, request: &[u8]) -> String {
    let mut wire = Wire::dial(world.address());
    wire.try_raw(request);
    let answer = wire.response();
    assert_eq!(wire.hear(), Heard::Gone(false), "after {answer}");
    answer
}

#[test]
fn garbage_is_answered_and_closed() {
    let mut world = World::dev();
    for garbage in [&b"\0\0\0\0\0\0\0\0"[..], b"\x16\x03\x01\x02\x00\x01\x00", b"GETX\r\n\r\n", &[0xff; 4096]] {
        let answer = answer(&world, garbage);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        world.is_well();
    }
}

#[test]
fn a_head_that_is_too_long_is_answered_before_it_is_whole() {
    let mut world = World::dev();
    let answer = answer(&world, format!("GET /ws HTTP/1.1\r\nX: {}", "x".repeat(100_000)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("8 KiB"), "{answer}");
    world.is_well();
}

#[test]
fn a_whole_head_that_is_too_long_is_refused() {
    let mut world = World::dev();
    let long = upgrade("/ws", &format!("X: {}\r\n", "x".repeat(8 * 1024)));
    let answer = answer(&world, long.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    world.is_well();
}

#[test]
fn too_many_headers_are_refused() {
    let mut world = World::dev();
    let lines: String = (0..65).map(|n| format!("X-{n}: y\r\n")).collect();
    let answer = answer(&world, upgrade("/ws", &lines).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("64 headers"), "{answer}");
    world.is_well();
}

#[test]
fn a_slow_head_is_given_up() {
    let mut world = World::dev();
    let mut slow = Wire::dial(world.address());
    slow.raw(b"GET /ws HTTP/1.1\r\nHost: x");
    world.is_well();
    let answer = slow.response();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(slow.hear(), Heard::Gone(false));
    world.is_well();
}

#[test]
fn what_is_not_an_upgrade_is_told_what_to_do() {
    let mut world = World::dev();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let good = upgrade("/ws", "");
    let cases = [
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426", "WebSocket client"),
        (good.replace("Version: 13", "Version: 8"), "426", "version 13"),
        (good.replace(key, ""), "400", "Sec-WebSocket-Key"),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400", "Sec-WebSocket-Key"),
        (good.replace("GET", "POST"), "405", "GET"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), "505", "HTTP/1.1"),
        (good.replace("/ws", "/other"), "404", "/ws/{app}"),
        (good.replace("/ws", "/ws/a/b"), "404", "/ws/{app}"),
        (good.replace("/ws", "/ws/bad%20app"), "404", "/ws/{app}"),
        (upgrade("/ws", "Sec-WebSocket-Protocol: mqtt, graphql-ws\r\n"), "400", "moorline.v1.json"),
    ];
    for (request, status, says) in cases {
        let answer = answer(&world, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(says), "{request}{answer}");
        world.is_well();
    }
}

#[test]
fn the_best_subprotocol_offered_is_taken_also_over_several_lines() {
    let mut world = World::dev();
    let offers = [
        ("Sec-WebSocket-Protocol: moorline.v1.json\r\n", "moorline.v1.json"),
        ("Sec-WebSocket-Protocol: moorline.v1.json, moorline.v1.bin\r\n", "moorline.v1.bin"),
        ("Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: moorline.v1.json\r\n", "moorline.v1.json"),
    ];
    for (offer, taken) in offers {
        let answer = Wire::dial(world.address()).request(&upgrade("/ws", offer));
        assert!(answer.contains(&format!("\r\nSec-WebSocket-Protocol: {taken}\r\n")), "{answer}");
    }
    let lines = "Connection: keep-alive\r\nConnection: Upgrade";
    let answer = Wire::dial(world.address()).request(&upgrade("/ws", "").replace("Connection: Upgrade", lines));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    world.is_well();
}

#[test]
fn compression_of_the_transport_is_refused() {
    let mut world = World::dev();
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let mut wire = Wire::dial(world.address());
    let answer = wire.request(&upgrade("/ws", offer));
    assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains("Extensions"), "{answer}");
    // Who compresses all the same sets a bit that means nothing.
    wire.raw(&[0xc1, 0x80, 0, 0, 0, 0]);
    assert!(wire.expect_close(1002).contains("reserved bit"));
    world.is_well();
}

#[test]
fn pages_of_other_origins_are_refused() {
    let origins = vec!["https://chat.example.com".to_owned()];
    let mut world = World::start(Options { origins, ..Options::dev() }, "dev:healthy");
    let with = |origin: &str| upgrade("/ws", &format!("Origin: {origin}\r\n"));
    let others = [
        "https://evil.example",
        "https://chat.example.com.evil.example",
        "https://chat.example.com:8443",
        "http://chat.example.com",
        "HTTPS://CHAT.EXAMPLE.COM",
        "null",
        "",
    ];
    for origin in others {
        let answer = answer(&world, with(origin).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("`origins`"), "{origin}: {answer}");
    }
    let bytes: Vec<u8> = with("%").bytes().map(|byte| if byte == b'%' { 0xff } else { byte }).collect();
    let answer = answer(&world, &bytes);
    assert!(answer.starts_with("HTTP/1.1 403 "), "not UTF-8: {answer}");
    let page = Wire::dial(world.address()).request(&with("https://chat.example.com"));
    assert!(page.starts_with("HTTP/1.1 101 "), "{page}");
    world.is_well();
}

#[test]
fn plain_requests_say_how_the_server_is() {
    let world = World::dev();
    let get = |path: &str| answer(&world, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert!(get("/healthz").contains(" 200 OK"));
    assert!(get("/readyz").contains("ready"));
    assert!(get("/").contains("/ws"));
    assert!(get("/nothing?x=1").contains(" 404 "));
}

/// Sends a request with these lines and returns the head and the body of the answer.
fn exchange(world: &World, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(world.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

const BROWSER: &str = "HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, deflate, br\r\n";

#[test]
fn a_browser_is_shown_a_chat_in_development_mode() {
    let mut world = World::dev();
    let (head, body) = exchange(&world, &format!("GET / {BROWSER}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"), "{head}");
    assert!(head.contains("Content-Security-Policy: default-src 'none'; script-src 'sha256-"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert_eq!(body[..2], [0x1f, 0x8b], "not gzip");
    let (length, nothing) = exchange(&world, &format!("HEAD / {BROWSER}\r\n"));
    assert_eq!((length, nothing.len()), (head.clone(), 0));
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let (known, nothing) = exchange(&world, &format!("GET / {BROWSER}If-None-Match: {tag}\r\n\r\n"));
    assert!(known.starts_with("HTTP/1.1 304 ") && nothing.is_empty(), "{known}");
    let (other, body) = exchange(&world, &format!("GET / {BROWSER}If-None-Match: \"older\"\r\n\r\n"));
    assert!(other.starts_with("HTTP/1.1 200 ") && !body.is_empty(), "{other}");
    world.is_well();
}

#[test]
fn who_takes_no_gzip_is_told_what_this_is() {
    let world = World::dev();
    for coding in ["", "Accept-Encoding: br\r\n", "Accept-Encoding: br, gzip; q=0\r\n"] {
        let (head, body) = exchange(&world, &format!("GET / HTTP/1.1\r\nHost: x\r\n{coding}\r\n"));
        assert!(head.contains("text/plain") && body.starts_with(b"This is a Moorline server"), "{coding}{head}");
    }
}

#[test]
fn only_the_page_is_at_the_root_and_only_in_development_mode() {
    let dev = World::dev();
    for path in ["/chat", "/index.html", "//", "/ws/../"] {
        let (head, _) = exchange(&dev, &format!("GET {path} {BROWSER}\r\n"));
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
    for line in ["POST / ", "HEAD /healthz ", "HEAD /ws "] {
        let (head, _) = exchange(&dev, &format!("{line}{BROWSER}\r\n"));
        assert!(head.starts_with("HTTP/1.1 405 "), "{line}: {head}");
    }
    let world = World::start(Options { page: false, ..Options::dev() }, "dev:healthy");
    let (head, _) = exchange(&world, &format!("GET / {BROWSER}\r\n"));
    assert!(head.contains("text/plain"), "{head}");
    let (head, _) = exchange(&world, &format!("HEAD / {BROWSER}\r\n"));
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
}
