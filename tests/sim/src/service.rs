//! The server side of the world: drives the node as a shard would, and the engine core as a log thread would.

use moorline_core::protocol::{AppName, Codec, Position};
use moorline_server::engine::{ChannelKey, Command, Completion, Read, ReadRange, ShardId};
use moorline_server::node::{ConnId, Output, Pressure};

use crate::network::Item;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn start_server(&mut self) {
        if self.server.node.is_some() {
            return;
        }
        let seed = self.dice.seed();
        let now = self.server.clock(self.now);
        self.server.start(seed, now);
        self.trace.add(self.now, "boot", u64::from(self.server.life), &[], String::new);
        self.note_log();
        self.find_heads();
        let life = self.server.life;
        self.after(1_000_000, Happening::CursorFlush { life });
    }

    pub(crate) fn link_open(&mut self, link: usize) {
        let client = self.links[link].client;
        let dark = self.clients[client].dark_until;
        if dark > self.now && !self.links[link].client_done {
            return self.at(dark, Happening::LinkOpen { link });
        }
        let id = self.links[link].transport;
        let alive = self.clients[client].life == self.links[link].client_life && !self.links[link].client_done;
        let draining = self.server.draining;
        let now = self.server.clock(self.now);
        let Some(node) = self.server.node.as_mut().filter(|_| alive && !draining) else {
            self.links[link].server_done = true;
            self.links[link].client_done = true;
            if alive {
                self.input(client, moorline_core::Input::TransportClosed { id, code: None });
            }
            return;
        };
        let conn = ConnId(link as u32);
        node.handle_opened(conn, AppName::default_app(), Codec::Binary, now);
        self.links[link].server = Some((self.server.life, conn));
        self.drive_server();
        self.input(client, moorline_core::Input::TransportOpened { id });
    }

    pub(crate) fn link_up(&mut self, link: usize) {
        while let Some(item) = self.links[link].up.pop(self.now) {
            let server =
                self.links[link].server.filter(|(life, _)| *life == self.server.life && !self.links[link].server_done);
            let now = self.server.clock(self.now);
            let (Some((_, conn)), Some(node)) = (server, &mut self.server.node) else {
                self.refuse(link, &item);
                continue;
            };
            match item {
                Item::Message(bytes) => node.handle_message(conn, bytes, now),
                Item::Close(_) => {
                    self.links[link].server_done = true;
                    node.handle_closed(conn, now);
                    // The client learns of it, unless its end was cut off before.
                    self.send_close(link);
                }
            }
            self.drive_server();
        }
    }

    /// What arrives at a machine that knows nothing of the connection is answered by a reset.
    fn refuse(&mut self, link: usize, item: &Item) {
        if matches!(item, Item::Message(_)) && self.server.node.is_some() && !self.links[link].client_done {
            let delay = self.latency();
            let at = self.now + delay;
            self.links[link].down.cut(at);
            self.at(at, Happening::LinkDown { link });
        }
    }

    pub(crate) fn server_timer(&mut self, life: u32) {
        let now = self.server.clock(self.now);
        if self.server.life != life {
            return;
        }
        self.server.timer = None;
        if let Some(node) = &mut self.server.node {
            node.handle_timeout(now);
        }
        self.drive_server();
    }

    /// Drains the node's outputs and arms its timer.
    pub(crate) fn drive_server(&mut self) {
        while let Some(output) = self.server.node.as_mut().and_then(moorline_server::node::Node::poll_output) {
            match output {
                Output::Send { conn, message } => self.send_down(conn, Item::Message(message)),
                Output::Fanout { conns, message, .. } => {
                    for conn in conns.iter() {
                        self.send_down(*conn, Item::Message(message.clone()));
                    }
                }
                Output::Close { conn, code } => {
                    let link = conn.0 as usize;
                    self.trace.add(self.now, "shut", u64::from(conn.0), &code.0.to_le_bytes(), || format!("{code:?}"));
                    self.send_down(conn, Item::Close(Some(code)));
                    self.links[link].server_done = true;
                }
                Output::Engine(ticket, command) => {
                    self.trace.add(self.now, "ask", ticket.0, &[], || format!("{command:?}"));
                    self.server.inbox.push((ticket, command));
                    self.plan_batch();
                }
                Output::Drained => self.drained(),
            }
        }
        let Some((due, _)) = self.server.node.as_ref().and_then(moorline_server::node::Node::poll_timeout) else {
            return;
        };
        let at = (due.since_origin().as_micros() as u64).max(self.now);
        if self.server.timer.is_none_or(|armed| armed > at) {
            self.server.timer = Some(at);
            let life = self.server.life;
            self.at(at + 500, Happening::ServerTimer { life });
        }
    }

    fn send_down(&mut self, conn: ConnId, item: Item) {
        let link = conn.0 as usize;
        if !self.links[link].server_done {
            self.transmit(link, false, item);
            self.report_pressure(link);
        }
    }

    /// Tells the node when a connection's out-queue crosses a mark.
    pub(crate) fn report_pressure(&mut self, link: usize) {
        let Some((life, conn)) = self.links[link].server.filter(|_| !self.links[link].server_done) else { return };
        let pressure = Pressure::of(self.links[link].down.bytes() * self.server.byte_weight);
        if life != self.server.life || self.server.pressures.get(&conn).copied().unwrap_or_default() == pressure {
            return;
        }
        self.server.pressures.insert(conn, pressure);
        let now = self.server.clock(self.now);
        if let Some(node) = &mut self.server.node {
            node.handle_pressure(conn, pressure, now);
            self.drive_server();
        }
    }

    fn plan_batch(&mut self) {
        if !self.server.busy && !self.server.inbox.is_empty() {
            self.server.busy = true;
            let life = self.server.life;
            let delay = self.dice.range(20, 2_000);
            self.after(delay, Happening::EngineBatch { life });
        }
    }

    pub(crate) fn engine_batch(&mut self, life: u32) {
        if self.server.life != life {
            return;
        }
        self.server.begin_batch(self.now);
        if self.server.answers_early() {
            self.release();
        }
        let delay = self.dice.range(100, 8_000);
        self.after(delay, Happening::EngineSynced { life });
    }

    pub(crate) fn engine_synced(&mut self, life: u32) {
        if self.server.life != life {
            return;
        }
        self.server.sync();
        self.note_log();
        self.server.busy = false;
        self.release();
        self.plan_batch();
    }

    fn release(&mut self) {
        let replies = std::mem::take(&mut self.server.unreleased);
        let now = self.server.clock(self.now);
        for reply in &replies {
            self.trace.add(self.now, "reply", 0, &[], || format!("{reply:?}"));
        }
        if let Some(node) = &mut self.server.node {
            node.handle_replies(replies, now);
        }
        self.drive_server();
    }

    pub(crate) fn cursor_flush(&mut self, life: u32) {
        if self.server.life != life || self.server.node.is_none() {
            return;
        }
        let (now, records) = (self.now, self.server.flush_cursors(self.now));
        if records && !self.server.busy {
            self.server.busy = true;
            self.at(now + 100, Happening::EngineBatch { life });
        }
        self.after(1_000_000, Happening::CursorFlush { life });
    }

    pub(crate) fn kill_server(&mut self, down_ms: u64, power: bool) {
        if self.server.node.take().is_none() {
            return;
        }
        let kept = self.dice.range(0, 100);
        self.note_log();
        self.server.crash(power, kept);
        self.break_links(power);
        self.after(down_ms * 1000, Happening::ServerStart);
    }

    pub(crate) fn drain_server(&mut self, down_ms: u64) {
        let now = self.server.clock(self.now);
        let Some(node) = &mut self.server.node else { return };
        self.server.draining = true;
        self.server.down_ms = down_ms;
        node.drain(1_000, 3_000, now);
        self.drive_server();
    }

    fn drained(&mut self) {
        self.trace.add(self.now, "drained", 0, &[], String::new);
        self.server.stop(self.now);
        self.break_links(false);
        let down = self.server.down_ms * 1000;
        self.after(down, Happening::ServerStart);
    }

    /// The server's process is gone: its kernel tells the clients, unless the machine is gone as well.
    fn break_links(&mut self, power: bool) {
        for link in 0..self.links.len() {
            if self.links[link].server_done || self.links[link].server.is_none() {
                continue;
            }
            self.links[link].server_done = true;
            if power {
                self.links[link].down.sever();
            } else {
                self.send_close(link);
            }
        }
    }

    fn send_close(&mut self, link: usize) {
        let delay = self.latency();
        let dark = self.clients[self.links[link].client].dark_until;
        let at = (self.now + delay).max(dark);
        self.links[link].down.push(at, Item::Close(None));
        self.at(at, Happening::LinkDown { link });
    }

    /// Notes what the durable log holds, as a check from outside; also what nobody may read any more.
    pub(crate) fn note_log(&mut self) {
        for (channel, epoch, bytes) in self.server.take_appended() {
            if let Ok(message) = moorline_core::protocol::binary::decode_message(&mut bytes.clone()) {
                let offset = message.offset.unwrap_or_default();
                self.server.heads.insert(channel.clone(), Position { epoch, offset });
                self.history.logged(&channel, epoch, &message);
            }
        }
    }

    /// Asks the engine where each channel ends.
    pub(crate) fn find_heads(&mut self) {
        for index in 0..self.scenario.channels {
            let name = crate::world::channel(index);
            let channel = ChannelKey { app: AppName::default_app(), name: name.clone() };
            let read = Read { channel, range: ReadRange::Newest, max_messages: 1, max_bytes: 1 };
            if let Some(Completion::Read(page)) = self.server.ask(Command::Read(read), self.now) {
                self.server.heads.insert(name, Position { epoch: page.epoch, offset: page.head });
            }
        }
    }

    pub(crate) fn revoke(&mut self, client: usize) {
        let name = self.clients[client].name.clone();
        if let Some(command) = self.server.revocation(&name, self.now) {
            self.server.inbox.push((crate::server::OUTSIDE, command));
            self.plan_batch();
        }
    }
}

/// The shard that the node is.
pub(crate) const SHARD: ShardId = ShardId(0);
