//! What hooks are told of: see `docs/adr/0010-webhooks.md`.
//!
//! Events are appended to the reserved channel of their app, before what they tell of: a crash between the two leaves
//! an event too many, never one too few.

mod edges;
mod followers;
mod push;
mod windows;

use std::collections::VecDeque;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, ChannelName, Message, Offset, Payload, UserName};

use self::edges::{Edges, Subject};
use self::followers::Followers;
pub(super) use self::push::PushHandles;
use self::windows::{Window, Windows};
use super::store::MessageStore;
use super::{ChannelId, EngineCore, append};
use crate::engine::hooks::{HookEvent, HookKind, hooks_channel, is_reserved};
use crate::engine::record::{HookRecord, Record};
use crate::engine::{Append, ChannelKey, Gone, Owner, SessionId};
use crate::planted::Bug;

/// Events told in one turn: a turn is short, and what it writes is little.
const AT_ONCE: usize = 512;
/// Bytes of a message that an event carries, as JSON.
const MESSAGE_BYTES: usize = 200 * 1024;
/// A device that left without a word is told of what it had not acknowledged when it has not come back for so long.
const UNREAD_MS: u64 = 15_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    followers: Followers,
    windows: Windows,
    edges: Edges,
    /// What waits for its turn to be written.
    telling: VecDeque<Telling>,
    /// Nothing can be written now.
    held: bool,
}

#[derive(Debug)]
enum Telling {
    Event(AppName, HookEvent),
    /// All of a window was told.
    Settled(ChannelId, Offset),
}

impl<S: MessageStore> EngineCore<S> {
    /// Says whether there is no room to write down what hooks are to be told.
    pub fn hold_hooks(&mut self, held: bool) {
        self.hooks.held = held;
    }

    /// Returns in how many ms hooks are to be told something, if there is.
    pub fn hooks_idle_ms(&self, now: UnixMillis) -> Option<u64> {
        if self.hooks.held {
            return None;
        }
        let now_if_any = (!self.hooks.telling.is_empty()).then_some(now);
        let due = [now_if_any, self.hooks.windows.due(), self.hooks.edges.due()];
        due.into_iter().flatten().min().map(|at| at.saturating_sub(now))
    }

    /// Begins a life in which nobody has come yet.
    pub(super) fn begin_hooks(&mut self, now: UnixMillis) {
        let by = now + self.config.hooks.return_ms;
        self.hooks.edges.begin(by);
        self.hooks.windows.begin(by);
        self.learn_followers(now);
    }

    /// Finds out who would miss messages that are wanted now, and who is there.
    pub(super) fn learn_followers(&mut self, now: UnixMillis) {
        self.hooks.followers = Followers::default();
        if !self.config.hooks.has_any(HookKind::MessageOffline) {
            return;
        }
        let mut stored = Vec::new();
        // What cannot be read now is found out by whoever asks for it.
        let _ = self.store.cursors(&mut |mut value| stored.extend(Record::decode(&mut value)));
        for record in stored {
            let Record::Cursor { owner, channel, used, .. } = record else { continue };
            if !self.residency.is_cursor_gone(&owner, channel) {
                self.follow(&owner, channel, used);
            }
        }
        let held: Vec<_> = self.cursors.records().map(|(owner, id, record, _)| (owner.clone(), id, record)).collect();
        for (owner, channel, record) in held {
            if let Record::Cursor { used, .. } = record {
                self.follow(&owner, channel, used);
            }
        }
        for user in self.sessions.in_foreground() {
            self.come_forward(user, now);
        }
    }

    /// A device has a cursor in a channel, and used it.
    pub(super) fn follow(&mut self, owner: &Owner, channel: ChannelId, used: UnixMillis) {
        let known = self.channels.get(&channel).filter(|channel| !is_reserved(channel.key.name.as_str()));
        if known.is_some_and(|known| self.wants_offline(&known.key)) {
            self.hooks.followers.follow(owner, channel, used);
        }
    }

    pub(super) fn touch_follower(&mut self, owner: &Owner, now: UnixMillis) {
        self.hooks.followers.touch(owner, now);
    }

    pub(super) fn unfollow(&mut self, owner: &Owner, channel: ChannelId) {
        self.hooks.followers.unfollow(owner, channel);
    }

    /// A channel is gone.
    pub(super) fn forget_hooks(&mut self, channel: ChannelId) {
        self.hooks.followers.forget(channel);
        self.hooks.windows.forget(channel);
    }

    fn wants_offline(&self, key: &ChannelKey) -> bool {
        self.config.hooks.wants(&key.app, HookKind::MessageOffline, Some(key.name.as_str()))
    }

    /// A message is about to be stored. What is to be told of it is written down before it.
    pub(super) fn hook_message(&mut self, id: ChannelId, key: &ChannelKey, message: &Message, now: UnixMillis) {
        let (Some(offset), name) = (message.offset, key.name.as_str()) else { return };
        if is_reserved(name) {
            return;
        }
        if self.config.hooks.wants(&key.app, HookKind::MessageStored, Some(name)) {
            let mut event = HookEvent::new(HookKind::MessageStored, message.time);
            event.channel = Some(name.to_owned());
            event.epoch = self.channels.get(&id).map(|channel| channel.epoch.as_str().to_owned());
            (event.first, event.message) = (Some(offset.0), message_json(message));
            self.tell(&key.app, &event, now);
        }
        if self.wants_offline(key) {
            self.hook_offline(id, key, message, offset, now);
        }
    }

    /// A message for somebody who is away opens a window.
    fn hook_offline(&mut self, id: ChannelId, key: &ChannelKey, message: &Message, offset: Offset, now: UnixMillis) {
        let author = message.user.as_ref().and_then(|user| UserName::new(user).ok());
        let hooks = &mut self.hooks;
        let inbox = inbox(key).filter(|user| Some(&user.1) != author.as_ref());
        let misses = inbox.is_some_and(|user| hooks.followers.is_away(&user, now))
            || hooks.followers.has_away(id, author.as_ref(), now);
        if misses && !self.config.bugs.has(Bug::AwayUntold) {
            let window = hooks.windows.open(id, offset, now + self.config.hooks.collapse_ms);
            if window.recorded.is_empty() {
                window.recorded.push(offset);
                self.records.push(Record::Hook(HookRecord::Due { channel: id, first: offset }));
            }
        }
        // Whoever writes has seen what was written before.
        if let (Some(window), Some(author)) = (self.hooks.windows.get_mut(id), author) {
            window.seen.insert(author, offset);
        }
    }

    /// A connection is in the foreground from now on.
    pub(super) fn come_forward(&mut self, user: (AppName, UserName), now: UnixMillis) {
        if self.config.hooks.has(&user.0, HookKind::MessageOffline) {
            self.hooks.followers.come(user, now);
        }
    }

    /// A connection is in the foreground no more. What is stored from now on is to be told.
    pub(super) fn go_back(&mut self, user: &(AppName, UserName), now: UnixMillis) {
        if !self.hooks.followers.go(user, now) {
            return;
        }
        let inbox = ChannelName::new(&format!("@{}", user.1)).ok();
        let inbox = inbox.and_then(|name| self.by_key.get(&ChannelKey { app: user.0.clone(), name }).copied());
        for id in self.hooks.followers.followed(user).into_iter().chain(inbox) {
            let head = self.channels.get(&id).map_or(Offset::ZERO, |channel| channel.head);
            if let Some(window) = self.hooks.windows.get_mut(id) {
                window.seen.insert(user.1.clone(), head);
            }
        }
    }

    /// A connection ended without a word: what was sent on it and not acknowledged may not have arrived.
    pub(super) fn hook_unread(&mut self, owner: &Owner, reading: &[ChannelId], how: Gone, now: UnixMillis) {
        let after = match how {
            Gone::Left => return,
            Gone::Silent => self.config.hooks.collapse_ms,
            Gone::Closed { .. } => UNREAD_MS,
        };
        let user = (owner.app.clone(), owner.user.clone());
        if !self.config.hooks.has(&owner.app, HookKind::MessageOffline) || !self.hooks.followers.is_gone(&user) {
            return;
        }
        for id in reading.iter().copied() {
            let (Some(cursor), Some(channel)) = (self.cursors.position(owner, id), self.channels.get(&id)) else {
                continue;
            };
            let is_behind = cursor.epoch == channel.epoch && cursor.offset < channel.head;
            if is_behind && self.wants_offline(&channel.key.clone()) {
                let (head, first) = (channel.head, cursor.offset.next());
                let window = self.hooks.windows.open(id, head.next(), now + after);
                window.seen.insert(owner.user.clone(), cursor.offset);
                // What was written down for others may begin later, and a crash leaves nothing else.
                if window.recorded.iter().all(|recorded| *recorded > first) {
                    window.recorded.push(first);
                    self.records.push(Record::Hook(HookRecord::Due { channel: id, first }));
                }
            }
        }
    }

    /// A user has its first connection, or lost its last.
    pub(super) fn hook_user(&mut self, user: &(AppName, UserName), is_on: bool, now: UnixMillis) {
        let Ok(name) = ChannelName::new(user.1.as_str()) else { return };
        self.hook_edge(Subject { is_user: true, key: ChannelKey { app: user.0.clone(), name } }, is_on, now);
    }

    /// A channel has its first subscriber, or lost its last.
    pub(super) fn hook_channel(&mut self, key: &ChannelKey, is_on: bool, now: UnixMillis) {
        if !is_reserved(key.name.as_str()) {
            self.hook_edge(Subject { is_user: false, key: key.clone() }, is_on, now);
        }
    }

    fn hook_edge(&mut self, subject: Subject, is_on: bool, now: UnixMillis) {
        let kinds = [edge_kind(subject.is_user, true), edge_kind(subject.is_user, false)];
        let channel = Some(subject.key.name.as_str()).filter(|_| !subject.is_user);
        if kinds.iter().any(|kind| self.config.hooks.wants(&subject.key.app, *kind, channel)) {
            self.hooks.edges.set(subject, is_on, now);
        }
    }

    /// Writes down what is to be told by now.
    pub(super) fn tell_hooks(&mut self, now: UnixMillis) {
        if self.hooks.held {
            return;
        }
        let mut left = AT_ONCE;
        while left > 0
            && let Some((subject, is_on)) = self.hooks.edges.next(now)
        {
            left -= 1;
            self.tell_edge(subject, is_on, now);
        }
        while self.hooks.telling.len() < AT_ONCE
            && let Some((channel, window)) = self.hooks.windows.next(now)
        {
            self.close_window(channel, window, now);
        }
        while left > 0
            && let Some(telling) = self.hooks.telling.pop_front()
        {
            left -= 1;
            match telling {
                Telling::Event(app, event) => self.tell(&app, &event, now),
                Telling::Settled(channel, first) => {
                    self.records.push(Record::Hook(HookRecord::Settled { channel, first }))
                }
            }
        }
    }

    fn tell_edge(&mut self, subject: Subject, is_on: bool, now: UnixMillis) {
        let Subject { is_user, key } = subject;
        let kind = edge_kind(is_user, is_on);
        let name = key.name.as_str();
        if self.config.hooks.wants(&key.app, kind, Some(name).filter(|_| !is_user)) {
            let mut event = HookEvent::new(kind, now);
            *(if is_user { &mut event.user } else { &mut event.channel }) = Some(name.to_owned());
            self.tell(&key.app, &event, now);
        }
        self.records.push(Record::Hook(HookRecord::Told { is_user, key, is_on }));
    }

    /// Those who are away now, and were when something was stored, are told of it.
    fn close_window(&mut self, id: ChannelId, window: Window, now: UnixMillis) {
        let Some(channel) = self.channels.get(&id) else { return };
        let (key, head, epoch) = (channel.key.clone(), channel.head, channel.epoch);
        let settled = window.recorded.into_iter().map(|first| Telling::Settled(id, first));
        if !self.wants_offline(&key) {
            return self.hooks.telling.extend(settled);
        }
        let mut users = self.hooks.followers.gone(id, |used| self.is_over(used, self.config.cursors_ms, now));
        users.extend(inbox(&key).filter(|user| self.hooks.followers.is_gone(user)).map(|(_, user)| user));
        users.sort_unstable();
        users.dedup();
        for user in users {
            let first = window.seen.get(&user).map_or(window.first, |seen| seen.next());
            if first > head {
                continue;
            }
            let mut event = HookEvent::new(HookKind::MessageOffline, now);
            (event.user, event.channel) = (Some(user.to_string()), Some(key.name.to_string()));
            (event.epoch, event.first, event.last) = (Some(epoch.as_str().to_owned()), Some(first.0), Some(head.0));
            event.count = Some(head.0 - first.0 + 1);
            self.hooks.telling.push_back(Telling::Event(key.app.clone(), event));
        }
        self.hooks.telling.extend(settled);
    }

    fn tell(&mut self, app: &AppName, event: &HookEvent, now: UnixMillis) {
        let (Some(channel), Ok(json)) = (hooks_channel(app), serde_json::to_vec(event)) else { return };
        let n = self.by_key.get(&channel).and_then(|id| self.channels.get(id)).map_or(0, |channel| channel.head.0);
        // It outlives the epoch, so that an event is known again after a new one has begun.
        let id: moorline_protocol::Utf8Bytes = format!("{now:x}_{n}").into();
        let append = Append {
            channel,
            scope: std::sync::Arc::from("$"),
            hash: 0,
            user: None,
            headers: moorline_protocol::Headers::new(),
            payload: Payload::Json(json.into()),
            ttl: None,
            producer: None,
            verdict: Ok(()),
            id,
        };
        let key = append::id_key(self.config.salt, "$", &append.id);
        self.store_message(append, key, now);
    }

    /// A connection goes to the background, or comes back.
    pub(super) fn park(&mut self, session: SessionId, parked: bool, now: UnixMillis) {
        let Some(user) = self.sessions.park(session, parked) else { return };
        if parked { self.go_back(&user, now) } else { self.come_forward(user, now) }
    }

    pub(super) fn apply_hook(&mut self, record: HookRecord) {
        match record {
            HookRecord::Due { channel, first } => self.hooks.windows.restore(channel, first),
            HookRecord::Settled { channel, first } => self.hooks.windows.settle(channel, first),
            HookRecord::Told { is_user, key, is_on } => self.hooks.edges.told(Subject { is_user, key }, is_on),
        }
    }

    /// Hands out the records that rebuild what waits to be told.
    pub(super) fn hook_records(&self, mut out: impl FnMut(Record)) {
        let waiting = self.hooks.telling.iter().filter_map(|telling| match telling {
            Telling::Settled(channel, first) => Some((*channel, *first)),
            Telling::Event(..) => None,
        });
        for (channel, first) in self.hooks.windows.recorded().chain(waiting) {
            if self.channels.contains_key(&channel) {
                out(Record::Hook(HookRecord::Due { channel, first }));
            }
        }
        for subject in self.hooks.edges.all_told() {
            out(Record::Hook(HookRecord::Told { is_user: subject.is_user, key: subject.key.clone(), is_on: true }));
        }
    }
}

fn edge_kind(is_user: bool, is_on: bool) -> HookKind {
    match (is_user, is_on) {
        (true, true) => HookKind::UserOnline,
        (true, false) => HookKind::UserOffline,
        (false, true) => HookKind::ChannelOccupied,
        (false, false) => HookKind::ChannelVacated,
    }
}

/// Returns whose inbox a channel is.
fn inbox(key: &ChannelKey) -> Option<(AppName, UserName)> {
    let user = UserName::new(key.name.as_str().strip_prefix('@')?).ok()?;
    Some((key.app.clone(), user))
}

fn message_json(message: &Message) -> Option<Box<serde_json::value::RawValue>> {
    let mut json = Vec::new();
    moorline_protocol::json::encode_message(message, &mut json);
    let json = String::from_utf8(json).ok().filter(|json| json.len() <= MESSAGE_BYTES)?;
    serde_json::value::RawValue::from_string(json).ok()
}
