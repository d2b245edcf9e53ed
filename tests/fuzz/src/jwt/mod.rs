//! Tokens, against a server with a key of every kind.
//!
//! The private halves of the three key pairs exist no more: what they have signed is all there will ever be.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, crypto, encode};
use moorline_protocol::AppName;
use moorline_server::jwt::{AppKeys, Key, Tokens};
use moorline_server::node::{Authenticator, Claims};
use serde_json::json;

use crate::choices::Choices;

const SECRET: &[u8] = b"a secret of thirty-two bytes ...";
const RS_KEY: &str = include_str!("rs.pem");
const ES_KEY: &str = include_str!("es.pem");
const ED_KEY: &str = include_str!("ed.pem");
/// Signed for `alice` of the app `shop`, until the year 2100.
const SIGNED: [&str; 3] = [include_str!("rs.jwt"), include_str!("es.jwt"), include_str!("ed.jwt")];
/// 2100-01-01.
const FAR: u64 = 4_102_444_800;
/// ms since 1970 at which tokens are looked at.
const NOW: u64 = 1_800_000_000_000;

/// What the first byte of an input chooses.
const RAW: u8 = 0;

/// Verification of tokens: nothing that the test keys have not signed is ever accepted.
pub fn jwt(bytes: &[u8]) {
    let world = &*WORLD;
    let Some((mode, rest)) = bytes.split_first() else { return };
    let token = match *mode {
        RAW => String::from_utf8_lossy(rest).into_owned(),
        _ => world.forge(&mut Choices::new(rest)),
    };
    let app = AppName::new("shop").expect("an app");
    if let Ok(claims) = world.tokens.verify(&app, Some(&token), None, NOW) {
        let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
        assert!(world.accepted.iter().any(|good| good.starts_with(signed)), "accepted: {token}");
        assert_eq!(claims.user.as_ref().map(moorline_protocol::UserName::as_str), Some("alice"));
        assert_eq!(claims.expires, Some(FAR * 1000));
    }
    let elsewhere = AppName::new("bank").expect("an app");
    assert!(world.tokens.verify(&elsewhere, Some(&token), None, NOW).is_err(), "another app's: {token}");
}

/// Inputs of [`jwt`]: good tokens, and what attackers try first.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let whole = WORLD.accepted.iter().chain(&WORLD.refused).map(|token| [&[RAW], token.as_bytes()].concat());
    whole.chain((0..24).map(|n| [&[1], crate::noise(n, 24).as_slice()].concat())).collect()
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

struct World {
    tokens: Tokens,
    accepted: Vec<String>,
    refused: Vec<String>,
    headers: Vec<String>,
    bodies: Vec<String>,
    signatures: Vec<String>,
}

impl World {
    fn new() -> Self {
        let hs = |body: &serde_json::Value| {
            encode(&Header::default(), body, &EncodingKey::from_secret(SECRET)).expect("a token")
        };
        let good = json!({"sub": "alice", "aud": "shop", "exp": FAR});
        let accepted: Vec<String> = SIGNED.iter().map(|token| token.trim().to_owned()).chain([hs(&good)]).collect();
        let refused = vec![
            hs(&json!({"sub": "alice", "aud": "bank", "exp": FAR})),
            hs(&json!({"sub": "alice", "aud": "shop", "exp": 1})),
            hs(&json!({"sub": "alice", "aud": "shop"})),
            hs(&json!({"sub": "alice", "aud": "shop", "exp": FAR, "nbf": FAR})),
            hs(&json!({"sub": "*", "aud": "shop", "exp": FAR})),
        ];
        let part =
            |index: usize| accepted.iter().filter_map(move |token| token.split('.').nth(index)).map(str::to_owned);
        let world = Self {
            tokens: tokens(),
            headers: part(0).chain(HEADERS.iter().map(|header| URL_SAFE_NO_PAD.encode(header))).collect(),
            bodies: part(1).chain(BODIES.iter().map(|body| URL_SAFE_NO_PAD.encode(body))).collect(),
            signatures: part(2).collect(),
            accepted,
            refused,
        };
        world.check();
        world
    }

    /// A test that accepts nothing proves nothing.
    fn check(&self) {
        let app = AppName::new("shop").expect("an app");
        let verify = |token: &String| self.tokens.verify(&app, Some(token), None, NOW);
        let claims: Vec<Claims> = self.accepted.iter().filter_map(|token| verify(token).ok()).collect();
        assert_eq!(claims.len(), self.accepted.len());
        assert!(self.refused.iter().all(|token| verify(token).is_err()));
    }

    /// Puts parts of tokens together, signs with what is public, and turns bits.
    fn forge(&self, choices: &mut Choices<'_>) -> String {
        let signed = format!("{}.{}", choices.pick(&self.headers), choices.pick(&self.bodies));
        let signature = match choices.below(4) {
            0 | 1 => choices.pick(&self.signatures),
            2 => {
                let public = choices.pick(&[RS_KEY, ES_KEY, ED_KEY, "", "secret"]);
                let key = EncodingKey::from_secret(public.as_bytes());
                crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap_or_default()
            }
            _ => URL_SAFE_NO_PAD.encode(choices.bytes()),
        };
        let mut token = format!("{signed}.{signature}").into_bytes();
        while !choices.is_over() {
            let (at, bits) = (usize::from(choices.byte()) * 256 + usize::from(choices.byte()), choices.byte() & 0x7f);
            let len = token.len();
            token[at % len] ^= bits;
        }
        String::from_utf8_lossy(&token).into_owned()
    }
}

fn tokens() -> Tokens {
    let key = |id: Option<&str>, algorithm, key| Key { id: id.map(str::to_owned), algorithm, key };
    let keys = vec![
        key(None, Algorithm::HS256, DecodingKey::from_secret(SECRET)),
        key(Some("rs"), Algorithm::RS256, DecodingKey::from_rsa_pem(RS_KEY.as_bytes()).expect("a key")),
        key(Some("es"), Algorithm::ES256, DecodingKey::from_ec_pem(ES_KEY.as_bytes()).expect("a key")),
        key(Some("ed"), Algorithm::EdDSA, DecodingKey::from_ed_pem(ED_KEY.as_bytes()).expect("a key")),
    ];
    let app = |name| AppKeys { name: AppName::new(name).expect("an app"), keys: Vec::new(), anonymous: false };
    Tokens::new(vec![AppKeys { keys, ..app("shop") }, app("bank")])
}

const HEADERS: &[&str] = &[
    r#"{"alg":"none"}"#,
    r#"{"alg":"HS256","kid":"rs"}"#,
    r#"{"alg":"HS256"}"#,
    r#"{"alg":"HS512"}"#,
    r#"{"alg":"RS256","jwk":{"kty":"oct","k":""}}"#,
    r#"{"alg":"ES256","kid":"rs"}"#,
    r#"{"alg":"RS256","alg":"none"}"#,
    "",
];

const BODIES: &[&str] = &[
    r#"{"sub":"root","aud":"shop","exp":4102444800}"#,
    r#"{"sub":"alice","aud":["shop","bank"],"exp":4102444800}"#,
    r#"{"sub":"alice","aud":"shop","exp":1e99}"#,
    r#"{"sub":"alice","aud":"shop","exp":-1}"#,
    "",
];
