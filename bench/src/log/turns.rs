//! An engine that is asked from this thread.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use moorline_protocol::{AppName, ChannelName, Payload};
use moorline_server::engine::log::{self, LogConfig, LogStore};
use moorline_server::engine::turn::{Sinks, Turns};
use moorline_server::engine::{
    Append, Appended, ChannelKey, Command, Completion, Read, Reply, ShardId, Ticket, content_hash,
};
use moorline_server::wall_clock::WallClock;

use crate::error::{Error, Result};

const SHARD: ShardId = ShardId(0);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Log {
    turns: Turns<LogStore>,
    clock: WallClock,
    replies: Receiver<Vec<Reply>>,
}

impl Log {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (core, mut clock) = log::open(&LogConfig::new(folder)).map_err(std::io::Error::other)?;
        let sinks = Sinks::default();
        let (sender, replies) = mpsc::channel();
        // The receiver lives as long as the log.
        sinks.register(SHARD, Box::new(move |batch| drop(sender.send(batch))));
        let mut turns = Turns::new(core, sinks);
        turns.take(None, clock.now_ms()).map_err(std::io::Error::other)?;
        Ok(Self { turns, clock, replies })
    }

    /// Stores messages, each a channel and a number, with one sync.
    pub(super) fn store(&mut self, messages: impl Iterator<Item = (u64, u64)>, size: usize) -> Result {
        let batch: Vec<_> = messages.map(|(of, number)| (SHARD, Ticket(number), append(of, number, size))).collect();
        let mut missing = batch.len();
        self.turns.take(batch, self.clock.now_ms()).map_err(std::io::Error::other)?;
        for reply in self.replies.try_iter().flatten() {
            let stored = matches!(reply, Reply::Completed(_, Ok(Completion::Appended(Appended::Stored(_)))));
            missing -= usize::from(stored);
        }
        if missing == 0 { Ok(()) } else { Err(Error::Answer("the log", "storing")) }
    }

    /// Reads the last messages of a channel; returns how many µs it took.
    pub(super) fn read(&mut self, of: u64, last: usize) -> Result<f64> {
        let read = Read { channel: channel(of), range: super::NEWEST, max_messages: last, max_bytes: usize::MAX };
        let begin = Instant::now();
        self.turns
            .take([(SHARD, Ticket(0), Command::Read(read))], self.clock.now_ms())
            .map_err(std::io::Error::other)?;
        let replies = self.replies.recv_timeout(PATIENCE).map_err(|_| Error::Answer("the log", "reading"))?;
        let us = begin.elapsed().as_secs_f64() * 1e6;
        match replies.first() {
            Some(Reply::Completed(_, Ok(Completion::Read(page)))) if page.messages.len() == last => Ok(us),
            _ => Err(Error::Answer("the log", "reading")),
        }
    }

    pub(super) fn close(mut self) -> Result {
        let now = self.clock.now_ms();
        Ok(self.turns.close(now).map_err(std::io::Error::other)?)
    }
}

pub(super) fn channel(number: u64) -> ChannelKey {
    // A number makes a name of digits.
    let name = ChannelName::new(&format!("bench:{number}")).unwrap_or_else(|_| unreachable!());
    ChannelKey { app: AppName::default_app(), name }
}

pub(super) fn append(of: u64, number: u64, size: usize) -> Command {
    let (id, payload) = (format!("{number:016x}"), Payload::Text("x".repeat(size).into()));
    let hash = content_hash(&id, &payload, &Vec::new());
    Command::Append(Append {
        channel: channel(of),
        id: id.into(),
        scope: "bench".into(),
        user: None,
        headers: Vec::new(),
        payload,
        ttl: None,
        hash,
        producer: None,
        verdict: Ok(()),
    })
}
