//! What an app's backend decides: in which order, how late, and about whom.

use moorline_protocol::AppName;
use moorline_server::engine::{Command, Revocation};
use moorline_server::node::{
    CalloutId, CalloutKind, CalloutRule, CalloutRules, Claims, Facts, OnFailure, QuestionId, Terms,
};
use serde_json::{Value, json};

use crate::bench::{Bench, everything, offsets};

pub(crate) const WITHIN_MS: u64 = 5_000;

pub(crate) fn bench(kinds: &[CalloutKind], on_failure: OnFailure, verifies: bool) -> Bench {
    Bench::with(|config| config.callouts = rules(kinds, on_failure, verifies))
}

/// One call-out, which decides about channels that begin with `room`.
pub(crate) fn rules(kinds: &[CalloutKind], on_failure: OnFailure, verifies: bool) -> CalloutRules {
    let terms = Terms { id: CalloutId(0), within_ms: WITHIN_MS, on_failure, verifies };
    CalloutRules::new(vec![rule(kinds, "room*", terms)])
}

pub(crate) fn rule(kinds: &[CalloutKind], channels: &str, terms: Terms) -> CalloutRule {
    CalloutRule { app: AppName::default_app(), kinds: kinds.to_vec(), channels: vec![channels.into()], terms }
}

pub(crate) fn asked(bench: &mut Bench) -> (QuestionId, Value) {
    let (id, _, body) = bench.questions.pop_front().unwrap();
    (id, body)
}

fn publish(bench: &mut Bench, channel: &str, req: u64) {
    bench.say(1, json!({"t": "publish", "channel": channel, "req": req, "id": format!("id-{req}"), "text": "x"}));
}

/// The `req` and the code, or `published`, of each answer.
pub(crate) fn answers(bench: &mut Bench) -> Vec<(u64, String)> {
    let answer = |frame: &Value| {
        let code = frame["code"].as_str().unwrap_or_else(|| frame["t"].as_str().unwrap());
        (frame["req"].as_u64().unwrap(), code.to_owned())
    };
    bench.frames(1).iter().map(answer).collect()
}

fn each(reqs: &[u64], what: &str) -> Vec<(u64, String)> {
    reqs.iter().map(|req| (*req, what.to_owned())).collect()
}

pub(crate) fn yes() -> Option<Value> {
    Some(json!({"allow": true}))
}

pub(crate) fn no() -> Option<Value> {
    Some(json!({"allow": false, "reason": "not today"}))
}

#[test]
fn publishes_keep_their_order_in_a_channel_whatever_order_the_answers_have() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    for (req, channel) in [(1, "room1"), (2, "room1"), (3, "room2"), (4, "room1"), (5, "free")] {
        publish(&mut bench, channel, req);
    }
    assert_eq!(answers(&mut bench), each(&[5], "published"), "what nobody decides about does not wait");
    let questions: Vec<QuestionId> = (0..4).map(|_| asked(&mut bench).0).collect();
    bench.answer(questions[3], yes());
    bench.answer(questions[1], yes());
    assert_eq!(answers(&mut bench), []);
    bench.answer(questions[2], yes());
    assert_eq!(answers(&mut bench), each(&[3], "published"), "another channel does not wait");
    bench.answer(questions[0], yes());
    assert_eq!(answers(&mut bench), each(&[1, 2, 4], "published"));
}

#[test]
fn what_follows_on_a_failure_that_waits_its_turn_fails_with_it() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    publish(&mut bench, "room", 1);
    publish(&mut bench, "room", 2);
    let (first, second) = (asked(&mut bench).0, asked(&mut bench).0);
    bench.answer(second, None);
    publish(&mut bench, "room", 3);
    publish(&mut bench, "room2", 4);
    let other = asked(&mut bench).0;
    assert!(bench.questions.is_empty(), "the third is sent again behind the second, whatever the app says");
    bench.answer(other, yes());
    assert_eq!(answers(&mut bench), each(&[4], "published"));
    bench.answer(first, yes());
    let failed = each(&[2, 3], "app.unavailable");
    assert_eq!(answers(&mut bench), [failed, each(&[1], "published")].concat());
    publish(&mut bench, "room", 2);
    let second = asked(&mut bench).0;
    bench.answer(second, yes());
    assert_eq!(answers(&mut bench), each(&[2], "published"));
}

#[test]
fn what_is_denied_says_why_and_what_follows_goes_on() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    publish(&mut bench, "room1", 1);
    publish(&mut bench, "room1", 2);
    let (first, body) = asked(&mut bench);
    let message = json!({"id": "id-1", "user": "alice", "time": 1_700_000_000_000_u64, "text": "x"});
    assert_eq!((&body["ask"], &body["user"], &body["channel"]), (&json!("publish"), &json!("alice"), &json!("room1")));
    assert_eq!((&body["qos"], &body["message"]), (&json!(1), &message));
    bench.answer(first, no());
    let denied = bench.frame(1);
    assert_eq!(
        (&denied["code"], &denied["message"], &denied["retry"]),
        (&json!("channel.denied"), &json!("not today"), &json!(false))
    );
    let second = asked(&mut bench).0;
    bench.answer(second, yes());
    assert_eq!(answers(&mut bench), each(&[2], "published"));
}

#[test]
fn a_denial_at_level_2_consumes_its_sequence_and_a_failure_does_not() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.token("alice", everything("alice"));
    bench.hello(1, json!({"token": "alice", "device": "device-0123456789", "producer": "new"}));
    let generation = bench.frame(1)["producer"]["gen"].clone();
    let say = |bench: &mut Bench, seq: u64| {
        let publish = json!({"t": "publish", "channel": "room", "qos": 2, "req": seq, "id": format!("id-{seq}"),
            "seq": seq, "gen": generation, "text": "x"});
        bench.say(1, publish);
        asked(bench).0
    };
    let (one, two, three) = (say(&mut bench, 1), say(&mut bench, 2), say(&mut bench, 3));
    bench.answer(one, no());
    assert_eq!(bench.frame(1)["message"], "not today");
    bench.answer(two, None);
    assert_eq!(answers(&mut bench), each(&[2, 3], "app.unavailable"), "what follows is sent again with it");
    bench.answer(three, yes());
    assert_eq!(answers(&mut bench), [], "nobody waits for that any more");
    let (two, three) = (say(&mut bench, 2), say(&mut bench, 3));
    bench.answer(three, yes());
    bench.answer(two, yes());
    let frames = bench.frames(1);
    assert_eq!(frames.iter().map(|frame| frame["offset"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    let again = say(&mut bench, 1);
    bench.answer(again, yes());
    assert_eq!(answers(&mut bench), each(&[1], "channel.denied"), "the same answer, not another");
}

#[test]
fn no_answer_in_time_is_a_failure_and_the_policy_says_what_that_means() {
    for (policy, heard) in [(OnFailure::Deny, "app.unavailable"), (OnFailure::Allow, "published")] {
        let mut bench = bench(&[CalloutKind::Publish], policy, true);
        bench.join(1, "alice");
        publish(&mut bench, "room", 1);
        bench.pass(WITHIN_MS - 1);
        assert_eq!(answers(&mut bench), []);
        bench.pass(1);
        assert_eq!(answers(&mut bench), each(&[1], heard));
        assert_eq!(bench.node.stats().questions, 0);
        let late = asked(&mut bench).0;
        bench.answer(late, no());
        assert_eq!(answers(&mut bench), []);
    }
}

#[test]
fn an_answer_that_is_none_is_a_failure_and_a_second_one_is_nothing() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    publish(&mut bench, "room", 1);
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"ok": true})));
    assert_eq!(answers(&mut bench), each(&[1], "app.unavailable"));
    bench.answer(question, yes());
    assert_eq!(answers(&mut bench), []);
}

#[test]
fn level_0_waits_its_turn_and_is_dropped_where_it_may_not() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    bench.join(2, "bob");
    bench.say(2, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.hear(2);
    let passing = |text: &str| json!({"t": "publish", "channel": "room", "qos": 0, "text": text});
    for text in ["a", "b", "c"] {
        bench.say(1, passing(text));
    }
    let questions: Vec<QuestionId> = (0..3).map(|_| asked(&mut bench).0).collect();
    bench.answer(questions[2], yes());
    bench.answer(questions[1], no());
    assert_eq!(bench.hear(2), []);
    bench.answer(questions[0], yes());
    let heard = bench.frames(2);
    let texts = heard.iter().flat_map(|frame| frame["messages"].as_array().unwrap()).map(|message| &message["text"]);
    assert_eq!(texts.collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(bench.hear(1), []);
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    for req in 0..300 {
        publish(&mut bench, "room", req);
    }
    assert_eq!(bench.questions.len(), 256);
    let refused = bench.frames(1);
    assert!(refused.len() == 44 && refused.iter().all(|error| error["code"] == "limit.rate"), "{}", refused.len());
}

#[test]
fn who_is_gone_is_not_answered_and_nothing_is_left() {
    let mut bench = bench(&[CalloutKind::Connect, CalloutKind::Subscribe, CalloutKind::Publish], OnFailure::Deny, true);
    bench.token("alice", everything("alice"));
    bench.hello(1, json!({"token": "alice"}));
    let connect = asked(&mut bench).0;
    bench.cut(1);
    bench.answer(connect, yes());
    assert_eq!(bench.node.stats().sessions, 0);
    bench.hello(1, json!({"token": "alice"}));
    let connect = asked(&mut bench).0;
    bench.answer(connect, yes());
    bench.hear(1);
    publish(&mut bench, "room", 1);
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 2}));
    let questions = [asked(&mut bench).0, asked(&mut bench).0];
    bench.cut(1);
    questions.into_iter().for_each(|question| bench.answer(question, yes()));
    assert!(bench.asked.is_empty());
    bench.pass(WITHIN_MS);
    let stats = bench.node.stats();
    assert_eq!((stats.questions, stats.channels, stats.sessions), (0, 0, 0));
    // A stop does not wait for what nobody waits for.
    bench.drain(0, 0);
    assert!(bench.drained);
}

#[test]
fn the_app_decides_who_reads_a_channel_in_place_of_the_token() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.token("alice", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    let subscribe = |bench: &mut Bench, presence: &str| {
        bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "presence": presence}));
        asked(bench)
    };
    let (question, body) = subscribe(&mut bench, "none");
    assert_eq!((&body["ask"], &body["channel"], &body["user"]), (&json!("subscribe"), &json!("room"), &json!("alice")));
    bench.answer(question, no());
    let denied = bench.frame(1);
    assert_eq!((&denied["code"], &denied["message"]), (&json!("channel.denied"), &json!("not today")));
    let question = subscribe(&mut bench, "watch").0;
    bench.answer(question, yes());
    assert_eq!(bench.frame(1)["code"], "channel.denied", "`presence` was not granted");
    let question = subscribe(&mut bench, "watch").0;
    bench.answer(question, Some(json!({"allow": true, "can": ["presence", "history"]})));
    assert_eq!(bench.frame(1)["t"], "subscribed");
    bench.say(1, json!({"t": "history", "channel": "room", "req": 2}));
    assert_eq!(bench.frame(1)["t"], "page");
    let question = {
        bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 3}));
        bench.hear(1);
        subscribe(&mut bench, "none").0
    };
    bench.answer(question, None);
    assert_eq!(answers(&mut bench), each(&[1], "app.unavailable"));
}

#[test]
fn what_is_allowed_for_a_while_is_not_asked_again_before_and_asked_again_after() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.join(1, "alice");
    let minute = Some(json!({"allow": true, "cache": 60}));
    let subscribe = json!({"t": "subscribe", "channel": "room", "req": 1});
    bench.say(1, subscribe.clone());
    let question = asked(&mut bench).0;
    bench.answer(question, minute);
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    bench.say(1, subscribe);
    assert!(bench.questions.is_empty());
    for _ in 0..3 {
        bench.pass(20_000);
        bench.say(1, json!({"t": "ping", "n": 1}));
    }
    bench.hear(1);
    let question = asked(&mut bench).0;
    bench.answer(question, None);
    bench.hear(1);
    // A backend that is down ends nothing that stands.
    bench.pass(6_000);
    let question = asked(&mut bench).0;
    bench.publish(1, "room", "a", "x");
    assert_eq!(offsets(&bench.frames(1)), [1]);
    bench.answer(question, no());
    let ended = bench.frame(1);
    assert_eq!((&ended["t"], &ended["code"]), (&json!("unsubscribed"), &json!("channel.denied")));
}

#[test]
fn a_subscription_that_is_taken_back_while_it_is_asked_about_does_not_come_about() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.join(1, "alice");
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    let question = asked(&mut bench).0;
    bench.hear(1);
    bench.answer(question, yes());
    assert_eq!((bench.hear(1), bench.node.stats().channels), (vec![], 0));
}

#[test]
fn the_app_decides_who_connects_and_what_is_said_meanwhile_waits() {
    let mut bench = bench(&[CalloutKind::Connect], OnFailure::Deny, false);
    bench.open(1, moorline_protocol::Codec::Json);
    let headers = vec![("cookie".to_owned(), "sid=1".to_owned())];
    bench.node.handle_facts(moorline_server::node::ConnId(1), Facts { address: Some("192.0.2.1".into()), headers });
    bench.say(1, json!({"t": "hello", "v": 1, "sdk": "test/1"}));
    bench.publish(1, "room", "a", "x");
    let (question, body) = asked(&mut bench);
    let expected = json!({"ask": "connect", "app": "default", "sdk": "test/1", "address": "192.0.2.1", "headers": {"cookie": "sid=1"}});
    assert_eq!(body, expected);
    assert_eq!(bench.hear(1), []);
    let grants = json!([{"match": "room", "can": ["publish"]}]);
    bench.answer(question, Some(json!({"allow": true, "user": "alice", "grants": grants, "expires": 1_700_000_600})));
    let frames = bench.frames(1);
    assert_eq!((&frames[0]["user"], &frames[0]["expires"]), (&json!("alice"), &json!(1_700_000_600_000_u64)));
    assert_eq!(frames[1]["t"], "published");
    bench.say(1, json!({"t": "auth", "req": 3, "token": "opaque"}));
    let (question, body) = asked(&mut bench);
    assert_eq!(body["token"], "opaque");
    bench.answer(question, Some(json!({"allow": true, "user": "bob"})));
    assert_eq!(bench.frame(1)["code"], "auth.invalid", "nobody becomes somebody else");
    // Revoking the user ends what the app let in before.
    let user = moorline_protocol::UserName::new("alice").unwrap();
    let revocation = Revocation::User { app: AppName::default_app(), user, issued_before: 1_700_000_100 };
    bench.command(Command::Revoke(revocation));
    bench.was_ended(1, "auth.revoked", 4503);
}

#[test]
fn who_is_not_let_in_hears_why_and_whether_to_come_back() {
    for (answer, code, close) in [
        (Some(json!({"allow": false})), "auth.invalid", 4502),
        (Some(json!({"allow": false, "code": "auth.expired"})), "auth.expired", 4100),
        (Some(json!({"allow": false, "code": "app.unavailable"})), "app.unavailable", 4002),
        (Some(json!({"allow": true, "user": "bob"})), "app.unavailable", 4002),
        (None, "app.unavailable", 4002),
    ] {
        let mut bench = bench(&[CalloutKind::Connect], OnFailure::Deny, true);
        bench.token("alice", everything("alice"));
        bench.hello(1, json!({"token": "alice"}));
        let question = asked(&mut bench).0;
        bench.answer(question, answer);
        bench.was_ended(1, code, close);
    }
    let mut bench = bench(&[CalloutKind::Connect], OnFailure::Allow, true);
    bench.token("alice", everything("alice"));
    bench.hello(1, json!({"token": "forged"}));
    bench.was_ended(1, "auth.invalid", 4502);
    assert!(bench.questions.is_empty(), "what is forged is not worth a question");
    bench.hello(1, json!({"token": "alice"}));
    bench.pass(WITHIN_MS);
    assert_eq!(bench.frame(1)["user"], "alice", "the token alone counts");
    bench.hello(2, json!({}));
    bench.pass(WITHIN_MS);
    bench.was_ended(2, "app.unavailable", 4002);
}

#[test]
fn the_question_of_a_publish_goes_with_its_connection() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Deny, true);
    bench.join(1, "alice");
    publish(&mut bench, "room", 1);
    publish(&mut bench, "room", 2);
    assert_eq!(bench.node.stats().questions, 2);
    bench.cut(1);
    assert_eq!(bench.node.stats().questions, 0);
    bench.drain(0, 0);
    assert!(bench.drained, "nobody waits for what they would have become");
}

#[test]
fn a_while_is_over_when_the_clock_says_so_whoever_has_looked() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.join(1, "alice");
    let subscribe = json!({"t": "subscribe", "channel": "room", "req": 1});
    bench.say(1, subscribe.clone());
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"allow": true, "cache": 60})));
    let mut again = |ms: i64| {
        bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
        bench.set_clock(ms);
        bench.say(1, subscribe.clone());
        bench.questions.len()
    };
    assert_eq!((again(59_999), again(1)), (0, 1));
}

#[test]
fn what_is_kept_of_answers_is_bounded_by_the_channels_of_a_connection() {
    let terms = Terms { id: CalloutId(0), within_ms: WITHIN_MS, on_failure: OnFailure::Deny, verifies: true };
    let mut bench = Bench::with(|config| {
        config.callouts = CalloutRules::new(vec![rule(&[CalloutKind::Subscribe], "room*", terms)]);
        config.max_channels = 3;
    });
    bench.join(1, "alice");
    let visit = |bench: &mut Bench, channel: &str, stays: bool| {
        bench.say(1, json!({"t": "subscribe", "channel": channel, "req": 1}));
        let question = bench.questions.pop_front();
        if let Some((question, ..)) = &question {
            bench.answer(*question, Some(json!({"allow": true, "cache": 60})));
        }
        if !stays {
            bench.say(1, json!({"t": "unsubscribe", "channel": channel, "req": 2}));
        }
        question.is_some()
    };
    assert!(visit(&mut bench, "room-stays", true));
    for channel in ["room-1", "room-2"] {
        assert!(visit(&mut bench, channel, false) && !visit(&mut bench, channel, false), "{channel}");
    }
    // One more than channels: those go that nothing rests on.
    assert!(visit(&mut bench, "room-3", false));
    assert!(visit(&mut bench, "room-1", false));
    bench.say(1, json!({"t": "unsubscribe", "channel": "room-stays", "req": 2}));
    assert!(!visit(&mut bench, "room-stays", false));
}

#[test]
fn an_answer_is_for_the_subscription_it_was_asked_for_and_no_later_one() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.join(1, "alice");
    bench.join(2, "bob");
    let subscribe = |bench: &mut Bench, conn: u32, req: u64| {
        bench.say(conn, json!({"t": "subscribe", "channel": "room", "req": req}));
        asked(bench).0
    };
    // The channel is there, whoever comes and goes.
    let bobs = subscribe(&mut bench, 2, 1);
    bench.answer(bobs, yes());
    let first = subscribe(&mut bench, 1, 1);
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    let second = subscribe(&mut bench, 1, 3);
    bench.hear(1);
    bench.slow_engine = true;
    bench.answer(first, no());
    bench.answer(first, yes());
    assert!(bench.hear(1).is_empty() && bench.asked.is_empty(), "it is nobody's");
    bench.slow_engine = false;
    bench.answer(second, yes());
    let subscribed = bench.frame(1);
    assert_eq!((&subscribed["t"], &subscribed["req"]), (&json!("subscribed"), &json!(3)));
    // The same, where the answer is yes.
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 4}));
    let third = subscribe(&mut bench, 1, 5);
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 6}));
    bench.hear(1);
    bench.slow_engine = true;
    bench.answer(third, yes());
    assert!(bench.hear(1).is_empty() && bench.asked.is_empty(), "nobody waits for it");
}
