//! Requests that are answered before they are executed.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Http, backend};
use crate::support::program::Program;

const MESSAGES: &str = "/v1/apps/default/messages";

/// Asks until an operation is done; returns its results.
fn done(http: &Http, place: &str) -> Value {
    loop {
        let operation = http.get(place).good();
        match operation["status"].as_str().unwrap() {
            "done" => return operation["results"].clone(),
            "waiting" | "running" => {}
            other => panic!("{other}"),
        }
    }
}

/// Sends a request that is to be executed later. Returns where its results will be.
fn accepted(http: &Http, key: &str, body: &Value) -> String {
    let answer = http.post_with(MESSAGES, &[("prefer", "wait=5, respond-async"), ("idempotency-key", key)], body);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    answer.header("location").unwrap().to_owned()
}

/// Returns how often each message stands in a channel, by id.
fn count(http: &Http, channel: &str) -> BTreeMap<String, u32> {
    let (mut found, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = http.get(&format!("/v1/apps/default/channels/{channel}/messages?after={after}&limit=256")).good();
        for message in page["messages"].as_array().unwrap() {
            *found.entry(message["id"].as_str().unwrap().to_owned()).or_default() += 1;
            after = message["offset"].as_u64().unwrap();
        }
        if page["more"] == false {
            return found;
        }
    }
}

#[test]
fn a_request_is_answered_when_it_is_durable_and_its_results_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    let body =
        json!([{"channel": "a", "text": "1"}, {"channel": "$no", "text": "2"}, {"channels": ["a", "b"], "data": 3}]);
    let place = accepted(&http, "k", &body);
    let results = done(&http, &place);
    let seen: Vec<_> = results.as_array().unwrap().iter().map(|result| result["offset"].as_u64()).collect();
    assert_eq!(seen, [Some(1), None, Some(2), Some(1)]);
    assert_eq!(results[1]["problem"]["code"], "channel.invalid");
    // A retry is the same operation, and nothing is done again.
    assert_eq!(accepted(&http, "k", &body), place);
    assert_eq!(done(&http, &place), results);
    let prefer = [("prefer", "respond-async"), ("idempotency-key", "k")];
    http.post_with(MESSAGES, &prefer, &json!({"channel": "a", "text": "other"})).problem(422, "publish.reused");
    let id = place.rsplit('/').next().unwrap();
    http.get(&format!("/v1/apps/other/operations/{id}")).problem(404, "request.unsupported");
    for id in ["op_1", "op_0_x", "op_999_x.y", "x", "op_1_%ff"] {
        let status = http.get(&format!("/v1/apps/default/operations/{id}")).status;
        assert!(status == 404 || status == 400, "{id}: {status}");
    }
    http.post_with(MESSAGES, &prefer[..1], &json!({"channel": "a", "text": "x", "qos": 0}))
        .problem(400, "request.malformed");
    http.post_with(MESSAGES, &prefer[..1], &json!({"channel": "a"})).problem(400, "request.malformed");
    let large = json!([{"channel": "a", "text": "x".repeat(1 << 20)}, {"channel": "a", "text": "x".repeat(1 << 20)}]);
    http.post_with(MESSAGES, &prefer[..1], &large).problem(413, "limit.message");
    http.get("/v1/apps/default/channels/$operations/messages").problem(400, "channel.invalid");
}

#[test]
fn an_app_with_much_to_do_holds_up_no_other() {
    const THREADS: usize = 8;
    const MANY: usize = 200;
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    // Little to read and much to do, from many at once: a message that goes to a thousand channels.
    let channels: Vec<String> = (0..1_000).map(|n| format!("c{n}")).collect();
    let ask = |round: usize| {
        let body = json!({"channels": &channels, "text": round.to_string()});
        (offset(&accepted(&http, &format!("k{round}"), &body)), round)
    };
    let mut asked: Vec<(u64, usize)> = std::thread::scope(|scope| {
        let of = |thread| scope.spawn(move || (thread..MANY).step_by(THREADS).map(ask).collect::<Vec<_>>());
        let threads: Vec<_> = (0..THREADS).map(of).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let prefer = [("prefer", "respond-async")];
    let answer = http.post_with("/v1/apps/other/messages", &prefer, &json!({"channel": "a", "text": "x"}));
    done(&http, answer.header("location").unwrap());
    let metrics = http.bare("GET", "/metrics", &[], None).text();
    assert!(metrics.contains("moorline_operations_waiting{app=\"other\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("moorline_operations_waiting{app=\"default\"} 0\n"), "it waited for another app");
    // Of an app they are executed in the order in which they were accepted.
    asked.sort_unstable();
    let found = stored(&http, "c999", asked.len());
    assert_eq!(found, asked.iter().map(|(_, round)| round.to_string()).collect::<Vec<_>>());
}

/// The number in the name of an operation: where its request stands in the log.
fn offset(place: &str) -> u64 {
    place.rsplit("op_").next().unwrap().split('_').next().unwrap().parse().unwrap()
}

/// Reads the texts of a channel, again and again until there are so many.
fn stored(http: &Http, channel: &str, count: usize) -> Vec<String> {
    loop {
        let page = http.get(&format!("/v1/apps/default/channels/{channel}/messages?after=0&limit=256"));
        let page = if page.status == 200 { page.good() } else { json!({"messages": []}) };
        let texts =
            page["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap().to_owned());
        let texts: Vec<String> = texts.collect();
        if texts.len() >= count {
            return texts;
        }
    }
}

fn list(round: usize, size: usize) -> Value {
    (0..size).map(|n| json!({"channel": format!("c{}", n % 7), "text": format!("{round}/{n}")})).collect()
}

fn start(data: &Path) -> (Program, Http) {
    let program = Program::dev(data);
    let http = Http::new(program.address(), "dev");
    (program, http)
}

#[test]
fn what_was_promised_is_executed_once_through_kills_at_any_moment() {
    const ROUNDS: usize = 24;
    const SIZE: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let mut places = Vec::new();
    for round in 0..ROUNDS {
        let (program, http) = start(dir.path());
        let key = format!("round-{round}");
        if round % 3 == 2 {
            // Its answer never arrives: the backend sends it again to the next start.
            let body = list(round, SIZE).to_string();
            let head = format!(
                "POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\ncontent-type: application/json\r\n\
                 prefer: respond-async\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            TcpStream::connect(program.address()).unwrap().write_all(head.as_bytes()).unwrap();
        } else {
            places.push(accepted(&http, &key, &list(round, SIZE)));
        }
        // Each start is at another point of the work when it dies: nothing but the time that these requests take says where.
        for _ in 0..round % 5 {
            http.get("/v1/apps/default/channels").good();
        }
        program.signal(Signal::KILL);
        program.wait();
    }
    let (program, http) = start(dir.path());
    for round in (2..ROUNDS).step_by(3) {
        places.push(accepted(&http, &format!("round-{round}"), &list(round, SIZE)));
    }
    assert_eq!(places.len(), ROUNDS);
    for place in &places {
        let results = done(&http, place);
        assert!(results.as_array().unwrap().iter().all(|result| result["offset"].is_u64()), "{results}");
    }
    let mut found = BTreeMap::new();
    (0..7).for_each(|n| found.extend(count(&http, &format!("c{n}"))));
    assert!(found.values().all(|times| *times == 1), "stored twice");
    assert_eq!(found.len(), ROUNDS * SIZE, "lost, or stored again");
    program.stop();
}

#[test]
fn what_was_promised_to_an_app_that_nobody_has_asked_for_yet_is_known_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = start(dir.path());
    let later = [("prefer", "respond-async"), ("idempotency-key", "k")];
    let body = json!({"channel": "a", "text": "x"});
    let answer = http.post_with("/v1/apps/other/messages", &later, &body);
    let place = answer.header("location").unwrap().to_owned();
    let results = done(&http, &place);
    program.signal(Signal::KILL);
    program.wait();
    let (program, http) = start(dir.path());
    assert_eq!(done(&http, &place), results);
    let again = http.post_with("/v1/apps/other/messages", &later, &body);
    assert_eq!(again.header("location"), Some(place.as_str()));
    program.stop();
}
