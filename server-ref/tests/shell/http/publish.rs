use serde_json::json;

use super::{Http, backend};
use crate::support::Wire;
use crate::support::program::{Program, command};

const MESSAGES: &str = "/v1/apps/default/messages";

#[test]
fn a_message_is_stored_handed_out_and_known_again_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = backend(dir.path());
    let mut wire = Wire::hello(program.address(), "dev:alice");
    wire.say(&json!({"t": "subscribe", "req": 1, "channel": "room:1"}));
    wire.expect("subscribed");
    let key = [("idempotency-key", "\"order-1\"")];
    let body = json!({"channel": "room:1", "data": {"price": null}, "headers": {"b": "2", "a": "1"}, "ttl": 3600});
    let first = http.post_with(MESSAGES, &key, &body).good();
    assert_eq!(
        (&first["channel"], &first["offset"], &first["duplicate"]),
        (&json!("room:1"), &json!(1), &json!(false))
    );
    let message = &wire.expect("deliver")["messages"][0];
    assert_eq!((&message["id"], &message["data"], message.get("user")), (&json!("order-1"), &body["data"], None));
    drop(program);

    let program = Program::dev(dir.path());
    let http = Http::new(program.address(), "dev");
    let again = http.post_with(MESSAGES, &key, &body).good();
    assert_eq!(again, json!({"channel": "room:1", "epoch": first["epoch"], "offset": 1, "duplicate": true}));
    let other = json!({"channel": "room:1", "text": "another"});
    let detail = http.post_with(MESSAGES, &key, &other).problem(422, "publish.reused");
    assert!(detail.contains("same content"), "{detail}");
}

#[test]
fn a_list_is_answered_in_order_and_one_bad_message_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    let list = json!([
        {"channel": "a", "text": "1"},
        {"channels": ["b", "$hooks", "a"], "bin": "AAEC"},
        {"channel": "b", "data": null, "id": "own"},
    ]);
    let key = [("idempotency-key", "k")];
    let answer = http.post_with(MESSAGES, &key, &list);
    assert_eq!(answer.status, 207, "{answer:?}");
    let results = answer.json();
    let seen: Vec<_> =
        results.as_array().unwrap().iter().map(|r| (r["channel"].as_str().unwrap(), r["offset"].as_u64())).collect();
    assert_eq!(seen, [("a", Some(1)), ("b", Some(1)), ("$hooks", None), ("a", Some(2)), ("b", Some(2))]);
    assert_eq!(results[2]["problem"]["code"], "channel.invalid");
    let again = http.post_with(MESSAGES, &key, &list).json();
    let duplicates = again.as_array().unwrap().iter().filter(|result| result["duplicate"] == true).count();
    assert_eq!(duplicates, 4, "{again}");

    let fan_out = http.post(MESSAGES, &json!({"channels": ["a", "b"], "text": "x"})).good();
    assert_eq!((&fan_out[0]["offset"], &fan_out[1]["offset"]), (&json!(3), &json!(3)));
    let most: Vec<_> = (0..1_000).map(|n| json!({"channel": "many", "text": n.to_string()})).collect();
    let results = http.post(MESSAGES, &json!(most)).good();
    assert_eq!((results.as_array().unwrap().len(), &results[999]["offset"]), (1_000, &json!(1_000)));
}

#[test]
fn what_is_not_stored_reaches_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = backend(dir.path());
    let mut wire = Wire::hello(program.address(), "dev:alice");
    wire.say(&json!({"t": "subscribe", "req": 1, "channel": "@me"}));
    wire.expect("subscribed");
    let answer = http.post(MESSAGES, &json!({"channel": "@alice", "text": "now", "qos": 0})).good();
    assert_eq!(answer, json!({"channel": "@alice", "duplicate": false}));
    assert_eq!(wire.expect("deliver")["messages"][0]["text"], "now");
}

#[test]
fn the_api_has_a_listener_of_its_own_if_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = command(["--dev", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data"]);
    let mut program = Program::start(run.arg(dir.path()));
    let http = Http::new(program.http_address(), "dev");
    assert_eq!(http.post(MESSAGES, &json!({"channel": "a", "text": "x"})).good()["offset"], 1);
    let shared = Http::new(program.address(), "dev").post(MESSAGES, &json!({"channel": "a", "text": "x"}));
    assert_eq!(shared.status, 405, "WebSockets alone are taken there");
    program.stop();
}
