//! Publishing at QoS 2 when the producer is missing, full, lost, or someone else's.

use moorline_core::protocol::{
    ClientFrame, CloseCode, ErrorCode, Limits, Payload, ProducerId, ProducerRequest, ProducerState, Qos, ReusedBy,
    ServerFrame, UserName, Welcome,
};
use moorline_core::{Event, PublishId, PublishOptions, PublishOutcome, StateReason};

use crate::host::{Commits, Host, PRODUCER, channel, welcome};

fn exactly_once() -> PublishOptions {
    PublishOptions::new().qos(Qos::ExactlyOnce)
}

fn ready() -> Host {
    let mut host = Host::online();
    host.take_frames();
    host
}

fn back_online(host: &mut Host, greeting: Welcome) {
    host.cut(None);
    host.reopen();
    host.take_frames();
    host.send(ServerFrame::Welcome(greeting));
}

fn nobodys() -> Welcome {
    Welcome { producer: None, ..welcome(ProducerState::New) }
}

fn seqs(sent: &[(u64, Option<u64>)]) -> Vec<u64> {
    sent.iter().filter_map(|(_, seq)| *seq).collect()
}

fn requested(host: &Host) -> Option<ProducerRequest> {
    let hello = |frame: &ClientFrame| match frame {
        ClientFrame::Hello(hello) => hello.producer,
        _ => None,
    };
    host.frames.iter().find_map(hello)
}

fn failed_with(outcome: &PublishOutcome) -> Option<ErrorCode> {
    match outcome {
        PublishOutcome::Failed(failure) => Some(failure.code.clone()),
        _ => None,
    }
}

#[test]
fn without_a_producer_every_publish_is_refused() {
    let mut host = Host::new();
    host.connect();
    host.open();
    let before = host.publish("room", exactly_once());
    host.send(ServerFrame::Welcome(nobodys()));
    let after = host.publish("room", exactly_once());
    let told: Vec<_> = host.outcomes().iter().map(|(id, outcome)| (*id, failed_with(outcome))).collect();
    let refused = Some(ErrorCode::FeatureDisabled);
    assert_eq!(told, [(before, refused.clone()), (after, refused)]);
}

#[test]
fn a_producer_that_was_missing_once_leaves_no_hole() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.published(req, 1);
    let in_doubt = host.publish("room", exactly_once());
    back_online(&mut host, nobodys());
    assert_eq!(host.outcomes()[1], (in_doubt, PublishOutcome::Uncertain));
    host.cut(None);
    host.take_frames();
    host.reopen();
    assert_eq!(requested(&host), Some(ProducerRequest::New), "the old one's next sequence may never come");
}

#[test]
fn a_message_too_large_for_the_transport_leaves_no_hole() {
    let mut host = ready();
    let big = Payload::Binary(vec![0; 60_000].into());
    let big = host.client.publish(&channel("room"), big, exactly_once(), host.now()).unwrap();
    host.drain();
    host.publish("room", exactly_once());
    host.publish("room", exactly_once());
    assert_eq!(seqs(&host.take_publishes()), [1, 2, 3]);
    host.cut(Some(CloseCode::TOO_LARGE.0));
    assert_eq!(failed_with(&host.outcomes()[0].1), Some(ErrorCode::LimitMessage));
    assert_eq!(host.outcomes()[0].0, big);
    let mut host = host.restart();
    host.connect();
    host.open();
    host.take_frames();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    assert_eq!(seqs(&host.take_publishes()), [1, 2]);
    host.publish("room", exactly_once());
    assert_eq!(seqs(&host.take_publishes()), [3]);
}

#[test]
fn a_limit_that_fell_is_checked_before_numbering() {
    let mut host = Host::new();
    let big = Payload::Binary(vec![0; 60_000].into());
    let big = host.client.publish(&channel("room"), big, exactly_once(), host.now()).unwrap();
    host.drain();
    host.publish("room", exactly_once());
    host.connect();
    host.open();
    let limits = Limits { message: 1_000, ..welcome(ProducerState::New).limits };
    host.send(ServerFrame::Welcome(Welcome { limits, ..welcome(ProducerState::New) }));
    assert_eq!(host.outcomes().len(), 1);
    assert_eq!((host.outcomes()[0].0, failed_with(&host.outcomes()[0].1)), (big, Some(ErrorCode::LimitMessage)));
    assert_eq!(seqs(&host.take_publishes()), [1], "the other one goes out");
}

#[test]
fn a_message_that_the_store_refused_after_it_was_numbered_leaves_no_hole() {
    let mut host = ready();
    host.commits = Commits::ByHand;
    for _ in 0..33 {
        host.publish("room", exactly_once());
    }
    while host.uncommitted.len() > 1 {
        host.commit(Ok(()));
    }
    let sent = host.take_publishes();
    assert_eq!(sent.len(), 32);
    // The last one is numbered by a second batch while the first one, which holds it, is under way.
    host.published(sent[0].0, 1);
    assert_eq!(host.uncommitted.len(), 2);
    host.commit(Err(moorline_core::StoreError::Full));
    host.commits = Commits::AtOnce;
    host.commit(Ok(()));
    host.publish("room", exactly_once());
    host.pass(1_000);
    assert_eq!(seqs(&host.take_publishes()), [33], "its sequence is the next one's");
}

#[test]
fn a_full_producer_is_left_when_nothing_is_in_doubt() {
    let mut host = ready();
    let in_doubt = host.publish("old", exactly_once());
    let refused = host.publish("new", exactly_once());
    let sent = host.take_publishes();
    host.refuse(sent[1].0, ErrorCode::LimitChannels, |_| {});
    let later = host.publish("old", exactly_once());
    assert_eq!(host.take_publishes(), [], "no further sequence of this producer is used");
    assert!(host.outcomes().is_empty());
    host.published(sent[0].0, 1);
    host.reopen();
    assert_eq!(requested(&host), Some(ProducerRequest::New));
    host.take_frames();
    let mut greeting = welcome(ProducerState::New);
    greeting.producer.as_mut().unwrap().id = ProducerId(88);
    host.send(ServerFrame::Welcome(greeting));
    let sent = host.take_publishes();
    assert_eq!(seqs(&sent), [1, 1]);
    host.published(sent[0].0, 1);
    host.published(sent[1].0, 2);
    let stored: Vec<PublishId> = host.outcomes().into_iter().map(|(id, _)| id).collect();
    assert_eq!(stored, [in_doubt, refused, later], "lanes go by name: `new` before `old`");
    assert!(host.outcomes().iter().all(|(_, outcome)| matches!(outcome, PublishOutcome::Stored(_))));
}

#[test]
fn a_full_producer_leaves_nothing_behind() {
    let mut host = ready();
    for index in 0..257 {
        host.publish(&format!("c{index:03}"), exactly_once());
    }
    let sent = host.take_publishes();
    for (index, (req, _)) in sent.iter().enumerate().take(256) {
        host.published(*req, index as u64 + 1);
    }
    assert!(host.disk.keys().filter(|key| key[0] == b'q').count() >= 256);
    host.refuse(sent[256].0, ErrorCode::LimitChannels, |_| {});
    assert_eq!(host.disk.keys().filter(|key| key[0] == b'q').count(), 0);
    assert_eq!(host.outcomes().len(), 256);
}

#[test]
fn an_inbox_has_one_lane_by_either_name() {
    let mut host = Host::new();
    let early = host.publish("@me", exactly_once());
    host.connect();
    host.open();
    host.take_frames();
    let user = Some(UserName::new("alice").unwrap());
    host.send(ServerFrame::Welcome(Welcome { user, ..welcome(ProducerState::New) }));
    host.publish("@alice", exactly_once());
    host.publish("@me", exactly_once());
    let sent = host.take_publishes();
    assert_eq!(seqs(&sent), [1, 2, 3]);
    host.published(sent[0].0, 1);
    let Some(Event::PublishSettled { id, channel: named, .. }) = host.events.last() else { panic!() };
    assert_eq!((*id, named.as_str()), (early, "@alice"));
    assert!(host.events.contains(&Event::PublishQueued { id: early }));
}

#[test]
fn a_store_is_one_users() {
    let greeting = |name: &str| {
        let user = Some(UserName::new(name).unwrap());
        Welcome { user, ..welcome(ProducerState::New) }
    };
    let mut host = Host::new();
    host.connect();
    host.open();
    host.send(ServerFrame::Welcome(greeting("alice")));
    let mut host = host.restart();
    host.publish("room", exactly_once());
    host.publish("room", PublishOptions::new());
    host.connect();
    host.open();
    host.take_frames();
    host.send(ServerFrame::Welcome(greeting("bob")));
    assert_eq!(host.take_publishes(), [], "nothing of alice goes out in bob's name");
    let StateReason::Refused(failure) = host.last_reason() else { panic!() };
    assert_eq!(failure.code, ErrorCode::ClientUser);
    let mut host = host.restart();
    host.connect();
    host.open();
    host.take_frames();
    host.send(ServerFrame::Welcome(greeting("alice")));
    assert_eq!(host.take_publishes().len(), 2, "they wait for alice");
}

#[test]
fn another_producer_of_the_same_user_is_no_other_user() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Seq));
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::New)));
    assert_eq!(host.client.producer(), Some(PRODUCER));
}
