//! Subscriptions that are not open yet.

use moorline_server::node::{Claims, Permissions};
use serde_json::json;

use crate::bench::{Bench, everything, grant};

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
