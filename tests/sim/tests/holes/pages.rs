//! Pages: how a channel is read, and where reading goes on.

use moorline_core::protocol::{
    ClientFrame, Epoch, ErrorCode, More, Offset, Position, Qos, ResetReason, ServerFrame, Since, Start, Subscribe,
    Unsubscribe,
};
use moorline_core::{Event, SubscribeOptions, SubscriptionId};
use moorline_sim::script::{Engine, Keeps, Play, Reading, Stage};

use crate::frames::{channel, codes, delivered, hellos, room, subscribe, subscribed, welcomed};

fn since(req: u64, since: Since) -> ClientFrame {
    ClientFrame::Subscribe(Subscribe { since, ..subscribe(req, "room:0") })
}

fn more(play: &Play, after: u64, rewind: bool) -> ClientFrame {
    let epoch = Some(play.head("room:0").epoch);
    ClientFrame::More(More { channel: room(), epoch, after: Offset(after), rewind })
}

fn mores(frames: &[ClientFrame]) -> Vec<More> {
    let more = |frame: &ClientFrame| match frame {
        ClientFrame::More(more) => Some(more.clone()),
        _ => None,
    };
    frames.iter().filter_map(more).collect()
}

/// 5.
#[test]
fn more_never_moves_back_without_rewind() {
    Stage::new().fails_with(&["more-moves-back"]).play(|play| {
        play.fill("room:0", 900);
        let (peer, _) = welcomed(play, "alice");
        let answers = play.ask(peer, [since(1, Since::First)]);
        assert_eq!(delivered(&answers), (1..=512).collect::<Vec<_>>(), "two pages may be unconfirmed");
        let answers = play.ask(peer, [more(play, 256, false), more(play, 0, false), more(play, 256, false)]);
        assert_eq!(delivered(&answers), (513..=768).collect::<Vec<_>>());
        let answers = play.ask(peer, [more(play, 768, true)]);
        assert_eq!(delivered(&answers), (769..=900).collect::<Vec<_>>());
    });
}

/// 7.
#[test]
fn expired_messages_are_no_hole() {
    Stage::new().fails_with(&["prev-ignored"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.client("bob", &[("room:0", Reading::Owned)]);
        play.settle();
        play.disconnect(bob, 10_000);
        let first = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.publish_for(alice, "room:0", Qos::ExactlyOnce, 2);
        let last = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        assert_eq!(play.got(bob, "room:0"), [first, last]);
        let received = play.received(bob, "room:0");
        assert_eq!(received[1].message.prev, Some(Offset(1)));
        assert!(mores(&play.sent(bob)).iter().all(|more| !more.rewind), "nothing is asked for again");
    });
}

/// 13.
#[test]
fn a_slow_reader_falls_behind_and_catches_up() {
    Stage::new().payload(50_000).fails_with(&["pressure-ignored"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.device("bob", &[("room:0", Reading::Plain)]);
        play.inflates(bob, false);
        play.start(bob);
        let carol = play.client("carol", &[("room:0", Reading::Plain)]);
        play.settle();
        play.hold_down(bob, 8_000);
        for _ in 0..30 {
            play.publish(alice, "room:0", Qos::ExactlyOnce);
            play.pass(100);
        }
        play.pass(500);
        assert_eq!(play.got(carol, "room:0").len(), 30, "who keeps up waits for nobody");
        assert!(play.got(bob, "room:0").is_empty());
        play.settle();
        assert_eq!(play.got(bob, "room:0"), play.log("room:0"));
        let pages = play.said(bob).iter().filter(|it| matches!(it, ServerFrame::Deliver(it) if it.replay)).count();
        assert!(pages > 0, "it was behind");
    });
}

/// 26.
#[test]
fn a_forged_position_resets_its_own_subscription_only() {
    Stage::new().fails_with(&["forged-position-counts"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Plain)]);
        play.settle();
        play.fill("room:0", 3);
        let head = play.head("room:0");
        let (mallory, _) = welcomed(play, "mallory");
        let forged = Position { offset: Offset(999), ..head };
        let answers = play.ask(mallory, [since(1, Since::Position(forged))]);
        let answer = &subscribed(&answers)[0];
        assert_eq!((&answer.start, &answer.reason), (&Start::Reset, &Some(ResetReason::Epoch)));
        play.fill("room:0", 1);
        assert_eq!(play.head("room:0").epoch, head.epoch, "one number voids nobody's log");
        assert_eq!(play.got(bob, "room:0").len(), 4);
        assert!(!play.events(bob).iter().any(|event| matches!(event, Event::Reset { .. })));
    });
}

/// 27.
#[test]
fn more_of_another_epoch_is_ignored() {
    Stage::new().fails_with(&["more-ignores-epoch"]).play(|play| {
        play.fill("room:0", 5);
        let (peer, _) = welcomed(play, "alice");
        play.ask(peer, [since(1, Since::Now)]);
        let late = More { channel: room(), epoch: Epoch::new("never").ok(), after: Offset(0), rewind: true };
        assert_eq!(play.ask(peer, [ClientFrame::More(late)]), []);
        play.fill("room:0", 1);
        assert_eq!(delivered(&play.heard(peer.who())), [6]);
    });
}

/// 29.
#[test]
fn deliveries_of_an_ended_subscription_are_dropped() {
    Stage::new().fails_with(&["ended-delivers"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Plain)]);
        play.settle();
        play.hold_down(bob, 1_000);
        play.fill("room:0", 3);
        // What is on its way belongs to a subscription that has ended when it arrives.
        play.resubscribe(bob, "room:0", false);
        play.pass(100);
        play.fill("room:0", 1);
        play.settle();
        assert_eq!(play.got(bob, "room:0"), play.log("room:0"), "each once, and from the new one");
        let asked = play.sent(bob).iter().filter(|it| matches!(it, ClientFrame::Subscribe(_))).count();
        assert_eq!(asked, 1);
    });
}

/// 30.
#[test]
fn pages_end_where_the_hub_has_fanned_out() {
    Stage::new().shards(2).hot(0).disk(1).fails_with(&["page-past-hub", "live-one-early"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.client("bob", &[("room:0", Reading::Owned)]);
        play.settle();
        for _ in 0..60 {
            // Each time a page is read while what follows is on its way to the hub.
            play.resubscribe(bob, "room:0", false);
            for _ in 0..6 {
                play.publish(alice, "room:0", Qos::AtLeastOnce);
                play.pass(3);
            }
            play.pass(20);
        }
        play.settle();
        let got = play.got(bob, "room:0");
        assert!(play.log("room:0").iter().all(|id| got.contains(id)));
    });
}

/// 37.
#[test]
fn a_page_for_an_earlier_subscription_is_dropped() {
    Stage::new().hot(0).disk(300).fails_with(&["late-pages"]).play(|play| {
        play.fill("room:0", 300);
        // Somebody else reads it as well, so that its number stays.
        play.client("bob", &[("room:0", Reading::Plain)]);
        let (peer, _) = welcomed(play, "alice");
        let late = Position { offset: Offset(200), ..play.head("room:0") };
        for _ in 0..10 {
            // The page of the first is still being read when the second one begins further on.
            let leave = |req| ClientFrame::Unsubscribe(Unsubscribe { req, channel: room(), forget: false });
            play.say(peer, [since(1, Since::First)]);
            play.pass(40);
            let answers = play.ask(peer, [leave(2), since(3, Since::Position(late))]);
            let position = answers.iter().position(|frame| matches!(frame, ServerFrame::Subscribed(it) if it.req == 3));
            let after = position.map(|at| delivered(&answers[at..])).unwrap_or_default();
            assert_eq!(after, (201..=300).collect::<Vec<_>>());
            play.ask(peer, [leave(4)]);
        }
    });
}

/// 42.
#[test]
fn a_refused_subscribe_is_asked_again_or_ends() {
    Stage::new().tokens(600).fails_with(&["refused-subscribe-ends"]).play(|play| {
        let bob = play.device("bob", &[("room:0", Reading::Durable), ("room:1", Reading::Plain)]);
        play.grant(bob, 1, false);
        play.start(bob);
        play.until("it is welcomed", |play| !play.said(bob).is_empty());
        play.refuse_writes(5_000, false);
        play.pass(4_000);
        let refused = codes(&play.heard(bob));
        assert!(refused.contains(&ErrorCode::ChannelDenied) && refused.contains(&ErrorCode::StorageUnavailable));
        play.until("room:0 is read", |play| !subscribed(&play.heard(bob)).is_empty());
        assert_eq!(hellos(&play.sent(bob)).len(), 1, "on the same connection");
        let is_over = |event: &Event| matches!(event, Event::SubscriptionEnded { .. });
        assert_eq!(play.events(bob).iter().filter(|event| is_over(event)).count(), 1, "the app is told once");
    });
}

/// 43.
#[test]
fn a_reset_carries_where_it_begins() {
    Stage::new().engine(Engine::Memory).fails_with(&["epoch-without-offset"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.client("bob", &[("room:0", Reading::Plain)]);
        play.settle();
        play.fill("room:0", 5);
        play.kill_server(500);
        play.settle();
        let ids: Vec<_> = (0..3).map(|_| play.publish(alice, "room:0", Qos::ExactlyOnce)).collect();
        play.settle();
        let reset = play.events(bob).into_iter().find_map(|event| match event {
            Event::Reset { from, reason, .. } => Some((from, reason)),
            _ => None,
        });
        assert_eq!(reset, Some((Offset(0), ResetReason::Epoch)));
        assert_eq!(play.got(bob, "room:0").split_off(5), ids);
    });
}

/// 45.
#[test]
fn the_slowest_reader_confirms_pages() {
    Stage::new().queue(10_000).fails_with(&["confirm-for-fastest"]).play(|play| {
        play.fill("room:0", 1_500);
        let bob = play.client("bob", &[("room:0", Reading::Owned)]);
        let mut slow: Option<SubscriptionId> = None;
        play.tell(bob, |core, now| {
            let options = SubscribeOptions { qos: Some(Qos::ExactlyOnce), ..SubscribeOptions::default() };
            slow = core.subscribe(&channel("room:0"), options, now).ok();
        });
        play.pass(5_000);
        assert_eq!(play.got(bob, "room:0").len(), 512, "nobody confirms what the slowest has not taken");
        play.tell(bob, |core, now| core.consumed(slow.unwrap(), 256, now));
        play.pass(1_000);
        assert_eq!(play.got(bob, "room:0").len(), 768);
        play.tell(bob, |core, now| core.unsubscribe(slow.unwrap(), false, now));
        play.settle();
        assert_eq!(play.got(bob, "room:0").len(), 1_500);
    });
}

/// 47.
#[test]
fn a_time_finds_the_first_message_that_is_not_older() {
    Stage::new().fails_with(&["time-finds-newer"]).play(|play| {
        let mut times = Vec::new();
        for _ in 0..3 {
            play.pass(1_000);
            play.fill("room:0", 1);
            times.push(play.server_time());
        }
        let (peer, _) = welcomed(play, "alice");
        let answers = play.ask(peer, [since(1, Since::First)]);
        let stored: Vec<u64> = answers
            .iter()
            .filter_map(|frame| if let ServerFrame::Deliver(it) = frame { Some(&it.messages) } else { None })
            .flatten()
            .map(|message| message.time)
            .collect();
        for (time, from) in [(stored[1], 1), (stored[1] + 1, 2), (stored[2] + 1, 3), (0, 0)] {
            let (peer, _) = welcomed(play, "bob");
            let answers = play.ask(peer, [since(2, Since::Time(time))]);
            assert_eq!(subscribed(&answers)[0].from, Offset(from), "{time} of {stored:?}");
            assert_ne!(subscribed(&answers)[0].start, Start::Reset);
        }
    });
}

/// 50.
#[test]
fn the_head_never_moves_back_and_the_last_page_says_at() {
    Stage::new().fails_with(&["page-without-at"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.publish_for(alice, "room:0", Qos::ExactlyOnce, 1);
        play.pass(5_000);
        let (peer, _) = welcomed(play, "bob");
        let answers = play.ask(peer, [since(1, Since::First)]);
        assert_eq!(subscribed(&answers)[0].head, Offset(2));
        let last = answers.iter().find_map(|frame| match frame {
            ServerFrame::Deliver(deliver) if !deliver.more => Some(deliver.at),
            _ => None,
        });
        assert_eq!((delivered(&answers), last), (vec![1], Some(Some(Offset(2)))));
        play.fill("room:0", 1);
        assert_eq!(delivered(&play.heard(peer.who())), [1, 3]);
    });
}

/// 24, for what is kept: seven days, and no more.
#[test]
fn messages_are_kept_for_seven_days() {
    let day = 24 * 3_600_000;
    let keeps = Keeps { age_ms: Some(7 * day), ..Keeps::default() };
    Stage::new().keeps(keeps).fails_with(&["age-ignored"]).play(|play| {
        play.fill("room:0", 1);
        for (days, first) in [(6, 1), (2, 2)] {
            play.server_clock(days * day as i64);
            play.fill("room:0", 1);
            play.pass(2_000);
            let (peer, _) = welcomed(play, "alice");
            let answers = play.ask(peer, [since(1, Since::First)]);
            assert_eq!(delivered(&answers).first(), Some(&first));
            play.hang_up(peer);
        }
    });
}
