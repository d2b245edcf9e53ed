//! What apps do as members, and what they are shown of others.

use bytes::Bytes;
use moorline_core::protocol::ChannelName;
use moorline_core::{ConnectionState, SubscriptionId};

use crate::client::{Process, SimClient};
use crate::model::Members;
use crate::scenario::{PresenceOp, PresencePlan};
use crate::world::{World, channel};

impl World {
    /// An app enters, says something else about itself, or leaves.
    pub(crate) fn act_present(&mut self, number: usize) {
        let PresencePlan { client: index, channel: of, op, .. } = self.scenario.presence[number];
        let (name, now) = (channel(of), self.client_now(index));
        let host = &mut self.clients[index];
        if !host.presence.contains_key(&name) || self.is_frozen(index) {
            return;
        }
        let Some(process) = &mut self.clients[index].process else { return };
        let is_closed = process.core.state() == ConnectionState::Closed;
        let reads = process.readers.iter().any(|reader| reader.continuity.channel == name);
        if !reads || is_closed || op == PresenceOp::Update && !process.entered.contains_key(&name) {
            return;
        }
        let state = Some(Bytes::from(format!("\"act {number}\"")));
        match op {
            PresenceOp::Enter => {
                process.core.enter(&name, state.clone(), now);
                process.entered.insert(name, state);
            }
            PresenceOp::Update => {
                process.core.update(&name, state.clone(), now);
                process.entered.insert(name, state);
            }
            PresenceOp::Leave => {
                process.core.leave(&name, now);
                process.entered.remove(&name);
            }
        }
        self.drive(index);
    }

    /// Invariant 13: a list of members is that of the version it names.
    pub(super) fn check_view(&mut self, index: usize, ids: &[SubscriptionId]) {
        let Some(process) = &self.clients[index].process else { return };
        let mut broken = None;
        for reader in process.readers.iter().filter(|reader| ids.contains(&reader.id)) {
            let name = &reader.continuity.channel;
            let Some((members, Some(version))) = view(process, name) else { continue };
            let shown = self.server.engine.rules.shown(name, version);
            if shown != Some(&members) {
                broken = Some(format!("client {index}, {name}: {version:?} is {members:?}, and was {shown:?}"));
            }
        }
        if let Some(what) = broken {
            self.violate(13, what);
        }
    }

    /// Invariant 13: says where a watcher does not see who is there, or somebody is there who should not.
    pub(crate) fn presence_differs(&self) -> Option<String> {
        let online = |client: &&SimClient| {
            let state = client.process.as_ref().map(|process| process.core.state());
            state == Some(ConnectionState::Online)
        };
        (0..self.scenario.channels).map(channel).find_map(|name| {
            let there = self.server.engine.rules.members(&name);
            let mut entered: Vec<(&String, &Option<Bytes>)> = Vec::new();
            for client in self.clients.iter().filter(online) {
                let state = client.process.as_ref().and_then(|process| process.entered.get(&name));
                entered.extend(state.map(|state| (&client.name, state)));
            }
            let is_wanted = |(user, state): (&String, &Option<Bytes>)| entered.contains(&(user, state));
            let is_there = |(user, _): &(&String, &Option<Bytes>)| there.contains_key(*user);
            if !there.iter().all(is_wanted) || !entered.iter().all(is_there) {
                return Some(format!("{name}: {there:?} are there, and {entered:?} want to be"));
            }
            self.clients.iter().enumerate().filter(|(_, client)| online(client)).find_map(|(index, client)| {
                let process = client.process.as_ref().filter(|_| client.presence.contains_key(&name))?;
                // Whose token, of a clock that was ahead, denies the channel to the end reads nothing there.
                process.readers.iter().find(|reader| reader.continuity.channel == name)?;
                let seen = view(process, &name).map(|(members, _)| members);
                (seen.as_ref() != Some(&there))
                    .then(|| format!("client {index}, {name}: {seen:?} are seen, and {there:?} are there"))
            })
        })
    }
}

/// Returns what a client shows of a channel's members.
fn view(process: &Process, name: &ChannelName) -> Option<(Members, Option<moorline_core::protocol::PresenceVersion>)> {
    let present = process.core.present(name)?;
    let members = present.members?.into_iter().map(|member| (member.user.as_str().to_owned(), member.state));
    Some((members.collect(), present.version))
}
