//! Signatures as Standard Webhooks has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A secret that requests are signed with: 24 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret of a hook is `whsec_` and the base64 of 24 to 64 bytes, such as from `openssl rand -base64 32`")]
pub struct BadSecret;

impl Secret {
    /// Reads `whsec_` and base64.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").ok_or(BadSecret)?).map_err(|_| BadSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadSecret) }
    }
}

impl std::fmt::Debug for Secret {
    /// Never shows it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Returns the value of `webhook-signature`: one signature per secret, of `id.timestamp.body`.
pub fn sign(secrets: &[Secret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signatures = secrets.iter().filter_map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification and of its reference libraries.
    #[test]
    fn the_known_signature_comes_out() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(std::slice::from_ref(&secret), id, 1_614_265_330, body), signature);
        let other = Secret::parse(&format!("whsec_{}", STANDARD.encode([7; 64]))).unwrap();
        let both = sign(&[other.clone(), secret], id, 1_614_265_330, body);
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!((first, second), (sign(&[other], id, 1_614_265_330, body).as_str(), signature));
    }

    #[test]
    fn a_secret_is_shown_to_nobody() {
        assert_eq!(format!("{:?}", Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()), "Secret");
    }

    #[test]
    fn only_secrets_of_use_are_taken() {
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_??", &encoded(23), &encoded(65)] {
            assert_eq!(Secret::parse(bad), Err(BadSecret), "{bad}");
        }
        assert!(Secret::parse(&encoded(24)).is_ok() && Secret::parse(&encoded(64)).is_ok());
    }
}
