//! An app's backend decides: a real one, which fails, hangs and lies.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::hooks::SECRET;
use crate::hooks::receiver::{Answer, Receiver, Request};
use crate::http::Http;
use crate::support::program::{Program, command};
use crate::support::{Heard, Wire, upgrade};

const DOCS: &str = include_str!("../../../docs/callouts.md");

/// What the docs show of a kind: a question, and an answer.
fn shown(kind: &str) -> (Value, String) {
    let section = DOCS.split("### ").find(|section| section.starts_with(&format!("`{kind}`"))).unwrap();
    let mut examples = section.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap().trim());
    (serde_json::from_str(examples.next().unwrap()).unwrap(), examples.next().unwrap().to_owned())
}

fn ok(body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// A development server whose backend this is.
fn server(dir: &Path, backend: &Receiver, settings: &str) -> Program {
    let callout = format!(
        "[[callouts]]\nname = \"decide\"\nurl = \"{}\"\nsecrets = [\"{SECRET}\"]\nallow_private = true\n{settings}",
        backend.url()
    );
    let path = dir.join("moorline.toml");
    std::fs::write(&path, callout).unwrap();
    let run = ["--dev", "--listen", "127.0.0.1:0", "--engine", "memory", "--config"];
    Program::start(command(run).arg(path))
}

fn question(request: &Request) -> Value {
    assert!(request.is_signed_with(SECRET) && request.id().starts_with("call_"));
    serde_json::from_slice(&request.body).unwrap()
}

fn publish(wire: &mut Wire, id: &str) -> Value {
    wire.say(&json!({"t": "publish", "channel": "room:1", "req": 1, "id": id, "data": {"text": "hello"}}));
    let Heard::Json(answer) = wire.hear() else { panic!("the connection ended") };
    answer
}

#[test]
fn questions_and_answers_are_as_the_docs_show_them() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|request| {
        let question: Value = serde_json::from_slice(&request.body).unwrap();
        ok(&shown(question["ask"].as_str().unwrap()).1)
    });
    let settings =
        "asks = [\"connect\", \"subscribe\", \"publish\"]\nchannels = [\"room:*\"]\nheaders = [\"Cookie\"]\n";
    let server = server(dir.path(), &backend, settings);
    let mut wire = Wire::dial(server.address());
    assert!(wire.request(&upgrade("/ws", "Cookie: sid=31d4d96e\r\nX-Other: 1\r\n")).starts_with("HTTP/1.1 101 "));
    let hello = json!({"t": "hello", "v": 1, "token": "dev:alice", "device": "device-0123456789", "sdk": "shop/1.0"});
    wire.say(&hello);
    let welcome = wire.expect("welcome");
    assert_eq!((&welcome["user"], &welcome["expires"]), (&json!("alice"), &json!(4_102_444_800_000_u64)));
    assert_eq!(question(&backend.request()), shown("connect").0);
    wire.say(&json!({"t": "subscribe", "channel": "room:1", "req": 1, "presence": "watch"}));
    wire.expect("subscribed");
    let mut subscribe = question(&backend.request());
    let session = subscribe["session"].clone();
    assert_eq!(session, welcome["session"]);
    subscribe["session"] = shown("subscribe").0["session"].clone();
    assert_eq!(subscribe, shown("subscribe").0);
    // The docs' answer to `connect` grants chat:* only.
    assert_eq!(publish(&mut wire, "m-1")["code"], "channel.denied");
    assert!(backend.look().is_none(), "what no token allows is not asked about");
}

#[test]
fn a_publish_is_asked_about_as_the_docs_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|_| ok(&shown("publish").1));
    let server = server(dir.path(), &backend, "asks = [\"publish\"]\n");
    let mut wire = Wire::hello(server.address(), "dev:alice");
    let denied = publish(&mut wire, "m-1");
    let told = (&denied["code"], &denied["message"], &denied["retry"]);
    assert_eq!(told, (&json!("channel.denied"), &json!("the room is closed"), &json!(false)));
    let (mut asked, shown) = (question(&backend.request()), shown("publish").0);
    for (at, key) in [("", "session"), ("/message", "time")] {
        let value = shown.pointer(at).unwrap()[key].clone();
        asked.pointer_mut(at).unwrap()[key] = value;
    }
    assert_eq!(asked, shown);
}

#[test]
fn a_backend_that_fails_hangs_or_lies_loses_nothing() {
    let nowhere = Receiver::start(|_| ok("{\"allow\":true}"));
    let redirect = format!("HTTP/1.1 307 x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", nowhere.url());
    for bad in [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Status(204),
        Answer::Bytes(redirect),
        Answer::Bytes(String::new()),
        Answer::Bytes("220 mail.example.com ESMTP\r\n".into()),
        Answer::Bytes("HTTP/1.1 200 x\r\ncontent-length: 50\r\n\r\n{\"allow\":true}".into()),
        Answer::Hang,
        ok("allow"),
        ok("[true]"),
        ok("{\"allow\":\"true\"}"),
        ok("{\"allow\":true"),
        ok(&format!("{{\"allow\":true,\"reason\":\"{}\"}}", "x".repeat(300_000))),
    ] {
        println!("{bad:?}");
        let dir = tempfile::tempdir().unwrap();
        let mut first = true;
        let backend =
            Receiver::start(move |_| if std::mem::take(&mut first) { bad.clone() } else { ok("{\"allow\":true}") });
        let server = server(dir.path(), &backend, "asks = [\"publish\"]\ntimeout = \"1s\"\n");
        let mut wire = Wire::hello(server.address(), "dev:alice");
        let refused = publish(&mut wire, "m-1");
        let told = (&refused["code"], &refused["retry"], refused["after"].is_u64());
        assert_eq!(told, (&json!("app.unavailable"), &json!(true), true), "{refused}");
        assert_eq!(publish(&mut wire, "m-1")["t"], "published");
    }
    assert!(nowhere.look().is_none(), "a redirect was followed");
}

/// A backend that says yes to each question that is as this one, and answers the next with a status.
fn yes_then(ask: &'static str, yes: &'static str, status: u16) -> Receiver {
    let mut first = true;
    Receiver::start(move |request| {
        let question: Value = serde_json::from_slice(&request.body).unwrap();
        if question["ask"] != ask || (!yes.is_empty() && std::mem::take(&mut first)) {
            return ok(if yes.is_empty() { "{\"allow\":true}" } else { yes });
        }
        Answer::Status(status)
    })
}

#[test]
fn a_backend_that_answers_401_or_403_says_no_whatever_no_answer_means() {
    let settings = "asks = [\"connect\", \"subscribe\", \"publish\"]\non_failure = \"allow\"\n";
    let subscribe = json!({"t": "subscribe", "channel": "room:1", "req": 1});
    for status in [401, 403] {
        let dir = tempfile::tempdir().unwrap();
        let backend = yes_then("connect", "", status);
        let kept = server(dir.path(), &backend, settings);
        let mut wire = Wire::open(kept.address());
        wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice"}));
        wire.expect_end("auth.invalid", 4502);
        for ask in ["subscribe", "publish"] {
            let backend = yes_then(ask, "", status);
            let kept = server(dir.path(), &backend, settings);
            let mut wire = Wire::hello(kept.address(), "dev:alice");
            wire.say(&subscribe);
            let subscribed = wire.expect_any();
            let told = if ask == "subscribe" { "channel.denied" } else { "subscribed" };
            assert!([&subscribed["code"], &subscribed["t"]].contains(&&json!(told)), "{status}: {subscribed}");
            let published = publish(&mut wire, "m-1");
            let told = if ask == "publish" { "channel.denied" } else { "published" };
            assert!([&published["code"], &published["t"]].contains(&&json!(told)), "{status}: {published}");
            // What a backend says that knows another secret is told apart.
            let metrics = Http::new(kept.address(), "dev").bare("GET", "/metrics", &[], None).text();
            for (kind, refuses) in
                [("connect", false), ("subscribe", ask == "subscribe"), ("publish", ask == "publish")]
            {
                let outcome = if refuses && status == 401 { "unauthorized" } else { "answered" };
                let series = format!("moorline_callouts_total{{app=\"default\",kind=\"{kind}\",outcome=");
                assert!(metrics.contains(&format!("{series}\"{outcome}\"}} 1\n")), "{status}: {metrics}");
                assert_eq!(metrics.matches(&series).count(), 1, "{status}: {metrics}");
            }
        }
        // What was allowed for a while and is refused when it is asked about again ends.
        let backend = yes_then("subscribe", "{\"allow\":true,\"cache\":1}", status);
        let kept = server(dir.path(), &backend, settings);
        let mut wire = Wire::hello(kept.address(), "dev:alice");
        wire.say(&subscribe);
        wire.expect("subscribed");
        assert_eq!(wire.expect("unsubscribed")["code"], "channel.denied");
        let said = kept.stop();
        assert!(!said.contains("a call-out has no answer"), "{said}");
    }
}

#[test]
fn another_client_error_is_a_failure_and_told_as_a_misconfiguration() {
    let dir = tempfile::tempdir().unwrap();
    let backend = yes_then("publish", "", 404);
    let kept = server(dir.path(), &backend, "asks = [\"publish\"]\non_failure = \"allow\"\n");
    let mut wire = Wire::hello(kept.address(), "dev:alice");
    // More often than a breaker bears.
    for at in 0..7 {
        assert_eq!(publish(&mut wire, &format!("m-{at}"))["t"], "published");
    }
    assert_eq!(std::iter::from_fn(|| backend.look()).count(), 7);
    assert!(kept.stop().contains("a backend does not take a call-out's question; check `url`"));
}

#[test]
fn a_backend_that_fails_again_and_again_is_left_alone_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let status = Arc::new(Mutex::new(500));
    let now = Arc::clone(&status);
    let backend = Receiver::start(move |_| match *now.lock().unwrap() {
        200 => ok("{\"allow\":true}"),
        status => Answer::Status(status),
    });
    let server = server(dir.path(), &backend, "asks = [\"publish\"]\n");
    let mut wire = Wire::hello(server.address(), "dev:alice");
    for _ in 0..8 {
        assert_eq!(publish(&mut wire, "m-1")["code"], "app.unavailable");
    }
    let asked = std::iter::from_fn(|| backend.look()).count();
    assert_eq!(asked, 5);
    let http = Http::new(server.address(), "dev");
    let metrics = || http.bare("GET", "/metrics", &[], None).text();
    let text = metrics();
    for series in [
        "moorline_callouts_total{app=\"default\",kind=\"publish\",outcome=\"status\"} 5",
        "moorline_callouts_total{app=\"default\",kind=\"publish\",outcome=\"open\"} 3",
        "moorline_callout_seconds_count{app=\"default\",kind=\"publish\"} 8",
        "moorline_callout_open{app=\"default\",callout=\"decide\"} 1",
    ] {
        assert!(text.contains(series), "{series}:\n{text}");
    }
    let documented = include_str!("../../../docs/metrics.md");
    for name in ["moorline_callouts_total", "moorline_callout_seconds", "moorline_callout_open"] {
        assert!(documented.contains(name) && text.contains(name), "{name}");
    }
    *status.lock().unwrap() = 200;
    // A client's outbox does the same.
    while publish(&mut wire, "m-1")["t"] != "published" {}
    assert!(metrics().contains("moorline_callout_open{app=\"default\",callout=\"decide\"} 0"));
}

/// Makes calls that wait so long (ms), all at once. Returns what each comes to: `result`, or a code.
fn calls(wire: &mut Wire, count: u64, timeout: u64) -> Vec<String> {
    for req in 1..=count {
        let id = format!("c-{timeout}-{req}");
        wire.say(&json!({"t": "call", "req": req, "id": id, "method": "m", "timeout": timeout, "data": 1}));
    }
    let mut outcome = || {
        let answer = wire.expect_any();
        answer["code"].as_str().or_else(|| answer["t"].as_str()).unwrap().to_owned()
    };
    (0..count).map(|_| outcome()).collect()
}

#[test]
fn a_call_that_had_little_time_says_nothing_of_the_backend() {
    let dir = tempfile::tempdir().unwrap();
    let hangs = Arc::new(Mutex::new(true));
    let now = Arc::clone(&hangs);
    let answer = "HTTP/1.1 200 x\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{\"data\":1}";
    let backend =
        Receiver::start(move |_| if *now.lock().unwrap() { Answer::Hang } else { Answer::Bytes(answer.into()) });
    let server = server(dir.path(), &backend, "asks = [\"call\"]\ntimeout = \"2s\"\n");
    let http = Http::new(server.address(), "dev");
    let is_left_alone = || {
        let text = http.bare("GET", "/metrics", &[], None).text();
        text.contains("moorline_callout_open{app=\"default\",callout=\"decide\"} 1")
    };
    let mut wire = Wire::open(server.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "caps": ["call"]}));
    wire.expect("welcome");
    // Less than half of what the backend may take.
    assert_eq!(calls(&mut wire, 6, 100), ["call.timeout"; 6]);
    assert!(!is_left_alone());
    *hangs.lock().unwrap() = false;
    assert_eq!(calls(&mut wire, 1, 10_000), ["result"]);
    // All of it.
    *hangs.lock().unwrap() = true;
    assert_eq!(calls(&mut wire, 5, 10_000), ["call.timeout"; 5]);
    assert!(is_left_alone());
}

#[test]
fn a_call_that_a_backend_refuses_with_401_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|_| Answer::Status(401));
    let server = server(dir.path(), &backend, "asks = [\"call\"]\n");
    let mut wire = Wire::open(server.address());
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice", "caps": ["call"]}));
    wire.expect("welcome");
    assert_eq!(calls(&mut wire, 1, 10_000), ["call.refused"]);
    let metrics = Http::new(server.address(), "dev").bare("GET", "/metrics", &[], None).text();
    let series = "moorline_callouts_total{app=\"default\",kind=\"call\",outcome=\"answered\"} 1\n";
    assert!(metrics.contains(series), "{metrics}");
}

#[test]
fn a_private_address_is_asked_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|_| ok("{\"allow\":true}"));
    let path = dir.path().join("moorline.toml");
    let url = backend.url().replacen("http://", "https://", 1);
    let callout =
        format!("[[callouts]]\nname = \"a\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\nasks = [\"publish\"]\n");
    std::fs::write(&path, callout).unwrap();
    let run = ["--dev", "--listen", "127.0.0.1:0", "--engine", "memory", "--config"];
    let server = Program::start(command(run).arg(path));
    let mut wire = Wire::hello(server.address(), "dev:alice");
    assert_eq!(publish(&mut wire, "m-1")["code"], "app.unavailable");
    assert!(backend.look().is_none());
    assert!(server.stop().contains("is not a public address"));
}

#[test]
fn an_app_without_keys_leaves_tokens_to_its_backend() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Receiver::start(|request| {
        let question: Value = serde_json::from_slice(&request.body).unwrap();
        match question["token"].as_str() {
            Some("sesame") => {
                ok("{\"allow\":true,\"user\":\"ali\",\"grants\":[{\"match\":\"*\",\"can\":[\"publish\"]}]}")
            }
            _ => ok("{\"allow\":false,\"reason\":\"say the word\"}"),
        }
    });
    let path = dir.path().join("moorline.toml");
    let callout = format!(
        "[[apps]]\nname = \"cave\"\n[[callouts]]\nname = \"door\"\napp = \"cave\"\nurl = \"{}\"\nsecrets = [\"{SECRET}\"]\n\
         asks = [\"connect\"]\nallow_private = true\n",
        backend.url()
    );
    std::fs::write(&path, callout).unwrap();
    let run = ["--listen", "127.0.0.1:0", "--engine", "memory", "--config"];
    let server = Program::start(command(run).arg(path));
    let mut wire = Wire::open_at(server.address(), "/ws/cave");
    wire.say(&json!({"t": "hello", "v": 1, "token": "sesame"}));
    assert_eq!(wire.expect("welcome")["user"], "ali");
    assert_eq!(publish(&mut wire, "m-1")["t"], "published");
    let mut wire = Wire::open_at(server.address(), "/ws/cave");
    wire.say(&json!({"t": "hello", "v": 1}));
    assert_eq!(wire.expect_error("auth.invalid")["message"], "say the word");
    wire.expect_close(4502);
    let mut wire = Wire::open_at(server.address(), "/ws/other");
    wire.say(&json!({"t": "hello", "v": 1}));
    wire.expect_end("app.unknown", 4505);
}
