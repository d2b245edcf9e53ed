use moorline_core::protocol::{ErrorCode, HistoryRange, Offset, Page, ProducerState, Qos, ServerFrame};
use moorline_core::{
    Client, ClientConfig, Event, HistoryQuery, PublishOptions, PublishOutcome, StateReason, StoreError,
};

use crate::host::{Commits, Host, channel, epoch, welcome};

fn exactly_once() -> PublishOptions {
    PublishOptions { qos: Some(Qos::ExactlyOnce), ..PublishOptions::default() }
}

fn asked(host: &Host) -> Vec<u64> {
    let history = |frame: &moorline_core::protocol::ClientFrame| match frame {
        moorline_core::protocol::ClientFrame::History(history) => Some(history.req),
        _ => None,
    };
    host.frames.iter().filter_map(history).collect()
}

#[test]
fn history_is_asked_again_after_a_reconnect() {
    let mut host = Host::online();
    let query = HistoryQuery { range: HistoryRange::Newest, limit: None };
    let id = host.client.history(&channel("room"), query, host.now());
    host.drain();
    host.cut(None);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    let reqs = asked(&host);
    assert_eq!(reqs.len(), 2);
    host.send(ServerFrame::Page(Page {
        req: reqs[1],
        channel: channel("room"),
        epoch: epoch("e1"),
        first: Offset(1),
        head: Offset(0),
        more: false,
        messages: Vec::new(),
    }));
    assert!(matches!(host.events.last(), Some(Event::HistoryFinished { id: of, result: Ok(_) }) if *of == id));
}

#[test]
fn history_ends_with_an_error_or_a_timeout() {
    let mut host = Host::online();
    host.client.history(&channel("room"), HistoryQuery::default(), host.now());
    host.drain();
    let req = asked(&host)[0];
    host.refuse(req, ErrorCode::ChannelDenied, |_| {});
    host.client.history(&channel("room"), HistoryQuery::default(), host.now());
    host.drain();
    host.pass(30_000);
    let ended = host.events.iter().filter(|event| matches!(event, Event::HistoryFinished { result: Err(_), .. }));
    assert_eq!(ended.count(), 2);
}

#[test]
fn a_logout_leaves_nothing() {
    let mut host = Host::online();
    let options = PublishOptions { qos: Some(Qos::ExactlyOnce), ..PublishOptions::default() };
    host.publish("room", options);
    host.client.close(true, host.now());
    host.drain();
    assert_eq!(host.events.last(), Some(&Event::Closed { result: Ok(()) }));
    assert!(host.outcomes().iter().all(|(_, outcome)| *outcome == PublishOutcome::Uncertain), "it was sent");
    assert!(host.disk.is_empty());
}

#[test]
fn a_store_that_fails_at_the_end_is_told() {
    let mut host = Host::online();
    host.commits = Commits::ByHand;
    host.client.close(true, host.now());
    host.drain();
    host.commit(Err(StoreError::Io("gone".into())));
    let told = host
        .events
        .iter()
        .any(|event| matches!(event, Event::StateChanged { reason: StateReason::Store(StoreError::Io(_)), .. }));
    assert!(told);
}

#[test]
fn a_damaged_store_is_refused() {
    let stored = vec![(b"e0000000000000001".to_vec(), vec![1, 2, 3])];
    let opened = Client::new(ClientConfig::new("ws://a"), stored, [0; 32], Host::new().now());
    assert!(matches!(opened.err(), Some(StoreError::Corrupt(_))));
}

#[test]
fn a_store_that_stays_full_is_tried_again_after_pauses() {
    let mut host = Host::online();
    host.publish("room", exactly_once());
    host.commits = Commits::ByHand;
    let (req, _) = host.take_publishes()[0];
    host.published(req, 1);
    let begin = host.now_ms;
    let mut tries = Vec::new();
    while host.now_ms < begin + 60_000 {
        while !host.uncommitted.is_empty() {
            tries.push((host.now_ms - begin) / 1_000);
            assert!(tries.len() < 100, "it never stops");
            host.commit(Err(StoreError::Full));
        }
        host.pass(500);
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 51]);
    host.pass(20_000);
    host.commit(Ok(()));
    assert!(host.disk.keys().all(|key| key[0] != b'e'), "the removal was kept in mind");
}

#[test]
fn what_is_stored_already_outlives_a_store_that_takes_no_sequence() {
    let mut host = Host::new();
    host.publish("room", exactly_once());
    host.connect();
    host.open();
    host.commits = Commits::ByHand;
    host.send(ServerFrame::Welcome(welcome(ProducerState::New)));
    host.take_frames();
    for _ in 0..4 {
        while !host.uncommitted.is_empty() {
            host.commit(Err(StoreError::Full));
        }
        host.pass(2_000);
    }
    assert_eq!((host.outcomes().len(), host.take_publishes().len()), (0, 0), "it waits in the store");
    while !host.uncommitted.is_empty() {
        host.commit(Ok(()));
    }
    assert_eq!(host.take_publishes().iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [Some(1)]);
}
