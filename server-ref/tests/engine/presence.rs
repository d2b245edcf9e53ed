//! Members of channels and the status of users, on every engine.

use bytes::Bytes;
use moorline_protocol::{MembersView, PresenceChangeKind, Run, Since, UserName, UserStatus};
use moorline_server::engine::{
    Attach, Command, Completion, Event, Gone, Open, Presence, PresenceAct, PresenceEntry, SessionId, ShardId,
    StatusQuery,
};

use crate::rig::{HERE, Rig, SECOND, THERE, channel, each, open, owner};

use PresenceChangeKind::{Back, Join, Leave, Timeout, Update};

const CLOSED: Gone = Gone::Closed { grace_ms: 15_000 };

/// Attaches a new connection of a user's device; `n` orders them.
fn connect(rig: &mut Rig, user: &str, n: u64) -> SessionId {
    let attach = Attach { run: Run { boot: 1, transport: n }, ..rig.hello(&owner(user)) };
    let session = attach.session;
    rig.attach(attach);
    session
}

fn act(rig: &mut Rig, act: PresenceAct) -> MembersView {
    let presence = Presence { channel: channel("room"), act };
    match rig.ask(Command::Presence(presence)) {
        Ok(Completion::Members(view)) => view,
        other => panic!("{other:?}"),
    }
}

fn enter(rig: &mut Rig, session: SessionId, state: &'static str) {
    act(rig, PresenceAct::Enter { session, state: Some(Bytes::from_static(state.as_bytes())) });
}

fn leave(rig: &mut Rig, session: SessionId) {
    act(rig, PresenceAct::Leave { session });
}

fn detach(rig: &mut Rig, session: SessionId, gone: Gone) {
    rig.tell(HERE, Command::Detach(session, gone));
}

fn watch(rig: &mut Rig) -> MembersView {
    rig.open_with(Open { presence: Some(PresenceEntry::Watch), ..open("room", Since::Now) }).members.unwrap()
}

/// Returns who is there as somebody who looks now is told, with states.
fn members(rig: &mut Rig) -> Vec<(String, String)> {
    let shown = |member: moorline_protocol::Member| {
        let state = member.state.map_or(String::new(), |state| String::from_utf8(state.to_vec()).unwrap());
        (member.user.to_string(), state)
    };
    act(rig, PresenceAct::Read { after: None }).members.into_iter().map(shown).collect()
}

type Told = (u64, u64, Vec<(PresenceChangeKind, String)>);

/// Returns what a shard was told: version, number of members, changes.
fn told(rig: &mut Rig, shard: ShardId) -> Vec<Told> {
    let event = |event| match event {
        Event::Presence { version, count, changes, .. } => {
            let changes = changes.into_iter().map(|change| (change.event, change.user.to_string()));
            Some((version.n, count, changes.collect()))
        }
        _ => None,
    };
    rig.events(shard).into_iter().filter_map(event).collect()
}

/// Time goes by in steps that a host would take.
fn pass(rig: &mut Rig, ms: u64) {
    for _ in 0..ms / SECOND {
        rig.pass(SECOND);
    }
    rig.pass(ms % SECOND);
}

fn one(kind: PresenceChangeKind, user: &str) -> Vec<(PresenceChangeKind, String)> {
    vec![(kind, user.to_owned())]
}

#[test]
fn a_member_enters_changes_its_state_and_leaves() {
    each(|rig| {
        let first = watch(rig);
        assert_eq!((first.count, first.members.len()), (0, 0));
        let alice = connect(rig, "alice", 1);
        enter(rig, alice, "1");
        pass(rig, 100);
        assert_eq!(members(rig), [("alice".to_owned(), "1".to_owned())]);
        enter(rig, alice, "2");
        pass(rig, 100);
        leave(rig, alice);
        pass(rig, 100);
        assert_eq!(members(rig), []);
        let n = first.version.n;
        let expected =
            [(n + 1, 1, one(Join, "alice")), (n + 2, 1, one(Update, "alice")), (n + 3, 0, one(Leave, "alice"))];
        assert_eq!(told(rig, HERE), expected);
    });
}

#[test]
fn who_closed_without_a_word_stays_for_its_grace_and_no_longer() {
    each(|rig| {
        watch(rig);
        let alice = connect(rig, "alice", 1);
        enter(rig, alice, "1");
        detach(rig, alice, CLOSED);
        pass(rig, 14_900);
        assert_eq!(members(rig).len(), 1);
        pass(rig, 200);
        assert_eq!(members(rig), []);
        assert_eq!(told(rig, HERE).last().unwrap().2, one(Leave, "alice"));
    });
}

#[test]
fn a_reconnect_within_the_grace_is_no_event_at_all() {
    each(|rig| {
        let alice = connect(rig, "alice", 1);
        enter(rig, alice, "1");
        pass(rig, 100);
        watch(rig);
        for n in 2..5 {
            detach(rig, SessionId(alice.0 + n - 2), CLOSED);
            pass(rig, 14_000);
            let again = connect(rig, "alice", n);
            enter(rig, again, "1");
        }
        pass(rig, 40_000);
        assert_eq!(members(rig).len(), 1);
        assert_eq!(told(rig, HERE), []);
    });
}

#[test]
fn a_newer_connection_of_the_device_takes_the_place_of_the_older() {
    each(|rig| {
        let old = connect(rig, "alice", 1);
        enter(rig, old, "1");
        pass(rig, 100);
        watch(rig);
        // The engine displaces it; its end is noticed later.
        let new = connect(rig, "alice", 2);
        enter(rig, new, "2");
        pass(rig, 1_000);
        detach(rig, old, Gone::Silent);
        pass(rig, 40_000);
        assert_eq!(members(rig), [("alice".to_owned(), "2".to_owned())]);
        let changes: Vec<_> = told(rig, HERE).into_iter().map(|(_, _, changes)| changes).collect();
        assert_eq!(changes, [one(Update, "alice")]);
    });
}

#[test]
fn silence_is_a_timeout_and_a_return_within_15_s_is_one() {
    each(|rig| {
        watch(rig);
        for (away, event) in [(14_900, Back), (15_100, Join)] {
            let alice = connect(rig, "alice", away);
            enter(rig, alice, "1");
            pass(rig, 100);
            detach(rig, alice, Gone::Silent);
            pass(rig, 100);
            assert_eq!(told(rig, HERE).last().unwrap().2, one(Timeout, "alice"));
            pass(rig, away - 100);
            let alice = connect(rig, "alice", away + 1);
            enter(rig, alice, "1");
            pass(rig, 100);
            assert_eq!(told(rig, HERE).last().unwrap().2, one(event, "alice"));
            detach(rig, alice, Gone::Left);
            pass(rig, 100);
        }
    });
}

#[test]
fn a_user_is_one_member_and_the_last_word_of_its_devices_is_its_state() {
    each(|rig| {
        watch(rig);
        let hello = |rig: &mut Rig, device: &str| {
            let mut owner = owner("alice");
            owner.device = moorline_protocol::DeviceId::new(device).unwrap();
            let attach = rig.hello(&owner);
            let session = attach.session;
            rig.attach(attach);
            session
        };
        let (phone, laptop) = (hello(rig, "phone-phone-phone"), hello(rig, "laptop-laptop-laptop"));
        enter(rig, phone, "\"phone\"");
        enter(rig, laptop, "\"laptop\"");
        pass(rig, 100);
        let state = |rig: &mut Rig| members(rig).pop().map(|(_, state)| state).unwrap_or_default();
        assert_eq!(state(rig), "\"laptop\"");
        enter(rig, phone, "\"walking\"");
        pass(rig, 100);
        assert_eq!(state(rig), "\"walking\"");
        leave(rig, phone);
        pass(rig, 100);
        assert_eq!(state(rig), "\"laptop\"");
        detach(rig, laptop, Gone::Left);
        pass(rig, 100);
        assert_eq!(members(rig), []);
        let kinds: Vec<_> =
            told(rig, HERE).into_iter().flat_map(|(_, _, changes)| changes).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Join, Update, Update, Update, Leave]);
    });
}

#[test]
fn what_happens_within_100_ms_is_one_batch_and_a_view_is_of_the_version_it_names() {
    each(|rig| {
        let first = watch(rig);
        let users: Vec<_> = (0..20).map(|n| connect(rig, &format!("user{n:02}"), 1)).collect();
        // The first is told at once, the others together.
        enter(rig, users[0], "0");
        for session in &users[1..] {
            enter(rig, *session, "0");
        }
        // Comes and goes within a batch.
        leave(rig, users[19]);
        let view = act(rig, PresenceAct::Read { after: None });
        assert_eq!((view.version.n, view.count, view.members.len()), (first.version.n + 1, 1, 1));
        pass(rig, 100);
        let told = told(rig, HERE);
        assert_eq!(told.iter().map(|(n, ..)| n - first.version.n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((told[1].1, told[1].2.len()), (19, 18));
        let view = act(rig, PresenceAct::Read { after: None });
        assert_eq!((view.version.n, view.count, view.members.len()), (first.version.n + 2, 19, 19));
    });
}

#[test]
fn above_200_members_only_the_number_is_told_and_pages_have_the_names() {
    each(|rig| {
        watch(rig);
        let users: Vec<_> = (0..230).map(|n| connect(rig, &format!("user{n:03}"), 1)).collect();
        let enters = users.iter().map(|session| {
            let act = PresenceAct::Enter { session: *session, state: None };
            Command::Presence(Presence { channel: channel("room"), act })
        });
        rig.batch(HERE, enters.collect::<Vec<_>>());
        pass(rig, 200);
        let (_, count, changes) = told(rig, HERE).pop().unwrap();
        assert_eq!((count, changes.len()), (230, 0));
        let view = watch(rig);
        assert_eq!((view.count, view.members.len(), view.cursor.as_deref()), (230, 0, Some("")));
        let page = act(rig, PresenceAct::Read { after: None });
        assert_eq!((page.members.len(), page.cursor.as_deref()), (200, Some("user199")));
        let rest = act(rig, PresenceAct::Read { after: Some(UserName::new("user199").unwrap()) });
        assert_eq!((rest.members.len(), rest.cursor.as_deref()), (30, None));
        // Below the limit it takes a while until they are listed again, so that a room at the limit does not flap.
        let leave = |rig: &mut Rig, range: std::ops::Range<usize>| {
            users[range].iter().for_each(|session| detach(rig, *session, Gone::Left));
            pass(rig, 200);
            told(rig, HERE).pop().unwrap()
        };
        assert_eq!(leave(rig, 0..70).2.len(), 0);
        let (_, count, changes) = leave(rig, 70..90);
        assert!(count == 140 && !changes.is_empty(), "{count} {changes:?}");
        assert_eq!(watch(rig).members.len(), 140);
    });
}

#[test]
fn a_crowd_that_leaves_at_once_is_not_told_by_name() {
    each(|rig| {
        watch(rig);
        let users: Vec<_> = (0..600).map(|n| connect(rig, &format!("user{n:03}"), 1)).collect();
        let act = |session, act: fn(SessionId) -> PresenceAct| {
            Command::Presence(Presence { channel: channel("room"), act: act(session) })
        };
        let enter = |session| PresenceAct::Enter { session, state: None };
        rig.batch(HERE, users.iter().map(|session| act(*session, enter)).collect::<Vec<_>>());
        pass(rig, 200);
        assert_eq!(told(rig, HERE).pop().unwrap().1, 600);
        let leave = |session| PresenceAct::Leave { session };
        rig.batch(HERE, users[..500].iter().map(|session| act(*session, leave)).collect::<Vec<_>>());
        pass(rig, 200);
        let (_, count, changes) = told(rig, HERE).pop().unwrap();
        // Nobody has a list that it could be applied to: that there is something says that they are listed again.
        assert_eq!((count, changes.len()), (100, 400));
        assert_eq!(watch(rig).members.len(), 100);
    });
}

#[test]
fn every_shard_that_watches_is_told_the_same_until_it_does_not_watch() {
    each(|rig| {
        watch(rig);
        let there = Open { presence: Some(PresenceEntry::Watch), ..open("room", Since::Now) };
        rig.ask_from(THERE, Command::Open(there)).unwrap();
        let alice = connect(rig, "alice", 1);
        enter(rig, alice, "1");
        pass(rig, 100);
        let here = told(rig, HERE);
        assert_eq!(here.len(), 1);
        assert_eq!(told(rig, THERE), here);
        rig.tell(THERE, Command::UnwatchPresence(channel("room")));
        leave(rig, alice);
        pass(rig, 100);
        assert_eq!(told(rig, HERE).len(), 1);
        assert_eq!(told(rig, THERE), []);
    });
}

#[test]
fn a_join_shows_the_members_before_it_and_then_itself() {
    each(|rig| {
        let alice = connect(rig, "alice", 1);
        let join = PresenceEntry::Join { session: alice, state: None };
        let view = rig.open_with(Open { presence: Some(join), ..open("room", Since::Now) }).members.unwrap();
        assert_eq!(view.members.len(), 0);
        let expected = (view.version.n + 1, 1, one(Join, "alice"));
        assert_eq!(told(rig, HERE), [expected]);
        // Whose connection is gone cannot enter any more.
        detach(rig, alice, Gone::Left);
        enter(rig, alice, "1");
        pass(rig, 100);
        assert_eq!(members(rig), []);
    });
}

#[test]
fn a_restart_begins_another_run() {
    each(|rig| {
        let alice = connect(rig, "alice", 1);
        enter(rig, alice, "1");
        let before = watch(rig).version.run;
        rig.middle_after(1);
        if rig.restarts() {
            let after = watch(rig);
            assert_ne!(after.version.run, before);
            assert_eq!(after.count, 0);
        }
    });
}

#[test]
fn a_clock_that_is_set_ends_no_grace_and_prolongs_none() {
    each(|rig| {
        let alice = connect(rig, "alice", 1);
        enter(rig, alice, "1");
        detach(rig, alice, CLOSED);
        // An hour ahead: it counts as little.
        rig.pass(3_600_000);
        assert_eq!(members(rig).len(), 1);
        pass(rig, 15_000);
        assert_eq!(members(rig), []);
    });
}

fn status(rig: &mut Rig, users: &[&str], watch: bool) -> Vec<UserStatus> {
    let users = users.iter().map(|user| UserName::new(user).unwrap()).collect();
    let query = StatusQuery { app: moorline_protocol::AppName::default_app(), users, watch };
    match rig.ask(Command::Status(query)) {
        Ok(Completion::Statuses(users)) => users,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_is_online_while_it_has_a_connection() {
    each(|rig| {
        let shown = |users: Vec<UserStatus>| -> Vec<(String, bool)> {
            users.into_iter().map(|status| (status.user.to_string(), status.online)).collect()
        };
        let at = |user: &str, online| (user.to_owned(), online);
        let alice = connect(rig, "alice", 1);
        let since = rig.now();
        let statuses = status(rig, &["alice", "bob"], true);
        assert_eq!(statuses[0].since, Some(since));
        assert_eq!(shown(statuses), [at("alice", true), at("bob", false)]);
        let bob = connect(rig, "bob", 1);
        pass(rig, 100);
        // Away and back within a batch is nothing; nobody asked for carol.
        detach(rig, bob, Gone::Left);
        detach(rig, alice, CLOSED);
        connect(rig, "alice", 2);
        connect(rig, "carol", 1);
        pass(rig, 100);
        let event = |event| match event {
            Event::Statuses { users, .. } => shown(users),
            _ => Vec::new(),
        };
        let told: Vec<_> = rig.events(HERE).into_iter().flat_map(event).collect();
        assert_eq!(told, [at("bob", true), at("bob", false)]);
        let users = vec![UserName::new("bob").unwrap()];
        rig.tell(HERE, Command::UnwatchStatus(moorline_protocol::AppName::default_app(), users));
        connect(rig, "bob", 3);
        pass(rig, 100);
        assert_eq!(rig.events(HERE), []);
    });
}

#[test]
fn whoever_asks_between_two_changes_is_told_of_the_second() {
    each(|rig| {
        let alice = connect(rig, "alice", 1);
        assert!(status(rig, &["alice"], true)[0].online);
        let bob = connect(rig, "bob", 1);
        pass(rig, 100);
        rig.events(HERE);
        // Within one batch alice goes, is asked for, and comes back.
        status(rig, &["bob"], true);
        detach(rig, bob, Gone::Left);
        detach(rig, alice, CLOSED);
        assert!(!status(rig, &["alice"], true)[0].online);
        connect(rig, "alice", 2);
        connect(rig, "bob", 2);
        pass(rig, 200);
        let event = |event| match event {
            Event::Statuses { users, .. } => users,
            _ => Vec::new(),
        };
        let told: Vec<_> = rig.events(HERE).into_iter().flat_map(event).collect();
        let last = told.iter().rev().find(|status| status.user.as_str() == "alice");
        assert!(last.is_some_and(|status| status.online), "{told:?}");
    });
}
