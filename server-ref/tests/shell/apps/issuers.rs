//! Tokens of an issuer that publishes its keys, rotates them, fails, hangs and lies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use moorline_protocol::AppName;
use moorline_server::jwks::{KeySet, Source, Times};
use moorline_server::jwt::{AppKeys, Tokens};
use moorline_server::server::{Options, Server};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData};
use serde_json::{Value, json};

use super::{Site, app, enter, knock, now, secret, settled};
use crate::hooks::receiver::{Answer, Receiver};
use crate::http::Http;
use crate::support::Wire;

const ISSUER: &str = "https://id.example.com";

/// A key of the issuer.
struct Pair {
    kid: &'static str,
    pair: KeyPair,
}

impl Pair {
    fn new(kid: &'static str) -> Self {
        Self { kid, pair: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    fn public(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.der_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x})
    }

    fn token(&self, changes: &[(&str, Value)]) -> String {
        let mut body = json!({"iss": ISSUER, "sub": "alice", "aud": "shop", "iat": now(), "exp": now() + 600});
        changes.iter().for_each(|(name, value)| body[*name] = value.clone());
        let header = Header {
            kid: Some(self.kid.into()),
            jku: Some("http://127.0.0.1:1/".into()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, &body, &EncodingKey::from_ed_pem(self.pair.serialize_pem().as_bytes()).unwrap()).unwrap()
    }
}

fn document(keys: &[&Pair]) -> Answer {
    answer(200, &json!({"keys": keys.iter().map(|pair| pair.public()).collect::<Vec<_>>()}).to_string())
}

fn answer(status: u16, body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// An issuer, and what it answers.
fn issuer(first: Answer) -> (Receiver, Arc<Mutex<Answer>>) {
    let says = Arc::new(Mutex::new(first));
    let saying = Arc::clone(&says);
    (Receiver::start(move |_| saying.lock().unwrap().clone()), says)
}

fn config(issuer: &Receiver) -> String {
    let url = issuer.url();
    format!("[[apps]]\nname = \"shop\"\n[[apps.jwks]]\nissuer = \"{ISSUER}\"\nurl = \"{url}\"\nallow_private = true\n")
}

#[test]
fn keys_rotate_and_an_issuer_that_fails_or_lies_changes_nothing() {
    let (one, two, stranger) = (Pair::new("one"), Pair::new("two"), Pair::new("one"));
    let (issuer, says) = issuer(document(&[&one]));
    let base = config(&issuer);
    let mut site = Site::start_with(&base, &["--http-listen", "127.0.0.1:0"]);
    let (address, http) = (site.address(), site.program().http_address());
    let number = |name: &str, outcome: &str| {
        let text = Http::new(http, "").bare("GET", "/metrics", &[], None).text();
        let series = format!("moorline_jwks_{name}{{app=\"shop\",issuer=\"{ISSUER}\"{outcome}}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
    };
    let get = issuer.request();
    assert_eq!((get.header("accept"), get.body.as_slice()), ("application/json", b"".as_slice()));
    let (mut here, _) = enter(address, "shop", &one.token(&[]));
    for (token, what) in [
        (stranger.token(&[]), "another's signature"),
        (one.token(&[("iss", json!("https://evil.example.com"))]), "another issuer"),
        (one.token(&[("iss", json!(null))]), "no issuer"),
        (one.token(&[("aud", json!("bank"))]), "another app"),
    ] {
        let mut wire = knock(address, "shop", &token);
        assert_eq!(wire.expect_error("auth.invalid")["code"], "auth.invalid", "{what}");
        wire.expect_close(4502);
    }
    // A key taken as a secret.
    let confused = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
    let body = json!({"iss": ISSUER, "sub": "alice", "aud": "shop", "exp": now() + 600});
    let confused = encode(&confused, &body, &EncodingKey::from_secret(one.pair.der_bytes())).unwrap();
    knock(address, "shop", &confused).expect_end("auth.invalid", 4502);

    // It fails and lies: what is known stays good, and nothing new is believed.
    let oct = json!({"keys": [{"kty": "oct", "kid": "two", "alg": "HS256", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]});
    let lies = [
        Answer::Status(500),
        answer(200, "<html>sign in</html>"),
        answer(200, "{\"keys\": []}"),
        answer(200, &oct.to_string()),
        answer(200, &format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(300_000))),
        Answer::Bytes("HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".into()),
        Answer::Bytes("no HTTP at all\r\n\r\n".into()),
    ];
    let failed = lies.len() as u64;
    for lie in lies {
        *says.lock().unwrap() = lie;
        site.hang_up("could not be fetched");
        enter(address, "shop", &one.token(&[]));
    }

    // Whoever watches sees it.
    assert_eq!(number("fetches_total", ",outcome=\"done\""), Some(1));
    assert!(number("fetches_total", ",outcome=\"failed\"") >= Some(failed));
    assert!(number("age_seconds", "").is_some() && number("keys", "") == Some(1));

    // It rotates: both are good, then the first is gone; who is in stays.
    *says.lock().unwrap() = document(&[&one, &two]);
    site.hang_up("keys of an issuer were fetched");
    enter(address, "shop", &one.token(&[]));
    enter(address, "shop", &two.token(&[]));
    *says.lock().unwrap() = document(&[&two]);
    site.hang_up("keys of an issuer were fetched");
    enter(address, "shop", &two.token(&[]));
    knock(address, "shop", &one.token(&[])).expect_error("app.unavailable");
    settled(&mut here);
    assert!(number("fetches_total", ",outcome=\"done\"") >= Some(3));

    // No more issuer, no more tokens of it.
    site.reload(&app("shop", &secret(1)));
    assert_eq!((number("keys", ""), number("age_seconds", "")), (None, None));
    knock(address, "shop", &two.token(&[])).expect_end("auth.invalid", 4502);
}

#[test]
fn an_unknown_key_is_fetched_and_one_that_is_not_there_is_refused() {
    let (one, two, forged) = (Pair::new("one"), Pair::new("two"), Pair::new("nobody's"));
    let (issuer, says) = issuer(document(&[&one]));
    let times = Times { between: std::time::Duration::from_millis(50), ..Times::default() };
    let (url, roots) = (issuer.url().parse().unwrap(), Vec::new());
    let source = Source { issuer: ISSUER.into(), url, allow_private: true, roots, times };
    let shop = AppName::new("shop").unwrap();
    let tokens = Tokens::new(vec![AppKeys { name: shop.clone(), keys: Vec::new(), anonymous: false }]);
    let tokens = tokens.with_sets(vec![(shop, Arc::new(KeySet::new(source)))]);
    let server = Server::start(Options { tokens, ..Options::dev() }).unwrap();
    issuer.request();
    enter(server.address(), "shop", &one.token(&[]));
    *says.lock().unwrap() = document(&[&one, &two]);
    // The client comes back, as after any close with 4002, and then it is there.
    let outcome = |token: &str| {
        let mut wire: Wire = knock(server.address(), "shop", token);
        let frame = wire.expect_any();
        frame["code"].as_str().unwrap_or("welcome").to_owned()
    };
    assert_eq!(outcome(&two.token(&[])), "app.unavailable");
    issuer.request();
    let until = |token: &str, last: &str| {
        let mut seen = BTreeSet::new();
        loop {
            let outcome = outcome(token);
            if outcome == last {
                return seen;
            }
            seen.insert(outcome);
        }
    };
    assert!(until(&two.token(&[]), "welcome").iter().all(|seen| seen == "app.unavailable"));
    assert!(until(&forged.token(&[]), "auth.invalid").contains("app.unavailable"));
    assert_eq!(outcome(&one.token(&[])), "welcome");
}

#[test]
fn an_issuer_that_hangs_or_is_private_delays_nobody_else() {
    let (one, (hanging, _)) = (Pair::new("one"), issuer(Answer::Hang));
    let base = config(&hanging);
    let private = base.replace("allow_private = true\n", "").replace("http://127.0.0.1", "https://127.0.0.1");
    let other = app("other", &secret(1));
    let mut site = Site::start(&format!("{other}{base}"));
    let address = site.address();
    enter(address, "other", &super::token("other", "alice", &secret(1)));
    knock(address, "shop", &one.token(&[])).expect_end("app.unavailable", 4002);
    let said = {
        site.replace(&format!("{other}{private}"));
        site.hang_up("could not be fetched")
    };
    assert!(said.contains("not a public address"), "{said}");
    enter(address, "other", &super::token("other", "alice", &secret(1)));
}
