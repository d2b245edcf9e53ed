//! What an app's backend asks for by HTTP: what is decided before the engine does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::time::{Timestamp, UnixMillis};
use moorline_protocol::{
    AppName, ChannelName, ErrorCode, ErrorFrame, Headers, Message, Payload, Position, Qos, Utf8Bytes,
    headers_are_valid, limits,
};

use super::connect::storage_error;
use super::limits::Bucket;
use crate::engine::hooks::is_reserved;
use crate::engine::{Append, Appended, Broadcast, ChannelKey, Command, Completion, EngineError, content_hash};

/// What a backend wants published on one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The channel's name, unchecked.
    pub channel: String,
    /// The message's id, 1–128 bytes, unchecked.
    pub id: Utf8Bytes,
    /// How hard.
    pub qos: Qos,
    /// Seconds until it may be forgotten.
    pub ttl: Option<u32>,
    /// The headers, unchecked.
    pub headers: Headers,
    /// The payload; JSON is a value of a larger one that was read.
    pub payload: Payload,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where it stands; `None` at QoS 0.
    pub position: Option<Position>,
    /// Whether it stood there before.
    pub is_duplicate: bool,
}

/// Checks a channel's name as a backend gives it.
///
/// # Errors
/// `channel.invalid`, with what is wrong.
pub fn channel(app: &AppName, name: &str) -> Result<ChannelKey, Box<ErrorFrame>> {
    let refuse = |text: &'static str| Err(Box::new(ErrorFrame::new(ErrorCode::ChannelInvalid, text)));
    match ChannelName::new(name) {
        Ok(name) if name.as_str() == "@me" => refuse("a backend has no inbox; name the user's: `@<user>`"),
        Ok(name) if is_reserved(name.as_str()) => refuse("a channel that begins with `$` is the server's own"),
        Ok(name) => Ok(ChannelKey { app: app.clone(), name }),
        Err(error) => Err(Box::new(ErrorFrame::new(ErrorCode::ChannelInvalid, error.sentence()))),
    }
}

/// Makes a command of what a backend wants published. `key` names its API key: whose ids these are.
///
/// # Errors
/// A refusal of this message, for ever.
pub fn publish(
    app: &AppName,
    key: &str,
    wanted: Wanted,
    max_message: u32,
    now: UnixMillis,
) -> Result<Command, Box<ErrorFrame>> {
    let refuse = |code, text: &'static str| Err(Box::new(ErrorFrame::new(code, text)));
    let channel = channel(app, &wanted.channel)?;
    if !(1..=limits::MESSAGE_ID).contains(&wanted.id.as_bytes().len()) {
        return refuse(
            ErrorCode::RequestMalformed,
            "`id` is 1 to 128 bytes; of an entry of a list without one: the key, `/` and its number",
        );
    }
    if !headers_are_valid(&wanted.headers) {
        return refuse(
            ErrorCode::RequestMalformed,
            "`headers` are at most 16, at most 1 KiB in all, each name once and not empty",
        );
    }
    if wanted.payload.bytes().len() > max_message as usize {
        return refuse(ErrorCode::LimitMessage, "the message is larger than `limits.message` of this server");
    }
    if let Payload::Json(json) = &wanted.payload
        && !moorline_protocol::json::is_valid(json)
    {
        return refuse(
            ErrorCode::RequestMalformed,
            "`data` is nested more than 64 deep, or has a number or a character that not every reader can take",
        );
    }
    let Wanted { id, qos, ttl, headers, payload, .. } = wanted;
    if qos == Qos::AtMostOnce {
        let message = Message { offset: None, prev: None, id, user: None, time: now, headers, payload };
        let mut encoded = Vec::new();
        moorline_protocol::binary::encode_message(&message, &mut encoded);
        return Ok(Command::Broadcast(Broadcast { channel, message: Bytes::from(encoded) }));
    }
    let hash = content_hash(&id, &payload, &headers);
    let (scope, user, producer, verdict) = (scope(key), None, None, Ok(()));
    Ok(Command::Append(Append { channel, id, scope, user, headers, payload, ttl, hash, producer, verdict }))
}

/// Says why the engine did not do it.
pub fn storage(error: EngineError) -> ErrorFrame {
    storage_error(error)
}

/// Returns the text that stands for the scope of a key's message ids. Names of users have no control characters, so that
/// nobody else's ids are these.
pub fn scope(key: &str) -> Arc<str> {
    format!("\u{2}{key}").into()
}

/// Says what became of a message.
///
/// # Errors
/// Why it was refused.
pub fn published(answer: Result<Completion, EngineError>) -> Result<Outcome, Box<ErrorFrame>> {
    let stored = |position, is_duplicate| Ok(Outcome { position: Some(position), is_duplicate });
    let internal = || ErrorFrame::new(ErrorCode::ServerInternal, "the engine gave the answer of another question");
    match answer {
        Ok(Completion::Appended(Appended::Stored(position))) => stored(position, false),
        Ok(Completion::Appended(Appended::Duplicate(position))) => stored(position, true),
        Ok(Completion::Appended(Appended::Reused(_))) => {
            let text = "the id belongs to another message of this key; a retry repeats the same content";
            Err(Box::new(ErrorFrame::new(ErrorCode::PublishReused, text)))
        }
        Ok(Completion::Appended(Appended::Refused(code))) => {
            let meaning = code.meaning();
            Err(Box::new(ErrorFrame::new(code, meaning)))
        }
        Ok(_) => Err(Box::new(internal())),
        Err(error) => Err(Box::new(storage_error(error))),
    }
}

/// How many requests and messages each key may still send. Keys of one name share.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: BTreeMap<(AppName, Arc<str>), Bucket>,
}

impl Rates {
    /// Takes so many for a key that may send `rate` a second (`None` = any number), and `burst` at once. `Err` says in
    /// how many ms there are.
    ///
    /// # Errors
    /// `limit.rate`.
    pub fn take(
        &mut self,
        (app, key): (&AppName, &Arc<str>),
        (rate, burst): (Option<u32>, u32),
        count: u32,
        now: Timestamp,
    ) -> Result<(), Box<ErrorFrame>> {
        let Some(rate) = rate else { return Ok(()) };
        let full = || Bucket::full(burst, now);
        let bucket = self.buckets.entry((app.clone(), Arc::clone(key))).or_insert_with(full);
        // What is larger than the bucket empties it.
        bucket.take_many(count.min(burst), rate, burst, now).map_err(|after| {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "this API key sends too much; wait `after` ms");
            Box::new(ErrorFrame { after: Some(after), ..error })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_for_its_own_messages_alone() {
        let (app, mut rates) = (AppName::default_app(), Rates::default());
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let at = |ms: u64| Timestamp::new(std::time::Duration::from_millis(ms));
        let mut take = |key, count, ms| rates.take((&app, key), (Some(10), 20), count, at(ms));
        assert!(take(&one, 15, 0).is_ok());
        assert_eq!(take(&one, 15, 0).unwrap_err().after, Some(1_000));
        assert!(take(&other, 20, 0).is_ok());
        assert!(take(&one, 15, 1_000).is_ok());
        assert!(take(&one, 1_000, 9_000).is_ok(), "more than ever fits");
        assert!(rates.take((&app, &one), (Some(10), 5), 5, at(20_000)).is_ok());
        assert!(rates.take((&app, &one), (Some(10), 5), 1, at(20_000)).is_err(), "a smaller bucket holds less");
        assert!(rates.take((&app, &one), (None, 0), 1_000, at(0)).is_ok());
    }

    #[test]
    fn channels_of_the_server_and_of_nobody_are_refused() {
        let app = AppName::default_app();
        for name in ["", "$hooks", "@me", "a*", "a\n", &"x".repeat(129)] {
            assert_eq!(channel(&app, name).unwrap_err().code, ErrorCode::ChannelInvalid, "{name}");
        }
        assert!(channel(&app, "@alice").is_ok());
    }
}
