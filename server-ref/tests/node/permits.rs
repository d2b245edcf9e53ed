//! What an app's backend allowed holds as long as it said, for what it said, and not after a no.

use moorline_protocol::AppName;
use moorline_server::engine::{Command, Revocation};
use moorline_server::node::{CalloutKind, CalloutRules, Claims, Grant, OnFailure, Permissions};
use serde_json::{Value, json};

use crate::bench::{Bench, everything};
use crate::callouts::{answers, asked, bench, no, yes};

fn nobody(bench: &mut Bench) {
    bench.token("alice", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
}

fn subscribe(bench: &mut Bench, presence: &str) {
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "presence": presence}));
}

fn history(bench: &mut Bench) -> Value {
    bench.say(1, json!({"t": "history", "channel": "room", "req": 9}));
    bench.frame(1)
}

#[test]
fn what_was_allowed_with_a_subscription_ends_with_it() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    nobody(&mut bench);
    subscribe(&mut bench, "none");
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"allow": true, "can": ["history"]})));
    bench.hear(1);
    assert_eq!(history(&mut bench)["t"], "page");
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    bench.hear(1);
    assert_eq!(history(&mut bench)["code"], "channel.denied");
    subscribe(&mut bench, "none");
    let question = asked(&mut bench).0;
    bench.answer(question, no());
    bench.hear(1);
    assert_eq!(history(&mut bench)["code"], "channel.denied");
}

#[test]
fn a_permit_that_is_kept_is_none_for_presence() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    nobody(&mut bench);
    subscribe(&mut bench, "none");
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"allow": true, "cache": 60})));
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    bench.hear(1);
    subscribe(&mut bench, "watch");
    assert!(bench.questions.is_empty());
    assert_eq!(answers(&mut bench), [(1, "channel.denied".to_owned())]);
    subscribe(&mut bench, "none");
    assert_eq!(bench.frame(1)["t"], "subscribed");
}

#[test]
fn an_answer_that_comes_when_nobody_decides_any_more_allows_nothing() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    let reads = Grant { pattern: "*".into(), can: Permissions::SUBSCRIBE };
    bench.token("alice", Claims { grants: vec![reads], ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    subscribe(&mut bench, "none");
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"allow": true, "cache": 1})));
    bench.hear(1);
    bench.pass(1_001);
    let again = asked(&mut bench).0;
    bench.set_callouts(CalloutRules::default());
    bench.answer(again, Some(json!({"allow": true, "can": ["history"]})));
    assert_eq!(bench.hear(1), []);
    assert_eq!(history(&mut bench)["code"], "channel.denied");
}

#[test]
fn one_new_token_at_a_time_is_looked_at_and_none_that_was_revoked_meanwhile() {
    let mut bench = bench(&[CalloutKind::Connect], OnFailure::Deny, true);
    bench.token("alice", everything("alice"));
    bench.token("next", Claims { id: Some("t2".into()), ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    bench.hear(1);
    let auth = |bench: &mut Bench, req: u64| bench.say(1, json!({"t": "auth", "req": req, "token": "next"}));
    auth(&mut bench, 1);
    auth(&mut bench, 2);
    let busy = bench.frame(1);
    assert_eq!((&busy["req"], &busy["code"], &busy["after"]), (&json!(2), &json!("limit.rate"), &json!(1_000)));
    let question = asked(&mut bench).0;
    assert!(bench.questions.is_empty());
    bench.command(Command::Revoke(Revocation::Token { app: AppName::default_app(), jti: "t2".into() }));
    bench.answer(question, yes());
    assert_eq!(answers(&mut bench), [(1, "auth.revoked".to_owned())]);
    // The next one is looked at.
    bench.token("next", everything("alice"));
    auth(&mut bench, 3);
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    assert_eq!(bench.frame(1)["t"], "authed");
}
