//! Publishes that the app decides about. What waits for an answer holds up what follows it in its channel, and nothing else.

use bytes::Bytes;
use moorline_protocol::time::Now;
use moorline_protocol::{ChannelName, ErrorCode, ErrorFrame, Publish, ServerFrame};

use super::super::config::Permissions;
use super::super::io::ConnId;
use super::super::session::Session;
use super::super::{Node, Waiting};
use super::body::{self, Ask, No};
use super::{CalloutKind, OnFailure, QuestionId, Terms, What, unavailable};
use crate::engine::{Append, Broadcast, ChannelKey, Command, SessionId};

/// Publishes of one connection that wait for the app, or behind one that does.
const MOST_HELD: usize = 256;
/// ms after which a client may publish again when too many wait.
const RETRY_MS: u32 = 200;

/// A publish that is checked, and waits.
#[derive(Debug)]
pub(in crate::node) struct Held {
    pub(in crate::node) channel: ChannelName,
    pub(in crate::node) ready: Ready,
    decision: Decision,
}

/// What is done once it is allowed.
#[derive(Debug)]
pub(in crate::node) enum Ready {
    /// QoS 0.
    Broadcast { req: Option<u64>, bytes: usize, broadcast: Broadcast },
    /// QoS 1 and 2.
    Append { req: u64, bytes: usize, append: Append },
}

#[derive(Debug)]
enum Decision {
    Asked(QuestionId),
    Allowed,
    Denied(No),
    Failed,
}

impl Held {
    fn is_asked(&self) -> bool {
        matches!(self.decision, Decision::Asked(_))
    }
}

impl Node {
    /// A connection is gone, with everything that waited: what had no answer is sent again.
    pub(in crate::node) fn forget_held(&mut self, session: &Session) {
        for held in &session.held {
            if let Decision::Asked(question) = held.decision {
                self.forget_question(question);
            }
            if let Ready::Append { .. } = held.ready {
                self.publishing = self.publishing.saturating_sub(1);
            }
        }
    }

    /// Makes the question whether something may be published, where the app decides.
    ///
    /// # Errors
    /// `limit.rate`, if too many publishes of this connection wait.
    pub(in crate::node) fn publish_question(
        &mut self,
        conn: ConnId,
        key: &ChannelKey,
        publish: &Publish,
        now: Now,
    ) -> Result<Option<(Terms, Bytes)>, Box<ErrorFrame>> {
        let terms = self.config.callouts.of(&key.app, CalloutKind::Publish, Some(key.name.as_str()));
        let Some((terms, session)) = terms.zip(self.session(conn)) else { return Ok(None) };
        if session.held.len() >= MOST_HELD {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "too many unanswered publishes; wait for answers");
            return Err(Box::new(ErrorFrame { after: Some(RETRY_MS), ..error }));
        }
        let ask = Ask::of(CalloutKind::Publish, &key.app, session.id, session.user.as_ref());
        Ok(Some((terms, ask.about(&key.name, publish.qos).with(publish, now.unix).body())))
    }

    /// Does what is ready at once, or lets it wait: for the app, or for what waits before it in its channel.
    pub(in crate::node) fn hold_or_do(
        &mut self,
        conn: ConnId,
        channel: ChannelName,
        ready: Ready,
        question: Option<(Terms, Bytes)>,
        now: Now,
    ) {
        let Some(session) = self.session(conn) else { return };
        let id = session.id;
        if question.is_none() && !session.held.iter().any(|held| held.channel == channel) {
            return self.publish_ready(conn, ready, Decision::Allowed);
        }
        // It is sent again behind what has failed, and so keeps its order.
        let fails = |held: &Held| held.channel == channel && matches!(held.decision, Decision::Failed);
        let decision = match question {
            _ if session.held.iter().any(fails) => Decision::Failed,
            Some((terms, body)) => {
                Decision::Asked(self.question(conn, CalloutKind::Publish, terms, What::Publish(id), body, now))
            }
            None => Decision::Allowed,
        };
        if let Some(session) = self.session(conn) {
            session.held.push_back(Held { channel, ready, decision });
        }
    }

    pub(super) fn publish_answered(
        &mut self,
        (conn, session): (ConnId, SessionId),
        id: QuestionId,
        on_failure: OnFailure,
        answer: Option<&[u8]>,
        now: Now,
    ) {
        let meaning = answer.and_then(body::publish);
        if answer.is_some() && meaning.is_none() {
            self.senseless(conn, CalloutKind::Publish);
        }
        let decision = match (meaning, on_failure) {
            (Some(Ok(())), _) | (None, OnFailure::Allow) => Decision::Allowed,
            (Some(Err(no)), _) => Decision::Denied(no),
            (None, OnFailure::Deny) => Decision::Failed,
        };
        let Some(open) = self.session_if(conn, session) else { return };
        let asked = |held: &Held| matches!(held.decision, Decision::Asked(asked) if asked == id);
        let Some(at) = open.held.iter().position(asked) else { return };
        let failed = matches!(decision, Decision::Failed);
        let Some(held) = open.held.get_mut(at) else { return };
        held.decision = decision;
        let channel = held.channel.clone();
        let mut forgotten = Vec::new();
        // Whatever follows in the channel is sent again with it, and so keeps its order.
        let after = open.held.range_mut(at + 1..).filter(|held| failed && held.channel == channel);
        for held in after {
            if let Decision::Asked(other) = std::mem::replace(&mut held.decision, Decision::Failed) {
                forgotten.push(other);
            }
        }
        forgotten.into_iter().for_each(|other| self.forget_question(other));
        self.release(conn, now);
    }

    /// Does what is decided and has nothing undecided before it in its channel.
    fn release(&mut self, conn: ConnId, now: Now) {
        while let Some(session) = self.session(conn) {
            let is_free = |at: &usize| {
                let before = session
                    .held
                    .range(..*at)
                    .any(|before| session.held.get(*at).is_some_and(|held| before.channel == held.channel));
                session.held.get(*at).is_some_and(|held| !held.is_asked()) && !before
            };
            let Some(at) = (0..session.held.len()).find(is_free) else { break };
            let Some(Held { channel, ready, decision }) = session.held.remove(at) else { break };
            // The token may have been replaced meanwhile.
            let may = session.may(channel.as_str(), Permissions::PUBLISH, now.unix);
            let decision = match decision {
                Decision::Allowed if !may => Decision::Denied(No::without_grant()),
                Decision::Allowed | Decision::Denied(_) | Decision::Failed | Decision::Asked(_) => decision,
            };
            self.publish_ready(conn, ready, decision);
        }
        self.drain_on(now);
    }

    fn publish_ready(&mut self, conn: ConnId, ready: Ready, decision: Decision) {
        let Some(session) = self.session(conn) else { return };
        let id = session.id;
        match ready {
            Ready::Append { req, bytes, mut append } => {
                let why = match decision {
                    Decision::Allowed => None,
                    // A refusal for ever consumes its sequence: that is the log's to write down.
                    Decision::Denied(no) if append.producer.is_some() => {
                        append.verdict = Err(no.code);
                        Some(no.reason)
                    }
                    Decision::Denied(_) | Decision::Failed | Decision::Asked(_) => {
                        session.pending_bytes = session.pending_bytes.saturating_sub(bytes);
                        self.publishing = self.publishing.saturating_sub(1);
                        let error = decision.error().unwrap_or_else(unavailable);
                        return self.send(conn, &ServerFrame::Error(ErrorFrame { req: Some(req), ..error }));
                    }
                };
                self.ask(Waiting::Publish { conn, session: id, req, bytes, why }, Command::Append(append));
            }
            Ready::Broadcast { req, bytes, broadcast } => {
                session.pending_bytes = session.pending_bytes.saturating_sub(bytes);
                match decision.error() {
                    None => self.ask(Waiting::Nothing, Command::Broadcast(broadcast)),
                    Some(error) if req.is_some() => self.send(conn, &ServerFrame::Error(ErrorFrame { req, ..error })),
                    Some(_) => {}
                }
            }
        }
    }
}

impl Decision {
    /// Returns what a client is told; `None` if it may.
    fn error(self) -> Option<ErrorFrame> {
        match self {
            Self::Allowed => None,
            Self::Denied(no) => Some(ErrorFrame::new(no.code, no.reason)),
            Self::Failed | Self::Asked(_) => Some(unavailable()),
        }
    }
}
