//! Subscriptions: one per channel, whatever the number of readers.

mod acks;
mod channel;
mod delivery;
mod forgetting;
mod packed;
mod presence;
mod recovery;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{ChannelName, ChannelRef, ClientFrame, Position, Qos, Since, Subscribe};

use crate::closing::closed_failure;
use crate::config::{ClientConfig, StartAt, SubscribeOptions};
use crate::error::SubscribeError;
use crate::event::{Event, Failure};
use crate::ids::SubscriptionId;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::presence::{Asks, Room as Presence};
use crate::sorted::search;
use crate::store::Key;
use crate::timer::is_due;
use channel::{Channel, Options};
use delivery::Room;
use forgetting::Forgotten;
use packed::Packing;

/// Last positions of channels that are not read any more: so many are remembered.
const REMEMBERED: usize = 256;

/// All channels that are read, in the order of their names.
pub(crate) struct Subscriptions {
    channels: Vec<Channel>,
    /// Where a number leads; rebuilt when a channel comes or goes.
    numbers: Vec<(u64, usize)>,
    /// Where a reader leads; rebuilt likewise.
    readers: Vec<(u64, usize)>,
    /// Durable cursors found in the store and kept there, of channels that are not read.
    cursors: Vec<(ChannelName, Cursor)>,
    /// Where channels without a cursor were left.
    left: Vec<(ChannelName, Position)>,
    /// Whether all readers were told that nothing comes any more.
    is_over: bool,
    /// Cursors that the server is to drop.
    forgotten: Vec<Forgotten>,
    next_id: u64,
    /// What the app asked about presence.
    pub(crate) asks: Asks,
    room: Room,
    packing: Packing,
    bugs: Bugs,
}

/// A durable cursor as the store has it.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) key: Key,
    pub(crate) position: Position,
}

impl Subscriptions {
    pub(crate) fn new(
        config: &ClientConfig,
        cursors: Vec<(Key, ChannelName, Position)>,
        forgotten: Vec<(Key, ChannelName)>,
    ) -> Self {
        let mut sorted: Vec<(ChannelName, Cursor)> = Vec::new();
        for (key, channel, position) in cursors {
            let (Ok(at) | Err(at)) = search(&sorted, channel.as_str(), |(name, _)| name.as_str());
            sorted.insert(at, (channel, Cursor { key, position }));
        }
        Self {
            channels: Vec::new(),
            numbers: Vec::new(),
            readers: Vec::new(),
            cursors: sorted,
            left: Vec::new(),
            is_over: false,
            forgotten: forgotten.into_iter().map(|(key, name)| Forgotten::new(key, name)).collect(),
            next_id: 1,
            asks: Asks::default(),
            room: Room { messages: config.queue_messages as u64, bytes: config.queue_bytes },
            packing: Packing::new(config.compression, config.bugs),
            bugs: config.bugs,
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        name: &ChannelName,
        options: SubscribeOptions,
        may_ask: bool,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Result<SubscriptionId, SubscribeError> {
        let id = SubscriptionId(self.next_id);
        match self.find(name) {
            Ok(index) => {
                let Some(channel) = self.channels.get_mut(index) else { return Err(SubscribeError::Closed) };
                channel.accepts(&options)?;
                channel.add_reader(id, out);
            }
            Err(index) => {
                let room = Presence::new(options.presence.unwrap_or_default(), options.state.clone(), self.bugs);
                let mut channel = Channel::new(name.clone(), Options::resolve(&options)?, room, self.bugs);
                self.recall(&mut channel);
                channel.add_reader(id, out);
                if may_ask {
                    let subscribe = channel.join(now, out);
                    out.send(&ClientFrame::Subscribe(subscribe));
                }
                self.channels.insert(index, channel);
            }
        }
        self.next_id += 1;
        self.reindex();
        Ok(id)
    }

    /// Gives a channel what an earlier subscription or process left for it.
    fn recall(&mut self, channel: &mut Channel) {
        if channel.options.is_durable {
            if let Ok(index) = search(&self.cursors, channel.name.as_str(), |(name, _)| name.as_str()) {
                channel.acks.adopt(self.cursors.remove(index).1);
            }
        } else if channel.options.since == StartAt::Resume
            && channel.options.qos > Qos::AtMostOnce
            && let Some(index) = self.left.iter().position(|(name, _)| *name == channel.name)
        {
            channel.position = Some(self.left.remove(index).1);
        }
    }

    pub(crate) fn unsubscribe(
        &mut self,
        id: SubscriptionId,
        forget: bool,
        may_ask: bool,
        now: Timestamp,
        out: &mut Outgoing,
    ) {
        let Some(index) = self.reader_index(id) else { return };
        let Some(channel) = self.channels.get_mut(index) else { return };
        channel.remove_reader(id);
        if channel.readers.is_empty() {
            if !forget {
                channel.leave(now, out);
            }
            let channel = self.channels.remove(index);
            if forget {
                self.forget(&channel.name, may_ask, out);
            }
            self.asks.end(&channel.name, &closed_failure(), out);
            self.remember(channel, forget, out);
        } else {
            channel.advance_cursor(now, out);
            channel.confirm(self.room, out);
        }
        self.reindex();
    }

    /// Keeps what a later subscription of this process may go on from.
    fn remember(&mut self, channel: Channel, forget: bool, out: &mut Outgoing) {
        if let Some(cursor) = channel.acks.cursor() {
            if forget {
                out.store.delete_cursor(cursor.key);
            } else if let Err(index) = search(&self.cursors, channel.name.as_str(), |(name, _)| name.as_str()) {
                self.cursors.insert(index, (channel.name, cursor));
            }
        } else if let Some(position) = channel.position {
            self.left.retain(|(name, _)| *name != channel.name);
            if self.left.len() >= REMEMBERED {
                self.left.remove(0);
            }
            self.left.push((channel.name, position));
        }
    }

    /// Returns the subscriptions for a `hello`; all are being joined then.
    pub(crate) fn join_all(&mut self, now: Timestamp, out: &mut Outgoing) -> Vec<Subscribe> {
        let forgets = self.bugs.has(Bug::ResumeFromNow);
        let join = |channel: &mut Channel| {
            let subscribe = channel.join(now, out);
            if forgets { Subscribe { since: Since::Now, ..subscribe } } else { subscribe }
        };
        self.channels.iter_mut().map(join).collect()
    }

    pub(crate) fn on_lost(&mut self) {
        for channel in &mut self.channels {
            channel.detach();
        }
        for forgotten in &mut self.forgotten {
            forgotten.detach();
        }
        self.asks.on_lost();
        self.numbers.clear();
        self.packing.on_lost();
    }

    pub(crate) fn consumed(&mut self, id: SubscriptionId, messages: usize, out: &mut Outgoing) {
        let room = self.room;
        if let Some(channel) = self.reader_index(id).and_then(|index| self.channels.get_mut(index)) {
            channel.consumed(id, messages as u64);
            channel.confirm(room, out);
        }
    }

    pub(crate) fn head(&self, id: SubscriptionId) -> Option<Position> {
        self.reader_index(id).and_then(|index| self.channels.get(index)?.head())
    }

    pub(crate) fn ack(&mut self, id: SubscriptionId, position: Position, now: Timestamp, out: &mut Outgoing) {
        if let Some(channel) = self.reader_index(id).and_then(|index| self.channels.get_mut(index)) {
            channel.ack(id, position, now, out);
        }
    }

    /// Sends and stores every acknowledgement that waits.
    pub(crate) fn flush_acks(&mut self, now: Timestamp, out: &mut Outgoing) {
        for channel in &mut self.channels {
            channel.flush_ack(now, out);
        }
    }

    /// Tells whether the server has confirmed every cursor that it was told.
    pub(crate) fn is_acked(&self) -> bool {
        self.channels.iter().all(Channel::is_acked)
    }

    pub(crate) fn position(&self, name: &ChannelName) -> Option<Position> {
        self.channels.get(self.find(name).ok()?)?.position
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.channels.iter().filter_map(Channel::deadline).chain(self.asks.deadline()).min()
    }

    /// Handles deadlines; tells whether the server owes an answer.
    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) -> bool {
        let mut is_unanswered = false;
        self.act_again(now, out);
        self.asks.on_timeout(now, out);
        for channel in &mut self.channels {
            if is_due(channel.deadline(), now) {
                channel.on_timeout(now, out);
                is_unanswered |= channel.is_unanswered(now);
            }
        }
        is_unanswered
    }

    fn find(&self, name: &ChannelName) -> Result<usize, usize> {
        search(&self.channels, name.as_str(), |channel| channel.name.as_str())
    }

    fn reader_index(&self, id: SubscriptionId) -> Option<usize> {
        let index = self.readers.binary_search_by_key(&id.0, |(reader, _)| *reader).ok()?;
        self.readers.get(index).map(|(_, channel)| *channel)
    }

    /// Finds a channel that is being read on this connection; deliveries for others are dropped.
    fn joined(&mut self, reference: &ChannelRef) -> Option<&mut Channel> {
        let index = self.joined_index(reference)?;
        self.channels.get_mut(index)
    }

    fn joined_index(&self, reference: &ChannelRef) -> Option<usize> {
        match reference {
            ChannelRef::Number(number) => {
                let Ok(index) = self.numbers.binary_search_by_key(&u64::from(number.0), |(present, _)| *present) else {
                    return self.bugs.has(Bug::EndedDelivers).then_some(0);
                };
                self.numbers.get(index).map(|(_, index)| *index)
            }
            ChannelRef::Name(name) => {
                self.channels.iter().position(|channel| channel.is_joined() && channel.canonical == *name)
            }
        }
    }

    fn reindex(&mut self) {
        self.numbers.clear();
        self.readers.clear();
        for (index, channel) in self.channels.iter().enumerate() {
            self.numbers.extend(channel.number().map(|number| (u64::from(number.0), index)));
            self.readers.extend(channel.readers.iter().map(|reader| (reader.id.0, index)));
        }
        self.numbers.sort_unstable();
        self.readers.sort_unstable();
    }

    /// Tells all readers that nothing comes any more. What they are done with still counts.
    pub(crate) fn end_all(&mut self, failure: &Failure, out: &mut Outgoing) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.asks.fail_all(failure, out);
        for channel in &self.channels {
            let readers = channel.reader_ids.clone();
            out.event(Event::SubscriptionEnded { readers, failure: failure.clone() });
        }
    }

    /// Takes a channel away because the server ended it.
    fn end(&mut self, index: usize, failure: Failure, out: &mut Outgoing) {
        let channel = self.channels.remove(index);
        self.asks.end(&channel.name, &failure, out);
        out.event(Event::SubscriptionEnded { readers: channel.reader_ids.clone(), failure });
        self.remember(channel, false, out);
        self.reindex();
    }
}
