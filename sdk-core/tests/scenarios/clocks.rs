//! A device whose wall clock is a year off, in either direction: nothing rests on it, but for what a `ttl` means over a
//! restart.

use std::collections::BTreeMap;

use moorline_core::protocol::{ClientFrame, Ping, ProducerState, Qos, ServerFrame};
use moorline_core::{ClientConfig, ConnectionState, PublishOptions, PublishOutcome, TokenReason, TokenSource};

use crate::host::{Host, welcome};

const YEAR_MS: i64 = 365 * 86_400_000;
const SKEWS: [i64; 2] = [-YEAR_MS, YEAR_MS];

fn device(disk: BTreeMap<Vec<u8>, Vec<u8>>, skew_ms: i64) -> Host {
    Host::with_clock(ClientConfig::new("ws://a"), disk, skew_ms)
}

/// The `ttl` of each publish that was sent.
fn ttls(host: &Host) -> Vec<Option<u32>> {
    let ttl = |frame: &ClientFrame| if let ClientFrame::Publish(publish) = frame { Some(publish.ttl) } else { None };
    host.frames.iter().filter_map(ttl).collect()
}

#[test]
fn a_connection_lives_and_a_token_is_renewed_as_on_any_other_device() {
    for skew in SKEWS {
        let config = ClientConfig { token: TokenSource::Provider, ..ClientConfig::new("ws://a") };
        let mut host = Host::with_clock(config, BTreeMap::new(), skew);
        host.connect();
        host.input(moorline_core::Input::Token(Ok(Some("first".into()))));
        host.open();
        let mut greeting = welcome(ProducerState::New);
        greeting.expires = Some(greeting.time + 600_000);
        host.send(ServerFrame::Welcome(greeting));
        assert_eq!((host.client.state(), host.token_asks.len()), (ConnectionState::Online, 1));
        // Ten minutes of the server's time, whatever the device thinks that time is; long before that nothing happens.
        while host.token_asks.len() == 1 && host.now_ms < 700_000 {
            host.pass(10_000);
            host.send(ServerFrame::Ping(Ping { n: 1, next: None }));
        }
        assert_eq!(host.token_asks.last(), Some(&TokenReason::Expiring), "{skew}");
        assert!((300_000..600_000).contains(&host.now_ms), "{skew}: at {} ms", host.now_ms);
    }
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
    let mut host = device(host.disk, 0);
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
    let mut host = device(host.disk, 0);
    host.go_online();
    assert_eq!(ttls(&host), [Some(60 + (YEAR_MS / 1_000) as u32 + 1)]);
}
