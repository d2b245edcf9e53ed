//! Whatever somebody sends, a line of the server's log is a line, and nothing in it moves a terminal's cursor.

use std::io::Write;

use serde_json::{Value, json};

use super::server;
use crate::http::Http;
use crate::support::program::Program;
use crate::support::program::command;
use crate::support::{Wire, upgrade};

/// What would look like a line of the server's.
const FORGED: &str = "2030-01-01T00:00:00.000000Z  WARN forged";

/// Puts line breaks and escapes wherever something may get into the log.
fn attack(program: &Program) {
    let address = program.address();
    let http = Http::new(address, "dev");
    for text in [format!("a\n{FORGED}"), "a\u{1b}[2J\u{1b}[31m".to_owned(), "a\u{9b}31m\u{202e}\u{2028}b\r".to_owned()]
    {
        // Names in tokens, devices, channels, ids.
        for hello in [
            json!({"t": "hello", "v": 1, "token": format!("dev:{text}")}),
            json!({"t": "hello", "v": 1, "token": "dev:a", "device": format!("device-0123456789{text}")}),
            json!({"t": "hello", "v": 1, "token": "dev:a", "sdk": text}),
            json!({"t": text, "v": 1}),
        ] {
            let mut wire = Wire::open(address);
            wire.say(&hello);
            wire.expect_any();
        }
        for (n, field) in ["channel", "id", "text"].into_iter().enumerate() {
            let mut publish = json!({"t": "publish", "channel": "a", "req": n, "id": n.to_string(), "text": "x"});
            publish[field] = json!(text);
            let mut wire = Wire::hello(address, "dev:a");
            wire.say(&publish);
            wire.expect_any();
        }
        http.post("/v1/apps/default/messages", &json!({"channel": text, "text": "x"}));
        // Paths and headers as they can be written, and as they cannot.
        let coded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        http.get(&format!("/v1/apps/{coded}/channels"));
        http.get(&format!("/v1/apps/default/channels/{coded}/messages"));
        http.get(&format!("/console/{coded}"));
        drop(Wire::dial(address).request(&upgrade(&format!("/ws/{coded}"), "")));
        for head in [
            format!("GET /v1/{text} HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET{text} /v1/x HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET /v1/x HTTP/1.1\r\nhost: {text}\r\nx-request-id: {text}\r\nx-forwarded-for: {text}\r\n\r\n"),
            upgrade("/ws", &format!("origin: {text}\r\nx-forwarded-for: {text}\r\nuser-agent: {text}\r\n")),
        ] {
            let mut wire = Wire::dial(address);
            wire.raw(head.as_bytes());
            wire.raw(b"\r\n\r\n");
            drop(wire.response());
        }
        let id = [("x-request-id", "good\tforged")];
        assert_ne!(http.bare("GET", "/v1/nothing", &id, None).header("x-request-id"), Some("good\tforged"));
    }
    // A method may have many signs, but none that breaks a line.
    let mut odd = std::net::TcpStream::connect(address).unwrap();
    odd.write_all(b"A!#$%&'*+-.^_`|~ /v1/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    drop(crate::http::Answer::read(&mut std::io::BufReader::new(odd)));
}

/// A line as the program writes it: a moment, a level, and what is said.
fn is_line(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let moment = words.next().is_some_and(|word| word.len() > 20 && word.ends_with('Z') && word.starts_with("20"));
    moment && words.next().is_some_and(|level| ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level))
}

#[test]
fn nothing_that_is_sent_makes_a_line_of_the_log() {
    for format in ["text", "json"] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = command(["--dev", "--listen", "127.0.0.1:0", "--log-format", format, "--data"]);
        let program = Program::start(command.arg(dir.path()).env("MOORLINE_LOG", "moorline_server=trace"));
        // What a person is told at the start is no line of the log.
        let before = program.wait_for(0, "--token dev:bob\n").rfind("dev:bob\n").unwrap() + "dev:bob\n".len();
        attack(&program);
        let said = program.stop().split_off(before);
        let mut lines = 0;
        for line in said.lines() {
            let is_good = if format == "json" { serde_json::from_str::<Value>(line).is_ok() } else { is_line(line) };
            assert!(is_good && !line.starts_with(FORGED), "{line:?}");
            let is_control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
            assert!(format == "json" || !line.contains(is_control), "{line:?}");
            lines += 1;
        }
        assert!(lines > 50, "{said}");
    }
}

#[test]
fn a_report_of_a_user_is_found_in_the_log_by_its_session_and_one_of_a_backend_by_its_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(["--dev", "--listen", "127.0.0.1:0", "--data"]);
    let program = Program::start(command.arg(dir.path()).env("MOORLINE_LOG", "moorline_server=debug"));
    let mut wire = Wire::open(program.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice"}));
    let session = wire.expect("welcome")["session"].as_str().unwrap().to_owned();
    let line = |said: &str, text: &str| said.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned();
    let let_in = line(&program.wait_for(0, "a client was let in"), "a client was let in");
    assert!(let_in.contains(&format!("session=\"{session}\"")) && let_in.contains("address=127.0.0.1"), "{let_in}");
    let conn = let_in.split(' ').find(|word| word.starts_with("conn=")).unwrap().to_owned();
    // What it does wrong is told at the level `info`, and so what becomes of it.
    wire.raw(&[0xc1, 0x80, 0, 0, 0, 0]);
    wire.expect_close(1002);
    let closed = line(&program.wait_for(0, "a WebSocket is closed"), "a WebSocket is closed");
    let is_there = |text: &str| closed.contains(text);
    assert!(is_there(" INFO ") && is_there(&conn) && is_there(&session) && is_there("code=1002"), "{closed}");
    let ended = line(&program.wait_for(0, "a WebSocket ended"), "a WebSocket ended");
    assert!(ended.contains(&session), "{ended}");
    let http = Http::new(program.address(), "dev");
    let refused = http.get("/v1/apps/default/nothing");
    refused.problem(404, "request.unsupported");
    let own = [("x-request-id", "report-7"), ("authorization", "Bearer dev")];
    let named = http.bare("GET", "/v1/apps/default/nothing", &own, None);
    assert_eq!(named.json()["request_id"], "report-7");
    let said = program.stop();
    for id in [refused.header("x-request-id").unwrap(), "report-7"] {
        assert!(said.contains(&format!("request_id=\"{id}\"")), "{id} is not in {said}");
    }
    let (_dir, quiet) = server("", &[]);
    drop(Wire::hello(quiet.address(), "dev:alice"));
    assert!(!quiet.stop().contains("a client was let in"), "clients are not told by default");
}
