//! Copies forward what is left of nearly empty segments, so that a few survivors do not pin them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::time::UnixMillis;

use super::files::Files;
use super::places::Places;
use super::reader::{self, ReadError, Source};
use super::segment::{Lsn, Segments};
use crate::engine::core::Kept;
use crate::engine::record::{ChannelId, Record};

/// A segment is copied when less than one part in so many of it is still wanted.
const SPARSE: u64 = 4;
/// Bytes copied in one turn, about: appends wait for no more than this.
const TURN_BYTES: usize = 256 << 10;

/// The messages that are still wanted of one segment.
pub(super) type Survivors = VecDeque<(ChannelId, Kept)>;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Mover {
    state: State,
    /// Segments that cannot be read: they stay as they are.
    stuck: BTreeSet<Lsn>,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// Somebody reads what is left of a segment.
    Reading,
    /// What is left is written, some each turn.
    Writing { segment: Lsn, survivors: Survivors },
}

impl Mover {
    /// Chooses a segment that is worth copying: sealed, covered by a checkpoint, sparse. Returns how to read what is
    /// left of it.
    pub(super) fn choose(&mut self, segments: &Segments, places: &Places, covered: Lsn) -> Option<(Lsn, Vec<Source>)> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let is_sparse = |base: Lsn, used: u64| {
            let live = places.live(base);
            live > 0 && live * SPARSE < used && !self.stuck.contains(&base)
        };
        let (base, segment) = segments
            .iter()
            .find(|(base, segment)| segment.end.is_some_and(|end| end <= covered) && is_sparse(*base, segment.used))?;
        self.state = State::Reading;
        Some((base, places.of(base).into_iter().map(|span| Source::new(span, segment)).collect()))
    }

    /// What is left of the chosen segment was read.
    pub(super) fn read(&mut self, segment: Lsn, survivors: Result<Survivors, ReadError>) {
        self.state = match survivors {
            Ok(survivors) => State::Writing { segment, survivors },
            Err(error) => {
                tracing::error!(%error, "the log is damaged: look with `moorline-server inspect`");
                self.stuck.insert(segment);
                State::Idle
            }
        };
    }

    /// Tells whether there is something to write.
    pub(super) fn has_work(&self) -> bool {
        matches!(self.state, State::Writing { .. })
    }

    /// Returns what is to be written this turn.
    pub(super) fn next(&mut self, places: &Places, now: UnixMillis) -> Vec<Record> {
        let mut records = Vec::new();
        let State::Writing { segment, survivors } = &mut self.state else { return records };
        let mut bytes = 0;
        while bytes < TURN_BYTES {
            let Some((channel, mut message)) = survivors.pop_front() else {
                self.state = State::Idle;
                break;
            };
            // Meanwhile it may have been dropped.
            if places.segment_of(channel, message.offset) != Some(*segment) {
                continue;
            }
            if message.expires.is_some_and(|at| at <= now) {
                // Nobody will read it; only its place is still counted.
                message.bytes = Bytes::new();
            }
            bytes += message.bytes.len() + 32;
            records.push(Record::Moved { channel, message });
        }
        records
    }
}

/// Reads what is left of a segment.
pub(super) fn survivors(files: &Arc<dyn Files>, sources: &[Source]) -> Result<Survivors, ReadError> {
    let mut survivors = Survivors::new();
    for source in sources {
        let messages = reader::all(files.as_ref(), source)?;
        survivors.extend(messages.into_iter().map(|message| (source.span.channel, message)));
    }
    Ok(survivors)
}
