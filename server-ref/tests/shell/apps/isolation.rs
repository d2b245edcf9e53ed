//! Two apps with everything of the same name, and one that tries to see the other.

use serde_json::{Value, json};

use super::{Site, api_key, app, enter, knock, secret, settled, token};
use crate::hooks::SECRET;
use crate::hooks::receiver::{Answer, Receiver};
use crate::http::Http;
use crate::support::Wire;

const DEVICE: &str = "device-0123456789";

fn hook(app: &str, receiver: &Receiver) -> String {
    format!(
        "[[hooks]]\nname = \"events\"\napp = \"{app}\"\nurl = \"{}\"\nsecrets = [\"{SECRET}\"]\nallow_private = true\n\
         events = [\"user.online\", \"channel.occupied\", \"message.stored\"]\n",
        receiver.url()
    )
}

/// Both apps: other secrets and receivers, and everything else the same.
struct World {
    site: Site,
    /// The backends of `alpha` and `beta`.
    backends: [Http; 2],
    metrics: Http,
    keys: [String; 2],
    receivers: [Receiver; 2],
}

fn world() -> World {
    let ((alpha_key, alpha_section), (beta_key, beta_section)) = (api_key("backend"), api_key("backend"));
    let receivers = [Receiver::start(|_| Answer::Status(200)), Receiver::start(|_| Answer::Status(200))];
    let config = [
        app("alpha", &secret(1)),
        alpha_section,
        app("beta", &secret(2)),
        beta_section,
        hook("alpha", &receivers[0]),
        hook("beta", &receivers[1]),
    ];
    let mut site = Site::start_with(&config.concat(), &["--http-listen", "127.0.0.1:0"]);
    let address = site.program().http_address();
    let keys = [alpha_key, beta_key];
    let backends = [Http::new(address, &keys[0]), Http::new(address, &keys[1])];
    World { site, backends, metrics: Http::new(address, ""), keys, receivers }
}

/// A client of an app, with a device.
fn client(world: &World, app: &str, user: &str) -> Wire {
    let secret = if app == "alpha" { secret(1) } else { secret(2) };
    let mut wire = Wire::open_at(world.site.address(), &format!("/ws/{app}"));
    let token = token(app, user, &secret);
    wire.say(&json!({"t": "hello", "v": 1, "token": token, "device": DEVICE, "producer": "new", "run": [1, 1]}));
    wire.expect("welcome");
    wire
}

fn subscribe(wire: &mut Wire) -> Value {
    wire.say(&json!({"t": "subscribe", "req": 1, "channel": "room", "durable": true, "presence": "join",
        "since": {"cursor": null}}));
    wire.expect("subscribed")
}

/// Reads up to a frame of this type, and sees nothing of the other app meanwhile.
fn unseen(wire: &mut Wire, t: &str) -> Value {
    loop {
        let frame = wire.expect_any();
        let text = frame.to_string();
        assert!(!text.contains("carol") && !text.contains("alpha") && !text.contains("online\":true"), "{frame}");
        if frame["t"] == t {
            return frame;
        }
    }
}

#[test]
fn nothing_of_one_app_is_seen_in_another() {
    let world = world();
    let [alpha, beta] = &world.backends;
    // The same user and device: neither connection displaces the other.
    let mut here = client(&world, "alpha", "alice");
    let mut there = client(&world, "beta", "alice");
    subscribe(&mut here);
    assert_eq!(subscribe(&mut there)["head"], 0);
    let mut only_here = client(&world, "alpha", "carol");
    subscribe(&mut only_here);
    let text = json!({"t": "publish", "channel": "room", "req": 2, "id": "m1", "qos": 1, "text": "secret of alpha"});
    only_here.say(&text);
    while only_here.expect_any()["t"] != "published" {}
    // Messages, live and stored, and members.
    there.say(&json!({"t": "history", "channel": "room", "req": 3}));
    assert_eq!(unseen(&mut there, "page")["messages"], json!([]));
    // Whether users are online, asked and watched.
    there.say(&json!({"t": "status", "req": 5, "users": ["dave"], "watch": true}));
    assert_eq!(unseen(&mut there, "statuses")["users"]["dave"]["online"], false);
    let mut _dave = client(&world, "alpha", "dave");
    // Ids: what is known there is new here, for users and for backends.
    there.say(&json!({"t": "publish", "channel": "room", "req": 6, "id": "m1", "qos": 1, "text": "of beta"}));
    let published = unseen(&mut there, "published");
    assert!(published["duplicate"] != true && published["offset"] == 1, "{published}");
    for backend in [(alpha, "alpha"), (beta, "beta")] {
        let path = format!("/v1/apps/{}/messages", backend.1);
        let stored = backend.0.post(&path, &json!({"channel": "room", "id": "same", "text": "x"})).good();
        assert_eq!((&stored["duplicate"], &stored["offset"]), (&json!(false), &json!(2)), "{stored}");
    }
    // The HTTP API.
    alpha.post("/v1/apps/alpha/messages", &json!({"channel": "plans", "text": "x"})).good();
    let listed = beta.get("/v1/apps/beta/channels").good();
    assert_eq!(listed["channels"].as_array().unwrap().len(), 1, "{listed}");
    let present = beta.get("/v1/apps/beta/channels/room/presence").good();
    assert_eq!((&present["count"], &present["members"][0]["user"]), (&json!(1), &json!("alice")), "{present}");
    let messages = beta.get("/v1/apps/beta/channels/room/messages").good().to_string();
    assert!(messages.contains("of beta") && !messages.contains("of alpha"), "{messages}");
    let statuses = beta.post("/v1/apps/beta/users/status", &json!({"users": ["carol", "alice"]})).good();
    assert_eq!(statuses["users"]["carol"]["online"], false, "{statuses}");
    for path in ["channels", "channels/room/messages", "channels/room/presence", "operations/op_1_a.1"] {
        beta.get(&format!("/v1/apps/alpha/{path}")).problem(401, "auth.invalid");
    }
    beta.post("/v1/apps/alpha/messages", &json!({"channel": "room", "text": "x"})).problem(401, "auth.invalid");
    let later = [("prefer", "respond-async")];
    let accepted = alpha.post_with("/v1/apps/alpha/messages", &later, &json!({"channel": "room", "text": "later"}));
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    beta.get(&format!("/v1/apps/beta/operations/{id}")).problem(404, "request.unsupported");
    assert_eq!(alpha.get(&format!("/v1/apps/alpha/operations/{id}")).status, 200);
    there.say(&json!({"t": "ping", "n": 1}));
    unseen(&mut there, "pong");
    // Tokens are good for the app whose key signed them, and for the app that they name.
    for (app, aud, key) in [("beta", "beta", 1), ("beta", "alpha", 1), ("alpha", "beta", 1), ("alpha", "beta", 2)] {
        knock(world.site.address(), app, &token(aud, "eve", &secret(key))).expect_end("auth.invalid", 4502);
    }
    let said = world.site.stop();
    assert!(!world.keys.iter().any(|key| said.contains(key.as_str())), "{said}");
}

/// The session of a client that comes in, which stays.
fn session(site: &Site, app: &str, secret: &str) -> (Wire, u64) {
    let (wire, welcome) = enter(site.address(), app, &token(app, "alice", secret));
    (wire, u64::from_str_radix(welcome["session"].as_str().unwrap(), 16).unwrap())
}

#[test]
fn what_goes_on_in_one_app_cannot_be_counted_in_another() {
    let config = [app("alpha", &secret(1)), app("beta", &secret(2))].concat();
    let site = Site::start_with(&config, &["--shards", "1"]);
    let number = |wire: &mut Wire, channel: &str| {
        wire.say(&json!({"t": "subscribe", "req": 1, "channel": channel}));
        wire.expect("subscribed")["number"].clone()
    };
    let (mut first, before) = session(&site, "beta", &secret(2));
    assert_eq!(number(&mut first, "first"), 1);
    let mut busy: Vec<_> = [(); 5].iter().map(|()| session(&site, "alpha", &secret(1))).collect();
    for (at, (wire, _)) in (1..).zip(&mut busy) {
        assert_eq!(number(wire, &format!("room-{at}")), at);
    }
    let (mut second, after) = session(&site, "beta", &secret(2));
    assert_eq!(number(&mut second, "second"), 2);
    assert!(before.abs_diff(after) > 1_000, "{before:x} and {after:x}");
}

#[test]
fn what_is_promised_to_an_app_stands_beside_nothing_of_another() {
    let world = world();
    let [alpha, beta] = &world.backends;
    let ask = |backend: &Http, app: &str, key: &str| {
        let headers = [("prefer", "respond-async"), ("idempotency-key", key)];
        let answer =
            backend.post_with(&format!("/v1/apps/{app}/messages"), &headers, &json!({"channel": "room", "text": "x"}));
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let of_alpha: Vec<String> = (0..5).map(|n| ask(alpha, "alpha", &format!("k{n}"))).collect();
    // Ids count what stands in the channel: nothing of the other app does.
    let of_beta = ask(beta, "beta", "k0");
    assert!(of_beta.starts_with("op_1_") && of_alpha[0].starts_with("op_1_"), "{of_beta} {of_alpha:?}");
    assert_eq!(ask(beta, "beta", "k0"), of_beta, "the same key is the same operation");
    let done = |backend: &Http, app: &str, id: &str| loop {
        let operation = backend.get(&format!("/v1/apps/{app}/operations/{id}")).good();
        if operation["status"] == "done" {
            break operation["results"][0]["offset"].clone();
        }
    };
    assert_eq!(done(beta, "beta", &of_beta), 1);
    let offsets: Vec<_> = of_alpha.iter().map(|id| done(alpha, "alpha", id)).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
}

#[test]
fn an_app_ends_revokes_and_counts_its_own_alone() {
    let world = world();
    let [alpha, beta] = &world.backends;
    let mut here = client(&world, "alpha", "alice");
    let mut there = client(&world, "beta", "alice");
    let ended = alpha.send("DELETE", "/v1/apps/alpha/users/alice/connections", &[], None).good();
    assert_eq!(ended["connections"], 1);
    here.expect_close(4100);
    settled(&mut there);
    let mut here = client(&world, "alpha", "alice");
    // Both the user and the name of the token, which are the same there.
    for revoked in [json!({"user": "alice"}), json!({"jti": "alice-1"})] {
        assert_eq!(alpha.post("/v1/apps/alpha/revocations", &revoked).status, 204);
    }
    here.expect_end("auth.revoked", 4503);
    settled(&mut there);
    knock(world.site.address(), "alpha", &token("alpha", "alice", &secret(1))).expect_end("auth.revoked", 4503);
    let (mut again, _) = enter(world.site.address(), "beta", &token("beta", "alice", &secret(2)));
    settled(&mut again);
    beta.post("/v1/apps/beta/messages", &json!({"channel": "room", "text": "x"})).good();
    beta.post("/v1/apps/beta/messages", &json!({"channel": "room", "text": "y"})).good();
    alpha.post("/v1/apps/alpha/messages", &json!({"channel": "room", "text": "x"})).good();
    // Who has no key of an app counts for it, and an app that is not there for none.
    beta.get("/v1/apps/alpha/channels").problem(401, "auth.invalid");
    beta.get("/v1/apps/nobody/channels").problem(404, "app.unknown");
    beta.get("/v1/apps/%62eta/channels").good();
    let text = world.metrics.bare("GET", "/metrics", &[], None).text();
    for line in [
        "moorline_http_requests_total{app=\"alpha\",status=\"200\",code=\"\"} 2",
        "moorline_http_requests_total{app=\"alpha\",status=\"204\",code=\"\"} 2",
        "moorline_http_requests_total{app=\"alpha\",status=\"401\",code=\"auth.invalid\"} 1",
        "moorline_http_requests_total{app=\"beta\",status=\"200\",code=\"\"} 3",
        "moorline_http_requests_total{app=\"\",status=\"404\",code=\"app.unknown\"} 1",
        "moorline_connections{app=\"beta\"} 2",
        "moorline_online_users{app=\"beta\"} 1",
        "moorline_published_total{app=\"beta\"} 2",
        "moorline_published_total{app=\"alpha\"} 1",
        "moorline_refused_total{app=\"alpha\",code=\"auth.revoked\"} 2",
    ] {
        assert!(text.lines().any(|other| other == line), "no `{line}` in {text}");
    }
    assert!(!text.contains("nobody"), "{text}");
    let foreign = "moorline_refused_total{app=\"beta\"";
    assert!(!text.contains(foreign) && !text.contains("moorline_connections{app=\"alpha\"} 1"), "{text}");
}

#[test]
fn hooks_are_told_of_their_app_alone() {
    let world = world();
    let mut here = client(&world, "alpha", "only-alpha");
    let mut there = client(&world, "beta", "only-beta");
    subscribe(&mut here);
    subscribe(&mut there);
    for (backend, app) in world.backends.iter().zip(["alpha", "beta"]) {
        let body = json!({"channel": format!("room-of-{app}"), "text": format!("text-of-{app}")});
        backend.post(&format!("/v1/apps/{app}/messages"), &body).good();
    }
    for (receiver, (own, other)) in world.receivers.iter().zip([("alpha", "beta"), ("beta", "alpha")]) {
        let mut kinds = Vec::new();
        while kinds.len() < 3 {
            let request = receiver.request();
            let body = String::from_utf8(request.body.clone()).unwrap();
            assert!(body.starts_with(&format!("{{\"app\":\"{own}\"")) && !body.contains(other), "{body}");
            kinds.extend(request.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()));
        }
        kinds.sort();
        assert_eq!(kinds, ["channel.occupied", "message.stored", "user.online"]);
    }
}
