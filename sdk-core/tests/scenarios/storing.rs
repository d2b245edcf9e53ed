use moorline_core::protocol::{ErrorCode, HistoryRange, Offset, Page, ProducerState, Qos, ServerFrame};
use moorline_core::{
    Client, ClientConfig, Event, HistoryQuery, PublishOptions, PublishOutcome, StateReason, StoreError,
};

use crate::host::{Commits, Host, channel, epoch, welcome};

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
    assert_eq!(host.events.last(), Some(&Event::Closed));
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
