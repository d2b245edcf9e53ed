//! The client side of the world: drives each core as a real host would.

mod app;
mod blackbox;
mod device;
mod events;
mod presence;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use moorline_core::protocol::limits::PAGES_IN_FLIGHT;
use moorline_core::protocol::{ChannelName, ClientFrame, Position, Publish, Qos};
use moorline_core::{Client, ConnectionState, Failure, Input, Now, Origin, Output, StoreError, TransportId};

use crate::client::{Process, Reader, Reading};
use crate::frames;
use crate::model::Violation;
use crate::network::Item;
use crate::reader::Continuity;
use crate::server::Token;
use crate::world::{Happening, World};

/// Attempts to connect within 10 s: more mean a loop without pauses.
const ATTEMPTS: usize = 20;
/// Publishes whose answers are awaited: a window for each channel, a few times over.
const SENDS: usize = 512;
/// Pages that the world may have let arrive twice.
const REPEATED: usize = 2;
/// µs a client may wait for its next attempt: the largest backoff, and what a timer is late.
const LONGEST_WAIT: u64 = 20_500_000;

/// What there was of a reader in this process before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// It stood here.
    Stood(Option<Position>),
    /// The app gave its cursor up.
    Forgotten,
}

impl World {
    pub(crate) fn start_client(&mut self, index: usize) {
        if self.clients[index].process.is_some() {
            return;
        }
        let seed = self.dice.seed();
        let now = self.client_now(index);
        let host = &mut self.clients[index];
        host.life += 1;
        let config = host.config(&self.scenario, self.bugs.core());
        let core = match Client::new(config, host.disk.entries(), seed, now) {
            Ok(core) => core,
            Err(error) => return self.violate(11, format!("client {index} cannot open its own store: {error}")),
        };
        let publishes: BTreeMap<_, _> = core.restored().map(|(id, _, message)| (id, message.to_owned())).collect();
        host.process = Some(Process {
            core,
            readers: Vec::new(),
            uncommitted: VecDeque::new(),
            publishes,
            waiting: VecDeque::new(),
            timer: None,
            frozen_until: 0,
            repairs: BTreeMap::new(),
            attempts: VecDeque::new(),
            paused: BTreeSet::new(),
            invited: None,
            offline_until: 0,
            entered: BTreeMap::new(),
            token: (None, false),
            calls: BTreeMap::new(),
            followed: None,
            online_since: None,
            waiting_since: None,
        });
        self.trace.add(self.now, "start", index as u64, &[], String::new);
        for (channel, reading) in self.clients[index].plan.clone() {
            self.read_channel(index, channel, reading, Before::Nothing);
        }
        self.follow(index);
        self.with_core(index, Client::connect);
    }

    /// Adds a reader.
    fn read_channel(&mut self, index: usize, channel: ChannelName, reading: Reading, before: Before) {
        let host = &self.clients[index];
        let (options, done) = host.subscribe_options(&channel, reading);
        let stood = if let Before::Stood(position) = before { position } else { None };
        let is_forgotten = before == Before::Forgotten;
        let at_least =
            host.least_cursor(&channel, reading, self.scenario.keeps.forgets_cursors()).filter(|_| !is_forgotten);
        // A device that was rolled back finds its cursor where it had been before; one that acknowledged nothing may
        // find none.
        let is_rolled_back = host.excuses.displaced;
        let may_be_gone = self.scenario.keeps.forgets_cursors() && host.disk.stored_ack(&channel).is_none();
        let now = self.client_now(index);
        let entered = host.joins(&channel).then(|| options.state.clone());
        let qos = options.qos.unwrap_or(Qos::AtLeastOnce);
        let Some(process) = &mut self.clients[index].process else { return };
        match process.core.subscribe(&channel, options, now) {
            Ok(id) => {
                process.entered.remove(&channel);
                process.entered.extend(entered.map(|state| (channel.clone(), state)));
                let at_most = match reading {
                    Reading::Durable => done.filter(|_| !is_rolled_back && !may_be_gone),
                    _ => stood.or(done),
                };
                let continuity = Continuity::new(channel, qos, at_most, at_least);
                process.readers.push(Reader {
                    reading,
                    id,
                    continuity,
                    queue: VecDeque::new(),
                    fed: false,
                    working: false,
                    done,
                });
            }
            Err(error) => self.violate(11, format!("client {index}: subscribe refused: {error}")),
        }
    }

    /// Runs a command or an input on a core, and does what it asks for.
    pub(crate) fn with_core(&mut self, index: usize, act: impl FnOnce(&mut Client, Now)) {
        let now = self.client_now(index);
        if let Some(process) = &mut self.clients[index].process {
            act(&mut process.core, now);
        }
        self.drive(index);
    }

    /// Tells a core something; a process that stands still hears it when it goes on.
    pub(crate) fn input(&mut self, index: usize, input: Input) {
        if self.is_frozen(index) {
            if let Some(process) = &mut self.clients[index].process {
                process.waiting.push_back(input);
            }
            return;
        }
        self.with_core(index, |core, now| core.handle_input(input, now));
    }

    pub(crate) fn is_frozen(&self, index: usize) -> bool {
        self.clients[index].process.as_ref().is_some_and(|process| process.frozen_until > self.now)
    }

    /// Drains a core's outputs and arms its timer.
    pub(crate) fn drive(&mut self, index: usize) {
        while let Some(output) = self.clients[index].process.as_mut().and_then(|process| process.core.poll_output()) {
            self.obey(index, output);
        }
        self.check_client(index);
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
        self.with_core(index, Client::handle_timeout);
    }

    fn obey(&mut self, index: usize, output: Output) {
        let life = self.clients[index].life;
        match output {
            Output::OpenTransport { id, .. } => {
                self.trace.add(self.now, "open", index as u64, &id.0.to_le_bytes(), || format!("{id:?}"));
                self.check_attempt(index);
                self.open_link(index, id);
            }
            Output::Send { id, bytes } => {
                self.trace.add(self.now, "send", index as u64, &bytes, || frames::show_up(&bytes));
                if let Some(link) = self.link_of(index, id) {
                    self.note_sent(index, link, &bytes);
                    let bytes = if self.is_rolling() { frames::up_of_later_version(&bytes) } else { bytes };
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
                self.check_moment(index);
                self.trace.add(self.now, "token", index as u64, &[], || format!("{reason:?}"));
                let delay = self.dice.range(1, 200_000);
                self.after(delay, Happening::Token { client: index, life });
            }
            Output::Persist { ticket, batch } => {
                self.trace.add(self.now, "persist", index as u64, &ticket.0.to_le_bytes(), || format!("{ticket:?}"));
                for bytes in batch.deletes.iter().chain(batch.puts.iter().flat_map(|(key, value)| [key, value])) {
                    self.trace.add_bytes(bytes);
                }
                let delay = self.dice.range(100, 20_000);
                if let Some(process) = &mut self.clients[index].process {
                    process.uncommitted.push_back((ticket, batch));
                }
                self.after(delay, Happening::StoreCommit { client: index, life });
            }
            Output::Event(event) => self.event(index, event),
        }
    }

    pub(crate) fn link_of(&self, client: usize, transport: TransportId) -> Option<usize> {
        let life = self.clients[client].life;
        self.links
            .iter()
            .rposition(|l| l.client == client && l.client_life == life && l.transport == transport && !l.client_done)
    }

    /// The link that a client has open, as far as it knows.
    pub(crate) fn open_link_of(&self, client: usize) -> Option<usize> {
        let life = self.clients[client].life;
        self.links.iter().rposition(|l| l.client == client && l.client_life == life && !l.client_done)
    }

    /// Invariants 12 and 15: one socket at a time, no loop of reconnects, and no connection before its moment.
    fn check_attempt(&mut self, index: usize) {
        let now = self.now;
        let life = self.clients[index].life;
        if self.links.iter().any(|link| link.client == index && link.client_life == life && !link.client_done) {
            self.violate(12, format!("client {index} opens a second socket beside the first"));
        }
        let Some(process) = &mut self.clients[index].process else { return };
        process.paused.clear();
        process.repairs.clear();
        process.readers.iter_mut().for_each(|reader| reader.fed = false);
        let waited = process.waiting_since.take().map_or(0, |since| now - since);
        process.attempts.push_back(now);
        while process.attempts.front().is_some_and(|at| *at + 10_000_000 < now) {
            process.attempts.pop_front();
        }
        let restless = process.attempts.len() > ATTEMPTS;
        if restless {
            self.violate(15, format!("client {index} opened {ATTEMPTS} sockets within 10 s"));
        } else if waited > LONGEST_WAIT {
            self.violate(15, format!("client {index} waited {waited} µs for its next attempt"));
        }
        self.check_moment(index);
    }

    /// Invariant 15: who was sent away comes back at the moment that was named.
    fn check_moment(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = self.clients[index].process.as_mut() else { return };
        // A token is fetched in time for the connection that stands.
        if process.core.state() == ConnectionState::Online {
            return;
        }
        if let Some((earliest, latest)) = process.invited.take()
            && !(earliest..=latest).contains(&now)
        {
            self.violate(15, format!("client {index} comes at {now}, invited for {earliest}..={latest}"));
        }
    }

    /// Notes for which channels the server is asked to pause or to begin again, and looks at what is published.
    fn note_sent(&mut self, index: usize, link: usize, bytes: &Bytes) {
        for frame in frames::up(bytes) {
            let (channel, pauses, rewinds) = match &frame {
                ClientFrame::Pause(pause) => (&pause.channel, true, None),
                ClientFrame::More(more) => (&more.channel, false, more.rewind.then_some(more.after)),
                ClientFrame::Publish(publish) => {
                    self.check_stored(index, publish);
                    continue;
                }
                _ => continue,
            };
            let Some(name) = self.links[link].wire.channel_of(channel) else { continue };
            let Some(process) = &mut self.clients[index].process else { return };
            if let Some(after) = rewinds {
                if process.repairs.insert(name.clone(), after) == Some(after) {
                    let what = format!("client {index} asks again for {name} after {after}, with no answer yet");
                    return self.violate(15, what);
                }
                // The next delivery shows that the app is still full.
                let of_channel = |reader: &&mut Reader| reader.continuity.channel == name;
                process.readers.iter_mut().filter(of_channel).for_each(|reader| reader.fed = false);
            }
            if pauses {
                process.paused.insert(name)
            } else {
                process.paused.remove(&name)
            };
        }
    }

    /// Invariant 2: a sequence is shown to the server only when the store has it.
    fn check_stored(&mut self, index: usize, publish: &Publish) {
        let (Some(id), Qos::ExactlyOnce) = (&publish.id, publish.qos) else { return };
        if !self.clients[index].disk.has_numbered(id) {
            self.violate(2, format!("client {index} sends {} before its store has the sequence", id.as_str()));
        }
    }

    /// Invariant 12: what a core holds stays within its bounds.
    fn check_client(&mut self, index: usize) {
        let (queue, outbox) = (self.scenario.queue, self.scenario.outbox);
        let Some(process) = &self.clients[index].process else { return };
        let stats = process.core.outbox();
        let mut broken = None;
        if stats.messages > outbox {
            broken = Some(format!("{} messages in an outbox of {outbox}", stats.messages));
        }
        let held = process.core.stats();
        let batches = process.uncommitted.len() + process.waiting.len();
        if held.batches > batches
            || held.sends > SENDS
            || held.pages > PAGES_IN_FLIGHT * process.readers.len() + REPEATED
        {
            broken = Some(format!("{held:?} with {batches} batches under way"));
        }
        let is_online = process.core.state() == ConnectionState::Online;
        for reader in &process.readers {
            let name = &reader.continuity.channel;
            if reader.fed && reader.queue.len() > queue && is_online && !process.paused.contains(name) {
                broken = Some(format!("{name}: {} messages wait and no pause was asked for", reader.queue.len()));
            }
        }
        if let Some(what) = broken {
            self.violate(12, format!("client {index}: {what}"));
        }
    }

    pub(crate) fn store_commit(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life {
            return;
        }
        let Some((ticket, batch)) = self.clients[index].process.as_mut().and_then(|p| p.uncommitted.pop_front()) else {
            return;
        };
        let fails = self.clients[index].store_fails_until > self.now;
        let result = if fails {
            self.clients[index].excuses.store = true;
            Err(StoreError::Full)
        } else {
            self.clients[index].disk.commit(batch);
            if self.dice.chance(5) {
                self.clients[index].backup = self.clients[index].disk.clone();
            }
            Ok(())
        };
        self.input(index, Input::Persisted { ticket, result });
    }

    pub(crate) fn token(&mut self, index: usize, life: u32) {
        if self.clients[index].life != life {
            return;
        }
        let fails = !self.quiet && (self.clients[index].tokens_fail_until > self.now || self.dice.chance(5));
        let result = if fails {
            let code = moorline_core::protocol::ErrorCode::ServerInternal;
            Err(Failure::new(code, "the token endpoint is down", Origin::Transport))
        } else {
            let now = self.server.clock(self.now).unix;
            let host = &mut self.clients[index];
            let token = self.server.desk.issue(&host.name, host.token_ttl_s, now);
            if let (Some(process), Some(token)) = (&mut host.process, Token::parse(&token)) {
                process.token = (token.expires, !token.denied.is_empty());
            }
            Ok(Some(token))
        };
        self.input(index, Input::Token(result));
    }

    pub(crate) fn violate(&mut self, invariant: u8, what: String) {
        self.violations.push(Violation { invariant, what });
    }
}
