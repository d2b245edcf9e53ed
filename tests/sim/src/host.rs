//! The client side of the world: drives each core as a real host would.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use moorline_core::protocol::{Payload, Qos, Utf8Bytes};
use moorline_core::{
    Client, ConnectionState, Event, Failure, Input, Origin, Output, PublishOptions, PublishOutcome, StoreError,
};

use crate::client::{Process, Reader, Reading};
use crate::history::{Continuity, Publish};
use crate::network::Item;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn start_client(&mut self, index: usize) {
        if self.clients[index].process.is_some() {
            return;
        }
        let seed = self.dice.seed();
        let now = self.client_now(index);
        let host = &mut self.clients[index];
        host.life += 1;
        let core = match Client::new(host.config(self.bugs.core()), host.disk.entries(), seed, now) {
            Ok(core) => core,
            Err(error) => {
                return self.history.violate(11, format!("client {index} cannot open its own store: {error}"));
            }
        };
        let publishes: BTreeMap<_, _> = core.restored().map(|(id, _, message)| (id, message.to_owned())).collect();
        host.process = Some(Process {
            core,
            readers: Vec::new(),
            uncommitted: VecDeque::new(),
            publishes,
            timer: None,
            frozen_until: 0,
            attempts: VecDeque::new(),
        });
        self.trace.add(self.now, "start", index as u64, &[], String::new);
        self.subscribe_all(index);
        self.with_core(index, |core, now| core.connect(now));
    }

    fn subscribe_all(&mut self, index: usize) {
        for (channel, reading) in self.clients[index].plan.clone() {
            let (options, at_most) = self.clients[index].subscribe_options(&channel, reading);
            let now = self.client_now(index);
            let Some(process) = &mut self.clients[index].process else { return };
            match process.core.subscribe(&channel, options, now) {
                Ok(id) => process.readers.push(Reader {
                    reading,
                    id,
                    continuity: Continuity::new(channel, options.qos.unwrap_or(Qos::AtLeastOnce), at_most),
                    queue: VecDeque::new(),
                    done: at_most,
                }),
                Err(error) => self.history.violate(11, format!("subscribe refused: {error}")),
            }
        }
    }

    /// Runs a command or an input on a core, unless its process stands still, and does what it asks for.
    fn with_core(&mut self, index: usize, act: impl FnOnce(&mut Client, moorline_core::Now)) {
        let now = self.client_now(index);
        if let Some(process) = &mut self.clients[index].process {
            act(&mut process.core, now);
        }
        self.drive(index);
    }

    pub(crate) fn input(&mut self, index: usize, input: Input) {
        self.with_core(index, |core, now| core.handle_input(input, now));
    }

    pub(crate) fn is_frozen(&self, index: usize) -> bool {
        self.clients[index].process.as_ref().is_some_and(|process| process.frozen_until > self.now)
    }

    /// Drains a core's outputs and arms its timer.
    fn drive(&mut self, index: usize) {
        while let Some(output) = self.clients[index].process.as_mut().and_then(|process| process.core.poll_output()) {
            self.obey(index, output);
        }
        let slept = self.clients[index].slept_us;
        let life = self.clients[index].life;
        let Some(process) = &mut self.clients[index].process else { return };
        let Some(due) = process.core.poll_timeout() else { return };
        let at = (due.since_origin().as_micros() as u64).saturating_sub(slept).max(self.now);
        // A host's timer fires a little late, never early.
        if process.timer.is_none_or(|armed| armed > at) {
            process.timer = Some(at);
            let late = self.dice.range(0, 2_000);
            self.at(at + late, Happening::ClientTimer { client: index, life });
        }
    }

    pub(crate) fn client_timer(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life || self.is_frozen(index) {
            return;
        }
        if let Some(process) = &mut self.clients[index].process {
            process.timer = None;
        }
        self.with_core(index, |core, now| core.handle_timeout(now));
    }

    fn obey(&mut self, index: usize, output: Output) {
        let life = self.clients[index].life;
        match output {
            Output::OpenTransport { id, .. } => {
                self.trace.add(self.now, "open", index as u64, &id.0.to_le_bytes(), || format!("{id:?}"));
                self.count_attempt(index);
                self.open_link(index, id);
            }
            Output::Send { id, bytes } => {
                self.trace.add(self.now, "send", index as u64, &bytes, || describe_up(&bytes));
                if let Some(link) = self.link_of(index, id) {
                    self.transmit(link, true, Item::Message(bytes));
                }
            }
            Output::CloseTransport { id, code } => {
                self.trace.add(self.now, "close", index as u64, &code.0.to_le_bytes(), || format!("{id:?} {code:?}"));
                if let Some(link) = self.link_of(index, id) {
                    self.links[link].client_done = true;
                    self.transmit(link, true, Item::Close(Some(code)));
                }
            }
            Output::NeedToken { reason } => {
                self.trace.add(self.now, "token", index as u64, &[], || format!("{reason:?}"));
                let delay = self.dice.range(1, 200_000);
                self.after(delay, Happening::Token { client: index, life });
            }
            Output::Persist { ticket, batch } => {
                self.trace.add(self.now, "persist", index as u64, &ticket.0.to_le_bytes(), || format!("{ticket:?}"));
                let delay = self.dice.range(100, 20_000);
                if let Some(process) = &mut self.clients[index].process {
                    process.uncommitted.push_back((ticket, batch));
                }
                self.after(delay, Happening::StoreCommit { client: index, life });
            }
            Output::Event(event) => self.event(index, event),
        }
    }

    fn link_of(&self, client: usize, transport: moorline_core::TransportId) -> Option<usize> {
        let life = self.clients[client].life;
        self.links
            .iter()
            .rposition(|l| l.client == client && l.client_life == life && l.transport == transport && !l.client_done)
    }

    /// Invariant 15: no loop of reconnects without pauses.
    fn count_attempt(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = &mut self.clients[index].process else { return };
        process.attempts.push_back(now);
        while process.attempts.front().is_some_and(|at| *at + 10_000_000 < now) {
            process.attempts.pop_front();
        }
        if process.attempts.len() > 60 {
            self.history.violate(15, format!("client {index} opened 60 sockets within 10 s"));
        }
    }

    pub(crate) fn store_commit(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life {
            return;
        }
        let Some((ticket, batch)) = self.clients[index].process.as_mut().and_then(|p| p.uncommitted.pop_front()) else {
            return;
        };
        let result = if self.clients[index].store_fails {
            self.clients[index].store_fails = false;
            Err(StoreError::Full)
        } else {
            self.clients[index].disk.commit(batch);
            Ok(())
        };
        self.input(index, Input::Persisted { ticket, result });
    }

    pub(crate) fn token(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life {
            return;
        }
        let fails = !self.quiet && self.dice.chance(5);
        let result = if fails {
            let code = moorline_core::protocol::ErrorCode::ServerInternal;
            Err(Failure { code, message: "the token endpoint is down".into(), origin: Origin::Transport })
        } else {
            Ok(Some(self.server.issue_token(&self.clients[index].name, self.clients[index].token_ttl_s, self.now)))
        };
        self.input(index, Input::Token(result));
    }

    pub(crate) fn publish(&mut self, plan: usize) {
        let (_, index, channel, qos) = self.scenario.publishes[plan];
        let ttl = self.dice.chance(self.scenario.ttl_percent).then(|| self.dice.range(1, 30) as u32);
        if self.clients[index].process.is_none() || self.is_frozen(index) {
            return;
        }
        let order = self.clients[index].next_order;
        self.clients[index].next_order += 1;
        let id = format!("m{index}-{order}");
        let text = format!("{{\"from\":{index},\"order\":{order}}}");
        let channel = crate::world::channel(channel);
        let options =
            PublishOptions { qos: Some(qos), id: Some(Utf8Bytes::from(id.as_str())), ttl, ..PublishOptions::default() };
        let content = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        let now = self.client_now(index);
        let Some(process) = &mut self.clients[index].process else { return };
        let payload = Payload::Json(Bytes::from(text));
        if let Ok(publish) = process.core.publish(&channel, payload, options, now) {
            process.publishes.insert(publish, id.clone());
            self.trace.add(self.now, "publish", index as u64, id.as_bytes(), || format!("{id} {qos:?} in {channel}"));
            let expires = ttl.is_some();
            let publish = Publish {
                client: index,
                channel,
                qos,
                order,
                content,
                expires,
                life: 0,
                outcome: None,
                orphaned: false,
            };
            self.history.published(id, publish);
        }
        self.drive(index);
    }

    fn event(&mut self, index: usize, event: Event) {
        self.trace.add(self.now, "event", index as u64, &[], || format!("{event:?}"));
        match event {
            Event::Subscribed { readers, head, from, start } => {
                self.each_reader(index, &readers, |reader, history| {
                    reader.continuity.subscribed(head, from, &start, history)
                });
            }
            Event::Reset { readers, epoch, from, .. } => {
                self.history.resets += 1;
                self.each_reader(index, &readers, |reader, _| {
                    reader.continuity.reset(epoch, from);
                    None
                });
            }
            Event::Message { readers, message } => {
                self.history.received(&message);
                if self.server.is_revoked_since(&self.clients[index].name, self.now) {
                    self.history.violate(14, format!("client {index} got a message after its revocation"));
                }
                self.each_reader(index, &readers, |reader, history| {
                    let broken = reader.continuity.message(&message, history);
                    reader.queue.push_back(message.clone());
                    broken
                });
                self.plan_work(index);
            }
            Event::Acked { readers, position } => self.each_reader(index, &readers, |reader, _| {
                let beyond =
                    reader.done.is_none_or(|done| done.epoch == position.epoch && done.offset < position.offset);
                beyond.then(|| crate::Violation {
                    invariant: 9,
                    what: format!(
                        "{}: cursor at {position:?}, worked off {:?}",
                        reader.continuity.channel, reader.done
                    ),
                })
            }),
            Event::PublishSettled { id, outcome, .. } => self.settled(index, id, outcome),
            Event::SubscriptionEnded { readers: _, failure } if !self.server.is_revoked(&self.clients[index].name) => {
                self.history.violate(6, format!("client {index}: a subscription ended: {failure}"));
            }
            _ => {}
        }
    }

    fn settled(&mut self, index: usize, id: moorline_core::PublishId, outcome: PublishOutcome) {
        let message = self.clients[index].process.as_mut().and_then(|process| process.publishes.remove(&id));
        match message {
            Some(message) => self.history.settled(&message, self.clients[index].life, outcome),
            None => self.history.violate(11, format!("client {index} settled {id:?} twice, or never published it")),
        }
    }

    fn each_reader(
        &mut self,
        index: usize,
        ids: &[moorline_core::SubscriptionId],
        mut act: impl FnMut(&mut Reader, &crate::history::History) -> Option<crate::Violation>,
    ) {
        let Some(process) = &mut self.clients[index].process else { return };
        for reader in process.readers.iter_mut().filter(|reader| ids.contains(&reader.id)) {
            if let Some(violation) = act(reader, &self.history) {
                self.history
                    .violations
                    .push(crate::Violation { what: format!("client {index}: {}", violation.what), ..violation });
            }
        }
    }

    fn plan_work(&mut self, index: usize) {
        let life = self.clients[index].life;
        let work = self.clients[index].work_ms * 1000;
        let readers = self.clients[index].process.as_ref().map_or(0, |process| process.readers.len());
        for reader in 0..readers {
            let waits = self.clients[index].process.as_ref().is_some_and(|p| p.readers[reader].queue.len() == 1);
            if waits {
                let delay = work + self.dice.range(0, 1_000);
                self.after(delay, Happening::AppWork { client: index, life, reader });
            }
        }
    }

    /// The app works off one message, or (if it is quick) all that wait.
    pub(crate) fn app_work(&mut self, index: usize, life: u32, reader: usize) {
        if self.clients[index].life != life {
            return;
        }
        if self.is_frozen(index) {
            let until = self.clients[index].process.as_ref().map_or(0, |process| process.frozen_until);
            return self.at(until + 1, Happening::AppWork { client: index, life, reader });
        }
        let work = self.clients[index].work_ms;
        let now = self.client_now(index);
        let host = &mut self.clients[index];
        let Some(process) = &mut host.process else { return };
        let at_once = if work == 0 { usize::MAX } else { 1 };
        let taken: Vec<_> = {
            let q = &mut process.readers[reader].queue;
            let n = q.len().min(at_once);
            q.drain(..n).collect()
        };
        let id = process.readers[reader].id;
        process.core.consumed(id, taken.len(), now);
        if let Some(position) = taken.iter().rev().find_map(moorline_core::Received::position) {
            let entry = &mut process.readers[reader];
            // What comes again after a restart was worked off before.
            let newer = |done: &moorline_core::protocol::Position| {
                done.epoch != position.epoch || done.offset < position.offset
            };
            let position = entry.done.filter(|done| !newer(done)).unwrap_or(position);
            entry.done = Some(position);
            match entry.reading {
                Reading::Durable => {
                    host.disk.done.insert(entry.continuity.channel.clone(), position);
                    process.core.ack(id, position, now);
                }
                Reading::Owned => {
                    host.disk.done.insert(entry.continuity.channel.clone(), position);
                }
                Reading::Lossy | Reading::Plain => {}
            }
        }
        if !process.readers[reader].queue.is_empty() {
            self.after(work * 1000 + 1, Happening::AppWork { client: index, life, reader });
        }
        self.drive(index);
    }

    pub(crate) fn link_down(&mut self, link: usize) {
        let index = self.links[link].client;
        let life = self.links[link].client_life;
        if self.clients[index].life != life || self.is_frozen(index) {
            return;
        }
        while let Some(item) = self.links[link].down.pop(self.now) {
            if self.links[link].client_done {
                continue;
            }
            let id = self.links[link].transport;
            match item {
                Item::Message(bytes) => {
                    self.trace.add(self.now, "receive", index as u64, &bytes, || describe_down(&bytes));
                    self.input(index, Input::Message { id, bytes });
                }
                Item::Close(code) => {
                    self.trace.add(self.now, "closed", index as u64, &[], || format!("{id:?} {code:?}"));
                    self.links[link].client_done = true;
                    self.input(index, Input::TransportClosed { id, code });
                }
            }
        }
        self.report_pressure(link);
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

    /// What a revoked user still had to publish can never settle as it wished: nothing is promised to it.
    pub(crate) fn excuse_revoked(&mut self) {
        for index in 0..self.clients.len() {
            if self.server.is_revoked(&self.clients[index].name)
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

fn describe_up(bytes: &Bytes) -> String {
    let mut bytes = bytes.clone();
    let mut out = String::new();
    while let Ok(Some(frame)) = moorline_core::protocol::Codec::Binary.decode_client(&mut bytes) {
        out.push_str(&format!("{frame:?} "));
    }
    out
}

fn describe_down(bytes: &Bytes) -> String {
    let mut bytes = bytes.clone();
    let mut out = String::new();
    while let Ok(Some(frame)) = moorline_core::protocol::Codec::Binary.decode_server(&mut bytes) {
        out.push_str(&format!("{frame:?} "));
    }
    out
}
