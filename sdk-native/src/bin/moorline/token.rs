use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use moorline_protocol::{AppName, UserName};
use serde_json::{Value, json};

use crate::Failed;
use crate::options::TokenOptions;

/// Bytes of a secret, at least: the server refuses shorter ones.
const SECRET: usize = 32;

/// Makes a token.
pub(crate) fn make(options: &TokenOptions) -> Result<String, Failed> {
    let misuse = |text: String| Failed::Misuse(text);
    if options.key.len() < SECRET {
        return Err(misuse(format!(
            "--key has {} bytes; servers take secrets of {SECRET} at least",
            options.key.len()
        )));
    }
    UserName::new(&options.sub).map_err(|error| misuse(format!("--sub: {error}")))?;
    AppName::new(&options.app).map_err(|error| misuse(format!("--app: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let expires = now.checked_add(options.ttl.as_secs()).filter(|expires| *expires < 1 << 53);
    let expires = expires.ok_or_else(|| misuse("--ttl is too long".into()))?;
    let grants = if options.grants.is_empty() {
        vec![json!({"match": "*", "can": ["subscribe", "publish", "presence", "history", "call"]})]
    } else {
        options.grants.iter().map(|text| grant(text)).collect::<Result<_, _>>().map_err(misuse)?
    };
    let body = json!({"sub": options.sub, "aud": options.app, "iat": now, "exp": expires, "grants": grants});
    let key = EncodingKey::from_secret(options.key.as_bytes());
    encode(&Header::new(Algorithm::HS256), &body, &key).map_err(|error| Failed::Error(error.to_string()))
}

fn grant(text: &str) -> Result<Value, String> {
    const KNOWN: [&str; 5] = ["subscribe", "publish", "presence", "history", "call"];
    let written = "--grant is written as PATTERN=PERMISSION,PERMISSION, such as chat:*=subscribe,publish";
    let (pattern, can) = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty()).ok_or(written)?;
    if pattern.trim_end_matches('*').len() + 1 < pattern.len() || pattern.trim_end_matches('*').contains('*') {
        return Err(format!("--grant `{pattern}`: `*` stands once, at the end, for anything"));
    }
    let can: Vec<&str> = can.split(',').map(str::trim).collect();
    match can.iter().find(|permission| !KNOWN.contains(permission)) {
        Some(unknown) => Err(format!("--grant: unknown permission `{unknown}`; known are {}", KNOWN.join(", "))),
        None => Ok(json!({"match": pattern, "can": can})),
    }
}
