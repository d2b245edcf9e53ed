use moorline_protocol::CloseCode;
use serde_json::{Value, json};

use super::backend;
use crate::support::{Heard, Wire};

const APP: &str = "/v1/apps/default";

fn list(http: &super::Http, query: &str) -> (Vec<String>, bool) {
    let page = http.get(&format!("{APP}/channels{query}")).good();
    let names = page["channels"].as_array().unwrap().iter();
    (names.map(|channel| channel["channel"].as_str().unwrap().to_owned()).collect(), page["more"] == true)
}

#[test]
fn messages_are_read_in_both_directions_as_clients_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    for n in 1..=5 {
        let message = json!({"channel": "a/b ü", "data": {"n": n}, "id": n.to_string(), "headers": {"x": "y"}});
        http.post(&format!("{APP}/messages"), &message).good();
    }
    let read = |query: &str| http.get(&format!("{APP}/channels/a%2Fb%20%C3%BC/messages{query}"));
    let offsets = |page: &Value| -> Vec<u64> {
        page["messages"].as_array().unwrap().iter().map(|message| message["offset"].as_u64().unwrap()).collect()
    };
    let all = read("").good();
    assert_eq!(
        (offsets(&all), &all["head"], &all["first"], &all["more"]),
        (vec![1, 2, 3, 4, 5], &json!(5), &json!(1), &json!(false))
    );
    let message = &all["messages"][2];
    assert_eq!(
        (&message["data"], &message["id"], &message["headers"]),
        (&json!({"n": 3}), &json!("3"), &json!({"x": "y"}))
    );
    let up = read("?after=1&limit=2").good();
    assert_eq!((offsets(&up), &up["more"]), (vec![2, 3], &json!(true)));
    let down = read("?before=4&limit=2").good();
    assert_eq!((offsets(&down), &down["more"]), (vec![2, 3], &json!(true)));
    assert_eq!(offsets(&read("?after_time=0&limit=1").good()), [1]);
    assert_eq!(offsets(&read("?before_time=0").good()), [] as [u64; 0]);
    for query in
        ["?after=1&before=2", "?limit=0", "?limit=257", "?after=-1", "?aftr=1", "?after=x", "?after=9007199254740992"]
    {
        read(query).problem(400, "request.malformed");
    }
    http.get(&format!("{APP}/channels/$hooks/messages")).problem(400, "channel.invalid");
    http.get(&format!("{APP}/channels/%ff/messages")).problem(400, "request.malformed");
}

#[test]
fn channels_are_listed_by_prefix_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = backend(dir.path());
    let channels = ["a", "b:1", "b:2", "b:3", "c"];
    http.post(&format!("{APP}/messages"), &json!({"channels": channels, "text": "x"})).good();
    http.post("/v1/apps/other/messages", &json!({"channel": "b:9", "text": "x"})).good();
    assert_eq!(list(&http, ""), (channels.map(str::to_owned).to_vec(), false));
    assert_eq!(list(&http, "?prefix=b:&limit=2"), (vec!["b:1".into(), "b:2".into()], true));
    assert_eq!(list(&http, "?prefix=b:&limit=2&after=b:2"), (vec!["b:3".into()], false));
    assert_eq!(list(&http, "?prefix=d"), (vec![], false));
    assert_eq!(list(&http, "?prefix=$"), (vec![], false));
    http.get(&format!("{APP}/channels?limit=1001")).problem(400, "request.malformed");

    let mut wire = Wire::hello(program.address(), "dev:alice");
    wire.say(&json!({"t": "subscribe", "req": 1, "channel": "d", "presence": "join", "state": {"typing": true}}));
    wire.expect("subscribed");
    let page = http.get(&format!("{APP}/channels?prefix=d")).good();
    let found = &page["channels"][0];
    assert_eq!((&found["subscribed"], &found["members"], &found["head"]), (&json!(true), &json!(1), &json!(0)));
    let members = http.get(&format!("{APP}/channels/d/presence")).good();
    assert_eq!(
        (&members["count"], &members["members"][0]["user"], &members["members"][0]["state"]),
        (&json!(1), &json!("alice"), &json!({"typing": true}))
    );
    assert_eq!(http.get(&format!("{APP}/channels/nobody/presence")).good()["count"], 0);
}

#[test]
fn users_are_looked_for_and_sent_away() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = backend(dir.path());
    let status = |users: &[&str]| http.post(&format!("{APP}/users/status"), &json!({"users": users}));
    let mut alice = [Wire::hello(program.address(), "dev:alice"), Wire::hello(program.address(), "dev:alice")];
    let _bob = Wire::hello(program.address(), "dev:bob");
    let users = status(&["alice", "bob", "carol"]).good();
    let online = |name: &str| users["users"][name]["online"].as_bool();
    assert_eq!((online("alice"), online("bob"), online("carol")), (Some(true), Some(true), Some(false)));
    status(&["a*"]).problem(400, "request.malformed");
    status(&["a"; 501]).problem(400, "request.malformed");

    let away = http.send("DELETE", &format!("{APP}/users/alice/connections"), &[], None);
    assert_eq!(away.good()["connections"], 2);
    for wire in &mut alice {
        assert!(matches!(wire.hear(), Heard::Close(code, _) if code == CloseCode::TOKEN_EXPIRED.0));
    }
    assert_eq!(status(&["alice"]).good()["users"]["alice"]["online"], false);
    let again = http.send("DELETE", &format!("{APP}/users/alice/connections"), &[], None);
    assert_eq!(again.good()["connections"], 0);
    assert_eq!(status(&["bob"]).good()["users"]["bob"]["online"], true);
}

#[test]
fn a_revocation_ends_the_user_s_connections() {
    let dir = tempfile::tempdir().unwrap();
    let (program, http) = backend(dir.path());
    let revoke = |http: &super::Http, body: &Value| http.post(&format!("{APP}/revocations"), body);
    let mut alice = Wire::hello(program.address(), "dev:alice");
    assert_eq!(revoke(&http, &json!({"user": "alice"})).status, 204);
    while !matches!(alice.hear(), Heard::Close(code, _) if code == CloseCode::REVOKED.0) {}
    for body in [
        json!({}),
        json!({"jti": "a", "user": "b"}),
        json!({"jti": ""}),
        json!({"issued_before": 1}),
        json!({"users": "a"}),
    ] {
        revoke(&http, &body).problem(400, "request.malformed");
    }
    assert_eq!(revoke(&http, &json!({"jti": "token-1"})).status, 204);
}

#[test]
fn the_server_says_how_it_is_and_what_it_can_do() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, http) = backend(dir.path());
    let openapi = http.bare("GET", "/openapi.json", &[], None).good();
    assert_eq!(openapi["openapi"], "3.1.0");
    let asyncapi = http.bare("GET", "/asyncapi.json", &[], None).good();
    assert_eq!(asyncapi["asyncapi"], "3.0.0");
    let given = http.bare("GET", "/openapi.json", &[("x-request-id", "trace-1")], None);
    assert_eq!(given.header("x-request-id"), Some("trace-1"));
    let strange = http.bare("GET", "/openapi.json", &[("x-request-id", "a b")], None);
    assert_ne!(strange.header("x-request-id"), Some("a b"));
}
