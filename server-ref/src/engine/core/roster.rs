//! Which durable cursors a user has, over all devices and channels: their number has a bound. See
//! `docs/adr/0005-state-on-disk.md`.
//!
//! A roster follows the records of cursors, so none are written for it: it is in memory while a connection of its user
//! stands, and until the checkpoint that holds it is written; the rest is the store's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use moorline_protocol::binary::varint::{put, put_bytes, take, take_text, take_u32};
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, DecodeError, DeviceId, UserName};

use super::resident::Mark;
use super::state::StateKey;
use super::store::MessageStore;
use super::{ChannelId, EngineCore};
use crate::engine::{EngineError, Owner};
use crate::planted::Bug;

/// A full roster is looked through for cursors that are over so often, at most.
const SEARCH_EVERY_MS: u64 = 60_000;

pub(super) type User = (AppName, UserName);

/// Those that are in memory.
#[derive(Debug, Default)]
pub(super) struct Rosters(BTreeMap<User, Roster>);

/// The cursors of a user. Those that nobody used for too long go without a word: some of these may be over.
#[derive(Debug, Default)]
pub(super) struct Roster {
    cursors: BTreeSet<(DeviceId, ChannelId)>,
    /// It is written again with the first use of a cursor after this moment, so that none is used much later.
    covers: UnixMillis,
    /// When all of these cursors were found to be in use.
    searched: Option<UnixMillis>,
    mark: Mark,
}

impl Rosters {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&User, &Roster, Mark)> {
        self.0.iter().map(|(user, roster)| (user, roster, roster.mark))
    }

    pub(super) fn keep(&mut self, is_kept: impl Fn(&User, Mark) -> bool) {
        self.0.retain(|user, roster| is_kept(user, roster.mark));
    }
}

impl Roster {
    /// Appends the value: nothing if there are no cursors.
    pub(super) fn encode(&self, (app, user): &User, out: &mut Vec<u8>) {
        let Some((first, _)) = self.cursors.first() else { return };
        put_bytes(app.as_str().as_bytes(), out);
        put_bytes(user.as_str().as_bytes(), out);
        put(self.covers, out);
        let mut device = first;
        let mut channels = Vec::new();
        for (of, channel) in &self.cursors {
            if of != device {
                put_device(device, &std::mem::take(&mut channels), out);
                device = of;
            }
            channels.push(*channel);
        }
        put_device(device, &channels, out);
    }

    fn decode(bytes: &mut Bytes) -> Result<(User, Self), DecodeError> {
        let (user, covers) = take_head(bytes)?;
        let mut cursors = BTreeSet::new();
        while !bytes.is_empty() {
            let device = DeviceId::new(&take_text(bytes)?)?;
            for _ in 0..take(bytes)? {
                cursors.insert((device.clone(), ChannelId(take_u32(bytes)?)));
            }
        }
        Ok((user, Self { cursors, covers, ..Self::default() }))
    }
}

/// Returns until when the uses of a roster's cursors are covered; `None` if it is none.
pub(super) fn covers(value: &Bytes) -> Option<UnixMillis> {
    take_head(&mut value.clone()).ok().map(|(_, covers)| covers)
}

fn take_head(bytes: &mut Bytes) -> Result<(User, UnixMillis), DecodeError> {
    let app = AppName::new(&take_text(bytes)?)?;
    let user = UserName::new(&take_text(bytes)?)?;
    Ok(((app, user), take(bytes)?))
}

fn put_device(device: &DeviceId, channels: &[ChannelId], out: &mut Vec<u8>) {
    put_bytes(device.as_str().as_bytes(), out);
    put(channels.len() as u64, out);
    channels.iter().for_each(|channel| put(u64::from(channel.0), out));
}

impl<S: MessageStore> EngineCore<S> {
    /// Sees to it that a user may have another cursor. Those that are over make room; those in use do not.
    pub(super) fn room_for_cursor(&mut self, owner: &Owner, now: UnixMillis) -> Result<(), EngineError> {
        let user = (owner.app.clone(), owner.user.clone());
        let most = self.cursors_of_a_user(&owner.app);
        if self.roster(&user)?.cursors.len() < most {
            return Ok(());
        }
        let roster = self.roster(&user)?;
        if roster.searched.is_none_or(|at| now.saturating_sub(at) >= SEARCH_EVERY_MS || at > now) {
            roster.searched = Some(now);
            for (device, channel) in roster.cursors.clone() {
                let owner = Owner { device, ..owner.clone() };
                self.recall_cursor(&owner, channel, now)?;
                if self.cursors.position(&owner, channel).is_none() {
                    self.strike(&owner, channel);
                }
            }
        }
        let is_full = self.roster(&user)?.cursors.len() >= most;
        if is_full { Err(EngineError::TooManyCursors) } else { Ok(()) }
    }

    /// A cursor is made, or used after some time.
    pub(super) fn enroll(&mut self, owner: &Owner, channel: ChannelId, now: UnixMillis) {
        if self.config.bugs.has(Bug::CursorsUncounted) {
            return;
        }
        let later = self.config.cursors_ms / 4;
        let user = (owner.app.clone(), owner.user.clone());
        // What cannot be read now is counted with the next use.
        if let Ok(roster) = self.roster(&user)
            && (roster.cursors.insert((owner.device.clone(), channel)) || roster.covers < now)
        {
            roster.covers = roster.covers.max(now.saturating_add(later));
            let mut mark = roster.mark;
            self.residency.change_roster(&mut mark);
            self.rosters.0.entry(user).and_modify(|roster| roster.mark = mark);
        }
    }

    /// A cursor is gone.
    pub(super) fn strike(&mut self, owner: &Owner, channel: ChannelId) {
        let user = (owner.app.clone(), owner.user.clone());
        // If it cannot be read now, the next search finds that the cursor is gone.
        if let Ok(roster) = self.roster(&user)
            && roster.cursors.remove(&(owner.device.clone(), channel))
        {
            let mut mark = roster.mark;
            self.residency.change_roster(&mut mark);
            self.rosters.0.entry(user).and_modify(|roster| roster.mark = mark);
        }
    }

    /// Returns the roster of a user, from the store if need be.
    fn roster(&mut self, user: &User) -> Result<&mut Roster, EngineError> {
        if !self.rosters.0.contains_key(user) {
            let value = self.store.find(StateKey::of_roster(&user.0, &user.1, self.config.salt))?;
            let known = value.map(|mut value| Roster::decode(&mut value)).transpose();
            let known = known.map_err(|_| EngineError::Unavailable)?;
            // Or somebody else's, by an accident.
            let roster = known.filter(|(of, _)| of == user).map(|(_, roster)| roster).unwrap_or_default();
            self.rosters.0.insert(user.clone(), roster);
        }
        self.rosters.0.get_mut(user).ok_or(EngineError::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Expiry;
    use super::*;

    #[test]
    fn a_roster_is_what_it_was() {
        let user = (AppName::default_app(), UserName::new("alice").unwrap());
        let device = |name| DeviceId::new(name).unwrap();
        let cursors = [("device-of-0alice", 7), ("device-of-0alice", 300), ("device-of-1alice", 7)];
        let cursors = cursors.map(|(name, channel)| (device(name), ChannelId(channel)));
        let roster = Roster { cursors: cursors.into(), covers: 50, ..Roster::default() };
        let mut value = Vec::new();
        roster.encode(&user, &mut value);
        let value = Bytes::from(value);
        assert_eq!(covers(&value), Some(50));
        let (of, again) = Roster::decode(&mut value.clone()).unwrap();
        assert_eq!((of, again.cursors, again.covers), (user.clone(), roster.cursors, 50));
        // It is over when no use that it covers counts any more.
        let key = StateKey::of_roster(&user.0, &user.1, 0);
        let is_over = |cursors_before| Expiry { cursors_before, ..Expiry::default() }.is_over(key, &value);
        assert!(!is_over(50) && is_over(51));
        let mut nothing = Vec::new();
        Roster::default().encode(&user, &mut nothing);
        assert!(nothing.is_empty());
    }
}
