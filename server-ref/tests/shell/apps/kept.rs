//! Connections to backends are kept for the next question, and no call is handed over twice for that.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use serde_json::json;

use super::{Site, app, enter, secret, token};
use crate::hooks::SECRET;
use crate::support::{Heard, Wire};

/// Whatever takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a backend does with a request.
enum Does {
    /// Answers 200 with these lines in its head, and goes on.
    Answers(&'static str),
    /// Ends the connection without a word.
    Ends,
    /// Begins to answer, and ends the connection.
    Breaks,
}

/// What a backend saw: each with the number of its connection, from 1.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Request(usize, String),
    End(usize),
}

/// A backend that reads as many requests from a connection as come.
struct Backend {
    url: String,
    seen: Receiver<Seen>,
}

impl Backend {
    /// `behave` is told the number of the connection, and that of the request on it, both from 1.
    fn start(behave: fn(usize, usize) -> Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (see, seen) = mpsc::channel();
        std::thread::spawn(move || {
            for (number, stream) in (1..).zip(listener.incoming()) {
                let (stream, see) = (stream.unwrap(), see.clone());
                std::thread::spawn(move || serve(stream, number, behave, &see));
            }
        });
        Self { url, seen }
    }

    fn section(&self, asks: &str) -> String {
        let url = &self.url;
        format!(
            "[[callouts]]\nname = \"decide\"\napp = \"shop\"\nurl = \"{url}\"\nsecrets = [\"{SECRET}\"]\nasks = [\"{asks}\"]\n\
             allow_private = true\n"
        )
    }

    /// Waits for what it sees next.
    fn see(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for a request. Returns its connection, and its id.
    fn request(&self) -> (usize, String) {
        loop {
            if let Seen::Request(connection, id) = self.see() {
                return (connection, id);
            }
        }
    }

    /// Returns how many requests came that nobody waited for.
    fn more(&self) -> usize {
        self.seen.try_iter().filter(|seen| matches!(seen, Seen::Request(..))).count()
    }
}

fn serve(mut stream: TcpStream, number: usize, behave: fn(usize, usize) -> Does, see: &Sender<Seen>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for count in 1.. {
        let Some(id) = read(&mut reader) else { break };
        // The test may be over.
        let _ = see.send(Seen::Request(number, id));
        let body = "{\"allow\":true,\"data\":1}";
        let head = |more: &str, length| format!("HTTP/1.1 200 x\r\n{more}content-length: {length}\r\n\r\n{body}");
        let (answer, goes_on) = match behave(number, count) {
            Does::Answers(lines) => (head(lines, body.len()), true),
            Does::Breaks => (head("", 100), false),
            Does::Ends => (String::new(), false),
        };
        if stream.write_all(answer.as_bytes()).is_err() || !goes_on {
            break;
        }
    }
    let _ = see.send(Seen::End(number));
}

/// Reads a request and returns its id; `None` at the end.
fn read(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut id, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("webhook-id", value)) => id = Some(value.to_owned()),
            Some(("content-length", value)) => length = value.parse().ok()?,
            None if line.trim_end().is_empty() => break,
            Some(_) | None => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    id
}

fn site(backend: &Backend, asks: &str) -> (Site, Wire) {
    let site = Site::start(&format!("{}{}", app("shop", &secret(1)), backend.section(asks)));
    let mut wire = Wire::open_at(site.address(), "/ws/shop");
    wire.say(&json!({"t": "hello", "v": 1, "token": token("shop", "alice", &secret(1)), "caps": ["call"]}));
    wire.expect("welcome");
    (site, wire)
}

fn publish(wire: &mut Wire) -> String {
    wire.say(&json!({"t": "publish", "channel": "room", "req": 1, "id": "m-1", "text": "x"}));
    outcome(wire)
}

fn call(wire: &mut Wire) -> String {
    wire.say(&json!({"t": "call", "req": 1, "id": "c-1", "method": "m", "timeout": 10_000, "data": 1}));
    outcome(wire)
}

fn outcome(wire: &mut Wire) -> String {
    let Heard::Json(answer) = wire.hear() else { panic!("the connection ended") };
    answer["code"].as_str().unwrap_or_else(|| answer["t"].as_str().unwrap()).to_owned()
}

#[test]
fn questions_share_a_connection_and_a_section_that_is_gone_leaves_none() {
    let backend = Backend::start(|_, _| Does::Answers(""));
    let (mut site, mut wire) = site(&backend, "publish");
    for _ in 0..20 {
        assert_eq!(publish(&mut wire), "published");
        assert_eq!(backend.request().0, 1);
    }
    // What stays as it is keeps its connections; another one has its own.
    let (base, section) = (app("shop", &secret(1)), backend.section("publish"));
    site.reload(&format!("{base}{section}{}", app("more", &secret(2))));
    assert_eq!((publish(&mut wire).as_str(), backend.request().0), ("published", 1));
    site.reload(&format!("{base}{section}timeout = \"4s\"\n"));
    assert_eq!(backend.see(), Seen::End(1));
    assert_eq!((publish(&mut wire).as_str(), backend.request().0), ("published", 2));
    site.reload(&base);
    assert_eq!(backend.see(), Seen::End(2));
    let (mut bob, _) = enter(site.address(), "shop", &token("shop", "bob", &secret(1)));
    assert_eq!((publish(&mut bob).as_str(), backend.more()), ("published", 0));
}

#[test]
fn a_backend_that_closes_after_each_answer_is_asked_anew() {
    let backend = Backend::start(|_, _| Does::Answers("connection: close\r\n"));
    let (_site, mut wire) = site(&backend, "publish");
    for connection in 1..5 {
        assert_eq!(publish(&mut wire), "published");
        assert_eq!(backend.request().0, connection);
    }
    let backend = Backend::start(|_, _| Does::Answers("keep-alive: timeout=1\r\n"));
    let (_site, mut wire) = site(&backend, "publish");
    for connection in 1..5 {
        assert_eq!(publish(&mut wire), "published");
        assert_eq!(backend.request().0, connection);
    }
}

#[test]
fn a_question_on_a_kept_connection_that_ends_is_asked_once_more_on_a_new_one() {
    let backend = Backend::start(|connection, request| match (connection, request) {
        (1, 3) | (3.., _) => Does::Ends,
        (2, 2) => Does::Breaks,
        _ => Does::Answers(""),
    });
    let (_site, mut wire) = site(&backend, "publish");
    for _ in 0..2 {
        assert_eq!(publish(&mut wire), "published");
        assert_eq!(backend.request().0, 1);
    }
    assert_eq!(publish(&mut wire), "published");
    let ((first, id), (second, again)) = (backend.request(), backend.request());
    assert_eq!((first, second, id), (1, 2, again), "the same question");
    // What began to be answered is not asked twice, and on a new connection nothing is.
    for connection in [2, 3, 4] {
        assert_eq!((publish(&mut wire).as_str(), backend.request().0), ("app.unavailable", connection));
    }
    assert_eq!(backend.more(), 0);
}

#[test]
fn a_call_is_handed_over_once_whatever_becomes_of_a_kept_connection() {
    let backend = Backend::start(|connection, request| match (connection, request) {
        (1, 3) => Does::Ends,
        _ => Does::Answers("connection: keep-alive\r\n"),
    });
    let (_site, mut wire) = site(&backend, "call");
    for _ in 0..2 {
        assert_eq!((call(&mut wire).as_str(), backend.request().0), ("result", 1));
    }
    assert_eq!((call(&mut wire).as_str(), backend.request().0), ("call.failed", 1));
    assert_eq!((call(&mut wire).as_str(), backend.request().0), ("result", 2));
    assert_eq!(backend.more(), 0);
    // Who does not say that it keeps a connection may close it at any moment: it gets a new one for each.
    let silent = Backend::start(|_, request| if request > 1 { Does::Ends } else { Does::Answers("") });
    let (_site, mut wire) = site(&silent, "call");
    for connection in 1..5 {
        assert_eq!((call(&mut wire).as_str(), silent.request().0), ("result", connection));
    }
}
