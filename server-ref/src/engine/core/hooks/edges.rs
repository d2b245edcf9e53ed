//! Users who come and go, and channels that are read or not: told when it changes, and not of what lasts for a moment.

use std::collections::{BTreeMap, BTreeSet};

use moorline_protocol::time::UnixMillis;

use crate::engine::ChannelKey;

/// Who is gone may come back within so many ms, and was never gone then.
const GRACE_MS: u64 = 15_000;

/// A user or a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) is_user: bool,
    /// The app, and the name of the channel or the user.
    pub(super) key: ChannelKey,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// As it was told last.
    told: bool,
    /// As it is.
    is_on: bool,
    /// When the difference is told.
    due: Option<UnixMillis>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Edges {
    states: BTreeMap<Subject, State>,
    due: BTreeSet<(UnixMillis, Subject)>,
}

impl Edges {
    /// Something is so from now on.
    pub(super) fn set(&mut self, subject: Subject, is_on: bool, now: UnixMillis) {
        self.change(subject, |state| state.is_on = is_on, if is_on { now } else { now + GRACE_MS });
    }

    /// It was told so, by a record.
    pub(super) fn told(&mut self, subject: Subject, is_on: bool) {
        self.change(subject, |state| state.told = is_on, UnixMillis::MAX);
    }

    /// Nobody has come yet; what does not come back by then is told.
    pub(super) fn begin(&mut self, by: UnixMillis) {
        self.due.clear();
        for (subject, state) in &mut self.states {
            state.due = Some(by);
            self.due.insert((by, subject.clone()));
        }
    }

    /// Takes the next change that is to be told by now; it counts as told.
    pub(super) fn next(&mut self, now: UnixMillis) -> Option<(Subject, bool)> {
        let (at, subject) = self.due.first().filter(|(at, _)| *at <= now).cloned()?;
        self.due.remove(&(at, subject.clone()));
        let state = self.states.get_mut(&subject)?;
        state.due = None;
        state.told = state.is_on;
        let is_on = state.is_on;
        if !is_on {
            self.states.remove(&subject);
        }
        Some((subject, is_on))
    }

    /// Returns when the next change is to be told.
    pub(super) fn due(&self) -> Option<UnixMillis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns what was told to be so.
    pub(super) fn all_told(&self) -> impl Iterator<Item = &Subject> {
        self.states.iter().filter(|(_, state)| state.told).map(|(subject, _)| subject)
    }

    fn change(&mut self, subject: Subject, change: impl FnOnce(&mut State), at: UnixMillis) {
        let state = self.states.entry(subject.clone()).or_default();
        change(state);
        let due = (state.told != state.is_on).then(|| state.due.unwrap_or(at).min(at));
        if state.due != due {
            if let Some(at) = state.due {
                self.due.remove(&(at, subject.clone()));
            }
            self.due.extend(due.map(|at| (at, subject.clone())));
            state.due = due;
        }
        if !state.told && !state.is_on {
            self.states.remove(&subject);
        }
    }
}
