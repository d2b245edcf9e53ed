//! Answers and outputs, as the host reads them.

use moorline_core::protocol::{ErrorCode, Position};
use moorline_core::{Client, ConnectionState, Failure, Output, Present, Timestamp, TokenReason};

use crate::writer::Writer;
use crate::{calls, events};

/// The batch could not be read.
pub(crate) const MALFORMED: u8 = 1;

const ANSWER: u8 = 2;
const REFUSED: u8 = 3;
const PRESENT: u8 = 4;
const BLACKBOX: u8 = 5;
const RESTORED: u8 = 6;
const STATS: u8 = 7;
const POSITION: u8 = 8;
const OPEN: u8 = 16;
const SEND: u8 = 17;
const CLOSE: u8 = 18;
const TOKEN: u8 = 19;
const PERSIST: u8 = 20;

/// Writes everything that the core has to say.
pub(crate) fn drain(client: &mut Client, out: &mut Writer) {
    while let Some(output) = client.poll_output() {
        match &output {
            Output::OpenTransport { id, url } => {
                out.byte(OPEN);
                out.number(id.0);
                out.text(url);
            }
            Output::Send { id, bytes } => {
                out.byte(SEND);
                out.number(id.0);
                out.bytes(bytes);
            }
            Output::CloseTransport { id, code } => {
                out.byte(CLOSE);
                out.number(id.0);
                out.number(u64::from(code.0));
            }
            Output::NeedToken { reason } => {
                out.byte(TOKEN);
                out.byte(token_reason(*reason));
            }
            Output::Persist { ticket, batch } => {
                out.byte(PERSIST);
                out.number(ticket.0);
                out.flag(batch.clear);
                out.size(batch.deletes.len());
                for key in &batch.deletes {
                    out.bytes(key);
                }
                out.size(batch.puts.len());
                for (key, value) in &batch.puts {
                    out.bytes(key);
                    out.bytes(value);
                }
            }
            Output::Event(event) => events::event(event, out),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a later reason is a first one")]
fn token_reason(reason: TokenReason) -> u8 {
    match reason {
        TokenReason::Expiring => 1,
        TokenReason::Refused => 2,
        _ => 0,
    }
}

/// Writes into the head when to come back, when the next attempt to connect begins, and what waits in the outbox.
pub(crate) fn standing(client: &Client, head: &mut [u8]) {
    let outbox = client.outbox();
    // In words: byte by byte, the head would take a sixth of what it takes to receive a message.
    write_word(head, 4, milliseconds(client.poll_timeout()).to_bits());
    write_word(head, 12, milliseconds(client.next_attempt()).to_bits());
    write_word(head, 20, u64::from(outbox.messages as u32) | (outbox.bytes as u64) << 32);
}

fn write_word(head: &mut [u8], at: usize, word: u64) {
    if let Some(to) = head.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *to = word.to_le_bytes();
    }
}

/// What is due inside a millisecond is due at its end.
fn milliseconds(at: Option<Timestamp>) -> f64 {
    at.map_or(-1.0, |at| {
        let since = at.since_origin();
        (since.as_secs() * 1_000 + u64::from(since.subsec_nanos().div_ceil(1_000_000))) as f64
    })
}

pub(crate) fn answer(result: Result<u64, Failure>, out: &mut Writer) {
    match result {
        Ok(value) => {
            out.byte(ANSWER);
            out.number(value);
        }
        Err(failure) => {
            out.byte(REFUSED);
            out.failure(&failure);
        }
    }
}

pub(crate) fn present(present: Option<Present>, out: &mut Writer) {
    out.byte(PRESENT);
    out.maybe(present, |out, present| {
        out.number(present.count);
        out.maybe(present.members, |out, members| events::members(&members, out));
    });
}

pub(crate) fn blackbox(client: &Client, out: &mut Writer) {
    if cfg!(feature = "blackbox") {
        out.byte(BLACKBOX);
        out.bytes(&client.blackbox());
    } else {
        let text = "this build keeps no record: take createClient from moorline/blackbox";
        answer(Err(calls::refusal(ErrorCode::FeatureDisabled, text.to_owned())), out);
    }
}

pub(crate) fn restored(client: &Client, out: &mut Writer) {
    out.byte(RESTORED);
    out.size(client.restored().count());
    for (id, channel, message) in client.restored() {
        out.number(id.0);
        out.text(channel.as_str());
        out.text(message);
    }
}

pub(crate) fn stats(client: &Client, out: &mut Writer) {
    let stats = client.stats();
    out.byte(STATS);
    out.byte(state(client.state()));
    for count in [stats.sends, stats.batches, stats.pages] {
        out.size(count);
    }
    out.flag(client.producer().is_some());
}

pub(crate) fn position(position: Option<Position>, out: &mut Writer) {
    out.byte(POSITION);
    out.maybe(position, events::position);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a state of a later version is none of these")]
pub(crate) fn state(state: ConnectionState) -> u8 {
    match state {
        ConnectionState::Idle => 0,
        ConnectionState::Connecting => 1,
        ConnectionState::Online => 2,
        ConnectionState::Recovering => 3,
        _ => 4,
    }
}
