//! Payloads on the command line, and messages as lines.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moorline::{Message, Payload};
use serde::Serialize;
use serde_json::value::RawValue;

/// JSON where it is JSON, otherwise a text.
pub(crate) fn parse(text: &str) -> Payload {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => Payload::json(json).unwrap_or_else(|_| Payload::text(text)),
        Err(_) => Payload::text(text),
    }
}

/// A message as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    channel: &'a str,
    epoch: &'a str,
    offset: Option<u64>,
    id: &'a str,
    user: Option<&'a str>,
    time: u64,
    replayed: bool,
    #[serde(skip_serializing_if = "is_false")]
    redelivered: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
}

/// Writes an answer as one line of JSON: JSON as it is, a text as `{"text"}`, bytes as `{"bin"}`.
pub(crate) fn answer(payload: &Payload) -> Result<String, serde_json::Error> {
    if payload.is_json() {
        return verbatim(payload).map(|json| json.get().to_owned());
    }
    match payload.as_text() {
        Some(text) => serde_json::to_string(&BTreeMap::from([("text", text)])),
        None => serde_json::to_string(&BTreeMap::from([("bin", STANDARD.encode(payload.as_bytes()))])),
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Writes a message as one line of JSON.
pub(crate) fn line(message: &Message) -> Result<String, serde_json::Error> {
    let (mut data, mut bin) = (None, None);
    if message.payload.is_json() {
        data = Some(verbatim(&message.payload)?);
    } else if message.text().is_none() {
        bin = Some(STANDARD.encode(message.payload.as_bytes()));
    }
    serde_json::to_string(&Line {
        channel: &message.channel,
        epoch: &message.epoch,
        offset: message.offset,
        id: &message.id,
        user: message.user.as_deref(),
        time: message.time,
        replayed: message.replayed,
        redelivered: message.redelivered,
        headers: message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        data,
        text: message.text(),
        bin,
    })
}

/// Returns JSON as it was published, on one line: a line break in it can only be white space.
fn verbatim(payload: &Payload) -> Result<Box<RawValue>, serde_json::Error> {
    let json = payload.to_json::<Box<RawValue>>()?;
    if json.get().contains(['\n', '\r']) {
        RawValue::from_string(json.get().replace(['\n', '\r'], " "))
    } else {
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_is_data_and_the_rest_is_text() {
        for json in ["1", "null", "\"hello\"", "{\"a\": [1, 2]}", " [ ] ", "12345678901234567890123", "1.0"] {
            let payload = parse(json);
            assert!(payload.is_json(), "{json}");
            assert_eq!(payload.as_bytes(), json.trim(), "verbatim");
        }
        for text in ["", "hello", "{", "NaN", "1 2", "'x'"] {
            assert_eq!(parse(text).as_text(), Some(text));
        }
    }

    #[test]
    fn json_over_several_lines_becomes_one_line() {
        let payload = parse("{\n \"a\":\r\n \"b\\n\"\n}");
        assert_eq!(verbatim(&payload).unwrap().get(), "{  \"a\":   \"b\\n\" }");
    }
}
