//! `moorline presence` and `moorline status`.

use rustix::process::Signal;
use serde_json::json;

use crate::program::{Running, command, run, server};

/// Starts a command that prints until it is interrupted.
fn start(url: &str, user: &str, args: &[&str]) -> Running {
    Running::start(&mut command(url, user, args))
}

#[test]
fn who_is_present_is_listed_and_followed() {
    let server = server();
    let url = server.url();
    let mut carol = start(&url, "carol", &["presence", "room:42", "--watch"]);
    carol.tells("moorline: 0 present");
    let mut alice = start(&url, "alice", &["presence", "room:42", "--enter", r#"{"nick": "Al"}"#]);
    let join = json!({"event": "join", "user": "alice", "state": {"nick": "Al"}});
    assert_eq!(carol.line(), join);
    assert_eq!(alice.line(), join);
    let listed = run(&mut command(&url, "bob", &["presence", "room:42"]));
    assert_eq!(listed.code, Some(0), "{}", listed.told);
    assert_eq!((&listed.lines[0]["user"], &listed.lines[0]["state"]), (&json!("alice"), &json!({"nick": "Al"})));
    assert!(listed.lines[0]["since"].is_u64() && listed.told.contains("1 present in room:42"), "{}", listed.told);
    // Who ends in good order is gone at once.
    alice.signal(Signal::INT);
    assert_eq!(alice.wait().0, Some(0));
    assert_eq!(carol.line(), json!({"event": "leave", "user": "alice"}));
}

#[test]
fn who_is_online_is_told_and_followed() {
    let server = server();
    let url = server.url();
    let asked = run(&mut command(&url, "carol", &["status", "bob", "carol"]));
    assert_eq!(asked.code, Some(0), "{}", asked.told);
    assert_eq!(asked.lines[0], json!({"user": "bob", "online": false}));
    assert_eq!((&asked.lines[1]["user"], &asked.lines[1]["online"]), (&json!("carol"), &json!(true)));
    let mut feed = start(&url, "carol", &["status", "bob", "--watch"]);
    assert_eq!(feed.line(), json!({"user": "bob", "online": false}));
    let mut bob = Running::sub(&url, "bob", &["room"]);
    assert_eq!(feed.line()["online"], true);
    bob.signal(Signal::INT);
    bob.wait();
    assert_eq!(feed.line(), json!({"user": "bob", "online": false}));
    let nobody = run(&mut command(&url, "carol", &["status", "a\u{1}"]));
    assert_eq!(nobody.code, Some(2), "{}", nobody.told);
}
