//! What a test does to the server from its backend's side, and what it looks at.

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{
    AppName, ChannelName, ChannelRef, ClientFrame, CloseCode, Codec, Decoded, ErrorCode, ErrorFrame, History,
    HistoryRange, Members, Message, Page, PresenceOp, Publish, Published, Qos, ServerFrame, StatusRequest, Statuses,
    UserName, Utf8Bytes,
};
use moorline_server::engine::{
    Append, Appended, Broadcast, ChannelKey, Command, Completion, Presence, PresenceAct, Read, ReadRange, Reply,
    Revocation, StatusQuery, content_hash,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::machine::Machine;
use crate::settings::GrantRule;

/// Our fault, if it is ever read.
const FOREIGN: &str = "the engine answered something else";

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Ask {
    /// A `publish`, `history`, `presence` (op `get`) or `status` frame in JSON, without a connection.
    Frame {
        /// Whom receivers see as the publisher.
        user: Option<String>,
        /// The app; `default` if none is given.
        app: Option<String>,
        /// The frame.
        frame: Box<RawValue>,
    },
    /// A token.
    Token {
        /// Whose.
        user: String,
        /// ms until it expires; never, if none is given.
        ttl: Option<u64>,
        /// What it allows, instead of what the settings say.
        grants: Option<Vec<GrantRule>>,
    },
    /// All tokens of a user so far expire now, and their connections are closed with 4100.
    ExpireToken {
        /// Whose.
        user: String,
    },
    /// All tokens of a user so far are revoked.
    Revoke {
        /// Whose.
        user: String,
    },
    /// A connection is closed.
    Close {
        /// Which.
        conn: u32,
        /// Why: 4000 to 4999.
        code: u16,
    },
    /// The process dies.
    Kill,
    /// The process starts.
    Start {
        /// Whether it has what it had stored.
        keep: bool,
    },
    /// The process stops gracefully.
    Drain {
        /// ms until clients come back at the earliest.
        after: u32,
        /// ms over which they come back.
        window: u32,
    },
    /// Who is connected.
    Connections,
    /// The app's backend has answered a call. One that nobody waits for changes nothing.
    Called {
        /// Which.
        call: u64,
        /// A `result` or an `error` frame in JSON, of which only the answer counts.
        frame: Box<RawValue>,
    },
}

/// What comes back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It is done.
    Done,
    /// A frame of the protocol, in JSON.
    Frame(Box<RawValue>),
    /// A token.
    Token(String),
    /// The connections, oldest first.
    Connections(Vec<Connected>),
    /// It cannot be done; a sentence that says why.
    Refused(String),
}

/// A connection, as tests see it.
#[derive(Debug, Serialize)]
pub struct Connected {
    /// Its number.
    pub conn: u32,
    /// Its app.
    pub app: String,
    /// ms since 1970.
    pub since: u64,
    /// The id of its session, once it has one.
    pub session: Option<String>,
    /// Its user, once that is known.
    pub user: Option<String>,
    /// Its device, once that is known.
    pub device: Option<String>,
}

impl Machine {
    /// Does what a test asks for.
    pub fn handle_ask(&mut self, ask: Ask, now: UnixMillis) -> Answer {
        self.answer(ask, now).unwrap_or_else(Answer::Refused)
    }

    fn answer(&mut self, ask: Ask, now: UnixMillis) -> Result<Answer, String> {
        match ask {
            Ask::Frame { user, app, frame } => return self.frame(user.as_deref(), app.as_deref(), &frame, now),
            Ask::Token { user, ttl, grants } => {
                return Ok(Answer::Token(self.tokens.issue(&name(&user)?, ttl, grants, now)));
            }
            Ask::ExpireToken { user } => self.expire(&name(&user)?, now),
            Ask::Revoke { user } => {
                let user = name(&user)?;
                let issued_before = self.tokens.revoke(&user, now);
                let app = AppName::default_app();
                self.ask(Command::Revoke(Revocation::User { app, user, issued_before }), now);
            }
            Ask::Close { conn, code } => self.close(conn, None, CloseCode(code), now),
            Ask::Kill => self.kill(),
            Ask::Start { keep } => self.start(keep, now),
            Ask::Drain { after, window } => self.drain(after, window, now),
            Ask::Called { call, frame } => self.called(call, &frame, now)?,
            Ask::Connections => return Ok(Answer::Connections(self.connected())),
        }
        Ok(Answer::Done)
    }

    fn expire(&mut self, user: &UserName, now: UnixMillis) {
        self.tokens.expire(user);
        let of = |session: &Option<(_, Option<UserName>, _)>| session.as_ref().and_then(|(_, user, _)| user.clone());
        let theirs = self.conns.iter().filter(|(_, conn)| of(&conn.session).as_ref() == Some(user));
        for conn in theirs.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            let error = ErrorFrame::new(ErrorCode::AuthExpired, "the token expired and was not refreshed");
            self.close(conn, Some(error), CloseCode::TOKEN_EXPIRED, now);
        }
    }

    fn connected(&self) -> Vec<Connected> {
        let seen = |(conn, connection): (&u32, &crate::machine::Connection)| {
            let (session, user, device) = connection.session.clone().map_or((None, None, None), |(s, u, d)| {
                (Some(s.as_str().to_owned()), u.map(|user| user.to_string()), Some(d.to_string()))
            });
            Connected { conn: *conn, app: connection.app.to_string(), since: connection.opened, session, user, device }
        };
        self.conns.iter().map(seen).collect()
    }

    fn frame(
        &mut self,
        user: Option<&str>,
        app: Option<&str>,
        frame: &RawValue,
        now: UnixMillis,
    ) -> Result<Answer, String> {
        let user = user.map(name).transpose()?;
        let app = app.map_or_else(|| Ok(AppName::default_app()), AppName::new).map_err(|error| error.to_string())?;
        let line = frame.get().replace(['\n', '\r'], " ");
        let frame = match Codec::Json.decode_client(&mut line.into()).map_err(|error| error.to_string())? {
            Some(Decoded::Frame(frame)) => frame,
            Some(Decoded::Ignored | Decoded::Unsupported { .. }) | None => return Err("not a frame".into()),
        };
        let reply = match frame {
            ClientFrame::Publish(publish) => self.publish(user, app, publish, now)?,
            ClientFrame::History(history) => self.history(app, &history, now)?,
            ClientFrame::Presence(presence) if presence.op == PresenceOp::Get => {
                let channel = ChannelKey { app, name: named(&presence.channel)? };
                let act = PresenceAct::Read { after: None };
                let (req, of) = (presence.req, channel.name.clone());
                let answer = self.completed(Command::Presence(Presence { channel, act }), now)?;
                let Completion::Members(view) = answer else { return Err(FOREIGN.into()) };
                ServerFrame::Members(Members { req, channel: of, view })
            }
            ClientFrame::Status(status) => self.status(app, status, now)?,
            ClientFrame::Presence(_)
            | ClientFrame::Hello(_)
            | ClientFrame::Auth(_)
            | ClientFrame::Subscribe(_)
            | ClientFrame::Unsubscribe(_)
            | ClientFrame::Ack(_)
            | ClientFrame::More(_)
            | ClientFrame::Pause(_)
            | ClientFrame::Park(_)
            | ClientFrame::Unpark
            | ClientFrame::Push(_)
            | ClientFrame::Ping(_)
            | ClientFrame::Call(_)
            | ClientFrame::Pong(_) => return Err("only a connection can send this frame".into()),
        };
        let mut text = Vec::new();
        Codec::Json.encode_server(&reply, &mut text);
        let text = String::from_utf8(text).map_err(|error| error.to_string())?;
        RawValue::from_string(text.trim().to_owned()).map(Answer::Frame).map_err(|error| error.to_string())
    }

    fn publish(
        &mut self,
        user: Option<UserName>,
        app: AppName,
        publish: Publish,
        now: UnixMillis,
    ) -> Result<ServerFrame, String> {
        if !self.is_running() {
            return Err("the server is down; restart() it first".into());
        }
        let channel = ChannelKey { app, name: named(&publish.channel)? };
        let req = publish.req.unwrap_or_default();
        let id = publish.id.ok_or("a publish needs an id")?;
        let (headers, payload) = (publish.headers, publish.payload);
        if let moorline_protocol::Payload::Json(json) = &payload
            && !moorline_protocol::json::is_valid(json)
        {
            return Err("the payload is not JSON as the protocol wants it, or nested more than 64 deep".into());
        }
        if publish.qos == Qos::AtMostOnce {
            let user = user.map(|user| Utf8Bytes::from(user.as_str()));
            let message = Message { offset: None, prev: None, id, user, time: now, headers, payload };
            let mut encoded = Vec::new();
            moorline_protocol::binary::encode_message(&message, &mut encoded);
            self.ask(Command::Broadcast(Broadcast { channel, message: encoded.into() }), now);
            let epoch = moorline_protocol::Epoch::default();
            return Ok(ServerFrame::Published(Published { req, epoch, offset: None, duplicate: false }));
        }
        let scope = user.as_ref().map_or("backend", UserName::as_str).into();
        let hash = content_hash(&id, &payload, &headers);
        let (ttl, producer, verdict) = (publish.ttl, None, Ok(()));
        let append = Append { channel, id, scope, user, headers, payload, ttl, hash, producer, verdict };
        let Completion::Appended(appended) = self.completed(Command::Append(append), now)? else {
            return Err(FOREIGN.into());
        };
        let (position, duplicate) = match appended {
            Appended::Stored(position) => (position, false),
            Appended::Duplicate(position) => (position, true),
            Appended::Reused(_) => return Err("another message of this publisher has this id".into()),
            Appended::Refused(code) => return Err(code.meaning().to_owned()),
            Appended::Gap { .. } | Appended::Fenced | Appended::UnknownProducer | Appended::TooManyChannels => {
                return Err(FOREIGN.into());
            }
        };
        let (epoch, offset) = (position.epoch, Some(position.offset));
        Ok(ServerFrame::Published(Published { req, epoch, offset, duplicate }))
    }

    fn history(&mut self, app: AppName, history: &History, now: UnixMillis) -> Result<ServerFrame, String> {
        let range = match history.range {
            HistoryRange::Newest => ReadRange::Newest,
            HistoryRange::After(offset) => ReadRange::After(offset),
            HistoryRange::AfterTime(time) => ReadRange::AfterTime(time),
            HistoryRange::Before(offset) => ReadRange::Before(offset),
            HistoryRange::BeforeTime(time) => ReadRange::BeforeTime(time),
        };
        let name = named(&history.channel)?;
        let max_messages = history.limit.map_or(usize::MAX, |limit| limit as usize);
        let channel = ChannelKey { app, name: name.clone() };
        let read = Read { channel, range, max_messages, max_bytes: usize::MAX };
        let Completion::Read(page) = self.completed(Command::Read(read), now)? else { return Err(FOREIGN.into()) };
        let decode = |stored: &moorline_server::engine::Stored| {
            moorline_protocol::binary::decode_message(&mut stored.bytes.clone()).ok()
        };
        let messages = page.messages.iter().filter_map(decode).collect();
        let (req, epoch, first, head, more) = (history.req, page.epoch, page.first, page.head, page.more);
        Ok(ServerFrame::Page(Page { req, channel: name, epoch, first, head, more, messages }))
    }

    fn status(&mut self, app: AppName, status: StatusRequest, now: UnixMillis) -> Result<ServerFrame, String> {
        let query = StatusQuery { app, users: status.users, watch: false };
        let Completion::Statuses(users) = self.completed(Command::Status(query), now)? else {
            return Err(FOREIGN.into());
        };
        Ok(ServerFrame::Statuses(Statuses { req: Some(status.req), users }))
    }

    fn completed(&mut self, command: Command, now: UnixMillis) -> Result<Completion, String> {
        match self.ask(command, now) {
            Some(Reply::Completed(_, Ok(completion))) => Ok(completion),
            Some(Reply::Completed(_, Err(error))) => Err(error.to_string()),
            Some(Reply::Event(_)) | None => Err("the engine gave no answer".into()),
        }
    }
}

fn name(user: &str) -> Result<UserName, String> {
    UserName::new(user).map_err(|error| error.to_string())
}

fn named(channel: &ChannelRef) -> Result<ChannelName, String> {
    match channel {
        ChannelRef::Name(name) => Ok(name.clone()),
        ChannelRef::Number(_) => Err("name the channel".into()),
    }
}
