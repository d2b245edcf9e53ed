//! Servers that send their clients away, and signs that the network is back.

use moorline_core::protocol::{Goaway, GoawayReason, Pong, ProducerState, ServerFrame};
use moorline_core::{ClientConfig, ConnectionState, HostSignal, StateReason};

use crate::host::{Host, welcome};

fn goaway(host: &mut Host, after: u32, window: u32, reason: GoawayReason) {
    host.send(ServerFrame::Goaway(Goaway { after, window, reason }));
}

/// Returns ms until the next socket is opened.
fn dark(host: &mut Host) -> u64 {
    let (before, opened) = (host.now_ms, host.opened.len());
    while host.opened.len() == opened {
        host.wait();
    }
    host.now_ms - before
}

#[test]
fn a_cut_before_the_moment_of_a_move_is_a_cut() {
    for reason in [GoawayReason::Move, GoawayReason::Other("later".into())] {
        let mut host = Host::online();
        goaway(&mut host, 60_000, 0, reason);
        host.pass(1_000);
        host.cut(None);
        assert!(dark(&mut host) <= 1_000, "others serve: through backoff");
    }
    let mut host = Host::online();
    goaway(&mut host, 60_000, 0, GoawayReason::Move);
    host.cut(None);
    host.signal(HostSignal::Online);
    assert_eq!(host.opened.len(), 2, "and the network's return counts");
}

#[test]
fn nobody_is_sent_away_for_long() {
    let mut host = Host::online();
    goaway(&mut host, u32::MAX, u32::MAX, GoawayReason::Restart);
    host.cut(Some(4000));
    assert!(dark(&mut host) <= 600_000, "{} ms", host.now_ms);
}

#[test]
fn a_sign_of_the_network_hurries_an_attempt_under_way() {
    for signal in [HostSignal::Online, HostSignal::Wake, HostSignal::Foreground] {
        // The socket is opening, on a network that is gone.
        let mut host = Host::new();
        host.connect();
        host.pass(1_000);
        host.signal(signal);
        assert!(dark(&mut host) <= 5_500);
        assert_eq!(host.last_reason(), StateReason::ConnectTimeout);
        // It is open, and the server does not answer.
        host.open();
        host.pass(1_000);
        host.signal(signal);
        host.pass(4_000);
        host.signal(signal);
        host.pass(1_000);
        assert_ne!(host.client.state(), ConnectionState::Online);
        assert_eq!(host.closed.len(), 2, "{signal:?}: each sign shortens it, none prolongs it");
    }
}

#[test]
fn an_attempt_that_is_hurried_may_succeed() {
    let mut host = Host::new();
    host.connect();
    host.signal(HostSignal::Wake);
    host.open();
    host.pass(4_000);
    host.send(ServerFrame::Welcome(welcome(ProducerState::New)));
    host.pass(4_000);
    assert_eq!(host.client.state(), ConnectionState::Online);
    host.send(ServerFrame::Pong(Pong { n: 1 }));
}

#[test]
fn every_crash_is_spread_over_what_the_server_named() {
    const SPREAD: u32 = 60_000;
    let welcomed = |host: &mut Host| {
        let mut welcome = welcome(ProducerState::Resumed);
        welcome.limits.spread = SPREAD;
        host.send(ServerFrame::Welcome(welcome));
    };
    let mut host = Host::new();
    host.connect();
    host.open();
    welcomed(&mut host);
    let mut longest = 0;
    for crash in 0..20 {
        let before = host.now_ms;
        host.cut(None);
        host.reopen();
        let pause = host.now_ms - before;
        assert!(pause <= u64::from(SPREAD), "{pause}");
        longest = longest.max(pause);
        welcomed(&mut host);
        // Soon after the one before, and later.
        host.pass(if crash % 2 == 0 { 5_000 } else { 31_000 });
    }
    assert!(longest > ClientConfig::new("").max_backoff_ms, "{longest}: as if the server had named nothing");
}

#[test]
fn one_that_drops_its_clients_at_once_is_left_alone_longer_and_longer() {
    let mut host = Host::new();
    host.connect();
    host.open();
    let mut pauses = 0;
    for _ in 0..30 {
        let mut welcome = welcome(ProducerState::Resumed);
        welcome.limits.spread = 100;
        host.send(ServerFrame::Welcome(welcome));
        let before = host.now_ms;
        host.cut(None);
        host.reopen();
        pauses += host.now_ms - before;
    }
    assert!(pauses > 100_000, "{pauses}: thirty attempts within {pauses} ms");
}

/// Returns ms from a cut until the next socket, for so many clients of a server with this `welcome.limits.spread`.
fn crowd(clients: u8, spread: u32) -> Vec<u64> {
    let one = |seed| {
        let mut host = Host::seeded([seed; 32]);
        host.connect();
        host.open();
        let mut welcome = welcome(ProducerState::New);
        welcome.limits.spread = spread;
        host.send(ServerFrame::Welcome(welcome));
        host.cut(None);
        dark(&mut host)
    };
    (0..clients).map(one).collect()
}

#[test]
fn a_crowd_that_is_cut_together_comes_back_spread_out() {
    for (spread, window) in [(0, 500), (10_000, 10_000)] {
        let waits = crowd(200, spread);
        assert!(waits.iter().all(|wait| (1..=window).contains(wait)), "{waits:?}");
        for fifth in 0..5 {
            let (from, to) = (window * fifth / 5, window * (fifth + 1) / 5);
            let count = waits.iter().filter(|wait| (from + 1..=to).contains(wait)).count();
            assert!((20..=60).contains(&count), "{count} of 200 in {from}..{to}");
        }
    }
}

#[test]
fn only_the_first_attempt_after_a_loss_is_spread() {
    let mut host = Host::new();
    host.connect();
    host.open();
    let mut welcome = welcome(ProducerState::New);
    welcome.limits.spread = 600_000;
    host.send(ServerFrame::Welcome(welcome.clone()));
    host.cut(None);
    assert!(dark(&mut host) > 1_000, "spread by the server's word");
    for most in [1_000, 2_000, 4_000] {
        host.cut(None);
        assert!(dark(&mut host) <= most, "then backoff");
    }
    // One that the client ends has not vanished.
    host.open();
    host.send(ServerFrame::Welcome(welcome));
    host.pass(10);
    host.raw(vec![0xff; 3]);
    assert!(dark(&mut host) <= 8_000);
}
