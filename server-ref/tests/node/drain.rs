//! The graceful stop.

use moorline_protocol::Codec;
use moorline_server::engine::EngineError;
use serde_json::json;

use crate::bench::{Bench, Heard, is};

fn goaway() -> Heard {
    Heard::Frame(json!({"t": "goaway", "after": 500, "window": 3_000, "reason": "restart"}))
}

#[test]
fn everybody_is_told_and_closed() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.join(2, "bob");
    bench.open(3, Codec::Json);
    bench.drain(500, 3_000);
    assert_eq!(bench.hear(1), [goaway(), Heard::Closed(4000)]);
    assert_eq!(bench.hear(2), [goaway(), Heard::Closed(4000)]);
    // Who has not said hello has nothing to come back for in its own time.
    assert_eq!(bench.hear(3), [Heard::Closed(4000)]);
    assert!(bench.drained && bench.node.connections() == 0);
}

#[test]
fn publishes_under_way_are_answered_first() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    bench.publish(1, "room", "a", "under way");
    bench.drain(500, 3_000);
    assert_eq!(bench.hear(1), [goaway()]);
    bench.publish(1, "room", "b", "too late");
    let refused = bench.frame(1);
    assert_eq!((&refused["code"], &refused["retry"]), (&json!("storage.unavailable"), &json!(true)));
    assert!(refused["after"].is_u64() && !bench.drained, "{refused}");
    bench.engine();
    let heard = bench.hear(1);
    assert!(is(&heard[0], "published") && heard[1..] == [Heard::Closed(4000)] && bench.drained, "{heard:?}");
}

#[test]
fn a_refused_publish_is_an_answer_too() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    bench.publish(1, "room", "a", "under way");
    bench.drain(500, 3_000);
    bench.hear(1);
    bench.fail(EngineError::Full);
    bench.was_ended(1, "storage.full", 4000);
    assert!(bench.drained);
}

#[test]
fn a_log_that_does_not_answer_is_waited_for_five_seconds() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    bench.publish(1, "room", "a", "under way");
    bench.drain(500, 3_000);
    bench.pass(4_999);
    assert_eq!(bench.hear(1), [goaway()]);
    bench.pass(1);
    assert_eq!(bench.hear(1), [Heard::Closed(4000)]);
    assert!(bench.drained);
    // What comes after the end changes nothing.
    bench.engine();
    bench.pass(100_000);
    bench.drain(500, 3_000);
    assert_eq!(bench.hear(1), []);
}

#[test]
fn a_publisher_that_is_gone_is_waited_for_too() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    bench.publish(1, "room", "a", "under way");
    bench.node.handle_closed(moorline_server::node::ConnId(1), bench.now());
    bench.drain(500, 3_000);
    assert!(!bench.drained);
    bench.engine();
    assert!(bench.drained);
}

#[test]
fn newcomers_are_sent_away() {
    let mut bench = Bench::new();
    bench.join(1, "alice");
    bench.slow_engine = true;
    bench.hello(2, json!({"token": "alice"}));
    bench.publish(1, "room", "a", "under way");
    bench.drain(500, 3_000);
    assert_eq!(bench.hear(2), [Heard::Closed(4000)], "it was being let in");
    bench.hello(3, json!({"token": "alice"}));
    assert_eq!(bench.hear(3), [Heard::Closed(4000)]);
    bench.engine();
    assert!(bench.drained);
}
