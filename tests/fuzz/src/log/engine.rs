use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use moorline_protocol::{AppName, Offset, Payload, Utf8Bytes};
use moorline_server::engine::core::EngineCore;
use moorline_server::engine::log::LogStore;
use moorline_server::engine::turn::{Sinks, Turns};
use moorline_server::engine::{
    Append, Appended, ChannelKey, Command, Completion, EngineError, Read, ReadRange, Reply, ShardId, Ticket,
    content_hash,
};

use super::NOW;
use crate::frames::named;

const SHARD: ShardId = ShardId(0);
/// Turns after which everything has been answered.
const TURNS: usize = 1_000;

/// What the channels hold: the stored messages by offset.
pub(super) type Log = BTreeMap<String, BTreeMap<Offset, Bytes>>;

/// A running engine, and somebody who waits for each answer.
pub(super) struct Engine {
    turns: Turns<LogStore>,
    heard: Receiver<Vec<Reply>>,
    next: u64,
}

impl Engine {
    pub(super) fn start(core: EngineCore<LogStore>) -> Self {
        let (sender, heard) = channel();
        let sinks = Sinks::default();
        // Nobody listens any more when the engine is dropped.
        sinks.register(SHARD, Box::new(move |replies| drop(sender.send(replies))));
        Self { turns: Turns::new(core, sinks), heard, next: 1 }
    }

    /// Ends in good order.
    pub(super) fn close(self) {
        // What it could not write is of no interest to anybody.
        let _ = self.turns.close(NOW);
    }

    /// Submits commands as one, and returns their answers; `None` if the engine stopped.
    pub(super) fn ask(&mut self, commands: Vec<Command>) -> Option<Vec<Result<Completion, EngineError>>> {
        let (first, count) = (self.next, commands.len() as u64);
        self.next += count;
        let batch: Vec<_> = (first..).zip(commands).map(|(ticket, command)| (SHARD, Ticket(ticket), command)).collect();
        self.turns.take(batch, NOW).ok()?;
        let mut answers = BTreeMap::new();
        for _ in 0..TURNS {
            let replies = self.heard.try_iter().flatten();
            answers.extend(replies.filter_map(|reply| match reply {
                Reply::Completed(ticket, result) => Some((ticket, result)),
                Reply::Event(_) => None,
            }));
            if answers.len() as u64 == count {
                return Some(answers.into_values().collect());
            }
            self.turns.take(None, NOW).ok()?;
        }
        panic!("{} answers to {count} commands", answers.len());
    }

    /// Appends a message; returns the channel and its offset if it is stored.
    pub(super) fn append(&mut self, channel: &str, text: &str) -> Option<(String, Offset)> {
        match self.ask(vec![append(channel, text.to_owned())])?.pop()? {
            Ok(Completion::Appended(Appended::Stored(position))) => Some((channel.to_owned(), position.offset)),
            _ => None,
        }
    }

    /// Reads all that can be read.
    pub(super) fn read_all(&mut self, channels: &[&str]) -> Log {
        channels.iter().map(|channel| ((*channel).to_owned(), self.read(channel))).collect()
    }

    /// Tells whether a message is there, wherever else the channel may be damaged.
    pub(super) fn holds(&mut self, channel: &str, offset: Offset) -> bool {
        let range = ReadRange::After(Offset(offset.0 - 1));
        let read = Read { channel: key(channel), range, max_messages: 1, max_bytes: 1 << 16 };
        match self.ask(vec![Command::Read(read)]).and_then(|mut all| all.pop()) {
            Some(Ok(Completion::Read(page))) => page.messages.iter().any(|stored| stored.offset == offset),
            _ => false,
        }
    }

    fn read(&mut self, channel: &str) -> BTreeMap<Offset, Bytes> {
        let mut found = BTreeMap::new();
        let mut after = Offset::ZERO;
        loop {
            let read =
                Read { channel: key(channel), range: ReadRange::After(after), max_messages: 50, max_bytes: 1 << 16 };
            let Some(Ok(Completion::Read(page))) = self.ask(vec![Command::Read(read)]).and_then(|mut all| all.pop())
            else {
                return found;
            };
            for stored in page.messages {
                assert!(stored.offset > after && stored.offset <= page.head, "{} is not asked for", stored.offset);
                found.insert(stored.offset, stored.bytes);
            }
            if !page.more {
                return found;
            }
            assert!(page.reached > after, "a page that leads nowhere: {} of {}", page.reached, page.head);
            after = page.reached;
        }
    }
}

pub(super) fn key(channel: &str) -> ChannelKey {
    ChannelKey { app: AppName::default_app(), name: named(channel) }
}

/// Makes the command that stores a text under an id of its own.
pub(super) fn append(channel: &str, text: String) -> Command {
    let payload = Payload::Text(Utf8Bytes::from(text));
    let id = Utf8Bytes::from(format!("{:016x}", content_hash(channel, &payload, &Vec::new())));
    Command::Append(Append {
        channel: key(channel),
        scope: "fuzz".into(),
        user: None,
        headers: Vec::new(),
        ttl: None,
        hash: content_hash(&id, &payload, &Vec::new()),
        id,
        payload,
        producer: None,
        verdict: Ok(()),
    })
}
