use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::Failed;
use crate::options::TokenOptions;

/// Makes a token.
pub(crate) fn make(options: &TokenOptions) -> Result<String, Failed> {
    let misuse = |text: String| Failed::Misuse(text);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let ttl = seconds(&options.ttl).ok_or_else(|| misuse("--ttl is written as 30s, 15m, 1h or 7d".into()))?;
    let grants = if options.grants.is_empty() {
        vec![json!({"match": "*", "can": ["subscribe", "publish", "presence", "history"]})]
    } else {
        options.grants.iter().map(|text| grant(text)).collect::<Result<_, _>>().map_err(misuse)?
    };
    let body = json!({"sub": options.sub, "aud": options.app, "iat": now, "exp": now + ttl, "grants": grants});
    let key = EncodingKey::from_secret(options.key.as_bytes());
    encode(&Header::new(Algorithm::HS256), &body, &key).map_err(|error| Failed::Error(error.to_string()))
}

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn grant(text: &str) -> Result<Value, String> {
    const KNOWN: [&str; 4] = ["subscribe", "publish", "presence", "history"];
    let (pattern, can) = text.rsplit_once('=').ok_or("--grant is written as PATTERN=PERMISSION,PERMISSION")?;
    let can: Vec<&str> = can.split(',').map(str::trim).collect();
    match can.iter().find(|permission| !KNOWN.contains(permission)) {
        Some(unknown) => Err(format!("unknown permission `{unknown}`; known are {}", KNOWN.join(", "))),
        None => Ok(json!({"match": pattern, "can": can})),
    }
}
