//! How a client ends: for good by the server, by the app, by a logout.

use moorline_core::protocol::{ClientFrame, ErrorCode, ErrorFrame, Pong, Qos, ServerFrame, Start};
use moorline_core::{Event, PublishOptions, PublishOutcome, StateReason, StoreError, SubscribeOptions, SubscriptionId};

use crate::host::{Commits, Host, position};

fn durable() -> SubscribeOptions {
    SubscribeOptions::new().durable(true)
}

fn exactly_once() -> PublishOptions {
    PublishOptions::new().qos(Qos::ExactlyOnce)
}

/// A client that reads a room and has a message under way.
fn busy() -> (Host, SubscriptionId) {
    let mut host = Host::online();
    let id = host.subscribe("room", durable());
    host.subscribed("room", 10, 10, Start::Live);
    host.deliver("room", 11..=12);
    host.publish("room", exactly_once());
    host.take_events();
    (host, id)
}

fn close(host: &mut Host, wipe: bool) {
    host.client.close(wipe, host.now());
    host.drain();
}

fn kept_with(outcome: &PublishOutcome) -> Option<ErrorCode> {
    match outcome {
        PublishOutcome::Kept(failure) => Some(failure.code.clone()),
        _ => None,
    }
}

fn ended_with(host: &Host) -> Vec<ErrorCode> {
    let code = |event: &Event| match event {
        Event::SubscriptionEnded { failure, .. } => Some(failure.code.clone()),
        _ => None,
    };
    host.events.iter().filter_map(code).collect()
}

fn closed_with(host: &Host) -> Vec<Result<(), StoreError>> {
    let result = |event: &Event| match event {
        Event::Closed { result } => Some(result.clone()),
        _ => None,
    };
    host.events.iter().filter_map(result).collect()
}

#[test]
fn a_final_close_tells_everybody_who_waits() {
    let (mut host, _) = busy();
    host.send(ServerFrame::Error(ErrorFrame::new(ErrorCode::AuthRevoked, "gone")));
    host.cut(Some(4503));
    assert_eq!(kept_with(&host.outcomes()[0].1), Some(ErrorCode::AuthRevoked));
    assert_eq!(ended_with(&host), [ErrorCode::AuthRevoked]);
    close(&mut host, false);
    assert_eq!((host.outcomes().len(), ended_with(&host).len()), (1, 1), "each is told once");
    let host = host.restart();
    assert_eq!(host.client.restored().count(), 1, "and the message is kept");
}

#[test]
fn what_was_done_is_stored_also_after_a_final_close() {
    let (mut host, id) = busy();
    host.cut(Some(4503));
    host.client.ack(id, position(12), host.now());
    host.drain();
    host.pass(1_000);
    let mut host = host.restart();
    host.go_online();
    host.subscribe("room", durable());
    assert_eq!(host.asked("room").since, moorline_core::protocol::Since::Cursor(Some(position(12))));
}

#[test]
fn a_close_tells_everybody_who_waits() {
    let (mut host, _) = busy();
    close(&mut host, false);
    let told: Vec<_> = host.outcomes().iter().map(|(_, outcome)| kept_with(outcome)).collect();
    assert_eq!(told, [Some(ErrorCode::ClientClosed)]);
    assert_eq!(ended_with(&host), [ErrorCode::ClientClosed]);
    assert_eq!(closed_with(&host), [Ok(())]);
    assert!(matches!(host.events.last(), Some(Event::Closed { .. })));
}

#[test]
fn a_message_is_kept_only_once_the_store_has_it() {
    let outcome = |options, result| {
        let mut host = Host::online();
        host.commits = Commits::ByHand;
        host.publish("room", options);
        host.cut(Some(4503));
        assert!(host.outcomes().is_empty());
        host.commit(result);
        host.outcomes()[0].1.clone()
    };
    assert!(kept_with(&outcome(PublishOptions::new(), Ok(()))).is_some());
    assert_eq!(outcome(PublishOptions::new(), Err(StoreError::Full)), PublishOutcome::Uncertain, "it was sent");
    assert!(matches!(outcome(exactly_once(), Err(StoreError::Full)), PublishOutcome::Failed(_)), "it was not");
    let mut host = Host::online();
    host.commits = Commits::ByHand;
    host.publish("room", PublishOptions::new());
    close(&mut host, false);
    host.pass(5_000);
    assert_eq!(host.outcomes()[0].1, PublishOutcome::Uncertain, "the store never said");
}

#[test]
fn nothing_more_is_sent_while_closing() {
    let (mut host, id) = busy();
    let (req, _) = host.take_publishes()[0];
    for _ in 0..40 {
        host.publish("room", exactly_once());
    }
    host.client.ack(id, position(12), host.now());
    host.take_frames();
    close(&mut host, false);
    host.published(req, 1);
    assert!(!host.frames.iter().any(|frame| matches!(frame, ClientFrame::Publish(_))));
    assert!(matches!(host.outcomes()[0].1, PublishOutcome::Stored(_)), "answers still count");
}

#[test]
fn after_the_end_nothing_is_written() {
    let (mut host, id) = busy();
    close(&mut host, false);
    host.commits = Commits::ByHand;
    host.client.ack(id, position(12), host.now());
    host.client.consumed(id, 2, host.now());
    host.client.unsubscribe(id, true, host.now());
    host.client.disconnect(host.now());
    host.client.connect(host.now());
    host.drain();
    assert!(host.uncommitted.is_empty());
    assert!(matches!(host.events.last(), Some(Event::Closed { .. })));
}

#[test]
fn a_logout_that_failed_says_so() {
    let (mut host, _) = busy();
    host.commits = Commits::ByHand;
    host.cut(Some(4503));
    close(&mut host, true);
    while !host.uncommitted.is_empty() {
        host.commit(Err(StoreError::Io("gone".into())));
    }
    assert_eq!(closed_with(&host), [Err(StoreError::Io("gone".into()))]);
    assert!(!host.disk.is_empty());
    close(&mut host, true);
    host.commit(Ok(()));
    assert_eq!(closed_with(&host).last(), Some(&Ok(())), "and can be tried again");
    assert!(host.disk.is_empty());
}

#[test]
fn a_logout_that_nobody_confirmed_says_so() {
    let (mut host, _) = busy();
    host.commits = Commits::ByHand;
    close(&mut host, true);
    host.pass(5_000);
    assert!(matches!(closed_with(&host)[..], [Err(StoreError::Uncertain(_))]));
    assert!(matches!(host.last_reason(), StateReason::Store(StoreError::Uncertain(_))));
}

#[test]
fn a_logout_counts_although_an_earlier_write_failed() {
    let (mut host, _) = busy();
    host.commits = Commits::ByHand;
    host.publish("room", PublishOptions::new());
    close(&mut host, true);
    host.commit(Err(StoreError::Full));
    while !host.uncommitted.is_empty() {
        host.commit(Ok(()));
    }
    assert_eq!(closed_with(&host), [Ok(())]);
}

#[test]
fn a_close_can_become_a_logout() {
    let (mut host, _) = busy();
    host.commits = Commits::ByHand;
    host.publish("room", PublishOptions::new());
    close(&mut host, false);
    assert!(closed_with(&host).is_empty());
    host.commits = Commits::AtOnce;
    close(&mut host, true);
    assert_eq!(closed_with(&host), [Ok(())]);
    assert!(host.disk.is_empty());
    let (mut host, _) = busy();
    close(&mut host, false);
    assert!(!host.disk.is_empty());
    close(&mut host, true);
    assert_eq!(closed_with(&host), [Ok(()), Ok(())], "also after the end");
    assert!(host.disk.is_empty());
}

#[test]
fn an_old_refusal_is_no_reason_for_a_close() {
    let (mut host, _) = busy();
    let refusal = ErrorFrame::new(ErrorCode::ChannelNotSubscribed, "this connection is not subscribed to the channel");
    host.send(ServerFrame::Error(refusal.clone()));
    host.send(ServerFrame::Pong(Pong { n: 1 }));
    host.cut(Some(4503));
    let StateReason::Refused(failure) = host.last_reason() else { panic!() };
    assert_eq!(failure.code, ErrorCode::AuthRevoked);
    let mut host = Host::online();
    host.send(ServerFrame::Error(refusal));
    host.cut(Some(4504));
    let StateReason::Refused(failure) = host.last_reason() else { panic!() };
    assert_eq!(failure.code, ErrorCode::ConnectionDisplaced, "which no error frame comes before");
}

#[test]
fn copies_of_a_store_learn_why_they_throw_each_other_out() {
    let mut host = Host::online();
    host.send(ServerFrame::Error(ErrorFrame::new(ErrorCode::DeviceConflict, "was a store copied?")));
    host.cut(Some(4504));
    let StateReason::Refused(failure) = host.last_reason() else { panic!() };
    assert_eq!((failure.code, failure.message.as_str()), (ErrorCode::DeviceConflict, "was a store copied?"));
}
