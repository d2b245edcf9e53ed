//! Where each message stands: runs of consecutive offsets, of which only those of the segment that is written have
//! their entries in memory. What memory it takes grows with channels and segments, not with messages.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;

use moorline_protocol::Offset;
use moorline_protocol::time::UnixMillis;
use rustc_hash::FxHashMap;

use super::index::{Entry, Extent};
use super::segment::Lsn;
use crate::engine::core::{Part, Query};
use crate::engine::record::ChannelId;

/// Looks up entries of a sealed segment's index, by their number.
pub(super) type Lookup<'a> = &'a dyn Fn(Lsn, Range<u32>) -> io::Result<Vec<Entry>>;

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: Lsn,
    pub(super) time: UnixMillis,
    pub(super) entry: Entry,
}

/// The entries of a run or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entries {
    /// Here.
    Here(VecDeque<Entry>),
    /// In the segment's index, from this number on.
    Indexed(u32),
}

/// Consecutive offsets of a channel in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) segment: Lsn,
    pub(super) extent: Extent,
    pub(super) entries: Entries,
}

impl Run {
    fn of(channel: ChannelId, offset: Offset, place: Place) -> Self {
        let extent = Extent { channel, first: offset, count: 0, bytes: 0, oldest: place.time, newest: place.time };
        let mut run = Self { segment: place.segment, extent, entries: Entries::Here(VecDeque::new()) };
        run.push(place);
        run
    }

    fn push(&mut self, place: Place) {
        if let Entries::Here(entries) = &mut self.entries {
            entries.push_back(place.entry);
            self.extent.count += 1;
            self.extent.bytes += u64::from(place.entry.len);
            self.extent.newest = self.extent.newest.max(place.time);
        }
    }

    /// The offset after its last message.
    fn end(&self) -> Offset {
        Offset(self.extent.first.0 + u64::from(self.extent.count))
    }

    fn is_continued_by(&self, offset: Offset, segment: Lsn) -> bool {
        self.segment == segment && self.end() == offset && matches!(self.entries, Entries::Here(_))
    }

    /// Returns a part of its entries, from a number within the run to another.
    pub(super) fn part(&self, from: u32, to: u32, lookup: Lookup<'_>) -> io::Result<Vec<Entry>> {
        match &self.entries {
            Entries::Here(entries) => Ok(entries.range(from as usize..to as usize).copied().collect()),
            Entries::Indexed(slot) => lookup(self.segment, slot + from..slot + to),
        }
    }

    /// Cuts the run in two; the first `count` messages stay.
    fn split(&mut self, count: u32, lookup: Lookup<'_>) -> Self {
        let count = count.min(self.extent.count);
        // An index that cannot be read makes the sum a guess, which decides only when a segment is copied.
        let guess = self.extent.bytes * u64::from(count) / u64::from(self.extent.count.max(1));
        let kept = match count {
            0 => 0,
            all if all == self.extent.count => self.extent.bytes,
            part => self.part(0, part, lookup).map_or(guess, |entries| sum(&entries)),
        };
        let entries = match &mut self.entries {
            Entries::Here(entries) => Entries::Here(entries.split_off(count as usize)),
            Entries::Indexed(slot) => Entries::Indexed(*slot + count),
        };
        let first = Offset(self.extent.first.0 + u64::from(count));
        let bytes = self.extent.bytes.saturating_sub(kept);
        let rest = Extent { first, count: self.extent.count - count, bytes, ..self.extent };
        (self.extent.count, self.extent.bytes) = (count, kept.min(self.extent.bytes));
        Self { segment: self.segment, extent: rest, entries }
    }
}

fn sum(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| u64::from(entry.len)).sum()
}

/// A part of a run that a read needs.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) segment: Lsn,
    pub(super) channel: ChannelId,
    pub(super) first: Offset,
    pub(super) count: u32,
    pub(super) entries: Entries,
}

#[derive(Debug, Default)]
struct Channel {
    /// By offset, without overlaps.
    runs: VecDeque<Run>,
    bytes: u64,
}

impl Channel {
    /// Returns the number of the first run that ends after an offset.
    fn run_at(&self, offset: Offset) -> usize {
        self.runs.partition_point(|run| run.end() <= offset)
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Places {
    channels: FxHashMap<ChannelId, Channel>,
    /// Bytes of messages in each segment that are still wanted.
    live: BTreeMap<Lsn, u64>,
    /// Channels with runs whose entries are in memory, perhaps more than once.
    open: Vec<ChannelId>,
}

impl Places {
    /// Notes where a message stands: a channel's next one, or one that was moved.
    pub(super) fn put(&mut self, channel: ChannelId, offset: Offset, place: Place, lookup: Lookup<'_>) {
        let entry = self.channels.entry(channel).or_default();
        let bytes = u64::from(place.entry.len);
        entry.bytes += bytes;
        *self.live.entry(place.segment).or_default() += bytes;
        if let Some(last) = entry.runs.back_mut().filter(|run| run.is_continued_by(offset, place.segment)) {
            return last.push(place);
        }
        self.cut(channel, offset, offset, lookup);
        let Some(entry) = self.channels.get_mut(&channel) else { return };
        let at = entry.run_at(offset);
        let before = at.checked_sub(1).and_then(|before| entry.runs.get_mut(before));
        if let Some(before) = before.filter(|run| run.is_continued_by(offset, place.segment)) {
            return before.push(place);
        }
        entry.runs.insert(at, Run::of(channel, offset, place));
        self.open.push(channel);
    }

    /// Adds a run of a sealed segment. What it holds stands nowhere else any more.
    pub(super) fn add(&mut self, segment: Lsn, extent: Extent, slot: u32, lookup: Lookup<'_>) {
        if extent.count == 0 {
            return;
        }
        let run = Run { segment, extent, entries: Entries::Indexed(slot) };
        self.cut(extent.channel, extent.first, run.end().previous(), lookup);
        *self.live.entry(segment).or_default() += extent.bytes;
        let entry = self.channels.entry(extent.channel).or_default();
        entry.bytes += extent.bytes;
        let at = entry.run_at(extent.first);
        entry.runs.insert(at, run);
    }

    /// Drops offsets of a channel, both inclusive.
    fn cut(&mut self, channel: ChannelId, from: Offset, to: Offset, lookup: Lookup<'_>) {
        let Some(entry) = self.channels.get_mut(&channel) else { return };
        loop {
            let at = entry.run_at(from);
            if entry.runs.get(at).is_none_or(|run| run.extent.first > to) {
                return;
            }
            let Some(mut before) = entry.runs.remove(at) else { return };
            let mut gone = before.split(count(before.extent.first, from), lookup);
            let rest = gone.split(count(gone.extent.first, to.next()), lookup);
            for part in [rest, before].into_iter().filter(|part| part.extent.count > 0) {
                entry.runs.insert(at, part);
            }
            entry.bytes = entry.bytes.saturating_sub(gone.extent.bytes);
            let live = self.live.entry(gone.segment).or_default();
            *live = live.saturating_sub(gone.extent.bytes);
        }
    }

    /// Drops messages before `first`.
    pub(super) fn trim(&mut self, channel: ChannelId, first: Offset, lookup: Lookup<'_>) {
        if first > Offset::ZERO {
            self.cut(channel, Offset::ZERO, first.previous(), lookup);
        }
    }

    /// Drops a channel.
    pub(super) fn forget(&mut self, channel: ChannelId) {
        for run in self.channels.remove(&channel).into_iter().flat_map(|entry| entry.runs) {
            let live = self.live.entry(run.segment).or_default();
            *live = live.saturating_sub(run.extent.bytes);
        }
    }

    /// Takes the entries of a segment out of memory, for its index: all its runs, by channel and offset.
    pub(super) fn seal(&mut self, segment: Lsn) -> Vec<(Extent, Vec<Entry>)> {
        let mut channels = std::mem::take(&mut self.open);
        channels.sort_unstable();
        channels.dedup();
        let mut sealed = Vec::new();
        let mut slot = 0;
        for channel in channels {
            let Some(entry) = self.channels.get_mut(&channel) else { continue };
            for run in entry.runs.iter_mut().filter(|run| run.segment == segment) {
                let Entries::Here(entries) = std::mem::replace(&mut run.entries, Entries::Indexed(slot)) else {
                    continue;
                };
                slot += run.extent.count;
                sealed.push((run.extent, entries.into()));
            }
        }
        sealed
    }

    /// Returns where the messages of a read stand, ascending, as many as it may return.
    pub(super) fn find(&self, query: &Query) -> Vec<Span> {
        let Some(entry) = self.channels.get(&query.channel) else { return Vec::new() };
        let most = query.max_messages as u64;
        let (from, to) = match query.part {
            Part::Up { after, until } => (after.next(), Offset(until.0.min(after.0.saturating_add(most))).next()),
            Part::Down { from, before } => (from.max(Offset(before.0.saturating_sub(most))), before),
        };
        let runs = entry.runs.range(entry.run_at(from)..).take_while(|run| run.extent.first < to);
        runs.map(|run| span(run, from, to)).collect()
    }

    /// Returns where all messages stand that a segment holds for a reader still, by channel and offset.
    pub(super) fn of(&self, segment: Lsn) -> Vec<Span> {
        let mut channels: Vec<ChannelId> = self.channels.keys().copied().collect();
        channels.sort_unstable();
        let runs = channels.iter().filter_map(|channel| self.channels.get(channel)).flat_map(|entry| &entry.runs);
        runs.filter(|run| run.segment == segment).map(|run| span(run, Offset::ZERO, run.end())).collect()
    }

    /// Returns the segment in which a message stands.
    pub(super) fn segment_of(&self, channel: ChannelId, offset: Offset) -> Option<Lsn> {
        let entry = self.channels.get(&channel)?;
        entry.runs.get(entry.run_at(offset)).filter(|run| run.extent.first <= offset).map(|run| run.segment)
    }

    /// Returns the first offset whose message was stored at or after `time`; `read` tells the time of a record.
    pub(super) fn first_at(
        &self,
        channel: ChannelId,
        time: UnixMillis,
        lookup: Lookup<'_>,
        read: &dyn Fn(Lsn, Entry) -> Option<UnixMillis>,
    ) -> Option<Offset> {
        let runs = &self.channels.get(&channel)?.runs;
        let at = runs.partition_point(|run| run.extent.newest < time);
        runs.range(at..).find_map(|run| {
            if run.extent.oldest >= time {
                return Some(run.extent.first);
            }
            let is_earlier = |number: u32| {
                let entry = run.part(number, number + 1, lookup).ok().and_then(|part| part.first().copied());
                entry.and_then(|entry| read(run.segment, entry)).is_none_or(|of| of < time)
            };
            let (mut low, mut high) = (0, run.extent.count);
            while low < high {
                let middle = low + (high - low) / 2;
                if is_earlier(middle) { low = middle + 1 } else { high = middle }
            }
            (low < run.extent.count).then(|| Offset(run.extent.first.0 + u64::from(low)))
        })
    }

    /// Returns the offset from which on a channel's messages have at most so many bytes; `None` if not even the newest
    /// fits.
    pub(super) fn first_within(&self, channel: ChannelId, bytes: u64, lookup: Lookup<'_>) -> Option<Offset> {
        let entry = self.channels.get(&channel)?;
        let mut excess = entry.bytes.saturating_sub(bytes);
        for run in &entry.runs {
            if excess == 0 {
                return Some(run.extent.first);
            }
            if run.extent.bytes <= excess {
                excess -= run.extent.bytes;
                continue;
            }
            let entries = run.part(0, run.extent.count, lookup).ok()?;
            let mut gone = 0;
            let over = entries.iter().take_while(|entry| {
                let more = gone < excess;
                gone += u64::from(entry.len);
                more
            });
            return Some(Offset(run.extent.first.0 + over.count() as u64)).filter(|first| *first < run.end());
        }
        None
    }

    /// Returns the first offsets of a range that stand nowhere.
    pub(super) fn missing(&self, channel: ChannelId, first: Offset, head: Offset) -> Option<(Offset, Offset)> {
        let mut expected = first;
        let runs = self.channels.get(&channel).map(|entry| &entry.runs);
        for run in runs.into_iter().flatten() {
            if run.extent.first > expected {
                return Some((expected, run.extent.first.previous()));
            }
            expected = run.end();
        }
        (expected <= head).then_some((expected, head))
    }

    /// Returns the bytes of messages in a segment that are still wanted.
    pub(super) fn live(&self, segment: Lsn) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// A segment is gone.
    pub(super) fn remove(&mut self, segment: Lsn) {
        self.live.remove(&segment);
    }

    /// Returns how many messages of a channel there are, and their bytes.
    pub(super) fn size(&self, channel: ChannelId) -> (u64, u64) {
        let count = |entry: &Channel| entry.runs.iter().map(|run| u64::from(run.extent.count)).sum();
        self.channels.get(&channel).map_or((0, 0), |entry| (count(entry), entry.bytes))
    }

    /// Returns when the oldest message was stored; a moment before that where it shared a run with some that are gone.
    pub(super) fn oldest(&self) -> Option<UnixMillis> {
        self.channels.values().filter_map(|entry| entry.runs.front()).map(|run| run.extent.oldest).min()
    }

    pub(super) fn channels(&self) -> Vec<ChannelId> {
        self.channels.keys().copied().collect()
    }
}

/// Returns how many offsets there are from one to another, that one not included.
fn count(from: Offset, to: Offset) -> u32 {
    u32::try_from(to.0.saturating_sub(from.0)).unwrap_or(u32::MAX)
}

/// Returns the part of a run from an offset to another, that one not included.
fn span(run: &Run, from: Offset, to: Offset) -> Span {
    let skipped = count(run.extent.first, from).min(run.extent.count);
    let end = count(run.extent.first, to).min(run.extent.count);
    let entries = match &run.entries {
        Entries::Here(entries) => {
            Entries::Here(entries.range(skipped as usize..end.max(skipped) as usize).copied().collect())
        }
        Entries::Indexed(slot) => Entries::Indexed(slot + skipped),
    };
    let first = Offset(run.extent.first.0 + u64::from(skipped));
    let count = end.saturating_sub(skipped);
    Span { segment: run.segment, channel: run.extent.channel, first, count, entries }
}
