//! A crash at every step that the log takes on its disk, and what a client finds when it comes back.

use moorline_protocol::{Offset, Position, ProducerGrant, ProducerRequest, ProducerState, Run, Since};
use moorline_server::engine::log::LogConfig;
use moorline_server::engine::turn::Fatal;
use moorline_server::engine::{
    Appended, Attach, Attached, Command, Completion, CursorAck, Open, ReadPage, ReadRange, Revocation, SessionId,
};

use super::{Answers, BEGIN, Log, config, keep};
use crate::disk::{Disk, Loss};
use crate::rig::{Message, SECOND, channel, duplicate, ids, message, open, owner};

const BATCHES: u64 = 32;
/// The log is closed and opened again before this batch.
const CLOSES_AT: u64 = 20;
/// How often something is asked for again.
const TRIES: u32 = 3;
/// Messages kept of the channels `short` and `short-ids`.
const SHORT: u64 = 4;

/// What a client knows.
#[derive(Default)]
struct Client {
    producer: Option<ProducerGrant>,
    attached: u64,
    /// Batches that were answered.
    done: u64,
    /// How far its cursor is, as it was told.
    cursor: u64,
    revoked: bool,
    /// What was refused for the moment.
    refusals: u64,
}

/// Why a run ended early.
#[derive(Debug)]
struct Died(String);

impl<E: std::error::Error> From<E> for Died {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

fn setup() -> LogConfig {
    LogConfig { core: keep("short", SHORT), ..config(4 * 1024) }
}

/// The messages of a batch: channel, number within the channel, how many bytes, ttl.
fn messages(batch: u64) -> Vec<(&'static str, u64, usize, Option<u32>)> {
    let mut messages: Vec<_> = (1..=3).map(|n| ("short", batch * 3 + n, 100, None)).collect();
    // Without a sequence nothing orders two messages of which the first is refused for the moment: one at a time.
    messages.push(("short-ids", batch + 1, 60, None));
    if batch.is_multiple_of(6) {
        messages.push(("long", batch / 6 + 1, 60, None));
    }
    if batch.is_multiple_of(9) {
        messages.push(("brief", batch / 9 + 1, 150, Some(20)));
    }
    messages
}

fn expected(name: &str, batches: u64) -> u64 {
    (0..batches).map(|batch| messages(batch).iter().filter(|(of, ..)| *of == name).count() as u64).sum()
}

fn publish(grant: &ProducerGrant, name: &str, number: u64, size: usize, ttl: Option<u32>) -> Command {
    let mut message = message(name, &format!("{name}-{number}")).text(&"x".repeat(size));
    message.0.ttl = ttl;
    // Each channel is published by sequence, but for one, which has ids alone.
    if name != "short-ids" {
        message.0.producer =
            Some(moorline_server::engine::ProducerSequence { id: grant.id, generation: grant.generation, seq: number });
    }
    Message::command(message)
}

impl Client {
    /// Comes back, and goes on until everything is done.
    fn run(&mut self, disk: &Disk) -> Result<(), Died> {
        let mut log = self.connect(disk)?;
        while self.done < BATCHES {
            if self.done == CLOSES_AT {
                log.turns.close(log.now)?;
                log = self.connect(disk)?;
            }
            let batch = self.done;
            log.now += 6 * SECOND;
            let Some(grant) = self.producer.clone() else { panic!("there is a producer") };
            let commands = messages(batch).into_iter().map(|(name, n, size, ttl)| publish(&grant, name, n, size, ttl));
            let mut commands: Vec<Command> = commands.collect();
            if batch % 4 == 3 {
                let position = Position { epoch: all(&mut log, "short")?.epoch, offset: Offset(batch * 3) };
                let ack = CursorAck { owner: owner("bob"), channel: channel("short"), position };
                commands.push(Command::Ack(ack));
            }
            if batch == 20 {
                let (app, jti) = (moorline_protocol::AppName::default_app(), "token".into());
                commands.push(Command::Revoke(Revocation::Token { app, jti }));
            }
            let answers = self.turn(&mut log, commands)?;
            for ((name, number, ..), answer) in messages(batch).iter().zip(&answers) {
                let Some(Ok(Completion::Appended(Appended::Stored(at) | Appended::Duplicate(at)))) = answer else {
                    panic!("{name} {number}: {answer:?}");
                };
                assert_eq!(at.offset.0, *number, "{name} holds each message once");
            }
            for answer in answers.into_iter().skip(messages(batch).len()) {
                match answer {
                    Some(Ok(Completion::Acked(at))) => self.cursor = at.offset.0,
                    Some(Ok(Completion::Revoked)) => self.revoked = true,
                    // Nothing else was written with it, so it waits.
                    None => {}
                    other => panic!("{other:?}"),
                }
            }
            self.done = batch + 1;
        }
        // What goes on beside the batches comes to its end.
        log.pass(6 * SECOND, 12)?;
        self.check(&mut log)?;
        Ok(())
    }

    /// Asks, and asks again a while later what is refused for the moment.
    fn turn(&mut self, log: &mut Log, commands: Vec<Command>) -> Result<Answers, Died> {
        let mut answers = log.turn(commands.clone())?;
        for _ in 0..TRIES {
            if !answers.iter().any(|answer| matches!(answer, Some(Err(_)))) {
                break;
            }
            self.refusals += 1;
            log.pass(6 * SECOND, 1)?;
            answers = log.turn(commands.clone())?;
        }
        Ok(answers)
    }

    fn connect(&mut self, disk: &Disk) -> Result<Log, Died> {
        let mut log = Log::open(disk, &setup(), BEGIN + self.done * 6 * SECOND)?;
        self.check(&mut log)?;
        self.attached += 1;
        let request = self.producer.as_ref().map_or(ProducerRequest::New, |grant| ProducerRequest::Resume(grant.id));
        let alice = owner("alice");
        let attach = Attach {
            session: SessionId(self.attached),
            app: alice.app.clone(),
            user: Some(alice.user.clone()),
            device: Some(alice.device),
            run: Run { boot: 1, transport: self.attached },
            producer: Some(request),
            max_connections: 9,
            token_id: None,
            token_issued: None,
        };
        let cursor = Open { cursor: Some(owner("bob")), ..open("short", Since::Cursor(None)) };
        let answers = self.turn(&mut log, vec![Command::Attach(attach), Command::Open(cursor)])?;
        let [
            Some(Ok(Completion::Attached(Attached::Accepted { producer: Some(grant) }))),
            Some(Ok(Completion::Opened(opened))),
        ] = &answers[..]
        else {
            panic!("{answers:?}");
        };
        if let Some(before) = self.producer.replace(grant.clone()) {
            assert_eq!((before.id, ProducerState::Resumed), (grant.id, grant.state.clone()));
            assert!(grant.generation > before.generation);
        }
        // However long ago its message was trimmed, an id is known.
        for number in 1..=expected("short-ids", self.done).min(3) {
            let again = message("short-ids", &format!("short-ids-{number}")).text(&"x".repeat(60));
            let answer = self.turn(&mut log, vec![again.command()])?.remove(0);
            let Some(Ok(Completion::Appended(appended))) = answer else { panic!("{answer:?}") };
            assert_eq!(duplicate(&appended), number);
        }
        // A cursor that retention has overtaken says so.
        assert!(opened.from.0 >= self.cursor);
        Ok(log)
    }

    /// Checks that everything that was answered is there, in its place, once.
    fn check(&self, log: &mut Log) -> Result<(), Fatal> {
        for name in ["short", "short-ids", "long", "brief"] {
            let page = all(log, name)?;
            let (first, head) = (page.first.0, page.head.0);
            let (least, most) = (expected(name, self.done), expected(name, self.done + 1));
            assert!((least..=most).contains(&head), "{name}: {head} of {least} to {most} messages");
            let allowed = if name.starts_with("short") { (head + 1).saturating_sub(SHORT).max(1) } else { 1 };
            assert!(first <= allowed, "{name}: begins at {first}");
            let (offsets, ids) = (page.messages.iter().map(|stored| stored.offset.0), ids(&page));
            let found: Vec<(u64, String)> = offsets.zip(ids).collect();
            let wanted: Vec<(u64, String)> = (first..=head).map(|n| (n, format!("{name}-{n}"))).collect();
            if name == "brief" {
                assert!(found.iter().all(|message| wanted.contains(message)));
            } else {
                assert_eq!(found, wanted);
            }
        }
        Ok(())
    }
}

/// Reads a whole channel; a read that fails is tried again.
fn all(log: &mut Log, name: &str) -> Result<ReadPage, Fatal> {
    for _ in 0..TRIES {
        if let Ok(page) = log.read(name, ReadRange::After(Offset::ZERO))? {
            return Ok(page);
        }
    }
    panic!("{name} cannot be read");
}

/// Returns what the whole run does to the disk.
fn steps() -> Vec<String> {
    let disk = Disk::default();
    Client::default().run(&disk).unwrap();
    disk.steps()
}

/// Lets the process die at each step, and comes back to what is left.
fn die_at_every_step(loss: impl Fn(usize) -> Loss) {
    let count = steps().len();
    for step in 0..count {
        let disk = Disk::default();
        disk.die_at(step);
        let mut client = Client::default();
        // Perhaps it does not notice, at the very end.
        let died = client.run(&disk);
        let left = disk.after(loss(step));
        if let Err(Died(error)) = client.run(&left) {
            panic!("step {step} of {count}, {:?}: {died:?}, then: {error}", loss(step));
        }
    }
}

#[test]
fn the_run_does_everything_there_is() {
    let steps = steps();
    for part in [
        "rename segment.next to segment-0000000000000000.log",
        "rename segment-0000000000000000.index.new",
        "remove segment-0000000000000000.log",
        "remove segment-0000000000000000.index",
        "rename checkpoint-",
        "remove checkpoint-",
        "rename table-",
        "remove table-",
        "rename state.new to state",
        "rename store.new to store",
    ] {
        assert!(steps.iter().any(|step| step.starts_with(part)), "nothing of `{part}` in {steps:#?}");
    }
}

#[test]
fn killed_at_every_step() {
    die_at_every_step(|_| Loss::Nothing);
}

#[test]
fn without_power_at_every_step() {
    die_at_every_step(|_| Loss::Unsynced);
}

#[test]
fn without_power_at_every_step_and_some_sectors_written() {
    die_at_every_step(|step| Loss::Some(step as u64));
}

#[test]
fn dying_again_at_every_step_of_recovery() {
    let count = steps().len();
    for step in (0..count).step_by(3) {
        let disk = Disk::default();
        disk.die_at(step);
        let mut client = Client::default();
        // Perhaps it does not notice, at the very end.
        let _ = client.run(&disk);
        let left = disk.after(Loss::Some(step as u64));
        // Coming back takes so many steps.
        let whole = left.after(Loss::Nothing);
        let opened = Log::open(&whole, &setup(), BEGIN).map(|_| whole.steps().len());
        for again in 0..opened.unwrap() {
            let second = left.after(Loss::Nothing);
            second.die_at(again);
            Log::open(&second, &setup(), BEGIN).err().expect("it dies");
            let rest = second.after(Loss::Some(again as u64));
            let mut back = Log::open(&rest, &setup(), BEGIN + client.done * 6 * SECOND).unwrap();
            client.check(&mut back).unwrap();
        }
    }
}

/// Lets each call to the file system fail in turn: the log goes on, or it ends; what was answered is there.
fn fail_at_every_call(error: i32) {
    let whole = Disk::default();
    Client::default().run(&whole).unwrap();
    let (mut went_on, mut refused, mut ended) = (0, 0, 0);
    for call in 0..whole.calls() {
        let disk = Disk::default();
        disk.fail_at(call, error);
        let mut client = Client::default();
        let died = client.run(&disk);
        match died {
            Ok(()) if client.refusals > 0 => refused += 1,
            Ok(()) => went_on += 1,
            Err(_) => ended += 1,
        }
        let loss = [Loss::Unsynced, Loss::Nothing, Loss::Some(call as u64)][call % 3];
        if let Err(Died(error)) = client.run(&disk.after(loss)) {
            panic!("call {call}, {loss:?}: {died:?}, then: {error}");
        }
    }
    println!("error {error}: {went_on} went on, {refused} refused something meanwhile, {ended} ended");
    assert!(went_on > 100 && ended > 100, "{went_on} went on, {ended} ended");
}

#[test]
fn an_error_of_the_disk_at_every_call() {
    fail_at_every_call(5);
}

#[test]
fn no_room_at_every_call() {
    fail_at_every_call(28);
}
