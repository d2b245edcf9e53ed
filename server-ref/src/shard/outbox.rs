use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};

use crate::net::Stream;
use bytes::{Buf, Bytes};

/// Frames per `writev`.
const SLICES: usize = 64;

/// What a socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Bytes>,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The next frame is written at once.
    #[default]
    Open,
    /// The socket is full; a task waits for it.
    Blocked,
    /// The socket is gone.
    Broken,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Bytes) {
        if self.state != State::Broken {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_done(&self) -> bool {
        self.frames.is_empty() && self.state != State::Blocked
    }

    /// Writes what the socket takes. Returns true if a task has to wait for the socket from now on.
    pub(super) fn write(&mut self, stream: &Stream) -> bool {
        if self.state == State::Open { self.write_some(stream) } else { false }
    }

    /// Goes on after the socket has become writable. Returns whether it has to wait again.
    pub(super) fn resume(&mut self, stream: &Stream) -> bool {
        self.state = State::Open;
        self.write_some(stream)
    }

    fn write_some(&mut self, stream: &Stream) -> bool {
        while !self.frames.is_empty() {
            let result = if self.frames.len() == 1 {
                stream.try_write(self.frames.front().map(Bytes::as_ref).unwrap_or_default())
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut count = 0;
                for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                    *slice = IoSlice::new(frame);
                    count += 1;
                }
                stream.try_write_vectored(slices.get(..count).unwrap_or_default())
            };
            match result {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.state = State::Blocked;
                    return true;
                }
                Err(_) => {
                    self.state = State::Broken;
                    self.frames = VecDeque::new();
                    self.bytes = 0;
                }
            }
        }
        if self.frames.capacity() > SLICES {
            self.frames = VecDeque::new();
        }
        match stream.try_flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.state = State::Blocked;
                true
            }
            _ => false,
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.frames.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.frames.pop_front();
        }
    }
}
