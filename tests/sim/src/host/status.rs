//! Whom apps follow, and what they are told of them.

use std::collections::BTreeMap;

use moorline_core::protocol::{ErrorCode, UserName, UserStatus};
use moorline_core::{ConnectionState, Failure};

use crate::client::SimClient;
use crate::scenario::StatusOp;
use crate::world::World;

impl World {
    /// An app follows other users, or asks once.
    pub(crate) fn act_status(&mut self, number: usize) {
        let plan = self.scenario.statuses[number];
        let (index, users) =
            (plan.client, plan.names().filter_map(|name| UserName::new(&name).ok()).collect::<Vec<_>>());
        if self.is_frozen(index) {
            return;
        }
        if plan.op == StatusOp::Follow {
            self.clients[index].follows = users;
            return self.follow(index);
        }
        self.with_core(index, |core, now| {
            core.status(users, now);
        });
    }

    /// Tells the core whom the app follows.
    pub(crate) fn follow(&mut self, index: usize) {
        let now = self.client_now(index);
        let host = &mut self.clients[index];
        let Some(process) = &mut host.process else { return };
        let nobody = host.follows.is_empty() && process.followed.is_none();
        if nobody || process.core.watch_status(host.follows.clone(), now).is_err() {
            return;
        }
        let mut known = process.followed.take().unwrap_or_default();
        known.retain(|user, _| host.follows.contains(user));
        process.followed = Some(known);
        self.drive(index);
    }

    /// Follows again what the server had refused.
    pub(crate) fn follow_again(&mut self, index: usize) {
        if self.clients[index].process.as_ref().is_some_and(|process| process.followed.is_none()) {
            self.follow(index);
        }
    }

    pub(super) fn statuses_told(&mut self, index: usize, users: Vec<UserStatus>) {
        let mut broken = None;
        if let Some(known) = self.clients[index].process.as_mut().and_then(|process| process.followed.as_mut()) {
            for status in users {
                if status.online != status.since.is_some() {
                    broken = Some(format!("client {index} is told {status:?}"));
                }
                known.insert(status.user.clone(), status);
            }
        }
        if let Some(what) = broken {
            self.violate(13, what);
        }
    }

    /// Nobody may see who is online without a grant for it, and a token that denies anything denies this.
    pub(super) fn status_ended(&mut self, index: usize, failure: &Failure) {
        let is_denied = failure.code == ErrorCode::ChannelDenied && self.server.desk.denies(&self.clients[index].name);
        if !is_denied || self.healed {
            self.violate(13, format!("client {index} may follow nobody any more: {failure}"));
        }
        if let Some(process) = &mut self.clients[index].process {
            process.followed = None;
        }
    }

    /// Invariant 13: says where somebody is believed to be online who is not, or the reverse.
    pub(crate) fn statuses_differ(&self) -> Option<String> {
        let online = |client: &&SimClient| {
            let state = client.process.as_ref().map(|process| process.core.state());
            state == Some(ConnectionState::Online)
        };
        let is_online = |user: &UserName| self.clients.iter().filter(online).any(|client| client.name == user.as_str());
        self.clients.iter().enumerate().filter(|(_, client)| online(client)).find_map(|(index, client)| {
            let told = client.process.as_ref()?.followed.as_ref();
            let told: BTreeMap<_, _> = told.into_iter().flatten().map(|(user, status)| (user, status.online)).collect();
            let is: BTreeMap<_, _> = client.follows.iter().map(|user| (user, is_online(user))).collect();
            (told != is).then(|| format!("client {index} is told {told:?}, and is {is:?}"))
        })
    }
}
