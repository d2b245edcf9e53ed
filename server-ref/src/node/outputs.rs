use std::collections::VecDeque;

use moorline_protocol::{Codec, ServerFrame, limits};

use super::io::{ConnId, Output};

/// The node's one ordered queue. Answers to one connection that follow on each other become one message.
#[derive(Default)]
pub(super) struct Outputs {
    queue: VecDeque<Output>,
    /// What the next message to this connection holds so far.
    answers: Option<(ConnId, Vec<u8>)>,
}

impl Outputs {
    pub(super) fn push_back(&mut self, output: Output) {
        self.end_answers();
        self.queue.push_back(output);
    }

    pub(super) fn pop_front(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// Adds an answer, to be sent by [`end_answers`](Self::end_answers) at the latest.
    pub(super) fn answer(&mut self, conn: ConnId, codec: Codec, frame: &ServerFrame) {
        let joins = |(to, message): &(ConnId, Vec<u8>)| *to == conn && message.len() < limits::PAGE_BYTES;
        if !self.answers.as_ref().is_some_and(joins) {
            self.end_answers();
        }
        let (_, message) = self.answers.get_or_insert_with(|| (conn, Vec::new()));
        codec.encode_server(frame, message);
    }

    /// Sends the answers that were given.
    pub(super) fn end_answers(&mut self) {
        if let Some((conn, message)) = self.answers.take() {
            self.queue.push_back(Output::Send { conn, message: message.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use moorline_protocol::{CloseCode, Epoch, Offset, Published};

    use super::*;

    fn published(req: u64) -> ServerFrame {
        let (epoch, offset) = (Epoch::new("e.1").unwrap(), Some(Offset(req)));
        ServerFrame::Published(Published { req, epoch, offset, duplicate: false })
    }

    fn message(codec: Codec, reqs: &[u64]) -> Bytes {
        let mut out = Vec::new();
        reqs.iter().for_each(|req| codec.encode_server(&published(*req), &mut out));
        out.into()
    }

    #[test]
    fn answers_that_follow_on_each_other_are_one_message_and_everything_keeps_its_order() {
        for codec in [Codec::Binary, Codec::Json] {
            let (one, other) = (ConnId(1), ConnId(2));
            let mut outputs = Outputs::default();
            for (conn, req) in [(one, 1), (one, 2), (other, 1), (one, 3)] {
                outputs.answer(conn, codec, &published(req));
            }
            outputs.push_back(Output::Close { conn: one, code: CloseCode::NORMAL });
            outputs.answer(other, codec, &published(2));
            outputs.end_answers();
            let send = |conn, reqs: &[u64]| Output::Send { conn, message: message(codec, reqs) };
            let expected = [
                send(one, &[1, 2]),
                send(other, &[1]),
                send(one, &[3]),
                Output::Close { conn: one, code: CloseCode::NORMAL },
                send(other, &[2]),
            ];
            assert_eq!(std::iter::from_fn(|| outputs.pop_front()).collect::<Vec<_>>(), expected);
        }
    }
}
