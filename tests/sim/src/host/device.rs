//! What happens to a client's device, process and network.

use bytes::Bytes;
use moorline_core::protocol::{ChannelName, GoawayReason, Offset, Position, ProducerState, ServerFrame, Utf8Bytes};
use moorline_core::{Client, ConnectionState, HistoryQuery, HostSignal, Input};

use super::Before;
use crate::client::{Disk, Process, Reading, SimClient};
use crate::frames;
use crate::network::Item;
use crate::world::{Happening, World, channel};

/// Percent of what arrives on a socket that was just closed which the host hands to the core all the same.
const LATE: u64 = 30;

impl World {
    pub(crate) fn freeze(&mut self, index: usize, ms: u64) {
        let until = self.now + ms * 1000;
        let life = self.clients[index].life;
        if let Some(process) = &mut self.clients[index].process {
            process.frozen_until = process.frozen_until.max(until);
            process.excuse_waiting();
            self.at(until, Happening::ClientThaw { client: index, life });
        }
    }

    /// A process goes on: everything that waited arrives at once.
    pub(crate) fn thaw(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life || self.is_frozen(index) {
            return;
        }
        while let Some(input) = self.clients[index].process.as_mut().and_then(|process| process.waiting.pop_front()) {
            self.input(index, input);
        }
        for link in 0..self.links.len() {
            if self.links[link].client == index && self.links[link].client_life == life {
                self.link_down(link);
            }
        }
        self.client_timer(index, life);
    }

    pub(crate) fn sleep(&mut self, index: usize, ms: u64) {
        // The world's clock goes on for all, so a sleep is a freeze whose timers the device does not count; the jump
        // is what the core sees.
        self.black_hole(index, ms.min(60_000), false);
        self.clients[index].slept_us += ms * 1000;
        let life = self.clients[index].life;
        if let Some(process) = &mut self.clients[index].process {
            process.excuse_waiting();
        }
        self.client_timer(index, life);
    }

    pub(crate) fn signal(&mut self, index: usize, which: u8) {
        if self.is_frozen(index) {
            return;
        }
        let now = self.now;
        let signal = match which {
            0 => HostSignal::Online,
            1 => HostSignal::Offline,
            2 => HostSignal::Foreground,
            3 => HostSignal::Background,
            _ => HostSignal::Wake,
        };
        if let Some(process) = &mut self.clients[index].process {
            process.excuse_waiting();
            if signal == HostSignal::Offline {
                process.offline_until = now + 20_000_000;
            }
        }
        self.input(index, Input::Host(signal));
    }

    pub(crate) fn kill_client(&mut self, index: usize, down_ms: u64) {
        self.check_blackbox(index);
        let Some(process) = self.clients[index].process.take() else { return };
        for message in process.publishes.into_values() {
            self.history.orphan(&message);
        }
        for link in 0..self.links.len() {
            if self.links[link].client != index {
                continue;
            }
            // Nobody is there to read what has arrived.
            while self.links[link].down.pop(self.now).is_some() {}
            if !self.links[link].client_done {
                self.links[link].client_done = true;
                self.transmit(link, true, Item::Close(None));
            }
        }
        self.after(down_ms * 1000, Happening::ClientStart { client: index });
    }

    /// The device goes on with an earlier state of its disk.
    pub(crate) fn roll_back(&mut self, index: usize, down_ms: u64) {
        self.kill_client(index, down_ms);
        let host = &mut self.clients[index];
        host.disk = host.backup.clone();
        // How far it had come, the cursors at the server know better.
        let owned = |name: &ChannelName| host.plan.contains(&(name.clone(), Reading::Owned));
        host.disk.done.retain(|name, _| owned(name));
        (host.excuses.doubt, host.excuses.displaced) = (true, true);
    }

    /// The user starts an app again that had stopped for good.
    pub(super) fn restart_later(&mut self, index: usize) {
        self.after(1_000, Happening::ClientGone { client: index, life: self.clients[index].life });
    }

    pub(crate) fn client_gone(&mut self, index: usize, life: u32) {
        if self.clients[index].life == life {
            self.kill_client(index, 3_000);
        }
    }

    pub(crate) fn resubscribe(&mut self, index: usize, reader: usize, forget: bool) {
        if self.is_frozen(index) {
            return;
        }
        let now = self.client_now(index);
        let host = &mut self.clients[index];
        let may =
            |process: &&mut Process| reader < process.readers.len() && process.core.state() != ConnectionState::Closed;
        let Some(process) = host.process.as_mut().filter(may) else { return };
        let gone = process.readers.remove(reader);
        process.core.unsubscribe(gone.id, forget, now);
        let (name, durable) = (gone.continuity.channel, gone.reading == Reading::Durable);
        if durable && forget {
            host.disk.done.remove(&name);
            host.confirmed.remove(&name);
            // A process that dies before this is stored goes on with what was forgotten.
            host.backup.done.remove(&name);
        }
        let stood = gone.continuity.position.filter(|_| gone.reading == Reading::Plain);
        let before = if durable && forget { Before::Forgotten } else { Before::Stood(stood) };
        self.read_channel(index, name, gone.reading, before);
        self.drive(index);
    }

    /// Reads again what the server had ended.
    pub(crate) fn read_what_is_missing(&mut self, index: usize) {
        for (name, reading) in self.clients[index].plan.clone() {
            let Some(process) = &self.clients[index].process else { return };
            let closed = process.core.state() == ConnectionState::Closed;
            if !closed && !process.readers.iter().any(|reader| reader.continuity.channel == name) {
                self.read_channel(index, name, reading, Before::Nothing);
                self.drive(index);
            }
        }
    }

    pub(crate) fn disconnect(&mut self, index: usize, ms: u64) {
        if self.is_frozen(index) || self.clients[index].process.is_none() {
            return;
        }
        if let Some(process) = &mut self.clients[index].process {
            process.excuse_waiting();
        }
        self.with_core(index, Client::disconnect);
        let life = self.clients[index].life;
        self.after(ms * 1000, Happening::Reconnect { client: index, life });
    }

    pub(crate) fn reconnect(&mut self, index: usize, life: u32) {
        if self.clients[index].life == life {
            self.with_core(index, Client::connect);
        }
    }

    pub(crate) fn ask_history(&mut self, index: usize, of: usize) {
        if !self.is_frozen(index) {
            self.with_core(index, |core, now| {
                core.history(&channel(of), HistoryQuery::default(), now);
            });
        }
    }

    pub(crate) fn link_down(&mut self, link: usize) {
        let index = self.links[link].client;
        let life = self.links[link].client_life;
        if self.clients[index].life != life || self.clients[index].process.is_none() {
            // Nobody is there to read it, or a script reads it.
            while let Some(item) = self.links[link].down.pop(self.now) {
                self.links[link].client_done |= matches!(item, Item::Close(_));
                self.note_heard(link, &item);
            }
            if self.clients[index].is_peer {
                self.report_pressure(link);
            }
            return;
        }
        if self.is_frozen(index) {
            return;
        }
        while let Some(item) = self.links[link].down.pop(self.now) {
            let is_late = self.links[link].client_done;
            if is_late && !self.dice.chance(LATE) {
                continue;
            }
            let id = self.links[link].transport;
            self.note_heard(link, &item);
            match item {
                Item::Message(bytes) => {
                    self.trace.add(self.now, "receive", index as u64, &bytes, || frames::show_down(&bytes));
                    if !is_late {
                        self.note_news(index, &bytes);
                    }
                    self.input(index, Input::Message { id, bytes: bytes.clone() });
                    if !is_late {
                        self.note_invitation(index, link, &bytes);
                    }
                }
                Item::Close(code) => {
                    self.trace.add(self.now, "closed", index as u64, &[], || format!("{id:?} {code:?}"));
                    self.links[link].client_done = true;
                    self.input(index, Input::TransportClosed { id, code });
                }
            }
            if self.is_frozen(index) {
                break;
            }
        }
        self.report_pressure(link);
    }

    fn note_heard(&mut self, link: usize, item: &Item) {
        if let Some(notes) = &mut self.notes {
            notes.heard(self.links[link].client, item);
        }
    }

    /// Notes that the server has forgotten the client's producer, and that it has answered.
    fn note_news(&mut self, index: usize, bytes: &Bytes) {
        let host = &mut self.clients[index];
        let Some(process) = &mut host.process else { return };
        for frame in frames::down(bytes) {
            if let ServerFrame::Welcome(welcome) = &frame
                && welcome.producer.as_ref().is_some_and(|producer| producer.state == ProducerState::Expired)
            {
                host.excuses.doubt = true;
            }
            if let ServerFrame::Pong(_) = &frame {
                process.repairs.clear();
            }
        }
    }

    /// Notes when a `goaway` wants the client back: by its own word, unless the client is so restless that its backoff
    /// counts. One that stands behind a frame at which the client hung up was not heard.
    fn note_invitation(&mut self, index: usize, link: usize, bytes: &Bytes) {
        let now = self.now;
        let Some(process) = &mut self.clients[index].process else { return };
        for (place, frame) in frames::down(bytes).into_iter().enumerate() {
            let ServerFrame::Goaway(goaway) = frame else { continue };
            if goaway.reason != GoawayReason::Restart {
                // Whoever is cut before comes back as after any cut.
                continue;
            }
            if place > 0 && self.links[link].client_done {
                return;
            }
            let restless = process.online_since.is_none_or(|since| since + 30_000_000 > now);
            let earliest = now + u64::from(goaway.after) * 1_000;
            let window = u64::from(goaway.window) * 1_000;
            let latest = if restless { window.max(20_000_000) } else { window };
            // The token may have to be fetched, and the timer is late.
            process.invited = Some((earliest, earliest + latest + 300_000));
            process.invited = process.invited.filter(|_| process.offline_until <= earliest);
        }
    }

    pub(crate) fn cut_links(&mut self, index: usize, client_notices: bool, server_notices: bool) {
        for link in 0..self.links.len() {
            if self.links[link].client != index {
                continue;
            }
            let delay = self.latency();
            let at = self.now + delay;
            if client_notices {
                self.links[link].down.cut(at)
            } else {
                self.links[link].down.sever()
            }
            if server_notices {
                self.links[link].up.cut(at)
            } else {
                self.links[link].up.sever()
            }
            self.at(at, Happening::LinkDown { link });
            self.at(at, Happening::LinkUp { link });
        }
    }

    pub(crate) fn black_hole(&mut self, index: usize, ms: u64, flush: bool) {
        let until = self.now + ms * 1000;
        self.clients[index].dark_until = self.clients[index].dark_until.max(until);
        for link in 0..self.links.len() {
            if self.links[link].client != index || self.links[link].client_done && self.links[link].server_done {
                continue;
            }
            if flush {
                self.links[link].down.hold_until(until);
                self.links[link].up.hold_until(until);
            } else {
                self.links[link].down.cut(until);
                self.links[link].up.cut(until);
            }
            self.at(until, Happening::LinkDown { link });
            self.at(until, Happening::LinkUp { link });
        }
    }

    /// The client's end is cut; what it has sent is still on its way, for a long time or until the next connection
    /// shows that there is a way.
    pub(crate) fn linger(&mut self, index: usize, ms: u64) {
        let Some(link) = self.open_link_of(index) else { return };
        let (at, late) = (self.now, self.now + ms * 1_000);
        self.links[link].down.cut(at);
        self.links[link].up.hold_until(late);
        self.links[link].lingers = true;
        self.at(at, Happening::LinkDown { link });
        self.at(late, Happening::LinkUp { link });
    }

    pub(crate) fn repeat_delivery(&mut self, index: usize) {
        if let Some(link) = self.open_link_of(index) {
            self.links[link].to_repeat += 1;
        }
    }

    pub(crate) fn garble_delivery(&mut self, index: usize) {
        if let Some(link) = self.open_link_of(index) {
            self.links[link].to_garble += 1;
        }
    }

    /// The app clears its store and starts again as another device.
    pub(crate) fn log_out(&mut self, index: usize, down_ms: u64) {
        if self.is_frozen(index) || self.clients[index].process.is_none() {
            return;
        }
        // What is not stored by now fails, or is uncertain.
        self.clients[index].excuses.left = true;
        self.with_core(index, |core, now| core.close(true, now));
        self.kill_client(index, down_ms);
        let host = &mut self.clients[index];
        (host.disk, host.backup) = (Disk::default(), Disk::default());
        host.confirmed.clear();
        host.excuses.left = false;
        host.device += 1;
    }

    pub(crate) fn lose_delivery(&mut self, index: usize) {
        if let Some(link) = self.open_link_of(index) {
            self.links[link].to_lose += 1;
        }
    }

    /// What a revoked user still had to publish can never settle as it wished: nothing is promised to it.
    pub(crate) fn excuse_revoked(&mut self) {
        for index in 0..self.clients.len() {
            if self.server.desk.is_revoked(&self.clients[index].name)
                && let Some(process) = &self.clients[index].process
                && process.core.state() == ConnectionState::Closed
            {
                for message in process.publishes.values().cloned().collect::<Vec<_>>() {
                    self.history.orphan(&message);
                }
            }
        }
    }
}

impl SimClient {
    /// Returns where a durable reader must at least begin: after what the server confirmed and after what this
    /// device has stored as acknowledged.
    pub(super) fn least_cursor(&self, channel: &ChannelName, reading: Reading, may_expire: bool) -> Option<Position> {
        if reading != Reading::Durable {
            return None;
        }
        let confirmed = self.confirmed.get(channel).copied().filter(|_| !may_expire);
        let stored = self.disk.stored_ack(channel);
        match (confirmed, stored) {
            (Some(confirmed), Some(stored)) if confirmed.epoch == stored.epoch => {
                Some(Position { offset: confirmed.offset.max(stored.offset), ..stored })
            }
            (confirmed, stored) => stored.or(confirmed),
        }
    }
}

impl Disk {
    /// Tells whether the store holds a message with its sequence: `channel`, level, `id`, whether it has one.
    pub(super) fn has_numbered(&self, id: &Utf8Bytes) -> bool {
        use moorline_core::protocol::binary::varint::{take_text, take_u8};
        let entries = self.store.iter().filter(|(key, _)| key.first() == Some(&b'e'));
        entries.into_iter().any(|(_, value)| {
            let mut bytes = Bytes::from(value.clone());
            let mut read = || {
                take_text(&mut bytes).ok()?;
                take_u8(&mut bytes).ok()?;
                Some((take_text(&mut bytes).ok()?, take_u8(&mut bytes).ok()?))
            };
            read().is_some_and(|(known, numbered)| known == *id && numbered == 1)
        })
    }

    /// Reads the cursor that a core has stored: `channel`, `epoch`, offset.
    pub(super) fn stored_ack(&self, channel: &ChannelName) -> Option<Position> {
        use moorline_core::protocol::binary::varint::{take, take_text};
        let cursors = self.store.iter().filter(|(key, _)| key.first() == Some(&b'p'));
        cursors.into_iter().find_map(|(_, value)| {
            let mut bytes = Bytes::from(value.clone());
            let name = take_text(&mut bytes).ok()?;
            let epoch = moorline_core::protocol::Epoch::new(&take_text(&mut bytes).ok()?).ok()?;
            let offset = Offset(take(&mut bytes).ok()?);
            (name.as_str() == channel.as_str()).then_some(Position { epoch, offset })
        })
    }
}

impl Process {
    /// Something happens that makes it wait longer, or not at all.
    pub(super) fn excuse_waiting(&mut self) {
        self.invited = None;
        self.waiting_since = None;
    }
}
