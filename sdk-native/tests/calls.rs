//! A real client calls, through a real server, a real HTTP backend: which answers, refuses, fails, hangs, lies, is late.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../../server-ref/tests/shell/hooks/receiver.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "shared with the tests of the server, which use more of it")]
mod receiver;

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use moorline::{Client, Payload};
use moorline_core::protocol::AppName;
use moorline_server::callout::Callout;
use moorline_server::egress::Target;
use moorline_server::hooks::Secret;
use moorline_server::node::{CalloutId, CalloutKind, CalloutRule, OnFailure, Terms};
use moorline_server::server::{Options, Server};
use serde_json::{Value, json};

use self::receiver::{Answer, Receiver, Request};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The backend of the app `default`, for its calls.
fn callout(url: &str, within: Duration, max_requests: usize) -> Callout {
    let target = Target::new(url.parse().unwrap(), vec![Secret::parse(SECRET).unwrap()], &[], true, within);
    let within_ms = u64::try_from(within.as_millis()).unwrap();
    let terms = Terms { id: CalloutId(0), within_ms, on_failure: OnFailure::Deny, verifies: true };
    let (app, kinds) = (AppName::default_app(), vec![CalloutKind::Rpc]);
    let rule = CalloutRule { app, kinds, channels: Vec::new(), terms };
    Callout { name: "calls".into(), target, max_requests, headers: Vec::new(), rule }
}

/// A server whose app `default` has its backend there.
fn server(url: &str, within: Duration) -> Server {
    Server::start(Options { callouts: vec![callout(url, within, 8)], ..Options::dev() }).unwrap()
}

fn client(server: &Server) -> Client {
    Client::builder(server.url()).token("dev:alice").build().unwrap()
}

fn question(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// A whole HTTP answer.
fn http(status: &str, body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
}

/// Answers as the method says.
fn behave(request: &Request) -> Answer {
    let question = question(request);
    match question["method"].as_str().unwrap() {
        "echo" => {
            let mut answer = json!({});
            ["data", "text", "bin"].iter().for_each(|kind| {
                if let Some(value) = question.get(*kind) {
                    answer[*kind] = value.clone();
                }
            });
            http("200 OK", &answer.to_string())
        }
        "nothing" => http("204 No Content", ""),
        "refuse" => http("409 Conflict", r#"{"code": "sold_out", "message": "none left"}"#),
        "fail" => Answer::Status(500),
        "full" => Answer::Status(503),
        "lie" => http("200 OK", "<html>welcome</html>"),
        "cut" => Answer::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"da".into()),
        "large" => http("200 OK", &json!({"text": "x".repeat(70_000)}).to_string()),
        _ => Answer::Hang,
    }
}

/// Calls, and returns the code of what went wrong.
async fn code(client: &Client, method: &str) -> String {
    client.call(method, Payload::text("x")).await.unwrap_err().code().to_owned()
}

#[tokio::test]
async fn the_backend_answers_and_knows_who_asks() {
    let backend = Receiver::start(behave);
    let server = server(&backend.url(), Duration::from_secs(30));
    let client = client(&server);
    let answer = client.call("echo", Payload::json(&json!({"sku": 7})).unwrap()).id("order-1").await.unwrap();
    assert_eq!(answer.to_json::<Value>().unwrap(), json!({"sku": 7}));
    let request = backend.request();
    assert!(request.is_signed_with(SECRET));
    let question = question(&request);
    let told = |key: &str| question[key].as_str().unwrap().to_owned();
    assert_eq!(["ask", "app", "user", "id", "method"].map(told), ["call", "default", "alice", "order-1", "echo"]);
    assert!(question["device"].as_str().unwrap().len() >= 16);
    for payload in [Payload::text("hi\n"), Payload::bytes(vec![0, 255]), Payload::json(&Value::Null).unwrap()] {
        assert_eq!(client.call("echo", payload.clone()).await.unwrap(), payload);
    }
    assert_eq!(client.call("nothing", Payload::text("")).await.unwrap().as_bytes(), "null");
    // Each call has a name of its own.
    let ids: Vec<_> =
        (0..4).map(|_| serde_json::from_slice::<Value>(&backend.request().body).unwrap()["id"].clone()).collect();
    assert!(ids.iter().enumerate().all(|(at, id)| ids.iter().position(|other| other == id) == Some(at)), "{ids:?}");
    client.close().await;
}

#[tokio::test]
async fn whatever_the_backend_does_has_a_code() {
    let backend = Receiver::start(behave);
    let server = server(&backend.url(), Duration::from_secs(30));
    let client = client(&server);
    let refused = client.call("refuse", Payload::text("x")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), ("call.refused.sold_out", "none left"));
    assert_eq!((refused.kind(), refused.is_retryable()), (moorline::Kind::Rejected, false));
    assert_eq!(code(&client, "fail").await, "call.failed");
    assert_eq!(code(&client, "lie").await, "call.failed");
    assert_eq!(code(&client, "cut").await, "call.failed");
    assert_eq!(code(&client, "large").await, "call.failed");
    assert_eq!(code(&client, "full").await, "call.unavailable");
    assert_eq!(code(&client, "not a method").await, "request.malformed");
    let late = client.call("hang", Payload::text("x")).timeout(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(late.code(), "call.timeout");
    let endless = client.call("echo", Payload::text("x")).timeout(Duration::from_secs(31)).await.unwrap_err();
    assert_eq!(endless.code(), "request.malformed");
    // The connection has stood all the while.
    assert!(client.call("echo", Payload::text("x")).await.is_ok());
    client.close().await;
}

#[tokio::test]
async fn a_backend_that_hangs_is_given_up_by_the_server() {
    let backend = Receiver::start(behave);
    let server = server(&backend.url(), Duration::from_millis(200));
    let client = client(&server);
    let late = client.call("hang", Payload::text("x")).await.unwrap_err();
    assert_eq!((late.code(), late.origin()), ("call.timeout", moorline::Origin::Server));
    client.close().await;
}

#[tokio::test]
async fn where_nobody_is_calls_are_unavailable_and_after_failures_nobody_is_asked() {
    let vacant = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = server(&format!("http://{vacant}/calls"), Duration::from_secs(30));
    let client = client(&server);
    for _ in 0..7 {
        let error = client.call("echo", Payload::text("x")).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("call.unavailable", true));
    }
    client.close().await;
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_call_again() {
    let backend = Receiver::start(behave);
    let callout = callout(&backend.url(), Duration::from_secs(30), 32);
    let options = Options { callouts: vec![callout], publish_rate: Some(1), publish_burst: 1, ..Options::dev() };
    let server = Server::start(options).unwrap();
    let client = client(&server);
    client.connect().await.unwrap();
    // They arrive together: of so many some come too early, however slow the machine is.
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(client.call("echo", Payload::text("x")).send())).collect();
    let mut early = Vec::new();
    for call in calls {
        early.extend(call.await.unwrap().err());
    }
    assert!(!early.is_empty());
    for error in early {
        assert_eq!((error.code(), error.kind()), ("limit.rate", moorline::Kind::Limit));
        let wait = error.retry_after().unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    }
    assert_eq!(client.call("no method", Payload::text("x")).await.unwrap_err().retry_after(), None);
    client.close().await;
}

#[tokio::test]
async fn without_a_backend_the_client_is_told_so() {
    let server = Server::start(Options::dev()).unwrap();
    let client = client(&server);
    assert_eq!(code(&client, "echo").await, "request.unsupported");
    client.close().await;
}

#[tokio::test]
async fn a_connection_that_ends_takes_the_call_with_it_and_the_request_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server(&format!("http://{}/calls", listener.local_addr().unwrap()), Duration::from_secs(30));
    let (asked, was_asked) = mpsc::channel();
    let (gone, is_gone) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4_096];
        let mut read = || std::io::Read::read(&mut stream, &mut bytes).unwrap_or(0);
        assert!(read() > 0);
        asked.send(()).unwrap();
        // Whatever is left of the request, and then the end.
        while read() > 0 {}
        gone.send(()).unwrap();
    });
    let client = client(&server);
    let call = tokio::spawn(client.call("hang", Payload::text("x")).timeout(Duration::from_secs(30)).send());
    tokio::task::spawn_blocking(move || was_asked.recv_timeout(Duration::from_secs(30)).unwrap()).await.unwrap();
    client.disconnect();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.kind()), ("call.uncertain", moorline::Kind::Continuity));
    tokio::task::spawn_blocking(move || is_gone.recv_timeout(Duration::from_secs(20)).unwrap()).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_call_waits_for_a_connection_and_not_longer_than_it_may() {
    let backend = Receiver::start(behave);
    let server = server(&backend.url(), Duration::from_secs(30));
    let vacant = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lost = Client::builder(format!("ws://{vacant}/ws")).token("dev:alice").build().unwrap();
    let error = lost.call("echo", Payload::text("x")).timeout(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("request.timeout", true));
    // 32 wait, and the next is refused.
    let (calls, over): (Vec<_>, _) = {
        let calls = (0..32).map(|_| tokio::spawn(lost.call("echo", Payload::text("x")).send())).collect();
        tokio::task::yield_now().await;
        (calls, lost.call("echo", Payload::text("x")).await.unwrap_err())
    };
    assert_eq!(over.code(), "limit.calls");
    lost.close().await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().code(), "client.closed");
    }
    // Made before there was any connection.
    let client = client(&server);
    let (one, other) =
        tokio::join!(client.call("echo", Payload::text("1")).send(), client.call("echo", Payload::text("2")).send());
    assert_eq!((one.unwrap().as_text(), other.unwrap().as_text()), (Some("1"), Some("2")));
    client.close().await;
}

#[test]
fn calls_whose_runtime_goes_are_uncertain_if_they_were_sent() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (home, callers) = (runtime(), runtime());
    let backend = Receiver::start(behave);
    let server = server(&backend.url(), Duration::from_secs(30));
    let (online, lost) = (client(&server), Client::builder("ws://127.0.0.1:1/ws").build().unwrap());
    home.block_on(online.connect()).unwrap();
    home.block_on(async { lost.channel("room").publish(Payload::text("x")).send().unwrap().queued().await }).unwrap();
    let calls = [&online, &lost].map(|client| callers.spawn(client.call("hang", Payload::text("x")).send()));
    backend.request();
    drop(home);
    let codes = calls.map(|call| callers.block_on(call).unwrap().unwrap_err().code().to_owned());
    assert_eq!(codes, ["call.uncertain", "client.closed"]);
}

#[tokio::test]
async fn a_call_that_was_sent_is_uncertain_when_its_client_is_closed() {
    let backend = Receiver::start(behave);
    let server = server(&backend.url(), Duration::from_secs(30));
    let client = client(&server);
    let call = tokio::spawn(client.call("hang", Payload::text("x")).send());
    tokio::task::spawn_blocking(move || backend.request()).await.unwrap();
    client.close().await;
    assert_eq!(call.await.unwrap().unwrap_err().code(), "call.uncertain");
}
