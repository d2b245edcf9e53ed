use moorline_core::protocol::{
    Acked, ChannelRef, ClientFrame, Deliver, ErrorCode, More, Offset, Pong, Qos, Reset, ResetReason, ServerFrame,
    Since, Start, Unsubscribed,
};
use moorline_core::{ClientConfig, ConnectionState, Event, StartAt, StateReason, SubscribeError, SubscribeOptions};

use crate::host::{EPOCH, Host, channel, deliver, epoch, message, number, position, welcome};
use moorline_core::protocol::ProducerState;

const DURABLE: SubscribeOptions = SubscribeOptions {
    durable: Some(true),
    since: None,
    reset: None,
    qos: None,
    auto_ack: None,
    presence: None,
    state: None,
};

fn reading(options: SubscribeOptions) -> (Host, moorline_core::SubscriptionId) {
    let mut host = Host::online();
    let id = host.subscribe("room", options);
    host.subscribed("room", 10, 10, Start::Live);
    host.take_events();
    host.take_frames();
    (host, id)
}

fn acks(host: &mut Host) -> Vec<u64> {
    let ack = |frame| match frame {
        ClientFrame::Ack(ack) => Some(ack.offset.0),
        _ => None,
    };
    host.take_frames().into_iter().filter_map(ack).collect()
}

fn mores(host: &mut Host) -> Vec<(u64, bool)> {
    let more = |frame| match frame {
        ClientFrame::More(More { after, rewind, .. }) => Some((after.0, rewind)),
        _ => None,
    };
    host.take_frames().into_iter().filter_map(more).collect()
}

fn back_online(host: &mut Host) {
    host.cut(None);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
}

#[test]
fn messages_come_in_order_and_once() {
    let (mut host, _) = reading(SubscribeOptions::default());
    host.deliver("room", [11, 12, 12, 11, 13]);
    host.deliver("room", [13]);
    assert_eq!(host.take_offsets(), [11, 12, 13]);
    assert_eq!(host.client.position(&channel("room")), Some(position(13)));
}

#[test]
fn a_reconnect_goes_on_after_the_last_message() {
    let (mut host, _) = reading(SubscribeOptions::default());
    host.deliver("room", [11, 12]);
    host.cut(None);
    host.reopen();
    assert_eq!(host.asked("room").since, Since::Position(position(12)));
    host.deliver("room", [13]);
    assert_eq!(host.take_offsets(), [11, 12], "nothing before `subscribed`");
}

#[test]
fn where_a_subscription_begins() {
    let asked = |options: SubscribeOptions| {
        let mut host = Host::online();
        host.subscribe("room", options);
        host.asked("room").since
    };
    let since = |since| SubscribeOptions { since: Some(since), ..SubscribeOptions::default() };
    assert_eq!(asked(SubscribeOptions::default()), Since::Now);
    assert_eq!(asked(DURABLE), Since::Cursor(None));
    assert_eq!(asked(since(StartAt::First)), Since::First);
    assert_eq!(asked(since(StartAt::Last(3))), Since::Last(3));
    assert_eq!(asked(since(StartAt::Time(9))), Since::Time(9));
    assert_eq!(asked(since(StartAt::Position(position(4)))), Since::Position(position(4)));
}

#[test]
fn a_hole_is_filled_by_one_rewind() {
    let (mut host, _) = reading(SubscribeOptions::default());
    host.deliver("room", [11, 13]);
    host.deliver("room", [14]);
    assert_eq!(host.take_offsets(), [11]);
    let frames = host.take_frames();
    assert!(matches!(&frames[0], ClientFrame::More(more) if more.rewind && more.after == Offset(11)));
    assert_eq!(frames.len(), 2, "one rewind, one fence");
    host.page("room", [12, 13, 14], false);
    assert_eq!(host.take_offsets(), [12, 13, 14]);
}

#[test]
fn a_hole_that_stays_is_the_servers_fault() {
    let (mut host, _) = reading(SubscribeOptions::default());
    host.deliver("room", [12]);
    let Some(ClientFrame::Ping(fence)) = host.take_frames().pop() else { panic!("no fence") };
    host.deliver("room", [13]);
    assert_eq!(host.client.state(), ConnectionState::Online, "it was under way");
    host.send(ServerFrame::Pong(Pong { n: fence.n }));
    host.deliver("room", [14]);
    assert_eq!(host.client.state(), ConnectionState::Recovering);
}

#[test]
fn expired_messages_are_no_hole() {
    let (mut host, _) = reading(SubscribeOptions::default());
    host.send(deliver("room", vec![message(15, Some(10))]));
    assert_eq!(host.take_offsets(), [15]);
    host.send(ServerFrame::Deliver(Deliver {
        channel: ChannelRef::Number(number("room")),
        replay: true,
        more: false,
        at: Some(Offset(20)),
        messages: vec![message(16, None)],
    }));
    assert_eq!(host.client.position(&channel("room")), Some(position(20)));
    host.deliver("room", [21]);
    assert_eq!(host.take_offsets(), [16, 21]);
}

#[test]
fn a_reset_is_told_and_moves_the_position() {
    let (mut host, id) = reading(DURABLE);
    host.deliver("room", [11]);
    host.client.ack(id, position(11), host.now());
    host.drain();
    host.send(ServerFrame::Reset(Reset {
        channel: ChannelRef::Number(number("room")),
        epoch: epoch("e2"),
        first: Offset(1),
        head: Offset(4),
        from: Offset(0),
        reason: ResetReason::Epoch,
    }));
    assert!(matches!(host.events.last(), Some(Event::Reset { from: Offset(0), .. })));
    host.take_events();
    host.take_frames();
    host.page("room", [1, 2], false);
    assert_eq!(host.take_offsets(), [1, 2]);
    host.client.ack(id, position(11), host.now());
    host.drain();
    host.pass(1_000);
    assert_eq!(acks(&mut host), [0u64; 0], "another epoch's acknowledgement is void");
}

#[test]
fn pages_are_confirmed_as_the_slowest_reader_takes_them() {
    let (mut host, fast) = reading(SubscribeOptions::default());
    let slow = host.subscribe("room", SubscribeOptions::default());
    host.page("room", 11..=13, true);
    host.page("room", 14..=15, true);
    host.client.consumed(fast, 5, host.now());
    host.drain();
    assert_eq!(mores(&mut host), []);
    host.client.consumed(slow, 3, host.now());
    host.drain();
    assert_eq!(mores(&mut host), [(13, false)]);
    host.client.consumed(slow, 9, host.now());
    host.drain();
    assert_eq!(mores(&mut host), [(15, false)]);
}

#[test]
fn a_full_queue_pauses_and_a_half_empty_one_goes_on() {
    let mut config = ClientConfig::new("ws://a");
    config.queue_messages = 4;
    let mut host = Host::with(config, Default::default());
    host.go_online();
    let id = host.subscribe("room", SubscribeOptions::default());
    host.subscribed("room", 10, 10, Start::Live);
    host.take_frames();
    host.deliver("room", 11..=15);
    assert!(matches!(host.take_frames()[..], [ClientFrame::Pause(_)]));
    host.client.consumed(id, 2, host.now());
    host.drain();
    assert_eq!(mores(&mut host), []);
    host.client.consumed(id, 1, host.now());
    host.drain();
    assert_eq!(mores(&mut host), [(15, false)]);
}

#[test]
fn a_full_queue_pauses_live_messages_behind_an_unread_page() {
    let (mut host, id) = reading(SubscribeOptions::default());
    host.page("room", 11..=12, false);
    host.deliver("room", 13..=1_035);
    assert!(matches!(host.take_frames()[..], [ClientFrame::Pause(_)]));
    host.client.consumed(id, 513, host.now());
    host.drain();
    assert_eq!(mores(&mut host), [(1_035, false)], "confirms the page, too");
}

#[test]
fn a_rejoin_goes_on_where_the_channel_was_left() {
    let (mut host, id) = reading(SubscribeOptions::default());
    host.deliver("room", [11]);
    host.client.unsubscribe(id, false, host.now());
    host.drain();
    host.deliver("room", [12]);
    host.subscribe("room", SubscribeOptions::default());
    assert_eq!(host.asked("room").since, Since::Position(position(11)));
    assert_eq!(host.take_offsets(), [11]);
}

#[test]
fn acknowledgements_are_cumulative_and_rare() {
    let (mut host, id) = reading(DURABLE);
    host.deliver("room", 11..=20);
    for offset in 11..=15 {
        host.client.ack(id, position(offset), host.now());
        host.drain();
    }
    assert_eq!(acks(&mut host), [11]);
    host.pass(500);
    assert_eq!(acks(&mut host), [15]);
    host.client.ack(id, position(99), host.now());
    host.drain();
    host.pass(500);
    assert_eq!(acks(&mut host), [20], "never beyond what was delivered");
    let acked = Acked { channel: ChannelRef::Number(number("room")), epoch: epoch(EPOCH), offset: Offset(20) };
    host.send(ServerFrame::Acked(acked));
    assert!(matches!(host.events.last(), Some(Event::Acked { position: at, .. }) if *at == position(20)));
}

#[test]
fn the_cursor_is_the_slowest_readers() {
    let (mut host, first) = reading(DURABLE);
    let second = host.subscribe("room", SubscribeOptions::default());
    host.deliver("room", 11..=14);
    host.client.ack(first, position(14), host.now());
    host.drain();
    assert_eq!(acks(&mut host), [0u64; 0], "nothing of the second reader is done");
    host.client.ack(second, position(12), host.now());
    host.drain();
    host.pass(500);
    assert_eq!(acks(&mut host), [12]);
    host.client.unsubscribe(second, false, host.now());
    host.drain();
    host.pass(500);
    assert_eq!(acks(&mut host), [14]);
}

#[test]
fn close_waits_for_the_cursor() {
    let (mut host, id) = reading(DURABLE);
    host.deliver("room", 11..=12);
    host.client.ack(id, position(11), host.now());
    host.client.ack(id, position(12), host.now());
    host.client.close(false, host.now());
    host.drain();
    assert_eq!(acks(&mut host), [11, 12]);
    assert_ne!(host.events.last(), Some(&Event::Closed { result: Ok(()) }));
    let acked = Acked { channel: ChannelRef::Number(number("room")), epoch: epoch(EPOCH), offset: Offset(12) };
    host.send(ServerFrame::Acked(acked));
    assert_eq!(host.events.last(), Some(&Event::Closed { result: Ok(()) }));
}

#[test]
fn close_waits_no_longer_than_five_seconds() {
    let (mut host, id) = reading(DURABLE);
    host.deliver("room", [11]);
    host.client.ack(id, position(11), host.now());
    host.client.close(false, host.now());
    host.drain();
    host.pass(4_999);
    assert_ne!(host.events.last(), Some(&Event::Closed { result: Ok(()) }));
    host.pass(1);
    assert_eq!(host.events.last(), Some(&Event::Closed { result: Ok(()) }));
}

#[test]
fn after_a_restart_the_cursor_is_named_and_repeats_are_marked() {
    let (mut host, id) = reading(DURABLE);
    host.deliver("room", 11..=13);
    host.client.ack(id, position(11), host.now());
    host.drain();
    let mut host = host.restart();
    host.go_online();
    host.subscribe("room", DURABLE);
    assert_eq!(host.asked("room").since, Since::Cursor(Some(position(11))));
    host.subscribed("room", 11, 13, Start::Replay);
    host.page("room", 12..=13, false);
    host.deliver("room", [14]);
    let marks = host.events.iter().filter_map(|event| match event {
        Event::Message { message, .. } => Some((message.redelivered, message.replayed)),
        _ => None,
    });
    let marks = marks.collect::<Vec<_>>();
    assert_eq!(marks, [(true, true), (true, true), (false, false)]);
}

#[test]
fn options_of_further_readers_must_agree() {
    let (mut host, _) = reading(DURABLE);
    let other = SubscribeOptions { qos: Some(Qos::AtLeastOnce), ..SubscribeOptions::default() };
    let refused = host.client.subscribe(&channel("room"), other, host.now());
    assert_eq!(refused, Err(SubscribeError::Conflict("qos")));
    let live = SubscribeOptions { qos: Some(Qos::AtMostOnce), durable: Some(true), ..SubscribeOptions::default() };
    assert!(matches!(host.client.subscribe(&channel("x"), live, host.now()), Err(SubscribeError::Options(_))));
}

#[test]
fn a_temporary_refusal_is_asked_again_on_the_same_connection() {
    let mut host = Host::online();
    host.subscribe("room", SubscribeOptions::default());
    let mut asked_at = Vec::new();
    for _ in 0..7 {
        let req = host.asked("room").req;
        host.refuse(req, ErrorCode::StorageUnavailable, |_| {});
        asked_at.push(host.now_ms);
        host.take_frames();
        while host.frames.is_empty() {
            host.wait();
            let n = host.now_ms;
            host.send(ServerFrame::Ping(moorline_core::protocol::Ping { n, next: None }));
            host.frames.retain(|frame| matches!(frame, ClientFrame::Subscribe(_)));
        }
    }
    let pauses: Vec<_> = asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 20_000]);
}

#[test]
fn a_permanent_refusal_and_a_revoked_grant_end_the_subscription() {
    let mut host = Host::online();
    let id = host.subscribe("room", SubscribeOptions::default());
    let req = host.asked("room").req;
    host.refuse(req, ErrorCode::ChannelDenied, |_| {});
    let Some(Event::SubscriptionEnded { readers, failure }) = host.events.last() else { panic!() };
    assert_eq!((readers[0], failure.code.clone()), (id, ErrorCode::ChannelDenied));
    let (mut host, _) = reading(SubscribeOptions::default());
    let code = Some(ErrorCode::ChannelDenied);
    host.send(ServerFrame::Unsubscribed(Unsubscribed { req: None, channel: channel("room"), code }));
    host.deliver("room", [11]);
    assert!(matches!(host.events[..], [Event::SubscriptionEnded { .. }]), "and nothing is delivered any more");
}

#[test]
fn qos_zero_has_no_holes_to_fill() {
    let (mut host, _) = reading(SubscribeOptions { qos: Some(Qos::AtMostOnce), ..SubscribeOptions::default() });
    host.deliver("room", [11, 15]);
    let mut ephemeral = message(1, None);
    ephemeral.offset = None;
    host.send(deliver("room", vec![ephemeral]));
    assert_eq!(host.events.len(), 3);
    assert!(host.take_frames().is_empty());
    back_online(&mut host);
    assert_eq!(host.asked("room").since, Since::Now);
}

#[test]
fn a_subscription_that_silently_begins_elsewhere_is_a_violation() {
    let (mut host, _) = reading(SubscribeOptions::default());
    back_online(&mut host);
    host.subscribed("room", 12, 12, Start::Live);
    let reason = |event: &Event| match event {
        Event::StateChanged { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let last = host.events.iter().rev().find_map(reason);
    assert!(matches!(last, Some(StateReason::ProtocolViolation(_))));
}
