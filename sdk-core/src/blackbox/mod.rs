//! The black box: a bounded record of what a client was told, without a payload, a header or a token, and a hash of
//! what it did. [`Recording`] runs it again.
//!
//! The record begins with how the client was created. When it is full, the oldest calls leave; what is left still says
//! what happened, but can no longer be run from the beginning.

mod bytes;
mod call;
mod input;
mod recording;
mod redact;
mod start;
mod trace;

use std::collections::VecDeque;
use std::time::Duration;

use moorline_protocol::binary::{encode_server, varint};
use moorline_protocol::time::{Now, Timestamp};
use moorline_protocol::{Bytes, ServerFrame};

pub use call::Call;
pub use recording::{Recording, RecordingError, Step};

use self::bytes::Writer;
use crate::config::ClientConfig;
use crate::io::{Output, StoreEntry};
use trace::Trace;

/// What a file begins with: a name and the version of its layout.
const MAGIC: &[u8; 5] = b"MLBB\x01";

/// Writes down the calls of one client.
pub(crate) struct Recorder {
    /// Bytes of the whole record; 0 writes nothing.
    limit: usize,
    start: Vec<u8>,
    /// Whole calls, each a length and so many bytes.
    calls: VecDeque<u8>,
    /// The call under way, and when.
    call: Vec<u8>,
    at: Now,
    /// When the call before the oldest one that is kept was, and the newest.
    base: Now,
    last: Now,
    lost: u64,
    trace: Trace,
}

impl Recorder {
    pub(crate) fn new(config: &ClientConfig, stored: &[StoreEntry], seed: [u8; 32], now: Now) -> Self {
        let limit = if cfg!(feature = "blackbox") { config.blackbox_bytes } else { 0 };
        let mut start = Vec::new();
        if cfg!(feature = "blackbox") && limit > 0 {
            start::write(config, stored, seed, now, &mut start);
        }
        let mut recorder = Self {
            limit,
            start,
            calls: VecDeque::new(),
            call: Vec::new(),
            at: now,
            base: now,
            last: now,
            lost: 0,
            trace: Trace::default(),
        };
        // What leaves no room for calls is left out, and with it the beginning.
        if recorder.start.len() > limit / 2 {
            recorder.start.clear();
            recorder.lost = 1;
        }
        recorder
    }

    /// Tells whether nothing is written; known to the compiler where the feature is off.
    fn is_off(&self) -> bool {
        !cfg!(feature = "blackbox") || self.limit == 0
    }

    /// Begins a call; what `call` makes is written down without what is secret in it.
    pub(crate) fn begin(&mut self, now: Now, call: impl FnOnce() -> Call) {
        if self.is_off() {
            return;
        }
        // One that ended early, with an error.
        self.end();
        write_span(self.last, now, &mut self.call);
        self.at = now;
        call().write(&mut self.call);
    }

    /// Adds a frame to the message under way.
    pub(crate) fn frame(&mut self, frame: &ServerFrame) {
        if !self.is_off() {
            encode_server(&redact::hide(frame), &mut self.call);
        }
    }

    /// Adds bytes that are no frame.
    pub(crate) fn broken_frame(&mut self) {
        if !self.is_off() {
            self.call.extend_from_slice(redact::BROKEN);
        }
    }

    /// Leaves the call under way out: it was refused and changed nothing.
    pub(crate) fn undo(&mut self) {
        if !self.is_off() {
            self.call.clear();
        }
    }

    /// Ends the call under way.
    pub(crate) fn end(&mut self) {
        if self.is_off() || self.call.is_empty() {
            return;
        }
        let mut length = Vec::with_capacity(4);
        varint::put(self.call.len() as u64, &mut length);
        while self.start.len() + self.calls.len() + length.len() + self.call.len() > self.limit {
            if !self.drop_oldest() {
                // A call that has no room at all.
                (self.base, self.last) = (self.at, self.at);
                self.lost += 1;
                self.call.clear();
                return;
            }
        }
        self.last = self.at;
        self.calls.extend(length);
        self.calls.extend(self.call.drain(..));
    }

    /// Counts what the client does.
    pub(crate) fn output(&mut self, output: &Output) {
        if !self.is_off() {
            self.trace.output(output);
        }
    }

    pub(crate) fn export(&self) -> Vec<u8> {
        if !cfg!(feature = "blackbox") {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(64 + self.start.len() + self.calls.len());
        out.extend_from_slice(MAGIC);
        out.write_u64(self.lost);
        out.write_u64(self.trace.outputs());
        out.extend_from_slice(&self.trace.hash().to_le_bytes());
        write_span(Now::default(), self.base, &mut out);
        out.write_bytes(&self.start);
        let (head, tail) = self.calls.as_slices();
        out.extend_from_slice(head);
        out.extend_from_slice(tail);
        out
    }

    /// Forgets the oldest call; tells whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some(length) = self.pop_varint() else { return false };
        let call: Vec<u8> = self.calls.drain(..usize::try_from(length).unwrap_or(0).min(self.calls.len())).collect();
        if let Ok(at) = read_span(self.base, &mut call.into()) {
            self.base = at;
        }
        self.lost += 1;
        true
    }

    fn pop_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.calls.pop_front()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(value)
    }
}

/// Writes how much later `now` is: the monotonic clock in ns, then the wall clock in ms, which may fall.
fn write_span(before: Now, now: Now, out: &mut Vec<u8>) {
    out.write_u64(u64::try_from(now.mono.since(before.mono).as_nanos()).unwrap_or(u64::MAX));
    let wall = now.unix.wrapping_sub(before.unix) as i64;
    out.write_u64((wall << 1 ^ wall >> 63) as u64);
}

fn read_span(before: Now, from: &mut Bytes) -> Result<Now, RecordingError> {
    let mono: Timestamp = before.mono + Duration::from_nanos(varint::take(from)?);
    let wall = varint::take(from)?;
    let wall = (wall >> 1) as i64 ^ -((wall & 1) as i64);
    Ok(Now { mono, unix: before.unix.wrapping_add(wall as u64) })
}
