//! Requests that the server makes itself, and those who would like it to make others.

use std::sync::Arc;

use moorline_protocol::AppName;
use moorline_server::engine::hooks::HookKind;
use moorline_server::jwks::{KeySet, Source, Times};
use moorline_server::jwt::{AppKeys, Tokens};
use moorline_server::server::{Options, Server};
use serde_json::json;

use super::server;
use crate::hooks::receiver::{Answer, Receiver};
use crate::hooks::{SECRET, device, hook, publish};
use crate::support::Wire;

/// Sends everybody on to somebody else.
fn elsewhere(to: &Receiver) -> Receiver {
    let location = to.url();
    Receiver::start(move |_| {
        Answer::Bytes(format!("HTTP/1.1 307 x\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
    })
}

#[test]
fn nobody_is_followed_who_answers_with_another_address() {
    let inside = Receiver::start(|_| Answer::Status(200));
    // A hook: the same receiver again, later.
    let receiver = elsewhere(&inside);
    let hooks = vec![hook(&receiver.url(), &[HookKind::MessageStored])];
    let hooked = Server::start(Options { hooks, ..Options::dev() }).unwrap();
    let (mut bob, _) = device(hooked.address(), "bob");
    publish(&mut bob, "room", "a");
    receiver.request();
    receiver.request();
    // A call-out: as if there were no answer.
    let backend = elsewhere(&inside);
    let callout = format!(
        "[[callouts]]\nname = \"a\"\nurl = \"{}\"\nsecrets = [\"{SECRET}\"]\nasks = [\"publish\"]\nallow_private = true\n",
        backend.url()
    );
    let (_dir, program) = server(&callout, &[]);
    let mut wire = Wire::hello(program.address(), "dev:alice");
    wire.say(&json!({"t": "publish", "channel": "a", "req": 1, "id": "x", "text": "x"}));
    wire.expect_error("app.unavailable");
    backend.request();
    // Keys of an issuer: none.
    let issuer = elsewhere(&inside);
    let short = std::time::Duration::from_millis(10);
    let times = Times { retry: (short, short), ..Times::default() };
    let url = issuer.url().parse().unwrap();
    let source = Source { issuer: "https://id.example".into(), url, allow_private: true, roots: Vec::new(), times };
    let shop = AppName::new("shop").unwrap();
    let tokens = Tokens::new(vec![AppKeys { name: shop.clone(), keys: Vec::new(), anonymous: false }]);
    let tokens = tokens.with_sets(vec![(shop, Arc::new(KeySet::new(source)))]);
    let fetching = Server::start(Options { tokens, ..Options::dev() }).unwrap();
    issuer.request();
    issuer.request();
    drop((hooked, fetching, program));
    assert!(inside.look().is_none(), "the address in an answer was connected to");
}

#[test]
fn no_way_to_write_an_address_leads_inside() {
    let inside = Receiver::start(|_| Answer::Status(200));
    let port = inside.address().port();
    // A name that means an inner address is one, whatever it meant when somebody looked before.
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[64:ff9b::7f00:1]",
        "user@127.0.0.1",
    ] {
        let callout = format!(
            "[[callouts]]\nname = \"a\"\nurl = \"https://{host}:{port}/\"\nsecrets = [\"{SECRET}\"]\nasks = [\"publish\"]\n"
        );
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("moorline.toml");
        std::fs::write(&config, callout).unwrap();
        let run = ["--dev", "--engine", "memory", "--listen", "127.0.0.1:0", "--config"];
        let mut command = crate::support::program::command(run);
        let mut child = command.arg(&config).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let refused = crate::support::program::run(["check-config".as_ref(), config.as_os_str()]).0 != 0;
        if refused {
            continue;
        }
        child = child.stdout(std::process::Stdio::piped());
        let program = crate::support::program::Program::start(child);
        let mut wire = Wire::hello(program.address(), "dev:alice");
        wire.say(&json!({"t": "publish", "channel": "a", "req": 1, "id": "x", "text": "x"}));
        wire.expect_error("app.unavailable");
        let said = program.stop();
        assert!(said.contains("is not a public address") || said.contains("cannot resolve"), "{host}: {said}");
    }
    assert!(inside.look().is_none(), "an inner address was connected to");
}
