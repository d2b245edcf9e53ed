//! What a script can let happen.

use bytes::Bytes;
use moorline_core::protocol::{
    ChannelName, CloseCode, Codec, Payload, PresenceMode, Qos, ServerFrame, UserName, Utf8Bytes,
};
use moorline_core::{Client, HostSignal, Input, Now};

use super::{Play, Reading, Who, named};
use crate::client::{Reader, SimClient};
use crate::network::Item;
use crate::scenario::{Content, Fault, Profile, PublishPlan};
use crate::world::Happening;

/// An app and its device.
impl Play {
    /// A client of this user starts, and its app reads these channels.
    pub fn client(&mut self, user: &str, readings: &[(&str, Reading)]) -> Who {
        let who = self.device(user, readings);
        self.start(who);
        who
    }

    /// The same, not started yet.
    pub fn device(&mut self, user: &str, readings: &[(&str, Reading)]) -> Who {
        let plan: Vec<_> = readings.iter().map(|(name, reading)| (named(name), *reading)).collect();
        let profile = Profile { user: 0, readings: Vec::new(), work_ms: 0, presence: Vec::new(), packs: true };
        let mut client = SimClient::new(&profile, plan, &self.world.scenario);
        user.clone_into(&mut client.name);
        self.world.clients.push(client);
        Who(self.world.clients.len() - 1)
    }

    /// A client's next process says that it can inflate, or does not.
    pub fn inflates(&mut self, who: Who, inflates: bool) {
        self.world.clients[who.0].packs = inflates;
    }

    /// A client's process starts.
    pub fn start(&mut self, who: Who) {
        self.world.happen(Happening::ClientStart { client: who.0 });
        self.check();
    }

    /// A client is a member of a channel whenever it reads it from now on, or watches its members.
    pub fn presence(&mut self, who: Who, channel: &str, mode: PresenceMode) {
        self.world.clients[who.0].presence.insert(named(channel), mode);
    }

    /// A client's app follows the status of these users from now on.
    pub fn follow(&mut self, who: Who, users: &[&str]) {
        self.world.clients[who.0].follows = users.iter().filter_map(|user| UserName::new(user).ok()).collect();
        self.world.follow(who.0);
        self.check();
    }

    /// The tokens of a client are another user's from now on; its device and its store stay.
    pub fn becomes(&mut self, who: Who, user: &str) {
        user.clone_into(&mut self.world.clients[who.0].name);
        self.world.clients[who.0].excuses.other_user = true;
    }

    /// A client's app needs so many ms for a message from now on.
    pub fn work(&mut self, who: Who, ms: u64) {
        self.world.clients[who.0].work_ms = ms;
    }

    /// An app publishes something new. Returns its id.
    pub fn publish(&mut self, who: Who, channel: &str, qos: Qos) -> String {
        self.publish_as(who, channel, qos, Content::Fresh, None)
    }

    /// An app publishes something that lives for so many s.
    pub fn publish_for(&mut self, who: Who, channel: &str, qos: Qos, ttl_s: u32) -> String {
        self.publish_as(who, channel, qos, Content::Fresh, Some(ttl_s))
    }

    /// An app publishes bytes that are not the JSON they are said to be.
    pub fn publish_poison(&mut self, who: Who, channel: &str, qos: Qos) -> String {
        self.publish_as(who, channel, qos, Content::Poison, None)
    }

    fn publish_as(&mut self, who: Who, channel: &str, qos: Qos, content: Content, ttl: Option<u32>) -> String {
        let plan = PublishPlan { at: 0, client: who.0, channel: 0, qos, content, ttl };
        let id = self.world.publish_to(&named(channel), plan);
        self.check();
        id.unwrap_or_else(|| panic!("nothing was published"))
    }

    /// An app calls its backend. Returns the name of the call.
    pub fn call(&mut self, who: Who) -> String {
        let name = self.world.make_call(who.0);
        self.check();
        name.unwrap_or_else(|| panic!("nothing was called"))
    }

    /// The server's own API publishes so many messages.
    pub fn fill(&mut self, channel: &str, messages: u64) {
        for _ in 0..messages {
            let number = self.world.operations;
            let (id, text) = (format!("o{number}"), format!("{{\"operator\":{number}}}"));
            let payload = Payload::Json(Bytes::from(text));
            self.world.append_as_operator(named(channel), Utf8Bytes::from(id), payload);
        }
        self.world.plan_batch();
        self.pass(200);
    }

    /// Does something with a client's core.
    pub fn tell(&mut self, who: Who, act: impl FnOnce(&mut Client, Now)) {
        self.world.with_core(who.0, act);
        self.check();
    }

    /// A client's process is told something by its host.
    pub fn signal(&mut self, who: Who, signal: HostSignal) {
        self.world.input(who.0, Input::Host(signal));
        self.check();
    }

    /// An app leaves a channel and reads it again at once.
    pub fn resubscribe(&mut self, who: Who, channel: &str, forget: bool) {
        let name = named(channel);
        let is_of = |reader: &Reader| reader.continuity.channel == name;
        let readers = self.world.clients[who.0].process.as_ref().map(|process| &process.readers);
        let reader = readers.and_then(|readers| readers.iter().position(is_of));
        let reader = reader.unwrap_or_else(|| panic!("{channel} is not read"));
        self.world.resubscribe(who.0, reader, forget);
        self.check();
    }

    /// A client's process is killed, and starts again so much later.
    pub fn kill(&mut self, who: Who, down_ms: u64) {
        self.strike(Fault::KillClient { client: who.0, down_ms });
    }

    /// A client's disk as it is now is what a later [`roll_back`](Self::roll_back) brings back.
    pub fn back_up(&mut self, who: Who) {
        self.world.clients[who.0].backup = self.world.clients[who.0].disk.clone();
    }

    /// A client's process is killed, and starts again so much later with its disk as it was backed up.
    pub fn roll_back(&mut self, who: Who, down_ms: u64) {
        self.strike(Fault::RollBack { client: who.0, down_ms });
    }

    /// A client's disk is copied to another device, which has not started yet.
    pub fn copy_disk(&mut self, from: Who, to: Who) {
        self.world.clients[to.0].disk = self.world.clients[from.0].disk.clone();
        for who in [from, to] {
            let excuses = &mut self.world.clients[who.0].excuses;
            (excuses.doubt, excuses.displaced) = (true, true);
        }
    }

    /// A client's device is thrown away: nobody asks for it any more.
    pub fn remove(&mut self, who: Who) {
        self.world.kill_client(who.0, 0);
        self.world.clients[who.0].is_peer = true;
    }

    /// A client's app disconnects for so long.
    pub fn disconnect(&mut self, who: Who, ms: u64) {
        self.strike(Fault::Disconnect { client: who.0, ms });
    }

    /// A client's device stands still.
    pub fn freeze(&mut self, who: Who, ms: u64) {
        self.strike(Fault::Freeze { client: who.0, ms });
    }

    /// A client's store refuses commits for so long.
    pub fn store_fails(&mut self, who: Who, ms: u64) {
        self.strike(Fault::StoreFails { client: who.0, ms });
    }
}

/// The network.
impl Play {
    /// A client's connection breaks, and both ends notice.
    pub fn cut(&mut self, who: Who) {
        self.strike(Fault::Cut { client: who.0 });
    }

    /// A client's connection breaks, and only one end notices.
    pub fn cut_half(&mut self, who: Who, server_notices: bool) {
        self.strike(Fault::HalfOpen { client: who.0, server_notices });
    }

    /// A client's connection breaks for the client at once; what it has sent arrives so much later all the same.
    pub fn linger(&mut self, who: Who, ms: u64) {
        self.strike(Fault::Linger { client: who.0, ms });
    }

    /// A client's network holds back everything for so long; then it all arrives.
    pub fn hold(&mut self, who: Who, ms: u64) {
        self.strike(Fault::BlackHole { client: who.0, ms, flush: true });
    }

    /// A client's network swallows everything for so long; then the connection breaks.
    pub fn swallow(&mut self, who: Who, ms: u64) {
        self.strike(Fault::BlackHole { client: who.0, ms, flush: false });
    }

    /// What is on its way to a client, and all that follows on this connection, arrives in so long at the earliest.
    pub fn hold_down(&mut self, who: Who, ms: u64) {
        self.hold_pipe(who, false, ms);
    }

    /// What is on its way from a client, and all that follows on this connection, arrives in so long at the earliest.
    pub fn hold_up(&mut self, who: Who, ms: u64) {
        self.hold_pipe(who, true, ms);
    }

    fn hold_pipe(&mut self, who: Who, up: bool, ms: u64) {
        let until = self.world.now + ms * 1_000;
        let Some(link) = self.world.open_link_of(who.0) else { panic!("there is no connection to hold") };
        let pipes = &mut self.world.links[link];
        let pipe = if up { &mut pipes.up } else { &mut pipes.down };
        pipe.hold_until(until);
        self.world.at(until, if up { Happening::LinkUp { link } } else { Happening::LinkDown { link } });
    }

    /// The next delivery to a client is lost although its connection stands.
    pub fn lose_delivery(&mut self, who: Who) {
        self.strike(Fault::LoseDelivery { client: who.0 });
    }

    /// The next compressed delivery to a client is not what the server has made.
    pub fn garble_delivery(&mut self, who: Who) {
        self.strike(Fault::GarbleDelivery { client: who.0 });
    }
}

/// The server.
impl Play {
    /// The server's process is killed, nothing of the batch under way survives, and it starts again so much later.
    pub fn kill_server(&mut self, down_ms: u64) {
        self.world.crash_server(down_ms, false, 0);
        self.check();
    }

    /// The same, with all of the batch under way written: only its answers are lost.
    pub fn kill_server_after_writing(&mut self, down_ms: u64) {
        self.world.crash_server(down_ms, false, 100);
        self.check();
    }

    /// The server's machine loses power; so many percent of what was not synced survive.
    pub fn cut_power(&mut self, down_ms: u64, kept: u64) {
        self.world.crash_server(down_ms, true, kept);
        self.check();
    }

    /// The server drains and restarts.
    pub fn drain(&mut self, down_ms: u64) {
        self.strike(Fault::Drain { down_ms });
    }

    /// The server takes a checkpoint.
    pub fn checkpoint(&mut self) {
        self.world.server.engine.take_checkpoint();
    }

    /// The server's wall clock jumps.
    pub fn server_clock(&mut self, ms: i64) {
        self.strike(Fault::ServerClock { ms });
    }

    /// The engine takes no writes for so long.
    pub fn refuse_writes(&mut self, ms: u64, full: bool) {
        self.strike(Fault::Readonly { ms, full });
    }

    /// The engine does nothing for so long; the node goes on.
    pub fn hang_engine(&mut self, ms: u64) {
        self.world.engine_hangs_until = self.world.now + ms * 1_000;
    }

    /// The server says something of its own accord to a client.
    pub fn server_says(&mut self, who: Who, frame: &ServerFrame) {
        let mut bytes = Vec::new();
        Codec::Binary.encode_server(frame, &mut bytes);
        let Some(link) = self.world.open_link_of(who.0) else { panic!("there is no connection") };
        self.world.transmit(link, false, Item::Message(bytes.into()));
    }

    /// What stands before the server closes a client's connection with this code.
    pub fn close_with(&mut self, who: Who, code: CloseCode) {
        let Some(link) = self.world.open_link_of(who.0) else { panic!("there is no connection") };
        self.world.transmit(link, false, Item::Close(Some(code)));
        self.world.close_at_server(link);
        self.check();
    }

    /// From now on a client's tokens grant a channel of this number, or do not.
    pub fn grant(&mut self, who: Who, channel: usize, allowed: bool) {
        self.strike(Fault::Grant { client: who.0, channel, allowed });
    }

    /// A client's user is revoked.
    pub fn revoke(&mut self, who: Who) {
        self.strike(Fault::Revoke { client: who.0 });
    }

    fn strike(&mut self, fault: Fault) {
        self.world.strike(fault);
        self.check();
    }

    /// Returns the canonical name of a channel as a client names it.
    pub fn canonical(&self, who: Who, channel: &str) -> ChannelName {
        self.world.clients[who.0].canonical(&named(channel))
    }
}
