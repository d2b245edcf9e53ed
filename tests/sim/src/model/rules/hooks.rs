use std::collections::{BTreeMap, BTreeSet};

use moorline_core::protocol::{ChannelName, Offset, UserName};
use moorline_server::engine::hooks::{HOOKS, HookEvent, HookKind};
use moorline_server::engine::record::Record;
use moorline_server::engine::{Command, SessionId};

use super::{Asked, Rules};
use crate::model::{First, Violation};

/// A message for somebody who is away is told within so many ms of the engine's clock.
const WITHIN_MS: u64 = 2_000;
/// After a start clients have so long to come back.
const RETURN_MS: u64 = 31_000;

/// Until it is known when the start was.
const AFTER_START: u64 = u64::MAX;

/// Invariant 17: a message stored for who is away is told at least once, unless its reader comes back or acknowledges it first.
#[derive(Default)]
pub(super) struct Hooks {
    /// Connections whose app is in the background.
    parked: BTreeSet<SessionId>,
    /// From which offset on somebody has to be told of a channel, and by when.
    owed: BTreeMap<(UserName, ChannelName), (Offset, u64)>,
}

impl Rules {
    /// Takes a batch after its commands: who is here now is owed nothing. While nothing can be written, nothing is told.
    pub(super) fn check_hooks(
        &mut self,
        asked: &[Asked],
        records: &[Record],
        (now, held): (u64, bool),
    ) -> Option<Violation> {
        let mut here = std::mem::take(&mut self.here);
        let was_here = here.clone();
        for asked in asked {
            match &asked.command {
                // Who came and went within the batch was here.
                Command::Attach(attach) => here.extend(attach.user.clone()),
                Command::Park(session, true) => {
                    here.extend(self.user_of(*session));
                    self.hooks.parked.insert(*session);
                }
                Command::Park(session, false) => drop(self.hooks.parked.remove(session)),
                Command::Detach(session, _) => drop(self.hooks.parked.remove(session)),
                Command::Forget { owner, channel } => {
                    self.hooks.owed.remove(&(owner.user.clone(), channel.name.clone()));
                }
                _ => {}
            }
        }
        self.here = self.in_front();
        here.extend(self.here.iter().cloned());
        let mut broken = First::default();
        for record in records {
            broken.note(self.hook_record(record, &here, &was_here, now));
        }
        self.hooks.owed.retain(|(user, _), _| !here.contains(user));
        for (_, by) in self.hooks.owed.values_mut().filter(|(_, by)| *by == AFTER_START) {
            *by = now + RETURN_MS;
        }
        let is_late = |(_, (_, by)): &(_, &(Offset, u64))| *by <= now;
        let late = self.hooks.owed.iter().find(is_late).filter(|_| !held);
        broken.note(late.map(|((user, channel), (first, _))| {
            Violation::new(17, format!("{user} is away and is not told of {channel} {first}"))
        }));
        broken.into_violation()
    }

    fn hook_record(
        &mut self,
        record: &Record,
        here: &BTreeSet<UserName>,
        was_here: &BTreeSet<UserName>,
        now: u64,
    ) -> Option<Violation> {
        match record {
            Record::Append { channel, id, bytes, .. } => {
                let message = moorline_core::protocol::binary::decode_message(&mut bytes.clone()).ok()?;
                let name = self.numbers.get(channel)?.clone();
                if name.as_str() == HOOKS {
                    return self.hook_told(&HookEvent::parse(message.payload.bytes())?, was_here);
                }
                let author = message.user.and_then(|user| UserName::new(&user).ok());
                // Whoever writes has seen what was written before.
                if let Some(author) = &author {
                    self.hooks.owed.remove(&(author.clone(), name.clone()));
                }
                let readers = self.cursors.keys().filter(|(_, of)| *of == name).map(|(owner, _)| owner.user.clone());
                let away = readers.filter(|user| Some(user) != author.as_ref() && !here.contains(user));
                for user in away.collect::<BTreeSet<_>>() {
                    self.hooks.owed.entry((user, name.clone())).or_insert((id.offset, now + WITHIN_MS));
                }
            }
            Record::ForgetCursor { owner, channel } => {
                let name = self.numbers.get(channel)?.clone();
                self.hooks.owed.remove(&(owner.user.clone(), name));
            }
            Record::ForgetChannel { id } => {
                let name = self.numbers.get(id)?.clone();
                self.hooks.owed.retain(|(_, channel), _| *channel != name);
            }
            _ => {}
        }
        None
    }

    fn hook_told(&mut self, event: &HookEvent, was_here: &BTreeSet<UserName>) -> Option<Violation> {
        let user = UserName::new(event.user.as_deref()?).ok().filter(|_| event.kind == HookKind::MessageOffline)?;
        let channel = ChannelName::new(event.channel.as_deref()?).ok()?;
        if was_here.contains(&user) && self.here.contains(&user) {
            return Some(Violation::new(17, format!("{user} is here and is told of {channel}")));
        }
        let (owed, _) = self.hooks.owed.remove(&(user.clone(), channel.clone()))?;
        // What a device of theirs acknowledged in the background need not be told.
        let epoch = self.channels.get(&channel).and_then(|channel| channel.epoch);
        let read = self.cursors.iter().filter(|((owner, of), _)| owner.user == user && *of == channel);
        let read = read.map(|(_, position)| position).filter(|position| Some(position.epoch) == epoch);
        let unread = read.map(|position| position.offset.next()).max().unwrap_or_default();
        let covers = event.first? <= owed.max(unread).0 && event.last? >= owed.0;
        (!covers).then(|| Violation::new(17, format!("{user} is told of {channel} {event:?}, and not of {owed}")))
    }

    /// The next start: nobody is here, and what has survived is owed.
    pub(super) fn restart_hooks(&mut self, before: Hooks, loses_nothing: bool) {
        let kept = before.owed.into_iter().filter(|((_, channel), (first, _))| {
            loses_nothing && self.channels.get(channel).is_some_and(|channel| channel.head >= *first)
        });
        let cursors: BTreeSet<_> =
            self.cursors.keys().map(|(owner, name)| (owner.user.clone(), name.clone())).collect();
        let kept = kept.filter(|(key, _)| cursors.contains(key)).map(|(key, (first, _))| (key, (first, AFTER_START)));
        self.hooks = Hooks { owed: kept.collect(), ..Hooks::default() };
    }

    fn user_of(&self, session: SessionId) -> Option<UserName> {
        self.sessions.get(&session).and_then(|session| session.owner()).map(|owner| owner.user.clone())
    }

    /// Returns who has a connection in the foreground.
    fn in_front(&self) -> BTreeSet<UserName> {
        let sessions = self.sessions.iter().filter(|(id, _)| !self.hooks.parked.contains(id));
        sessions.filter_map(|(_, session)| session.owner()).map(|owner| owner.user.clone()).collect()
    }
}
