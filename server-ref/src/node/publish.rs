//! Publishing: what the node decides before the engine does.

use moorline_protocol::time::Now;
use moorline_protocol::{
    ChannelName, ErrorCode, ErrorFrame, Message, Payload, Publish, Published, Qos, ServerFrame, Utf8Bytes,
};

use super::Node;
use super::callout::Ready;
use super::config::Permissions;
use super::connect::storage_error;
use super::io::ConnId;
use crate::engine::{
    Append, Appended, Broadcast, ChannelKey, Completion, EngineError, ProducerSequence, SessionId, content_hash,
};
use crate::planted::Bug;

/// Bytes of publishes whose answers are pending, per connection.
const PENDING_BYTES: usize = 1024 * 1024;
/// Bytes a publish counts beside its payload.
const OVERHEAD: usize = 256;

impl Node {
    pub(super) fn publish(&mut self, conn: ConnId, publish: Publish, now: Now) {
        let (req, answered) = (publish.req, publish.qos > Qos::AtMostOnce);
        if let Err(error) = self.try_publish(conn, publish, now)
            && (answered || req.is_some())
        {
            self.send(conn, &ServerFrame::Error(ErrorFrame { req, ..*error }));
        }
    }

    fn try_publish(&mut self, conn: ConnId, publish: Publish, now: Now) -> Result<(), Box<ErrorFrame>> {
        let refuse = |code, text: &'static str| Err(Box::new(ErrorFrame::new(code, text)));
        if self.draining.is_some() {
            let error =
                ErrorFrame::new(ErrorCode::StorageUnavailable, "the server restarts; the message is sent again");
            return Err(Box::new(ErrorFrame { after: Some(super::connect::STORAGE_RETRY_MS), ..error }));
        }
        let Some(app) = self.conns.get(&conn).map(|entry| entry.app.clone()) else { return Ok(()) };
        let name = self.name_of(conn, &publish.channel)?;
        self.take_rate(conn, now)?;
        let verdict = self.verdict(conn, &name, &publish, now);
        let key = ChannelKey { app, name };
        let size = publish.payload.bytes().len() + OVERHEAD;
        let bugs = self.config.bugs;
        let Some(session) = self.session(conn) else { return Ok(()) };
        if session.pending_bytes + size > PENDING_BYTES && !bugs.has(Bug::UnansweredUnbounded) {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "too many unanswered publishes; wait for answers");
            return Err(Box::new(ErrorFrame { after: Some(200), ..error }));
        }
        if publish.qos == Qos::AtMostOnce {
            verdict?;
            return self.pass_on(conn, key, publish, size, now);
        }
        let (Some(req), Some(id)) = (publish.req, publish.id.clone()) else {
            return refuse(ErrorCode::RequestMalformed, "a publish at QoS 1 or 2 needs `req` and `id`");
        };
        let producer = match publish.qos {
            Qos::ExactlyOnce => Some(sequence(&publish, session.producer.as_ref())?),
            Qos::AtLeastOnce | Qos::AtMostOnce => None,
        };
        // Without a sequence there is nothing to consume: the refusal is the answer.
        let verdict = match (verdict, producer) {
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => Err(error.code),
            (Ok(()), _) => Ok(()),
        };
        let question = if verdict.is_ok() { self.publish_question(conn, &key, &publish, now)? } else { None };
        let Some(session) = self.session(conn) else { return Ok(()) };
        session.pending_bytes += size;
        let is_shared = bugs.has(Bug::IdsOfEverybody) || bugs.has(Bug::NobodysIdsLast) && session.user.is_none();
        let scope = if is_shared { "".into() } else { session.scope() };
        let user = session.user.clone();
        let channel = key.name.clone();
        let append = Append {
            channel: key,
            scope,
            hash: content_hash(&id, &publish.payload, &publish.headers),
            id,
            user,
            headers: publish.headers,
            payload: publish.payload,
            ttl: publish.ttl,
            producer,
            verdict,
        };
        self.publishing += 1;
        self.hold_or_do(conn, channel, Ready::Append { req, bytes: size, append }, question, now);
        Ok(())
    }

    pub(super) fn take_rate(&mut self, conn: ConnId, now: Now) -> Result<(), Box<ErrorFrame>> {
        let limits = self.limits_of(conn);
        let (Some(rate), burst) = (limits.publish_rate, limits.publish_burst) else { return Ok(()) };
        let Some(session) = self.session(conn) else { return Ok(()) };
        session.bucket.take(rate, burst, now.mono).map_err(|after| {
            let error = ErrorFrame::new(ErrorCode::LimitRate, "this connection publishes too fast");
            Box::new(ErrorFrame { after: Some(after), ..error })
        })
    }

    /// Decides whether this message may be published at all; a refusal is for ever.
    fn verdict(
        &mut self,
        conn: ConnId,
        name: &ChannelName,
        publish: &Publish,
        now: Now,
    ) -> Result<(), Box<ErrorFrame>> {
        let max = self.limits_of(conn).message as usize;
        let refuse = |code, text: &'static str| Err(Box::new(ErrorFrame::new(code, text)));
        let Some(session) = self.session(conn) else { return Ok(()) };
        if !session.may(name.as_str(), Permissions::PUBLISH, now.unix) {
            return refuse(ErrorCode::ChannelDenied, "the token has no `publish` grant for this channel");
        }
        if publish.payload.bytes().len() > max {
            return refuse(ErrorCode::LimitMessage, "the message is larger than `limits.message` in welcome");
        }
        if let Payload::Json(json) = &publish.payload
            && !moorline_protocol::json::is_valid(json)
            && !self.config.bugs.has(Bug::PayloadUnchecked)
        {
            return refuse(ErrorCode::RequestMalformed, "the payload is not valid JSON, or nested more than 64 deep");
        }
        Ok(())
    }

    /// Publishes at QoS 0: now, or when the app has allowed it.
    fn pass_on(
        &mut self,
        conn: ConnId,
        key: ChannelKey,
        publish: Publish,
        bytes: usize,
        now: Now,
    ) -> Result<(), Box<ErrorFrame>> {
        let question = self.publish_question(conn, &key, &publish, now)?;
        let (channel, req) = (key.name.clone(), publish.req);
        let broadcast = self.broadcast(conn, key, publish, now);
        if let Some(session) = self.session(conn) {
            session.pending_bytes += bytes;
        }
        self.hold_or_do(conn, channel, Ready::Broadcast { req, bytes, broadcast }, question, now);
        Ok(())
    }

    fn broadcast(&mut self, conn: ConnId, channel: ChannelKey, publish: Publish, now: Now) -> Broadcast {
        let made = Utf8Bytes::from(self.random_name(16));
        let user = self.session(conn).and_then(|session| session.user.clone());
        let message = Message {
            offset: None,
            prev: None,
            id: publish.id.unwrap_or(made),
            user: user.map(|user| Utf8Bytes::from(user.as_str())),
            time: now.unix,
            headers: publish.headers,
            payload: publish.payload,
        };
        let mut encoded = Vec::new();
        moorline_protocol::binary::encode_message(&message, &mut encoded);
        Broadcast { channel, message: encoded.into() }
    }

    pub(super) fn publish_done(
        &mut self,
        (conn, session, req): (ConnId, SessionId, u64),
        (bytes, why): (usize, Option<Utf8Bytes>),
        result: Result<Completion, EngineError>,
        now: Now,
    ) {
        self.publishing = self.publishing.saturating_sub(1);
        if let Some(session) = self.session_if(conn, session) {
            session.pending_bytes = session.pending_bytes.saturating_sub(bytes);
            let frame = match result {
                Ok(Completion::Appended(appended)) => answer(req, appended, why),
                Ok(_) => return,
                Err(error) => ServerFrame::Error(ErrorFrame { req: Some(req), ..storage_error(error) }),
            };
            self.count(conn, &frame);
            self.outputs.answer(conn, self.codec(conn), &frame);
        }
        self.drain_on(now);
    }
}

/// Returns a publish's place in its producer's sequence.
fn sequence(
    publish: &Publish,
    producer: Option<&moorline_protocol::ProducerGrant>,
) -> Result<ProducerSequence, Box<ErrorFrame>> {
    let refuse = |code, text: &'static str| Err(Box::new(ErrorFrame::new(code, text)));
    let (Some(seq), Some(generation)) = (publish.seq, publish.generation) else {
        return refuse(ErrorCode::RequestMalformed, "a publish at QoS 2 needs `seq` and `gen`");
    };
    let Some(producer) = producer else {
        return refuse(ErrorCode::PublishUnknownProducer, "ask for a producer in `hello` to publish at QoS 2");
    };
    Ok(ProducerSequence { id: producer.id, generation, seq })
}

/// `why` is what the app says of a refusal that is its own.
fn answer(req: u64, appended: Appended, why: Option<Utf8Bytes>) -> ServerFrame {
    let published = |position: moorline_protocol::Position, duplicate| {
        let (epoch, offset) = (position.epoch, Some(position.offset));
        ServerFrame::Published(Published { req, epoch, offset, duplicate })
    };
    let error = |code, text: &'static str| ErrorFrame { req: Some(req), ..ErrorFrame::new(code, text) };
    ServerFrame::Error(match appended {
        Appended::Stored(position) => return published(position, false),
        Appended::Duplicate(position) => return published(position, true),
        Appended::Refused(code) => {
            let message = why.unwrap_or_else(|| Utf8Bytes::from(code.meaning()));
            ErrorFrame { req: Some(req), ..ErrorFrame::new(code, message) }
        }
        Appended::Gap { expected } => {
            let text = "a sequence is missing; resend from `expected`";
            ErrorFrame { expected: Some(expected), ..error(ErrorCode::PublishGap, text) }
        }
        Appended::Reused(by) => {
            let text = "the id or the sequence belongs to another message";
            ErrorFrame { by: Some(by), ..error(ErrorCode::PublishReused, text) }
        }
        Appended::Fenced => error(ErrorCode::PublishFenced, "a newer connection of this producer exists"),
        Appended::UnknownProducer => error(ErrorCode::PublishUnknownProducer, "the producer is not known any more"),
        Appended::TooManyChannels => error(ErrorCode::LimitChannels, "a producer writes to 256 channels at most"),
    })
}
