//! What the log must survive, one turn at a time.

mod backups;
mod crashes;
mod failing;
mod layout;
mod moving;
mod reserve;
mod starting;
mod tables;
mod tails;

use std::sync::{Arc, Mutex};

use moorline_protocol::{Offset, ProducerRequest, Run};
use moorline_server::engine::core::{CoreConfig, RetentionRule, RetentionRules};
use moorline_server::engine::log::{LogConfig, LogStore, OpenError, open_with};
use moorline_server::engine::turn::{Fatal, Sinks, Turns};
use moorline_server::engine::{
    Appended, Attach, Attached, Command, Completion, EngineError, ReadPage, ReadRange, Reply, SessionId, Ticket,
};

use crate::disk::Disk;
use crate::rig::{Device, HERE, Message, owner, read_command};

/// When everything begins.
pub(crate) const BEGIN: u64 = 1_800_000_000_000;
pub(crate) const BOOT: &str = "boot-1";

/// Returns a log with small segments, that works in turns only.
pub(crate) fn config(segment_bytes: u64) -> LogConfig {
    LogConfig { segment_bytes, threads: false, ..LogConfig::new("unused") }
}

/// Keeps messages for ever, but for channels with a prefix, of which so many are kept.
pub(crate) fn keep(prefix: &str, count: u64) -> CoreConfig {
    let rule =
        |prefix: &str, max_count| RetentionRule { prefix: prefix.into(), max_age_ms: None, max_bytes: None, max_count };
    let retention = RetentionRules::new(vec![rule("", None), rule(prefix, Some(count))]);
    CoreConfig { retention, ..CoreConfig::new("") }
}

/// A log and the turns it takes.
pub(crate) struct Log {
    pub(crate) turns: Turns<LogStore>,
    replies: Arc<Mutex<Vec<Reply>>>,
    tickets: u64,
    pub(crate) now: u64,
}

pub(crate) type Answers = Vec<Option<Result<Completion, EngineError>>>;

impl Log {
    /// Opens the log on a disk.
    pub(crate) fn open(disk: &Disk, config: &LogConfig, now: u64) -> Result<Self, OpenError> {
        Self::open_in(disk, config, BOOT, now)
    }

    /// Opens it in another boot of the machine.
    pub(crate) fn open_in(disk: &Disk, config: &LogConfig, boot: &str, now: u64) -> Result<Self, OpenError> {
        let core = open_with(config, Arc::new(disk.clone()), boot, now)?;
        let sinks = Sinks::default();
        let replies: Arc<Mutex<Vec<Reply>>> = Arc::default();
        let kept = Arc::clone(&replies);
        sinks.register(HERE, Box::new(move |batch| kept.lock().unwrap().extend(batch)));
        Ok(Self { turns: Turns::new(core, sinks), replies, tickets: 0, now })
    }

    /// Takes a turn with these commands and returns their answers, so far as they have come.
    pub(crate) fn turn(&mut self, commands: Vec<Command>) -> Result<Answers, Fatal> {
        let first = self.tickets + 1;
        self.tickets += commands.len() as u64;
        let batch = (first..).map(Ticket).zip(commands).map(|(ticket, command)| (HERE, ticket, command));
        self.turns.take(batch.collect::<Vec<_>>(), self.now)?;
        let mut answers: Answers = (first..=self.tickets).map(|_| None).collect();
        for reply in std::mem::take(&mut *self.replies.lock().unwrap()) {
            if let Reply::Completed(ticket, result) = reply
                && let Some(answer) = ticket.0.checked_sub(first).and_then(|number| answers.get_mut(number as usize))
            {
                *answer = Some(result);
            }
        }
        Ok(answers)
    }

    /// Publishes, and returns the answer.
    pub(crate) fn publish(&mut self, message: Message) -> Appended {
        match self.turn(vec![message.command()]).unwrap().remove(0) {
            Some(Ok(Completion::Appended(appended))) => appended,
            other => panic!("not an answer to an append: {other:?}"),
        }
    }

    /// Connects the device of a user, with a producer.
    pub(crate) fn attach(&mut self, user: &str, session: u64, request: ProducerRequest) -> Device {
        self.try_attach(user, session, request).unwrap()
    }

    /// The same, on a disk that may fail.
    pub(crate) fn try_attach(&mut self, user: &str, session: u64, request: ProducerRequest) -> Result<Device, Fatal> {
        let (owner, session) = (owner(user), SessionId(session));
        let run = Run { boot: 1, transport: session.0 };
        let attach = Attach {
            session,
            app: owner.app.clone(),
            user: Some(owner.user.clone()),
            device: Some(owner.device.clone()),
            run,
            producer: Some(request),
            max_connections: 9,
            token_id: None,
            token_issued: None,
        };
        match self.turn(vec![Command::Attach(attach)])?.remove(0) {
            Some(Ok(Completion::Attached(Attached::Accepted { producer: Some(producer) }))) => {
                Ok(Device { owner, session, run, producer })
            }
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Time goes by, and the log has turns to do what there is to do.
    pub(crate) fn pass(&mut self, ms: u64, turns: usize) -> Result<(), Fatal> {
        self.now += ms;
        for _ in 0..turns {
            self.turn(Vec::new())?;
        }
        Ok(())
    }

    /// Reads, also from the disk.
    pub(crate) fn read(&mut self, name: &str, range: ReadRange) -> Result<Result<ReadPage, EngineError>, Fatal> {
        let mut answer = self.turn(vec![read_command(name, range, 1_000_000, usize::MAX)])?.remove(0);
        while answer.is_none() {
            self.turns.take(None, self.now)?;
            let replies = std::mem::take(&mut *self.replies.lock().unwrap());
            answer = replies.into_iter().find_map(|reply| match reply {
                Reply::Completed(_, result) => Some(result),
                Reply::Event(_) => None,
            });
        }
        Ok(answer.unwrap().map(|completion| match completion {
            Completion::Read(page) => page,
            other => panic!("not an answer to a read: {other:?}"),
        }))
    }

    /// Reads everything that is kept of a channel.
    pub(crate) fn all(&mut self, name: &str) -> Result<ReadPage, Fatal> {
        self.read(name, ReadRange::After(Offset::ZERO)).map(Result::unwrap)
    }
}
