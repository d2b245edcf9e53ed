//! Live, behind, paused, and back: every message once and in order, whatever the pace.

use moorline_protocol::{
    AppName, ChannelName, ClientFrame, Codec, Epoch, Hello, History, HistoryRange, Message, Offset, Payload,
    ServerFrame,
};
use moorline_server::engine::{ChannelKey, Command, EngineError, Event, Reply, Stored};
use moorline_server::node::{ConnId, Pressure};
use proptest::prelude::*;
use serde_json::json;

use crate::bench::{Bench, Heard, START, everything, offsets};

/// A bench where bob has published so many messages to a channel.
fn with_messages(channels: &[&str], count: u64) -> Bench {
    let mut bench = Bench::new();
    bench.join(9, "bob");
    for channel in channels {
        for n in 1..=count {
            bench.publish(9, channel, &n.to_string(), "hello");
        }
    }
    bench.hear(9);
    bench
}

/// Alice reads a channel, from now.
fn subscribe(bench: &mut Bench, channel: &str, qos: u8) {
    bench.say(1, json!({"t": "subscribe", "channel": channel, "req": 1, "qos": qos}));
    let subscribed = bench.frame(1);
    assert_eq!((&subscribed["t"], &subscribed["start"]), (&json!("subscribed"), &json!("live")), "{subscribed}");
}

fn more(bench: &mut Bench, channel: &str, after: u64, rewind: bool) {
    bench.say(1, json!({"t": "more", "channel": channel, "after": after, "rewind": rewind}));
}

#[test]
fn live_under_pressure_is_behind_until_the_pressure_is_gone() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    bench.publish(9, "room", "6", "live");
    assert_eq!(offsets(&bench.frames(1)), [6]);
    bench.pressure(1, Pressure::Elevated);
    bench.publish(9, "room", "7", "still live");
    assert_eq!(offsets(&bench.frames(1)), [7]);
    bench.pressure(1, Pressure::High);
    bench.publish(9, "room", "8", "behind");
    bench.pressure(1, Pressure::Full);
    bench.pressure(1, Pressure::Elevated);
    bench.publish(9, "room", "9", "behind");
    assert_eq!(bench.hear(1), []);
    bench.pressure(1, Pressure::Low);
    let page = bench.frame(1);
    assert_eq!((offsets(std::slice::from_ref(&page)), &page["replay"]), (vec![8, 9], &json!(true)));
    assert_eq!(page["more"], false, "the last page");
    bench.publish(9, "room", "10", "live again");
    let live = bench.frame(1);
    assert_eq!((offsets(std::slice::from_ref(&live)), &live["replay"]), (vec![10], &json!(null)));
}

#[test]
fn who_falls_behind_while_nothing_happens_is_live_again_without_a_word() {
    let mut bench = with_messages(&["room"], 1);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    bench.pressure(1, Pressure::High);
    bench.pressure(1, Pressure::Low);
    assert_eq!(bench.hear(1), []);
    bench.publish(9, "room", "2", "live");
    assert_eq!(offsets(&bench.frames(1)), [2]);
}

#[test]
fn two_pages_may_be_unconfirmed() {
    let mut bench = with_messages(&["room"], 1_000);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    more(&mut bench, "room", 0, true);
    let pages = bench.frames(1);
    assert_eq!((pages.len(), offsets(&pages)), (2, (1..=512).collect()));
    assert!(pages.iter().all(|page| page["more"] == true && page["replay"] == true));
    // A part of a page confirms nothing, and confirming twice confirms once.
    more(&mut bench, "room", 255, false);
    assert_eq!(bench.hear(1), []);
    more(&mut bench, "room", 256, false);
    more(&mut bench, "room", 256, false);
    let pages = bench.frames(1);
    assert_eq!((pages.len(), offsets(&pages)), (1, (513..=768).collect()));
    // An old confirmation never moves the reader back.
    more(&mut bench, "room", 1, false);
    assert_eq!(bench.hear(1), []);
    more(&mut bench, "room", 768, false);
    let pages = bench.frames(1);
    assert_eq!((pages.len(), offsets(&pages)), (1, (769..=1_000).collect()));
    assert_eq!(pages[0]["more"], false);
    // The last page needs no confirmation.
    bench.publish(9, "room", "last", "live");
    assert_eq!(offsets(&bench.frames(1)), [1_001]);
}

#[test]
fn a_pause_holds_everything_until_more() {
    let mut bench = with_messages(&["room"], 3);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    bench.say(1, json!({"t": "pause", "channel": "room"}));
    bench.say(1, json!({"t": "pause", "channel": "room"}));
    bench.publish(9, "room", "4", "held");
    bench.publish(9, "room", "5", "held");
    assert_eq!(bench.hear(1), []);
    more(&mut bench, "room", 3, false);
    assert_eq!(offsets(&bench.frames(1)), [4, 5]);
    bench.publish(9, "room", "6", "live");
    assert_eq!(offsets(&bench.frames(1)), [6]);
}

#[test]
fn a_page_that_was_read_when_the_pause_came_is_read_again_after_it() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    // Both in one message: the page is asked for, and the pause comes before it.
    let rewind = json!({"t": "more", "channel": "room", "after": 2, "rewind": true});
    let pause = json!({"t": "pause", "channel": "room"});
    bench.bytes(1, format!("{rewind}\n{pause}").into());
    assert_eq!(bench.hear(1), [], "a pause holds everything");
    more(&mut bench, "room", 2, false);
    assert_eq!(offsets(&bench.frames(1)), [3, 4, 5]);
}

#[test]
fn a_rewind_begins_again_after_the_position() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    more(&mut bench, "room", 2, true);
    assert_eq!(offsets(&bench.frames(1)), [3, 4, 5]);
    // Without `rewind`, `more` on a live subscription is nothing.
    more(&mut bench, "room", 2, false);
    assert_eq!(bench.hear(1), []);
    bench.say(1, json!({"t": "more", "channel": "room", "after": 2, "rewind": true, "epoch": "another"}));
    assert_eq!(bench.hear(1), []);
    // Past the end is the end.
    more(&mut bench, "room", 1_000, true);
    bench.hear(1);
    bench.publish(9, "room", "6", "live");
    assert_eq!(offsets(&bench.frames(1)), [6]);
}

#[test]
fn what_level_0_misses_is_counted_and_told() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 0);
    bench.pressure(1, Pressure::High);
    for n in 6..9 {
        bench.publish(9, "room", &n.to_string(), "dropped");
    }
    bench.say(9, json!({"t": "publish", "channel": "room", "qos": 0, "text": "dropped"}));
    bench.pressure(1, Pressure::Full);
    bench.pressure(1, Pressure::Elevated);
    assert_eq!(bench.hear(1), []);
    bench.pressure(1, Pressure::Low);
    assert_eq!(bench.frame(1), json!({"t": "dropped", "channel": "room", "count": 4}));
    bench.publish(9, "room", "9", "live");
    assert_eq!(offsets(&bench.frames(1)), [9]);
}

#[test]
fn level_0_is_live_only_also_after_a_pause_or_a_rewind() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 0);
    more(&mut bench, "room", 0, true);
    assert_eq!(bench.hear(1), []);
    bench.say(1, json!({"t": "pause", "channel": "room"}));
    bench.publish(9, "room", "6", "missed");
    // Pressure that comes and goes does not end a pause.
    bench.pressure(1, Pressure::High);
    bench.pressure(1, Pressure::Low);
    assert_eq!(bench.hear(1), []);
    more(&mut bench, "room", 5, false);
    assert_eq!(bench.frame(1), json!({"t": "dropped", "channel": "room", "count": 1}));
    bench.publish(9, "room", "7", "live");
    assert_eq!(offsets(&bench.frames(1)), [7]);
}

#[test]
fn an_ephemeral_message_reaches_those_who_are_live() {
    let mut bench = with_messages(&["room"], 1);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    bench.say(9, json!({"t": "publish", "channel": "room", "qos": 0, "text": "now"}));
    assert_eq!(bench.frame(1)["messages"][0]["text"], "now");
    bench.say(1, json!({"t": "pause", "channel": "room"}));
    bench.say(9, json!({"t": "publish", "channel": "room", "qos": 0, "text": "gone"}));
    more(&mut bench, "room", 1, false);
    bench.publish(9, "room", "2", "stored");
    assert_eq!(offsets(&bench.frames(1)), [2]);
}

#[test]
fn readers_take_turns() {
    let channels = ["a", "b", "c", "d", "e", "f", "g"];
    let mut bench = with_messages(&channels, 1_500);
    bench.join(1, "alice");
    for channel in channels {
        subscribe(&mut bench, channel, 1);
    }
    bench.slow_engine = true;
    let mut pages = vec![0_i32; channels.len()];
    for channel in channels {
        more(&mut bench, channel, 0, true);
    }
    for _ in 0..channels.len() * 3 {
        let Some((_, Command::Read(read))) = bench.asked.front() else { panic!("{:?}", bench.asked) };
        let at = channels.iter().position(|channel| *channel == read.channel.name.as_str()).unwrap();
        pages[at] += 1;
        assert!(pages.iter().max().unwrap() - pages.iter().min().unwrap() <= 1, "{pages:?}");
        bench.engine_once();
        // Each page is confirmed as it comes, by a client that is fastest on the first channels.
        for page in bench.frames(1) {
            let last = *offsets(std::slice::from_ref(&page)).last().unwrap();
            more(&mut bench, page["channel"].as_str().unwrap(), last, false);
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_ends_the_connection() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    subscribe(&mut bench, "room", 1);
    bench.slow_engine = true;
    more(&mut bench, "room", 2, true);
    bench.fail(EngineError::Unavailable);
    // The client comes back and resumes; a subscription that waits for ever helps nobody.
    bench.was_ended(1, "storage.unavailable", 4003);
}

#[test]
fn history_queries_wait_for_one_another() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    bench.slow_engine = true;
    let query = |n: u32| json!({"t": "history", "channel": "room", "req": n}).to_string();
    let all: Vec<String> = (0..1_000).map(query).collect();
    bench.bytes(1, all.join("\n").into());
    assert!(bench.asked.len() <= 4, "{} reads at once", bench.asked.len());
    let refused = bench.frames(1);
    assert!(refused.iter().all(|error| error["code"] == "limit.rate" && error["after"].is_u64()), "{refused:?}");
    bench.slow_engine = false;
    bench.engine();
    let answered: Vec<u64> = bench.frames(1).iter().map(|page| page["req"].as_u64().unwrap()).collect();
    assert_eq!(answered, (0..answered.len() as u64).collect::<Vec<_>>());
    assert_eq!((answered.len() + refused.len(), answered.len() >= 256), (1_000, true));
}

#[test]
fn history_queries_wait_while_the_client_does_not_read() {
    let mut bench = with_messages(&["room"], 5);
    bench.join(1, "alice");
    bench.pressure(1, Pressure::Elevated);
    for n in 0..10 {
        bench.say(1, json!({"t": "history", "channel": "room", "req": n}));
    }
    assert_eq!(bench.hear(1), []);
    bench.pressure(1, Pressure::Low);
    assert_eq!(bench.frames(1).len(), 10);
}

#[test]
fn a_number_means_something_only_to_its_subscribers() {
    let mut bench = with_messages(&[], 0);
    // Somewhere on this node somebody reads a channel whose name nobody else is to know.
    bench.say(9, json!({"t": "subscribe", "channel": "merger-with-acme", "req": 1}));
    bench.token("alice", everything("alice"));
    bench.open(1, Codec::Binary);
    let mut message = Vec::new();
    let hello = Hello { v: 1, token: Some("alice".into()), ..Hello::default() };
    Codec::Binary.encode_client(&ClientFrame::Hello(hello), &mut message);
    bench.bytes(1, message.into());
    bench.hear(1);
    for number in 1..10 {
        let channel = moorline_protocol::ChannelRef::Number(moorline_protocol::ChannelNumber(number));
        let history = History { req: 1, channel, range: HistoryRange::Newest, limit: None };
        let mut message = Vec::new();
        Codec::Binary.encode_client(&ClientFrame::History(history), &mut message);
        bench.bytes(1, message.into());
        for heard in bench.hear(1) {
            let Heard::Binary(message) = heard else { panic!("{heard:?}") };
            let frame = Codec::Binary.decode_server(&mut message.clone()).unwrap();
            let Some(moorline_protocol::Decoded::Frame(ServerFrame::Error(error))) = frame else { panic!("{frame:?}") };
            assert!(!error.message.contains("acme") && error.channel.is_none(), "{error:?}");
        }
    }
}

#[test]
fn a_new_epoch_is_told_to_everybody_in_its_own_state() {
    let mut bench = with_messages(&["room"], 3);
    for (conn, user) in [(1, "alice"), (2, "carol"), (3, "dave"), (4, "erin")] {
        bench.join(conn, user);
        bench.slow_engine = conn == 4;
        bench.say(conn, json!({"t": "subscribe", "channel": "room", "req": 1}));
    }
    bench.say(2, json!({"t": "pause", "channel": "room"}));
    bench.pressure(3, Pressure::High);
    (1..5).for_each(|conn| drop(bench.hear(conn)));
    let key = ChannelKey { app: AppName::default_app(), name: ChannelName::new("room").unwrap() };
    let epoch = Epoch::new("another").unwrap();
    bench.reply(Reply::Event(Event::NewEpoch { channel: key, epoch, head: Offset::ZERO }));
    for conn in 1..4 {
        let reset = bench.frame(conn);
        assert_eq!(
            (&reset["t"], &reset["reason"], &reset["epoch"]),
            (&json!("reset"), &json!("epoch"), &json!("another"))
        );
    }
    // Who is still being let in hears of it in the answer.
    assert_eq!(bench.hear(4), []);
    bench.engine_once();
    assert_eq!(bench.frame(4)["epoch"], "another");
    let message = |offset: u64| {
        let message = Message {
            offset: Some(Offset(offset)),
            prev: None,
            id: "x".into(),
            user: None,
            time: START,
            headers: Vec::new(),
            payload: Payload::Text("x".into()),
        };
        let mut bytes = Vec::new();
        moorline_protocol::binary::encode_message(&message, &mut bytes);
        Stored { offset: Offset(offset), prev: None, bytes: bytes.into() }
    };
    let key = ChannelKey { app: AppName::default_app(), name: ChannelName::new("room").unwrap() };
    bench.reply(Reply::Event(Event::Published { channel: key, epoch, messages: vec![message(1)] }));
    assert_eq!(offsets(&bench.frames(1)), [1]);
    assert_eq!((bench.hear(2), bench.hear(3)), (vec![], vec![]), "paused, and under pressure");
}

/// What may happen to a subscription and around it.
#[derive(Clone, Debug)]
enum Step {
    Publish,
    Pressure(u8),
    Pause,
    More { back: u64, rewind: bool },
    Engine,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Publish),
        3 => (0_u8..4).prop_map(Step::Pressure),
        1 => Just(Step::Pause),
        2 => (0_u64..4, any::<bool>()).prop_map(|(back, rewind)| Step::More { back, rewind }),
        3 => Just(Step::Engine),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn at_every_pace_the_log_arrives_whole_and_in_order(steps in steps()) {
        let mut bench = with_messages(&["room"], 3);
        bench.join(1, "alice");
        subscribe(&mut bench, "room", 1);
        more(&mut bench, "room", 0, true);
        bench.slow_engine = true;
        let (mut published, mut position) = (3_u64, 0_u64);
        let note = |bench: &mut Bench, position: &mut u64| {
            for offset in offsets(&bench.frames(1)) {
                // After a rewind some come again; none is ever left out.
                assert!(offset <= *position + 1, "{offset} after {position}");
                *position = (*position).max(offset);
            }
        };
        for step in steps {
            match step {
                Step::Publish => {
                    published += 1;
                    bench.publish(9, "room", &published.to_string(), "x");
                }
                Step::Pressure(level) => {
                    let levels = [Pressure::Low, Pressure::Elevated, Pressure::High, Pressure::Full];
                    bench.node.handle_pressure(ConnId(1), levels[usize::from(level)], bench.now());
                    bench.pressure(1, levels[usize::from(level)]);
                }
                Step::Pause => bench.say(1, json!({"t": "pause", "channel": "room"})),
                Step::More { back, rewind } => more(&mut bench, "room", position.saturating_sub(back), rewind),
                Step::Engine => bench.engine(),
            }
            note(&mut bench, &mut position);
        }
        bench.slow_engine = false;
        bench.engine();
        bench.pressure(1, Pressure::Low);
        note(&mut bench, &mut position);
        more(&mut bench, "room", position, false);
        note(&mut bench, &mut position);
        prop_assert_eq!(position, published);
    }
}
