//! `moorline sub`.

use rustix::process::Signal;
use serde_json::json;

use crate::program::{Running, bare, command, run, server};

fn publish(url: &str, args: &[&str]) -> u64 {
    let ended = run(&mut command(url, "bob", &[&["pub"], args].concat()));
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    ended.lines[0]["offset"].as_u64().unwrap_or(0)
}

#[test]
fn each_message_is_one_line() {
    let server = server();
    let url = server.url();
    let mut sub = Running::sub(&url, "alice", &["room:42", "--count", "4"]);
    publish(&url, &["room:42", r#"{"text": "hello", "big": 12345678901234567890123}"#]);
    publish(&url, &["room:42", "hello there"]);
    publish(&url, &["room:42", "null", "--qos", "2"]);
    publish(&url, &["room:42", "passing", "--qos", "0"]);
    let data = sub.line();
    for (name, value) in [
        ("channel", json!("room:42")),
        ("offset", json!(1)),
        ("user", json!("bob")),
        ("replayed", json!(false)),
        ("data", serde_json::from_str(r#"{"text": "hello", "big": 12345678901234567890123}"#).unwrap()),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert!(data["epoch"].is_string() && data["id"].is_string() && data["time"].is_u64(), "{data}");
    assert_eq!(sub.line()["text"], "hello there");
    let null = sub.line();
    assert!(null.get("data").is_some_and(serde_json::Value::is_null) && null["offset"] == 3, "{null}");
    let passing = sub.line();
    assert_eq!((&passing["text"], &passing["offset"]), (&json!("passing"), &json!(null)));
    assert_eq!(sub.wait().0, Some(0), "--count ends it");
}

#[test]
fn data_is_printed_as_it_was_published() {
    let server = server();
    let url = server.url();
    let json = r#"{"z":1,"a":1.0,"big":12345678901234567890123,"dup":"é\u00e9"}"#;
    publish(&url, &["room", json]);
    let output = command(&url, "alice", &["sub", "room", "--since", "first", "--count", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with(&format!("\"data\":{json}}}\n")), "{text}");
    assert!(text.starts_with(r#"{"channel":"room","epoch":"#), "{text}");
}

#[test]
fn reading_begins_where_it_is_told_to() {
    let server = server();
    let url = server.url();
    for n in 1..=5 {
        publish(&url, &["room", &n.to_string()]);
    }
    for (since, first) in [("first", 1), ("last:2", 4), ("last:100", 1)] {
        let mut sub = Running::sub(&url, "alice", &["room", "--since", since, "--count", "1"]);
        let line = sub.line();
        assert_eq!((&line["offset"], &line["replayed"]), (&json!(first), &json!(true)), "{since}");
        assert_eq!(sub.wait().0, Some(0));
    }
    for since in ["live", "resume"] {
        let mut sub = Running::sub(&url, "alice", &["room", "--since", since, "--count", "1"]);
        let offset = publish(&url, &["room", "now"]);
        assert_eq!(sub.line()["offset"], offset, "{since}");
    }
}

#[test]
fn an_inbox_is_ones_own() {
    let server = server();
    let url = server.url();
    let mut sub = Running::sub(&url, "alice", &["@me", "--count", "1"]);
    publish(&url, &["@alice", "for you"]);
    assert_eq!(sub.line()["channel"], "@alice");
    let ended = run(&mut command(&url, "alice", &["sub", "@bob"]));
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 0));
    assert!(ended.told.contains("channel.denied"), "{}", ended.told);
}

#[test]
fn a_signal_closes_cleanly() {
    let server = server();
    for signal in [Signal::INT, Signal::TERM] {
        let mut sub = Running::sub(&server.url(), "alice", &["room", "--durable"]);
        publish(&server.url(), &["room", "hello"]);
        sub.line();
        sub.signal(signal);
        let (code, told) = sub.wait();
        assert_eq!((code, told.as_str()), (Some(0), ""));
    }
}

#[test]
fn when_nobody_reads_the_lines_it_ends_quietly() {
    let server = server();
    let mut sub = Running::sub(&server.url(), "alice", &["room"]);
    sub.close_output();
    publish(&server.url(), &["room", "hello"]);
    let (code, told) = sub.wait();
    assert_eq!((code, told.as_str()), (Some(0), ""));
}

#[test]
fn mistakes_end_with_2() {
    let server = server();
    let url = server.url();
    let cases: [(&[&str], &str); 10] = [
        (&["sub"], "<CHANNEL>"),
        (&["sub", "room", "--since", "yesterday"], "resume, live, cursor, first, or last:N"),
        (&["sub", "room", "--since", "last:-1"], "last:N"),
        (&["sub", "room", "--qos", "3"], "0, 1 or 2"),
        (&["sub", "room", "--count", "0"], "--count"),
        (&["sub", "room", "--count", "many"], "--count"),
        (&["sub", "room", "--timeout", "5"], "500ms, 30s"),
        (&["sub", "bad*name"], "1 to 128 bytes"),
        (&["sub", "room", "--since", "cursor"], "durable"),
        (&["subscribe", "room"], "sub"),
    ];
    for (args, says) in cases {
        let ended = run(&mut command(&url, "alice", args));
        assert_eq!((ended.code, ended.lines.len()), (Some(2), 0), "{args:?}: {}", ended.told);
        assert!(ended.told.contains(says), "{args:?}: {}", ended.told);
    }
    for url in ["http://127.0.0.1:1/ws", "127.0.0.1:8000", "ws//x"] {
        let ended = run(bare(&["sub", "room", "--url"]).arg(url));
        assert!(ended.code == Some(2) && ended.told.contains("ws://"), "{url}: {}", ended.told);
    }
}

#[test]
fn flags_win_over_the_environment() {
    let server = server();
    let mut sub =
        command("ws://127.0.0.1:1/ws", "nobody", &["sub", "@me", "--count", "1", "--token", "dev:alice", "--url"]);
    let mut sub = Running::start(sub.arg(server.url()));
    sub.tells("moorline: reading @");
    publish(&server.url(), &["@alice", "hello"]);
    assert_eq!(sub.line()["channel"], "@alice");
}

#[test]
fn a_refused_token_ends_with_1() {
    let server = server();
    let ended = run(bare(&["sub", "room", "--token", "forged", "--url"]).arg(server.url()));
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 0), "{}", ended.told);
    assert!(ended.told.contains("auth.invalid") && !ended.told.contains("forged"), "{}", ended.told);
}
