//! A disk in memory that fails on command, and of which a crash leaves what a real one would.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use moorline_server::engine::log::{Files, LogFile, Space};

/// Bytes that a disk writes at once or not at all.
const SECTOR: usize = 512;

/// What survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All: the process was killed, the machine went on.
    Nothing,
    /// What was synced, and nothing else.
    Unsynced,
    /// What was synced, and of the rest some sectors and some names, by this seed.
    Some(u64),
}

/// See the module's documentation.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// As the process sees them.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// What happened to names since the directory was synced.
    moves: Vec<Move>,
    files: Vec<Content>,
    steps: Vec<String>,
    /// The number of the step at which the process dies.
    dies_at: Option<usize>,
    dead: bool,
    /// Calls so far, also of those that change nothing.
    calls: usize,
    /// The number of the call that fails, and the system's error.
    fails_at: Option<(usize, i32)>,
    /// Bytes that fit.
    capacity: Option<usize>,
    /// What the file system says of its room.
    space: Option<Space>,
    /// How many syncs of files are left until one fails.
    good_syncs: Option<usize>,
    syncs_held: bool,
    held: usize,
    /// How many of the held syncs may go on.
    let_go: usize,
}

#[derive(Clone)]
enum Move {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    reserved: usize,
}

struct Open {
    disk: Disk,
    number: usize,
}

impl Move {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, number) => drop(names.insert(name.clone(), *number)),
            Self::Rename(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl State {
    /// Counts a call; fails if it is the one that shall.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fails_at {
            Some((at, error)) if at + 1 == self.calls => Err(io::Error::from_raw_os_error(error)),
            _ => Ok(()),
        }
    }

    /// Counts a step; fails if the process dies at it or is dead.
    fn step(&mut self, what: String) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("the process is dead"));
        }
        if self.dies_at == Some(self.steps.len()) {
            self.dead = true;
            return Err(io::Error::other("the process dies here"));
        }
        self.steps.push(what);
        Ok(())
    }

    fn name_of(&self, number: usize) -> String {
        let name = self.names.iter().find(|(_, other)| **other == number).map(|(name, _)| name.clone());
        name.unwrap_or_else(|| format!("(removed file {number})"))
    }

    fn rename(&mut self, happened: Move) {
        happened.apply(&mut self.names);
        self.moves.push(happened);
    }

    fn check_room(&self, number: usize, size: usize) -> io::Result<()> {
        let taken = |file: &Content| file.seen.len().max(file.reserved);
        let others: usize =
            self.names.values().filter(|other| **other != number).map(|other| taken(&self.files[*other])).sum();
        let fits = self.capacity.is_none_or(|capacity| others + size.max(taken(&self.files[number])) <= capacity);
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl Content {
    fn write(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
        if bytes.len() < at + what.len() {
            bytes.resize(at + what.len(), 0);
        }
        bytes[at..at + what.len()].copy_from_slice(what);
    }

    fn after(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        match loss {
            Loss::Nothing => self.seen.clone(),
            Loss::Unsynced => self.durable.clone(),
            Loss::Some(_) => {
                let mut bytes = self.durable.clone();
                for (at, what) in &self.pending {
                    let mut from = 0;
                    while from < what.len() {
                        let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(what.len());
                        if dice.toss() {
                            Self::write(&mut bytes, at + from, &what[from..to]);
                        }
                        from = to;
                    }
                }
                bytes
            }
        }
    }
}

impl Disk {
    /// Returns the disk as a machine finds it that starts after a crash.
    pub(crate) fn after(&self, loss: Loss) -> Self {
        let state = self.state();
        let mut dice = Dice(if let Loss::Some(seed) = loss { seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 } else { 1 });
        let mut names = state.durable_names.clone();
        let survive = match loss {
            Loss::Nothing => state.moves.len(),
            Loss::Unsynced => 0,
            // A journal keeps their order.
            Loss::Some(_) => dice.below(state.moves.len() + 1),
        };
        state.moves.iter().take(survive).for_each(|happened| happened.apply(&mut names));
        let content = |file: &Content| {
            let seen = file.after(loss, &mut dice);
            Content { durable: seen.clone(), seen, ..Content::default() }
        };
        let files = state.files.iter().map(content).collect();
        let fresh = State { durable_names: names.clone(), names, files, capacity: state.capacity, ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(fresh), changed: Condvar::new() }))
    }

    /// Lets the process die at a step: the first has the number 0.
    pub(crate) fn die_at(&self, step: usize) {
        self.state().dies_at = Some(step);
    }

    /// Lets one call fail with an error of the system; the first has the number 0. Whatever comes after it works.
    pub(crate) fn fail_at(&self, call: usize, error: i32) {
        self.state().fails_at = Some((call, error));
    }

    /// Returns how many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Nothing can be read or written any more.
    pub(crate) fn die(&self) {
        self.state().dead = true;
    }

    /// Returns what was done to files so far.
    pub(crate) fn steps(&self) -> Vec<String> {
        self.state().steps.clone()
    }

    /// Limits how many bytes fit.
    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// Says how much of the file system is free, and how large it is.
    pub(crate) fn set_space(&self, space: Space) {
        self.state().space = Some(space);
    }

    /// Returns how many bytes the files take.
    pub(crate) fn used(&self) -> usize {
        let state = self.state();
        state.names.values().map(|number| state.files[*number].seen.len().max(state.files[*number].reserved)).sum()
    }

    /// Lets a sync fail once, after so many that work.
    pub(crate) fn fail_sync_after(&self, good: usize) {
        self.state().good_syncs = Some(good);
    }

    /// Lets syncs of files wait.
    pub(crate) fn hold_syncs(&self) {
        self.state().syncs_held = true;
    }

    /// Waits until a sync waits.
    pub(crate) fn wait_for_held_sync(&self) {
        drop(self.0.changed.wait_while(self.state(), |state| state.held == state.let_go).unwrap());
    }

    /// Waits until there is a file.
    pub(crate) fn wait_for(&self, name: &str) {
        drop(self.0.changed.wait_while(self.state(), |state| !state.names.contains_key(name)).unwrap());
    }

    /// Lets one sync that waits go on, and holds the next.
    pub(crate) fn let_one_sync_go(&self) {
        self.state().let_go += 1;
        self.0.changed.notify_all();
    }

    /// Lets syncs go on.
    pub(crate) fn release_syncs(&self) {
        self.state().syncs_held = false;
        self.0.changed.notify_all();
    }

    /// Returns a file's bytes.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].seen.clone()
    }

    /// Changes a file behind the log's back.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let number = state.names[name];
        let file = &mut state.files[number];
        change(&mut file.seen);
        file.durable = file.seen.clone();
        file.pending.clear();
    }

    /// Adds a file behind the log's back.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let number = state.files.len();
        state.files.push(Content { seen: bytes.to_vec(), durable: bytes.to_vec(), ..Content::default() });
        state.names.insert(name.to_owned(), number);
        state.durable_names.insert(name.to_owned(), number);
    }

    /// Removes a file behind the log's back.
    pub(crate) fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name).unwrap();
        state.durable_names.remove(name);
    }

    /// Returns the names of the files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn opened(&self, number: usize) -> Arc<dyn LogFile> {
        Arc::new(Open { disk: self.clone(), number })
    }
}

impl Files for Disk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        state.call()?;
        state.step(format!("create {name}"))?;
        let number = state.files.len();
        state.files.push(Content::default());
        state.rename(Move::Create(name.to_owned(), number));
        Ok(self.opened(number))
    }

    fn open(&self, name: &str, _writable: bool) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        state.call()?;
        let number = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.opened(number))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.step(format!("rename {from} to {to}"))?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename(Move::Rename(from.to_owned(), to.to_owned()));
        self.0.changed.notify_all();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.step(format!("remove {name}"))?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename(Move::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.state().call()?;
        Ok(self.names())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.step("sync the directory".to_owned())?;
        state.moves.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn space(&self) -> io::Result<Option<Space>> {
        Ok(self.state().space)
    }
}

impl LogFile for Open {
    fn reserve(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        state.check_room(self.number, size as usize)?;
        state.files[self.number].reserved = size as usize;
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check_room(self.number, at as usize + bytes.len())?;
        let name = state.name_of(self.number);
        let lives = !state.dead;
        let stepped = state.call().and_then(|()| state.step(format!("write {} bytes of {name} at {at}", bytes.len())));
        // Whoever dies or fails while writing has written a part.
        let done = if stepped.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        if lives {
            let file = &mut state.files[self.number];
            Content::write(&mut file.seen, at as usize, done);
            file.pending.push((at as usize, done.to_vec()));
        }
        stepped
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.syncs_held {
            state.held += 1;
            self.disk.0.changed.notify_all();
            state = self.disk.0.changed.wait_while(state, |state| state.syncs_held && state.let_go == 0).unwrap();
            state.held -= 1;
            state.let_go = state.let_go.saturating_sub(1);
        }
        let name = state.name_of(self.number);
        state.step(format!("sync {name}"))?;
        let mut synced = state.call();
        if let Some(good) = state.good_syncs {
            state.good_syncs = good.checked_sub(1);
            if good == 0 {
                synced = Err(io::Error::from_raw_os_error(5));
            }
        }
        if synced.is_err() {
            // As kernels do it: what could not be written is not tried again.
            state.files[self.number].pending.clear();
            return synced;
        }
        let file = &mut state.files[self.number];
        for (at, what) in std::mem::take(&mut file.pending) {
            Content::write(&mut file.durable, at, &what);
        }
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        let from = &state.files[self.number].seen;
        let part = from.get(at as usize..at as usize + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(part);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.call()?;
        Ok(state.files[self.number].seen.len() as u64)
    }
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn toss(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() >> 33) as usize % most
    }
}
