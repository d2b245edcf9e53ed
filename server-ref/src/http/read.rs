//! What a backend reads: channels, messages, members.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use moorline_protocol::{AppName, ChannelName, ErrorCode, Offset, UserName, limits};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::problem::{Problem, malformed};
use super::rights::Right;
use super::{Api, Caller};
use crate::engine::{
    ChannelKey, ChannelsQuery, Command, Completion, EngineError, Presence, PresenceAct, Read, ReadRange, Stored,
};
use crate::node::backend;

/// Bytes of the messages of an answer; one larger message is returned all the same.
const MAX_BYTES: usize = 1024 * 1024;
const MOST_CHANNELS: usize = 1_000;

/// The query of a URL; what is wrong with it is a problem.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let asked = Query::from_request_parts(parts, api).await;
        let Query(asked) = asked.map_err(|error: QueryRejection| malformed(error.body_text()))?;
        Ok(Self(asked))
    }
}

/// Which channels.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChannelsAsked {
    /// The beginning of their names.
    prefix: Option<String>,
    /// Those after this one: the last one of the page before.
    after: Option<String>,
    /// At most so many (default 100).
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Channels, in the order of the bytes of their names.
#[derive(Serialize, ToSchema)]
pub(super) struct Channels {
    pub(super) channels: Vec<Channel>,
    /// Whether there are more: ask again `after` the last one.
    pub(super) more: bool,
}

/// A channel that holds messages, has held some, or is subscribed to.
#[derive(Serialize, ToSchema)]
pub(super) struct Channel {
    /// Its name.
    pub(super) channel: String,
    /// The life of its log.
    epoch: String,
    /// The oldest offset kept; `head` + 1 when empty.
    first: u64,
    /// The newest offset; 0 before the first message.
    head: u64,
    /// Whether somebody is subscribed.
    subscribed: bool,
    /// How many members its presence has.
    members: u64,
    /// How many messages are kept.
    messages: u64,
    /// Their bytes.
    bytes: u64,
}

/// Lists the app's channels.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels",
    tag = "channels",
    operation_id = "listChannels",
    params(("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$"), ChannelsAsked),
    responses(
        (status = 200, description = "The channels.", body = Channels),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn channels(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(asked): Asked<ChannelsAsked>,
) -> Result<Json<Channels>, Problem> {
    caller.must(Right::Read)?;
    caller.must_reach_all(asked.prefix.as_deref().unwrap_or_default())?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=MOST_CHANNELS).contains(&limit) {
        return Err(malformed("`limit` is 1 to 1,000"));
    }
    let after = asked.after.map(|name| ChannelName::new(&name)).transpose();
    let after = after.map_err(|error| Problem::new(&ErrorCode::ChannelInvalid, error.sentence()))?;
    let query = ChannelsQuery { app: caller.app, prefix: asked.prefix.unwrap_or_default(), after, limit };
    let Completion::Channels(page) = api.ask(Command::Channels(query)).await? else { return Err(foreign()) };
    let channel = |info: crate::engine::ChannelInfo| Channel {
        channel: info.name.to_string(),
        epoch: info.epoch.as_str().to_owned(),
        first: info.first.0,
        head: info.head.0,
        subscribed: info.is_subscribed,
        members: info.members,
        messages: info.messages,
        bytes: info.bytes,
    };
    Ok(Json(Channels { channels: page.channels.into_iter().map(channel).collect(), more: page.more }))
}

/// Which messages: at most one of the first four.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessagesAsked {
    /// The oldest after this offset.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    after: Option<u64>,
    /// The newest before this offset.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    before: Option<u64>,
    /// The oldest that were stored at this time (ms since 1970) or later.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    after_time: Option<u64>,
    /// The newest that were stored before this time (ms since 1970).
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    before_time: Option<u64>,
    /// At most so many (default 50).
    #[param(minimum = 1, maximum = 256)]
    limit: Option<usize>,
}

/// Messages of a channel, ascending; without a range the newest.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages {
    /// The channel.
    channel: String,
    /// The life of its log: offsets mean something together with it only.
    epoch: String,
    /// The oldest offset kept; `head` + 1 when empty.
    first: u64,
    /// The newest offset; 0 before the first message.
    head: u64,
    /// The messages, ascending.
    #[schema(value_type = Vec<Message>)]
    messages: Vec<Box<RawValue>>,
    /// Whether there are more in the direction of the range.
    more: bool,
}

/// A message, with exactly one of `data`, `text` and `bin`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of an answer")]
pub(super) struct Message {
    /// Its place.
    offset: u64,
    /// The offset of the message before it, if that is not `offset` − 1.
    prev: Option<u64>,
    /// Its id.
    id: String,
    /// Who published it; absent for a backend and for nobody in particular.
    user: Option<String>,
    /// When it was stored, ms since 1970.
    time: u64,
    /// Names and values.
    headers: Option<std::collections::HashMap<String, String>>,
    /// The payload: any JSON.
    data: Option<serde_json::Value>,
    /// The payload: a text.
    text: Option<String>,
    /// The payload: bytes in base64.
    #[schema(content_encoding = "base64")]
    bin: Option<String>,
}

impl MessagesAsked {
    fn range(&self) -> Result<ReadRange, Problem> {
        let ranges = [
            self.after.map(|offset| ReadRange::After(Offset(offset))),
            self.before.map(|offset| ReadRange::Before(Offset(offset))),
            self.after_time.map(ReadRange::AfterTime),
            self.before_time.map(ReadRange::BeforeTime),
        ];
        let numbers = [self.after, self.before, self.after_time, self.before_time];
        if numbers.iter().flatten().any(|number| *number > limits::MAX_SAFE_INTEGER) {
            return Err(malformed("an offset or a time is 2^53 - 1 at most"));
        }
        let mut given = ranges.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(_), Some(_)) => Err(malformed("give one of `after`, `before`, `after_time` and `before_time`")),
            (range, _) => Ok(range.unwrap_or(ReadRange::Newest)),
        }
    }
}

/// Reads messages of a channel.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels/{channel}/messages",
    tag = "channels",
    operation_id = "readMessages",
    params(
        ("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$"),
        ("channel" = String, Path, description = "The channel's name, percent-encoded.", max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f*$@][^\\u0000-\\u001f\\u007f-\\u009f*]*$"),
        MessagesAsked,
    ),
    responses(
        (status = 200, description = "The messages; of a channel that nobody has written to, none.", body = Messages),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Option<Path<(String, String)>>,
    Asked(asked): Asked<MessagesAsked>,
) -> Result<Json<Messages>, Problem> {
    caller.must(Right::Read)?;
    let limit = asked.limit.unwrap_or(50);
    if !(1..=limits::PAGE_MESSAGES).contains(&limit) {
        return Err(malformed("`limit` is 1 to 256"));
    }
    let channel = named(&caller, path)?;
    let name = channel.name.to_string();
    let read = Read { channel, range: asked.range()?, max_messages: limit, max_bytes: MAX_BYTES };
    let Completion::Read(page) = api.ask(Command::Read(read)).await? else { return Err(foreign()) };
    Ok(Json(Messages {
        channel: name,
        epoch: page.epoch.as_str().to_owned(),
        first: page.first.0,
        head: page.head.0,
        messages: page.messages.iter().filter_map(json).collect(),
        more: page.more,
    }))
}

/// Returns a message as JSON clients get it.
fn json(stored: &Stored) -> Option<Box<RawValue>> {
    let mut message = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()).ok()?;
    message.prev = stored.prev;
    let mut text = Vec::new();
    moorline_protocol::json::encode_message(&message, &mut text);
    RawValue::from_string(String::from_utf8(text).ok()?).ok()
}

/// Which members.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MembersAsked {
    /// Where the page before ended.
    cursor: Option<String>,
}

/// The members of a channel, in the order of their names.
#[derive(Serialize, ToSchema)]
pub(super) struct Members {
    /// The channel.
    channel: String,
    /// How many there are in all.
    count: u64,
    /// So many of them as fit into a page.
    members: Vec<Member>,
    /// Where to go on, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Somebody who is present.
#[derive(Serialize, ToSchema)]
pub(super) struct Member {
    /// The user.
    user: String,
    /// What the user's client says of itself: any JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    state: Option<Box<RawValue>>,
    /// Since when, ms since 1970.
    since: u64,
}

/// Reads who is present in a channel.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels/{channel}/presence",
    tag = "channels",
    operation_id = "readPresence",
    params(
        ("app" = String, Path, description = "The app.", pattern = "^[A-Za-z0-9_.-]{1,64}$"),
        ("channel" = String, Path, description = "The channel's name, percent-encoded.", max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f*$@][^\\u0000-\\u001f\\u007f-\\u009f*]*$"),
        MembersAsked,
    ),
    responses(
        (status = 200, description = "The members.", body = Members),
        (status = 403, description = "The key may not do this, or not here.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "The request was refused.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
)]
pub(super) async fn presence(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Option<Path<(String, String)>>,
    Asked(asked): Asked<MembersAsked>,
) -> Result<Json<Members>, Problem> {
    caller.must(Right::Read)?;
    let channel = named(&caller, path)?;
    let name = channel.name.to_string();
    let after = asked.cursor.as_deref().map(UserName::new).transpose();
    let after = after.map_err(|_| malformed("`cursor` is what the page before said"))?;
    let read = Presence { channel, act: PresenceAct::Read { after } };
    let Completion::Members(view) = api.ask(Command::Presence(read)).await? else { return Err(foreign()) };
    let member = |member: moorline_protocol::Member| Member {
        user: member.user.to_string(),
        state: member.state.and_then(|state| RawValue::from_string(String::from_utf8(state.to_vec()).ok()?).ok()),
        since: member.since,
    };
    Ok(Json(Members {
        channel: name,
        count: view.count,
        members: view.members.into_iter().map(member).collect(),
        cursor: view.cursor.map(|cursor| cursor.to_string()),
    }))
}

/// Returns what names a channel of an app.
pub(super) fn key(app: &AppName, name: &str) -> Option<ChannelKey> {
    Some(ChannelKey { app: app.clone(), name: ChannelName::new(name).ok()? })
}

fn named(caller: &Caller, path: Option<Path<(String, String)>>) -> Result<ChannelKey, Problem> {
    let Some(Path((_, name))) = path else {
        return Err(malformed("the path is not UTF-8 with what has to be percent-encoded"));
    };
    let channel = backend::channel(&caller.app, &name).map_err(|error| Problem::from(*error))?;
    caller.must_reach(channel.name.as_str())?;
    Ok(channel)
}

impl Api {
    /// Asks the engine.
    pub(super) async fn ask(&self, command: Command) -> Result<Completion, Problem> {
        self.asker.ask(command).await.map_err(|error: EngineError| Problem::from(backend::storage(error)))
    }
}

/// The engine gave the answer of another question.
pub(super) fn foreign() -> Problem {
    Problem::new(&ErrorCode::ServerInternal, "the engine gave the answer of another question")
}
