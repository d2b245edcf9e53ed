//! Receivers that are busy, gone, or slow with one user or channel.

use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use moorline_server::engine::hooks::HookKind;
use moorline_server::hooks::{Hook, Times};
use moorline_server::server::{Options, Server};

use super::receiver::{Answer, Receiver, Request};
use super::{device, hook, publish};
use crate::http::Http;

fn options(hooks: &[&Hook]) -> Options {
    Options { hooks: hooks.iter().map(|hook| (*hook).clone()).collect(), ..Options::dev() }
}

/// Returns the value of a series; 0 where there is none.
fn number(server: &Server, series: &str) -> u64 {
    let text = Http::new(server.address(), "dev").bare("GET", "/metrics", &[], None).text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Asks until a number is there.
fn wait_for(server: &Server, series: &str, value: u64) {
    let begin = Instant::now();
    while number(server, series) != value {
        assert!(begin.elapsed() < Duration::from_secs(60), "{series} is {}", number(server, series));
    }
}

fn ids(request: &Request) -> Vec<String> {
    request.events().iter().map(|event| event["message"]["id"].as_str().unwrap().to_owned()).collect()
}

/// Answers the first request so, and then as one should; tells when each came.
fn once(answer: impl Fn() -> Answer + Send + 'static) -> (Receiver, mpsc::Receiver<(Instant, SystemTime)>) {
    let (came, times) = mpsc::channel();
    let mut is_first = true;
    let receiver = Receiver::start(move |_| {
        let _ = came.send((Instant::now(), SystemTime::now()));
        if std::mem::take(&mut is_first) { answer() } else { Answer::Status(204) }
    });
    (receiver, times)
}

fn busy(status: u16, retry_after: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status} x\r\nretry-after: {retry_after}\r\ncontent-length: 0\r\n\r\n"))
}

#[test]
fn a_receiver_that_says_when_is_not_asked_before() {
    // Between the clocks of both sides lies what each rounds off.
    let rounded = Duration::from_millis(10);
    let patient = |receiver: &Receiver| {
        let hook = hook(&receiver.url(), &[HookKind::MessageStored]);
        Hook { times: Times { last_retry: 3_600_000, ..hook.times }, ..hook }
    };
    for status in [429, 503] {
        let (receiver, times) = once(move || busy(status, "1"));
        let server = Server::start(options(&[&patient(&receiver)])).unwrap();
        let (mut bob, _) = device(server.address(), "bob");
        publish(&mut bob, "room", "a");
        let [first, second] = [(); 2].map(|()| receiver.request());
        assert_eq!((first.id(), ids(&first)), (second.id(), ids(&second)));
        let (first, second) = (times.recv().unwrap().0, times.recv().unwrap().0);
        assert!(second - first + rounded >= Duration::from_secs(1), "{status}: {:?}", second - first);
    }
    // The date that it gives: 2 s to 3 s from now.
    let (tell, told) = mpsc::channel();
    let (receiver, times) = once(move || {
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
        tell.send(httpdate::parse_http_date(&date).unwrap()).unwrap();
        busy(503, &date)
    });
    let server = Server::start(options(&[&patient(&receiver)])).unwrap();
    let (mut bob, _) = device(server.address(), "bob");
    publish(&mut bob, "room", "a");
    assert_eq!([(); 2].map(|()| ids(&receiver.request())), [["a"], ["a"]]);
    times.recv().unwrap();
    assert!(times.recv().unwrap().1 + rounded >= told.recv().unwrap());
}

#[test]
fn a_receiver_that_wants_to_be_left_alone_for_a_year_is_asked_within_the_longest_pause() {
    for lie in ["31536000", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "-5"] {
        let (receiver, _times) = once(move || busy(429, lie));
        let server = Server::start(options(&[&hook(&receiver.url(), &[HookKind::MessageStored])])).unwrap();
        let (mut bob, _) = device(server.address(), "bob");
        publish(&mut bob, "room", "a");
        assert_eq!([(); 2].map(|()| ids(&receiver.request())), [["a"], ["a"]], "{lie}");
    }
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_until_the_configuration_is_read_again_and_nothing_is_lost() {
    let (receiver, _times) = once(|| Answer::Status(410));
    let other = Receiver::start(|_| Answer::Status(200));
    let gone = hook(&receiver.url(), &[HookKind::MessageStored]);
    let free = Hook { name: "free".into(), ..hook(&other.url(), &[HookKind::MessageStored]) };
    let server = Server::start(options(&[&gone, &free])).unwrap();
    let (mut bob, _) = device(server.address(), "bob");
    publish(&mut bob, "room", "m0");
    assert_eq!(ids(&receiver.request()), ["m0"]);
    wait_for(&server, "moorline_hook_gone{app=\"default\",hook=\"test\"}", 1);
    assert_eq!(ids(&other.request()), ["m0"]);
    for n in 1..20 {
        publish(&mut bob, "room", &format!("m{n}"));
        other.request();
    }
    assert!(receiver.look().is_none(), "a receiver that is gone was asked");
    wait_for(&server, "moorline_hook_backlog{app=\"default\",hook=\"test\"}", 20);
    wait_for(&server, "moorline_hook_events_total{app=\"default\",hook=\"free\",outcome=\"delivered\"}", 20);
    assert_eq!(number(&server, "moorline_hook_gone{app=\"default\",hook=\"free\"}"), 0);

    server.reload(options(&[&gone, &free]));
    let mut told = Vec::new();
    while told.len() < 20 {
        told.extend(ids(&receiver.request()));
    }
    assert_eq!(told, (0..20).map(|n| format!("m{n}")).collect::<Vec<_>>());
    wait_for(&server, "moorline_hook_backlog{app=\"default\",hook=\"test\"}", 0);
    for (series, value) in [
        ("moorline_hook_gone{app=\"default\",hook=\"test\"}", 0),
        ("moorline_hook_oldest_seconds{app=\"default\",hook=\"test\"}", 0),
        ("moorline_hook_requests_total{app=\"default\",hook=\"test\",outcome=\"status\"}", 1),
        ("moorline_hook_events_total{app=\"default\",hook=\"test\",outcome=\"delivered\"}", 20),
        ("moorline_hook_events_total{app=\"default\",hook=\"test\",outcome=\"given_up\"}", 0),
    ] {
        assert_eq!(number(&server, series), value, "{series}");
    }
}

#[test]
fn a_channel_that_takes_its_time_holds_up_itself_alone() {
    let mut is_first = true;
    let receiver =
        Receiver::start(move |_| if std::mem::take(&mut is_first) { Answer::Hang } else { Answer::Status(200) });
    let slow = hook(&receiver.url(), &[HookKind::MessageStored]);
    // Longer than this test waits for anything.
    let slow = Hook { max_requests: 2, times: Times { answer: 60_000, ..slow.times }, ..slow };
    let server = Server::start(options(&[&slow])).unwrap();
    let (mut bob, _) = device(server.address(), "bob");
    publish(&mut bob, "slow", "s0");
    assert_eq!(ids(&receiver.request()), ["s0"]);
    for n in 0..20 {
        publish(&mut bob, "slow", &format!("s{}", n + 1));
        publish(&mut bob, "room", &format!("m{n}"));
    }
    let mut told = Vec::new();
    while told.len() < 20 {
        told.extend(ids(&receiver.request()));
    }
    assert_eq!(told, (0..20).map(|n| format!("m{n}")).collect::<Vec<_>>());
    wait_for(&server, "moorline_hook_backlog{app=\"default\",hook=\"test\"}", 21);
}

#[test]
fn what_is_given_up_is_counted() {
    let receiver = Receiver::start(|_| Answer::Status(500));
    let dead = hook(&receiver.url(), &[HookKind::MessageStored]);
    let dead = Hook { times: Times { max_age: 500, ..dead.times }, ..dead };
    let server = Server::start(options(&[&dead])).unwrap();
    let (mut bob, _) = device(server.address(), "bob");
    for id in ["a", "b"] {
        publish(&mut bob, "room", id);
    }
    wait_for(&server, "moorline_hook_events_total{app=\"default\",hook=\"test\",outcome=\"given_up\"}", 2);
    wait_for(&server, "moorline_hook_backlog{app=\"default\",hook=\"test\"}", 0);
    assert!(number(&server, "moorline_hook_requests_total{app=\"default\",hook=\"test\",outcome=\"status\"}") >= 1);
}
