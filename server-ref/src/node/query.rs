//! Queries: of history, of members, of who is online.

use moorline_protocol::time::Now;
use moorline_protocol::{ChannelName, ErrorCode, ErrorFrame, History, HistoryRange, Page, ServerFrame, limits};

use super::config::Permissions;
use super::connect::storage_error;
use super::hub::message;
use super::io::{ConnId, Pressure};
use super::{Node, Waiting};
use crate::engine::{ChannelKey, Command, Completion, EngineError, Read, ReadRange, SessionId};

/// Messages of an answer, where the query names no limit.
const DEFAULT_LIMIT: u32 = 50;
/// Bytes of an answer.
const MAX_BYTES: usize = 256 * 1024;
/// Queries of one connection that are read at once; with their answers, as much as its out-queue may hold.
const AT_ONCE: u32 = 2;
/// Queries of one connection that wait for their turn.
const MAX_WAITING: usize = 256;
/// ms after which a client may ask again when too many wait.
const RETRY_MS: u32 = 200;

/// A query that waits for its turn.
#[derive(Debug)]
pub(super) struct Query {
    waiting: Waiting,
    command: Command,
}

impl Query {
    pub(super) fn new(waiting: Waiting, command: Command) -> Self {
        Self { waiting, command }
    }
}

impl Node {
    pub(super) fn history(&mut self, conn: ConnId, history: &History, now: Now) {
        let req = Some(history.req);
        let name = match self.name_of(conn, &history.channel) {
            Ok(name) => name,
            Err(error) => return self.send(conn, &ServerFrame::Error(ErrorFrame { req, ..*error })),
        };
        let limit = history.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=limits::PAGE_MESSAGES as u32).contains(&limit) {
            return self.error(conn, req, ErrorCode::RequestMalformed, "`limit` is 1 to 256");
        }
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return };
        let Some(session) = self.session(conn) else { return };
        if session.is_foreign(&name) || !session.may(name.as_str(), Permissions::HISTORY, now.unix) {
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
        let channel = ChannelKey { app, name };
        let read = Read { channel, range, max_messages: limit as usize, max_bytes: MAX_BYTES };
        let waiting = Waiting::History { conn, session, req: history.req, channel: read.channel.name.clone() };
        if let Err(error) = self.enqueue(conn, Query::new(waiting, Command::Read(read))) {
            self.send(conn, &ServerFrame::Error(ErrorFrame { req, ..*error }));
        }
    }

    /// Takes a query, if not too many wait; its answer gives its place back.
    pub(super) fn enqueue(&mut self, conn: ConnId, query: Query) -> Result<(), Box<ErrorFrame>> {
        let Some(session) = self.session(conn) else { return Ok(()) };
        if session.queries.len() >= MAX_WAITING {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "too many unanswered queries; wait for answers");
            return Err(Box::new(ErrorFrame { after: Some(RETRY_MS), ..error }));
        }
        session.queries.push_back(query);
        self.query_on(conn);
        Ok(())
    }

    /// Asks for the queries of a connection, in turn, while there is room for their answers.
    pub(super) fn query_on(&mut self, conn: ConnId) {
        let pressure = self.conns.get(&conn).map(|entry| entry.pressure);
        while let Some(session) = self.session(conn)
            && pressure == Some(Pressure::Low)
            && session.querying < AT_ONCE
            && let Some(Query { waiting, command }) = session.queries.pop_front()
        {
            session.querying += 1;
            self.ask(waiting, command);
        }
    }

    pub(super) fn history_done(
        &mut self,
        conn: ConnId,
        session: SessionId,
        req: u64,
        channel: ChannelName,
        result: Result<Completion, EngineError>,
    ) {
        let Some(open) = self.session_if(conn, session) else { return };
        open.querying = open.querying.saturating_sub(1);
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
        self.query_on(conn);
    }
}
