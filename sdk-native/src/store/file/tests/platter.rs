//! A disk whose calls can fail, and whose power can be cut.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::super::disk::{Disk, Replace};

/// Which call fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// So many calls from this one on; then the disk is well again.
    Some(usize, usize, Renamed),
    /// This one and all after it: also a power cut, since nothing of what comes later reaches the disk.
    From(usize, Renamed),
}

/// How far a failing `replace` comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renamed {
    Not,
    Perhaps,
}

enum Change {
    Append(usize, Vec<u8>),
    Truncate(usize),
}

/// A disk with a cache, as a crash sees it.
pub(super) struct Platter {
    pub(super) calls: usize,
    /// Calls that need room.
    pub(super) writes: usize,
    pub(super) fault: Fault,
    /// What a reader sees.
    pub(super) cached: Option<Vec<u8>>,
    /// The file that changes go to.
    pub(super) file: usize,
    changes: Vec<Change>,
    /// What may be there after a power cut if no change since the last sync is: files and their content.
    durable: BTreeSet<(usize, Option<Vec<u8>>)>,
}

impl Platter {
    pub(super) fn new(content: Option<Vec<u8>>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            calls: 0,
            writes: 0,
            fault: Fault::None,
            durable: BTreeSet::from([(0, content.clone())]),
            cached: content,
            file: 0,
            changes: Vec::new(),
        }))
    }

    /// Counts a call; tells whether it fails, and whether it may leave traces.
    fn fails(&mut self) -> Option<(Renamed, bool)> {
        self.calls += 1;
        match self.fault {
            Fault::Some(at, count, renamed) if (at..at + count).contains(&self.calls) => Some((renamed, true)),
            Fault::From(at, renamed) if at == self.calls => Some((renamed, true)),
            Fault::From(at, renamed) if at < self.calls => Some((renamed, false)),
            Fault::None | Fault::Some(..) | Fault::From(..) => None,
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.cached, &change);
        self.changes.push(change);
    }

    /// Everything that a power cut can leave: the changes since the last sync up to any point, the last one cut short
    /// or with bytes that were never written.
    pub(super) fn after_a_power_cut(&self) -> BTreeSet<(usize, Option<Vec<u8>>)> {
        let mut all = self.durable.clone();
        let mut images: Vec<_> = self.durable.iter().filter(|(file, _)| *file == self.file).cloned().collect();
        for change in &self.changes {
            let mut next = Vec::new();
            for (file, image) in images {
                for partial in parts(change) {
                    let mut image = image.clone();
                    apply(&mut image, &partial);
                    all.insert((file, image));
                }
                let mut image = image;
                apply(&mut image, change);
                all.insert((file, image.clone()));
                next.push((file, image));
            }
            images = next;
        }
        all
    }
}

fn parts(change: &Change) -> Vec<Change> {
    let Change::Append(at, bytes) = change else { return Vec::new() };
    let zeros = |from: usize, to: usize| {
        let mut bytes = bytes.clone();
        bytes[from..to].fill(0);
        Change::Append(*at, bytes)
    };
    let half = bytes.len() / 2;
    let mut parts: Vec<_> = [1, 12, half, bytes.len() - 1]
        .into_iter()
        .map(|length| Change::Append(*at, bytes[..length.min(bytes.len())].to_vec()))
        .collect();
    parts.extend([zeros(0, bytes.len()), zeros(0, half)]);
    parts
}

fn apply(image: &mut Option<Vec<u8>>, change: &Change) {
    let Some(image) = image else { return };
    match change {
        Change::Append(at, bytes) => {
            image.resize(image.len().max(at + bytes.len()), 0);
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Change::Truncate(length) => image.truncate(*length),
    }
}

impl Disk for Rc<RefCell<Platter>> {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.borrow().cached.clone())
    }

    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.borrow_mut();
        platter.writes += 1;
        match platter.fails() {
            None => platter.change(Change::Append(at as usize, bytes.to_vec())),
            Some((_, traces)) => {
                if traces {
                    platter.change(Change::Append(at as usize, bytes[..bytes.len() - 1].to_vec()));
                }
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut platter = self.borrow_mut();
        if platter.fails().is_some() {
            return Err(io::Error::other("truncate"));
        }
        platter.change(Change::Truncate(length as usize));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.borrow_mut();
        if platter.fails().is_some() {
            // The system forgets that it has not written them.
            platter.durable = platter.after_a_power_cut();
            platter.changes.clear();
            return Err(io::Error::other("sync"));
        }
        let (file, changes) = (platter.file, std::mem::take(&mut platter.changes));
        let synced = std::mem::take(&mut platter.durable).into_iter().map(|(of, mut image)| {
            changes.iter().filter(|_| of == file).for_each(|change| apply(&mut image, change));
            (of, image)
        });
        platter.durable = synced.collect();
        Ok(())
    }

    fn replace(&mut self, content: &[u8]) -> Result<(), Replace> {
        let mut platter = self.borrow_mut();
        platter.writes += 1;
        let failed = platter.fails();
        if let Some((_, false) | (Renamed::Not, true)) = failed {
            return Err(Replace::Not(io::ErrorKind::StorageFull.into()));
        }
        let before = if failed.is_some() { platter.after_a_power_cut() } else { BTreeSet::new() };
        platter.changes.clear();
        platter.file += 1;
        platter.cached = Some(content.to_vec());
        platter.durable = before;
        let new = (platter.file, platter.cached.clone());
        platter.durable.insert(new);
        if failed.is_some() { Err(Replace::Perhaps(io::Error::other("folder"))) } else { Ok(()) }
    }
}
