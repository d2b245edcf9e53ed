use moorline_core::protocol::{
    Authed, ClientFrame, CloseCode, ErrorCode, ErrorFrame, Goaway, GoawayReason, Ping, Pong, ProducerState, ServerFrame,
};
use moorline_core::{
    ClientConfig, ConnectionState, Event, Failure, HostSignal, Input, Origin, StateReason, StoreError,
    SubscribeOptions, TokenReason, TokenSource, TransportId,
};

use crate::host::{Commits, Host, welcome};

fn hello(frames: &[ClientFrame]) -> &moorline_core::protocol::Hello {
    let ClientFrame::Hello(hello) = &frames[0] else { panic!("the first frame is {:?}", frames[0]) };
    hello
}

fn last_reason(host: &Host) -> &StateReason {
    let reasons = host.events.iter().rev().filter_map(|event| match event {
        Event::StateChanged { reason, .. } => Some(reason),
        _ => None,
    });
    { reasons }.next().unwrap()
}

#[test]
fn the_boot_counter_is_durable_before_the_first_hello() {
    let mut host = Host::new();
    host.commits = Commits::ByHand;
    host.connect();
    assert!(host.opened.is_empty(), "nothing opens before the first batch is committed");
    host.commit(Err(StoreError::Full));
    assert_eq!(last_reason(&host), &StateReason::Store(StoreError::Full));
    host.wait();
    host.commit(Ok(()));
    host.open();
    assert_eq!(hello(&host.frames).run.unwrap().boot, 1);
    host.commits = Commits::AtOnce;
    let device = hello(&host.frames).device.clone();
    let mut again = host.restart();
    again.connect();
    again.open();
    assert_eq!(hello(&again.frames).run.unwrap().boot, 2);
    assert_eq!(hello(&again.frames).device, device, "the device stays");
}

#[test]
fn addresses_are_tried_in_turn_with_growing_pauses() {
    let mut config = ClientConfig::new("ws://a");
    config.urls.push("ws://b".into());
    let mut host = Host::with(config, Default::default());
    host.connect();
    for _ in 0..12 {
        host.cut(None);
        let before = host.opened.len();
        host.wait();
        assert_eq!(host.opened.len(), before + 1);
    }
    let urls: Vec<_> = host.opened.iter().take(4).map(|(_, url)| url.as_str()).collect();
    assert_eq!(urls, ["ws://a", "ws://b", "ws://a", "ws://b"]);
    assert!(host.now_ms > 5_000, "12 attempts without pauses: {} ms", host.now_ms);
}

#[test]
fn an_attempt_without_an_answer_is_given_up() {
    let mut host = Host::new();
    host.connect();
    host.open();
    host.pass(10_000);
    assert_eq!(last_reason(&host), &StateReason::ConnectTimeout);
    assert_eq!(host.closed.len(), 1);
}

#[test]
fn a_socket_that_never_opens_is_given_up_and_closed() {
    let mut host = Host::new();
    host.connect();
    host.pass(10_000);
    assert_eq!(last_reason(&host), &StateReason::ConnectTimeout);
    assert_eq!(host.closed, [(TransportId(1), CloseCode::NORMAL)]);
}

#[test]
fn why_a_socket_failed_is_told_and_it_is_tried_again() {
    let mut host = Host::new();
    host.connect();
    let code = ErrorCode::Other("transport.tls".into());
    let failure = Failure::new(code, "the certificate is not trusted", Origin::Transport);
    let id = host.transport();
    host.input(Input::TransportFailed { id: TransportId(id.0 + 1), failure: failure.clone() });
    assert_eq!(host.client.state(), ConnectionState::Connecting);
    host.input(Input::TransportFailed { id, failure: failure.clone() });
    assert_eq!(last_reason(&host), &StateReason::TransportFailed(failure));
    host.reopen();
    assert_eq!(host.opened.len(), 2);
}

#[test]
fn late_callbacks_of_an_old_socket_change_nothing() {
    let mut host = Host::online();
    let old = host.transport();
    host.cut(None);
    host.reopen();
    let events = host.events.len();
    host.input(Input::TransportClosed { id: old, code: Some(CloseCode::DISPLACED) });
    host.input(Input::TransportOpened { id: old });
    host.input(Input::Message { id: old, bytes: vec![1, 2, 3].into() });
    host.input(Input::TransportOpened { id: TransportId(99) });
    assert_eq!(host.events.len(), events);
}

#[test]
fn a_ping_is_answered_at_once_and_silence_ends_the_connection() {
    let mut host = Host::online();
    host.send(ServerFrame::Ping(Ping { n: 5, next: Some(60_000) }));
    assert_eq!(host.frames.last(), Some(&ClientFrame::Pong(Pong { n: 5 })));
    host.pass(69_999);
    assert_eq!(host.client.state(), ConnectionState::Online);
    host.pass(1);
    assert_eq!(host.client.state(), ConnectionState::Recovering);
    assert_eq!(last_reason(&host), &StateReason::Silent);
}

#[test]
fn any_byte_counts_as_a_sign_of_life() {
    let mut host = Host::online();
    for _ in 0..10 {
        host.pass(30_000);
        let id = host.transport();
        host.input(Input::Activity { id });
    }
    assert_eq!(host.client.state(), ConnectionState::Online);
}

#[test]
fn after_a_sleep_one_probe_decides() {
    let mut host = Host::online();
    host.sleep(3_600_000);
    host.pass(0);
    assert_eq!(host.client.state(), ConnectionState::Online);
    let Some(ClientFrame::Ping(ping)) = host.frames.last().cloned() else { panic!("no probe") };
    host.send(ServerFrame::Pong(Pong { n: ping.n }));
    host.pass(6_000);
    assert_eq!(host.client.state(), ConnectionState::Online);
    host.signal(HostSignal::Wake);
    host.pass(5_000);
    assert_eq!(last_reason(&host), &StateReason::Silent);
}

#[test]
fn a_final_close_says_why_and_stops() {
    let mut host = Host::new();
    host.connect();
    host.open();
    host.send(ServerFrame::Error(ErrorFrame::new(ErrorCode::AuthInvalid, "forged")));
    host.cut(Some(4502));
    let StateReason::Refused(failure) = last_reason(&host) else { panic!() };
    assert_eq!((failure.code.clone(), failure.message.as_str()), (ErrorCode::AuthInvalid, "forged"));
    assert_eq!(host.client.state(), ConnectionState::Closed);
    assert_eq!(host.client.poll_timeout(), None);
}

fn with_provider() -> Host {
    let mut config = ClientConfig::new("ws://a");
    config.token = TokenSource::Provider;
    Host::with(config, Default::default())
}

#[test]
fn an_expired_token_is_replaced_before_the_next_attempt() {
    let mut host = with_provider();
    host.connect();
    assert_eq!(host.token_asks, [TokenReason::Connect]);
    host.connect();
    assert_eq!(host.token_asks.len(), 1, "one request at most");
    host.input(Input::Token(Ok(Some("t1".into()))));
    host.open();
    assert_eq!(hello(&host.frames).token.as_deref(), Some("t1"));
    host.cut(Some(4100));
    host.wait();
    assert_eq!(host.token_asks, [TokenReason::Connect, TokenReason::Refused]);
    host.take_frames();
    host.input(Input::Token(Ok(Some("t2".into()))));
    host.open();
    assert_eq!(hello(&host.frames).token.as_deref(), Some("t2"));
}

#[test]
fn a_token_is_refreshed_in_band_before_it_expires() {
    let mut host = with_provider();
    host.connect();
    host.input(Input::Token(Ok(Some("t1".into()))));
    host.open();
    let mut greeting = welcome(ProducerState::New);
    greeting.expires = Some(greeting.time + 20_000);
    host.send(ServerFrame::Welcome(greeting));
    host.pass(15_000);
    assert_eq!(host.token_asks, [TokenReason::Connect, TokenReason::Expiring]);
    host.take_frames();
    host.input(Input::Token(Ok(Some("t2".into()))));
    let Some(ClientFrame::Auth(auth)) = host.frames.last().cloned() else { panic!("no auth") };
    assert_eq!(&*auth.token, "t2");
    host.send(ServerFrame::Authed(Authed { req: auth.req, expires: Some(1_700_000_000_000 + 615_000) }));
    host.pass(20_000);
    assert_eq!(host.token_asks.len(), 2, "the new token lives for minutes");
}

#[test]
fn a_failed_token_fetch_is_retried_with_pauses() {
    let mut host = with_provider();
    host.connect();
    for _ in 0..5 {
        let code = ErrorCode::ServerInternal;
        let failure = Failure::new(code, "down", Origin::Transport);
        host.input(Input::Token(Err(failure)));
        assert!(matches!(last_reason(&host), StateReason::Token(_)));
        host.wait();
    }
    assert_eq!(host.token_asks.len(), 6);
    assert!(host.now_ms > 1_500);
}

#[test]
fn goaway_is_followed_at_its_moment() {
    let mut host = Host::online();
    host.send(ServerFrame::Goaway(Goaway { after: 5_000, window: 2_000, reason: GoawayReason::Move }));
    host.pass(4_999);
    assert_eq!(host.client.state(), ConnectionState::Online);
    host.pass(2_002);
    assert_eq!(host.closed.len(), 1);
    assert_eq!(host.opened.len(), 2);
    assert_eq!(last_reason(&host), &StateReason::Goaway);
}

#[test]
fn a_restarting_server_is_left_alone_until_its_moment() {
    let mut host = Host::online();
    host.send(ServerFrame::Goaway(Goaway { after: 5_000, window: 1_000, reason: GoawayReason::Restart }));
    host.pass(1_000);
    host.cut(Some(4000));
    host.signal(HostSignal::Online);
    host.pass(3_999);
    assert_eq!(host.opened.len(), 1, "too early");
    host.pass(1_002);
    assert_eq!(host.opened.len(), 2);
}

#[test]
fn goaways_in_a_row_do_not_spin() {
    let mut host = Host::online();
    for _ in 0..30 {
        host.send(ServerFrame::Goaway(Goaway { after: 0, window: 0, reason: GoawayReason::Move }));
        host.reopen();
        host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    }
    assert!(host.now_ms > 60_000, "30 reconnects in {} ms", host.now_ms);
}

#[test]
fn offline_waits_for_the_network_or_twenty_seconds() {
    let mut host = Host::online();
    host.signal(HostSignal::Offline);
    host.cut(None);
    assert_eq!(last_reason(&host), &StateReason::Offline);
    host.pass(19_999);
    assert_eq!(host.opened.len(), 1);
    host.pass(2);
    assert_eq!(host.opened.len(), 2);
    host.signal(HostSignal::Offline);
    host.cut(None);
    host.signal(HostSignal::Online);
    assert_eq!(host.opened.len(), 3, "back at once");
}

#[test]
fn the_background_is_told_to_the_server() {
    let mut host = Host::online();
    host.signal(HostSignal::Background);
    assert!(matches!(host.frames.last(), Some(ClientFrame::Park(_))));
    host.cut(None);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    assert!(matches!(host.frames.last(), Some(ClientFrame::Park(_))), "again on a new connection");
    host.take_frames();
    host.signal(HostSignal::Foreground);
    assert_eq!(host.frames[0], ClientFrame::Unpark);
    assert!(matches!(host.frames[1], ClientFrame::Ping(_)));
}

#[test]
fn a_server_that_breaks_the_protocol_is_left_with_backoff() {
    let mut host = Host::online();
    host.raw(vec![0xff; 40]);
    assert!(matches!(last_reason(&host), StateReason::ProtocolViolation(_)));
    assert_eq!(host.closed.last().unwrap().1, CloseCode::PROTOCOL_ERROR);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    assert_eq!(last_reason(&host), &StateReason::ProtocolViolation("a second welcome"));
}

#[test]
fn many_subscriptions_are_split_over_several_frames() {
    let mut host = Host::new();
    for index in 0..1_200 {
        host.subscribe(&format!("{index:0128}"), SubscribeOptions::default());
    }
    host.connect();
    host.open();
    let inline = hello(&host.frames).subscribe.len();
    assert!(inline < 1_200);
    assert_eq!(inline + host.frames.len() - 1, 1_200);
}

#[test]
fn close_flushes_and_ends() {
    let mut host = Host::online();
    host.client.close(false, host.now());
    host.drain();
    assert_eq!(host.events.last(), Some(&Event::Closed { result: Ok(()) }));
    assert_eq!(host.closed.len(), 1);
    assert_eq!(host.client.poll_timeout(), None);
}

#[test]
fn a_deadline_says_what_set_it() {
    use moorline_core::{PublishOptions, TimerKind};
    let mut host = Host::new();
    assert_eq!(host.client.poll_timeout_reason(), None);
    host.publish("room", PublishOptions { ttl: Some(5), ..PublishOptions::new() });
    let kind = |host: &Host| host.client.poll_timeout_reason().map(|(_, kind)| kind);
    assert_eq!(kind(&host), Some(TimerKind::Outbox));
    host.pass(5_000);
    assert_eq!(kind(&host), None);
    host.go_online();
    let (at, kind) = host.client.poll_timeout_reason().unwrap();
    assert_eq!((Some(at), kind), (host.client.poll_timeout(), TimerKind::Connection));
}
