//! Whom an app asks changes while clients are there.

use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};

use super::{Site, app, enter, knock, secret, settled, token, token_of};
use crate::hooks::SECRET;
use crate::hooks::receiver::{Answer, Receiver, Request};
use crate::support::{Heard, Wire};

const OTHER_SECRET: &str = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";
const REFUSED: &str = "the configuration was not reloaded";

/// A section; `asks` is a list of TOML.
fn callout(backend: &Receiver, asks: &str, secret: &str) -> String {
    format!(
        "[[callouts]]\nname = \"decide\"\napp = \"shop\"\nurl = \"{}\"\nsecrets = [\"{secret}\"]\nallow_private = true\n\
         asks = [{asks}]\n",
        backend.url()
    )
}

/// A backend that says the same to all.
fn backend(answer: &'static str) -> Receiver {
    Receiver::start(move |_| ok(answer))
}

fn ok(body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
}

fn asked(request: &Request) -> Value {
    serde_json::from_slice::<Value>(&request.body).unwrap()["ask"].clone()
}

/// What a publish comes to: `published`, or a code.
fn publish(wire: &mut Wire, id: &str) -> String {
    wire.say(&json!({"t": "publish", "channel": "room", "req": 1, "id": id, "text": "x"}));
    outcome(wire)
}

fn subscribe(wire: &mut Wire) -> String {
    wire.say(&json!({"t": "subscribe", "channel": "room", "req": 2}));
    outcome(wire)
}

fn outcome(wire: &mut Wire) -> String {
    let Heard::Json(answer) = wire.hear() else { panic!("the connection ended") };
    answer["code"].as_str().unwrap_or_else(|| answer["t"].as_str().unwrap()).to_owned()
}

/// A connection that can make calls. Returns what `welcome` says it can.
fn caller(site: &Site) -> (Wire, Value) {
    let mut wire = Wire::open_at(site.address(), "/ws/shop");
    let token = token("shop", "carol", &secret(1));
    wire.say(&json!({"t": "hello", "v": 1, "token": token, "caps": ["call"]}));
    let welcome = wire.expect("welcome");
    (wire, welcome["caps"].clone())
}

fn call(wire: &mut Wire) -> String {
    wire.say(&json!({"t": "call", "req": 3, "id": "c-1", "method": "m", "timeout": 10_000, "data": 1}));
    outcome(wire)
}

#[test]
fn callouts_come_change_and_go() {
    let base = app("shop", &secret(1));
    let (one, other) = (backend("{\"allow\":false,\"data\":1}"), backend("{\"allow\":true,\"data\":2}"));
    let all = "\"publish\", \"call\"";
    let mut site = Site::start(&base);
    let (mut alice, _) = enter(site.address(), "shop", &token("shop", "alice", &secret(1)));
    let (mut early, caps) = caller(&site);
    assert_eq!((publish(&mut alice, "1").as_str(), caps), ("published", json!(null)));

    // It comes: it is asked about who is there already, too. What `welcome` told stays told.
    site.reload(&format!("{base}{}", callout(&one, all, SECRET)));
    assert_eq!(publish(&mut alice, "2"), "channel.denied");
    assert!(one.request().is_signed_with(SECRET));
    let (mut late, caps) = caller(&site);
    assert_eq!((call(&mut early).as_str(), caps), ("request.unsupported", json!(["call"])));
    assert_eq!(call(&mut late), "result");
    assert_eq!(asked(&one.request()), "call");

    // Another URL.
    site.reload(&format!("{base}{}", callout(&other, all, SECRET)));
    assert_eq!((publish(&mut alice, "3").as_str(), call(&mut late).as_str()), ("published", "result"));
    assert_eq!((asked(&other.request()), asked(&other.request())), (json!("publish"), json!("call")));
    assert!(one.look().is_none());

    // Another secret, with the one before for a while, and then without.
    let both = format!("{SECRET}\", \"{OTHER_SECRET}");
    site.reload(&format!("{base}{}", callout(&other, all, &both)));
    assert_eq!(publish(&mut alice, "4"), "published");
    let request = other.request();
    assert!(request.is_signed_with(SECRET) && request.is_signed_with(OTHER_SECRET));
    site.reload(&format!("{base}{}", callout(&other, all, OTHER_SECRET)));
    assert_eq!(publish(&mut alice, "5"), "published");
    let request = other.request();
    assert!(!request.is_signed_with(SECRET) && request.is_signed_with(OTHER_SECRET));

    // A bad file changes nothing, whatever is good in it.
    for bad in [
        callout(&one, "\"publishing\"", SECRET),
        callout(&one, "\"publish\"", "whsec_short"),
        format!("{}timeout = \"1h\"\n", callout(&one, "\"publish\"", SECRET)),
        callout(&one, "\"publish\"", SECRET).replace("allow_private = true\n", ""),
    ] {
        site.replace(&format!("{base}{bad}"));
        let said = site.hang_up(REFUSED);
        assert!(said.contains("call-out `decide`") && !said.contains("short"), "{said}");
        assert_eq!(publish(&mut alice, "6"), "published");
        assert!(other.request().is_signed_with(OTHER_SECRET) && one.look().is_none());
    }

    // It goes.
    site.reload(&base);
    assert_eq!((publish(&mut alice, "7").as_str(), call(&mut late).as_str()), ("published", "request.unsupported"));
    assert_eq!(caller(&site).1, json!(null));
    settled(&mut alice);
    assert!(one.look().is_none() && other.look().is_none());
}

#[test]
fn what_was_allowed_by_another_is_asked_again_and_by_the_same_is_not() {
    let base = app("shop", &secret(1));
    let (one, other) = (backend("{\"allow\":true,\"cache\":3600}"), backend("{\"allow\":false}"));
    let asks = "\"subscribe\"";
    let first = callout(&one, asks, SECRET);
    let mut site = Site::start(&format!("{base}{first}"));
    let nothing = token_of("shop", "alice", &secret(1), &json!([]));
    let (mut alice, _) = enter(site.address(), "shop", &nothing);
    assert_eq!(subscribe(&mut alice), "subscribed");
    one.request();

    // Something else changes, and its place.
    let more = callout(&other, asks, SECRET).replace("decide", "before") + "channels = [\"elsewhere\"]\n";
    site.reload(&format!("[limits]\nchannels = 7\n{base}{more}{first}"));
    alice.say(&json!({"t": "unsubscribe", "channel": "room", "req": 1}));
    assert_eq!((outcome(&mut alice), subscribe(&mut alice)), ("unsubscribed".into(), "subscribed".into()));
    assert!(one.look().is_none() && other.look().is_none());

    // Another decides: it is asked at once, and says no.
    site.reload(&format!("{base}{}", callout(&other, asks, SECRET)));
    let ended = alice.expect("unsubscribed");
    assert_eq!((&ended["code"], asked(&other.request())), (&json!("channel.denied"), json!("subscribe")));

    // Nobody decides any more: the token does, which allows nothing.
    site.reload(&format!("{base}{first}"));
    assert_eq!(subscribe(&mut alice), "subscribed");
    one.request();
    site.reload(&base);
    assert_eq!(alice.expect("unsubscribed")["code"], "channel.denied");
    assert_eq!(subscribe(&mut alice), "channel.denied");
    assert!(one.look().is_none() && other.look().is_none());
}

#[test]
fn a_question_under_way_ends_as_it_began() {
    let base = app("shop", &secret(1));
    let (open, gate) = mpsc::channel::<()>();
    let slow = Receiver::start(move |_| {
        // The test ends it.
        let _ = gate.recv();
        ok("{\"allow\":false,\"reason\":\"said before\"}")
    });
    let mut site = Site::start(&format!("{base}{}timeout = \"30s\"\n", callout(&slow, "\"publish\"", SECRET)));
    let (mut alice, _) = enter(site.address(), "shop", &token("shop", "alice", &secret(1)));
    alice.say(&json!({"t": "publish", "channel": "room", "req": 1, "id": "1", "text": "x"}));
    settled(&mut alice);
    site.reload(&base);
    // What follows in the channel waits, whoever decides about it.
    alice.say(&json!({"t": "publish", "channel": "room", "req": 2, "id": "2", "text": "x"}));
    settled(&mut alice);
    open.send(()).unwrap();
    let denied = alice.expect_error("channel.denied");
    assert_eq!((&denied["req"], &denied["message"]), (&json!(1), &json!("said before")));
    assert_eq!(alice.expect("published")["req"], 2);
}

#[test]
fn a_backend_that_is_left_alone_stays_so_until_its_section_changes() {
    let base = app("shop", &secret(1));
    let status = Arc::new(Mutex::new(500));
    let now = Arc::clone(&status);
    let failing = Receiver::start(move |_| match *now.lock().unwrap() {
        200 => ok("{\"allow\":true}"),
        status => Answer::Status(status),
    });
    let section = callout(&failing, "\"publish\"", SECRET);
    let mut site = Site::start(&format!("{base}{section}"));
    let (mut alice, _) = enter(site.address(), "shop", &token("shop", "alice", &secret(1)));
    let ask = |alice: &mut Wire| {
        (0..6).for_each(|_| assert_eq!(publish(alice, "1"), "app.unavailable"));
        std::iter::from_fn(|| failing.look()).count()
    };
    assert_eq!(ask(&mut alice), 5);
    // It is not time that opens it again: the breaker is open for a second, and then lets one through.
    site.reload(&format!("{base}{section}{}", app("more", &secret(2))));
    assert!(ask(&mut alice) < 5);
    *status.lock().unwrap() = 200;
    site.reload(&format!("{base}{section}timeout = \"4s\"\n"));
    assert_eq!(publish(&mut alice, "1"), "published");
}

#[test]
fn an_app_that_comes_with_a_callout_lets_nobody_in_without_it() {
    let door = backend("{\"allow\":false,\"reason\":\"say the word\"}");
    let base = app("other", &secret(2));
    let shop = app("shop", &secret(1)).replace("[[apps.keys]]", "anonymous = true\n[[apps.keys]]");
    let mut site = Site::start(&base);
    let mut silent = Wire::open_at(site.address(), "/ws/other");
    site.reload(&format!("{base}{shop}{}", callout(&door, "\"connect\"", SECRET)));
    let mut wire = Wire::open_at(site.address(), "/ws/shop");
    wire.say(&json!({"t": "hello", "v": 1}));
    wire.expect_end("auth.invalid", 4502);
    assert_eq!(asked(&door.request()), "connect");
    settled_without_hello(&mut silent);
    // Whoever was about to say `hello` comes again: of its request was kept what nobody had asked for.
    let asks_other = callout(&door, "\"connect\"", SECRET).replace("\"shop\"", "\"other\"");
    site.reload(&format!("{base}{asks_other}"));
    silent.expect_close(4000);
    knock(site.address(), "other", &token("other", "alice", &secret(2))).expect_end("auth.invalid", 4502);
}

/// It is still there.
fn settled_without_hello(wire: &mut Wire) {
    wire.raw(&crate::support::frame(true, crate::support::PING, b"?"));
    assert_eq!(wire.hear(), Heard::Pong(b"?".to_vec()));
}

#[test]
fn certificates_of_a_callout_are_watched() {
    let base = app("shop", &secret(1));
    let section = callout(&backend("{}"), "\"publish\"", SECRET);
    let mut site = Site::start(&base);
    let pem = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    std::fs::write(site.path().join("ca.pem"), pem()).unwrap();
    site.reload(&format!("{base}{section}ca_file = \"ca.pem\"\n"));
    // What SIGHUP began may be noticed a second time.
    let before = site.program().said().len();
    std::fs::write(site.path().join("ca.pem"), "nonsense").unwrap();
    assert!(site.program().wait_for(before, REFUSED).contains("ca.pem"));
}
