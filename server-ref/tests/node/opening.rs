//! Subscriptions that are not open yet.

use moorline_server::node::{Claims, Permissions};
use serde_json::json;

use crate::bench::{Bench, everything, grant, is, offsets};

#[test]
fn a_grant_lost_while_a_channel_opens_is_an_answer() {
    let mut bench = Bench::new();
    let only = |channel| Claims { grants: vec![grant(channel, Permissions::ALL)], ..everything("alice") };
    bench.token("before", only("room"));
    bench.token("after", only("other"));
    bench.hello(1, json!({"token": "before"}));
    bench.hear(1);
    bench.slow_engine = true;
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 7}));
    bench.say(1, json!({"t": "auth", "req": 8, "token": "after"}));
    bench.engine();
    let frames = bench.frames(1);
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert_eq!((&frames[0]["t"], &frames[0]["req"]), (&json!("authed"), &json!(8)));
    assert_eq!((&frames[1]["t"], &frames[1]["req"]), (&json!("error"), &json!(7)));
    assert_eq!((&frames[1]["code"], &frames[1]["channel"]), (&json!("channel.denied"), &json!("room")));
}

#[test]
fn a_connection_that_ends_while_it_attaches_leaves_nothing() {
    let mut bench = Bench::new();
    bench.token("alice", everything("alice"));
    bench.slow_engine = true;
    let hello = |boot: u32| {
        let subscribe = json!([{"channel": "room", "req": 1}]);
        json!({"token": "alice", "device": "device-0123456789", "run": [boot, 1], "subscribe": subscribe})
    };
    bench.hello(1, hello(2));
    bench.cut(1);
    bench.engine();
    assert_eq!((bench.core.stats().sessions, bench.hear(1)), (0, vec![]));
    // An earlier process of the device may come: nobody stands in its way.
    bench.slow_engine = false;
    bench.hello(2, hello(1));
    assert!(bench.hear(2).iter().any(|heard| is(heard, "welcome")));
    assert_eq!(bench.core.stats().sessions, 1);
}

#[test]
fn channels_named_in_hello_need_their_grants() {
    let mut bench = Bench::new();
    let grants = vec![grant("a", Permissions::SUBSCRIBE), grant("b", Permissions::PUBLISH.union(Permissions::HISTORY))];
    bench.join(9, "bob");
    for channel in ["a", "b"] {
        bench.publish(9, channel, "1", "for those who may");
    }
    bench.token("alice", Claims { grants, ..everything("alice") });
    // She resumes both, as if she had read both before.
    let resume = |channel, req| json!({"channel": channel, "req": req, "since": {"first": true}});
    bench.hello(1, json!({"token": "alice", "subscribe": [resume("a", 1), resume("b", 2)]}));
    let heard = bench.frames(1);
    let denied: Vec<_> = heard.iter().filter(|frame| frame["t"] == "error").collect();
    assert_eq!(denied.len(), 1, "{heard:?}");
    assert_eq!((&denied[0]["req"], &denied[0]["code"]), (&json!(2), &json!("channel.denied")));
    assert_eq!(offsets(&heard), [1]);
    bench.publish(9, "b", "2", "still not hers");
    assert_eq!(bench.hear(1), []);
    // A token that grants less than the one before is held against them again.
    bench.token("narrow", Claims { grants: Vec::new(), ..everything("alice") });
    bench.hello(2, json!({"token": "narrow", "subscribe": [resume("a", 1)]}));
    let heard = bench.frames(2);
    assert!(heard.iter().any(|frame| frame["req"] == 1 && frame["code"] == "channel.denied"), "{heard:?}");
    assert_eq!(offsets(&heard), Vec::<u64>::new());
}

#[test]
fn a_welcome_says_what_the_server_wants() {
    let mut bench = Bench::with(|config| {
        (config.spread_ms, config.max_message, config.max_channels, config.ping_ms) = (7_000, 9_000, 11, 13_000);
    });
    bench.hello(1, json!({}));
    let welcome = bench.frame(1);
    let limits = json!({"message": 9_000, "channels": 11, "window": 32, "spread": 7_000});
    assert_eq!((&welcome["limits"], &welcome["ping"]), (&limits, &json!(13_000)));
}
