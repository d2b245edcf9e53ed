use moorline_protocol::time::Now;
use moorline_protocol::{Bytes, DecodeError, PresenceOp};

use super::bytes::Reader;
use super::call::Call;
use super::trace::Trace;
use super::{MAGIC, read_span, start};
use crate::client::Client;
use crate::error::StoreError;
use crate::io::Output;

/// Why a file cannot be read or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// It is something else, or of another version.
    #[error("this is no black box of a version that can be read")]
    Unknown,
    /// It ends too early, or holds what cannot be.
    #[error("the file is damaged")]
    Damaged,
    /// The record was full, and its oldest calls are gone: what is left can be read, not run.
    #[error("{0} calls at the beginning are gone: what is left can be read, not run")]
    Beginning(u64),
    /// The store that was recorded is refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DecodeError> for RecordingError {
    fn from(_: DecodeError) -> Self {
        Self::Damaged
    }
}

/// A call and what the client did upon it.
#[derive(Debug)]
pub struct Step<'a> {
    /// When.
    pub at: Now,
    /// What the client was told.
    pub call: &'a Call,
    /// What it did.
    pub outputs: Vec<Output>,
}

/// What [`Client::blackbox`] exported.
pub struct Recording {
    start: Bytes,
    calls: Vec<(Now, Call)>,
    lost: u64,
    outputs: u64,
    hash: u64,
}

impl Recording {
    /// Reads what [`Client::blackbox`] returned.
    ///
    /// # Errors
    /// [`RecordingError::Unknown`] or [`RecordingError::Damaged`].
    pub fn read(file: &[u8]) -> Result<Self, RecordingError> {
        let file = file.strip_prefix(MAGIC).ok_or(RecordingError::Unknown)?;
        let mut reader = Reader(Bytes::copy_from_slice(file));
        let (lost, outputs) = (reader.u64()?, reader.u64()?);
        let hash = reader.0.first_chunk().copied().map(u64::from_le_bytes).ok_or(RecordingError::Damaged)?;
        let _ = reader.0.split_to(size_of::<u64>());
        let mut at = read_span(Now::default(), &mut reader.0)?;
        let start = reader.bytes()?;
        let mut calls = Vec::new();
        while !reader.0.is_empty() {
            let mut call = Reader(reader.bytes()?);
            at = read_span(at, &mut call.0)?;
            calls.push((at, Call::read(&mut call)?));
        }
        Ok(Self { start, calls, lost, outputs, hash })
    }

    /// Returns what the client was told, and when; message payloads, header values and tokens are fillers.
    pub fn calls(&self) -> &[(Now, Call)] {
        &self.calls
    }

    /// Returns how many calls at the beginning are gone.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the hash of what the client did, as recorded.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Runs the calls through a new client, shows each to `observe`, and returns the hash of what it did, which is
    /// [`hash`](Self::hash) when it did the same again.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn run(&self, mut observe: impl FnMut(&Step<'_>)) -> Result<u64, RecordingError> {
        if self.lost > 0 {
            return Err(RecordingError::Beginning(self.lost));
        }
        let start = start::read(self.start.clone())?;
        let mut client = Client::new(start.config, start.stored, start.seed, start.now)?;
        let mut trace = Trace::default();
        for (at, call) in &self.calls {
            client.repeat(call, *at);
            let mut outputs = Vec::new();
            // The host may have left some behind.
            while trace.outputs() < self.outputs
                && let Some(output) = client.poll_output()
            {
                trace.output(&output);
                outputs.push(output);
            }
            observe(&Step { at: *at, call, outputs });
        }
        Ok(trace.hash())
    }
}

impl Client {
    /// Makes a call again. What was refused is refused again.
    fn repeat(&mut self, call: &Call, now: Now) {
        match call.clone() {
            Call::Connect => self.connect(now),
            Call::Disconnect => self.disconnect(now),
            Call::Close { wipe } => self.close(wipe, now),
            Call::Subscribe { channel, options } => drop(self.subscribe(&channel, options, now)),
            Call::Unsubscribe { id, forget } => self.unsubscribe(id, forget, now),
            Call::Consumed { id, messages } => self.consumed(id, messages, now),
            Call::Ack { id, position } => self.ack(id, position, now),
            Call::Publish { channel, payload, options } => drop(self.publish(&channel, payload, options, now)),
            Call::History { channel, query } => drop(self.history(&channel, query, now)),
            Call::Presence { channel, op: PresenceOp::Leave, .. } => drop(self.leave(&channel, now)),
            Call::Presence { channel, op: PresenceOp::Update, state } => drop(self.update(&channel, state, now)),
            Call::Presence { channel, state, .. } => drop(self.enter(&channel, state, now)),
            Call::Members { channel, cursor } => drop(self.members(&channel, cursor, now)),
            Call::Status { users } => drop(self.status(users, now)),
            Call::WatchStatus { users } => drop(self.watch_status(users, now)),
            Call::PushHandle { handle } => drop(self.set_push_handle(handle, now)),
            Call::Call { method, payload, options } => drop(self.call(&method, payload, options, now)),
            Call::Timeout => self.handle_timeout(now),
            Call::Input(input) => self.handle_input(input, now),
        }
    }
}
