//! The real server, killed while events wait.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::receiver::{Answer, Receiver, Request};
use super::{SECRET, device, follow, park, publish};
use crate::support::program::{Program, command};

fn start(dir: &Path, receiver: &Receiver, events: &str) -> Program {
    start_with(dir, &[("test", receiver)], events)
}

fn start_with(dir: &Path, hooks: &[(&str, &Receiver)], events: &str) -> Program {
    let config = dir.join("moorline.toml");
    let hook = |(name, receiver): &(&str, &Receiver)| {
        let url = receiver.url();
        format!(
            "[[hooks]]\nname = \"{name}\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\nevents = [{events}]\nallow_private = true\n"
        )
    };
    std::fs::write(&config, hooks.iter().map(hook).collect::<String>()).unwrap();
    let mut command = command(["--dev", "--listen", "127.0.0.1:0", "--data"]);
    Program::start(command.arg(dir.join("data")).arg("--config").arg(config))
}

fn kill(program: Program) {
    program.signal(Signal::KILL);
    program.wait();
}

fn ids(request: &Request) -> Vec<Value> {
    request.events().iter().map(|event| event["id"].clone()).collect()
}

#[test]
fn what_was_stored_and_not_told_is_told_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let dead = Receiver::start(|_| Answer::Hang);
    let program = start(dir.path(), &dead, "\"message.stored\"");
    let (mut bob, _) = device(program.address(), "bob");
    let offsets: Vec<u64> = (0..30).map(|n| publish(&mut bob, "room", &format!("m{n}"))).collect();
    // Nothing but its answer says that it is stored: no moment is too early.
    kill(program);
    let first = dead.look().map(|request| ids(&request)).unwrap_or_default();
    let alive = Receiver::start(|_| Answer::Status(200));
    let program = start(dir.path(), &alive, "\"message.stored\"");
    let mut events = Vec::new();
    while events.len() < offsets.len() {
        events.extend(alive.request().events());
    }
    assert_eq!(events.iter().map(|event| event["first"].as_u64().unwrap()).collect::<Vec<_>>(), offsets);
    assert!(first.iter().all(|id| events.iter().any(|event| event["id"] == *id)), "an event has another id now");
    // It goes on behind what was settled.
    let (mut bob, _) = device(program.address(), "bob");
    publish(&mut bob, "room", "after");
    assert_eq!(alive.request().events()[0]["message"]["id"], "after");
}

#[test]
fn an_event_that_was_refused_keeps_its_id_and_its_handles_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let dead = Receiver::start(|_| Answer::Status(503));
    let program = start(dir.path(), &dead, "\"message.offline\"");
    let (mut alice, _) = device(program.address(), "alice");
    alice.say(&serde_json::json!({"t": "push", "handle": "apns:alice"}));
    follow(&mut alice, "chat:1");
    park(&mut alice);
    let (mut bob, _) = device(program.address(), "bob");
    publish(&mut bob, "chat:1", "a");
    let refused = dead.request();
    kill(program);
    let alive = Receiver::start(|_| Answer::Status(200));
    let _program = start(dir.path(), &alive, "\"message.offline\"");
    let taken = alive.request();
    assert_eq!((taken.id(), taken.events()), (refused.id(), refused.events()));
    assert_eq!(taken.events()[0]["devices"][0]["handle"], "apns:alice");
}

const GONE: &str = "a hook's receiver is gone (410)";

#[test]
fn a_receiver_that_is_gone_is_not_asked_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (gone, other) = (Receiver::start(|_| Answer::Status(410)), Receiver::start(|_| Answer::Status(200)));
    let start =
        |receiver: &Receiver| start_with(dir.path(), &[("test", receiver), ("free", &other)], "\"message.stored\"");
    let told = |receiver: &Receiver| receiver.request().events()[0]["message"]["id"].clone();
    let program = start(&gone);
    let (mut bob, _) = device(program.address(), "bob");
    publish(&mut bob, "room", "m0");
    assert_eq!((told(&gone), told(&other)), ("m0".into(), "m0".into()));
    program.wait_for(0, GONE);
    // What was written before this is durable when this is.
    publish(&mut bob, "room", "m1");
    assert_eq!(told(&other), "m1");
    kill(program);

    let program = start(&gone);
    let said = program.wait_for(0, GONE).len();
    let (mut bob, _) = device(program.address(), "bob");
    publish(&mut bob, "room", "m2");
    while told(&other) != "m2" {}
    assert!(gone.look().is_none(), "a receiver that is gone was asked");
    program.signal(Signal::HUP);
    assert_eq!(told(&gone), "m0", "the configuration was read again");
    program.wait_for(said, GONE);
    kill(program);

    // It has another address.
    let alive = Receiver::start(|_| Answer::Status(200));
    let _program = start(&alive);
    assert_eq!(told(&alive), "m0");
}

#[test]
fn each_of_many_receivers_that_are_gone_is_not_asked_by_the_next_start() {
    // A user has fewer devices.
    const HOOKS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let gone = Receiver::start(|_| Answer::Status(410));
    let names: Vec<String> = (0..HOOKS).map(|n| format!("hook-{n}")).collect();
    let hooks: Vec<(&str, &Receiver)> = names.iter().map(|name| (name.as_str(), &gone)).collect();
    let start = || start_with(dir.path(), &hooks, "\"message.stored\"");
    let all_are_gone = |program: &Program| {
        let mut at = 0;
        for _ in 0..HOOKS {
            at += program.wait_for(at, GONE).find(GONE).unwrap() + GONE.len();
        }
    };
    let program = start();
    let (mut bob, _) = device(program.address(), "bob");
    publish(&mut bob, "room", "m0");
    names.iter().for_each(|_| drop(gone.request()));
    all_are_gone(&program);
    // What was written before this is durable when this is.
    publish(&mut bob, "room", "m1");
    kill(program);

    let program = start();
    // One without a mark would ask before it says so.
    all_are_gone(&program);
    assert!(gone.look().is_none(), "a receiver that is gone was asked");
}
