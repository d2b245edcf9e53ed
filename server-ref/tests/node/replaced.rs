//! Call-outs that are replaced, or taken away, while something rests on what they say.

use moorline_server::node::{CalloutId, CalloutKind, CalloutRules, Claims, OnFailure, Terms};
use serde_json::{Value, json};

use crate::bench::{Bench, everything};
use crate::callouts::{WITHIN_MS, asked, bench, no, rule, yes};

/// Another call-out decides about subscriptions.
pub(crate) fn replaced_by(id: u64) -> CalloutRules {
    let terms = Terms { id: CalloutId(id), within_ms: WITHIN_MS, on_failure: OnFailure::Deny, verifies: true };
    CalloutRules::new(vec![rule(&[CalloutKind::Subscribe], "room*", terms)])
}

#[test]
fn an_answer_of_a_callout_that_was_replaced_meanwhile_is_asked_about_again() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.token("alice", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1}));
    let first = asked(&mut bench).0;
    bench.set_callouts(replaced_by(1));
    assert!(bench.questions.is_empty(), "it is under way");
    bench.answer(first, Some(json!({"allow": true, "cache": 60})));
    assert_eq!(bench.frame(1)["t"], "subscribed");
    let second = asked(&mut bench).0;
    // It is replaced once more while it is asked: what it says is nothing to anybody.
    bench.set_callouts(replaced_by(2));
    let third = asked(&mut bench).0;
    bench.answer(second, no());
    assert_eq!(bench.hear(1), []);
    bench.answer(third, None);
    bench.pass(5_001);
    let again = asked(&mut bench).0;
    bench.answer(again, yes());
    assert_eq!(bench.hear(1), []);
    // The same rules again ask nobody.
    bench.set_callouts(replaced_by(2));
    assert!(bench.questions.is_empty());
    bench.set_callouts(replaced_by(3));
    let last = asked(&mut bench).0;
    bench.answer(last, no());
    assert_eq!(bench.frame(1)["code"], "channel.denied");
}

#[test]
fn where_nobody_decides_any_more_the_token_does() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.token("nothing", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(1, json!({"token": "nothing"}));
    bench.join(2, "bob");
    let subscribe = json!({"t": "subscribe", "channel": "room", "req": 1});
    for conn in [1, 2] {
        bench.say(conn, subscribe.clone());
        let question = asked(&mut bench).0;
        bench.answer(question, Some(json!({"allow": true, "cache": 60})));
        bench.hear(conn);
    }
    bench.say(1, json!({"t": "subscribe", "channel": "room-2", "req": 2}));
    let late = asked(&mut bench).0;
    bench.set_callouts(CalloutRules::default());
    let frames = bench.frames(1);
    let told = |at: usize| (frames[at]["t"].clone(), frames[at]["code"].clone());
    assert_eq!((told(0), told(1), frames.len()), (told_of("unsubscribed"), told_of("error"), 2), "{frames:?}");
    bench.answer(late, yes());
    assert_eq!((bench.hear(1), bench.hear(2)), (vec![], vec![]));
    // What it kept is forgotten, and nobody is asked.
    bench.say(1, subscribe);
    assert_eq!(bench.frame(1)["code"], "channel.denied");
    assert!(bench.questions.is_empty());
}

fn told_of(t: &str) -> (Value, Value) {
    (json!(t), json!("channel.denied"))
}

#[test]
fn who_was_about_to_say_hello_comes_again_when_somebody_else_decides_about_it() {
    let mut bench = Bench::new();
    bench.open(1, moorline_protocol::Codec::Json);
    let terms = |id| Terms { id: CalloutId(id), within_ms: WITHIN_MS, on_failure: OnFailure::Deny, verifies: false };
    let connect = |id| CalloutRules::new(vec![rule(&[CalloutKind::Connect], "room*", terms(id))]);
    bench.set_callouts(replaced_by(1));
    assert_eq!(bench.hear(1), []);
    bench.set_callouts(connect(2));
    assert_eq!(bench.hear(1), [crate::bench::Heard::Closed(4000)]);
    bench.hello(2, json!({"token": "opaque"}));
    let question = asked(&mut bench).0;
    bench.set_callouts(CalloutRules::default());
    assert_eq!(bench.hear(2), []);
    bench.answer(question, Some(json!({"allow": true, "user": "alice"})));
    assert_eq!(bench.frame(2)["user"], "alice", "who was asked about ends as it began");
}
