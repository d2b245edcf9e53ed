//! Tokens that were good somewhere, for somebody or for a while, and tokens that nobody made.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::apps::{api_key, app, knock, now, secret, token};
use crate::http::Http;
use crate::support::program::{Program, command};

/// The key that `shop` publishes; the other half is nobody's.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq8ACRNi5UsHypKD8xQOI
D5tZE8wITUWyiZOedmcsYUztbUplhrSHtIlP5Eca39/oKyYD9BeZTwJrSHhVWwWE
Mx31shHOBdy3alypodR2u4i3HRqmPhc3tvSP6lRH2agA0xKLtxF74+RMfoPNQDDS
jLY0eWckZ5pe0YcPg0hveK4mj7ZDAqzanqcCoav2K4/3j2AY7eZ08FtkVehC+SCm
OjLrh3kSakXCzgcCPeZ6xXoGNRSCDex/Li/yxkTXTGmSYJuUpkTGrSAogabxswWG
UG7wZggpzm7h8o7jH4xMejKYDbHzgCrDEw+a+M2ciclMaL+Jf+tu5N3RLguf2Kpk
MQIDAQAB
-----END PUBLIC KEY-----
";

/// A server with `shop`, whose tokens are signed with a secret named `s1` or with the RSA key named `r1`, and `bank`.
fn site() -> (tempfile::TempDir, Program, Http) {
    let dir = tempfile::tempdir().unwrap();
    let (key, section) = api_key("backend");
    let shop = format!(
        "{}kid = \"s1\"\n[[apps.keys]]\nalg = \"RS256\"\nkid = \"r1\"\npublic_key = \"\"\"\n{RSA}\"\"\"\n{section}",
        app("shop", &secret(1))
    );
    let config = dir.path().join("moorline.toml");
    std::fs::write(&config, format!("{shop}{}", app("bank", &secret(2)))).unwrap();
    let mut start = command(["--listen", "127.0.0.1:0", "--config"]);
    let program = Program::start(start.arg(config).arg("--data").arg(dir.path().join("data")));
    let http = Http::new(program.address(), &key);
    (dir, program, http)
}

fn body() -> Value {
    let grants = json!([{"match": "*", "can": ["subscribe", "publish"]}]);
    json!({"sub": "alice", "aud": "shop", "iat": now(), "exp": now() + 600, "jti": "t1", "grants": grants})
}

fn signed(kid: Option<&str>, algorithm: Algorithm, key: &[u8], body: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, body, &EncodingKey::from_secret(key)).unwrap()
}

fn good(body: &Value) -> String {
    signed(Some("s1"), Algorithm::HS256, secret(1).as_bytes(), body)
}

#[test]
fn nobody_makes_a_token_of_what_is_public() {
    let (_dir, program, _) = site();
    let address = program.address();
    knock(address, "shop", &good(&body())).expect("welcome");
    let der: Vec<u8> = {
        use base64::Engine as _;
        let lines: String = RSA.lines().filter(|line| !line.starts_with('-')).collect();
        base64::engine::general_purpose::STANDARD.decode(lines).unwrap()
    };
    let (right, whole) = (secret(1), good(&body()));
    let parts: Vec<&str> = whole.split('.').collect();
    let head = |json: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
    };
    let mut forged = vec![
        ("the RSA key as a secret", signed(Some("r1"), Algorithm::HS256, RSA.as_bytes(), &body())),
        ("the same without its last line break", signed(Some("r1"), Algorithm::HS256, RSA.trim().as_bytes(), &body())),
        ("the same without a name", signed(None, Algorithm::HS256, RSA.as_bytes(), &body())),
        ("its bytes as a secret", signed(Some("r1"), Algorithm::HS256, &der, &body())),
        ("an empty secret", signed(Some("s1"), Algorithm::HS256, b"", &body())),
        ("another size of hash", signed(Some("s1"), Algorithm::HS512, right.as_bytes(), &body())),
        ("a name that no key has", signed(Some("s2"), Algorithm::HS256, right.as_bytes(), &body())),
        ("the name of another key", signed(Some("r1"), Algorithm::HS256, right.as_bytes(), &body())),
        ("a name with a path", signed(Some("../../dev/null"), Algorithm::HS256, b"", &body())),
    ];
    for none in ["none", "None", "NONE", "nOnE", "", "HS256 "] {
        let head = head(&format!("{{\"alg\":\"{none}\",\"typ\":\"JWT\",\"kid\":\"s1\"}}"));
        forged.push(("no algorithm", format!("{head}.{}.", parts[1])));
        forged.push(("no algorithm, signed", format!("{head}.{}.{}", parts[1], parts[2])));
    }
    // Where a key is, no token says.
    let key = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"});
    let with = head(
        &json!({"alg": "HS256", "jwk": key, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}).to_string(),
    );
    forged.push(("a key of its own", format!("{with}.{}.{}", parts[1], parts[2])));
    for (what, token) in forged {
        let error = knock(address, "shop", &token).expect_error("auth.invalid");
        assert_eq!(error["code"], "auth.invalid", "{what}");
    }
    knock(address, "shop", &whole).expect("welcome");
}

#[test]
fn a_token_is_of_no_use_after_its_end_after_it_was_revoked_and_in_another_app() {
    let (dir, program, http) = site();
    let address = program.address();
    // Within five seconds after its end it may still be good: clocks differ.
    for ended in [6, 600, 1_000_000] {
        let mut old = body();
        old["exp"] = json!(now() - ended);
        knock(address, "shop", &good(&old)).expect_end("auth.expired", 4100);
    }
    let shops = good(&body());
    let mut banks = body();
    banks["aud"] = json!("bank");
    let (banks, of_bank) = (good(&banks), token("bank", "alice", &secret(2)));
    for (app, token) in [("bank", &shops), ("shop", &of_bank), ("bank", &banks), ("shop", &banks)] {
        knock(address, app, token).expect_end("auth.invalid", 4502);
    }
    knock(address, "shop", &shops).expect("welcome");
    assert_eq!(http.post("/v1/apps/shop/revocations", &json!({"jti": "t1"})).status, 204);
    knock(address, "shop", &shops).expect_end("auth.revoked", 4503);
    // In band, for a channel, and for the next start, too.
    let mut fresh = body();
    fresh["jti"] = json!("t2");
    let mut wire = knock(address, "shop", &good(&fresh));
    wire.expect("welcome");
    wire.say(&json!({"t": "auth", "req": 1, "token": shops}));
    assert_eq!(wire.expect_error("auth.revoked")["req"], 1);
    wire.say(&json!({"t": "subscribe", "req": 2, "channel": "room", "token": shops}));
    assert_eq!(wire.expect_error("auth.revoked")["req"], 2);
    drop(wire);
    program.stop();
    let mut start = command(["--listen", "127.0.0.1:0", "--config"]);
    let config = dir.path().join("moorline.toml");
    let program = Program::start(start.arg(config).arg("--data").arg(dir.path().join("data")));
    knock(program.address(), "shop", &shops).expect_end("auth.revoked", 4503);
    knock(program.address(), "shop", &good(&fresh)).expect("welcome");
}

#[test]
fn a_token_for_a_channel_opens_that_channel_alone_wherever_it_is_shown() {
    let (_dir, program, _) = site();
    let room = json!([{"match": "room", "can": ["subscribe"]}]);
    let with = |changes: &[(&str, Value)]| {
        let mut body = body();
        body["grants"] = room.clone();
        body["jti"] = json!("c1");
        changes.iter().for_each(|(name, value)| body[*name] = value.clone());
        good(&body)
    };
    let denied = |wire: &mut crate::support::Wire| {
        for (n, channel) in ["other", "room2", "@bob"].into_iter().enumerate() {
            wire.say(&json!({"t": "subscribe", "req": n, "channel": channel}));
            wire.expect_error("channel.denied");
        }
        for channel in ["room", "other"] {
            wire.say(&json!({"t": "publish", "req": 9, "channel": channel, "id": "x", "text": "x"}));
            wire.expect_error("channel.denied");
        }
    };
    // As a connection's it is worth no more than for its channel; without a user it is nobody's.
    let mut own = knock(program.address(), "shop", &with(&[]));
    assert_eq!(own.expect("welcome")["user"], "alice");
    denied(&mut own);
    let mut nobodys = knock(program.address(), "shop", &with(&[("sub", json!(null))]));
    assert_eq!(nobodys.expect("welcome")["user"], Value::Null);
    denied(&mut nobodys);
    // As a channel's it adds nothing elsewhere, and another user's adds nothing at all.
    let mut bare = body();
    bare["grants"] = json!([]);
    let mut wire = knock(program.address(), "shop", &good(&bare));
    wire.expect("welcome");
    wire.say(&json!({"t": "subscribe", "req": 1, "channel": "room", "token": with(&[("sub", json!("bob"))])}));
    wire.expect_error("auth.invalid");
    wire.say(&json!({"t": "subscribe", "req": 2, "channel": "other", "token": with(&[])}));
    wire.expect_error("channel.denied");
    wire.say(&json!({"t": "subscribe", "req": 3, "channel": "room", "token": with(&[])}));
    wire.expect("subscribed");
    denied(&mut wire);
}
