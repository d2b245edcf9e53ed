//! Who gets the live messages of a channel, and in which form.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use moorline_protocol::{Codec, Offset};

use super::io::ConnId;
use super::packing::Recent;

/// How a connection takes live messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// As JSON.
    Json,
    /// In binary, as they are.
    Plain,
    /// In binary, deflated once it holds the dictionary: it was sent everything from `held` on.
    Packed {
        /// An offset.
        held: Offset,
    },
}

impl Seat {
    /// Returns the seat of those who cannot inflate.
    pub(super) fn plain(codec: Codec) -> Self {
        match codec {
            Codec::Binary => Self::Plain,
            Codec::Json => Self::Json,
        }
    }
}

/// The live connections of a channel. Each cohort gets the same bytes.
#[derive(Debug, Default)]
pub(super) struct Cohorts {
    pub(super) json: Arc<Vec<ConnId>>,
    pub(super) plain: Arc<Vec<ConnId>>,
    pub(super) packed: Arc<Vec<ConnId>>,
    /// Those of `plain` that can inflate and do not hold the dictionary yet, with what they hold.
    waiting: BTreeMap<ConnId, Offset>,
    /// At most the lowest offset in `waiting`.
    soonest: Offset,
    /// The dictionary, as long as there is somebody who can inflate.
    pub(super) recent: Recent,
}

impl Cohorts {
    /// Takes a connection in. `fanned` is the newest message that was sent to all.
    pub(super) fn join(&mut self, conn: ConnId, seat: Seat, fanned: Offset) {
        match seat {
            Seat::Json => insert(&mut self.json, conn),
            Seat::Plain => insert(&mut self.plain, conn),
            Seat::Packed { held } => {
                if !self.is_packing() {
                    self.recent = Recent::before(fanned.next());
                }
                if held <= self.recent.oldest() {
                    return insert(&mut self.packed, conn);
                }
                insert(&mut self.plain, conn);
                self.soonest = if self.waiting.is_empty() { held } else { self.soonest.min(held) };
                self.waiting.insert(conn, held);
            }
        }
    }

    pub(super) fn leave(&mut self, conn: ConnId, codec: Codec) {
        match codec {
            Codec::Json => remove(&mut self.json, conn),
            Codec::Binary => {
                remove(&mut self.plain, conn);
                remove(&mut self.packed, conn);
                self.waiting.remove(&conn);
            }
        }
        if !self.is_packing() {
            self.recent = Recent::default();
        }
    }

    /// Tells whether anybody here can inflate.
    fn is_packing(&self) -> bool {
        !(self.packed.is_empty() && self.waiting.is_empty())
    }

    /// Adds what was sent to all to the dictionary, as long as somebody can use it.
    pub(super) fn remember(&mut self, messages: &[Bytes]) {
        if self.is_packing() {
            messages.iter().for_each(|message| self.recent.push(message));
            self.promote();
        }
    }

    /// Lets those into the packed cohort who hold the whole dictionary by now.
    fn promote(&mut self) {
        let oldest = self.recent.oldest();
        if self.waiting.is_empty() || self.soonest > oldest {
            return;
        }
        let (plain, packed) = (Arc::make_mut(&mut self.plain), Arc::make_mut(&mut self.packed));
        let waiting = &self.waiting;
        plain.retain(|conn| waiting.get(conn).is_none_or(|held| *held > oldest));
        packed.extend(waiting.iter().filter(|(_, held)| **held <= oldest).map(|(conn, _)| *conn));
        packed.sort_unstable();
        self.waiting.retain(|_, held| *held > oldest);
        self.soonest = self.waiting.values().copied().min().unwrap_or_default();
    }
}

fn remove(cohort: &mut Arc<Vec<ConnId>>, conn: ConnId) {
    if let Ok(at) = cohort.binary_search(&conn) {
        Arc::make_mut(cohort).remove(at);
    }
}

fn insert(cohort: &mut Arc<Vec<ConnId>>, conn: ConnId) {
    if let Err(at) = cohort.binary_search(&conn) {
        Arc::make_mut(cohort).insert(at, conn);
    }
}
