//! The server side of the world: drives the nodes as shards would, and the engine as a log thread would.

use bytes::Bytes;
use moorline_core::protocol::{AppName, ChannelName, ClientFrame, Codec, Payload, ServerFrame, Utf8Bytes};
use moorline_server::engine::{Append, ChannelKey, Command, ShardId, Ticket, content_hash};
use moorline_server::node::{ConnId, Output, Pressure};

use crate::frames;
use crate::network::{Item, split};
use crate::scenario::Forged;
use crate::server::OPERATOR;
use crate::wire::View;
use crate::world::{Happening, World, channel};

/// Bytes that wait for one connection when it gets no more live messages.
const OUT_QUEUE: usize = 512 << 10;
/// Bytes of the pages that may be under way then.
const PAGES: usize = 256 << 10;

impl World {
    pub(crate) fn start_server(&mut self) {
        if self.server.is_running() {
            return;
        }
        let now = self.server.clock(self.now).unix;
        let broken = self.server.engine.start(now);
        self.violations.extend(broken);
        let Self { server, dice, .. } = self;
        server.start_nodes(|| dice.seed());
        self.trace.add(self.now, "boot", u64::from(self.server.life), &[], String::new);
        if self.server.life == 1 {
            self.fill_backlog();
        }
        let life = self.server.life;
        self.after(1_000_000, Happening::EngineTick { life });
    }

    /// The channels hold messages before anybody connects.
    fn fill_backlog(&mut self) {
        for order in 0..self.scenario.backlog {
            for index in 0..self.scenario.channels {
                let text = format!("{{\"backlog\":{order},\"channel\":{index}}}");
                let payload = Payload::Json(Bytes::from(text));
                let id = Utf8Bytes::from(format!("b{index}-{order}"));
                self.append_as_operator(channel(index), id, payload);
            }
        }
        self.plan_batch();
    }

    /// A message comes through the server's own API; its caller did not wait for the answer and asks once more.
    pub(crate) fn operator_publishes(&mut self, index: usize) {
        if !self.server.is_running() {
            return;
        }
        let text = format!("{{\"operator\":{}}}", self.now);
        let id = Utf8Bytes::from(format!("o{}", self.now));
        for _ in 0..2 {
            self.append_as_operator(channel(index), id.clone(), Payload::Json(Bytes::from(text.clone())));
        }
        self.plan_batch();
    }

    pub(crate) fn append_as_operator(&mut self, name: ChannelName, id: Utf8Bytes, payload: Payload) {
        let append = Append {
            channel: ChannelKey { app: AppName::default_app(), name },
            scope: "operator".into(),
            hash: content_hash(&id, &payload, &Vec::new()),
            id,
            user: None,
            headers: Vec::new(),
            payload,
            ttl: None,
            producer: None,
            verdict: Ok(()),
        };
        self.operations += 1;
        self.server.engine.inbox.push((OPERATOR, Ticket(self.operations), Command::Append(append)));
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
        let index = link % self.server.shards.len().max(1);
        let Some(shard) = self.server.shards.get_mut(index).filter(|_| alive && !draining) else {
            self.links[link].server_done = true;
            self.links[link].client_done = true;
            if alive {
                self.input(client, moorline_core::Input::TransportClosed { id, code: None });
            }
            return;
        };
        let conn = ConnId(link as u32);
        shard.node.handle_opened(conn, AppName::default_app(), Codec::Binary, now);
        self.links[link].server = Some((self.server.life, index, conn));
        self.begin_decisions(link);
        self.drive_server(index);
        self.input(client, moorline_core::Input::TransportOpened { id });
    }

    /// Returns the shard and the connection of a link whose server still knows it.
    fn served(&self, link: usize) -> Option<(usize, ConnId)> {
        let (life, shard, conn) = self.links[link].server.filter(|_| !self.links[link].server_done)?;
        (life == self.server.life && self.server.is_running()).then_some((shard, conn))
    }

    pub(crate) fn link_up(&mut self, link: usize) {
        while let Some(item) = self.links[link].up.pop(self.now) {
            if self.served(link).is_none() {
                self.refuse(link, &item);
                continue;
            }
            match item {
                Item::Message(bytes) => self.message_up(link, bytes, false),
                Item::Close(_) => {
                    self.close_at_server(link);
                    // The client learns of it, unless its end was cut off before.
                    self.send_close(link);
                }
            }
        }
    }

    /// The server's end of a connection is gone.
    pub(crate) fn close_at_server(&mut self, link: usize) {
        let Some((index, conn)) = self.served(link) else { return };
        self.links[link].server_done = true;
        let now = self.server.clock(self.now);
        self.server.shards[index].node.handle_closed(conn, now);
        self.drive_server(index);
    }

    /// What lingers of a client's older connections arrives now that a newer one is there.
    fn end_lingering(&mut self, link: usize) {
        let client = self.links[link].client;
        for older in 0..link {
            if self.links[older].client == client && std::mem::take(&mut self.links[older].lingers) {
                let at = self.now + self.dice.range(0, 15_000);
                self.links[older].up.release(at);
                self.at(at, Happening::LinkUp { link: older });
            }
        }
    }

    /// A message reaches the node, and before that the watcher.
    fn message_up(&mut self, link: usize, bytes: Bytes, forged: bool) {
        let Some((index, conn)) = self.served(link) else { return };
        let now = self.server.clock(self.now);
        self.trace.add(self.now, "arrive", u64::from(conn.0), &[], || frames::show_up(&bytes));
        let shard = &mut self.server.shards[index];
        let log = &self.server.engine.log;
        let forgetful = self.scenario.keeps.forgets_cursors();
        let view = View { log, now: self.now, unix: now.unix, revoked: &shard.revoked, forgetful };
        self.links[link].wire.heard = self.now;
        if let Some(notes) = &mut self.notes {
            notes.arrived(self.links[link].client, &bytes);
        }
        let is_first = !std::mem::replace(&mut self.links[link].greeted, true);
        for frame in frames::up(&bytes) {
            let forged = forged || self.clients[self.links[link].client].is_peer;
            let broken = self.links[link].wire.up(&frame, forged, &view);
            self.violations.extend(broken);
        }
        shard.node.handle_message(conn, bytes, now);
        self.drive_server(index);
        if is_first {
            self.end_lingering(link);
        }
    }

    /// What arrives at a machine that knows nothing of the connection is answered by a reset.
    fn refuse(&mut self, link: usize, item: &Item) {
        if matches!(item, Item::Message(_)) && self.server.is_running() && !self.links[link].client_done {
            let delay = self.latency();
            let at = self.now + delay;
            self.links[link].down.cut(at);
            self.at(at, Happening::LinkDown { link });
        }
    }

    pub(crate) fn server_timer(&mut self, life: u32, index: usize) {
        let now = self.server.clock(self.now);
        if self.server.life != life {
            return;
        }
        if let Some(shard) = self.server.shards.get_mut(index) {
            shard.timer = None;
            shard.node.handle_timeout(now);
        }
        self.drive_server(index);
    }

    /// Drains a node's outputs and arms its timer.
    pub(crate) fn drive_server(&mut self, index: usize) {
        while let Some(output) = self.server.shards.get_mut(index).and_then(|shard| shard.node.poll_output()) {
            match output {
                Output::Send { conn, message } => self.send_down(index, &[conn], &message),
                Output::Fanout { conns, message, .. } => self.send_down(index, &conns, &message),
                Output::Close { conn, code } => {
                    let link = conn.0 as usize;
                    self.trace.add(self.now, "shut", u64::from(conn.0), &code.0.to_le_bytes(), || format!("{code:?}"));
                    if !self.links[link].server_done {
                        self.transmit(link, false, Item::Close(Some(code)));
                    }
                    self.links[link].server_done = true;
                }
                Output::Engine(ticket, command) => {
                    self.trace.add(self.now, "ask", ticket.0, &[], || format!("{command:?}"));
                    self.server.engine.inbox.push((ShardId(index as u16), ticket, command));
                    self.plan_batch();
                }
                Output::Call(call, calling) => self.hand_over(index, call, &calling),
                Output::Uncall(call) => self.give_up(index, call),
                Output::Ask { question, kind, body, .. } => self.decide(index, question, kind, &body),
                Output::Warn(_) => {}
                Output::Drained => self.drained(index),
            }
        }
        let Some(shard) = self.server.shards.get(index).filter(|shard| !shard.drained) else { return };
        let Some((due, _)) = shard.node.poll_timeout() else { return };
        let at = (due.since_origin().as_micros() as u64).max(self.now);
        let life = self.server.life;
        let shard = &mut self.server.shards[index];
        if shard.timer.is_none_or(|armed| armed > at) {
            shard.timer = Some(at);
            self.at(at + 500, Happening::ServerTimer { life, shard: index });
        }
    }

    /// Sends one message to some connections of a shard.
    fn send_down(&mut self, index: usize, conns: &[ConnId], message: &Bytes) {
        let frames = frames::down(message);
        self.trace.add(self.now, "say", index as u64, &[], || format!("{conns:?} {}", frames::show_down(message)));
        let unix = self.server.clock(self.now).unix;
        for conn in conns {
            let link = conn.0 as usize;
            if self.links[link].server_done {
                continue;
            }
            let view = View {
                log: &self.server.engine.log,
                now: self.now,
                unix,
                revoked: &self.server.shards[index].revoked,
                forgetful: self.scenario.keeps.forgets_cursors(),
            };
            // An ephemeral message has no name by which a repeat could be told.
            let delivers = |frame: &ServerFrame| match frame {
                ServerFrame::Deliver(deliver) => deliver.messages.iter().all(|message| message.offset.is_some()),
                ServerFrame::Presence(_) => true,
                ServerFrame::Packed(_) => true,
                _ => false,
            };
            let is_lost = self.links[link].to_lose > 0 && frames.iter().any(delivers);
            for frame in &frames {
                let broken = self.links[link].wire.down(frame, &view);
                self.violations.extend(broken);
            }
            if is_lost {
                self.links[link].to_lose -= 1;
                self.links[link].wire.lost += 1;
                self.trace.add(self.now, "lose", link as u64, &[], String::new);
                continue;
            }
            // Before the repetition of a fault comes on top.
            let waiting = self.backlog(link);
            let is_repeated = self.links[link].to_repeat > 0 && frames.iter().any(delivers);
            let message = if self.is_rolling() { frames::down_of_later_version(message) } else { message.clone() };
            let message = self.garble(link, message);
            if is_repeated {
                self.links[link].to_repeat -= 1;
                self.transmit(link, false, Item::Message(message.clone()));
            }
            let limit = frames.iter().filter_map(out_queue).min();
            if limit.is_some_and(|limit| waiting >= limit) {
                self.violate(12, format!("a delivery on top of {waiting} bytes that wait"));
            }
            self.regroup(link, message);
        }
        for conn in conns {
            self.note_pressure(conn.0 as usize);
        }
    }

    /// Spoils a compressed delivery, if one is to be spoilt.
    fn garble(&mut self, link: usize, message: Bytes) -> Bytes {
        let is_packed = |frame: &ServerFrame| matches!(frame, ServerFrame::Packed(_));
        if self.links[link].to_garble == 0 || !frames::down(&message).iter().any(is_packed) {
            return message;
        }
        self.links[link].to_garble -= 1;
        self.links[link].wire.spoilt += 1;
        let (how, at) = (self.dice.range(0, 5), self.dice.range(0, 1_000) as usize);
        self.trace.add(self.now, "garble", link as u64, &how.to_le_bytes(), || format!("in the way {how}"));
        frames::garbled(&message, how, at)
    }

    /// Returns how many bytes waited for a connection before this step: one batch may come on top of what is allowed.
    fn backlog(&mut self, link: usize) -> usize {
        let steps = self.steps;
        let link = &mut self.links[link];
        if link.backlog.0 != steps {
            link.backlog = (steps, link.down.bytes());
        }
        link.backlog.1
    }

    /// Frames may travel in other groups than they were made in.
    fn regroup(&mut self, link: usize, message: Bytes) {
        let percent = self.scenario.regroup;
        if percent > 0 && self.dice.chance(percent) {
            if let Some((first, rest)) = split(&message) {
                self.transmit(link, false, Item::Message(first));
                return self.transmit(link, false, Item::Message(rest));
            }
            if self.links[link].down.merge(&message) {
                return;
            }
        }
        self.transmit(link, false, Item::Message(message));
    }

    /// Tells the node when a connection's out-queue has been emptied past a mark.
    pub(crate) fn report_pressure(&mut self, link: usize) {
        if let Some((index, _)) = self.served(link) {
            self.note_pressure(link);
            self.drive_server(index);
        }
    }

    /// Tells the node when a connection's out-queue crosses a mark; its outputs are being drained.
    fn note_pressure(&mut self, link: usize) {
        let Some((index, conn)) = self.served(link) else { return };
        let pressure = Pressure::of(self.links[link].down.bytes());
        let now = self.server.clock(self.now);
        let shard = &mut self.server.shards[index];
        if shard.pressures.get(&conn).copied().unwrap_or_default() == pressure {
            return;
        }
        shard.pressures.insert(conn, pressure);
        if pressure >= Pressure::High {
            self.links[link].wire.fall_behind();
        }
        shard.node.handle_pressure(conn, pressure, now);
    }

    pub(crate) fn kill_server(&mut self, down_ms: u64, power: bool) {
        if !self.server.is_running() {
            return;
        }
        let kept = self.dice.range(0, 100);
        self.crash_server(down_ms, power, kept);
    }

    /// The same, with so many percent of what was not durable yet surviving.
    pub(crate) fn crash_server(&mut self, down_ms: u64, power: bool, kept: u64) {
        self.server.engine.crash(power, kept);
        self.server.forget_process();
        self.backend.forget();
        self.break_links(power);
        self.after(down_ms * 1000, Happening::ServerStart);
    }

    pub(crate) fn drain_server(&mut self, down_ms: u64) {
        let now = self.server.clock(self.now);
        if self.server.draining || !self.server.is_running() {
            return;
        }
        self.server.draining = true;
        self.server.down_ms = down_ms;
        for index in 0..self.server.shards.len() {
            if let Some(shard) = self.server.shards.get_mut(index) {
                shard.node.drain(1_000, 3_000, now);
            }
            self.drive_server(index);
        }
    }

    /// A shard is drained; with the last one the process ends.
    fn drained(&mut self, index: usize) {
        self.trace.add(self.now, "drained", index as u64, &[], String::new);
        self.server.shards[index].drained = true;
        if self.server.shards.iter().all(|shard| shard.drained) {
            let life = self.server.life;
            self.at(self.now, Happening::ServerStop { life });
        }
    }

    pub(crate) fn stop_server(&mut self, life: u32) {
        if self.server.life != life {
            return;
        }
        let now = self.server.clock(self.now).unix;
        let broken = self.server.engine.stop(now);
        self.violations.extend(broken);
        self.server.forget_process();
        self.backend.forget();
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

    pub(crate) fn revoke(&mut self, client: usize) {
        let name = self.clients[client].name.clone();
        if !self.server.is_running() {
            return;
        }
        if let Some(command) = self.server.desk.revoke(&name) {
            self.operations += 1;
            self.server.engine.inbox.push((OPERATOR, Ticket(self.operations), command));
            self.plan_batch();
        }
    }

    /// Something that our clients never send arrives on a client's connection.
    pub(crate) fn forge(&mut self, client: usize, what: Forged) {
        let Some(link) = self.open_link_of(client) else { return };
        let bytes = match what {
            Forged::Future => frames::later(),
            Forged::Ack | Forged::Rewind => {
                let Some(frame) = self.forged(link, what) else { return };
                let mut bytes = Vec::new();
                Codec::Binary.encode_client(&frame, &mut bytes);
                bytes.into()
            }
        };
        self.trace.add(self.now, "forge", client as u64, &bytes, || format!("{what:?}"));
        self.message_up(link, bytes, true);
    }

    fn forged(&mut self, link: usize, what: Forged) -> Option<ClientFrame> {
        use moorline_core::protocol::{Ack, ChannelRef, Epoch, More, Offset};
        let (number, epoch, delivered) = self.links[link].wire.any_subscription()?;
        let channel = ChannelRef::Number(number);
        let ahead = self.dice.chance(50);
        Some(match what {
            Forged::Ack => {
                let offset = if ahead { Offset(delivered.0 + 5) } else { Offset::ZERO };
                ClientFrame::Ack(Ack { channel, epoch, offset })
            }
            _ => {
                let epoch = Epoch::new("never").ok();
                ClientFrame::More(More { channel, epoch, after: Offset::ZERO, rewind: true })
            }
        })
    }
}

/// Returns how many bytes may wait for a connection at most when this is sent to it.
fn out_queue(frame: &ServerFrame) -> Option<usize> {
    match frame {
        ServerFrame::Deliver(deliver) if deliver.replay => Some(OUT_QUEUE + PAGES),
        ServerFrame::Deliver(_) => Some(OUT_QUEUE),
        ServerFrame::Packed(packed) if packed.dictionary.is_none() => Some(OUT_QUEUE + PAGES),
        ServerFrame::Packed(_) => Some(OUT_QUEUE),
        _ => None,
    }
}
