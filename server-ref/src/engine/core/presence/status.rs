use std::collections::BTreeMap;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, UserName, UserStatus};

use super::BATCH_MS;
use crate::engine::{Event, ShardId};

type User = (AppName, UserName);

/// Which users have a connection, and which shards want to know.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Since when.
    online: BTreeMap<User, UnixMillis>,
    watched: BTreeMap<User, Vec<ShardId>>,
    /// Those to be told, and whether they were online when they were told last; `None` if not all were told the same.
    changed: BTreeMap<User, Option<bool>>,
    told_at: Option<u64>,
}

impl Status {
    /// A user's first connection stands.
    pub(super) fn come(&mut self, user: User, now: UnixMillis) {
        self.note(&user, true);
        self.online.insert(user, now);
    }

    /// A user's last connection is gone.
    pub(super) fn go(&mut self, user: &User) {
        self.note(user, false);
        self.online.remove(user);
    }

    fn note(&mut self, user: &User, is_online: bool) {
        if !self.watched.contains_key(user) {
            return;
        }
        match self.changed.get(user) {
            // It is again as it was told.
            Some(was) if *was == Some(is_online) => drop(self.changed.remove(user)),
            Some(_) => {}
            None => drop(self.changed.insert(user.clone(), Some(!is_online))),
        }
    }

    /// Returns how many users of each app have a connection.
    pub(super) fn per_app(&self) -> BTreeMap<AppName, u64> {
        let mut apps = BTreeMap::new();
        for (app, _) in self.online.keys() {
            *apps.entry(app.clone()).or_default() += 1;
        }
        apps
    }

    pub(super) fn of(&self, app: &AppName, user: UserName) -> UserStatus {
        let key = (app.clone(), user);
        let since = self.online.get(&key).copied();
        UserStatus { user: key.1, online: since.is_some(), since }
    }

    pub(super) fn watch(&mut self, shard: ShardId, app: &AppName, users: &[UserName]) {
        for user in users {
            let key = (app.clone(), user.clone());
            let watchers = self.watched.entry(key.clone()).or_default();
            if !watchers.contains(&shard) {
                watchers.push(shard);
            }
            // Who asks now is told what is now, and the others what was.
            if let Some(was) = self.changed.get_mut(&key) {
                *was = None;
            }
        }
    }

    pub(super) fn unwatch(&mut self, shard: ShardId, app: &AppName, users: &[UserName]) {
        for user in users {
            let key = (app.clone(), user.clone());
            let Some(watchers) = self.watched.get_mut(&key) else { continue };
            watchers.retain(|watcher| *watcher != shard);
            if watchers.is_empty() {
                self.watched.remove(&key);
                self.changed.remove(&key);
            }
        }
    }

    pub(super) fn due(&self) -> Option<u64> {
        (!self.changed.is_empty()).then(|| self.told_at.map_or(0, |at| at + BATCH_MS))
    }

    /// Tells each shard what changed of what it watches, if it is time.
    pub(super) fn turn(&mut self, time: u64, mut tell: impl FnMut(ShardId, Event)) {
        if self.due().is_none_or(|due| due > time) {
            return;
        }
        self.told_at = Some(time);
        let mut by_shard: BTreeMap<(ShardId, AppName), Vec<UserStatus>> = BTreeMap::new();
        for (app, user) in std::mem::take(&mut self.changed).into_keys() {
            let status = self.of(&app, user.clone());
            for shard in self.watched.get(&(app.clone(), user)).into_iter().flatten() {
                by_shard.entry((*shard, app.clone())).or_default().push(status.clone());
            }
        }
        for ((shard, app), users) in by_shard {
            tell(shard, Event::Statuses { app, users });
        }
    }
}
