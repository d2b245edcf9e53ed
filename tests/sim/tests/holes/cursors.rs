//! Cursors: where a device goes on, and what moves it.

use moorline_core::protocol::{
    Ack, ClientFrame, Epoch, ErrorCode, More, Offset, Position, Qos, ServerFrame, Since, Subscribe, Unsubscribe,
};
use moorline_core::{Event, SubscribeOptions};
use moorline_sim::script::{Keeps, Play, Reading, Stage};

use crate::frames::{codes, delivered, hellos, room, subscribe, subscribed, welcomed};

fn durable(own: Option<Position>) -> ClientFrame {
    let since = Since::Cursor(own);
    ClientFrame::Subscribe(Subscribe { durable: true, qos: Qos::ExactlyOnce, since, ..subscribe(1, "room:0") })
}

/// A new connection of the device subscribes durably; returns after which offset it begins.
fn begins(play: &mut Play, own: Option<Position>) -> Offset {
    let (peer, _) = welcomed(play, "alice");
    let answers = play.ask(peer, [durable(own)]);
    play.hang_up(peer);
    play.pass(100);
    subscribed(&answers).first().unwrap().from
}

fn acks(frames: &[ClientFrame]) -> Vec<Ack> {
    let ack = |frame: &ClientFrame| match frame {
        ClientFrame::Ack(ack) => Some(ack.clone()),
        _ => None,
    };
    frames.iter().filter_map(ack).collect()
}

/// 2.
#[test]
fn the_clients_position_stands_in_for_a_lost_cursor() {
    let keeps = Keeps { cursors_ms: Some(10_000), ..Keeps::default() };
    Stage::new().keeps(keeps).fails_with(&["cursor-from-head"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        play.settle();
        play.fill("room:0", 2);
        play.settle();
        play.kill(bob, 30_000);
        for _ in 0..3 {
            play.pass(8_000);
            play.fill("room:0", 1);
        }
        play.settle();
        assert_eq!(play.got(bob, "room:0").len(), 5);
    });
}

/// 9.
#[test]
fn messages_come_once_per_process_and_repeats_are_marked() {
    Stage::new().fails_with(&["resume-from-now", "repeats-unmarked"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        play.settle();
        play.work(bob, 2_000);
        play.fill("room:0", 2);
        play.cut(bob);
        play.fill("room:0", 1);
        play.pass(2_500);
        assert_eq!(play.got(bob, "room:0").len(), 3, "once over a reconnect");
        play.kill(bob, 1_000);
        play.settle();
        let again: Vec<_> = play.received(bob, "room:0").into_iter().skip(3).collect();
        assert_eq!(again.len(), 2, "the first was acknowledged: {again:?}");
        assert!(again.iter().all(|received| received.redelivered), "{again:?}");
    });
}

/// 14: the part that exists; tabs come with the browser package.
#[test]
fn the_cursor_is_the_slowest_handlers() {
    Stage::new().fails_with(&["ack-of-fastest"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        let mut slow = None;
        play.tell(bob, |core, now| {
            let options =
                SubscribeOptions { qos: Some(Qos::ExactlyOnce), durable: Some(true), ..SubscribeOptions::default() };
            slow = core.subscribe(&crate::frames::channel("room:0"), options, now).ok();
        });
        play.settle();
        play.fill("room:0", 3);
        play.pass(3_000);
        assert_eq!(play.got(bob, "room:0").len(), 3);
        assert!(acks(&play.sent(bob)).is_empty(), "the other handler is not done");
        let position = Position { offset: Offset(2), ..play.head("room:0") };
        play.tell(bob, |core, now| core.ack(slow.unwrap(), position, now));
        play.pass(1_000);
        let offsets: Vec<_> = acks(&play.sent(bob)).iter().map(|ack| ack.offset).collect();
        assert_eq!(offsets, [Offset(2)]);
        play.tell(bob, |core, now| core.unsubscribe(slow.unwrap(), false, now));
    });
}

/// 19.
#[test]
fn acknowledgements_are_few_and_cumulative() {
    Stage::new().fails_with(&["ack-at-once"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        play.settle();
        for _ in 0..20 {
            play.fill("room:0", 1);
        }
        play.pass(1_000);
        let sent = acks(&play.sent(bob));
        assert!((2..=10).contains(&sent.len()), "20 messages in 4 s: {sent:?}");
        assert_eq!(sent.last().unwrap().offset, Offset(20));
        let acked = play.heard(bob).into_iter().rev().find_map(|frame| match frame {
            ServerFrame::Acked(acked) => Some(acked.offset),
            _ => None,
        });
        assert_eq!(acked, Some(Offset(20)));
    });
}

/// 41.
#[test]
fn a_rewind_does_not_lower_what_was_delivered() {
    Stage::new().fails_with(&["rewind-lowers-delivered"]).play(|play| {
        let (peer, _) = welcomed(play, "alice");
        play.ask(peer, [durable(None)]);
        play.fill("room:0", 5);
        assert_eq!(delivered(&play.heard(peer.who())), [1, 2, 3, 4, 5]);
        let epoch = play.head("room:0").epoch;
        let rewind = More { channel: room(), epoch: Some(epoch), after: Offset(1), rewind: true };
        let ack = Ack { channel: room(), epoch, offset: Offset(5) };
        let answers = play.ask(peer, [ClientFrame::More(rewind), ClientFrame::Ack(ack)]);
        let acked = answers.iter().any(|it| matches!(it, ServerFrame::Acked(acked) if acked.offset == Offset(5)));
        assert!(acked, "{answers:?}");
        assert_eq!(delivered(&answers), [2, 3, 4, 5]);
    });
}

/// 51.
#[test]
fn the_further_of_two_cursors_counts_and_is_kept() {
    Stage::new().fails_with(&["own-cursor-ignored", "cursor-unmoved"]).play(|play| {
        assert_eq!(begins(play, None), Offset(0));
        play.fill("room:0", 5);
        let own = Position { offset: Offset(3), ..play.head("room:0") };
        assert_eq!(begins(play, Some(own)), Offset(3));
        play.kill_server(500);
        play.pass(1_000);
        assert_eq!(begins(play, None), Offset(3), "it is the server's from then on");
        let older = Position { offset: Offset(1), ..own };
        assert_eq!(begins(play, Some(older)), Offset(3));
        let elsewhere = Position { epoch: Epoch::new("never").unwrap(), offset: Offset(5) };
        assert_eq!(begins(play, Some(elsewhere)), Offset(3), "one of this life comes before one of another");
    });
}

/// 51, as it happened: the store has the acknowledgement, and the server never heard of it.
#[test]
fn an_acknowledgement_that_only_the_client_has_counts() {
    Stage::new().fails_with(&["own-cursor-ignored"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        play.settle();
        play.fill("room:0", 2);
        play.settle();
        let is_last = |frame: &ClientFrame| matches!(frame, ClientFrame::Ack(ack) if ack.offset == Offset(4));
        // The server hears nothing of it, and the store has it within 20 ms.
        play.hold_up(bob, 10_000);
        play.fill("room:0", 2);
        play.until("it acknowledges", |play| play.sent(bob).iter().any(is_last));
        play.swallow(bob, 1_000);
        play.pass(50);
        assert!(!play.arrived(bob).iter().any(is_last));
        play.kill(bob, 100);
        play.settle();
        assert_eq!(play.got(bob, "room:0").len(), 4);
    });
}

/// 57.
#[test]
fn a_cursor_is_forgotten_without_a_subscription() {
    Stage::new().fails_with(&["forget-needs-subscription"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        play.settle();
        play.fill("room:0", 2);
        play.settle();
        play.disconnect(bob, 5_000);
        play.resubscribe(bob, "room:0", true);
        play.fill("room:0", 3);
        play.settle();
        assert_eq!(play.got(bob, "room:0").len(), 2, "what came before it was read anew is not asked for");
        let hello = hellos(&play.sent(bob)).pop().unwrap();
        assert!(hello.subscribe.is_empty(), "{hello:?}");
        let (carol, _) = welcomed(play, "");
        let forget = Unsubscribe { req: 7, channel: room(), forget: true };
        let answers = play.ask(carol, [ClientFrame::Unsubscribe(forget)]);
        assert_eq!(codes(&answers), [ErrorCode::ChannelNotDurable]);
        assert!(!play.events(bob).iter().any(|event| matches!(event, Event::SubscriptionEnded { .. })));
    });
}

/// A user cannot leave cursors behind without end.
#[test]
fn a_user_has_so_many_cursors_and_is_told_of_one_too_many() {
    let keeps = Keeps { cursors: Some(2), ..Keeps::default() };
    let open = |channel: &str, req| {
        let since = Since::Cursor(None);
        ClientFrame::Subscribe(Subscribe { durable: true, qos: Qos::ExactlyOnce, since, ..subscribe(req, channel) })
    };
    Stage::new().keeps(keeps).fails_with(&["cursors-uncounted"]).play(|play| {
        let (peer, _) = welcomed(play, "alice");
        let answers = play.ask(peer, [open("room:0", 1), open("room:1", 2), open("room:2", 3)]);
        assert_eq!(codes(&answers), [ErrorCode::LimitChannels]);
        let retries = |frame: &ServerFrame| matches!(frame, ServerFrame::Error(error) if error.retry);
        assert!(!answers.iter().any(retries), "waiting does not help");
        play.checkpoint();
        play.kill_server(100);
        play.pass(1_000);
        let (peer, _) = welcomed(play, "alice");
        let answers = play.ask(peer, [open("room:2", 1), open("room:1", 2)]);
        assert_eq!((codes(&answers).len(), subscribed(&answers).len()), (1, 1), "{answers:?}");
        let forget = Unsubscribe { req: 3, channel: room(), forget: true };
        let answers = play.ask(peer, [ClientFrame::Unsubscribe(forget), open("room:2", 4)]);
        assert_eq!((codes(&answers).len(), subscribed(&answers).len()), (0, 1), "{answers:?}");
    });
}
