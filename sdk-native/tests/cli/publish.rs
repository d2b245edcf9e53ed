//! `moorline pub`.

use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{Ended, Running, bare, command, run, server};

/// Runs `pub -` with these bytes as its standard input.
fn lines(url: &str, args: &[&str], input: &[u8]) -> Ended {
    let mut command = command(url, "bob", &[&["pub", "room", "-"], args].concat());
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    run(command.stdin(Stdio::from(file)))
}

fn history(url: &str) -> Vec<Value> {
    run(&mut command(url, "alice", &["history", "room", "--limit", "256"])).lines
}

#[test]
fn one_message_is_published_and_answered() {
    let server = server();
    let url = server.url();
    for (n, qos) in [(1, "1"), (2, "2")] {
        let ended = run(&mut command(&url, "bob", &["pub", "room", r#"{"n": 1}"#, "--qos", qos]));
        assert_eq!((ended.code, ended.told.as_str()), (Some(0), ""));
        let [line] = &ended.lines[..] else { panic!("one line") };
        assert_eq!((&line["state"], &line["offset"], &line["duplicate"]), (&json!("stored"), &json!(n), &json!(false)));
        assert!(line["id"].is_string() && line["epoch"].is_string(), "{line}");
    }
    assert_eq!(history(&url)[0]["data"], json!({"n": 1}));
}

#[test]
fn the_same_id_is_stored_once() {
    let server = server();
    let url = server.url();
    let publish = |text: &str| run(&mut command(&url, "bob", &["pub", "room", text, "--id", "order-7"]));
    assert_eq!(publish("paid").lines[0]["duplicate"], false);
    let again = publish("paid");
    assert_eq!(
        (again.code, &again.lines[0]["duplicate"], &again.lines[0]["offset"]),
        (Some(0), &json!(true), &json!(1))
    );
    assert_eq!(again.lines[0]["id"], "order-7");
    let other = publish("cancelled");
    assert_eq!(
        (other.code, &other.lines[0]["state"], &other.lines[0]["code"]),
        (Some(1), &json!("failed"), &json!("publish.reused"))
    );
    assert!(other.told.contains("publish.reused"), "{}", other.told);
}

#[test]
fn level_0_is_sent_and_no_more_is_known() {
    let server = server();
    let url = server.url();
    let mut sub = Running::sub(&url, "alice", &["room", "--count", "1"]);
    let ended = run(&mut command(&url, "bob", &["pub", "room", "passing", "--qos", "0"]));
    assert_eq!((ended.code, &ended.lines[0]["state"]), (Some(0), &json!("sent")));
    assert_eq!(sub.line()["text"], "passing");
    assert_eq!(history(&url), Vec::<Value>::new());
}

#[test]
fn each_line_is_a_message_and_each_answer_a_line_in_order() {
    let server = server();
    let url = server.url();
    for (args, from) in [(&["--qos", "1"], 0_u64), (&["--qos", "2"], 2_000)] {
        let input: String = (1..=2_000).map(|n| format!("{}\n", n + from)).collect();
        let ended = lines(&url, args, input.as_bytes());
        assert_eq!((ended.code, ended.told.as_str()), (Some(0), ""));
        let offsets: Vec<u64> = ended.lines.iter().map(|line| line["offset"].as_u64().unwrap()).collect();
        assert_eq!(offsets, (from + 1..=from + 2_000).collect::<Vec<_>>());
    }
}

#[test]
fn lines_are_json_or_text_and_may_be_empty() {
    let server = server();
    let url = server.url();
    let ended = lines(&url, &[], b"{\"a\":1}\r\n\nhello there\n\"quoted\"\nlast without a break");
    assert_eq!((ended.code, ended.lines.len()), (Some(0), 5));
    let kept: Vec<Value> =
        history(&url).iter().map(|line| line.get("data").or_else(|| line.get("text")).unwrap().clone()).collect();
    assert_eq!(
        kept,
        [json!({"a": 1}), json!(""), json!("hello there"), json!("quoted"), json!("last without a break")]
    );
    let nothing = lines(&url, &[], b"");
    assert_eq!((nothing.code, nothing.lines.len()), (Some(0), 0));
}

#[test]
fn an_answer_is_printed_when_it_comes_not_with_the_next_line() {
    let server = server();
    let mut publish = Running::start(&mut command(&server.url(), "bob", &["pub", "room"]));
    for n in 1..=3 {
        publish.type_line(b"hello");
        assert_eq!(publish.line()["offset"], n);
    }
    publish.end_input();
    assert_eq!(publish.wait().0, Some(0));
}

#[test]
fn a_line_that_cannot_be_published_fails_alone() {
    let server = server();
    let url = server.url();
    let mut input = b"before\n".to_vec();
    input.extend(vec![b'x'; 70_000]);
    input.extend(b"\nafter\n");
    let ended = lines(&url, &[], &input);
    assert_eq!(ended.code, Some(1));
    let states: Vec<&Value> = ended.lines.iter().map(|line| &line["state"]).collect();
    assert_eq!(states, ["stored", "failed", "stored"]);
    assert_eq!(ended.lines[1]["code"], "limit.message");
    assert!(ended.told.contains("line 2") && ended.told.contains("limit.message"), "{}", ended.told);
}

#[test]
fn a_line_that_is_not_utf8_is_told_and_ends_it() {
    let server = server();
    let ended = lines(&server.url(), &[], b"before\n\xff\xfe\nafter\n");
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 1));
    assert!(ended.told.contains("line 2") && ended.told.contains("UTF-8"), "{}", ended.told);
}

#[test]
fn refused_messages_end_with_1() {
    let server = server();
    let url = server.url();
    let large = "x".repeat(70_000);
    let ended = run(&mut command(&url, "bob", &["pub", "room", &large]));
    assert_eq!(ended.code, Some(1), "{}", ended.told);
    assert!(ended.told.contains("limit.message"), "{}", ended.told);
    let ended = run(bare(&["pub", "room", "hello", "--token", "forged", "--url"]).arg(&url));
    assert_eq!(ended.code, Some(1), "{}", ended.told);
    assert!(ended.told.contains("auth.invalid"), "{}", ended.told);
    assert_eq!(ended.lines[0]["state"], "queued");
}

#[test]
fn mistakes_end_with_2() {
    let server = server();
    let url = server.url();
    let long = "x".repeat(129);
    let cases: [(&[&str], &str); 6] = [
        (&["pub"], "<CHANNEL>"),
        (&["pub", "bad*name", "hello"], "1 to 128 bytes"),
        (&["pub", "room", "hello", "--qos", "9"], "0, 1 or 2"),
        (&["pub", "room", "hello", "--id", ""], "1 to 128 bytes"),
        (&["pub", "room", "hello", "--id", &long], "1 to 128 bytes"),
        (&["pub", "room", "-", "--id", "x"], "--id is for one message"),
    ];
    for (args, says) in cases {
        let ended = run(&mut command(&url, "bob", args));
        assert_eq!((ended.code, ended.lines.len()), (Some(2), 0), "{args:?}: {}", ended.told);
        assert!(ended.told.contains(says), "{args:?}: {}", ended.told);
    }
}

#[test]
fn when_nobody_reads_the_answers_it_publishes_all_the_same() {
    let server = server();
    let mut publish = Running::start(&mut command(&server.url(), "bob", &["pub", "room"]));
    publish.close_output();
    for _ in 0..3 {
        publish.type_line(b"hello");
    }
    publish.end_input();
    assert_eq!(publish.wait(), (Some(0), String::new()));
    assert_eq!(history(&server.url()).len(), 3);
}

#[test]
fn a_signal_ends_it_after_what_was_said() {
    let server = server();
    let mut publish = Running::start(&mut command(&server.url(), "bob", &["pub", "room"]));
    publish.type_line(b"hello");
    assert_eq!(publish.line()["state"], "stored");
    publish.signal(Signal::INT);
    let (code, told) = publish.wait();
    assert_eq!((code, told.as_str()), (Some(1), "moorline: interrupted\n"));
}
