//! The device's wall clock, and what others say of the time: both inform, and decide nothing but what a
//! `ttl` means over a restart.

use std::collections::BTreeMap;

use moorline_core::protocol::{ClientFrame, ProducerState, Qos, ServerFrame, Start};
use moorline_core::{ClientConfig, Event, Input, PublishOptions, PublishOutcome, SubscribeOptions, TokenSource};

use crate::host::{Host, deliver, message, welcome};

const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

const SKEWS: [i64; 2] = [-YEAR_MS, YEAR_MS];

fn device(disk: BTreeMap<Vec<u8>, Vec<u8>>, skew_ms: i64) -> Host {
    Host::with_clock(ClientConfig::new("ws://a"), disk, skew_ms)
}

/// The `ttl` of each publish that was sent.
fn ttls(host: &Host) -> Vec<Option<u32>> {
    let ttl = |frame: &ClientFrame| if let ClientFrame::Publish(publish) = frame { Some(publish.ttl) } else { None };
    host.frames.iter().filter_map(ttl).collect()
}

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

#[test]
fn a_ttl_counts_from_the_publish_while_the_process_runs() {
    for skew in SKEWS {
        let mut host = device(BTreeMap::new(), skew);
        host.publish("room", PublishOptions::new().ttl(60));
        host.publish("room", PublishOptions::new().ttl(20));
        host.pass(30_000);
        assert!(
            matches!(&host.outcomes()[..], [(_, PublishOutcome::Failed(why))] if why.code.name() == "publish.expired"),
            "{skew}: {:?}",
            host.outcomes()
        );
        host.go_online();
        assert_eq!(ttls(&host), [Some(30)], "{skew}");
    }
}

#[test]
fn a_clock_that_is_put_right_between_two_starts_changes_a_ttl_and_tells() {
    // It was a year behind when the message was published: by the right clock it has expired, and the app is told so.
    let brief = PublishOptions::new().qos(Qos::ExactlyOnce).ttl(60);
    let mut host = device(BTreeMap::new(), -YEAR_MS);
    host.publish("room", brief.clone());
    let mut host = device(host.disk.clone(), 0);
    host.go_online();
    let outcomes = host.outcomes();
    assert!(
        matches!(&outcomes[..], [(_, PublishOutcome::Failed(why))] if why.code.name() == "publish.expired"),
        "{outcomes:?}"
    );
    assert_eq!(ttls(&host), []);
    // It was a year ahead: the message goes out, and lives so much longer.
    let mut host = device(BTreeMap::new(), YEAR_MS);
    host.publish("room", brief);
    let mut host = device(host.disk.clone(), 0);
    host.go_online();
    assert_eq!(ttls(&host), [Some(60 + (YEAR_MS / 1_000) as u32 + 1)]);
}
