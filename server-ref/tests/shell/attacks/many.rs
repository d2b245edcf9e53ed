//! Whoever comes with very much: sockets, requests, frames. What it costs is bounded, and everybody else is served.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::json;

use super::{a_newcomer_is_welcome, server};
use crate::http::{Answer, Http};
use crate::support::program::Program;
use crate::support::{CONTINUATION, Healthy, TEXT, Wire, frame, head, upgrade};

const MIB: usize = 1 << 20;
/// The API's connections at a time.
const HTTP_MOST: usize = 1_024;

/// Returns the most memory a process ever had, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn dial(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    Some(stream)
}

/// Reads all there is until the end. Returns how it begins.
fn rest(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut heard).map_err(|error| assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock));
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn a_storm_of_silent_sockets_of_one_address_is_sent_away_and_others_are_served() {
    let (_dir, program) = server("[server]\nproxies = []\n[limits]\nhandshakes_per_address = 256\n", &[]);
    let mut healthy = Healthy::connect(program.address(), "dev:healthy");
    let before = peak(program.id());
    let silent: Vec<_> = (0..2_000).map(|_| dial(program.address()).unwrap()).collect();
    healthy.beat();
    a_newcomer_is_welcome(program.address());
    let grown = peak(program.id()) - before;
    assert!(grown < 32 * MIB, "{} MiB for sockets that say nothing", grown / MIB);
    // Whoever is more than an address may have is told at once; the others are when their time for a head is over.
    let (mut away, mut late) = (0, 0);
    for stream in silent {
        match rest(stream).split(' ').nth(1) {
            Some("503") => away += 1,
            Some("408") => late += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(late <= 256 && away >= 1_744, "{away} were sent away, {late} were waited for");
    a_newcomer_is_welcome(program.address());
    healthy.beat();
}

#[test]
fn those_who_are_sent_away_and_stay_keep_nobody_out() {
    let (_dir, program) = server("[server]\nproxies = []\n[limits]\nhandshakes_per_address = 1\n", &["--shards", "1"]);
    // More than the 4,096 of a shard that may be shaking hands. None of them reads what it is told, or closes.
    let stay: Vec<_> = (0..4_300).map(|_| dial(program.address()).unwrap()).collect();
    a_newcomer_is_welcome(program.address());
    drop(stay);
}

#[test]
fn a_storm_of_sockets_that_upgrade_and_say_nothing_ends_by_itself_where_no_address_is_limited() {
    let (_dir, program) = server("[limits]\nhandshakes_per_address = 0\naccept_rate = 0\n", &[]);
    let mut healthy = Healthy::connect(program.address(), "dev:healthy");
    let before = peak(program.id());
    let mut silent = Vec::new();
    for n in 0..2_000 {
        let mut wire = Wire::dial(program.address());
        wire.raw(upgrade("/ws", "").as_bytes());
        silent.push(wire);
        if n % 500 == 0 {
            healthy.beat();
        }
    }
    a_newcomer_is_welcome(program.address());
    for mut wire in silent {
        let answer = wire.response();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        wire.expect_end("request.order", 4004);
    }
    let grown = peak(program.id()) - before;
    assert!(grown < 64 * MIB, "{} MiB for 2,000 WebSockets that say nothing", grown / MIB);
    healthy.beat();
}

/// A request whose body is waited for.
const HALF: &str = "POST /v1/apps/default/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\n\
    content-type: application/json\r\ncontent-length: 50\r\n\r\n{";

#[test]
fn more_requests_than_the_api_takes_leave_room_for_websockets() {
    let (_dir, program) = server("", &[]);
    let address = program.address();
    let mut healthy = Healthy::connect(address, "dev:healthy");
    let mut held = Vec::new();
    for _ in 0..HTTP_MOST + 200 {
        let mut stream = dial(address).unwrap();
        stream.write_all(HALF.as_bytes()).unwrap();
        held.push(stream);
    }
    healthy.beat();
    a_newcomer_is_welcome(address);
    let health = Wire::dial(address).request("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    let answers: Vec<String> = held.into_iter().map(rest).collect();
    let late = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408 ")).count();
    let dropped = answers.iter().filter(|answer| answer.is_empty()).count();
    assert!(late >= 100 && late + dropped == answers.len(), "{late} of {} were waited for", answers.len());
    Http::new(address, "dev").post("/v1/apps/default/messages", &json!({"channel": "a", "text": "x"})).good();
    healthy.beat();
}

#[test]
fn a_full_api_with_a_listener_of_its_own_leaves_descriptors_for_clients_and_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_moorline-server"));
    shell.args(["--dev", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data"]).arg(dir.path());
    let mut server = Program::start(&mut shell);
    let api = server.http_address();
    let mut healthy = Healthy::connect(server.address(), "dev:healthy");
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut stream = dial(api).unwrap();
        // Whoever was not taken in may be gone already.
        let _ = stream.write_all(HALF.as_bytes());
        held.push(stream);
    }
    for _ in 0..20 {
        a_newcomer_is_welcome(server.address());
    }
    healthy.beat();
    let answers: Vec<String> = held.into_iter().map(rest).collect();
    let late = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408 ")).count();
    assert!(late > 0, "no request was waited for");
    assert!(!server.said().contains("accepting a connection failed"), "{}", server.said());
    let answer = Http::new(api, "dev").post("/v1/apps/default/messages", &json!({"channel": "a", "text": "x"}));
    answer.good();
    healthy.beat();
}

#[test]
fn heads_frames_and_bodies_beyond_their_limits_are_refused_before_they_cost_anything() {
    let (_dir, mut program) = server("", &["--http-listen", "127.0.0.1:0"]);
    let (address, api) = (program.address(), program.http_address());
    let mut healthy = Healthy::connect(address, "dev:healthy");
    let before = peak(program.id());
    let long = "x".repeat(20_000);
    let lines: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    for (what, head) in [
        ("a line", format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n")),
        ("a header", format!("GET /ws HTTP/1.1\r\nhost: x\r\ncookie: {long}\r\n\r\n")),
        ("headers", format!("GET /ws HTTP/1.1\r\nhost: x\r\n{lines}\r\n")),
        ("a line without an end", format!("GET /{long}")),
    ] {
        for at in [address, api] {
            let mut stream = dial(at).unwrap();
            // Refused early, not all of it is taken.
            let _ = stream.write_all(head.as_bytes());
            let answer = rest(stream);
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(matches!(status, "431" | "414"), "{what} at {at}: {answer}");
        }
        healthy.beat();
    }
    // Frames that announce what nobody could hold, and fragments that add up to it.
    for _ in 0..5 {
        let mut wire = Wire::hello(address, "dev:large");
        wire.raw(&head_of(1 << 40));
        wire.expect_close(4506);
        let mut wire = Wire::hello(address, "dev:large");
        wire.raw(&frame(false, TEXT, &[b'x'; 1_000]));
        let part = frame(false, CONTINUATION, &[b'x'; 60_000]);
        while wire.try_raw(&part) {}
    }
    // What would be large once it is inflated.
    let bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let headers =
            [("authorization", "Bearer dev"), ("content-type", "application/json"), ("content-encoding", coding)];
        let refused = Http::new(api, "").bare("POST", "/v1/apps/default/messages", &headers, Some(bomb));
        refused.problem(415, "request.unsupported");
    }
    let grown = peak(program.id()) - before;
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    healthy.beat();
}

fn head_of(size: usize) -> Vec<u8> {
    [head(true, TEXT, size), vec![0; 4]].concat()
}

#[test]
fn a_body_that_asks_for_too_much_costs_no_more_than_its_bytes() {
    let (_dir, program) = server("", &[]);
    let http = Http::new(program.address(), "dev");
    let messages = "/v1/apps/default/messages";
    let channels = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>();
    let headers: serde_json::Map<_, _> = (0..10_000).map(|n| (format!("{n}"), json!("v"))).collect();
    let before = peak(program.id());
    let refused = http.post(messages, &json!({"channels": channels(1_000), "text": "x", "headers": &headers}));
    assert_eq!(refused.status, 207);
    let results = refused.json();
    assert_eq!(results.as_array().unwrap().len(), 1_000);
    assert!(results.as_array().unwrap().iter().all(|result| result["problem"]["code"] == "request.malformed"));
    let prefer = [("prefer", "respond-async")];
    for body in [
        json!({"channels": channels(1_001), "text": "x", "headers": &headers}),
        json!(vec![json!({"channel": "a", "text": "x"}); 300_000]),
    ] {
        for answer in [http.post(messages, &body), http.post_with(messages, &prefer, &body)] {
            let detail = answer.problem(400, "request.malformed");
            assert!(detail.contains("at most 1,000 messages"), "{detail}");
        }
    }
    let grown = peak(program.id()) - before;
    assert!(grown < 128 * MIB, "{} MiB for bodies that are refused", grown / MIB);
    a_newcomer_is_welcome(program.address());
}

#[test]
fn what_a_connection_asks_for_without_end_is_refused_and_others_are_served() {
    let (_dir, program) = server("", &[]);
    let mut healthy = Healthy::connect(program.address(), "dev:healthy");
    let mut greedy = Wire::open(program.address());
    greedy.say(&json!({"t": "hello", "v": 1, "token": "dev:greedy", "device": "device-0123456789"}));
    greedy.expect("welcome");
    let before = peak(program.id());
    let (mut taken, mut refused) = (0, 0);
    for n in 0..2_000 {
        let channel = format!("channel-{n}");
        greedy.say(&json!({"t": "subscribe", "channel": channel, "req": n, "durable": true, "presence": "join"}));
        loop {
            let answer = greedy.expect_any();
            match answer["t"].as_str().unwrap() {
                "subscribed" => taken += 1,
                "error" => {
                    let code = answer["code"].as_str().unwrap();
                    assert!(matches!(code, "limit.channels" | "limit.rate"), "{answer}");
                    refused += 1;
                }
                // Members of channels before.
                "presence" => continue,
                other => panic!("{other}"),
            }
            break;
        }
    }
    assert!(taken <= 256 && taken + refused == 2_000, "{taken} subscriptions, {refused} refused");
    // Questions and calls that are not waited for: each is answered, with a refusal where there are too many.
    for n in 0..500 {
        greedy.say(&json!({"t": "presence", "channel": "channel-0", "req": 10_000 + n, "op": "get"}));
        greedy.say(&json!({"t": "history", "channel": "channel-0", "req": 20_000 + n}));
        greedy.say(&json!({"t": "status", "req": 30_000 + n, "users": ["a", "b"], "watch": true}));
        greedy.say(&json!({"t": "call", "id": format!("c-{n}"), "method": "none", "timeout": 1_000, "req": 40_000 + n, "data": 1}));
    }
    healthy.beat();
    greedy.say(&json!({"t": "ping", "n": 9}));
    loop {
        let answer = greedy.expect_any();
        if answer["t"] == "pong" {
            break;
        }
        let is_refused = answer["t"] == "error";
        assert!(!is_refused || answer["req"].is_u64(), "{answer}");
    }
    let grown = peak(program.id()) - before;
    assert!(grown < 16 * MIB, "{} MiB", grown / MIB);
    healthy.beat();
}

#[test]
fn a_connection_of_the_api_that_was_good_once_is_not_kept_for_ever() {
    let (_dir, program) = server("", &[]);
    let mut stream = dial(program.address()).unwrap();
    let ask = "GET /v1/apps/default/channels HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    Answer::read(&mut reader).unwrap().good();
    // It asks for nothing more, and then begins to and does not go on.
    stream.write_all(b"GET /v1/apps").unwrap();
    drop(reader);
    let answer = rest(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
