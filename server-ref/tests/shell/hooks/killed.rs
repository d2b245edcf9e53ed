//! The real server, killed while events wait.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::receiver::{Answer, Receiver, Request};
use super::{SECRET, device, follow, park, publish};
use crate::support::program::{Program, command};

fn start(dir: &Path, receiver: &Receiver, events: &str) -> Program {
    let config = dir.join("moorline.toml");
    let url = receiver.url();
    let text = format!(
        "[[hooks]]\nname = \"test\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\nevents = [{events}]\nallow_private = true\n"
    );
    std::fs::write(&config, text).unwrap();
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
