//! What several frames share.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::fields::{Entries, Fields};
use super::object::Object;
use crate::codec::DecodeError;
use crate::frame::{ChannelRef, Member, MembersView, PresenceVersion};
use crate::limits;
use crate::message::{Headers, Message, Payload, headers_are_valid};
use crate::types::{ChannelName, Epoch, Offset, Position, UserName, Utf8Bytes};

/// Checks a number of at most 2^53−1.
pub(super) fn safe(number: u64) -> Result<u64, DecodeError> {
    if number <= limits::MAX_SAFE_INTEGER { Ok(number) } else { Err(DecodeError::Number) }
}

pub(super) fn name(fields: &Fields<'_>) -> Result<ChannelName, DecodeError> {
    Ok(ChannelName::new(&fields.need::<String>("channel")?)?)
}

pub(super) fn opt_name(fields: &Fields<'_>) -> Result<Option<ChannelName>, DecodeError> {
    Ok(fields.opt::<String>("channel")?.map(|name| ChannelName::new(&name)).transpose()?)
}

pub(super) fn channel(fields: &Fields<'_>) -> Result<ChannelRef, DecodeError> {
    name(fields).map(ChannelRef::Name)
}

pub(super) fn user(fields: &Fields<'_>) -> Result<UserName, DecodeError> {
    Ok(UserName::new(&fields.need::<String>("user")?)?)
}

pub(super) fn epoch(fields: &Fields<'_>) -> Result<Epoch, DecodeError> {
    Ok(Epoch::new(&fields.need::<String>("epoch")?)?)
}

pub(super) fn position(fields: &Fields<'_>) -> Result<Position, DecodeError> {
    Ok(Position { epoch: epoch(fields)?, offset: fields.offset("offset")? })
}

pub(super) fn put_position<'a, 'b>(position: Position, to: &'a mut Object<'b>) -> &'a mut Object<'b> {
    to.put("epoch", position.epoch.as_str()).put("offset", position.offset.0)
}

pub(super) fn text(fields: &Fields<'_>, name: &'static str) -> Result<Option<Utf8Bytes>, DecodeError> {
    Ok(fields.opt::<String>(name)?.map(Into::into))
}

/// A text of at most so many bytes.
pub(super) fn short(fields: &Fields<'_>, name: &'static str, most: usize) -> Result<Option<Utf8Bytes>, DecodeError> {
    match text(fields, name)? {
        Some(text) if text.as_bytes().len() > most => Err(DecodeError::Field(name)),
        text => Ok(text),
    }
}

pub(super) fn token(fields: &Fields<'_>) -> Result<Option<Utf8Bytes>, DecodeError> {
    short(fields, "token", limits::TOKEN_BYTES)
}

/// A message id: 1–128 bytes.
pub(super) fn id(fields: &Fields<'_>) -> Result<Option<Utf8Bytes>, DecodeError> {
    match text(fields, "id")? {
        Some(id) if !(1..=limits::MESSAGE_ID).contains(&id.as_bytes().len()) => Err(DecodeError::Field("id")),
        id => Ok(id),
    }
}

pub(super) fn caps(fields: &Fields<'_>) -> Result<Vec<Utf8Bytes>, DecodeError> {
    let caps: Vec<String> = fields.opt("caps")?.unwrap_or_default();
    if caps.len() > limits::CAPS || caps.iter().any(|cap| cap.len() > limits::CAP) {
        return Err(DecodeError::Field("caps"));
    }
    Ok(caps.into_iter().map(Into::into).collect())
}

pub(super) fn put_caps(caps: &[Utf8Bytes], to: &mut Object<'_>) {
    let caps: Vec<&str> = caps.iter().map(Utf8Bytes::as_str).collect();
    to.opt("caps", (!caps.is_empty()).then_some(caps));
}

/// A presence state: JSON of at most 4 KiB.
pub(super) fn state(fields: &Fields<'_>) -> Result<Option<Bytes>, DecodeError> {
    match fields.raw("state") {
        Some(state) if state.get().len() > limits::PRESENCE_STATE_BYTES => Err(DecodeError::Field("state")),
        state => Ok(state.map(|state| Bytes::copy_from_slice(state.get().as_bytes()))),
    }
}

pub(super) fn put_state(state: Option<&Bytes>, to: &mut Object<'_>) {
    if let Some(state) = state {
        to.json("state", state, None);
    }
}

pub(super) fn headers(fields: &Fields<'_>) -> Result<Headers, DecodeError> {
    let Some(Entries(pairs)) = fields.opt::<Entries<'_, String>>("headers")? else { return Ok(Headers::new()) };
    let headers = pairs.into_iter().map(|(name, value)| (name.into_owned().into(), value.into())).collect();
    if headers_are_valid(&headers) { Ok(headers) } else { Err(DecodeError::Field("headers")) }
}

pub(super) fn put_headers(headers: &Headers, to: &mut Object<'_>) {
    if !headers.is_empty() {
        to.object("headers", |to| {
            for (name, value) in headers {
                to.put(name, value.as_str());
            }
        });
    }
}

/// Exactly one of `data`, `text` and `bin`.
pub(super) fn payload(fields: &Fields<'_>) -> Result<Payload, DecodeError> {
    match (fields.raw("data"), text(fields, "text")?, fields.opt::<String>("bin")?) {
        (Some(data), None, None) => Ok(Payload::Json(Bytes::copy_from_slice(data.get().as_bytes()))),
        (None, Some(text), None) => Ok(Payload::Text(text)),
        (None, None, Some(bin)) => {
            STANDARD.decode(bin).map(|bin| Payload::Binary(bin.into())).map_err(|_| DecodeError::Field("bin"))
        }
        _ => Err(DecodeError::Payload),
    }
}

pub(super) fn put_payload(payload: &Payload, to: &mut Object<'_>) {
    match payload {
        // A payload that is not JSON would break the frame: it goes out as nothing else could, as null.
        Payload::Json(json) => to.json("data", json, Some("null")),
        Payload::Text(text) => to.put("text", text.as_str()),
        Payload::Binary(bytes) => to.put("bin", STANDARD.encode(bytes)),
    };
}

/// The offset of a message, at least 1, if it is stored.
pub(super) fn stored(fields: &Fields<'_>) -> Result<Option<Offset>, DecodeError> {
    match fields.opt_offset("offset")? {
        Some(Offset::ZERO) => Err(DecodeError::Field("offset")),
        offset => Ok(offset),
    }
}

pub(super) fn messages(fields: &Fields<'_>) -> Result<Vec<Message>, DecodeError> {
    fields.opt::<Vec<Fields<'_>>>("messages")?.unwrap_or_default().iter().map(message).collect()
}

fn message(fields: &Fields<'_>) -> Result<Message, DecodeError> {
    Ok(Message {
        offset: stored(fields)?,
        prev: fields.opt_offset("prev")?,
        id: id(fields)?.ok_or(DecodeError::Missing("id"))?,
        user: text(fields, "user")?,
        time: fields.safe("time")?,
        headers: headers(fields)?,
        payload: payload(fields)?,
    })
}

pub(super) fn put_message(message: &Message, to: &mut Object<'_>) {
    to.opt("offset", message.offset.map(|offset| offset.0))
        .opt("prev", message.prev.map(|offset| offset.0))
        .put("id", message.id.as_str())
        .opt("user", message.user.as_deref())
        .put("time", message.time);
    put_headers(&message.headers, to);
    put_payload(&message.payload, to);
}

pub(super) fn version(fields: &Fields<'_>) -> Result<PresenceVersion, DecodeError> {
    let fields: Fields<'_> = fields.need("version")?;
    Ok(PresenceVersion { run: fields.safe("run")?, n: fields.safe("n")? })
}

pub(super) fn put_version(version: PresenceVersion, to: &mut Object<'_>) {
    to.object("version", |to| {
        to.put("run", version.run).put("n", version.n);
    });
}

pub(super) fn view(fields: &Fields<'_>) -> Result<MembersView, DecodeError> {
    let members: Vec<Fields<'_>> = fields.need("members")?;
    let member =
        |fields: &Fields<'_>| Ok(Member { user: user(fields)?, state: state(fields)?, since: fields.safe("since")? });
    Ok(MembersView {
        version: version(fields)?,
        count: fields.safe("count")?,
        members: members.iter().map(member).collect::<Result<_, DecodeError>>()?,
        cursor: text(fields, "cursor")?,
    })
}

pub(super) fn put_view(view: &MembersView, to: &mut Object<'_>) {
    put_version(view.version, to);
    to.put("count", view.count)
        .list("members", &view.members, |member, to| {
            to.put("user", member.user.as_str());
            put_state(member.state.as_ref(), to);
            to.put("since", member.since);
        })
        .opt("cursor", view.cursor.as_deref());
}
