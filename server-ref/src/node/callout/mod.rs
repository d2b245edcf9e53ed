//! Call-outs: what an app's backend decides, as the node sees it.
//!
//! The node asks with [`Output::Ask`] and is answered with [`Node::handle_answer`], in any order, more than once or never:
//! what is not answered in time counts as failed, and whoever is gone is not answered.

mod body;
mod connect;
mod publish;
mod rules;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{CloseCode, ErrorCode, ErrorFrame};

pub(super) use self::connect::Asking;
pub(super) use self::publish::{Held, Ready};
pub use self::rules::{CalloutId, CalloutKind, CalloutRule, CalloutRules, OnFailure, Terms};
pub(super) use self::subscribe::Permit;
use super::io::{ConnId, Output, Warning};
use super::session::State;
use super::{Ending, Node, SessionId};
use crate::apps::AppLimits;

/// ms after which a client may ask again where the backend did not answer.
const RETRY_MS: u32 = 1_000;

/// A question; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuestionId(pub u64);

/// What is known of a client beside what it says: for the backend that decides about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where it comes from.
    pub address: Option<String>,
    /// Headers of its request, as the configuration lists them; names in lower case.
    pub headers: Vec<(String, String)>,
}

/// Questions that are not answered.
#[derive(Debug, Default)]
pub(super) struct Questions {
    next: u64,
    asked: BTreeMap<QuestionId, Question>,
    deadlines: BTreeSet<(Timestamp, QuestionId)>,
}

/// A question under way.
#[derive(Debug)]
struct Question {
    conn: ConnId,
    callout: CalloutId,
    on_failure: OnFailure,
    deadline: Timestamp,
    what: What,
}

/// What an answer is for.
#[derive(Debug)]
enum What {
    Connect,
    Refresh(connect::Refreshing),
    Subscribe(Box<subscribe::Opening>),
    Renew(subscribe::Renewing),
    Publish(SessionId),
}

impl Questions {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Returns when the first of them counts as failed.
    pub(super) fn first_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn remove(&mut self, id: QuestionId) -> Option<Question> {
        let question = self.asked.remove(&id)?;
        self.deadlines.remove(&(question.deadline, id));
        Some(question)
    }
}

impl Node {
    /// Returns the rules that decide who is asked.
    pub fn callouts(&self) -> &CalloutRules {
        &self.config.callouts
    }

    /// From now on these rules decide who is asked. Questions under way end as they began, and what was allowed by a
    /// call-out that is not there any more is asked about again, or rests on the token alone.
    pub(super) fn set_callouts(&mut self, rules: CalloutRules, now: Now) {
        if self.config.callouts == rules {
            return;
        }
        let before = std::mem::replace(&mut self.config.callouts, rules);
        let (mut silent, mut open) = (Vec::new(), Vec::new());
        for (conn, entry) in &self.conns {
            let terms = |rules: &CalloutRules| rules.of(&entry.app, CalloutKind::Connect, None).map(|terms| terms.id);
            let decides = terms(&self.config.callouts);
            match entry.state {
                State::AwaitingHello { .. } if decides.is_some() && decides != terms(&before) => silent.push(*conn),
                State::Open(_) => open.push(*conn),
                State::AwaitingHello { .. } | State::Asking(_) | State::Attaching(_) => {}
            }
        }
        // What the new call-out wants to know of them was not kept: they come again.
        for conn in silent {
            self.end(conn, Ending(None, CloseCode::GOING_AWAY), now);
        }
        for conn in open {
            self.recheck_permits(conn, now);
        }
    }

    /// What is known of a connection that was opened; before its first message.
    pub fn handle_facts(&mut self, conn: ConnId, facts: Facts) {
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.facts = Some(Box::new(facts));
        }
    }

    /// The answer to a question: a JSON object, or `None` where there is none of use. Late ones and further ones are
    /// nothing to anybody.
    pub fn handle_answer(&mut self, id: QuestionId, answer: Option<Bytes>, now: Now) {
        let Some(question) = self.questions.remove(id) else { return };
        self.answered(id, question, answer.as_deref(), now);
        self.outputs.end_answers();
    }

    /// Questions whose time is over have failed.
    pub(super) fn expire_questions(&mut self, now: Now) {
        while let Some((at, id)) = self.questions.deadlines.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.questions.deadlines.remove(&(at, id));
            if let Some(question) = self.questions.asked.remove(&id) {
                self.answered(id, question, None, now);
            }
        }
    }

    fn answered(&mut self, id: QuestionId, question: Question, answer: Option<&[u8]>, now: Now) {
        let (conn, callout, failed) = (question.conn, question.callout, question.on_failure);
        match question.what {
            What::Connect => self.connect_answered(conn, id, failed, answer, now),
            What::Refresh(refreshing) => self.refresh_answered(conn, refreshing, failed, answer, now),
            What::Subscribe(opening) => self.subscribe_answered(conn, *opening, (callout, failed), answer, now),
            What::Renew(renewing) => self.renew_answered((conn, id), renewing, answer, now),
            What::Publish(session) => self.publish_answered((conn, session), id, failed, answer, now),
        }
    }

    /// Takes one question of those that a connection may cause.
    ///
    /// # Errors
    /// `limit.rate`, with when there is one.
    fn take_question(&mut self, conn: ConnId, now: Now) -> Result<(), ErrorFrame> {
        let limits = self.limits_of(conn);
        let Some(rate) = limits.publish_rate else { return Ok(()) };
        let Some(session) = self.session(conn) else { return Ok(()) };
        session.asking.take(rate, questions_at_once(&limits), now.mono).map_err(|after| {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "this connection asks the app's backend too often");
            ErrorFrame { after: Some(after), ..error }
        })
    }

    fn question(
        &mut self,
        conn: ConnId,
        kind: CalloutKind,
        terms: Terms,
        what: What,
        body: Bytes,
        now: Now,
    ) -> QuestionId {
        self.questions.next += 1;
        let id = QuestionId(self.questions.next);
        let deadline = now.mono + Duration::from_millis(terms.within_ms);
        let question = Question { conn, callout: terms.id, on_failure: terms.on_failure, deadline, what };
        self.questions.asked.insert(id, question);
        self.questions.deadlines.insert((deadline, id));
        self.outputs.push_back(Output::Ask { question: id, callout: terms.id, kind, body });
        id
    }

    /// A question that nobody waits for any more.
    pub(super) fn forget_question(&mut self, id: QuestionId) {
        self.questions.remove(id);
    }

    /// What a backend said is not an answer.
    fn senseless(&mut self, conn: ConnId, kind: CalloutKind) {
        if let Some(entry) = self.conns.get(&conn) {
            self.outputs.push_back(Output::Warn(Warning::SenselessAnswer(entry.app.clone(), kind)));
        }
    }
}

/// Returns how many questions a connection may cause at once: one that comes back asks about each of its channels.
pub(super) fn questions_at_once(limits: &AppLimits) -> u32 {
    limits.publish_burst.max(limits.channels)
}

/// Tells a client that its app's backend does not answer.
fn unavailable() -> ErrorFrame {
    let error = ErrorFrame::new(ErrorCode::AppUnavailable, "the app's backend does not answer; try again");
    ErrorFrame { after: Some(RETRY_MS), ..error }
}
