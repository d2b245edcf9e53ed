//! What hooks are told, and that no restart takes it away.

use moorline_protocol::{AppName, Since, UserName};
use moorline_server::engine::hooks::{HOOKS, HookEvent, HookKind, HookRule, HookRules};
use moorline_server::engine::{Command, Completion, Gone, Open, Owner, ReadRange, Revocation};

use crate::rig::{DAY, Device, HERE, Rig, SECOND, Setup, at, each_with, message, open, owner};

/// Longer than messages are gathered, and than a start waits for those who come back.
const WINDOW: u64 = 3 * SECOND;
const RETURN: u64 = 31 * SECOND;
const GRACE: u64 = 16 * SECOND;

fn each(kinds: &[HookKind], scenario: impl Fn(&mut Rig)) {
    let rule = HookRule { app: AppName::default_app(), kinds: kinds.to_vec(), channels: Vec::new() };
    each_with(Setup { hooks: HookRules::new(vec![rule]), ..Setup::default() }, scenario);
}

/// Everything that hooks were told.
fn told(rig: &mut Rig) -> Vec<HookEvent> {
    let page = rig.read_some(HOOKS, ReadRange::After(moorline_protocol::Offset::ZERO), 1_000, 1 << 20);
    let event = |bytes: &bytes::Bytes| {
        let message = moorline_protocol::binary::decode_message(&mut bytes.clone()).unwrap();
        serde_json::from_slice(message.payload.bytes()).unwrap()
    };
    page.messages.iter().map(|stored| event(&stored.bytes)).collect()
}

/// Of messages for those who are away: whom, where, from where to where.
fn away(rig: &mut Rig) -> Vec<(String, String, u64, u64)> {
    let short = |event: HookEvent| {
        assert_eq!(event.kind, HookKind::MessageOffline);
        assert_eq!(event.count, Some(event.last.unwrap() - event.first.unwrap() + 1));
        (event.user.unwrap(), event.channel.unwrap(), event.first.unwrap(), event.last.unwrap())
    };
    told(rig).into_iter().map(short).collect()
}

fn is(user: &str, channel: &str, first: u64, last: u64) -> (String, String, u64, u64) {
    (user.into(), channel.into(), first, last)
}

fn follow(rig: &mut Rig, owner: &Owner, channel: &str) {
    rig.open_with(Open { cursor: Some(owner.clone()), ..open(channel, Since::Cursor(None)) });
}

/// A device that reads a channel durably, and has been there for a while.
fn reader(rig: &mut Rig, name: &'static str, channel: &str) -> Device {
    let device = rig.device(name);
    follow(rig, &device.owner, channel);
    rig.pass(WINDOW);
    device
}

#[test]
fn who_is_away_is_told_and_nobody_else() {
    each(&[HookKind::MessageOffline], |rig| {
        reader(rig, "here", "room");
        let parked = reader(rig, "parked", "room");
        reader(rig, "gone", "room");
        reader(rig, "elsewhere", "other");
        rig.disconnect("gone");
        rig.tell(HERE, Command::Park(parked.session, true));
        rig.middle();
        if rig.restarts() {
            let parked = rig.device("parked");
            rig.tell(HERE, Command::Park(parked.session, true));
        }
        rig.pass(RETURN);
        rig.fill("room", "m", 3);
        rig.pass(WINDOW);
        assert_eq!(away(rig), [is("gone", "room", 1, 3), is("parked", "room", 1, 3)]);
        // It was told; what comes next is the next one.
        rig.pass(WINDOW);
        rig.fill("room", "n", 1);
        let parked = rig.device("parked");
        rig.tell(HERE, Command::Park(parked.session, false));
        rig.pass(WINDOW);
        assert_eq!(away(rig).split_off(2), [is("gone", "room", 4, 4)]);
        rig.fill("room", "o", 1);
        rig.fill("@gone", "p", 2);
        rig.fill("@here", "p", 1);
        rig.fill("@nobody", "p", 1);
        rig.pass(WINDOW);
        let mut last = away(rig).split_off(3);
        last.sort();
        assert_eq!(last, [is("gone", "@gone", 1, 2), is("gone", "room", 5, 5), is("nobody", "@nobody", 1, 1)]);
    });
}

#[test]
fn what_was_stored_before_a_crash_is_told_after_it() {
    each(&[HookKind::MessageOffline], |rig| {
        reader(rig, "gone", "room");
        reader(rig, "back", "room");
        rig.disconnect("gone");
        rig.disconnect("back");
        rig.fill("room", "m", 2);
        // It is gathered yet.
        rig.middle();
        rig.device("back");
        rig.pass(RETURN);
        assert_eq!(away(rig), [is("gone", "room", 1, 2)]);
        // It is settled: no other start tells it again.
        rig.middle();
        rig.pass(RETURN);
        assert_eq!(away(rig).len(), 1);
        let key = rig.open(HOOKS, Since::First);
        assert_eq!(key.head.0, 1);
    });
}

#[test]
fn who_comes_back_in_time_is_not_told() {
    each(&[HookKind::MessageOffline], |rig| {
        reader(rig, "alice", "room");
        rig.disconnect("alice");
        rig.fill("room", "m", 2);
        rig.device("alice");
        rig.pass(WINDOW);
        assert_eq!(away(rig), []);
    });
}

#[test]
fn whoever_comes_only_to_park_was_away_all_the_time() {
    each(&[HookKind::MessageOffline], |rig| {
        reader(rig, "alice", "room");
        rig.disconnect("alice");
        rig.middle();
        let alice = rig.device("alice");
        rig.fill("room", "m", 1);
        rig.tell(HERE, Command::Park(alice.session, true));
        rig.pass(RETURN);
        assert_eq!(away(rig), [is("alice", "room", 1, 1)]);
    });
}

#[test]
fn of_what_was_seen_before_leaving_nothing_is_told() {
    each(&[HookKind::MessageOffline], |rig| {
        let alice = reader(rig, "alice", "room");
        reader(rig, "gone", "room");
        rig.disconnect("gone");
        rig.fill("room", "seen", 2);
        rig.tell(HERE, Command::Park(alice.session, true));
        rig.fill("room", "missed", 1);
        rig.pass(WINDOW);
        assert_eq!(away(rig), [is("alice", "room", 3, 3), is("gone", "room", 1, 3)]);
    });
}

#[test]
fn ones_own_message_is_no_news() {
    each(&[HookKind::MessageOffline], |rig| {
        let alice = reader(rig, "alice", "room");
        reader(rig, "bob", "room");
        rig.disconnect("bob");
        rig.tell(HERE, Command::Park(alice.session, true));
        let mut own = message("room", "own");
        own.0.user = Some(UserName::new("alice").unwrap());
        rig.store(own);
        rig.fill("room", "m", 1);
        rig.pass(WINDOW);
        assert_eq!(away(rig), [is("alice", "room", 2, 2), is("bob", "room", 1, 2)]);
    });
}

#[test]
fn a_device_that_fell_silent_is_told_of_what_it_did_not_acknowledge() {
    each(&[HookKind::MessageOffline], |rig| {
        let (acked, silent) = (reader(rig, "acked", "room"), reader(rig, "silent", "room"));
        let left = reader(rig, "left", "room");
        rig.fill("room", "m", 3);
        let opened = rig.open("room", Since::Now);
        rig.ack(&acked.owner, "room", at(&opened, 3));
        rig.ack(&silent.owner, "room", at(&opened, 1));
        for (device, gone) in [(acked, Gone::Silent), (silent, Gone::Silent), (left, Gone::Left)] {
            rig.tell(HERE, Command::Detach(device.session, gone));
        }
        rig.pass(WINDOW);
        assert_eq!(away(rig), [is("silent", "room", 2, 3)]);
    });
}

#[test]
fn what_was_not_acknowledged_is_told_after_a_crash_although_others_were_owed_less() {
    each(&[HookKind::MessageOffline], |rig| {
        let silent = reader(rig, "silent", "room");
        reader(rig, "gone", "room");
        rig.fill("room", "m", 3);
        rig.disconnect("gone");
        // One window for both: for who is gone from the fourth on, for who fell silent from the first.
        rig.fill("room", "n", 1);
        rig.tell(HERE, Command::Detach(silent.session, Gone::Silent));
        rig.disconnect("silent");
        rig.middle();
        rig.pass(RETURN);
        let told = away(rig);
        assert!(told.contains(&is("silent", "room", 1, 4)), "{told:?}");
        assert!(told.iter().any(|(user, _, first, last)| user == "gone" && *first <= 4 && *last == 4), "{told:?}");
        rig.middle();
        rig.pass(RETURN);
        assert_eq!(away(rig).len(), 2);
    });
}

#[test]
fn a_connection_that_closed_has_time_to_come_back() {
    each(&[HookKind::MessageOffline], |rig| {
        let back = reader(rig, "back", "room");
        let lost = reader(rig, "lost", "room");
        rig.fill("room", "m", 1);
        for device in [back, lost] {
            rig.tell(HERE, Command::Detach(device.session, Gone::Closed { grace_ms: 15_000 }));
        }
        rig.pass(WINDOW);
        assert_eq!(away(rig), []);
        let again = rig.hello(&owner("back"));
        rig.attach(again);
        rig.pass(GRACE);
        assert_eq!(away(rig), [is("lost", "room", 1, 1)]);
    });
}

#[test]
fn nobody_is_told_of_a_channel_whose_cursor_is_forgotten() {
    each(&[HookKind::MessageOffline], |rig| {
        reader(rig, "forgot", "room");
        reader(rig, "kept", "room");
        rig.ask(Command::Forget { owner: owner("forgot"), channel: crate::rig::channel("room") }).unwrap();
        rig.disconnect("forgot");
        rig.disconnect("kept");
        rig.fill("room", "m", 1);
        rig.pass(WINDOW);
        assert_eq!(away(rig), [is("kept", "room", 1, 1)]);
    });
}

#[test]
fn nobody_is_told_of_a_channel_whose_cursor_is_too_old() {
    each(&[HookKind::MessageOffline], |rig| {
        for name in ["old", "young"] {
            reader(rig, name, "room");
        }
        rig.disconnect("old");
        rig.pass(29 * DAY);
        rig.device("young");
        follow(rig, &owner("young"), "room");
        rig.disconnect("young");
        // From here on only the store may know the cursors.
        rig.middle();
        rig.pass(3 * DAY);
        rig.fill("room", "m", 1);
        rig.pass(WINDOW);
        assert_eq!(away(rig), [is("young", "room", 1, 1)]);
    });
}

#[test]
fn a_large_room_is_told_in_parts_and_of_nobody_twice() {
    each(&[HookKind::MessageOffline], |rig| {
        for n in 0..1_300 {
            follow(rig, &owner(&format!("user{n}")), "room");
        }
        rig.fill("room", "m", 1);
        rig.pass(WINDOW);
        (0..3).for_each(|_| rig.pass(1));
        let mut users: Vec<String> = away_page(rig).into_iter().map(|event| event.user.unwrap()).collect();
        users.sort();
        users.dedup();
        assert_eq!(users.len(), 1_300);
        assert_eq!(rig.open(HOOKS, Since::First).head.0, 1_300);
    });
}

fn away_page(rig: &mut Rig) -> Vec<HookEvent> {
    let (mut events, mut after) = (Vec::new(), moorline_protocol::Offset::ZERO);
    loop {
        let page = rig.read_some(HOOKS, ReadRange::After(after), 500, 1 << 20);
        for stored in &page.messages {
            let message = moorline_protocol::binary::decode_message(&mut stored.bytes.clone()).unwrap();
            events.push(serde_json::from_slice(message.payload.bytes()).unwrap());
        }
        after = page.reached;
        if !page.more {
            return events;
        }
    }
}

#[test]
fn stored_messages_are_told_in_order_with_their_content() {
    each(&[HookKind::MessageStored], |rig| {
        rig.store(message("room", "a").text("one"));
        rig.store(message("other", "b").text("two"));
        rig.middle();
        rig.publish(message("room", "a").text("one"));
        rig.store(message("room", "c").text("three"));
        let events = told(rig);
        let short = |event: &HookEvent| {
            let content: serde_json::Value = serde_json::from_str(event.message.as_ref().unwrap().get()).unwrap();
            (event.channel.clone().unwrap(), event.first.unwrap(), content["text"].as_str().unwrap().to_owned())
        };
        let expected = [("room", 1, "one"), ("other", 1, "two"), ("room", 2, "three")];
        let expected = expected.map(|(channel, offset, text)| (channel.to_owned(), offset, text.to_owned()));
        assert_eq!(events.iter().map(short).collect::<Vec<_>>(), expected);
    });
}

/// Of users and channels: what was told.
fn edges(rig: &mut Rig) -> Vec<(HookKind, String)> {
    told(rig).into_iter().map(|event| (event.kind, event.user.or(event.channel).unwrap())).collect()
}

#[test]
fn users_who_come_and_go_are_told_and_a_short_cut_is_not() {
    use HookKind::{UserOffline, UserOnline};
    each(&[UserOnline, UserOffline], |rig| {
        rig.device("alice");
        rig.device("bob");
        let on = |name: &str| (UserOnline, name.to_owned());
        assert_eq!(edges(rig), [on("alice"), on("bob")]);
        let device = rig.disconnect("alice");
        rig.pass(SECOND);
        rig.reconnect("alice", device);
        rig.pass(GRACE);
        assert_eq!(edges(rig).len(), 2);
        rig.disconnect("alice");
        rig.pass(GRACE);
        let off = |name: &str| (UserOffline, name.to_owned());
        assert_eq!(edges(rig).split_off(2), [off("alice")]);
        rig.middle();
        rig.pass(RETURN);
        assert_eq!(edges(rig).len(), 3, "bob is back, and was never gone");
    });
}

#[test]
fn who_does_not_come_back_after_a_crash_is_told_to_be_gone() {
    use HookKind::{ChannelOccupied, ChannelVacated, UserOffline, UserOnline};
    each(&[UserOnline, UserOffline, ChannelOccupied, ChannelVacated], |rig| {
        let hello = rig.hello(&owner("alice"));
        rig.attach(hello);
        rig.open("room", Since::Now);
        rig.pass(1);
        let mut before = edges(rig);
        before.sort();
        assert_eq!(before, [(UserOnline, "alice".to_owned()), (ChannelOccupied, "room".to_owned())]);
        rig.middle();
        rig.pass(RETURN);
        let mut after = edges(rig).split_off(2);
        after.sort();
        let gone = [(UserOffline, "alice".to_owned()), (ChannelVacated, "room".to_owned())];
        assert_eq!(after, if rig.restarts() { gone.to_vec() } else { Vec::new() });
    });
}

fn handles(rig: &mut Rig, user: &str) -> Vec<(String, String)> {
    let ask = Command::PushHandles(AppName::default_app(), vec![UserName::new(user).unwrap()]);
    let Ok(Completion::PushHandles(users)) = rig.ask(ask) else { panic!() };
    let [devices] = users.as_slice() else { panic!("{users:?}") };
    devices.iter().map(|device| (device.device.to_string(), device.handle.to_string())).collect()
}

#[test]
fn push_handles_are_kept_replaced_and_forgotten() {
    each(&[HookKind::MessageOffline], |rig| {
        let (phone, alice) = (owner("alice"), owner("alice"));
        let tablet = Owner { device: moorline_protocol::DeviceId::new("tablet-of-0alice").unwrap(), ..alice };
        let pair = |owner: &Owner, handle: &str| (owner.device.to_string(), handle.to_owned());
        rig.tell(HERE, Command::Push(phone.clone(), Some("old".into())));
        rig.tell(HERE, Command::Push(tablet.clone(), Some("tablet".into())));
        rig.middle();
        assert_eq!(handles(rig, "alice"), [pair(&phone, "old"), pair(&tablet, "tablet")]);
        rig.tell(HERE, Command::Push(phone.clone(), Some("new".into())));
        rig.middle();
        assert_eq!(handles(rig, "alice"), [pair(&tablet, "tablet"), pair(&phone, "new")]);
        rig.tell(HERE, Command::Push(tablet, None));
        rig.middle();
        assert_eq!(handles(rig, "alice"), [pair(&phone, "new")]);
        assert_eq!(handles(rig, "bob"), []);
        rig.pass(31 * DAY);
        assert_eq!(handles(rig, "alice"), [], "it was not there for a month");
        rig.tell(HERE, Command::Push(phone, Some("again".into())));
        let (app, user) = (AppName::default_app(), UserName::new("alice").unwrap());
        rig.ask(Command::Revoke(Revocation::User { app, user, issued_before: 1 })).unwrap();
        rig.middle();
        assert_eq!(handles(rig, "alice"), []);
    });
}
