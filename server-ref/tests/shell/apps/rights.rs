//! What an API key may do, and where.

use serde_json::json;

use super::{Site, api_key, app, secret};
use crate::http::Http;

/// A server with an app and a key per line of more; returns a backend for each.
fn backends<const N: usize>(more: [&str; N]) -> (Site, [Http; N]) {
    let keys: Vec<(String, String)> = (0..N).map(|n| api_key(&format!("key-{n}"))).collect();
    let sections: Vec<String> =
        keys.iter().zip(more).map(|((_, section), more)| format!("{section}{more}\n")).collect();
    let site = Site::start(&format!("{}{}", app("shop", &secret(1)), sections.concat()));
    let address = site.address();
    (site, std::array::from_fn(|n| Http::new(address, &keys[n].0)))
}

#[test]
fn a_key_may_do_what_its_rights_say_and_every_endpoint_needs_one() {
    let rights = ["publish", "read", "status", "disconnect", "revoke"];
    let lines = rights.map(|right| format!("rights = [\"{right}\"]"));
    let [a, b, c, d, e] = &lines;
    let (_site, backends) = backends([a, b, c, d, e, ""]);
    let document = backends[0].get("/openapi.json").json();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if !operation["security"].to_string().contains("key") {
                continue;
            }
            asked += 1;
            assert!(operation["responses"]["403"].is_object(), "{method} {path} does not say that it may be refused");
            let real = path.replace("{app}", "shop").replace("{channel}", "room").replace("{user}", "alice");
            let (real, method) = (real.replace("{id}", "op_1_a.1"), method.to_uppercase());
            // What is no request is refused for that where the key may ask.
            let send = |http: &Http| http.send(&method, &real, &[], (method == "POST").then_some(b"{}"));
            let may: Vec<bool> = backends.iter().map(|http| send(http).status != 403).collect();
            let (all, single) = may.split_last().unwrap();
            assert!(*all, "{method} {path} is refused to a key with all rights");
            assert_eq!(single.iter().filter(|may| **may).count(), 1, "{method} {path} needs one right: {may:?}");
            let refused = backends.iter().find(|http| send(http).status == 403).unwrap();
            assert!(send(refused).problem(403, "channel.denied").contains("right"), "{method} {path}");
        }
    }
    assert_eq!(asked, 8, "endpoints of apps; a new one needs a right, too");
    let body = json!({"channel": "room", "text": "x"});
    backends[0].post("/v1/apps/shop/messages", &body).good();
    backends[1].get("/v1/apps/shop/channels/room/messages").good();
    backends[2].post("/v1/apps/shop/users/status", &json!({"users": ["alice"]})).good();
    backends[3].send("DELETE", "/v1/apps/shop/users/alice/connections", &[], None).good();
    assert_eq!(backends[4].post("/v1/apps/shop/revocations", &json!({"jti": "a"})).status, 204);
}

#[test]
fn a_key_reaches_its_channels_alone() {
    let (_site, [own, all]) = backends(["channels = [\"chat:*\", \"news\"]", ""]);
    let path = "/v1/apps/shop/messages";
    let to = |channel: &str| json!({"channel": channel, "text": "x"});
    for channel in ["chat:1", "chat:", "news"] {
        own.post(path, &to(channel)).good();
    }
    for channel in ["chat", "newspaper", "@alice", "room"] {
        own.post(path, &to(channel)).problem(403, "channel.denied");
    }
    let mixed = own.post(path, &json!({"channels": ["chat:2", "room"], "text": "x"}));
    assert_eq!((mixed.status, &mixed.json()[1]["problem"]["code"]), (207, &json!("channel.denied")), "{mixed:?}");
    // What is accepted is executed as it is, so nothing else is accepted.
    let later = [("prefer", "respond-async")];
    own.post_with(path, &later, &json!([to("chat:3"), to("room")])).problem(403, "channel.denied");
    assert_eq!(own.post_with(path, &later, &to("chat:3")).status, 202);
    let accepted = all.post_with(path, &later, &to("room")).json();
    let of_another = format!("/v1/apps/shop/operations/{}", accepted["id"].as_str().unwrap());
    own.get(&of_another).problem(404, "request.unsupported");
    assert_eq!(all.get(&of_another).status, 200);
    // Reading: names, messages, members.
    all.post(path, &to("secret")).good();
    let listed = own.get("/v1/apps/shop/channels?prefix=chat:").good();
    assert!(listed["channels"].as_array().unwrap().len() >= 3, "{listed}");
    for prefix in ["", "?prefix=c", "?prefix=news", "?prefix=secret"] {
        own.get(&format!("/v1/apps/shop/channels{prefix}")).problem(403, "channel.denied");
    }
    for what in ["messages", "presence"] {
        assert_eq!(own.get(&format!("/v1/apps/shop/channels/news/{what}")).status, 200);
        own.get(&format!("/v1/apps/shop/channels/secret/{what}")).problem(403, "channel.denied");
    }
    // No channel confines these, so they are not a part of it.
    own.post("/v1/apps/shop/users/status", &json!({"users": []})).problem(403, "channel.denied");
    own.post("/v1/apps/shop/revocations", &json!({"user": "alice"})).problem(403, "channel.denied");
}
