//! A server that is not there: people are told, scripts can give up, and what was published waits.

use std::net::TcpListener;

use moorline_server::server::{Options, Server};
use rustix::process::Signal;

use crate::program::{Running, command, run};

/// Where nobody listens.
const NOWHERE: &str = "ws://127.0.0.1:1/ws";
/// An address of this machine that no connection comes from: a port of it that is free stays free. Only Linux has it.
const OWN: &str = if cfg!(target_os = "linux") { "127.0.0.3:0" } else { "127.0.0.1:0" };

#[test]
fn people_are_told_and_it_goes_on_when_the_server_comes() {
    let address = TcpListener::bind(OWN).unwrap().local_addr().unwrap();
    let url = format!("ws://{address}/ws");
    let mut sub = Running::start(&mut command(&url, "alice", &["sub", "room", "--count", "1"]));
    let mut publish = Running::start(&mut command(&url, "bob", &["pub", "room", "hello"]));
    for running in [&mut sub, &mut publish] {
        let told = running.tells("moorline: no connection to");
        assert!(told.contains(&url) && told.contains("trying again"), "{told}");
    }
    let _server = Server::start(Options { listen: address, ..Options::dev() }).unwrap();
    for running in [&mut sub, &mut publish] {
        running.tells("moorline: connected to");
    }
    assert_eq!(publish.line()["state"], "stored");
    assert_eq!(publish.wait().0, Some(0));
}

#[test]
fn a_script_can_give_up() {
    let all =
        [&["pub", "room", "hello"][..], &["history", "room"], &["sub", "room"], &["pub", "room", "x", "--qos", "0"]];
    // Long enough for a first try on a machine that is busy; all at once, so that it is waited for once.
    let give_up = |args: &[&str]| run(&mut command(NOWHERE, "bob", &[args, &["--timeout", "2500ms"]].concat()));
    let ended = std::thread::scope(|scope| {
        let running = all.map(|args| scope.spawn(move || give_up(args)));
        running.map(|thread| thread.join().unwrap())
    });
    for (args, ended) in all.into_iter().zip(ended) {
        assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.told);
        assert!(ended.told.contains("no connection to") && ended.told.contains("within 2.5 s"), "{}", ended.told);
        let states: Vec<_> = ended.lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
        let unsettled: &[&str] = if args.contains(&"hello") { &["queued"] } else { &[] };
        assert_eq!(states, unsettled, "{args:?}");
    }
}

#[test]
fn a_server_that_says_nothing_is_nobody_too() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", silent.local_addr().unwrap());
    let ended = run(&mut command(&url, "bob", &["history", "room", "--timeout", "300ms"]));
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("no answer from"), "{}", ended.told);
}

#[test]
fn a_signal_ends_the_waiting() {
    for (args, code) in [(&["pub", "room", "hello"][..], 1), (&["history", "room"], 1), (&["sub", "room"], 0)] {
        let mut waiting = Running::start(&mut command(NOWHERE, "bob", args));
        waiting.tells("moorline: no connection to");
        waiting.signal(Signal::INT);
        let (found, told) = waiting.wait();
        assert_eq!(found, Some(code), "{args:?}: {told}");
    }
}

#[test]
fn time_is_only_for_the_first_answer_of_a_reader() {
    let server = Server::start(Options::dev()).unwrap();
    let mut sub = Running::sub(&server.url(), "alice", &["room", "--count", "1", "--timeout", "5s"]);
    // Longer than the time it was given.
    let mut other = Running::start(&mut command(NOWHERE, "bob", &["history", "room", "--timeout", "6s"]));
    assert_eq!(other.wait().0, Some(1));
    run(&mut command(&server.url(), "bob", &["pub", "room", "hello"]));
    assert_eq!(sub.line()["text"], "hello");
    assert_eq!(sub.wait().0, Some(0));
}
