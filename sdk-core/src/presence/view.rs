use moorline_protocol::limits::PRESENCE_LISTED;
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Member, MembersView, PresenceChange, PresenceChangeKind, PresenceEvents, PresenceVersion};

use crate::planted::{Bug, Bugs};
use crate::sorted::{Named, Sorted};

/// What is known of the members of a channel. Bounded: above the limit only how many there are.
#[derive(Default)]
pub(crate) struct View {
    count: u64,
    list: List,
}

#[derive(Default)]
enum List {
    /// Nothing was told yet.
    #[default]
    Unknown,
    /// Too many to be listed.
    Counted,
    /// All of them, as of this version.
    All(PresenceVersion, Sorted<Member>),
}

/// What a frame does to a view.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was taken, with these changes of the list.
    Taken(Vec<PresenceChange>),
    /// Something is missing: only a new snapshot helps.
    Hole,
}

impl View {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the members, if all are known.
    pub(crate) fn list(&self) -> Option<impl Iterator<Item = &Member>> {
        match &self.list {
            List::All(_, members) => Some(members.iter()),
            List::Unknown | List::Counted => None,
        }
    }

    /// Returns the version of the list.
    pub(crate) fn version(&self) -> Option<PresenceVersion> {
        match &self.list {
            List::All(version, _) => Some(*version),
            List::Unknown | List::Counted => None,
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        !matches!(self.list, List::Unknown)
    }

    /// Takes a snapshot; returns what is different now.
    pub(crate) fn adopt(&mut self, view: MembersView) -> Vec<PresenceChange> {
        self.count = view.count;
        let before = match std::mem::take(&mut self.list) {
            List::All(_, members) => members,
            List::Unknown | List::Counted => Sorted::default(),
        };
        if view.cursor.is_some() || view.members.len() > PRESENCE_LISTED {
            self.list = List::Counted;
            return Vec::new();
        }
        let members = Sorted::new(view.members);
        let changes = difference(&before, &members);
        self.list = List::All(view.version, members);
        changes
    }

    /// Takes a batch of changes.
    pub(crate) fn take(&mut self, frame: PresenceEvents, now: UnixMillis, bugs: Bugs) -> Step {
        self.count = frame.count;
        let List::All(version, members) = &mut self.list else {
            // Only the number was told. A list means that there are few enough again.
            return if frame.events.is_empty() { Step::Taken(Vec::new()) } else { Step::Hole };
        };
        let PresenceVersion { run, n } = frame.version;
        if run == version.run && n <= version.n {
            return Step::Taken(Vec::new());
        }
        let is_next = run == version.run && n == version.n + 1;
        if !is_next && !bugs.has(Bug::PresenceHoleIgnored) {
            return Step::Hole;
        }
        *version = frame.version;
        for change in &frame.events {
            apply(members, change, now);
        }
        if frame.events.is_empty() || members.len() > PRESENCE_LISTED {
            self.list = List::Counted;
            return Step::Taken(Vec::new());
        }
        Step::Taken(frame.events)
    }
}

impl Named for Member {
    fn name(&self) -> &str {
        self.user.as_str()
    }
}

fn apply(members: &mut Sorted<Member>, change: &PresenceChange, now: UnixMillis) {
    let (user, state) = (change.user.clone(), change.state.clone());
    match &change.event {
        PresenceChangeKind::Leave | PresenceChangeKind::Timeout => members.remove(user.as_str()),
        PresenceChangeKind::Join | PresenceChangeKind::Back | PresenceChangeKind::Update => {
            let since = members.get(user.as_str()).map_or(now, |member| member.since);
            members.insert(Member { user, state, since });
        }
        // A later version's: what it means for the list is not known.
        PresenceChangeKind::Other(_) | _ => {}
    }
}

fn difference(before: &Sorted<Member>, after: &Sorted<Member>) -> Vec<PresenceChange> {
    let change = |event, member: &Member, state| PresenceChange { event, user: member.user.clone(), state };
    let mut changes = Vec::new();
    for member in before.iter() {
        if after.get(member.name()).is_none() {
            changes.push(change(PresenceChangeKind::Leave, member, None));
        }
    }
    for member in after.iter() {
        let event = match before.get(member.name()) {
            None => PresenceChangeKind::Join,
            Some(known) if known.state != member.state => PresenceChangeKind::Update,
            Some(_) => continue,
        };
        changes.push(change(event, member, member.state.clone()));
    }
    changes
}

#[cfg(test)]
mod tests {
    use moorline_protocol::UserName;

    use super::*;

    fn member(user: &str, state: &str) -> Member {
        let state = Some(moorline_protocol::Bytes::from(state.to_owned()));
        Member { user: UserName::new(user).unwrap(), state, since: 7 }
    }

    fn snapshot(n: u64, members: Vec<Member>) -> MembersView {
        let version = PresenceVersion { run: 3, n };
        MembersView { version, count: members.len() as u64, members, cursor: None }
    }

    fn frame(run: u64, n: u64, count: u64, events: Vec<PresenceChange>) -> PresenceEvents {
        let channel = moorline_protocol::ChannelRef::Number(moorline_protocol::ChannelNumber(1));
        PresenceEvents { channel, version: PresenceVersion { run, n }, count, events }
    }

    fn change(event: PresenceChangeKind, user: &str, state: Option<&str>) -> PresenceChange {
        let state = state.map(|state| moorline_protocol::Bytes::from(state.to_owned()));
        PresenceChange { event, user: UserName::new(user).unwrap(), state }
    }

    fn names(view: &View) -> Vec<String> {
        view.list().unwrap().map(|member| member.user.to_string()).collect()
    }

    #[test]
    fn the_next_version_is_taken_an_old_one_ignored_and_any_other_is_a_hole() {
        let mut view = View::default();
        view.adopt(snapshot(4, vec![member("alice", "1")]));
        let join = vec![change(PresenceChangeKind::Join, "bob", None)];
        let bugs = Bugs::default();
        assert_eq!(view.take(frame(3, 5, 2, join.clone()), 9, bugs), Step::Taken(join.clone()));
        assert_eq!(view.take(frame(3, 5, 2, join.clone()), 9, bugs), Step::Taken(Vec::new()));
        assert_eq!(names(&view), ["alice", "bob"]);
        for (run, n) in [(3, 7), (4, 6), (0, 0)] {
            assert_eq!(view.take(frame(run, n, 2, join.clone()), 9, bugs), Step::Hole);
        }
        assert_eq!(names(&view), ["alice", "bob"]);
    }

    #[test]
    fn a_snapshot_tells_only_what_is_different() {
        let mut view = View::default();
        let joined = view.adopt(snapshot(1, vec![member("alice", "1"), member("bob", "1"), member("carol", "1")]));
        assert_eq!(joined.len(), 3);
        let changes = view.adopt(snapshot(9, vec![member("alice", "1"), member("carol", "2"), member("dave", "1")]));
        let expected = [
            change(PresenceChangeKind::Leave, "bob", None),
            change(PresenceChangeKind::Update, "carol", Some("2")),
            change(PresenceChangeKind::Join, "dave", Some("1")),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn above_the_limit_only_the_number_is_kept() {
        let mut view = View::default();
        view.adopt(snapshot(1, vec![member("alice", "1")]));
        assert_eq!(view.take(frame(3, 2, 201, Vec::new()), 9, Bugs::default()), Step::Taken(Vec::new()));
        assert!(view.list().is_none());
        assert_eq!(view.count(), 201);
        // Whatever the version: the number is all there is to know.
        assert_eq!(view.take(frame(3, 90, 180, Vec::new()), 9, Bugs::default()), Step::Taken(Vec::new()));
        assert_eq!(view.count(), 180);
        let leave = vec![change(PresenceChangeKind::Leave, "zoe", None)];
        assert_eq!(view.take(frame(3, 91, 150, leave), 9, Bugs::default()), Step::Hole);
        view.adopt(snapshot(91, vec![member("alice", "1")]));
        assert_eq!(names(&view), ["alice"]);
    }
}
