use moorline_core::protocol::{
    ErrorCode, Limits, Payload, ProducerGrant, ProducerId, ProducerState, Qos, ReusedBy, ServerFrame, Utf8Bytes,
    Welcome,
};
use moorline_core::{
    ClientConfig, ConnectionState, Event, Input, PublishError, PublishId, PublishOptions, PublishOutcome, StateReason,
    StoreError, Stored, TransportId,
};

use crate::host::{Commits, Host, PRODUCER, channel, epoch, welcome};

fn exactly_once() -> PublishOptions {
    PublishOptions { qos: Some(Qos::ExactlyOnce), ..PublishOptions::default() }
}

fn ready() -> Host {
    let mut host = Host::online();
    host.take_frames();
    host
}

fn back_online(host: &mut Host, state: ProducerState) {
    host.cut(None);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(state)));
}

fn is_stored(outcome: &PublishOutcome) -> bool {
    matches!(outcome, PublishOutcome::Stored(_))
}

#[test]
fn qos_two_waits_for_the_store_and_qos_one_does_not() {
    let mut host = ready();
    host.commits = Commits::ByHand;
    host.publish("room", PublishOptions::default());
    assert_eq!(host.take_publishes().len(), 1);
    host.publish("room", exactly_once());
    assert_eq!(host.take_publishes().len(), 0);
    while !host.uncommitted.is_empty() {
        host.commit(Ok(()));
    }
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(1)]);
}

#[test]
fn each_publish_settles_once() {
    let mut host = ready();
    let id = host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.published(req, 5);
    host.published(req, 5);
    let stored = Stored { epoch: epoch("e1"), offset: Some(moorline_core::protocol::Offset(5)), duplicate: false };
    assert_eq!(host.outcomes(), [(id, PublishOutcome::Stored(stored))]);
    assert_eq!(host.client.outbox().messages, 0);
    assert!(host.disk.keys().all(|key| key[0] != b'e'), "nothing is left in the outbox's part of the store");
}

fn at_most_once() -> PublishOptions {
    PublishOptions { qos: Some(Qos::AtMostOnce), ..PublishOptions::default() }
}

fn is_dropped(outcome: &PublishOutcome) -> bool {
    matches!(outcome, PublishOutcome::Failed(failure) if failure.code.name() == "publish.dropped")
}

#[test]
fn qos_zero_is_sent_or_dropped() {
    let mut host = Host::new();
    host.publish("room", at_most_once());
    host.go_online();
    host.publish("room", at_most_once());
    assert_eq!(host.take_publishes().len(), 1);
    let outcomes = host.outcomes();
    assert!(is_dropped(&outcomes[0].1), "there was no connection");
    assert_eq!(outcomes[1].1, PublishOutcome::Sent);
}

#[test]
fn qos_zero_is_dropped_while_too_much_waits_in_the_socket() {
    let mut config = ClientConfig::new("ws://a");
    config.socket_bytes = 1_000;
    let mut host = Host::with(config, Default::default());
    host.go_online();
    host.take_frames();
    let id = host.transport();
    let flood = |host: &mut Host| {
        for _ in 0..100 {
            host.publish("room", at_most_once());
        }
        host.take_publishes().len()
    };
    assert_eq!(flood(&mut host), 100, "a host that says nothing about its socket has no watermark");
    host.input(Input::Buffered { id, bytes: 0 });
    let sent = flood(&mut host);
    assert!((1_000 / 40..100).contains(&sent), "{sent} of about 30 bytes each");
    let dropped = host.outcomes().iter().filter(|(_, outcome)| is_dropped(outcome)).count();
    assert_eq!(dropped, 100 - sent);
    host.publish("room", exactly_once());
    assert_eq!(host.take_publishes().len(), 1, "what must arrive is sent all the same");
    host.input(Input::Buffered { id, bytes: 900 });
    assert!(flood(&mut host) < sent);
    host.input(Input::Buffered { id: TransportId(id.0 - 1), bytes: 0 });
    assert_eq!(flood(&mut host), 0, "what an old socket says is nothing");
    host.input(Input::Buffered { id, bytes: 0 });
    assert_eq!(flood(&mut host), sent);
    back_online(&mut host, ProducerState::Resumed);
    host.take_frames();
    assert_eq!(flood(&mut host), 100, "a new socket has an empty queue");
}

#[test]
fn the_window_is_thirty_two() {
    let mut host = ready();
    for _ in 0..40 {
        host.publish("room", exactly_once());
    }
    let sent = host.take_publishes();
    assert_eq!(sent.len(), 32);
    host.published(sent[0].0, 1);
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(33)]);
}

#[test]
fn what_has_no_answer_is_sent_again_with_its_sequence() {
    let mut host = ready();
    host.publish("room", exactly_once());
    host.publish("room", PublishOptions::default());
    let first = host.take_publishes();
    back_online(&mut host, ProducerState::Resumed);
    let second = host.take_publishes();
    let seqs = |sent: &[(u64, Option<u64>)]| sent.iter().map(|(_, seq)| *seq).collect::<Vec<_>>();
    assert_eq!(seqs(&first), seqs(&second));
    assert_ne!(first[0].0, second[0].0, "each send has its own request");
}

#[test]
fn a_gap_rewinds_and_stale_errors_are_ignored() {
    let mut host = ready();
    for _ in 0..3 {
        host.publish("room", exactly_once());
    }
    let sent = host.take_publishes();
    host.refuse(sent[0].0, ErrorCode::LimitRate, |error| error.after = Some(300));
    host.refuse(sent[1].0, ErrorCode::PublishGap, |error| error.expected = Some(1));
    host.pass(299);
    assert_eq!(host.take_publishes(), []);
    host.pass(1);
    let again = host.take_publishes();
    assert_eq!(again.iter().map(|(_, seq)| seq.unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    host.refuse(sent[2].0, ErrorCode::PublishGap, |error| error.expected = Some(1));
    host.pass(10_000);
    assert_eq!(host.take_publishes(), [], "an answer to a send from before the rewind");
    for (index, (req, _)) in again.iter().enumerate() {
        host.published(*req, index as u64 + 1);
    }
    assert_eq!(host.outcomes().len(), 3);
}

#[test]
fn a_success_from_before_a_rewind_settles() {
    let mut host = ready();
    host.publish("room", exactly_once());
    host.publish("room", exactly_once());
    let sent = host.take_publishes();
    host.refuse(sent[1].0, ErrorCode::PublishGap, |error| error.expected = Some(1));
    host.published(sent[0].0, 1);
    host.pass(1_000);
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| seq.unwrap()).collect::<Vec<_>>(), [2]);
}

#[test]
fn refusals_back_off() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let (req, _) = host.take_publishes()[0];
        host.refuse(req, ErrorCode::StorageUnavailable, |_| {});
        let before = host.now_ms;
        while host.client.outbox().messages == 1 && host.frames.is_empty() {
            host.wait();
        }
        pauses.push(host.now_ms - before);
    }
    assert_eq!(pauses[..8], [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 20_000]);
}

#[test]
fn a_permanent_refusal_fails_one_message_only() {
    let mut host = ready();
    let first = host.publish("room", exactly_once());
    host.publish("room", exactly_once());
    let sent = host.take_publishes();
    host.refuse(sent[0].0, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Id));
    host.published(sent[1].0, 1);
    let outcomes = host.outcomes();
    assert!(
        matches!(&outcomes[0], (id, PublishOutcome::Failed(failure)) if *id == first && failure.code == ErrorCode::PublishReused)
    );
    assert!(is_stored(&outcomes[1].1));
}

#[test]
fn an_expired_producer_makes_what_was_sent_uncertain() {
    let mut host = ready();
    host.commits = Commits::ByHand;
    let sent = host.publish("room", exactly_once());
    while !host.uncommitted.is_empty() {
        host.commit(Ok(()));
    }
    let unsent = host.publish("room", exactly_once());
    host.commits = Commits::AtOnce;
    host.take_frames();
    host.cut(None);
    host.reopen();
    let mut greeting = welcome(ProducerState::Expired);
    greeting.producer.as_mut().unwrap().id = ProducerId(88);
    host.send(ServerFrame::Welcome(greeting));
    while !host.uncommitted.is_empty() {
        host.commit(Ok(()));
    }
    assert_eq!(host.outcomes(), [(sent, PublishOutcome::Uncertain)]);
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(1)]);
    assert_eq!(host.client.producer(), Some(ProducerId(88)));
    let _ = unsent;
}

#[test]
fn a_reused_sequence_takes_a_new_producer() {
    let mut host = ready();
    let sent = host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Seq));
    assert_eq!(host.client.producer(), None);
    assert_eq!(host.client.state(), ConnectionState::Recovering);
    host.reopen();
    let moorline_core::protocol::ClientFrame::Hello(hello) = &host.frames[0] else { panic!() };
    assert_eq!(hello.producer, Some(moorline_core::protocol::ProducerRequest::New));
    // The server had another message under this sequence, so it cannot have this one.
    assert_eq!(host.outcomes(), []);
    host.take_frames();
    let grant = ProducerGrant { id: ProducerId(99), generation: 1, state: ProducerState::New };
    host.send(ServerFrame::Welcome(Welcome { producer: Some(grant), ..welcome(ProducerState::New) }));
    let again = host.take_publishes();
    assert_eq!(again.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(1)]);
    host.published(again[0].0, 7);
    assert!(matches!(host.outcomes()[..], [(id, PublishOutcome::Stored(_))] if id == sent));
    assert_eq!(host.restart().client.restored().count(), 0, "nothing of it is left in the store");
}

#[test]
fn a_reused_sequence_says_nothing_of_what_was_sent_twice_or_with_others() {
    let mut host = ready();
    let first = host.publish("room", exactly_once());
    let second = host.publish("room", exactly_once());
    let sent = host.take_publishes();
    host.refuse(sent[0].0, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Seq));
    // The second may be in the log, and the first must not come after it.
    assert_eq!(host.outcomes(), [(first, PublishOutcome::Uncertain), (second, PublishOutcome::Uncertain)]);
    let mut host = ready();
    let sent = host.publish("room", exactly_once());
    host.take_frames();
    back_online(&mut host, ProducerState::Resumed);
    let again = host.take_publishes();
    host.refuse(again[0].0, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Seq));
    assert_eq!(host.outcomes(), [(sent, PublishOutcome::Uncertain)]);
}

#[test]
fn fencing_is_survived_once() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::PublishFenced, |_| {});
    assert_eq!(host.client.state(), ConnectionState::Recovering);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::PublishFenced, |_| {});
    assert_eq!(host.client.state(), ConnectionState::Closed);
    assert!(matches!(host.events.last(), Some(Event::StateChanged { reason: StateReason::Refused(_), .. })));
}

#[test]
fn a_message_expires_before_it_has_a_sequence_only() {
    let mut host = Host::new();
    let options = PublishOptions { ttl: Some(5), ..exactly_once() };
    let early = host.publish("room", options.clone());
    host.pass(5_000);
    assert!(matches!(&host.outcomes()[..], [(id, PublishOutcome::Failed(_))] if *id == early));
    host.go_online();
    host.publish("room", options);
    host.pass(6_000);
    host.take_frames();
    back_online(&mut host, ProducerState::Resumed);
    let ttl = host.take_frames().into_iter().find_map(|frame| match frame {
        moorline_core::protocol::ClientFrame::Publish(publish) => publish.ttl,
        _ => None,
    });
    assert_eq!(ttl, Some(1), "it keeps its place, with the least ttl");
    assert_eq!(host.outcomes().len(), 1);
}

#[test]
fn limits_are_checked_before_queueing() {
    let mut config = ClientConfig::new("ws://a");
    config.outbox_messages = 1;
    let mut host = Host::with(config, Default::default());
    let mut greeting = welcome(ProducerState::New);
    greeting.limits = Limits { message: 10, ..greeting.limits };
    host.connect();
    host.open();
    host.send(ServerFrame::Welcome(greeting));
    let now = host.now();
    let mut publish =
        |text: &str, options| host.client.publish(&channel("room"), Payload::Text(Utf8Bytes::from(text)), options, now);
    let twice = vec![(Utf8Bytes::from("a"), Utf8Bytes::from("1")), (Utf8Bytes::from("a"), Utf8Bytes::from("2"))];
    let id = PublishOptions { id: Some(Utf8Bytes::from("")), ..PublishOptions::default() };
    let headers = PublishOptions { headers: twice, ..PublishOptions::default() };
    let plain = PublishOptions::default();
    assert_eq!(publish("01234567890", plain.clone()), Err(PublishError::TooLarge { size: 11, limit: 10 }));
    assert_eq!(publish("hi", id), Err(PublishError::Id));
    assert_eq!(publish("hi", headers), Err(PublishError::Headers));
    assert!(publish("hi", plain.clone()).is_ok());
    assert_eq!(publish("hi", plain), Err(PublishError::OutboxFull));
}

#[test]
fn a_failing_store_fails_what_it_held_and_leaves_no_hole() {
    let mut host = ready();
    host.commits = Commits::ByHand;
    let first = host.publish("room", exactly_once());
    let second = host.publish("room", exactly_once());
    host.commit(Err(StoreError::Full));
    while !host.uncommitted.is_empty() {
        host.commit(Ok(()));
    }
    assert!(
        matches!(&host.outcomes()[..], [(id, PublishOutcome::Failed(f))] if *id == first && f.code == ErrorCode::StorageFull)
    );
    host.commits = Commits::AtOnce;
    host.pass(200);
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(1)]);
    assert_eq!(host.client.outbox().messages, 1);
    let _ = second;
}

#[test]
fn a_publish_is_queued_when_the_store_has_it() {
    let queued = |host: &Host| {
        let id = |event: &Event| if let Event::PublishQueued { id } = event { Some(*id) } else { None };
        host.events.iter().filter_map(id).collect::<Vec<_>>()
    };
    let mut host = Host::new();
    host.commits = Commits::ByHand;
    let first = host.publish("room", exactly_once());
    let lost = host.publish("room", exactly_once());
    let second = host.publish("other", PublishOptions::default());
    assert_eq!(queued(&host), []);
    host.commit(Ok(()));
    assert_eq!(queued(&host), [first]);
    host.commit(Err(StoreError::Full));
    host.commit(Ok(()));
    assert_eq!(queued(&host), [first, second]);
    assert!(matches!(&host.outcomes()[..], [(id, PublishOutcome::Failed(_))] if *id == lost));
}

#[test]
fn a_store_that_fails_in_doubt_makes_what_it_held_uncertain() {
    let mut host = ready();
    host.commits = Commits::ByHand;
    let id = host.publish("room", exactly_once());
    host.commit(Err(StoreError::Uncertain("fsync".into())));
    assert_eq!(host.outcomes(), [(id, PublishOutcome::Uncertain)]);
}

#[test]
fn the_outbox_outlives_the_process() {
    let mut host = ready();
    host.publish("room", PublishOptions { id: Some(Utf8Bytes::from("mine")), ..exactly_once() });
    host.publish("room", PublishOptions::default());
    let sent = host.take_publishes();
    host.published(sent[1].0, 1);
    let mut host = host.restart();
    let restored: Vec<_> = host.client.restored().map(|(id, _, message)| (id, message.to_owned())).collect();
    assert_eq!(restored, [(PublishId(1), "mine".to_owned())]);
    host.connect();
    host.open();
    let moorline_core::protocol::ClientFrame::Hello(hello) = &host.frames[0] else { panic!() };
    assert_eq!(hello.producer, Some(moorline_core::protocol::ProducerRequest::Resume(PRODUCER)));
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    let next = host.publish("room", exactly_once());
    let sent = host.take_publishes();
    assert_eq!(sent.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(1), Some(2)]);
    host.published(sent[0].0, 2);
    assert_eq!(host.client.restored().count(), 0);
    assert!(next > PublishId(1));
}

#[test]
fn sequences_go_on_after_a_restart_although_all_is_settled() {
    let mut host = ready();
    for offset in 1..=3 {
        host.publish("room", exactly_once());
        let (req, _) = host.take_publishes()[0];
        host.published(req, offset);
    }
    let mut host = host.restart();
    host.connect();
    host.open();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    host.publish("room", exactly_once());
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(4)]);
}

#[test]
fn a_store_that_was_rolled_back_makes_what_it_holds_uncertain() {
    let mut host = Host::new();
    host.publish("room", exactly_once());
    let mut host = host.restart();
    let fresh = host.publish("room", exactly_once());
    host.go_online();
    let sent = host.take_publishes();
    assert_eq!(sent.len(), 2);
    host.refuse(sent[0].0, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Seq));
    assert_eq!(host.outcomes().len(), 2, "both were sent under the old producer");
    assert!(host.outcomes().iter().all(|(_, outcome)| *outcome == PublishOutcome::Uncertain));
    assert_eq!(host.outcomes()[1].0, fresh);
}

#[test]
fn a_gap_below_the_oldest_message_takes_a_new_producer() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.published(req, 1);
    let second = host.publish("room", exactly_once());
    let (req, seq) = host.take_publishes()[0];
    assert_eq!(seq, Some(2));
    host.refuse(req, ErrorCode::PublishGap, |error| error.expected = Some(1));
    assert_eq!(host.outcomes()[1], (second, PublishOutcome::Uncertain));
    assert_eq!(host.client.producer(), None);
}
