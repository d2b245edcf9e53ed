//! The server in memory, spoken to in JSON.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that stops is a test that fails")]

use moorline_protocol::{AppName, Codec};
use moorline_server_wasm::{Answer, Ask, Machine, Output, Settings};
use serde_json::{Value, json};

const START: u64 = 1_767_225_600_000;

struct Rig {
    machine: Machine,
    now: u64,
}

impl Rig {
    fn new(settings: Value) -> Self {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        Self { machine: Machine::new(settings, START), now: START }
    }

    fn connect(&mut self, conn: u32, hello: Value) -> Vec<Value> {
        self.machine.open(conn, AppName::default_app(), Codec::Json, self.now);
        self.say(conn, hello)
    }

    fn say(&mut self, conn: u32, frame: Value) -> Vec<Value> {
        self.machine.message(conn, true, frame.to_string().into(), self.now);
        self.heard()
    }

    /// Returns every frame and close, with its connection as `to`.
    fn heard(&mut self) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { conn, message, .. } => {
                    for line in std::str::from_utf8(&message).unwrap().lines() {
                        let mut frame: Value = serde_json::from_str(line).unwrap();
                        frame["to"] = conn.into();
                        heard.push(frame);
                    }
                }
                Output::Close { conn, code } => heard.push(json!({"t": "closed", "to": conn, "code": code.0})),
                Output::Drained => heard.push(json!({"t": "drained"})),
                Output::Call { call, question } => {
                    let question: Value = serde_json::from_slice(&question).unwrap();
                    heard.push(json!({"t": "asked", "number": call, "question": question}));
                }
                Output::Uncall(call) => heard.push(json!({"t": "given up", "number": call})),
            }
        }
        heard
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, ms: u64) -> Vec<Value> {
        let until = self.now + ms;
        let mut heard = Vec::new();
        while let Some(at) = self.machine.deadline(self.now).filter(|at| *at <= until) {
            self.now = at;
            self.machine.timeout(at);
            heard.extend(self.heard());
        }
        self.now = until;
        heard
    }

    fn ask(&mut self, ask: Value) -> Value {
        let ask: Ask = serde_json::from_value(ask).unwrap();
        let answer: Answer = self.machine.handle_ask(ask, self.now);
        serde_json::to_value(&answer).unwrap()
    }

    fn token(&mut self, user: &str) -> String {
        self.ask(json!({"token": {"user": user}}))["token"].as_str().unwrap().to_owned()
    }

    fn publish(&mut self, id: &str) -> Value {
        let frame = json!({"t": "publish", "req": 1, "channel": "room", "qos": 1, "id": id, "data": {"id": id}});
        self.ask(json!({"frame": {"user": "backend", "frame": frame}}))
    }

    fn history(&mut self) -> Vec<String> {
        let frame = json!({"t": "history", "req": 1, "channel": "room", "after": 0});
        let page = self.ask(json!({"frame": {"frame": frame}}));
        let messages = page["frame"]["messages"].as_array().unwrap();
        messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["t"].as_str().unwrap()).collect()
}

fn hello(token: &str, device: char, since: Value) -> Value {
    let device: String = std::iter::repeat_n(device, 16).collect();
    let subscribe = json!([{"req": 1, "channel": "room", "qos": 1, "since": since, "presence": "join"}]);
    json!({"t": "hello", "v": 1, "token": token, "device": device, "run": [1, 1], "subscribe": subscribe})
}

#[test]
fn what_the_backend_publishes_reaches_subscribers_at_once() {
    let mut rig = Rig::new(json!({}));
    let welcomed = rig.connect(1, hello("dev:alice", 'a', Value::Null));
    assert_eq!(kinds(&welcomed)[..2], ["welcome", "subscribed"]);
    let answer = rig.publish("m1");
    assert_eq!((&answer["frame"]["offset"], &answer["frame"]["duplicate"]), (&json!(1), &json!(false)));
    let heard = rig.heard();
    assert_eq!(kinds(&heard), ["deliver"]);
    assert_eq!(heard[0]["messages"][0]["user"], "backend");
    assert_eq!(rig.publish("m1")["frame"]["duplicate"], true);
    assert_eq!(rig.heard(), Vec::<Value>::new());
    assert_eq!(rig.history(), ["m1"]);
}

#[test]
fn a_start_with_what_was_stored_goes_on_where_it_was_and_one_without_begins_anew() {
    let mut rig = Rig::new(json!({"seed": 7}));
    let epoch = rig.publish("m1")["frame"]["epoch"].clone();
    rig.machine.kill();
    assert!(rig.publish("m2")["refused"].as_str().unwrap().contains("down"));
    rig.ask(json!({"start": {"keep": true}}));
    assert_eq!(rig.publish("m1")["frame"]["duplicate"], true);
    let since = json!({"epoch": epoch, "offset": 0});
    let resumed = rig.connect(1, hello("dev:alice", 'a', since.clone()));
    assert_eq!(resumed[1]["start"], "replay");
    rig.machine.kill();
    rig.ask(json!({"start": {"keep": false}}));
    assert_eq!(rig.history(), Vec::<String>::new());
    let reset = rig.connect(1, hello("dev:alice", 'a', since));
    assert_eq!(reset[1]["start"], "reset");
}

#[test]
fn an_expired_token_closes_its_connections_and_a_later_one_is_good() {
    let mut rig = Rig::new(json!({}));
    let token = rig.token("alice");
    rig.connect(1, hello(&token, 'a', Value::Null));
    rig.connect(2, hello("dev:bob", 'b', Value::Null));
    rig.heard();
    rig.ask(json!({"expireToken": {"user": "alice"}}));
    let heard = rig.heard();
    assert_eq!(kinds(&heard), ["error", "closed"]);
    assert_eq!((&heard[0]["code"], &heard[1]["code"]), (&json!("auth.expired"), &json!(4100)));
    assert_eq!(rig.connect(1, hello(&token, 'a', Value::Null))[0]["code"], "auth.expired");
    let fresh = rig.token("alice");
    assert_eq!(rig.connect(1, hello(&fresh, 'a', Value::Null))[0]["t"], "welcome");
}

#[test]
fn a_token_with_a_time_expires_with_it() {
    let mut rig = Rig::new(json!({}));
    let token = rig.ask(json!({"token": {"user": "alice", "ttl": 60_000}}))["token"].as_str().unwrap().to_owned();
    let welcome = rig.connect(1, hello(&token, 'a', Value::Null));
    assert_eq!(welcome[0]["expires"], START + 60_000);
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.extend(rig.pass(10_000).into_iter().filter(|frame| frame["t"] == "closed").map(|f| f["code"].clone()));
        rig.say(1, json!({"t": "pong", "n": 1}));
    }
    assert_eq!(codes, [json!(4100)]);
}

#[test]
fn a_revoked_user_is_put_out_and_comes_back_with_a_later_token_only() {
    let mut rig = Rig::new(json!({}));
    let token = rig.token("alice");
    rig.connect(1, hello(&token, 'a', Value::Null));
    rig.ask(json!({"revoke": {"user": "alice"}}));
    assert_eq!(rig.heard().last().unwrap()["code"], 4503);
    assert_eq!(rig.connect(1, hello(&token, 'a', Value::Null)).last().unwrap()["code"], 4503);
    let fresh = rig.token("alice");
    assert_eq!(rig.connect(1, hello(&fresh, 'a', Value::Null))[0]["t"], "welcome");
}

#[test]
fn users_and_their_grants_are_as_the_settings_say() {
    let grants = json!([{"match": "news", "can": ["subscribe"]}]);
    let mut rig = Rig::new(json!({"users": {"alice": grants}}));
    assert_eq!(rig.connect(1, hello("dev:mallory", 'm', Value::Null)).last().unwrap()["code"], 4502);
    assert_eq!(rig.connect(2, json!({"t": "hello", "v": 1})).last().unwrap()["code"], 4502);
    let alice = rig.connect(3, hello("dev:alice", 'a', Value::Null));
    assert_eq!((&alice[0]["t"], &alice[1]["code"]), (&json!("welcome"), &json!("channel.denied")));
}

#[test]
fn silence_is_noticed_at_the_time_it_is_due() {
    let mut rig = Rig::new(json!({"limits": {"ping": 5_000}}));
    rig.connect(1, hello("dev:alice", 'a', Value::Null));
    let heard = rig.pass(14_999);
    assert!(!kinds(&heard).contains(&"closed"), "{heard:?}");
    assert_eq!(rig.pass(2).last().unwrap()["code"], 4001);
}

#[test]
fn a_drain_says_when_to_come_back_and_ends() {
    let mut rig = Rig::new(json!({}));
    rig.connect(1, hello("dev:alice", 'a', Value::Null));
    rig.ask(json!({"drain": {"after": 500, "window": 3_000}}));
    let heard = rig.heard();
    assert_eq!(kinds(&heard), ["goaway", "closed", "drained"]);
    assert_eq!(heard[0]["after"], 500);
}

#[test]
fn whoever_takes_nothing_gets_no_more_until_it_does() {
    let mut rig = Rig::new(json!({}));
    rig.connect(1, hello("dev:alice", 'a', Value::Null));
    rig.machine.queued(1, 600_000, rig.now);
    rig.publish("m1");
    assert!(!kinds(&rig.heard()).contains(&"deliver"));
    rig.machine.queued(1, 0, rig.now);
    let heard = rig.heard();
    let page = heard.iter().find(|frame| frame["t"] == "deliver").unwrap();
    assert_eq!((&page["messages"][0]["id"], &page["replay"]), (&json!("m1"), &json!(true)));
}

#[test]
fn connections_tell_who_is_there() {
    let mut rig = Rig::new(json!({}));
    rig.connect(5, hello("dev:alice", 'a', Value::Null));
    rig.machine.open(6, AppName::default_app(), Codec::Json, rig.now);
    let all = rig.ask(json!("connections"))["connections"].clone();
    assert_eq!((&all[0]["conn"], &all[0]["user"]), (&json!(5), &json!("alice")));
    assert_eq!((&all[1]["conn"], &all[1]["user"]), (&json!(6), &Value::Null));
    let frame = json!({"t": "presence", "req": 1, "channel": "room", "op": "get"});
    let members = rig.ask(json!({"frame": {"frame": frame}}))["frame"]["members"].clone();
    assert_eq!(members[0]["user"], "alice");
}

#[test]
fn calls_are_asked_answered_and_given_up() {
    let caller = |name: &str| json!({"t": "hello", "v": 1, "token": name, "caps": ["call"]});
    let call = |req: u64, method: &str, data: Value| json!({"t": "call", "req": req, "id": format!("c{req}"), "method": method, "timeout": 900, "data": data});
    let users = json!({"users": {"alice": [{"match": "cart.*", "can": ["call"]}]}});
    let mut rig = Rig::new(users);
    assert_eq!(rig.connect(1, caller("dev:alice"))[0]["caps"], json!(["call"]));
    assert_eq!(rig.say(1, call(1, "user.delete", Value::Null))[0]["code"], "call.denied");
    let asked = rig.say(1, call(2, "cart.add", json!({"sku": 7})));
    let frame = &asked[0]["question"]["frame"];
    assert_eq!((&asked[0]["question"]["user"], &asked[0]["question"]["app"]), (&json!("alice"), &json!("default")));
    assert_eq!((&frame["method"], &frame["id"], &frame["timeout"]), (&json!("cart.add"), &json!("c2"), &json!(900)));
    assert_eq!(frame["data"], json!({"sku": 7}));
    let number = asked[0]["number"].clone();
    rig.ask(json!({"called": {"call": number, "frame": {"t": "result", "req": 0, "text": "one"}}}));
    assert_eq!(rig.heard(), [json!({"t": "result", "req": 2, "text": "one", "to": 1})]);
    // Nobody waits any more.
    rig.ask(json!({"called": {"call": number, "frame": {"t": "result", "req": 0, "text": "two"}}}));
    assert_eq!(rig.heard(), Vec::<Value>::new());

    let number = rig.say(1, call(3, "cart.add", json!(1)))[0]["number"].clone();
    let frame =
        json!({"t": "error", "req": 0, "code": "call.refused.sold_out", "message": "none left", "retry": false});
    rig.ask(json!({"called": {"call": number, "frame": frame}}));
    let heard = rig.heard();
    assert_eq!((&heard[0]["code"], &heard[0]["message"]), (&json!("call.refused.sold_out"), &json!("none left")));
    assert!(rig.ask(json!({"called": {"call": 9, "frame": {"t": "pong"}}}))["refused"].is_string());

    let number = rig.say(1, call(4, "cart.add", json!(1)))[0]["number"].clone();
    rig.machine.closed(1, rig.now);
    assert_eq!(rig.heard(), [json!({"t": "given up", "number": number})]);
}

#[test]
fn an_app_without_a_backend_takes_no_calls() {
    let mut rig = Rig::new(json!({"calls": []}));
    let welcome = rig.connect(1, json!({"t": "hello", "v": 1, "caps": ["call"]}));
    assert_eq!(welcome[0]["caps"], Value::Null);
    let call = json!({"t": "call", "req": 1, "id": "c", "method": "echo", "timeout": 900, "data": 1});
    assert_eq!(rig.say(1, call)[0]["code"], "request.unsupported");
    let bad = serde_json::from_value::<Settings>(json!({"calls": ["a b"]})).unwrap_err();
    assert!(bad.to_string().contains("\"a b\""), "{bad}");
}

#[test]
fn bad_settings_and_bad_questions_are_named() {
    let unknown = serde_json::from_value::<Settings>(json!({"limits": {"mesage": 3}})).unwrap_err();
    assert!(unknown.to_string().contains("`mesage`"), "{unknown}");
    let mut rig = Rig::new(json!({}));
    let frame = json!({"t": "subscribe", "req": 1, "channel": "room", "qos": 1});
    assert!(rig.ask(json!({"frame": {"frame": frame}}))["refused"].is_string());
    assert!(rig.ask(json!({"revoke": {"user": ""}}))["refused"].is_string());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed: u64| {
        let mut rig = Rig::new(json!({"seed": seed}));
        let mut heard = rig.connect(1, json!({"t": "hello", "v": 1}));
        rig.publish("m1");
        heard.extend(rig.pass(100_000));
        heard
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
