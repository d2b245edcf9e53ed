//! The end of a run: the faults stop, everything heals, and then everything must be well.

use moorline_core::ConnectionState;
use moorline_core::protocol::Qos;
use moorline_server::node::NodeStats;

use crate::client::{Reader, SimClient};
use crate::network::Link;
use crate::reader::Continuity;
use crate::world::{Happening, World};

/// µs after the last fault at which everything must be well: the longest park or backoff, and then some.
const HEALING: u64 = 240_000_000;
/// µs after the last fault at which everybody is connected: a parked connection that is silent (70 s), an attempt
/// that comes to nothing (10 s), a device that was said to be offline (20 s), the longest backoff (20 s), and a bit.
const CONNECTED: u64 = 130_000_000;
/// ms that ids are kept if the run does not say otherwise.
const IDS_MS: u64 = 24 * 3_600_000;

impl World {
    pub(crate) fn quieten(&mut self) {
        self.quiet = true;
        self.trace.add(self.now, "quiet", 0, &[], String::new);
        self.server.readonly.0 = self.now;
        self.server.reads_fail_until = self.now;
        self.server.sync_fails = None;
        self.server.desk.grant_all();
        for client in 0..self.clients.len() {
            let host = &mut self.clients[client];
            host.dark_until = self.now;
            host.work_ms = 0;
            host.store_fails_until = self.now;
            host.tokens_fail_until = self.now;
        }
        for client in 0..self.clients.len() {
            // Everybody comes to a good token: by itself, unless the one it has lives too long by the server's clock.
            let healed = self.server.clock(self.now + CONNECTED).unix;
            let process = self.clients[client].process.as_ref();
            if process.is_some_and(|process| process.token.1 && process.token.0.is_none_or(|at| at > healed)) {
                self.kill_client(client, 1_000);
            }
        }
        for link in 0..self.links.len() {
            // A delivery that was lost shows with the next one, or after the next reconnect.
            self.links[link].to_lose = 0;
            self.links[link].to_garble = 0;
            if self.links[link].wire.lost > 0 {
                self.cut_links(self.links[link].client, true, true);
            }
        }
        // A half-open link heals by the timers of both ends alone: nothing is done to it here.
        self.after(CONNECTED, Happening::Online);
    }

    /// Returns the clients that run our core.
    fn ours(&self) -> Vec<usize> {
        (0..self.clients.len()).filter(|index| !self.clients[*index].is_peer).collect()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.quiet && self.now > self.scenario.quiet_at.saturating_add(HEALING)
    }

    /// Invariant 15: who may connect is connected.
    pub(crate) fn check_online(&mut self) {
        self.healed = true;
        for index in self.ours() {
            let client = &self.clients[index];
            let state = client.process.as_ref().map(|process| process.core.state());
            let is_revoked = self.server.desk.is_revoked(&client.name);
            let is_dead = self.open_link_of(index).is_some_and(|link| self.links[link].server_done);
            if state == Some(ConnectionState::Online) && is_dead && !is_revoked {
                self.violate(15, format!("client {index} holds on to a connection that is dead"));
            } else if state != Some(ConnectionState::Online) && !is_revoked {
                let what = format!("client {index} is {state:?}, {} s after the last fault", CONNECTED / 1_000_000);
                self.violate(15, what);
            }
        }
        for index in self.ours() {
            self.read_what_is_missing(index);
            self.follow_again(index);
        }
    }

    /// Tells whether nothing is left to be done after the faults have ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.quiet && self.unsettled().is_none()
    }

    /// Returns what is still to be done.
    pub(crate) fn unsettled(&self) -> Option<&'static str> {
        if let Some(what) =
            self.clients.iter().filter(|client| !client.is_peer).find_map(|client| self.unsettled_client(client))
        {
            return Some(what);
        }
        let on_its_way = |link: &Link| link.up.next_arrival().is_some() || link.down.next_arrival().is_some();
        if self.links.iter().any(|link| link.client_done != link.server_done || on_its_way(link)) {
            return Some("one end of a link does not know what the other does");
        }
        if self.statuses_differ().is_some() {
            return Some("somebody who is followed is not known to be online, or is said to be");
        }
        if self.presence_differs().is_some() {
            return Some("a watcher does not see who is there");
        }
        if self.backend.is_at_work() {
            return Some("the backend is at work");
        }
        let is_at_work = !self.server.is_running() || !self.server.is_idle();
        is_at_work.then_some("the server is at work")
    }

    fn unsettled_client(&self, client: &SimClient) -> Option<&'static str> {
        let Some(process) = &client.process else { return Some("a client is down") };
        match process.core.state() {
            ConnectionState::Closed if self.server.desk.is_revoked(&client.name) => return None,
            ConnectionState::Online => {}
            _ => return Some("a client is not connected"),
        }
        if process.core.outbox().messages > 0 {
            return Some("an outbox is not empty");
        }
        if !process.calls.is_empty() {
            return Some("a call has no end");
        }
        if !process.uncommitted.is_empty() || process.frozen_until > self.now {
            return Some("a client is busy");
        }
        if process.readers.len() != client.plan.len() {
            return Some("a client does not read all its channels");
        }
        let log = &self.server.engine.log;
        let is_complete = |continuity: &Continuity| {
            let name = &continuity.channel;
            let at_end = |position| log.missing_after(name, position) == 0;
            let stands = continuity.position.is_some_and(|at| !log.is_over(name, at.epoch) && at_end(at));
            continuity.qos == Qos::AtMostOnce || log.head(name).is_none() || stands
        };
        let is_behind = |reader: &Reader| !reader.queue.is_empty() || !is_complete(&reader.continuity);
        process.readers.iter().any(is_behind).then_some("a reader is behind")
    }

    pub(crate) fn check_end(&mut self) {
        let mut found = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            if client.is_peer || self.server.desk.is_revoked(&client.name) {
                continue;
            }
            let Some(process) = &client.process else {
                found.push((15, format!("client {index} never came back")));
                continue;
            };
            let state = process.core.state();
            if state != ConnectionState::Online {
                found.push((15, format!("client {index} is {state:?} when all is over")));
                continue;
            }
            for reader in process.readers.iter().filter(|reader| reader.continuity.qos > Qos::AtMostOnce) {
                let name = &reader.continuity.channel;
                let Some(position) = reader.continuity.position else {
                    found.push((6, format!("client {index} was never subscribed to {name}")));
                    continue;
                };
                let missing = self.server.engine.log.missing_after(name, position);
                if missing > 0 {
                    found.push((6, format!("client {index} misses {missing} messages of {name} after {position:?}")));
                }
            }
        }
        found.extend(self.presence_differs().map(|what| (13, what)));
        found.extend(self.statuses_differ().map(|what| (13, what)));
        found.extend(self.check_sizes());
        for (invariant, what) in found {
            self.violate(invariant, what);
        }
        self.excuse_revoked();
        let ids_ms = self.scenario.keeps.ids_ms.unwrap_or(IDS_MS);
        let found = self.history.check_end(&self.server.engine.log, self.server.engine.lost, ids_ms);
        self.violations.extend(found);
    }

    /// Invariant 15: everything comes to an end.
    pub(crate) fn check_settled(&mut self) {
        if let Some(what) = self.unsettled().filter(|_| self.violations.is_empty()) {
            self.violate(15, format!("not settled, {} s after the last fault: {what}", HEALING / 1_000_000));
        }
    }

    /// Invariant 12: when all is quiet, the tables hold what there is, and nothing else.
    fn check_sizes(&self) -> Option<(u8, String)> {
        if !self.server.is_running() {
            return Some((15, "the server never came back".into()));
        }
        let online = |client: &SimClient| {
            client.process.as_ref().is_some_and(|process| process.core.state() == ConnectionState::Online)
        };
        let online = self.clients.iter().filter(|client| online(client)).count();
        let shards: Vec<_> = self.server.shards.iter().map(|shard| shard.node.stats()).collect();
        let connections: usize = shards.iter().map(|shard| shard.connections).sum();
        let is_clean = |shard: &NodeStats| {
            let NodeStats { connections, sessions, channels, questions, deadlines, calls, .. } = *shard;
            let questions = questions + calls;
            sessions == connections && deadlines == connections && questions == 0 && channels <= self.scenario.channels
        };
        if !shards.iter().all(is_clean) {
            return Some((12, format!("when all is quiet, the nodes hold {shards:?}")));
        }
        let stats = self.server.engine.stats();
        let (cursors, producers, sessions) = self.server.engine.rules.sizes();
        let is = (connections, stats.sessions, stats.cursors, stats.producers);
        let must = (online, online, cursors, producers);
        (is != must || sessions != online).then(|| {
            (12, format!("(connections, sessions, cursors, producers) are {is:?} and must be {must:?}, {sessions}"))
        })
    }
}
