//! What a token allows, and what becomes of it.

use moorline_protocol::{AppName, UserName};
use moorline_server::engine::{Command, Revocation};
use moorline_server::node::{Claims, Permissions};
use serde_json::json;

use crate::bench::{Bench, START, everything, grant};

fn only(user: &str, grants: &[(&str, Permissions)]) -> Claims {
    let grants = grants.iter().map(|(pattern, can)| grant(pattern, *can)).collect();
    Claims { grants, ..everything(user) }
}

#[test]
fn each_permission_stands_for_itself() {
    let mut bench = Bench::new();
    let grants = [("read", Permissions::SUBSCRIBE), ("write", Permissions::PUBLISH), ("old", Permissions::HISTORY)];
    bench.token("alice", only("alice", &grants));
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    for channel in ["read", "write", "old", "reading", "other"] {
        let asks = [
            (json!({"t": "subscribe", "channel": channel, "req": 1}), "read", "subscribed"),
            (json!({"t": "publish", "channel": channel, "req": 2, "id": channel, "text": "x"}), "write", "published"),
            (json!({"t": "history", "channel": channel, "req": 3}), "old", "page"),
        ];
        for (ask, allowed, answer) in asks {
            bench.say(1, ask.clone());
            let heard = bench.frame(1);
            if channel == allowed {
                assert_eq!(heard["t"], answer);
            } else {
                assert_eq!((&heard["code"], &heard["req"]), (&json!("channel.denied"), &ask["req"]), "{channel}");
            }
        }
    }
}

#[test]
fn a_prefix_is_a_prefix() {
    let mut bench = Bench::new();
    bench.token("alice", only("alice", &[("chat:*", Permissions::ALL)]));
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    for (channel, allowed) in [("chat:", true), ("chat:1", true), ("chat", false), ("chats:1", false), ("@bob", false)]
    {
        bench.publish(1, channel, channel, "x");
        assert_eq!(bench.frame(1)["t"] == "published", allowed, "{channel}");
    }
}

#[test]
fn a_new_token_is_held_against_every_subscription() {
    let mut bench = Bench::new();
    bench.token("wide", only("alice", &[("a", Permissions::ALL), ("b", Permissions::ALL)]));
    bench.token("narrow", only("alice", &[("b", Permissions::ALL)]));
    bench.hello(1, json!({"token": "wide"}));
    for (req, channel) in ["a", "b", "@me"].into_iter().enumerate() {
        bench.say(1, json!({"t": "subscribe", "channel": channel, "req": req}));
    }
    bench.join(2, "bob");
    bench.hear(1);
    bench.say(1, json!({"t": "auth", "req": 7, "token": "narrow"}));
    let frames = bench.frames(1);
    assert_eq!(frames[0]["t"], "authed");
    assert_eq!(frames[1..], [json!({"t": "unsubscribed", "channel": "a", "code": "channel.denied"})]);
    for channel in ["a", "b", "@alice"] {
        bench.publish(2, channel, "x", "after");
    }
    let heard: Vec<_> = bench.frames(1).iter().map(|frame| frame["channel"].clone()).collect();
    assert_eq!(heard, ["b", "@alice"]);
}

#[test]
fn a_token_that_is_refused_changes_nothing() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.token("bob", everything("bob"));
    bench.token("nobody", Claims { user: None, ..everything("alice") });
    bench.token("late", Claims { expires: Some(START - 5_000), ..everything("alice") });
    bench.hear(1);
    for (token, code) in
        [("forged", "auth.invalid"), ("bob", "auth.invalid"), ("nobody", "auth.invalid"), ("late", "auth.expired")]
    {
        bench.say(1, json!({"t": "auth", "req": 3, "token": token}));
        let error = bench.frame(1);
        assert_eq!((&error["code"], &error["req"]), (&json!(code), &json!(3)), "{token}");
    }
    bench.publish(1, "room", "a", "still here");
    assert_eq!(bench.frames(1).len(), 2);
}

#[test]
fn a_channels_own_token_counts_there_only() {
    let mut bench = Bench::new();
    bench.token("alice", only("alice", &[]));
    bench.token("own", only("alice", &[("*", Permissions::ALL)]));
    bench.token("bobs", everything("bob"));
    bench.token("anyones", Claims { user: None, ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "token": "own"}));
    assert_eq!(bench.frame(1)["t"], "subscribed");
    bench.say(1, json!({"t": "subscribe", "channel": "other", "req": 2}));
    assert_eq!(bench.frame(1)["code"], "channel.denied");
    bench.say(1, json!({"t": "subscribe", "channel": "other", "req": 3, "token": "bobs"}));
    assert_eq!(bench.frame(1)["code"], "auth.invalid");
    bench.say(1, json!({"t": "subscribe", "channel": "other", "req": 4, "token": "anyones"}));
    assert_eq!(bench.frame(1)["t"], "subscribed");
}

#[test]
fn tokens_of_channels_take_a_bounded_room() {
    let mut bench = Bench::with(|config| config.max_channels = 3);
    bench.token("alice", only("alice", &[]));
    bench.token("own", everything("alice"));
    bench.hello(1, json!({"token": "alice"}));
    bench.say(1, json!({"t": "subscribe", "channel": "kept", "req": 1, "token": "own"}));
    for n in 0..100 {
        bench.say(1, json!({"t": "auth", "req": n, "channel": format!("room:{n}"), "token": "own"}));
    }
    bench.hear(1);
    // The oldest that no subscription rests on makes room.
    for (channel, answer) in
        [("room:99", "published"), ("room:98", "published"), ("room:97", "error"), ("kept", "deliver")]
    {
        bench.publish(1, channel, "x", "x");
        assert_eq!(bench.frames(1)[0]["t"], answer, "{channel}");
    }
}

#[test]
fn a_revoked_token_ends_its_connection_at_once() {
    let mut bench = Bench::new();
    let claims = |jti: &str| Claims { id: Some(jti.into()), ..everything("alice") };
    bench.token("one", claims("t1"));
    bench.token("two", claims("t2"));
    for (conn, token) in [(1, "one"), (2, "two")] {
        bench.hello(conn, json!({"token": token, "subscribe": [{"req": 1, "channel": "room"}]}));
        bench.hear(conn);
    }
    let app = AppName::default_app();
    bench.command(Command::Revoke(Revocation::Token { app, jti: "t1".into() }));
    bench.was_ended(1, "auth.revoked", 4503);
    bench.publish(2, "room", "a", "after");
    assert_eq!((bench.hear(1), bench.frames(2).len()), (vec![], 2));
    // Nor does it open a new one.
    bench.hello(3, json!({"token": "one"}));
    bench.was_ended(3, "auth.revoked", 4503);
    let elsewhere = AppName::new("elsewhere").unwrap();
    bench.command(Command::Revoke(Revocation::Token { app: elsewhere, jti: "t2".into() }));
    assert_eq!(bench.hear(2), []);
}

#[test]
fn a_users_older_tokens_are_revoked_together() {
    let mut bench = Bench::new();
    for (conn, user, issued) in
        [(1, "alice", Some(99)), (2, "alice", Some(100)), (3, "alice", None), (4, "bob", Some(1))]
    {
        let name = format!("{user}-{issued:?}");
        bench.token(&name, Claims { issued, ..everything(user) });
        bench.hello(conn, json!({"token": name}));
        bench.hear(conn);
    }
    let (app, user) = (AppName::default_app(), UserName::new("alice").unwrap());
    bench.command(Command::Revoke(Revocation::User { app, user, issued_before: 100 }));
    bench.was_ended(1, "auth.revoked", 4503);
    bench.was_ended(3, "auth.revoked", 4503);
    assert_eq!((bench.hear(2), bench.hear(4)), (vec![], vec![]));
}

#[test]
fn a_token_that_was_revoked_before_is_of_no_use_later() {
    let mut bench = Bench::new();
    let app = AppName::default_app;
    let claims = |jti: &str, issued| Claims { id: Some(jti.into()), issued: Some(issued), ..everything("alice") };
    bench.command(Command::Revoke(Revocation::Token { app: app(), jti: "gone".into() }));
    let user = UserName::new("alice").unwrap();
    bench.command(Command::Revoke(Revocation::User { app: app(), user, issued_before: 100 }));
    bench.token("good", Claims { grants: vec![grant("mine", Permissions::ALL)], ..claims("kept", 100) });
    bench.token("revoked", claims("gone", 100));
    bench.token("old", claims("another", 99));
    bench.hello(1, json!({"token": "good"}));
    bench.hear(1);
    for token in ["revoked", "old"] {
        let asks = [
            json!({"t": "auth", "req": 1, "token": token}),
            json!({"t": "auth", "req": 1, "token": token, "channel": "room"}),
            json!({"t": "subscribe", "req": 1, "channel": "room", "token": token}),
        ];
        for ask in asks {
            bench.say(1, ask.clone());
            let heard = bench.frame(1);
            assert_eq!((&heard["code"], &heard["req"]), (&json!("auth.revoked"), &json!(1)), "{ask}");
        }
    }
    // Nothing has changed by it.
    bench.say(1, json!({"t": "subscribe", "req": 2, "channel": "room"}));
    assert_eq!(bench.frame(1)["code"], "channel.denied");
    bench.say(1, json!({"t": "subscribe", "req": 3, "channel": "mine"}));
    assert_eq!(bench.frame(1)["t"], "subscribed");
}

#[test]
fn a_channels_own_token_can_be_revoked() {
    let mut bench = Bench::new();
    bench.token("alice", only("alice", &[]));
    bench.token("own", Claims { id: Some("t1".into()), user: None, ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "token": "own"}));
    bench.hear(1);
    bench.command(Command::Revoke(Revocation::Token { app: AppName::default_app(), jti: "t1".into() }));
    assert_eq!(bench.frames(1), [json!({"t": "unsubscribed", "channel": "room", "code": "channel.denied"})]);
}
