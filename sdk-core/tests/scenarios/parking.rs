//! In the background: fewer pings, timers that stand still, signs of another network.

use moorline_core::protocol::{ClientFrame, Park, Ping, Pong, ProducerState, ServerFrame};
use moorline_core::{ConnectionState, HostSignal, StateReason};

use crate::host::{Host, welcome};

/// A client in the background, parked at the first interval.
fn parked() -> Host {
    let mut host = Host::online();
    host.signal(HostSignal::Background);
    assert_eq!(wish(&mut host), Some(60_000));
    answer(&mut host, 60_000);
    host
}

/// Returns the interval that was asked for since the last call.
fn wish(host: &mut Host) -> Option<u32> {
    host.take_frames().into_iter().rev().find_map(|frame| match frame {
        ClientFrame::Park(Park { ping }) => ping,
        _ => None,
    })
}

fn answer(host: &mut Host, interval: u32) {
    host.send(ServerFrame::Ping(Ping { n: 1, next: Some(interval) }));
}

fn ping(host: &mut Host) {
    host.send(ServerFrame::Ping(Ping { n: 2, next: None }));
}

#[test]
fn silent_intervals_make_it_longer() {
    let mut host = parked();
    for _ in 0..2 {
        host.pass(60_000);
        ping(&mut host);
        assert_eq!(wish(&mut host), None);
    }
    host.pass(60_000);
    ping(&mut host);
    assert_eq!(wish(&mut host), Some(90_000));
    answer(&mut host, 90_000);
    host.pass(99_000);
    assert_eq!(host.client.state(), ConnectionState::Online);
    // This network does not bear it: back to what it did bear.
    host.pass(1_001);
    assert_eq!(host.last_reason(), StateReason::Silent);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    assert_eq!(wish(&mut host), Some(75_000), "half way between good and bad");
}

#[test]
fn messages_in_between_prove_nothing() {
    let mut host = parked();
    for _ in 0..9 {
        host.pass(30_000);
        host.send(ServerFrame::Pong(Pong { n: 99 }));
        host.pass(30_000);
        ping(&mut host);
    }
    assert_eq!(wish(&mut host), None);
    for _ in 0..9 {
        host.pass(30_000);
        host.publish("room", moorline_core::PublishOptions::new());
        host.pass(30_000);
        ping(&mut host);
    }
    assert_eq!(wish(&mut host), None);
}

#[test]
fn an_answer_to_an_earlier_wish_bounds_nothing() {
    let mut host = parked();
    host.signal(HostSignal::Foreground);
    host.signal(HostSignal::Background);
    answer(&mut host, 25_000);
    answer(&mut host, 60_000);
    host.signal(HostSignal::Foreground);
    answer(&mut host, 25_000);
    host.take_frames();
    host.signal(HostSignal::Background);
    assert_eq!(wish(&mut host), Some(60_000));
    // The answer to this one does.
    answer(&mut host, 40_000);
    host.signal(HostSignal::Foreground);
    answer(&mut host, 25_000);
    host.take_frames();
    host.signal(HostSignal::Background);
    assert_eq!(wish(&mut host), Some(40_000));
}

#[test]
fn another_network_is_probed_and_learnt_anew() {
    let mut host = parked();
    for _ in 0..3 {
        host.pass(60_000);
        ping(&mut host);
    }
    assert_eq!(wish(&mut host), Some(90_000));
    host.signal(HostSignal::Network(7));
    assert!(matches!(host.take_frames()[..], [ClientFrame::Ping(_)]), "a probe");
    host.pass(5_001);
    assert_eq!(host.last_reason(), StateReason::Silent);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    assert_eq!(wish(&mut host), Some(60_000));
}

#[test]
fn throttled_timers_end_nothing() {
    // A hidden page: the socket is served, timers fire once a minute at most.
    let mut host = Host::online();
    for minute in 1..=5 {
        for _ in 0..2 {
            host.sleep(25_000);
            ping(&mut host);
        }
        host.sleep(10_000 + minute);
        host.client.handle_timeout(host.now());
        host.drain();
        assert_eq!(host.client.state(), ConnectionState::Online);
    }
}

#[test]
fn a_page_that_stood_still_probes_first() {
    // Whether shorter or longer than what counts as a jump of the clock.
    for stood in [38_000, 49_000, 70_000, 3_600_000] {
        let mut host = Host::online();
        host.take_frames();
        host.sleep(stood);
        host.client.handle_timeout(host.now());
        host.drain();
        assert_eq!(host.client.state(), ConnectionState::Online, "{stood}");
        let [ClientFrame::Ping(probe)] = host.take_frames()[..] else { panic!("no probe after {stood}") };
        let mut dead = host;
        dead.pass(4_999);
        dead.send(ServerFrame::Pong(Pong { n: probe.n }));
        dead.pass(20_000);
        assert_eq!(dead.client.state(), ConnectionState::Online, "{stood}");
    }
    let mut host = Host::online();
    host.sleep(38_000);
    host.client.handle_timeout(host.now());
    host.drain();
    host.pass(5_000);
    assert_eq!(host.last_reason(), StateReason::Silent, "a connection that is dead is noticed with the probe");
}

#[test]
fn a_wall_clock_that_jumps_ends_nothing() {
    for jump in [-365_i64, -1, 1, 365] {
        let mut host = Host::online();
        host.take_frames();
        let mut now = host.now();
        now.unix = now.unix.saturating_add_signed(jump * 86_400_000);
        host.client.handle_timeout(now);
        host.drain();
        assert_eq!(host.client.state(), ConnectionState::Online);
        assert!(matches!(host.take_frames()[..], [ClientFrame::Ping(_)]), "one probe");
    }
}

/// The device is on this network; the probe that this is worth is answered.
fn enter(host: &mut Host, network: u64) {
    host.signal(HostSignal::Network(network));
    let probe = host.take_frames().into_iter().find_map(|frame| match frame {
        ClientFrame::Ping(ping) => Some(ping.n),
        _ => None,
    });
    host.send(ServerFrame::Pong(Pong { n: probe.unwrap() }));
}

#[test]
fn what_was_learnt_outlives_the_process() {
    let mut host = Host::online();
    enter(&mut host, 7);
    host.signal(HostSignal::Background);
    answer(&mut host, 60_000);
    for _ in 0..3 {
        host.pass(60_000);
        ping(&mut host);
    }
    assert_eq!(wish(&mut host), Some(90_000));
    let again = |mut host: Host, network: Option<u64>| {
        host.go_online();
        host.take_frames();
        network.into_iter().for_each(|id| enter(&mut host, id));
        host.signal(HostSignal::Background);
        (wish(&mut host).unwrap(), host)
    };
    let (unnamed, host) = again(host.restart(), None);
    assert_eq!(unnamed, 60_000, "the host has not said which network this is");
    let (known, host) = again(host.restart(), Some(7));
    assert_eq!(known, 90_000);
    let (other, _) = again(host.restart(), Some(8));
    assert_eq!(other, 60_000);
}

#[test]
fn a_loss_in_the_background_outlives_the_process_too() {
    let mut host = parked();
    host.pass(70_001);
    assert_eq!(host.last_reason(), StateReason::Silent);
    let mut host = host.restart();
    host.go_online();
    host.take_frames();
    host.signal(HostSignal::Background);
    assert_eq!(wish(&mut host), Some(30_000), "half of what this one network did not bear");
}
