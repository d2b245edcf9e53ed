//! What an app may not ask for is refused here: the server would end the connection for good, at every start.

use moorline_core::protocol::limits::{MAX_SAFE_INTEGER, TOKEN_BYTES};
use moorline_core::protocol::{ErrorCode, HistoryRange, Offset, Payload, Position, Utf8Bytes};
use moorline_core::{
    ClientConfig, ConnectionState, Event, HistoryQuery, Input, PublishError, PublishOptions, StartAt, StateReason,
    SubscribeError, SubscribeOptions, TokenSource,
};

use crate::host::{EPOCH, Host, channel, epoch};

const BEYOND: u64 = MAX_SAFE_INTEGER + 1;

#[test]
fn a_header_has_a_name() {
    let mut host = Host::online();
    let payload = Payload::Text(Utf8Bytes::from("hi"));
    let options = PublishOptions::new().header("", "x");
    let refused = host.client.publish(&channel("room"), payload, options, host.now());
    assert_eq!(refused, Err(PublishError::Headers));
}

#[test]
fn a_start_that_no_frame_can_carry_is_refused() {
    let mut host = Host::online();
    let at = |offset| StartAt::Position(Position { epoch: epoch(EPOCH), offset: Offset(offset) });
    let mut subscribe =
        |name: &str, since| host.client.subscribe(&channel(name), SubscribeOptions::new().since(since), host.now());
    assert!(matches!(subscribe("a", at(BEYOND)), Err(SubscribeError::Options(_))));
    assert!(matches!(subscribe("b", StartAt::Time(BEYOND)), Err(SubscribeError::Options(_))));
    assert!(subscribe("a", at(MAX_SAFE_INTEGER)).is_ok());
    assert!(subscribe("b", StartAt::Time(MAX_SAFE_INTEGER)).is_ok());
}

#[test]
fn a_query_that_no_frame_can_carry_is_answered_at_once() {
    let mut host = Host::online();
    host.take_frames();
    let queries = [
        HistoryQuery::new(HistoryRange::Before(Offset(u64::MAX))),
        HistoryQuery::new(HistoryRange::After(Offset(BEYOND))),
        HistoryQuery::new(HistoryRange::BeforeTime(BEYOND)),
        HistoryQuery::new(HistoryRange::AfterTime(BEYOND)),
        HistoryQuery::default().limit(0),
        HistoryQuery::default().limit(257),
    ];
    for query in queries {
        let id = host.client.history(&channel("room"), query, host.now());
        host.drain();
        let Some(Event::HistoryFinished { id: of, result: Err(failure) }) = host.events.pop() else { panic!() };
        assert_eq!((of, failure.code), (id, ErrorCode::RequestMalformed), "{query:?}");
    }
    host.client.history(
        &channel("room"),
        HistoryQuery::new(HistoryRange::Before(Offset(MAX_SAFE_INTEGER))),
        host.now(),
    );
    host.drain();
    assert_eq!(host.frames.len(), 1, "nothing of the others was sent");
}

#[test]
fn a_fixed_token_that_is_too_long_is_never_sent() {
    let mut config = ClientConfig::new("ws://a");
    config.token = TokenSource::Fixed("x".repeat(TOKEN_BYTES + 1));
    let mut host = Host::with(config, Default::default());
    host.connect();
    assert!(host.opened.is_empty());
    assert_eq!(host.client.state(), ConnectionState::Closed);
    let Some(Event::StateChanged { reason: StateReason::Refused(failure), .. }) = host.events.last() else { panic!() };
    assert_eq!(failure.code, ErrorCode::AuthInvalid);
}

#[test]
fn a_fetched_token_that_is_too_long_is_fetched_again() {
    let mut config = ClientConfig::new("ws://a");
    config.token = TokenSource::Provider;
    let mut host = Host::with(config, Default::default());
    host.connect();
    host.input(Input::Token(Ok(Some("x".repeat(TOKEN_BYTES + 1)))));
    assert!(host.opened.is_empty());
    assert!(matches!(host.events.last(), Some(Event::StateChanged { reason: StateReason::Token(_), .. })));
    host.wait();
    assert_eq!(host.token_asks.len(), 2);
}
