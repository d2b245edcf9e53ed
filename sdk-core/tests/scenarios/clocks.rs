//! The device's wall clock, and what others say of the time: both inform, and decide nothing.

use moorline_core::protocol::{ProducerState, Qos, ServerFrame, Start};
use moorline_core::{ClientConfig, Event, Input, PublishOptions, SubscribeOptions, TokenSource};

use crate::host::{Host, deliver, message, welcome};

const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

/// What a client said and told, each with its second.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn note(&mut self, host: &mut Host) {
        let at = host.now_ms / 1_000;
        self.0.extend(host.take_frames().into_iter().map(|frame| format!("{at} {frame:?}")));
        self.0.extend(host.take_events().into_iter().map(|event| format!("{at} {event:?}")));
        self.0.extend(host.token_asks.drain(..).map(|reason| format!("{at} {reason:?}")));
    }
}

/// Plays a client whose clock is off by so much: it reads, publishes, renews its token and comes back after a cut.
fn play(skew_ms: i64) -> Vec<String> {
    let config = ClientConfig { token: TokenSource::Provider, ..ClientConfig::new("ws://a") };
    let mut host = Host::with(config, Default::default());
    host.skew_ms = skew_ms;
    let mut seen = Seen::default();
    host.connect();
    host.input(Input::Token(Ok(Some("t1".into()))));
    host.open();
    let mut greeting = welcome(ProducerState::New);
    (greeting.time, greeting.ping) = (1_700_000_000_000, 3_600_000);
    greeting.expires = Some(greeting.time + 600_000);
    host.send(ServerFrame::Welcome(greeting));
    host.subscribe("room", SubscribeOptions::default());
    host.subscribed("room", 10, 10, Start::Live);
    let options = PublishOptions {
        qos: Some(Qos::ExactlyOnce),
        id: Some("mine".into()),
        ttl: Some(3_600),
        ..PublishOptions::default()
    };
    host.publish("room", options);
    host.deliver("room", [11]);
    for _ in 0..700 {
        host.pass(1_000);
        seen.note(&mut host);
    }
    host.cut(None);
    host.pass(1_000);
    host.input(Input::Token(Ok(Some("t2".into()))));
    host.open();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    seen.note(&mut host);
    seen.0
}

#[test]
fn a_clock_that_is_wrong_by_a_year_changes_nothing() {
    let right = play(0);
    assert!(right.iter().any(|line| line.ends_with("Expiring")), "{right:#?}");
    assert!(right.iter().filter(|line| line.contains("Publish(")).count() >= 2, "sent, and sent again: {right:#?}");
    for years in [-1, 1] {
        assert_eq!(play(years * YEAR_MS), right);
    }
}

#[test]
fn order_is_by_offset_whatever_the_times_say() {
    let mut host = Host::online();
    host.subscribe("room", SubscribeOptions::default());
    host.subscribed("room", 10, 10, Start::Live);
    let times = [1_700_000_000_000, 1, 4_000_000_000_000, 0, 1_700_000_000_000];
    let messages = (11..).zip(times).map(|(offset, time)| {
        let mut message = message(offset, None);
        message.time = time;
        message
    });
    host.send(deliver("room", messages.collect()));
    let seen = |event| match event {
        Event::Message { message, .. } => Some((message.message.offset.map(|offset| offset.0), message.message.time)),
        _ => None,
    };
    let seen: Vec<_> = host.take_events().into_iter().filter_map(seen).collect();
    assert_eq!(seen, (11..).map(Some).zip(times).collect::<Vec<_>>());
}
