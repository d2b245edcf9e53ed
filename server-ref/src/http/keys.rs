//! API keys: what an app's backend shows instead of a token. Only their hashes are kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ErrorCode};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::Rights;

/// What keys begin with, so that tools that look for secrets find them.
const PREFIX: &str = "mlk_";
/// The key of `--dev`.
const DEV: &str = "dev";
/// What hashes begin with.
const HASH: &str = "sha256:";

/// An app's key, without the key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Names it in the log, and owns the ids of what is published with it. Two keys of one name are one owner: that
    /// is how a key is replaced.
    pub name: Arc<str>,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// When it stops being good, ms since 1970.
    pub expires: Option<UnixMillis>,
    /// What it may do.
    pub rights: Rights,
}

/// The keys of all apps.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    apps: Vec<(AppName, Vec<ApiKey>)>,
    dev: bool,
}

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The app.
    pub app: AppName,
    /// The name of the key.
    pub key: Arc<str>,
    /// What it may do.
    pub rights: Rights,
}

impl ApiKeys {
    /// Takes the keys of these apps.
    pub fn new(apps: Vec<(AppName, Vec<ApiKey>)>) -> Self {
        Self { apps, dev: false }
    }

    /// Also takes the key `dev`, for every app.
    #[must_use]
    pub fn with_dev(self) -> Self {
        Self { dev: true, ..self }
    }

    /// Returns the keys of an app.
    pub fn of(&self, app: &AppName) -> &[ApiKey] {
        self.apps.iter().find(|(known, _)| known == app).map(|(_, keys)| keys.as_slice()).unwrap_or_default()
    }

    /// Tells whether there is such an app.
    pub fn has_app(&self, app: &AppName) -> bool {
        self.dev || self.apps.iter().any(|(known, _)| known == app)
    }

    /// Tells whether the configuration names an app; in development mode, the default app, too.
    pub fn is_configured(&self, app: &AppName) -> bool {
        self.apps.iter().any(|(known, _)| known == app) || self.dev && *app == AppName::default_app()
    }

    /// Returns the apps that the configuration names; in development mode, the default app, too.
    pub fn apps(&self) -> Vec<AppName> {
        let mut apps: Vec<AppName> = self.apps.iter().map(|(app, _)| app.clone()).collect();
        if self.dev && !apps.contains(&AppName::default_app()) {
            apps.push(AppName::default_app());
        }
        apps
    }

    /// Tells whether anybody has a key.
    pub fn is_empty(&self) -> bool {
        !self.dev && self.apps.iter().all(|(_, keys)| keys.is_empty())
    }

    /// Says whose request it is.
    ///
    /// # Errors
    /// `app.unknown`, `auth.invalid` or `auth.expired`, with a sentence that says what to do; never the key.
    pub fn verify(&self, app: &str, shown: Option<&str>, now: UnixMillis) -> Result<Caller, (ErrorCode, &'static str)> {
        let unknown = (ErrorCode::AppUnknown, "this server has no such app; check the path");
        let app = AppName::new(app).map_err(|_| unknown.clone())?;
        let known = self.apps.iter().find(|(known, _)| *known == app);
        if known.is_none() && !self.dev {
            return Err(unknown);
        }
        let Some(shown) = shown else {
            return Err((ErrorCode::AuthInvalid, "an API key is needed: `Authorization: Bearer <key>`"));
        };
        if self.dev && shown == DEV {
            return Ok(Caller { app, key: DEV.into(), rights: Rights::all() });
        }
        let hash = hash(shown);
        let mut found = None;
        for key in known.map(|(_, keys)| keys.as_slice()).unwrap_or_default() {
            // Of two that are the same, the one that is good for longer.
            let later = found.is_none_or(|other: &ApiKey| key.expires.is_none() || other.expires < key.expires);
            if is_same(&key.hash, &hash) && later {
                found = Some(key);
            }
        }
        match found {
            None => Err((ErrorCode::AuthInvalid, "this app has no such API key")),
            Some(key) if key.expires.is_some_and(|at| at <= now) => {
                Err((ErrorCode::AuthExpired, "the API key has expired; use the one that replaced it"))
            }
            Some(key) => Ok(Caller { app, key: Arc::clone(&key.name), rights: key.rights.clone() }),
        }
    }
}

/// Compares without telling by its time where the difference is.
pub(super) fn is_same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

pub(super) fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Makes a key of 32 random bytes. Returns the key, and the hash as it stands in the configuration.
pub fn make(random: [u8; 32]) -> (String, String) {
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let text = written(&hash(&key));
    (key, text)
}

fn written(hash: &[u8; 32]) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HASH}{digits}")
}

/// Reads a hash as it stands in the configuration.
///
/// # Errors
/// A sentence; never the text, which may be a key.
pub fn read_hash(text: &str) -> Result<[u8; 32], &'static str> {
    const WRONG: &str =
        "`hash` is `sha256:` and 64 hexadecimal digits; `moorline-server key new` makes a key and its hash";
    let digits = text.strip_prefix(HASH).filter(|digits| digits.len() == 64 && digits.is_ascii()).ok_or(WRONG)?;
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        let pair = digits.get(at * 2..at * 2 + 2).ok_or(WRONG)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(expires: &[Option<u64>]) -> (ApiKeys, Vec<String>) {
        let made: Vec<_> = (1..=expires.len() as u8).map(|n| make([n; 32])).collect();
        let key = |((_, text), expires): (&(String, String), &Option<u64>)| ApiKey {
            name: "backend".into(),
            hash: read_hash(text).unwrap(),
            expires: *expires,
            rights: Rights::all(),
        };
        let all = made.iter().zip(expires).map(key).collect();
        (ApiKeys::new(vec![(AppName::new("shop").unwrap(), all)]), made.into_iter().map(|(key, _)| key).collect())
    }

    #[test]
    fn a_key_is_known_by_its_hash_alone_and_both_are_good_while_one_replaces_the_other() {
        let (keys, made) = keys(&[Some(1_000), None]);
        let code = |shown: &str, now| keys.verify("shop", Some(shown), now).map_err(|(code, _)| code);
        assert_eq!(code(&made[0], 999).unwrap().key, code(&made[1], 999).unwrap().key);
        assert_eq!(code(&made[0], 1_000), Err(ErrorCode::AuthExpired));
        assert!(code(&made[1], 1_000).is_ok());
        assert_eq!(code("dev", 0), Err(ErrorCode::AuthInvalid));
        assert_eq!(code(&made[0].to_uppercase(), 0), Err(ErrorCode::AuthInvalid));
        assert_eq!(keys.verify("shop", None, 0).unwrap_err().0, ErrorCode::AuthInvalid);
        assert_eq!(keys.verify("else", Some(&made[0]), 0).unwrap_err().0, ErrorCode::AppUnknown);
        assert!(keys.clone().with_dev().verify("else", Some("dev"), 0).is_ok());
        assert!(!format!("{keys:?}").contains(&made[0]));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let long = format!("sha256:{}", "é".repeat(32));
        for text in ["", "sha256:", "mlk_abc", "sha256:zz", &long, &format!("sha256:{}", "0".repeat(65))] {
            assert!(read_hash(text).is_err(), "{text}");
        }
    }
}
