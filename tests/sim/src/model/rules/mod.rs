mod cursors;
mod hooks;
mod presence;
mod publish;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};

use moorline_core::protocol::{ChannelName, Epoch, Offset, Position, ProducerId, ProducerRequest, UserName};
use moorline_server::engine::record::{ChannelId, Outcome, Record};
use moorline_server::engine::{Command, Completion, EngineError, Owner, Reply, Revocation, SessionId, ShardId, Ticket};

use self::hooks::Hooks;
pub(crate) use self::presence::Members;
use self::presence::Presence;
use self::publish::{Known, Producer, Times, Verdict};
use self::sessions::Session;
use super::{First, Violation};
use crate::scenario::Keeps;

/// The engine as the rules want it.
#[derive(Default)]
pub(crate) struct Rules {
    keeps: Keeps,
    channels: BTreeMap<ChannelName, Channel>,
    numbers: BTreeMap<ChannelId, ChannelName>,
    producers: BTreeMap<ProducerId, Producer>,
    cursors: BTreeMap<(Owner, ChannelName), Position>,
    sessions: BTreeMap<SessionId, Session>,
    revoked: BTreeSet<UserName>,
    presence: Presence,
    hooks: Hooks,
    /// Who had a connection in the foreground after the last batch.
    here: BTreeSet<UserName>,
    /// Acknowledgements that were not answered yet, with what the answer must reach.
    acks: BTreeMap<(ShardId, Ticket), (Owner, ChannelName, Position)>,
    /// Cursors that a subscription under way has made or moved.
    begun: BTreeMap<(ShardId, Ticket), Position>,
    /// What was answered: it must stand after any crash.
    promised: Promised,
    /// The latest time any command was handled at.
    latest: u64,
}

/// Answers that have left the engine.
#[derive(Default)]
struct Promised {
    cursors: BTreeMap<(Owner, ChannelName), Position>,
    revoked: BTreeSet<UserName>,
}

#[derive(Default)]
struct Channel {
    /// Known once somebody wrote to the channel.
    epoch: Option<Epoch>,
    /// Messages up to here are gone.
    floor: Offset,
    head: Offset,
    ids: BTreeMap<(String, String), Known>,
}

/// A command as the engine got it, and whether it was told that it cannot take effect now.
pub(crate) struct Asked {
    pub(crate) shard: ShardId,
    pub(crate) ticket: Ticket,
    pub(crate) command: Command,
    pub(crate) refused: Option<EngineError>,
}

impl Rules {
    pub(crate) fn new(keeps: Keeps) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// Takes a batch: what the engine was asked, what it answers (not yet released) and what it wants written.
    pub(crate) fn batch(
        &mut self,
        asked: &[Asked],
        replies: &[(ShardId, Reply)],
        records: &[Record],
        (now, held): (u64, bool),
    ) -> Option<Violation> {
        self.latest = self.latest.max(now);
        self.begin_presence(now);
        let mut broken = First::default();
        // Channels come before what is written to them.
        for record in records {
            if let Record::Channel { .. } = record {
                broken.note(self.record(record));
            }
        }
        let answers = replies.iter().filter_map(|(shard, reply)| match reply {
            Reply::Completed(ticket, result) => Some(((*shard, *ticket), result)),
            Reply::Event(_) => None,
        });
        let answers: BTreeMap<_, _> = answers.collect();
        let times = publish::times(records);
        let mut displaced = sessions::displaced(replies);
        for asked in asked {
            let answer = answers.get(&(asked.shard, asked.ticket)).copied();
            broken.note(self.command(asked, answer, &times, &mut displaced, now));
        }
        if let Some((session, code)) = displaced.first_key_value() {
            broken.note(Some(Violation::new(10, format!("{session:?} is displaced with {code:?} by nobody"))));
        }
        for record in records {
            broken.note(self.record(record));
        }
        for (key, result) in &answers {
            broken.note(self.acked(*key, result));
        }
        broken.note(self.check_presence(asked, replies));
        if self.keeps == Keeps::default() {
            broken.note(self.check_hooks(asked, records, (now, held)));
        }
        broken.into_violation()
    }

    fn command(
        &mut self,
        asked: &Asked,
        answer: Option<&Result<Completion, EngineError>>,
        times: &Times,
        displaced: &mut sessions::Displaced,
        now: u64,
    ) -> Option<Violation> {
        if asked.refused.is_some() && self.needs_room(&asked.command) {
            let answers = !matches!(asked.command, Command::Detach(..));
            return (answers && !matches!(answer, Some(Err(_)))).then(|| {
                Violation::new(11, format!("{:?} takes effect although the engine is read-only", asked.command))
            });
        }
        match (&asked.command, answer) {
            (Command::Append(append), Some(Ok(Completion::Appended(appended)))) => {
                self.append(append, appended, times, now)
            }
            (Command::Attach(attach), Some(Ok(Completion::Attached(attached)))) => {
                self.attach(attach, attached, displaced)
            }
            (Command::Open(open), Some(Ok(Completion::Opened(opened)))) => {
                self.enter(&open.channel.name, open.presence.as_ref());
                self.open((asked.shard, asked.ticket), open, opened)
            }
            (Command::Open(open), Some(Err(EngineError::TooManyCursors))) => self.cursor_refused(open),
            (Command::Presence(act), Some(Ok(Completion::Members(_)))) => {
                self.act(act);
                None
            }
            (Command::Ack(ack), _) => {
                self.ack((asked.shard, asked.ticket), ack);
                None
            }
            (Command::Detach(session, gone), _) => {
                self.detach(*session);
                self.part(*session, *gone)
            }
            (Command::Forget { owner, channel }, _) => {
                self.forget(owner, &channel.name);
                None
            }
            (Command::Revoke(Revocation::User { user, .. }), Some(Ok(Completion::Revoked))) => {
                self.revoked.insert(user.clone());
                None
            }
            (
                Command::Revoke(_)
                | Command::Unwatch(_)
                | Command::Broadcast(_)
                | Command::Read(_)
                | Command::UnwatchPresence(_)
                | Command::Status(_)
                | Command::Park(..)
                | Command::Push(..)
                | Command::PushHandles(..)
                | Command::Channels(_)
                | Command::Stats
                | Command::Configure(_)
                | Command::Oldest
                | Command::UnwatchStatus(..),
                _,
            ) => None,
            (command, answer) => Some(Violation::new(11, format!("{command:?} is answered {answer:?}"))),
        }
    }

    /// Takes what the engine wants written: also what it decided by itself.
    fn record(&mut self, record: &Record) -> Option<Violation> {
        match record {
            Record::Channel { id, key, epoch, .. } => {
                self.numbers.insert(*id, key.name.clone());
                self.channels.entry(key.name.clone()).or_default().epoch = Some(*epoch);
            }
            Record::Trim { channel, first } => {
                if let Some(channel) = self.channel(*channel) {
                    channel.floor = channel.floor.max(first.previous());
                }
            }
            Record::ForgetCursor { owner, channel } => {
                if let Some(name) = self.numbers.get(channel).cloned() {
                    self.forget(owner, &name);
                }
            }
            Record::Cursor { owner, channel, position, .. } => {
                // One that was forgotten and made again in the same batch.
                if let Some(name) = self.numbers.get(channel) {
                    self.cursors.entry((owner.clone(), name.clone())).or_insert(*position);
                }
            }
            Record::ForgetProducer { id } => {
                let attached = self.producers.remove(id)?.attached?;
                let what = format!("{id:?} is forgotten while {attached:?} publishes under it");
                return Some(Violation::new(11, what));
            }
            Record::ForgetChannel { id } => {
                if let Some(name) = self.numbers.remove(id) {
                    self.channels.remove(&name);
                }
            }
            _ => {}
        }
        None
    }

    fn channel(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(self.numbers.get(&id)?)
    }

    /// Begins anew with the records that survived. What was promised must be among them, unless the engine may lose
    /// everything.
    pub(crate) fn restart(&mut self, records: &[Record], loses_nothing: bool) -> Option<Violation> {
        let promised = std::mem::take(&mut self.promised);
        let presence = std::mem::take(&mut self.presence).restart();
        let hooks = std::mem::take(&mut self.hooks);
        *self = Self { keeps: self.keeps, latest: self.latest, presence, ..Self::default() };
        for record in records {
            self.restore(record);
        }
        self.restart_hooks(hooks, loses_nothing);
        // What has survived once is there for good.
        self.promised.cursors = self.cursors.clone();
        if !loses_nothing {
            return None;
        }
        let broken = self.lost_cursor(&promised);
        self.revoked.extend(promised.revoked.iter().cloned());
        self.promised.revoked = promised.revoked;
        broken
    }

    /// Takes a record that has survived, or that a start writes down.
    pub(crate) fn restore(&mut self, record: &Record) {
        match record {
            Record::Channel { .. }
            | Record::Trim { .. }
            | Record::ForgetCursor { .. }
            | Record::ForgetProducer { .. }
            | Record::ForgetChannel { .. } => drop(self.record(record)),
            Record::NewEpoch { channel, epoch } => {
                if let Some(channel) = self.channel(*channel) {
                    channel.epoch = Some(*epoch);
                }
            }
            Record::Append { channel, id, producer, bytes, .. } => {
                let Ok(message) = moorline_core::protocol::binary::decode_message(&mut bytes.clone()) else { return };
                let Some(entry) = self.channel(*channel) else { return };
                entry.head = id.offset;
                let user = message.user.map_or_else(String::new, |user| user.as_str().to_owned());
                let known = Known { hash: id.hash, offset: id.offset, time: id.time };
                entry.ids.insert((user, message.id.as_str().to_owned()), known);
                if let Some(of) = producer {
                    self.settle(*channel, of.id, of.seq, id.hash, Verdict::At(id.offset));
                }
            }
            Record::Verdict { channel, producer, verdict } => {
                let known = match &verdict.outcome {
                    Outcome::Stored(offset) | Outcome::Duplicate(offset) => Verdict::At(*offset),
                    Outcome::Refused(code) => Verdict::Refused(code.clone()),
                    Outcome::ReusedId => Verdict::ReusedId,
                };
                self.settle(*channel, *producer, verdict.seq, verdict.hash, known);
            }
            Record::Producer { id, owner, generation, .. } => {
                self.producers.insert(*id, Producer::new(owner.clone(), *generation));
            }
            Record::Cursor { owner, channel, position, .. } => {
                if let Some(name) = self.numbers.get(channel) {
                    self.cursors.insert((owner.clone(), name.clone()), *position);
                }
            }
            Record::Revoke { revocation: Revocation::User { user, .. }, .. } => {
                self.revoked.insert(user.clone());
            }
            _ => {}
        }
    }

    /// Takes an answer that leaves the engine: what it says must stand from now on.
    pub(crate) fn promise(&mut self, key: (ShardId, Ticket), command: &Command, completion: &Completion) {
        match (command, completion) {
            (Command::Open(open), Completion::Opened(_)) => self.promise_cursor(key, open),
            (Command::Ack(ack), Completion::Acked(position)) => self.promise_ack(ack, *position),
            (Command::Revoke(Revocation::User { user, .. }), Completion::Revoked) => {
                self.promised.revoked.insert(user.clone());
            }
            _ => {}
        }
    }

    /// Returns how many cursors, producers and connections there must be.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.cursors.len(), self.producers.len(), self.sessions.len())
    }

    /// Tells whether a command needs room: only then can it be refused for the moment.
    fn needs_room(&self, command: &Command) -> bool {
        match command {
            Command::Append(_) | Command::Push(..) | Command::Revoke(_) | Command::Forget { .. } | Command::Ack(_) => {
                true
            }
            Command::Attach(attach) => match attach.producer {
                Some(ProducerRequest::Resume(id)) => !self.producers.contains_key(&id),
                Some(ProducerRequest::New) => true,
                None => false,
            },
            Command::Open(open) => open
                .cursor
                .as_ref()
                .is_some_and(|owner| !self.cursors.contains_key(&(owner.clone(), open.channel.name.clone()))),
            Command::Detach(..)
            | Command::Unwatch(_)
            | Command::Broadcast(_)
            | Command::Read(_)
            | Command::Presence(_)
            | Command::UnwatchPresence(_)
            | Command::Status(_)
            | Command::Park(..)
            | Command::PushHandles(..)
            | Command::Channels(_)
            | Command::Disconnect(..)
            | Command::Stats
            | Command::Configure(_)
            | Command::Oldest
            | Command::UnwatchStatus(..) => false,
        }
    }
}
