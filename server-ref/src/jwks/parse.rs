//! What a document says of keys. It is not trusted: a key that is too weak, secret, or not understood is passed over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::jwt::Key;

/// Keys of one document.
const MOST_KEYS: usize = 64;
/// Bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// A document of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSet {
    /// It is no JSON Web Key Set.
    #[error("what came is no JSON Web Key Set")]
    Malformed,
    /// It has too many keys.
    #[error("the set has more than 64 keys")]
    TooMany,
    /// None of its keys can be used.
    #[error(
        "the set has no key for RS256 (2,048 bits at least), ES256 or EdDSA (Ed25519) that is meant for signatures"
    )]
    Useless,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A public key (RFC 7517, 7518, 8037). What stands beside these fields is nothing to us.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Returns the keys of a document that can be used, each pinned to the one algorithm that its `kty` and `crv` leave, and
/// how many were passed over.
///
/// # Errors
/// [`BadSet`], if there is none.
pub(super) fn parse(document: &[u8]) -> Result<(Vec<Key>, usize), BadSet> {
    let set: Set = serde_json::from_slice(document).map_err(|_| BadSet::Malformed)?;
    if set.keys.len() > MOST_KEYS {
        return Err(BadSet::TooMany);
    }
    let all = set.keys.len();
    let keys: Vec<Key> =
        set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).filter_map(key).collect();
    let passed_over = all - keys.len();
    if keys.is_empty() { Err(BadSet::Useless) } else { Ok((keys, passed_over)) }
}

fn key(jwk: Jwk) -> Option<Key> {
    let signs = jwk.used_for.as_deref().is_none_or(|used| used == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !signs {
        return None;
    }
    let (algorithm, name, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", None) => {
            let (n, e) = (bytes(jwk.n.as_deref()?)?, bytes(jwk.e.as_deref()?)?);
            let is_odd = e.last().is_some_and(|last| last % 2 == 1);
            if !RSA_BITS.contains(&bits(&n)) || bits(&e) < 2 || bits(&e) > 33 || !is_odd {
                return None;
            }
            (Algorithm::RS256, "RS256", DecodingKey::from_rsa_raw_components(&n, &e))
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (jwk.x?, jwk.y?);
            if bytes(&x)?.len() != 32 || bytes(&y)?.len() != 32 {
                return None;
            }
            (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(&x, &y).ok()?)
        }
        ("OKP", Some("Ed25519")) => {
            let x = jwk.x?;
            if bytes(&x)?.len() != 32 {
                return None;
            }
            (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(&x).ok()?)
        }
        // Among them `oct`: a secret that anybody can fetch.
        _ => return None,
    };
    // RFC 9864 names the curve.
    let fits = jwk.alg.as_deref().is_none_or(|alg| alg == name || (alg == "Ed25519" && name == "EdDSA"));
    fits.then_some(Key { id: jwk.kid, algorithm, key })
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Returns how many bits a number has.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let rest = number.get(zeros..).unwrap_or_default();
    rest.first().map_or(0, |first| rest.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bits: usize) -> String {
        let mut n = vec![0xff; bits / 8];
        n[0] = 0x80;
        URL_SAFE_NO_PAD.encode(n)
    }

    /// What a key is good for; `None`: it is passed over.
    fn taken(key: Value) -> Option<Algorithm> {
        let (good, _) =
            (json!({"kty": "OKP", "crv": "Ed25519", "kid": "good", "x": URL_SAFE_NO_PAD.encode([1; 32])}), ());
        let document = json!({"keys": [key, good]}).to_string();
        let (keys, passed_over) = parse(document.as_bytes()).unwrap();
        assert_eq!(keys.len() + passed_over, 2);
        let found = keys.into_iter().find(|key| key.id.as_deref() != Some("good"));
        found.map(|key| key.algorithm)
    }

    #[test]
    fn each_key_is_good_for_one_algorithm_and_the_weak_and_the_secret_for_none() {
        let point = || URL_SAFE_NO_PAD.encode([2; 32]);
        let ec = json!({"kty": "EC", "crv": "P-256", "x": point(), "y": point(), "kid": "a"});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": point(), "kid": "a"});
        let rsa_key = json!({"kty": "RSA", "n": rsa(2_048), "e": "AQAB", "kid": "a", "use": "sig", "x5u": "https://a"});
        let with = |key: &Value, name: &str, value: Value| {
            let mut key = key.clone();
            key[name] = value;
            key
        };
        for (key, expected) in [
            (rsa_key.clone(), Some(Algorithm::RS256)),
            (ec.clone(), Some(Algorithm::ES256)),
            (ed.clone(), Some(Algorithm::EdDSA)),
            (with(&rsa_key, "alg", json!("RS256")), Some(Algorithm::RS256)),
            (with(&ed, "alg", json!("Ed25519")), Some(Algorithm::EdDSA)),
            (with(&ec, "key_ops", json!(["verify"])), Some(Algorithm::ES256)),
            (with(&rsa_key, "alg", json!("HS256")), None),
            (with(&rsa_key, "alg", json!("none")), None),
            (with(&rsa_key, "alg", json!("PS256")), None),
            (with(&rsa_key, "use", json!("enc")), None),
            (with(&rsa_key, "n", json!(rsa(1_024))), None),
            (with(&rsa_key, "n", json!(format!("AAAA{}", rsa(2_040)))), None),
            (with(&rsa_key, "n", json!("not base64!")), None),
            (with(&rsa_key, "e", json!("AQ")), None),
            (with(&rsa_key, "kty", json!(7)), None),
            (with(&ec, "crv", json!("P-384")), None),
            (with(&ec, "y", json!("AA")), None),
            (with(&ec, "key_ops", json!(["sign"])), None),
            (with(&ed, "crv", json!("X25519")), None),
            (json!({"kty": "oct", "k": point(), "alg": "HS256", "kid": "a"}), None),
            (json!("a text"), None),
        ] {
            assert_eq!(taken(key.clone()), expected, "{key}");
        }
    }

    #[test]
    fn documents_of_no_use_are_refused() {
        let bad = |document: &str| parse(document.as_bytes()).err();
        for document in ["", "<html>", "[]", "{}", "{\"keys\": 1}"] {
            assert_eq!(bad(document), Some(BadSet::Malformed), "{document}");
        }
        assert_eq!(bad("{\"keys\": []}"), Some(BadSet::Useless));
        assert_eq!(bad("{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}"), Some(BadSet::Useless));
        assert_eq!(bad(&json!({"keys": vec![1; 65]}).to_string()), Some(BadSet::TooMany));
    }
}
