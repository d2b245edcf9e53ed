use std::collections::BTreeMap;
use std::ops::Bound;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, CloseCode, UserName};

use super::store::MessageStore;
use super::{EngineCore, completed};
use crate::engine::hooks::is_reserved;
use crate::engine::{
    AppStats, Appended, ChannelInfo, ChannelKey, ChannelsPage, ChannelsQuery, Completion, EngineStats, ShardId, Ticket,
};

/// What was published since the start, per app.
#[derive(Debug, Default)]
pub(super) struct Published(BTreeMap<AppName, AppStats>);

impl Published {
    /// Counts an outcome.
    pub(super) fn count(&mut self, app: &AppName, appended: &Appended) {
        let (stored, known) = match appended {
            Appended::Stored(_) => (1, 0),
            Appended::Duplicate(_) => (0, 1),
            Appended::Refused(_)
            | Appended::Gap { .. }
            | Appended::Reused(_)
            | Appended::Fenced
            | Appended::UnknownProducer
            | Appended::TooManyChannels => return,
        };
        if !self.0.contains_key(app) {
            self.0.insert(app.clone(), AppStats::default());
        }
        if let Some(stats) = self.0.get_mut(app) {
            stats.published += stored;
            stats.duplicates += known;
        }
    }
}

impl<S: MessageStore> EngineCore<S> {
    pub(super) fn list_channels(&mut self, shard: ShardId, ticket: Ticket, query: &ChannelsQuery) {
        let page = self.channels_of(query);
        self.reply(shard, completed(ticket, Completion::Channels(page)));
    }

    fn channels_of(&self, query: &ChannelsQuery) -> ChannelsPage {
        let first = ChannelName::new(&query.prefix).ok();
        let from = match (first, query.after.clone()) {
            (Some(first), Some(after)) if after < first => Bound::Included(first),
            (_, Some(after)) => Bound::Excluded(after),
            (Some(first), None) => Bound::Included(first),
            // No name is less than this one.
            (None, None) => ChannelName::new("\u{20}").map_or(Bound::Unbounded, Bound::Included),
        };
        let of = |name| ChannelKey { app: query.app.clone(), name };
        let from = from.map(of);
        let known = self.by_key.range::<ChannelKey, _>((from.as_ref(), Bound::Unbounded));
        let known = known.take_while(|(key, _)| key.app == query.app && key.name.as_str().starts_with(&query.prefix));
        let mut page = ChannelsPage::default();
        let mut found = Vec::new();
        for (key, id) in known.filter(|(key, _)| !is_reserved(key.name.as_str())) {
            let Some(channel) = self.channels.get(id) else { continue };
            let is_subscribed = !channel.watchers.is_empty();
            if channel.head.0 == 0 && !is_subscribed {
                continue;
            }
            if found.len() == query.limit {
                page.more = true;
                break;
            }
            let (epoch, first, head) = (channel.epoch, channel.first, channel.head);
            let name = key.name.clone();
            let (messages, bytes) = self.store.size(*id);
            found.push(ChannelInfo { name, epoch, first, head, is_subscribed, members: 0, messages, bytes });
        }
        for info in &mut found {
            info.members = self.presence.count(&of(info.name.clone())) as u64;
        }
        page.channels = found;
        page
    }

    pub(super) fn disconnect(&mut self, shard: ShardId, ticket: Ticket, user: (AppName, UserName), now: UnixMillis) {
        let sessions = self.sessions.of_user(&user);
        let count = sessions.len() as u32;
        for session in sessions {
            self.displace(session, CloseCode::TOKEN_EXPIRED, None, now);
        }
        self.reply(shard, completed(ticket, Completion::Disconnected(count)));
    }

    pub(super) fn oldest(&mut self, shard: ShardId, ticket: Ticket) {
        let oldest = self.store.oldest();
        self.reply(shard, completed(ticket, Completion::Oldest(oldest)));
    }

    pub(super) fn numbers(&mut self, shard: ShardId, ticket: Ticket) {
        let mut apps = self.published.0.clone();
        for (app, members) in self.presence.members_per_app() {
            apps.entry(app).or_default().members = members;
        }
        for (app, online) in self.presence.online_per_app() {
            apps.entry(app).or_default().online = online;
        }
        let stats = EngineStats {
            apps: apps.into_iter().collect(),
            channels: self.channels.len() as u64,
            producers: self.producers.len() as u64,
            cursors: self.cursors.len() as u64,
        };
        self.reply(shard, completed(ticket, Completion::Stats(stats)));
    }
}
