//! Messages that are to be told to those who are away: all of a channel and a few seconds as one.

use std::collections::{BTreeMap, BTreeSet};

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Offset, UserName};

use crate::engine::record::ChannelId;

/// What waits to be told of a channel.
#[derive(Debug)]
pub(super) struct Window {
    /// When it is told.
    closes: UnixMillis,
    /// From where on, to those who were away all the time.
    pub(super) first: Offset,
    /// Who has seen everything up to an offset: they went away later, or wrote themselves.
    pub(super) seen: BTreeMap<UserName, Offset>,
    /// The records that say that it is due.
    pub(super) recorded: Vec<Offset>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Windows {
    open: BTreeMap<ChannelId, Window>,
    closing: BTreeSet<(UnixMillis, ChannelId)>,
}

impl Windows {
    pub(super) fn get_mut(&mut self, channel: ChannelId) -> Option<&mut Window> {
        self.open.get_mut(&channel)
    }

    /// Opens a window, or sees to it that the one that is open closes no later.
    pub(super) fn open(&mut self, channel: ChannelId, first: Offset, closes: UnixMillis) -> &mut Window {
        let new = || Window { closes, first, seen: BTreeMap::new(), recorded: Vec::new() };
        let window = self.open.entry(channel).or_insert_with(new);
        self.closing.remove(&(window.closes, channel));
        window.closes = window.closes.min(closes);
        window.first = window.first.min(first);
        self.closing.insert((window.closes, channel));
        window
    }

    /// A record says that messages are to be told.
    pub(super) fn restore(&mut self, channel: ChannelId, first: Offset) {
        self.open(channel, first, UnixMillis::MAX).recorded.push(first);
    }

    /// A record says that they were.
    pub(super) fn settle(&mut self, channel: ChannelId, first: Offset) {
        let Some(window) = self.open.get_mut(&channel) else { return };
        // There may be a later record of the same offset, which this one does not settle.
        if let Some(index) = window.recorded.iter().position(|recorded| *recorded == first) {
            window.recorded.swap_remove(index);
        }
        match window.recorded.iter().min() {
            Some(least) => window.first = *least,
            None => self.forget(channel),
        }
    }

    pub(super) fn forget(&mut self, channel: ChannelId) {
        if let Some(window) = self.open.remove(&channel) {
            self.closing.remove(&(window.closes, channel));
        }
    }

    /// Nobody has come yet: windows stay open until then.
    pub(super) fn begin(&mut self, by: UnixMillis) {
        self.closing = self.open.keys().map(|channel| (by, *channel)).collect();
        self.open.values_mut().for_each(|window| window.closes = by);
    }

    /// Takes the next window that closes by now.
    pub(super) fn next(&mut self, now: UnixMillis) -> Option<(ChannelId, Window)> {
        let (_, channel) = self.closing.first().filter(|(at, _)| *at <= now).copied()?;
        let window = self.open.remove(&channel)?;
        self.closing.remove(&(window.closes, channel));
        Some((channel, window))
    }

    pub(super) fn due(&self) -> Option<UnixMillis> {
        self.closing.first().map(|(at, _)| *at)
    }

    /// Returns what records say is due.
    pub(super) fn recorded(&self) -> impl Iterator<Item = (ChannelId, Offset)> {
        self.open.iter().flat_map(|(id, window)| window.recorded.iter().map(|first| (*id, *first)))
    }
}
