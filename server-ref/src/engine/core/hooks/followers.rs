//! Who would miss what in a channel: the devices whose cursors stand in it, and which users are away.

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, UserName};
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::engine::Owner;
use crate::engine::record::ChannelId;

/// A user who came so many ms ago may be about to say that it is in the background.
const LINGER_MS: u64 = 2_000;

/// See the module's documentation. Cursors take about 8 bytes each, devices and users about 300.
#[derive(Debug, Default)]
pub(super) struct Followers {
    users: Slab<User>,
    user_numbers: FxHashMap<(AppName, UserName), usize>,
    devices: Slab<Device>,
    device_numbers: FxHashMap<Owner, usize>,
    /// The devices with a cursor in a channel, ascending.
    channels: FxHashMap<ChannelId, Vec<u32>>,
}

#[derive(Debug)]
struct User {
    key: (AppName, UserName),
    /// Connections that are not parked, and since when there are any.
    foreground: u32,
    since: UnixMillis,
    devices: Vec<u32>,
}

#[derive(Debug)]
struct Device {
    user: usize,
    /// Where it has cursors, ascending.
    channels: Vec<ChannelId>,
    /// When one of them was last used.
    used: UnixMillis,
}

impl User {
    fn is_away(&self, now: UnixMillis) -> bool {
        self.foreground == 0 || now.saturating_sub(self.since) < LINGER_MS
    }
}

impl Followers {
    /// A device has a cursor in a channel, and used it.
    pub(super) fn follow(&mut self, owner: &Owner, channel: ChannelId, used: UnixMillis) {
        let number = match self.device_numbers.get(owner) {
            Some(number) => *number,
            None => self.add_device(owner),
        };
        let Some(device) = self.devices.get_mut(number) else { return };
        device.used = device.used.max(used);
        if let Err(at) = device.channels.binary_search(&channel) {
            device.channels.insert(at, channel);
        }
        let of = self.channels.entry(channel).or_default();
        if let Err(at) = of.binary_search(&(number as u32)) {
            of.insert(at, number as u32);
        }
    }

    fn add_device(&mut self, owner: &Owner) -> usize {
        let user = self.user((owner.app.clone(), owner.user.clone()));
        let number = self.devices.insert(Device { user, channels: Vec::new(), used: 0 });
        self.device_numbers.insert(owner.clone(), number);
        self.users.get_mut(user).into_iter().for_each(|user| user.devices.push(number as u32));
        number
    }

    fn user(&mut self, key: (AppName, UserName)) -> usize {
        if let Some(number) = self.user_numbers.get(&key) {
            return *number;
        }
        let user = User { key: key.clone(), foreground: 0, since: 0, devices: Vec::new() };
        let number = self.users.insert(user);
        self.user_numbers.insert(key, number);
        number
    }

    /// A device used its cursors.
    pub(super) fn touch(&mut self, owner: &Owner, now: UnixMillis) {
        let number = self.device_numbers.get(owner).copied();
        number.and_then(|number| self.devices.get_mut(number)).into_iter().for_each(|device| device.used = now);
    }

    /// A cursor is gone.
    pub(super) fn unfollow(&mut self, owner: &Owner, channel: ChannelId) {
        let Some(number) = self.device_numbers.get(owner).copied() else { return };
        if let Some(of) = self.channels.get_mut(&channel) {
            of.retain(|device| *device as usize != number);
            if of.is_empty() {
                self.channels.remove(&channel);
            }
        }
        let Some(device) = self.devices.get_mut(number) else { return };
        device.channels.retain(|other| *other != channel);
        if device.channels.is_empty() {
            let user = device.user;
            self.devices.remove(number);
            self.device_numbers.remove(owner);
            if let Some(known) = self.users.get_mut(user) {
                known.devices.retain(|device| *device as usize != number);
            }
            self.drop_user(user);
        }
    }

    fn drop_user(&mut self, number: usize) {
        if self.users.get(number).is_some_and(|user| user.foreground == 0 && user.devices.is_empty()) {
            let user = self.users.remove(number);
            self.user_numbers.remove(&user.key);
        }
    }

    /// A channel is gone.
    pub(super) fn forget(&mut self, channel: ChannelId) {
        for device in self.channels.remove(&channel).into_iter().flatten() {
            if let Some(device) = self.devices.get_mut(device as usize) {
                device.channels.retain(|other| *other != channel);
            }
        }
    }

    /// A connection is in the foreground.
    pub(super) fn come(&mut self, key: (AppName, UserName), now: UnixMillis) {
        let number = self.user(key);
        let Some(user) = self.users.get_mut(number) else { return };
        user.foreground += 1;
        if user.foreground == 1 {
            user.since = now;
        }
    }

    /// A connection is no more in the foreground. Returns whether with it its user went away.
    pub(super) fn go(&mut self, key: &(AppName, UserName), now: UnixMillis) -> bool {
        let Some(number) = self.user_numbers.get(key).copied() else { return false };
        let Some(user) = self.users.get_mut(number) else { return false };
        let was_here = !user.is_away(now);
        user.foreground = user.foreground.saturating_sub(1);
        let went = was_here && user.foreground == 0;
        self.drop_user(number);
        went
    }

    /// Tells whether a user has no connection in the foreground. One who has only just come may be about to park.
    pub(super) fn is_away(&self, key: &(AppName, UserName), now: UnixMillis) -> bool {
        let user = self.user_numbers.get(key).and_then(|number| self.users.get(*number));
        user.is_none_or(|user| user.is_away(now))
    }

    /// Tells whether a user has no connection in the foreground.
    pub(super) fn is_gone(&self, key: &(AppName, UserName)) -> bool {
        let user = self.user_numbers.get(key).and_then(|number| self.users.get(*number));
        user.is_none_or(|user| user.foreground == 0)
    }

    /// Tells whether somebody who follows a channel is away, but for one user.
    pub(super) fn has_away(&self, channel: ChannelId, but: Option<&UserName>, now: UnixMillis) -> bool {
        let of = self.channels.get(&channel).into_iter().flatten();
        let mut users = of.filter_map(|device| self.users.get(self.devices.get(*device as usize)?.user));
        users.any(|user| user.is_away(now) && but != Some(&user.key.1))
    }

    /// Returns who follows a channel and has no connection in the foreground, each once, but for those whose cursors were
    /// last used too long ago.
    pub(super) fn gone(&self, channel: ChannelId, is_over: impl Fn(UnixMillis) -> bool) -> Vec<UserName> {
        let of = self.channels.get(&channel).into_iter().flatten();
        let devices = of.filter_map(|device| self.devices.get(*device as usize)).filter(|device| !is_over(device.used));
        let mut users: Vec<usize> = devices.map(|device| device.user).collect();
        users.sort_unstable();
        users.dedup();
        let users = users.into_iter().filter_map(|user| self.users.get(user)).filter(|user| user.foreground == 0);
        users.map(|user| user.key.1.clone()).collect()
    }

    /// Returns where a user has cursors.
    pub(super) fn followed(&self, key: &(AppName, UserName)) -> Vec<ChannelId> {
        let user = self.user_numbers.get(key).and_then(|number| self.users.get(*number));
        let devices = user.into_iter().flat_map(|user| &user.devices);
        let devices = devices.filter_map(|device| self.devices.get(*device as usize));
        devices.flat_map(|device| device.channels.iter().copied()).collect()
    }
}
