//! Durable cursors over restarts, resets and failing stores.

use moorline_core::protocol::{
    ChannelRef, ClientFrame, ErrorCode, Offset, ProducerState, ResetReason, ServerFrame, Since, Start, Subscribed,
    Unsubscribe, Unsubscribed,
};
use moorline_core::{Event, StateReason, StoreError, SubscribeOptions, SubscriptionId};

use crate::host::{Commits, EPOCH, Host, channel, epoch, number, position, welcome};

fn durable() -> SubscribeOptions {
    SubscribeOptions::new().durable(true)
}

/// Reads the room durably from 10 on, and gets the messages up to `last`.
fn reading(last: u64) -> (Host, SubscriptionId) {
    let mut host = Host::online();
    let id = host.subscribe("room", durable());
    host.subscribed("room", 10, 10, Start::Live);
    host.deliver("room", 11..=last);
    host.take_events();
    host.take_frames();
    (host, id)
}

/// Another process on the same store reads the room again.
fn again(host: Host) -> (Host, SubscriptionId) {
    let mut host = host.restart();
    host.go_online();
    let id = host.subscribe("room", durable());
    (host, id)
}

fn ack(host: &mut Host, id: SubscriptionId, offset: u64) {
    host.client.ack(id, position(offset), host.now());
    host.drain();
}

fn acks(host: &mut Host) -> Vec<u64> {
    host.pass(2_000);
    let ack = |frame| match frame {
        ClientFrame::Ack(ack) => Some(ack.offset.0),
        _ => None,
    };
    host.take_frames().into_iter().filter_map(ack).collect()
}

fn back_online(host: &mut Host) {
    host.cut(None);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
}

/// The server says that the position cannot be honoured.
fn reset(host: &mut Host, reason: ResetReason, from: u64, head: u64) {
    let asked = host.asked("room");
    host.send(ServerFrame::Subscribed(Subscribed {
        req: asked.req,
        channel: channel("room"),
        number: number("room"),
        epoch: epoch(EPOCH),
        head: Offset(head),
        from: Offset(from),
        start: Start::Reset,
        reason: Some(reason),
        first: Some(Offset(from + 1)),
        expires: None,
        members: None,
    }));
}

fn redelivered(host: &mut Host) -> Vec<(u64, bool)> {
    let mark = |event| match event {
        Event::Message { message, .. } => Some((message.message.offset?.0, message.redelivered)),
        _ => None,
    };
    host.take_events().into_iter().filter_map(mark).collect()
}

#[test]
fn where_a_cursor_began_is_stored() {
    let (host, _) = reading(15);
    let (host, _) = again(host);
    assert_eq!(
        host.asked("room").since,
        Since::Cursor(Some(position(10))),
        "nothing was acknowledged, yet it is known"
    );
}

#[test]
fn a_cursor_that_the_server_knows_is_not_told_again() {
    let (mut host, id) = reading(15);
    ack(&mut host, id, 15);
    let (mut host, id) = again(host);
    host.subscribed("room", 15, 15, Start::Live);
    assert_eq!(acks(&mut host), [0u64; 0]);
    host.deliver("room", [16]);
    ack(&mut host, id, 16);
    assert_eq!(acks(&mut host), [16]);
}

#[test]
fn what_was_acknowledged_does_not_come_again() {
    let (mut host, id) = reading(15);
    ack(&mut host, id, 15);
    let (mut host, _) = again(host);
    assert_eq!(host.asked("room").since, Since::Cursor(Some(position(15))));
    // A server that had not heard of it and goes by its own cursor.
    host.subscribed("room", 10, 16, Start::Replay);
    host.page("room", 11..=16, false);
    assert_eq!(host.take_offsets(), [16]);
    assert_eq!(acks(&mut host), [15], "and is told");
}

#[test]
fn a_server_that_forgot_what_was_acknowledged_must_say_so() {
    let (mut host, id) = reading(15);
    ack(&mut host, id, 15);
    let (mut host, _) = again(host);
    host.subscribed("room", 12, 12, Start::Live);
    assert!(matches!(host.last_reason(), StateReason::ProtocolViolation(_)));
}

#[test]
fn after_a_reset_within_an_epoch_acknowledgements_begin_anew() {
    let (mut host, id) = reading(100);
    ack(&mut host, id, 100);
    host.take_frames();
    back_online(&mut host);
    reset(&mut host, ResetReason::Epoch, 0, 50);
    host.page("room", 1..=50, false);
    host.take_frames();
    ack(&mut host, id, 40);
    assert_eq!(acks(&mut host), [40]);
    let (host, _) = again(host);
    assert_eq!(host.asked("room").since, Since::Cursor(Some(position(40))));
}

#[test]
fn a_cursor_that_the_store_did_not_take_is_stored_later() {
    let (mut host, id) = reading(12);
    host.commits = Commits::ByHand;
    ack(&mut host, id, 11);
    host.pass(500);
    ack(&mut host, id, 12);
    assert_eq!(host.uncommitted.len(), 2);
    host.commit(Err(StoreError::Full));
    host.commit(Err(StoreError::Full));
    host.commits = Commits::AtOnce;
    host.pass(20_000);
    let (host, _) = again(host);
    assert_eq!(host.asked("room").since, Since::Cursor(Some(position(12))));
}

#[test]
fn a_later_cursor_is_not_overwritten_by_an_earlier_one_that_failed() {
    let (mut host, id) = reading(12);
    host.commits = Commits::ByHand;
    ack(&mut host, id, 11);
    host.pass(500);
    ack(&mut host, id, 12);
    host.commit(Err(StoreError::Full));
    host.commits = Commits::AtOnce;
    host.commit(Ok(()));
    host.pass(20_000);
    let (host, _) = again(host);
    assert_eq!(host.asked("room").since, Since::Cursor(Some(position(12))));
}

#[test]
fn repeats_are_marked_also_after_a_reset() {
    let (mut host, id) = reading(50);
    ack(&mut host, id, 11);
    let (mut host, _) = again(host);
    reset(&mut host, ResetReason::Trimmed, 29, 30);
    host.page("room", [30], false);
    host.deliver("room", [31]);
    assert_eq!(redelivered(&mut host), [(30, true), (31, false)]);
}

fn forgets(host: &Host) -> Vec<(u64, String)> {
    let forget = |frame: &ClientFrame| match frame {
        ClientFrame::Unsubscribe(Unsubscribe { req, channel: ChannelRef::Name(name), forget: true }) => {
            Some((*req, name.to_string()))
        }
        _ => None,
    };
    host.frames.iter().filter_map(forget).collect()
}

fn forget(host: &mut Host, id: SubscriptionId) {
    host.client.unsubscribe(id, true, host.now());
    host.drain();
}

fn forgotten(host: &mut Host, req: u64) {
    host.send(ServerFrame::Unsubscribed(Unsubscribed { req: Some(req), channel: channel("room"), code: None }));
}

#[test]
fn what_is_forgotten_without_a_connection_is_forgotten_with_the_next() {
    let (mut host, id) = reading(12);
    host.cut(None);
    forget(&mut host, id);
    host.take_frames();
    host.reopen();
    assert_eq!(forgets(&host).len(), 1, "said right after `hello`");
    // The answer is lost with the connection, and the process with it.
    host.cut(None);
    let mut host = host.restart();
    host.go_online();
    let said = forgets(&host);
    assert_eq!(said.len(), 1);
    forgotten(&mut host, said[0].0);
    host.take_frames();
    back_online(&mut host);
    assert_eq!(forgets(&host), [], "once is enough");
}

#[test]
fn what_is_forgotten_while_the_server_refuses_is_forgotten_at_once() {
    let mut host = Host::online();
    let id = host.subscribe("room", durable());
    let req = host.asked("room").req;
    host.refuse(req, ErrorCode::StorageUnavailable, |_| {});
    host.take_frames();
    forget(&mut host, id);
    assert_eq!(forgets(&host).len(), 1);
}

#[test]
fn a_channel_that_is_read_again_begins_anew() {
    let (mut host, id) = reading(12);
    host.cut(None);
    forget(&mut host, id);
    host.subscribe("room", durable());
    host.take_frames();
    host.reopen();
    let said: Vec<_> = host.frames.iter().map(std::mem::discriminant).collect();
    let ClientFrame::Hello(hello) = &host.frames[0] else { panic!() };
    assert!(hello.subscribe.is_empty(), "the server would open it before it has forgotten it");
    assert!(matches!(&host.frames[1..], [ClientFrame::Unsubscribe(_), ClientFrame::Subscribe(_)]), "{said:?}");
    assert_eq!(host.asked("room").since, Since::Cursor(None));
}

#[test]
fn a_server_that_has_nothing_to_forget_ends_it_too() {
    let (mut host, id) = reading(12);
    host.cut(None);
    forget(&mut host, id);
    host.take_frames();
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    let said = forgets(&host);
    host.refuse(said[0].0, ErrorCode::ChannelNotDurable, |_| {});
    host.take_frames();
    back_online(&mut host);
    assert_eq!(forgets(&host), []);
}
