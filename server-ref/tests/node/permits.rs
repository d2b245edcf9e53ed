//! What an app's backend allowed holds as long as it said, for what it said, and not after a no.

use bytes::Bytes;
use moorline_protocol::{
    AppName, ChannelName, ChannelRef, ClientFrame, Codec, ErrorCode, Hello, PresenceMode, ServerFrame, Subscribe,
    Unsubscribe,
};
use moorline_server::engine::{Command, Event, Reply, Revocation};
use moorline_server::node::{CalloutKind, CalloutRules, Claims, Grant, OnFailure, Permissions, QuestionId};
use serde_json::{Value, json};

use crate::bench::{Bench, everything};
use crate::callouts::{answers, asked, bench, no, rules, yes};
use crate::replaced::replaced_by;

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

/// Subscribes at this QoS, and is answered this where that is asked about; then unsubscribes if it was let in.
fn at(bench: &mut Bench, qos: u8, answer: Option<Value>) -> (bool, String) {
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "qos": qos}));
    let question = bench.questions.pop_front();
    if let Some((id, _, body)) = &question {
        assert_eq!(body["qos"], json!(qos));
        bench.answer(*id, answer);
    }
    let [(_, told)] = &answers(bench)[..] else { panic!("one answer") };
    if told == "subscribed" {
        bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
        assert_eq!(answers(bench), [(2, "unsubscribed".to_owned())]);
    }
    (question.is_some(), told.clone())
}

#[test]
fn a_permit_that_is_kept_is_none_for_a_higher_qos() {
    let yes = || Some(json!({"allow": true, "cache": 60}));
    let subscribed = |asked: bool| (asked, "subscribed".to_owned());
    for on_failure in [OnFailure::Deny, OnFailure::Allow] {
        let mut bench = bench(&[CalloutKind::Subscribe], on_failure, true);
        nobody(&mut bench);
        assert_eq!(at(&mut bench, 1, yes()), subscribed(true));
        assert_eq!(at(&mut bench, 0, no()), subscribed(false), "what is good for 1 is for 0");
        assert_eq!(at(&mut bench, 1, no()), subscribed(false), "and stays good for 1");
        assert_eq!(at(&mut bench, 2, no()), (true, "channel.denied".to_owned()));
        assert_eq!(at(&mut bench, 0, yes()), subscribed(true));
        assert_eq!(at(&mut bench, 1, no()), (true, "channel.denied".to_owned()));
        // No answer about more is not one about less.
        assert_eq!(at(&mut bench, 0, yes()), subscribed(true));
        let failed = if on_failure == OnFailure::Deny { "app.unavailable" } else { "channel.denied" };
        assert_eq!(at(&mut bench, 1, None), (true, failed.to_owned()));
    }
}

#[test]
fn a_permit_is_good_for_the_qos_that_was_asked_about_last() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    nobody(&mut bench);
    let yes = || Some(json!({"allow": true, "cache": 1}));
    assert_eq!(at(&mut bench, 1, yes()), (true, "subscribed".to_owned()));
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "qos": 0}));
    bench.hear(1);
    bench.pass(1_001);
    let (question, body) = asked(&mut bench);
    assert_eq!(body["qos"], 0);
    bench.answer(question, yes());
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    bench.hear(1);
    assert_eq!(at(&mut bench, 1, no()), (true, "channel.denied".to_owned()));
}

#[test]
fn a_question_about_a_higher_qos_takes_reading_alone_until_it_is_answered() {
    for (answer, told, reads) in [(None, "app.unavailable", "page"), (no(), "channel.denied", "error")] {
        let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
        nobody(&mut bench);
        let kept = || Some(json!({"allow": true, "can": ["history"], "cache": 60}));
        assert_eq!(at(&mut bench, 0, kept()), (true, "subscribed".to_owned()));
        bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "qos": 1}));
        let question = asked(&mut bench).0;
        assert_eq!(history(&mut bench)["t"], "page");
        bench.answer(question, answer);
        assert_eq!(answers(&mut bench), [(1, told.to_owned())]);
        assert_eq!(history(&mut bench)["t"], reads);
        assert_eq!(at(&mut bench, 0, no()), (true, "channel.denied".to_owned()), "reading was taken for good");
    }
}

/// A permit for QoS 0 that is asked about again, and a subscription at QoS 1 that is asked about beside it.
fn renewed_beside_a_question(on_failure: OnFailure) -> (Bench, QuestionId, QuestionId) {
    let mut bench = bench(&[CalloutKind::Subscribe], on_failure, true);
    nobody(&mut bench);
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "qos": 0}));
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"allow": true, "can": ["history"], "cache": 1})));
    bench.pass(1_001);
    let (late, body) = asked(&mut bench);
    assert_eq!(body["qos"], 0);
    bench.say(1, json!({"t": "unsubscribe", "channel": "room", "req": 2}));
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 3, "qos": 1}));
    let (question, body) = asked(&mut bench);
    assert_eq!(body["qos"], 1);
    bench.hear(1);
    (bench, late, question)
}

#[test]
fn a_renewal_that_is_answered_beside_a_question_about_a_higher_qos_is_none() {
    for answer in [Some(json!({"allow": true, "cache": 60})), no()] {
        let (mut bench, late, question) = renewed_beside_a_question(OnFailure::Allow);
        bench.answer(late, answer);
        assert_eq!(history(&mut bench)["t"], "page", "it is what it was");
        bench.answer(question, None);
        assert_eq!(answers(&mut bench), [(3, "channel.denied".to_owned())], "nothing allows it");
        // What is left of the permit is not for ever.
        bench.pass(5_001);
        assert_eq!(history(&mut bench)["code"], "channel.denied");
    }
}

#[test]
fn a_late_renewal_does_not_override_a_newer_answer() {
    for answer in [Some(json!({"allow": true, "cache": 60})), no(), None] {
        let (mut bench, late, question) = renewed_beside_a_question(OnFailure::Deny);
        bench.answer(question, Some(json!({"allow": true, "cache": 1})));
        assert_eq!(answers(&mut bench), [(3, "subscribed".to_owned())]);
        bench.answer(late, answer.clone());
        assert_eq!(bench.hear(1), []);
        bench.pass(1_001);
        let newest = asked(&mut bench).0;
        bench.answer(newest, no());
        assert_eq!(bench.frame(1)["t"], "unsubscribed", "late: {answer:?}");
    }
}

#[test]
fn a_late_renewal_is_not_the_answer_to_a_newer_one() {
    for answer in [Some(json!({"allow": true, "cache": 60})), no(), None] {
        let (mut bench, late, question) = renewed_beside_a_question(OnFailure::Deny);
        bench.answer(question, Some(json!({"allow": true, "cache": 1})));
        assert_eq!(answers(&mut bench), [(3, "subscribed".to_owned())]);
        bench.pass(1_001);
        let newest = asked(&mut bench).0;
        bench.answer(late, answer.clone());
        assert_eq!(bench.hear(1), [], "late: {answer:?}");
        bench.answer(newest, no());
        assert_eq!(bench.frame(1)["t"], "unsubscribed", "late: {answer:?}");
    }
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

/// A subscription that its call-out's failure let through, while the engine opens it.
fn let_through_by_a_failure(claims: Claims) -> Bench {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Allow, true);
    bench.token("alice", claims);
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    bench.slow_engine = true;
    subscribe(&mut bench, "none");
    let question = asked(&mut bench).0;
    bench.answer(question, None);
    bench
}

#[test]
fn a_grant_lost_while_a_channel_opens_counts_where_a_failure_let_it_through() {
    let mut bench = let_through_by_a_failure(everything("alice"));
    bench.token("poorer", Claims { grants: Vec::new(), ..everything("alice") });
    bench.say(1, json!({"t": "auth", "req": 2, "token": "poorer"}));
    bench.engine();
    assert_eq!(answers(&mut bench), [(2, "authed".to_owned()), (1, "channel.denied".to_owned())]);
}

#[test]
fn a_channels_token_revoked_while_it_opens_counts_where_a_failure_let_it_through() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Allow, true);
    nobody(&mut bench);
    bench.token("own", Claims { id: Some("own".into()), ..everything("alice") });
    bench.slow_engine = true;
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "token": "own"}));
    let question = asked(&mut bench).0;
    bench.answer(question, None);
    // The revocation is told before the channel is open.
    bench.reply(Reply::Event(Event::Revoked(Revocation::Token { app: AppName::default_app(), jti: "own".into() })));
    bench.engine();
    assert_eq!(answers(&mut bench), [(1, "channel.denied".to_owned())]);
}

#[test]
fn what_the_app_still_decides_about_is_not_held_against_the_token() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    nobody(&mut bench);
    subscribe(&mut bench, "none");
    bench.token("other", Claims { grants: Vec::new(), ..everything("alice") });
    bench.say(1, json!({"t": "auth", "req": 2, "token": "other"}));
    assert_eq!(answers(&mut bench), [(2, "authed".to_owned())]);
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    assert_eq!(bench.frame(1)["t"], "subscribed");
}

#[test]
fn nobody_is_a_member_of_a_channel_that_the_app_still_decides_about() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    let sees = Grant { pattern: "*".into(), can: Permissions::PRESENCE };
    bench.token("alice", Claims { grants: vec![sees], ..everything("alice") });
    bench.hello(1, json!({"token": "alice"}));
    bench.hear(1);
    subscribe(&mut bench, "none");
    bench.say(1, json!({"t": "presence", "channel": "room", "req": 2, "op": "enter"}));
    let early = bench.frame(1);
    let told = (&early["req"], &early["code"], &early["retry"], &early["after"]);
    assert_eq!(told, (&json!(2), &json!("app.unavailable"), &json!(true), &json!(500)));
    let question = asked(&mut bench).0;
    bench.answer(question, no());
    assert_eq!(answers(&mut bench), [(1, "channel.denied".to_owned())]);
}

#[test]
fn no_cursor_is_made_in_a_channel_that_the_app_still_decides_about() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.join(2, "bob");
    bench.say(2, json!({"t": "subscribe", "channel": "room", "req": 1}));
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    let epoch = bench.frame(2)["epoch"].clone();
    bench.token("alice", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(1, json!({"token": "alice", "device": "device-0123456789"}));
    bench.hear(1);
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1, "durable": true, "since": {"cursor": null}}));
    bench.slow_engine = true;
    bench.say(1, json!({"t": "ack", "channel": "room", "epoch": epoch, "offset": 0}));
    assert!(bench.asked.is_empty(), "{:?}", bench.asked);
    assert_eq!(bench.frame(1)["code"], "channel.not_subscribed");
}

#[test]
fn a_connection_asks_as_often_as_it_may_have_channels_and_then_as_it_may_publish() {
    let mut bench = Bench::with(|config| {
        config.callouts = replaced_by(0);
        (config.max_channels, config.publish_rate, config.publish_burst) = (4, Some(2), 1);
    });
    nobody(&mut bench);
    let subscribes = |bench: &mut Bench, req: u64| {
        bench.say(1, json!({"t": "subscribe", "channel": format!("room{req}"), "req": req}));
    };
    for req in 0..4 {
        subscribes(&mut bench, req);
        let question = asked(&mut bench).0;
        bench.answer(question, no());
        assert_eq!(answers(&mut bench), [(req, "channel.denied".to_owned())]);
    }
    subscribes(&mut bench, 4);
    let refused = bench.frame(1);
    let told = (&refused["req"], &refused["code"], &refused["retry"], &refused["after"]);
    assert_eq!(told, (&json!(4), &json!("limit.rate"), &json!(true), &json!(500)));
    assert!(bench.questions.is_empty(), "nobody is asked");
    // Publishing has not been used up by it, and what nobody decides about is no question.
    bench.say(1, json!({"t": "subscribe", "channel": "@me", "req": 5}));
    assert_eq!(bench.frame(1)["t"], "subscribed");
    bench.pass(500);
    subscribes(&mut bench, 6);
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    assert_eq!(answers(&mut bench), [(6, "subscribed".to_owned())]);
}

#[test]
fn new_tokens_count_as_questions() {
    let mut bench = Bench::with(|config| {
        config.callouts = rules(&[CalloutKind::Connect], OnFailure::Deny, true);
        (config.max_channels, config.publish_rate, config.publish_burst) = (1, Some(2), 2);
    });
    bench.token("alice", everything("alice"));
    bench.hello(1, json!({"token": "alice"}));
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    bench.hear(1);
    for req in 0..2 {
        bench.say(1, json!({"t": "auth", "req": req, "token": "alice"}));
        let question = asked(&mut bench).0;
        bench.answer(question, yes());
        assert_eq!(answers(&mut bench), [(req, "authed".to_owned())]);
    }
    for _ in 0..2 {
        bench.say(1, json!({"t": "auth", "req": 3, "token": "alice"}));
        let refused = bench.frame(1);
        assert_eq!((&refused["code"], &refused["after"]), (&json!("limit.rate"), &json!(500)));
    }
    assert!(bench.questions.is_empty(), "nobody is asked");
    bench.pass(500);
    bench.say(1, json!({"t": "auth", "req": 4, "token": "alice"}));
    let question = asked(&mut bench).0;
    bench.answer(question, yes());
    assert_eq!(answers(&mut bench), [(4, "authed".to_owned())]);
}

#[test]
fn a_state_that_is_no_json_is_refused_in_the_binary_form_too_where_a_permit_is_kept() {
    let mut bench = bench(&[CalloutKind::Subscribe], OnFailure::Deny, true);
    bench.token("alice", Claims { grants: Vec::new(), ..everything("alice") });
    bench.open(1, Codec::Binary);
    let hello = Hello { v: 1, token: Some("alice".into()), ..Hello::default() };
    bench.say_binary(1, &ClientFrame::Hello(hello));
    let subscribe = |bench: &mut Bench, req: u64, state: Option<&'static [u8]>| {
        let channel = ChannelName::new("room").unwrap();
        let state = state.map(Bytes::from_static);
        let subscribe = Subscribe { presence: PresenceMode::Join, state, ..Subscribe::new(req, channel) };
        bench.say_binary(1, &ClientFrame::Subscribe(subscribe));
    };
    subscribe(&mut bench, 1, Some(b"{}"));
    let question = asked(&mut bench).0;
    bench.answer(question, Some(json!({"allow": true, "can": ["presence"], "cache": 60})));
    let leaves = Unsubscribe { channel: ChannelRef::Name(ChannelName::new("room").unwrap()), forget: false, req: 2 };
    bench.say_binary(1, &ClientFrame::Unsubscribe(leaves));
    bench.binary_frames(1);
    subscribe(&mut bench, 3, Some(b"{oops"));
    assert!(bench.questions.is_empty());
    let frames = bench.binary_frames(1);
    let [ServerFrame::Error(error)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((error.req, &error.code), (Some(3), &ErrorCode::RequestMalformed));
    subscribe(&mut bench, 4, Some(b"{}"));
    assert!(matches!(&bench.binary_frames(1)[..], [ServerFrame::Subscribed(_), ..]));
}

#[test]
fn a_grant_lost_while_the_app_is_asked_about_a_publish_counts() {
    let mut bench = bench(&[CalloutKind::Publish], OnFailure::Allow, true);
    bench.join(2, "bob");
    bench.say(2, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.hear(2);
    bench.token("alice", everything("alice"));
    bench.token("poorer", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(1, json!({"token": "alice", "device": "device-0123456789", "producer": "new"}));
    let generation = bench.frame(1)["producer"]["gen"].clone();
    for (qos, req) in [(0, 1), (1, 2), (2, 3)] {
        let publish = json!({"t": "publish", "channel": "room", "qos": qos, "req": req, "id": format!("id-{req}"),
            "text": "x"});
        let mut publish = publish;
        if qos == 2 {
            (publish["seq"], publish["gen"]) = (json!(1), generation.clone());
        }
        bench.say(1, publish);
    }
    let questions = [(); 3].map(|()| asked(&mut bench).0);
    bench.say(1, json!({"t": "auth", "req": 9, "token": "poorer"}));
    assert_eq!(answers(&mut bench), [(9, "authed".to_owned())]);
    bench.answer(questions[0], yes());
    bench.answer(questions[1], None);
    bench.answer(questions[2], yes());
    assert_eq!(answers(&mut bench), [1, 2, 3].map(|req| (req, "channel.denied".to_owned())));
    assert_eq!(bench.hear(2), []);
}
