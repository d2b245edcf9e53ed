//! Tokens that are not good, and tokens that change while the connection stands.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use moorline_protocol::AppName;
use moorline_server::jwt::{AppKeys, Key, Tokens};
use moorline_server::server::Options;
use serde_json::{Value, json};

use crate::support::{Wire, World};

const SECRET: &[u8] = b"a secret of more than 32 bytes, for tests";
/// A pair that was made for this test.
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAMBk8ZkjSBYRyrVS+tpheZdeqDJpr+kMsk19xShdaKok=
-----END PUBLIC KEY-----
";
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIKMIJpeLu/VXQdhOJhuxHvqB7lKxVGu2q2G+ffaDNrUT
-----END PRIVATE KEY-----
";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A server with an app whose tokens are signed with a secret, and one with a key pair.
fn world() -> World {
    let key = Key { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(SECRET) };
    let pair = DecodingKey::from_ed_pem(ED25519_PUBLIC.as_bytes()).unwrap();
    let pair = Key { id: Some("k1".into()), algorithm: Algorithm::EdDSA, key: pair };
    let shop = AppName::new("shop").unwrap();
    let tokens = Tokens::new(vec![
        AppKeys { name: AppName::default_app(), keys: vec![key], anonymous: false },
        AppKeys { name: shop, keys: vec![pair], anonymous: true },
    ]);
    World::start(Options { tokens, name_anonymous: false, ..Options::dev() }, &good("healthy"))
}

fn everything() -> Value {
    json!([{"match": "*", "can": ["subscribe", "publish", "history"]}])
}

fn body(user: &str) -> Value {
    json!({"sub": user, "aud": "default", "iat": now(), "exp": now() + 3_600, "grants": everything()})
}

/// Signs a body after changes to it.
fn token(changes: Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    let mut body = body("alice");
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    encode(&Header::new(algorithm), &body, key).unwrap()
}

fn good(user: &str) -> String {
    token(json!({"sub": user}), Algorithm::HS256, &EncodingKey::from_secret(SECRET))
}

fn changed(changes: Value) -> String {
    token(changes, Algorithm::HS256, &EncodingKey::from_secret(SECRET))
}

/// A `hello` with this token is answered with this error and close code.
fn is_refused(world: &World, path: &str, token: Option<&str>, code: &str, close: u16) {
    let mut wire = Wire::open_at(world.address(), path);
    wire.say(&json!({"t": "hello", "v": 1, "token": token}));
    wire.expect_end(code, close);
}

#[test]
fn tokens_that_nobody_here_made_are_refused() {
    let mut world = world();
    let secret = EncodingKey::from_secret(SECRET);
    let whole = good("alice");
    let (head, rest) = whole.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, {"alg":"None","typ":"JWT"}
    let none = ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0"];
    let tokens = [
        ("forged", token(json!({}), Algorithm::HS256, &EncodingKey::from_secret(b"another secret"))),
        ("another algorithm", token(json!({}), Algorithm::HS512, &secret)),
        ("alg none", format!("{}.{claims}.", none[0])),
        ("alg None with a signature", format!("{}.{claims}.{signature}", none[1])),
        ("no signature", format!("{head}.{claims}.")),
        ("half of it", format!("{head}.{claims}")),
        ("other claims", format!("{head}.{}.{signature}", claims.replace('I', "J"))),
        ("for another app", changed(json!({"aud": "shop"}))),
        ("for nobody", changed(json!({"aud": null}))),
        ("for ever", changed(json!({"exp": null}))),
        ("not yet", changed(json!({"nbf": now() + 600}))),
        ("from the future", changed(json!({"iat": now() + 600}))),
        ("with a bad user", changed(json!({"sub": "a\u{7}b"}))),
        ("with a long user", changed(json!({"sub": "x".repeat(129)}))),
        ("with bad grants", changed(json!({"grants": "all"}))),
        ("empty", String::new()),
        ("words", "let me in".into()),
        ("of the development server", "dev:alice".into()),
    ];
    for (name, token) in tokens {
        println!("{name}");
        is_refused(&world, "/ws", Some(&token), "auth.invalid", 4502);
        world.healthy().beat();
    }
    is_refused(&world, "/ws", None, "auth.invalid", 4502);
    world.healthy().beat();
}

#[test]
fn a_token_in_an_address_counts_for_nothing() {
    let mut world = world();
    for name in ["token", "access_token", "auth"] {
        is_refused(&world, &format!("/ws?{name}={}", good("alice")), None, "auth.invalid", 4502);
    }
    // Nor does it where nobody needs one.
    let private = EncodingKey::from_ed_pem(ED25519_PRIVATE.as_bytes()).unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".into());
    let mut body = body("alice");
    body["aud"] = json!("shop");
    let mut wire =
        Wire::open_at(world.address(), &format!("/ws/shop?token={}", encode(&header, &body, &private).unwrap()));
    wire.say(&json!({"t": "hello", "v": 1}));
    assert_eq!(wire.expect("welcome")["user"], Value::Null);
    world.healthy().beat();
}

#[test]
fn a_public_key_is_no_secret() {
    let mut world = world();
    let claims = json!({"aud": "shop"});
    let confused = token(claims, Algorithm::HS256, &EncodingKey::from_secret(ED25519_PUBLIC.as_bytes()));
    is_refused(&world, "/ws/shop", Some(&confused), "auth.invalid", 4502);
    let private = EncodingKey::from_ed_pem(ED25519_PRIVATE.as_bytes()).unwrap();
    let mut other = Header::new(Algorithm::EdDSA);
    other.kid = Some("k2".into());
    let mut body = body("alice");
    body["aud"] = json!("shop");
    is_refused(&world, "/ws/shop", Some(&encode(&other, &body, &private).unwrap()), "auth.invalid", 4502);
    other.kid = Some("k1".into());
    let mut wire = Wire::open_at(world.address(), "/ws/shop");
    wire.say(&json!({"t": "hello", "v": 1, "token": encode(&other, &body, &private).unwrap()}));
    assert_eq!(wire.expect("welcome")["user"], "alice");
    world.healthy().beat();
}

#[test]
fn an_expired_token_asks_for_a_new_one() {
    let mut world = world();
    for exp in [1, now() - 3_600, now() - 6] {
        is_refused(&world, "/ws", Some(&changed(json!({"exp": exp}))), "auth.expired", 4100);
        world.healthy().beat();
    }
}

#[test]
fn a_token_of_more_than_8_kib_is_not_even_verified() {
    let mut world = world();
    let large = changed(json!({"info": "x".repeat(9_000)}));
    is_refused(&world, "/ws", Some(&large), "request.malformed", 4500);
    world.healthy().beat();
}

#[test]
fn an_app_that_is_not_here_is_named_so() {
    let mut world = world();
    for path in ["/ws/other", "/ws/Default", "/ws/shop.x"] {
        is_refused(&world, path, Some(&good("alice")), "app.unknown", 4505);
    }
    world.healthy().beat();
}

#[test]
fn an_app_may_let_in_nobody_in_particular_without_a_grant() {
    let mut world = world();
    let mut wire = Wire::open_at(world.address(), "/ws/shop");
    wire.say(&json!({"t": "hello", "v": 1}));
    assert_eq!(wire.expect("welcome")["user"], json!(null));
    wire.say(&json!({"t": "subscribe", "channel": "healthy", "req": 1}));
    wire.expect_error("channel.denied");
    wire.say(&json!({"t": "publish", "channel": "healthy", "req": 1, "id": "x", "text": "x"}));
    wire.expect_error("channel.denied");
    world.healthy().beat();
}

#[test]
fn a_token_is_refreshed_in_band() {
    let mut world = world();
    let mut wire = Wire::hello(world.address(), &good("alice"));
    wire.say(&json!({"t": "subscribe", "channel": "room", "req": 1}));
    wire.expect("subscribed");
    let bad = [
        ("forged", "auth.invalid"),
        (&changed(json!({"exp": now() - 10})), "auth.expired"),
        (&good("bob"), "auth.invalid"),
        (&changed(json!({"aud": "shop"})), "auth.invalid"),
        (&changed(json!({"sub": null})), "auth.invalid"),
    ];
    for (token, code) in bad {
        wire.say(&json!({"t": "auth", "req": 2, "token": token}));
        assert_eq!(wire.expect_error(code)["req"], 2);
    }
    // Nothing of that changed anything.
    wire.say(&json!({"t": "publish", "channel": "room", "req": 3, "id": "x", "text": "x"}));
    wire.expect("deliver");
    wire.expect("published");
    let expires = now() + 7_200;
    wire.say(&json!({"t": "auth", "req": 4, "token": changed(json!({"exp": expires, "grants": []}))}));
    assert_eq!(wire.expect("authed"), json!({"t": "authed", "req": 4, "expires": expires * 1_000}));
    let lost = wire.expect("unsubscribed");
    assert_eq!(
        (&lost["channel"], &lost["code"], &lost["req"]),
        (&json!("room"), &json!("channel.denied"), &json!(null))
    );
    wire.say(&json!({"t": "publish", "channel": "room", "req": 5, "id": "y", "text": "y"}));
    wire.expect_error("channel.denied");
    world.healthy().beat();
}
