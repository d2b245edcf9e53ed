//! What a page shows, and where it ends.

use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRule, RetentionRules};
use moorline_server::node::{Claims, Permissions};
use serde_json::{Value, json};

use crate::bench::{Bench, everything, grant, offsets};

/// Alice reads a channel in which bob has published three messages.
fn reading() -> Bench {
    let mut bench = Bench::new();
    bench.join(9, "bob");
    for id in ["1", "2", "3"] {
        bench.publish(9, "room", id, "hello");
    }
    bench.join(1, "alice");
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.hear(1);
    bench
}

fn rewind(bench: &mut Bench, after: u64) {
    bench.say(1, json!({"t": "more", "channel": "room", "after": after, "rewind": true}));
}

/// Returns the offsets of a page, and whether it is the last one.
fn page(frame: &Value) -> (Vec<u64>, bool) {
    assert_eq!((&frame["t"], &frame["replay"]), (&json!("deliver"), &json!(true)), "{frame}");
    (offsets(std::slice::from_ref(frame)), frame["more"] == false)
}

#[test]
fn a_page_ends_where_the_hub_has_fanned_out() {
    let mut bench = reading();
    bench.slow_engine = true;
    bench.publish(9, "room", "4", "read before it is fanned out");
    rewind(&mut bench, 1);
    let behind = bench.read_ahead();
    assert_eq!(page(&bench.frame(1)), (vec![2, 3], true));
    behind.into_iter().for_each(|reply| bench.reply(reply));
    let live = bench.frame(1);
    assert_eq!((offsets(std::slice::from_ref(&live)), &live["replay"]), (vec![4], &json!(null)));
}

#[test]
fn the_last_page_says_how_far_it_reaches_if_the_newest_have_expired() {
    let mut bench = reading();
    for (id, ttl) in [("4", 1), ("5", 1)] {
        bench.say(9, json!({"t": "publish", "channel": "room", "req": 1, "id": id, "text": "soon gone", "ttl": ttl}));
    }
    assert_eq!(offsets(&bench.frames(1)), [4, 5]);
    rewind(&mut bench, 1);
    let whole = bench.frame(1);
    assert_eq!((page(&whole), &whole["at"]), ((vec![2, 3, 4, 5], true), &json!(null)), "the last message says it");
    bench.pass(1_000);
    rewind(&mut bench, 1);
    let rest = bench.frame(1);
    assert_eq!((page(&rest), &rest["at"]), ((vec![2, 3], true), &json!(5)));
    rewind(&mut bench, 3);
    let nothing = bench.frame(1);
    assert_eq!((page(&nothing), &nothing["at"]), ((vec![], true), &json!(5)), "and without any message, too");
}

#[test]
fn who_may_subscribe_may_have_what_was_missed() {
    let mut bench = reading();
    let grants = vec![grant("room", Permissions::SUBSCRIBE)];
    bench.token("carol", Claims { grants, ..everything("carol") });
    bench.hello(2, json!({"token": "carol"}));
    bench.hear(2);
    bench.say(2, json!({"t": "history", "channel": "room", "req": 1}));
    assert_eq!(bench.frame(2)["code"], "channel.denied", "a grant of its own");
    for (since, missed) in
        [(json!({"first": true}), vec![1, 2, 3]), (json!({"last": 2}), vec![2, 3]), (json!({"time": 0}), vec![1, 2, 3])]
    {
        bench.say(2, json!({"t": "subscribe", "channel": "room", "req": 2, "since": since}));
        let heard = bench.frames(2);
        assert_eq!((&heard[0]["start"], offsets(&heard)), (&json!("replay"), missed), "{since}");
        bench.say(2, json!({"t": "unsubscribe", "channel": "room", "req": 3}));
        bench.hear(2);
    }
}

#[test]
fn a_rewind_that_crosses_a_reset_does_not_undo_it() {
    let mut bench = Bench::new();
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: Some(3) };
    let config = CoreConfig { retention: RetentionRules::new(vec![rule]), ..CoreConfig::new("bench000") };
    bench.core = EngineCore::new(config, MemoryStore::default());
    let now = bench.now().unix;
    bench.core.begin(false, now);
    bench.join(9, "bob");
    bench.join(1, "alice");
    bench.say(1, json!({"t": "subscribe", "channel": "room", "req": 1}));
    bench.say(1, json!({"t": "pause", "channel": "room"}));
    bench.hear(1);
    for n in 1..=8 {
        bench.publish(9, "room", &n.to_string(), "hello");
    }
    bench.core.expire(now);
    bench.say(1, json!({"t": "more", "channel": "room", "after": 0}));
    let told = bench.frames(1);
    assert_eq!((&told[0]["t"], &told[0]["from"], offsets(&told[1..])), (&json!("reset"), &json!(5), vec![6, 7, 8]));
    // Alice had lost her way before the reset came, and asked for what was before it.
    rewind(&mut bench, 0);
    assert_eq!(bench.frames(1), Vec::<Value>::new());
    bench.publish(9, "room", "9", "goes on");
    assert_eq!(offsets(&bench.frames(1)), [9]);
    // One that is sent after it counts, and so does what else a late one says.
    rewind(&mut bench, 7);
    assert_eq!(offsets(&bench.frames(1)), [8, 9]);
    bench.say(1, json!({"t": "pause", "channel": "room"}));
    bench.publish(9, "room", "10", "waits");
    assert_eq!(bench.frames(1), Vec::<Value>::new());
    rewind(&mut bench, 0);
    assert_eq!(offsets(&bench.frames(1)), [10], "it ends a pause");
}
