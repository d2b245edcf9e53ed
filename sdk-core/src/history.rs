use std::time::Duration;

use moorline_protocol::limits::{MAX_SAFE_INTEGER, PAGE_MESSAGES};
use moorline_protocol::time::Timestamp;
use moorline_protocol::{ChannelName, ChannelRef, ClientFrame, ErrorCode, ErrorFrame, History, HistoryRange, Page};

use crate::config::HistoryQuery;
use crate::event::{Event, Failure, HistoryPage, Origin};
use crate::ids::RequestId;
use crate::inbound::failure;
use crate::outgoing::Outgoing;
use crate::timer::is_due;

/// While online, an answer is awaited for so long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// History queries that have no answer yet, oldest first.
#[derive(Default)]
pub(crate) struct Queries {
    waiting: Vec<Query>,
    next_id: u64,
}

struct Query {
    id: RequestId,
    channel: ChannelName,
    query: HistoryQuery,
    asked: Option<Asked>,
}

/// A query on the current connection.
struct Asked {
    req: u64,
    deadline: Timestamp,
}

impl Queries {
    /// Returns a name that no other request of this client has.
    pub(crate) fn next(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }

    pub(crate) fn ask(
        &mut self,
        channel: &ChannelName,
        query: HistoryQuery,
        is_online: bool,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> RequestId {
        let id = self.next();
        if !is_valid(&query) {
            let message = "an offset or a time is at most 2^53 − 1, and `limit` is 1 to 256";
            let failure = Failure::new(ErrorCode::RequestMalformed, message, Origin::Client);
            out.event(Event::HistoryFinished { id, result: Err(failure) });
            return id;
        }
        let mut query = Query { id, channel: channel.clone(), query, asked: None };
        if is_online {
            query.send(now, out);
        }
        self.waiting.push(query);
        id
    }

    pub(crate) fn on_online(&mut self, now: Timestamp, out: &mut Outgoing) {
        for query in &mut self.waiting {
            query.send(now, out);
        }
    }

    pub(crate) fn on_lost(&mut self) {
        for query in &mut self.waiting {
            query.asked = None;
        }
    }

    pub(crate) fn on_page(&mut self, page: Page, out: &mut Outgoing) {
        let result = HistoryPage {
            epoch: page.epoch,
            first: page.first,
            head: page.head,
            more: page.more,
            messages: page.messages,
        };
        self.finish(page.req, Ok(result), out);
    }

    /// Takes an error; tells whether it answers a query.
    pub(crate) fn on_error(&mut self, req: u64, error: &ErrorFrame, out: &mut Outgoing) -> bool {
        self.finish(req, Err(failure(error)), out)
    }

    pub(crate) fn fail_all(&mut self, failure: &Failure, out: &mut Outgoing) {
        self.fail(&|_| Some(failure.clone()), out);
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.iter().filter_map(|query| Some(query.asked.as_ref()?.deadline)).min()
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        let late = |query: &Query| {
            let text = "the server did not answer within 30 s";
            let is_late = is_due(query.asked.as_ref().map(|asked| asked.deadline), now);
            is_late.then(|| Failure::new(ErrorCode::RequestTimeout, text, Origin::Transport))
        };
        self.fail(&late, out);
    }

    /// Ends those for which there is a failure.
    fn fail(&mut self, why: &dyn Fn(&Query) -> Option<Failure>, out: &mut Outgoing) {
        self.waiting.retain(|query| {
            let failure = why(query);
            let is_kept = failure.is_none();
            if let Some(failure) = failure {
                out.event(Event::HistoryFinished { id: query.id, result: Err(failure) });
            }
            is_kept
        });
    }

    fn finish(&mut self, req: u64, result: Result<HistoryPage, Failure>, out: &mut Outgoing) -> bool {
        let answered = |query: &Query| query.asked.as_ref().is_some_and(|asked| asked.req == req);
        let Some(index) = self.waiting.iter().position(answered) else { return false };
        let query = self.waiting.remove(index);
        out.event(Event::HistoryFinished { id: query.id, result });
        true
    }
}

/// Tells whether a frame can carry the query: the server would end the connection for good.
fn is_valid(query: &HistoryQuery) -> bool {
    let number = match query.range {
        HistoryRange::Newest => 0,
        HistoryRange::After(offset) | HistoryRange::Before(offset) => offset.0,
        HistoryRange::AfterTime(unix) | HistoryRange::BeforeTime(unix) => unix,
    };
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1);
    number <= MAX_SAFE_INTEGER && (1..=PAGE_MESSAGES).contains(&limit)
}

impl Query {
    fn send(&mut self, now: Timestamp, out: &mut Outgoing) {
        let req = out.req();
        self.asked = Some(Asked { req, deadline: now + TIMEOUT });
        out.send(&ClientFrame::History(History {
            req,
            channel: ChannelRef::Name(self.channel.clone()),
            range: self.query.range,
            limit: self.query.limit,
        }));
    }
}
