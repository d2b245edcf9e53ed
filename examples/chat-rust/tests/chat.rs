//! The chat, as two people use it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use moorline_server::server::{Options, Server};

struct Person {
    chat: Child,
    keys: ChildStdin,
    screen: Lines<BufReader<ChildStdout>>,
}

impl Person {
    fn sit_down(name: &str, home: &Path, url: &str) -> Self {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat-rust"))
            .args([name, "--url", url])
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, screen) = (chat.stdin.take().unwrap(), chat.stdout.take().unwrap());
        Self { chat, keys, screen: BufReader::new(screen).lines() }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.keys, "{line}").unwrap();
    }

    /// Reads up to a line with these words.
    fn wait_for(&mut self, words: &str) -> String {
        self.screen.by_ref().map(Result::unwrap).find(|line| line.contains(words)).unwrap()
    }

    fn leave(mut self) {
        self.type_line("/quit");
        assert!(self.chat.wait().unwrap().success());
    }
}

#[test]
fn two_people_talk_and_one_of_them_was_offline() {
    let home = tempfile::tempdir().unwrap();
    // An address that no connection comes from: nobody takes the port while it is free. Only Linux has it.
    let own = if cfg!(target_os = "linux") { "127.0.0.5:0" } else { "127.0.0.1:0" };
    let server = Server::start(Options { listen: own.parse().unwrap(), ..Options::dev() }).unwrap();
    let (address, url) = (server.address(), server.url());
    drop(server);

    let mut alice = Person::sit_down("alice", home.path(), &url);
    alice.type_line("is anybody there?");
    alice.wait_for("queued");
    alice.leave();

    let _server = Server::start(Options { listen: address, ..Options::dev() }).unwrap();
    let mut alice = Person::sit_down("alice", home.path(), &url);
    alice.wait_for("a message from last time waits for room:lobby");
    alice.wait_for("stored as 1");
    let mut bob = Person::sit_down("bob", home.path(), &url);
    assert_eq!(bob.wait_for("lobby |"), "lobby | alice: is anybody there?");
    bob.type_line("/join kitchen");
    bob.wait_for("you are in kitchen");
    bob.type_line("I am");
    bob.wait_for("stored as 1");
    alice.type_line("/join kitchen");
    assert_eq!(alice.wait_for("kitchen |"), "kitchen | bob: I am");
    alice.leave();
    bob.leave();
}
