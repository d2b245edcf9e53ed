//! History queries.

use moorline_protocol::time::Now;
use moorline_protocol::{
    ChannelName, ChannelRef, ErrorCode, ErrorFrame, History, HistoryRange, Page, ServerFrame, limits,
};

use super::config::Permissions;
use super::connect::storage_error;
use super::hub::message;
use super::io::ConnId;
use super::subscribe::canonical;
use super::{Node, Waiting};
use crate::engine::{ChannelKey, Command, Completion, EngineError, Read, ReadRange, SessionId};

/// Messages of an answer, where the query names no limit.
const DEFAULT_LIMIT: u32 = 50;
/// Bytes of an answer.
const MAX_BYTES: usize = 256 * 1024;

impl Node {
    pub(super) fn history(&mut self, conn: ConnId, history: &History, now: Now) {
        let req = Some(history.req);
        let name = match &history.channel {
            ChannelRef::Name(name) => self.session(conn).and_then(|session| canonical(name, session.user.as_ref())),
            ChannelRef::Number(number) => self.hubs.get(number).map(|hub| hub.key.name.clone()),
        };
        let Some(name) = name else {
            return self.error(conn, req, ErrorCode::ChannelInvalid, "there is no such channel on this connection");
        };
        let limit = history.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=limits::PAGE_MESSAGES as u32).contains(&limit) {
            return self.error(conn, req, ErrorCode::RequestMalformed, "`limit` is 1 to 256");
        }
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let Some(session) = self.session(conn) else { return };
        let inbox = name.as_str().strip_prefix('@');
        let foreign = inbox.is_some() && inbox != session.user.as_ref().map(moorline_protocol::UserName::as_str);
        if foreign || !session.may(name.as_str(), Permissions::HISTORY, now.unix) {
            let text = "the token has no `history` grant for this channel";
            return self.error(conn, req, ErrorCode::ChannelDenied, text);
        }
        let session = session.id;
        let range = match history.range {
            HistoryRange::Newest => ReadRange::Newest,
            HistoryRange::After(offset) => ReadRange::After(offset),
            HistoryRange::AfterTime(time) => ReadRange::AfterTime(time),
            HistoryRange::Before(offset) => ReadRange::Before(offset),
            HistoryRange::BeforeTime(time) => ReadRange::BeforeTime(time),
        };
        let channel = ChannelKey { app, name: name.clone() };
        let read = Read { channel, range, max_messages: limit as usize, max_bytes: MAX_BYTES };
        self.ask(Waiting::History { conn, session, req: history.req, channel: name }, Command::Read(read));
    }

    pub(super) fn history_done(
        &mut self,
        conn: ConnId,
        session: SessionId,
        req: u64,
        channel: ChannelName,
        result: Result<Completion, EngineError>,
    ) {
        if self.session_if(conn, session).is_none() {
            return;
        }
        let frame = match result {
            Ok(Completion::Read(page)) => {
                let messages = page.messages.iter().filter_map(|stored| message(&stored.bytes, stored.prev)).collect();
                let (epoch, first, head, more) = (page.epoch, page.first, page.head, page.more);
                ServerFrame::Page(Page { req, channel, epoch, first, head, more, messages })
            }
            Ok(_) => return,
            Err(error) => ServerFrame::Error(ErrorFrame { req: Some(req), ..storage_error(error) }),
        };
        self.send(conn, &frame);
    }
}
