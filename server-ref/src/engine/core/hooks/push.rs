//! Where the devices of users are reached while their users are away.

use std::collections::BTreeMap;

use moorline_protocol::time::UnixMillis;
use moorline_protocol::{AppName, UserName, Utf8Bytes};

use super::super::resident::Mark;
use super::super::state::StateKey;
use super::super::store::MessageStore;
use super::super::{EngineCore, NOTE_EVERY_MS};
use crate::engine::hooks::PushDevice;
use crate::engine::record::Record;
use crate::engine::{Completion, EngineError, Owner, Reply, ShardId, Ticket};

/// Devices of a user that are remembered; the one that was used least lately makes room.
const DEVICES: usize = 16;

type User = (AppName, UserName);

/// Those that changed since the last checkpoint, or were asked for; the rest is the store's.
#[derive(Debug, Default)]
pub(in crate::engine::core) struct PushHandles(BTreeMap<User, (Vec<PushDevice>, Mark)>);

impl PushHandles {
    /// Returns what is in memory: its mark and its record.
    pub(in crate::engine::core) fn records(&self) -> impl Iterator<Item = (Mark, Record)> {
        self.0.iter().map(|((app, user), (devices, mark))| {
            (*mark, Record::Push { app: app.clone(), user: user.clone(), devices: devices.clone() })
        })
    }

    pub(in crate::engine::core) fn keep(&mut self, is_kept: impl Fn(Mark) -> bool) {
        self.0.retain(|_, (_, mark)| is_kept(*mark));
    }
}

impl<S: MessageStore> EngineCore<S> {
    /// A device says where it is reached, or that it is not. What stands in the records is written again once a day.
    pub(in crate::engine::core) fn push(&mut self, owner: Owner, handle: Option<Utf8Bytes>, now: UnixMillis) {
        let user = (owner.app, owner.user);
        // Without what is known nothing can be added to it; the client registers with its next connection.
        let Ok(mut devices) = self.devices_of(&user) else { return };
        let known = devices.iter().position(|known| known.device == owner.device);
        let same = known.and_then(|at| devices.get(at)).is_some_and(|known| {
            Some(&known.handle) == handle.as_ref() && now.saturating_sub(known.used) < NOTE_EVERY_MS
        });
        if same || (known.is_none() && handle.is_none()) {
            return;
        }
        known.into_iter().for_each(|at| drop(devices.remove(at)));
        if let Some(handle) = handle {
            devices.push(PushDevice { device: owner.device, handle, used: now });
        }
        if devices.len() > DEVICES {
            devices.remove(0);
        }
        self.write_devices(user, devices);
    }

    /// A user is signed out everywhere.
    pub(in crate::engine::core) fn forget_push(&mut self, app: &AppName, user: &UserName) {
        let user = (app.clone(), user.clone());
        if self.devices_of(&user).is_ok_and(|devices| !devices.is_empty()) {
            self.write_devices(user, Vec::new());
        }
    }

    fn write_devices(&mut self, user: User, devices: Vec<PushDevice>) {
        let (app, name) = user.clone();
        self.records.push(Record::Push { app, user: name, devices: devices.clone() });
        self.put_devices(user, devices);
    }

    /// Sets the devices of a user as a record says; the store may have earlier ones.
    pub(in crate::engine::core) fn put_devices(&mut self, user: User, devices: Vec<PushDevice>) {
        let entry = self.push.0.entry(user).or_default();
        entry.0 = devices;
        self.residency.change_push(&mut entry.1);
    }

    fn devices_of(&mut self, user: &User) -> Result<Vec<PushDevice>, EngineError> {
        if let Some((devices, _)) = self.push.0.get(user) {
            return Ok(devices.clone());
        }
        let Some(mut value) = self.store.find(StateKey::of_push(&user.0, &user.1, self.config.salt))? else {
            return Ok(Vec::new());
        };
        match Record::decode(&mut value) {
            Ok(Record::Push { app, user: name, devices }) if (&app, &name) == (&user.0, &user.1) => Ok(devices),
            // Somebody else's, by an accident.
            Ok(Record::Push { .. }) => Ok(Vec::new()),
            _ => Err(EngineError::Unavailable),
        }
    }

    pub(in crate::engine::core) fn push_handles(
        &mut self,
        shard: ShardId,
        ticket: Ticket,
        (app, users): (AppName, Vec<UserName>),
        now: UnixMillis,
    ) {
        let oldest = now.saturating_sub(self.config.cursors_ms);
        let mut handles = |user| {
            let devices = self.devices_of(&(app.clone(), user))?;
            Ok(devices.into_iter().filter(|device| device.used >= oldest).collect())
        };
        let handles: Result<Vec<_>, EngineError> = users.into_iter().map(&mut handles).collect();
        self.reply(shard, Reply::Completed(ticket, handles.map(Completion::PushHandles)));
    }
}
