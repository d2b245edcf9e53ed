//! Hooks, from a client to a real receiver.

mod busy;
mod failing;
mod killed;
mod offline;
pub(crate) mod receiver;
mod secure;

use moorline_protocol::AppName;
use moorline_server::engine::hooks::{HookKind, HookRule};
use moorline_server::hooks::{Hook, Secret, Times};
use moorline_server::server::{Options, Server};
use serde_json::{Value, json};

use self::receiver::Receiver;
use crate::support::Wire;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DEVICE: &str = "device-0123456789";

/// A hook that waits for little.
fn hook(url: &str, kinds: &[HookKind]) -> Hook {
    let rule = HookRule { app: AppName::default_app(), kinds: kinds.to_vec(), channels: Vec::new() };
    Hook {
        name: "test".into(),
        url: url.parse().unwrap(),
        secrets: vec![Secret::parse(SECRET).unwrap()],
        rule,
        allow_private: true,
        roots: Vec::new(),
        max_requests: 4,
        times: Times { first_retry: 10, last_retry: 100, pause: 20, ..Times::default() },
    }
}

fn server(receiver: &Receiver, kinds: &[HookKind]) -> Server {
    Server::start(Options { hooks: vec![hook(&receiver.url(), kinds)], ..Options::dev() }).unwrap()
}

/// A client with a device, its `welcome`, and what it was told so.
fn device(address: std::net::SocketAddr, user: &str) -> (Wire, Value) {
    let mut wire = Wire::open(address);
    let token = format!("dev:{user}");
    wire.say(&json!({"t": "hello", "v": 1, "token": token, "device": DEVICE, "caps": ["push"]}));
    let welcome = wire.expect("welcome");
    (wire, welcome)
}

fn follow(wire: &mut Wire, channel: &str) {
    wire.say(&json!({"t": "subscribe", "req": 1, "channel": channel, "durable": true, "since": {"cursor": null}}));
    wire.expect("subscribed");
}

/// The answer to what comes after it says that it was seen.
fn park(wire: &mut Wire) {
    wire.say(&json!({"t": "park"}));
    wire.say(&json!({"t": "ping", "n": 1}));
    wire.expect("pong");
}

fn publish(wire: &mut Wire, channel: &str, id: &str) -> u64 {
    wire.say(&json!({"t": "publish", "channel": channel, "qos": 1, "req": 9, "id": id, "text": id}));
    wire.expect("published")["offset"].as_u64().unwrap()
}
