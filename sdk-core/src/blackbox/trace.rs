use moorline_protocol::binary::varint;
use moorline_protocol::{Bytes, ClientFrame};

use crate::event::{Event, PublishOutcome};
use crate::ids::SubscriptionId;
use crate::io::{Output, TokenReason};

/// A hash of what a client did (FNV-1a, 64 bits), from nothing that is secret: of a message, its place and its length.
pub(super) struct Trace {
    hash: u64,
    outputs: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, outputs: 0 }
    }
}

impl Trace {
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns how many outputs there were.
    pub(super) fn outputs(&self) -> u64 {
        self.outputs
    }

    pub(super) fn output(&mut self, output: &Output) {
        self.outputs += 1;
        match output {
            Output::OpenTransport { id, .. } => self.numbers(&[1, id.0]),
            Output::Send { id, bytes } => {
                self.numbers(&[2, id.0]);
                let mut rest = bytes.clone();
                while let Ok(frame) = varint::take_bytes(&mut rest) {
                    self.frame(&frame);
                }
            }
            Output::CloseTransport { id, code } => self.numbers(&[3, id.0, u64::from(code.0)]),
            Output::NeedToken { reason } => self.numbers(&[
                4,
                match reason {
                    TokenReason::Connect => 1,
                    TokenReason::Expiring => 2,
                    TokenReason::Refused => 3,
                },
            ]),
            Output::Persist { ticket, batch } => {
                self.numbers(&[5, ticket.0, u64::from(batch.clear)]);
                batch.deletes.iter().for_each(|key| self.bytes(key));
                for (key, value) in &batch.puts {
                    self.bytes(key);
                    self.numbers(&[value.len() as u64]);
                }
            }
            Output::Event(event) => self.event(event),
        }
    }

    /// Of a frame that carries a payload, a state or a token, only the type and the length.
    fn frame(&mut self, frame: &Bytes) {
        const PRIVATE: [&str; 7] = ["hello", "auth", "subscribe", "publish", "presence", "push", "call"];
        let kind = frame.first().copied().unwrap_or(0);
        let is_private = ClientFrame::KINDS.iter().any(|(number, name)| *number == kind && PRIVATE.contains(name));
        self.numbers(&[frame.len() as u64]);
        self.bytes(if is_private { std::slice::from_ref(&kind) } else { frame });
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind")]
    fn event(&mut self, event: &Event) {
        match event {
            Event::StateChanged { state, .. } => self.numbers(&[10, *state as u64]),
            Event::Welcome { user } => {
                self.numbers(&[11]);
                self.bytes(user.as_ref().map_or(b"", |user| user.as_str().as_bytes()));
            }
            Event::Subscribed { readers, head, from, .. } => {
                self.numbers(&[12, head.offset.0, from.0]);
                self.readers(readers);
            }
            Event::Message { readers, message } => {
                let offset = message.message.offset.map_or(0, |offset| offset.0);
                let flags = u64::from(message.replayed) << 1 | u64::from(message.redelivered);
                self.numbers(&[13, offset, flags, message.message.payload.bytes().len() as u64]);
                self.readers(readers);
            }
            Event::Reset { readers, first, head, from, .. } => {
                self.numbers(&[14, first.0, head.0, from.0]);
                self.readers(readers);
            }
            Event::Dropped { readers, count } => {
                self.numbers(&[15, *count]);
                self.readers(readers);
            }
            Event::SubscriptionEnded { readers, failure } => {
                self.numbers(&[16, u64::from(failure.code.number())]);
                self.readers(readers);
            }
            Event::Acked { readers, position } => {
                self.numbers(&[17, position.offset.0]);
                self.readers(readers);
            }
            Event::PublishQueued { id } => self.numbers(&[18, id.0]),
            Event::PublishSent { id } => self.numbers(&[19, id.0]),
            Event::PublishSettled { id, outcome, .. } => {
                self.numbers(&[20, id.0]);
                self.outcome(outcome);
            }
            Event::HistoryFinished { id, result } => match result {
                Ok(page) => self.numbers(&[21, id.0, page.head.0, page.messages.len() as u64]),
                Err(failure) => self.numbers(&[22, id.0, u64::from(failure.code.number())]),
            },
            Event::CallFinished { id, result } => match result {
                Ok(payload) => self.numbers(&[31, id.0, payload.bytes().len() as u64]),
                Err(failure) => self.numbers(&[32, id.0, u64::from(failure.code.number())]),
            },
            Event::PresenceChanged { readers, count, is_listed, is_snapshot, .. } => {
                self.numbers(&[24, *count, u64::from(*is_listed), u64::from(*is_snapshot)]);
                self.readers(readers);
            }
            Event::PresenceFinished { id, result } => match result {
                Ok(view) => self.numbers(&[25, id.0, view.count]),
                Err(failure) => self.numbers(&[26, id.0, u64::from(failure.code.number())]),
            },
            Event::StatusFinished { id, result } => match result {
                Ok(users) => self.numbers(&[27, id.0, users.len() as u64]),
                Err(failure) => self.numbers(&[28, id.0, u64::from(failure.code.number())]),
            },
            Event::StatusChanged { users } => self.numbers(&[29, users.len() as u64]),
            Event::StatusEnded { failure } => self.numbers(&[30, u64::from(failure.code.number())]),
            Event::Closed { result } => self.numbers(&[23, u64::from(result.is_ok())]),
        }
    }

    fn outcome(&mut self, outcome: &PublishOutcome) {
        match outcome {
            PublishOutcome::Sent => self.numbers(&[1]),
            PublishOutcome::Stored(stored) => {
                self.numbers(&[2, stored.offset.map_or(0, |offset| offset.0), u64::from(stored.duplicate)]);
            }
            PublishOutcome::Failed(failure) => self.numbers(&[3, u64::from(failure.code.number())]),
            PublishOutcome::Kept(failure) => self.numbers(&[4, u64::from(failure.code.number())]),
            PublishOutcome::Uncertain => self.numbers(&[5]),
        }
    }

    fn readers(&mut self, readers: &[SubscriptionId]) {
        self.numbers(&[readers.len() as u64]);
        readers.iter().for_each(|reader| self.numbers(&[reader.0]));
    }

    fn numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.bytes(&number.to_le_bytes()));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
