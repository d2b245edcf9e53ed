//! SIGTERM and SIGINT: everybody is told, what is under way finishes, nothing acknowledged is lost.

use rustix::process::Signal;
use serde_json::json;

use crate::support::program::Program;
use crate::support::{Heard, TEXT, Wire, frame};

#[test]
fn a_stop_tells_everybody_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let server = Program::dev(dir.path());
        let mut clients: Vec<Wire> = (0..5).map(|n| Wire::hello(server.address(), &format!("dev:user-{n}"))).collect();
        let mut silent = Wire::open(server.address());
        server.signal(signal);
        for client in &mut clients {
            let goaway = client.expect("goaway");
            assert_eq!(goaway["reason"], "restart");
            assert!(goaway["after"].is_u64() && goaway["window"].is_u64(), "{goaway}");
            client.expect_close(4000);
        }
        silent.expect_close(4000);
        drop((clients, silent));
        let (status, said) = server.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("stopping") && said.contains("stopped"), "{said}");
    }
}

#[test]
fn a_signal_may_come_as_soon_as_it_listens() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        Program::dev(dir.path()).stop();
    }
}

#[test]
fn publishes_under_way_are_answered_or_refused_and_what_was_answered_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::dev(dir.path());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    let mut published = Vec::new();
    let line =
        |n: u64| json!({"t": "publish", "channel": "room", "req": n, "id": n.to_string(), "data": n}).to_string();
    for n in 0..1_000 {
        wire.raw(&frame(true, TEXT, line(n).as_bytes()));
    }
    while published.len() <= 500 {
        published.push(wire.expect("published")["req"].as_u64().unwrap());
    }
    server.signal(Signal::TERM);
    for n in 1_000..2_000 {
        // The server may have gone by then.
        wire.try_raw(&frame(true, TEXT, line(n).as_bytes()));
    }
    loop {
        match wire.hear() {
            Heard::Json(frame) if frame["t"] == "published" => published.push(frame["req"].as_u64().unwrap()),
            Heard::Json(frame) if frame["t"] == "error" => assert_eq!(frame["code"], "storage.unavailable"),
            Heard::Json(frame) => assert_eq!(frame["t"], "goaway"),
            Heard::Close(code, _) => {
                assert_eq!(code, 4000);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    drop(wire);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    let server = Program::dev(dir.path());
    let mut wire = Wire::hello(server.address(), "dev:alice");
    let mut kept = Vec::new();
    loop {
        wire.say(&json!({"t": "history", "channel": "room", "req": 1, "after": kept.len(), "limit": 256}));
        let page = wire.expect("page");
        kept.extend(page["messages"].as_array().unwrap().iter().map(|message| message["data"].as_u64().unwrap()));
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(kept, (0..kept.len() as u64).collect::<Vec<_>>(), "in order, without a hole");
    assert!(published.len() > 500 && published.iter().all(|n| *n < kept.len() as u64), "{} answered", published.len());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::dev(dir.path());
    // Who is told and does not go is waited for a moment.
    let mut stubborn = Wire::hello(server.address(), "dev:stubborn");
    server.signal(Signal::TERM);
    stubborn.expect("goaway");
    server.signal(Signal::INT);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(!said.contains("stopped"), "{said}");
    // Nothing is broken by that.
    Program::dev(dir.path()).stop();
}

#[test]
fn a_client_that_does_not_go_does_not_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::dev(dir.path());
    let _stubborn = Wire::hello(server.address(), "dev:stubborn");
    let _silent = Wire::dial(server.address());
    server.stop();
}
