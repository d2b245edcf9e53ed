//! Token providers that do not answer, or have nothing to say.

use moorline_core::protocol::{ClientFrame, ErrorCode, ProducerState, ServerFrame};
use moorline_core::{ClientConfig, ConnectionState, Input, StateReason, TokenReason, TokenSource};

use crate::host::{Host, welcome};

fn with_provider() -> Host {
    let mut config = ClientConfig::new("ws://a");
    config.token = TokenSource::Provider;
    let mut host = Host::with(config, Default::default());
    host.connect();
    host
}

#[test]
fn a_provider_that_does_not_answer_is_asked_again() {
    let mut host = with_provider();
    host.pass(60_000);
    let StateReason::Token(failure) = host.last_reason() else { panic!("{:?}", host.last_reason()) };
    assert_eq!(failure.code, ErrorCode::RequestTimeout);
    host.pass(1_000);
    assert_eq!(host.token_asks, [TokenReason::Connect; 2]);
    // The first answer comes after all.
    host.input(Input::Token(Ok(Some("t1".into()))));
    assert_eq!(host.opened.len(), 1);
    host.input(Input::Token(Ok(Some("t2".into()))));
    assert_eq!(host.opened.len(), 1);
}

#[test]
fn a_refresh_that_does_not_come_is_asked_for_again() {
    let mut host = with_provider();
    host.input(Input::Token(Ok(Some("t1".into()))));
    host.open();
    let mut greeting = welcome(ProducerState::New);
    greeting.expires = Some(greeting.time + 600_000);
    greeting.ping = 600_000;
    host.send(ServerFrame::Welcome(greeting));
    host.pass(605_000);
    assert_eq!(host.client.state(), ConnectionState::Online);
    assert_eq!(host.token_asks, [TokenReason::Connect, TokenReason::Expiring, TokenReason::Expiring]);
}

#[test]
fn a_token_travels_in_hello_and_in_no_address() {
    let config = ClientConfig { token: TokenSource::Fixed("secret".into()), ..ClientConfig::new("ws://a/ws?x=1") };
    let mut host = Host::with(config, Default::default());
    host.connect();
    host.open();
    assert_eq!(host.opened.iter().map(|(_, url)| url.as_str()).collect::<Vec<_>>(), ["ws://a/ws?x=1"]);
    let frames = host.take_frames();
    let [ClientFrame::Hello(hello)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(hello.token.as_deref(), Some("secret"));
}

#[test]
fn a_token_that_was_asked_for_long_ago_is_given_up_at_the_next_attempt() {
    let mut host = with_provider();
    host.connect();
    host.input(Input::Token(Ok(Some("t1".into()))));
    host.open();
    let mut greeting = welcome(ProducerState::New);
    greeting.expires = Some(greeting.time + 600_000);
    greeting.ping = 600_000;
    host.send(ServerFrame::Welcome(greeting));
    while host.token_asks.len() < 2 {
        host.wait();
    }
    // The connection breaks, and the device sleeps until the old token is worthless and the new one overdue.
    host.cut(None);
    host.sleep(3_600_000);
    host.wait();
    assert!(matches!(host.last_reason(), StateReason::Token(_)), "{:?}", host.last_reason());
    while host.token_asks.len() < 3 {
        host.wait();
    }
}
