//! Limits, origins and rules that an app has of its own.

use serde_json::json;

use super::{Site, api_key, app, enter, knock, secret, token};
use crate::http::Http;
use crate::support::{Wire, upgrade};

/// Two apps; the first with these limits.
fn site(own: &str) -> Site {
    Site::start(&format!("{}{own}\n{}", app("alpha", &secret(1)), app("beta", &secret(2))))
}

fn alpha(site: &Site, user: &str) -> Wire {
    enter(site.address(), "alpha", &token("alpha", user, &secret(1))).0
}

fn beta(site: &Site, user: &str) -> Wire {
    enter(site.address(), "beta", &token("beta", user, &secret(2))).0
}

#[test]
fn a_full_app_takes_nobody_and_others_do() {
    let site = site("[apps.limits]\nconnections = 3\nconnections_per_user = 2");
    let is_full = |user: &str| {
        knock(site.address(), "alpha", &token("alpha", user, &secret(1))).expect_end("limit.connections", 4002);
    };
    let first = alpha(&site, "alice");
    let _second = alpha(&site, "alice");
    is_full("alice");
    let _third = alpha(&site, "bob");
    is_full("carol");
    let _others: Vec<Wire> = (0..5).map(|_| beta(&site, "alice")).collect();
    drop(first);
    // Nobody says when the server has noticed that one is gone.
    while knock(site.address(), "alpha", &token("alpha", "carol", &secret(1))).expect_any()["t"] != "welcome" {}
}

#[test]
fn what_a_client_may_do_is_its_apps_to_say() {
    let site =
        site("[apps.limits]\nmessage = 10\nchannels = 1\ncursors_per_user = 1\npublish_rate = 1\npublish_burst = 2\n");
    let (_, welcome) = enter(site.address(), "alpha", &token("alpha", "alice", &secret(1)));
    assert_eq!((&welcome["limits"]["message"], &welcome["limits"]["channels"]), (&json!(10), &json!(1)), "{welcome}");
    let (_, welcome) = enter(site.address(), "beta", &token("beta", "alice", &secret(2)));
    assert_eq!(welcome["limits"]["channels"], 256, "{welcome}");
    let publish = |req: u64, text: &str| json!({"t": "publish", "channel": "room", "req": req, "id": req.to_string(), "qos": 1, "text": text});
    let (mut here, mut there) = (alpha(&site, "bob"), beta(&site, "bob"));
    here.say(&publish(1, "eleven bytes"));
    here.expect_error("limit.message");
    here.say(&publish(2, "few"));
    here.expect("published");
    here.say(&publish(3, "few"));
    here.expect_error("limit.rate");
    for req in 1..20 {
        there.say(&publish(req, "more than ten bytes, and often"));
        there.expect("published");
    }
    let subscribe = |channel: &str| json!({"t": "subscribe", "req": 9, "channel": channel});
    here.say(&subscribe("one"));
    here.expect("subscribed");
    here.say(&subscribe("two"));
    here.expect_error("limit.channels");
    for channel in ["one", "two"] {
        there.say(&subscribe(channel));
        there.expect("subscribed");
    }
    // Cursors, over all connections of a user.
    let follow = |app: &str, n: u8, channel: &str| {
        let mut wire = Wire::open_at(site.address(), &format!("/ws/{app}"));
        let token = token(app, "carol", &secret(n));
        wire.say(&json!({"t": "hello", "v": 1, "token": token, "device": format!("device-0123456789-{channel}")}));
        wire.expect("welcome");
        wire.say(&json!({"t": "subscribe", "req": 1, "channel": channel, "durable": true, "since": {"cursor": null}}));
        wire.expect_any()
    };
    assert_eq!(follow("alpha", 1, "one")["t"], "subscribed");
    assert_eq!(follow("alpha", 1, "two")["code"], "limit.channels");
    assert_eq!(
        (&follow("beta", 2, "one")["t"], &follow("beta", 2, "two")["t"]),
        (&json!("subscribed"), &json!("subscribed"))
    );
}

#[test]
fn pages_may_open_the_apps_that_name_them() {
    let other = "origins = [\"https://alpha.example.com\"]\n";
    let config = format!(
        "[server]\norigins = [\"https://all.example.com\"]\n{}{}{}",
        app("alpha", &secret(1)).replacen("[[apps.keys]]", &format!("{other}[[apps.keys]]"), 1),
        app("beta", &secret(2)),
        app("open", &secret(3)).replacen("[[apps.keys]]", "origins = []\n[[apps.keys]]", 1),
    );
    let site = Site::start(&config);
    for (app, origin, status) in [
        ("alpha", "https://alpha.example.com", 101),
        ("alpha", "https://all.example.com", 403),
        ("beta", "https://all.example.com", 101),
        ("beta", "https://alpha.example.com", 403),
        ("open", "https://anybody.example.com", 101),
        ("nobody", "https://alpha.example.com", 403),
    ] {
        let mut wire = Wire::dial(site.address());
        let answer = wire.request(&upgrade(&format!("/ws/{app}"), &format!("Origin: {origin}\r\n")));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{app} {origin}: {answer}");
    }
}

#[test]
fn backends_are_measured_by_their_apps_limits() {
    let ((alpha_key, alpha_section), (beta_key, beta_section)) = (api_key("backend"), api_key("backend"));
    let limits = "[apps.limits]\nmessage = 10\napi_rate = 1\napi_burst = 1000\n";
    let config = [app("alpha", &secret(1)), alpha_section, limits.into(), app("beta", &secret(2)), beta_section];
    let site = Site::start(&config.concat());
    let (alpha, beta) = (Http::new(site.address(), &alpha_key), Http::new(site.address(), &beta_key));
    let large = json!({"channel": "room", "text": "eleven bytes"});
    alpha.post("/v1/apps/alpha/messages", &large).problem(413, "limit.message");
    beta.post("/v1/apps/beta/messages", &large).good();
    let many = json!(vec![json!({"channel": "room", "text": "x", "qos": 0}); 999]);
    assert_eq!(alpha.post("/v1/apps/alpha/messages", &many).status, 200);
    assert_eq!(alpha.post("/v1/apps/alpha/messages", &many).status, 429);
    for _ in 0..3 {
        assert_eq!(beta.post("/v1/apps/beta/messages", &many).status, 200);
    }
}
