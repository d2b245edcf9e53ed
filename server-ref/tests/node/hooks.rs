//! What the node has to do with hooks: who is parked, push handles, and the channels that are the server's own.

use moorline_protocol::AppName;
use moorline_server::engine::Command;
use moorline_server::engine::hooks::{HookKind, HookRule, HookRules};
use serde_json::json;

use crate::bench::{Bench, everything};

fn bench(kinds: &[HookKind]) -> Bench {
    let rule = HookRule { app: AppName::default_app(), kinds: kinds.to_vec(), channels: Vec::new() };
    let bench = Bench::with(|config| config.hooks = HookRules::new(vec![rule]));
    bench.token("alice", everything("alice"));
    bench
}

/// Alice's phone connects; returns the features of `welcome`.
fn connect(bench: &mut Bench, conn: u32) -> serde_json::Value {
    bench.hello(conn, json!({"token": "alice", "device": "0123456789abcdef", "caps": ["push", "later"]}));
    bench.frame(conn)["caps"].clone()
}

/// What the engine is asked, of parking and handles.
fn asked(bench: &mut Bench) -> Vec<Command> {
    let asked = bench.asked.drain(..).map(|(_, command)| command);
    asked.filter(|command| matches!(command, Command::Park(..) | Command::Push(..))).collect()
}

#[test]
fn the_engine_is_told_when_a_connection_parks_and_not_how_often_it_says_so() {
    let mut bench = bench(&[HookKind::MessageOffline]);
    connect(&mut bench, 1);
    bench.slow_engine = true;
    let mut parked = Vec::new();
    for t in ["unpark", "park", "park", "unpark", "unpark", "park"] {
        bench.say(1, json!({"t": t}));
        for command in asked(&mut bench) {
            let Command::Park(_, is_parked) = command else { panic!("{command:?}") };
            parked.push(is_parked);
        }
    }
    assert_eq!(parked, [true, false, true]);
}

#[test]
fn a_handle_goes_to_the_engine_if_somebody_wants_it() {
    let mut bench = bench(&[HookKind::MessageOffline]);
    assert_eq!(connect(&mut bench, 1), json!(["push"]));
    bench.slow_engine = true;
    bench.say(1, json!({"t": "push", "handle": "fcm:1"}));
    bench.say(1, json!({"t": "push"}));
    let pushes: Vec<_> = asked(&mut bench)
        .into_iter()
        .map(|command| match command {
            Command::Push(owner, handle) => (owner.user.to_string(), handle.map(|handle| handle.to_string())),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pushes, [("alice".to_owned(), Some("fcm:1".to_owned())), ("alice".to_owned(), None)]);
}

#[test]
fn without_an_offline_hook_a_handle_is_refused() {
    let mut bench = bench(&[HookKind::MessageStored]);
    assert_eq!(connect(&mut bench, 1), json!(null));
    bench.say(1, json!({"t": "push", "handle": "fcm:1"}));
    assert_eq!(bench.frame(1)["code"], "feature.disabled");
}

#[test]
fn the_servers_own_channels_are_out_of_reach() {
    let mut bench = bench(&[HookKind::MessageStored]);
    connect(&mut bench, 1);
    for frame in [
        json!({"t": "subscribe", "req": 1}),
        json!({"t": "subscribe", "req": 1, "durable": true, "since": {"first": true}}),
        json!({"t": "unsubscribe", "req": 1, "forget": true}),
        json!({"t": "publish", "req": 1, "qos": 1, "id": "a", "text": "forged"}),
        json!({"t": "publish", "req": 1, "qos": 0, "text": "forged"}),
        json!({"t": "history", "req": 1}),
        json!({"t": "presence", "req": 1, "op": "get"}),
    ] {
        for channel in ["$hooks", "$anything"] {
            let mut frame = frame.clone();
            frame["channel"] = channel.into();
            bench.say(1, frame.clone());
            let code = if frame["t"] == "unsubscribe" { "channel.not_durable" } else { "channel.invalid" };
            assert_eq!(bench.frame(1)["code"], code, "{frame}");
        }
    }
    // A name with it further on is a name.
    bench.say(1, json!({"t": "subscribe", "req": 1, "channel": "us$"}));
    assert_eq!(bench.frame(1)["t"], "subscribed");
}
