//! Durable cursors.

use moorline_protocol::{DeviceId, Epoch, Offset, Position, ResetMode, ResetReason, Since};
use moorline_server::engine::core::RetentionRule;
use moorline_server::engine::{Command, Completion, CursorAck, EngineError, Open, Opened, Owner};

use crate::rig::{DAY, HERE, HOUR, Rig, Setup, at, channel, each, each_with, message, open, owner};

fn durable(rig: &mut Rig, owner: &Owner, since: Since) -> Opened {
    rig.open_with(Open { cursor: Some(owner.clone()), ..open("room", since) })
}

fn resume(rig: &mut Rig, owner: &Owner) -> Opened {
    durable(rig, owner, Since::Cursor(None))
}

fn forget(rig: &mut Rig, owner: &Owner) {
    let command = Command::Forget { owner: owner.clone(), channel: channel("room") };
    assert_eq!(rig.ask(command), Ok(Completion::Forgotten));
}

/// Messages are kept for ever.
fn for_ever() -> Setup {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: None };
    Setup { rules: vec![rule], ..Setup::default() }
}

#[test]
fn a_first_use_begins_at_the_head() {
    each(|rig| {
        let alice = owner("alice");
        rig.fill("room", "m", 2);
        let opened = resume(rig, &alice);
        assert_eq!((opened.from.0, opened.head.0, opened.reset), (2, 2, None));
        rig.middle();
        rig.store(message("room", "n"));
        // What came meanwhile is not lost, though nothing was ever acknowledged.
        let opened = resume(rig, &alice);
        assert_eq!((opened.from.0, opened.head.0, opened.reset), (2, 3, None));
    });
}

#[test]
fn a_cursor_may_be_made_before_the_first_message() {
    each(|rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        assert_eq!((opened.from.0, opened.head.0, opened.first.0), (0, 0, 1));
        rig.middle();
        rig.store(message("room", "m"));
        let again = resume(rig, &alice);
        assert_eq!((again.from.0, again.head.0, again.epoch, again.reset), (0, 1, opened.epoch, None));
    });
}

#[test]
fn an_acknowledgement_moves_it_and_never_back() {
    each(|rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 5);
        assert_eq!(rig.ack(&alice, "room", at(&opened, 3)), at(&opened, 3));
        assert_eq!(rig.ack(&alice, "room", at(&opened, 2)), at(&opened, 3));
        rig.middle();
        assert_eq!(rig.ack(&alice, "room", at(&opened, 1)), at(&opened, 3));
        assert_eq!(resume(rig, &alice).from.0, 3);
        assert_eq!(rig.ack(&alice, "room", at(&opened, 5)), at(&opened, 5));
        assert_eq!(resume(rig, &alice).from.0, 5);
    });
}

#[test]
fn an_acknowledgement_of_another_epoch_is_ignored() {
    each(|rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 3);
        rig.ack(&alice, "room", at(&opened, 1));
        let other = Position { epoch: Epoch::new("other").unwrap(), offset: Offset(3) };
        assert_eq!(rig.ack(&alice, "room", other), at(&opened, 1));
        rig.middle();
        assert_eq!(resume(rig, &alice).from.0, 1);
    });
}

#[test]
fn an_acknowledgement_waits_at_most_half_a_second() {
    each(|rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 1);
        let ack = CursorAck { owner: alice.clone(), channel: channel("room"), position: at(&opened, 1) };
        let waiting = rig.submit(HERE, vec![Command::Ack(ack)]).remove(0);
        // It has come before the time passes.
        rig.pass(0);
        rig.pass(500);
        assert_eq!(rig.answer(HERE, waiting), Ok(Completion::Acked(at(&opened, 1))));
        rig.middle();
        assert_eq!(resume(rig, &alice).from.0, 1);
    });
}

#[test]
fn cursors_are_per_owner_and_channel() {
    each(|rig| {
        let (alice, bob) = (owner("alice"), owner("bob"));
        let opened = resume(rig, &alice);
        resume(rig, &bob);
        rig.fill("room", "m", 4);
        rig.ack(&alice, "room", at(&opened, 1));
        rig.ack(&bob, "room", at(&opened, 3));
        rig.middle();
        assert_eq!(resume(rig, &alice).from.0, 1);
        assert_eq!(resume(rig, &bob).from.0, 3);
    });
}

#[test]
fn the_clients_position_replaces_a_missing_cursor() {
    each(|rig| {
        let alice = owner("alice");
        rig.fill("room", "m", 5);
        let position = at(&rig.open("room", Since::Now), 2);
        let opened = durable(rig, &alice, Since::Cursor(Some(position)));
        assert_eq!((opened.from.0, opened.reset), (2, None));
        rig.middle();
        // It has become the cursor, which counts from now on.
        let older = Position { offset: Offset(1), ..position };
        assert_eq!(durable(rig, &alice, Since::Cursor(Some(older))).from.0, 2);
        assert_eq!(resume(rig, &alice).from.0, 2);
    });
}

#[test]
fn a_position_of_another_life_is_a_reset_and_a_new_cursor() {
    each(|rig| {
        let alice = owner("alice");
        rig.fill("room", "m", 3);
        let lost = Position { epoch: Epoch::new("other").unwrap(), offset: Offset(2) };
        let opened = durable(rig, &alice, Since::Cursor(Some(lost)));
        assert_eq!((opened.from.0, opened.reset), (0, Some(ResetReason::Epoch)));
        rig.middle();
        let again = resume(rig, &alice);
        assert_eq!((again.from.0, again.reset), (0, None));
    });
}

#[test]
fn any_other_beginning_makes_a_missing_cursor_and_leaves_one_alone() {
    each(|rig| {
        let alice = owner("alice");
        rig.fill("room", "m", 5);
        let opened = durable(rig, &alice, Since::Last(2));
        assert_eq!(opened.from.0, 3);
        rig.middle();
        assert_eq!(resume(rig, &alice).from.0, 3);
        assert_eq!(durable(rig, &alice, Since::First).from.0, 0);
        assert_eq!(durable(rig, &alice, Since::Now).from.0, 5);
        assert_eq!(resume(rig, &alice).from.0, 3);
    });
}

#[test]
fn a_forgotten_cursor_is_gone() {
    each(|rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 3);
        rig.ack(&alice, "room", at(&opened, 1));
        forget(rig, &alice);
        rig.middle();
        assert_eq!(resume(rig, &alice).from.0, 3);
        forget(rig, &alice);
        forget(rig, &alice);
        forget(rig, &owner("nobody"));
    });
}

#[test]
fn a_cursor_lives_30_days_unused() {
    each_with(for_ever(), |rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 3);
        rig.ack(&alice, "room", at(&opened, 1));
        rig.pass(30 * DAY);
        rig.middle();
        // To open it is a use.
        assert_eq!(resume(rig, &alice).from.0, 1);
        rig.pass(30 * DAY);
        // So is an acknowledgement, even one that does not move it.
        rig.ack(&alice, "room", at(&opened, 1));
        rig.pass(30 * DAY);
        assert_eq!(resume(rig, &alice).from.0, 1);
        rig.pass(30 * DAY + 1);
        rig.store(message("room", "late"));
        assert_eq!(resume(rig, &alice).from.0, 4);
    });
}

#[test]
fn an_expired_cursor_is_told_by_the_clients_position() {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: Some(2) };
    each_with(Setup { rules: vec![rule], ..Setup::default() }, |rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 5);
        rig.ack(&alice, "room", at(&opened, 1));
        rig.pass(31 * DAY);
        rig.middle();
        rig.pass(2 * DAY);
        let late = durable(rig, &alice, Since::Cursor(Some(at(&opened, 1))));
        assert_eq!((late.from.0, late.first.0, late.reset), (3, 4, Some(ResetReason::Trimmed)));
        let now = Open { reset: ResetMode::Live, cursor: None, ..open("room", Since::Position(at(&opened, 1))) };
        assert_eq!(rig.open_with(now).from.0, 5);
    });
}

#[test]
fn a_cursor_that_is_read_with_does_not_expire() {
    each_with(for_ever(), |rig| {
        let device = rig.device("alice");
        let opened = resume(rig, &device.owner);
        for _ in 0..9 {
            rig.pass(5 * DAY);
        }
        rig.middle();
        // Nothing was ever acknowledged, and the message that comes now is not lost.
        rig.device("alice");
        rig.store(message("room", "m"));
        let again = resume(rig, &device.owner);
        assert_eq!((again.from.0, again.head.0, again.epoch), (0, 1, opened.epoch));
        rig.pass(40 * DAY);
        rig.disconnect("alice");
        rig.pass(29 * DAY);
        assert_eq!(resume(rig, &device.owner).from.0, 0);
    });
}

#[test]
fn an_acknowledgement_brings_an_expired_cursor_back() {
    each_with(for_ever(), |rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 3);
        rig.pass(31 * DAY);
        assert_eq!(rig.ack(&alice, "room", at(&opened, 2)), at(&opened, 2));
        rig.middle();
        rig.pass(HOUR);
        assert_eq!(resume(rig, &alice).from.0, 2);
    });
}

/// A user may have three cursors.
fn three() -> Setup {
    Setup { cursors_per_user: 3, ..for_ever() }
}

/// Another device of a user.
fn another(of: &Owner) -> Owner {
    Owner { device: DeviceId::new("another-device-of-it").unwrap(), ..of.clone() }
}

/// Whether a device may read a channel durably.
fn may(rig: &mut Rig, owner: &Owner, channel: &str) -> bool {
    let open = Open { cursor: Some(owner.clone()), ..open(channel, Since::Cursor(None)) };
    match rig.ask(Command::Open(open)) {
        Ok(Completion::Opened(_)) => true,
        Err(EngineError::TooManyCursors) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_has_so_many_cursors_over_all_devices_and_no_more() {
    each_with(three(), |rig| {
        let alice = owner("alice");
        let laptop = another(&alice);
        assert!(may(rig, &alice, "room") && may(rig, &alice, "other") && may(rig, &laptop, "room"));
        assert!(!may(rig, &laptop, "other"));
        rig.middle();
        // Those that there are stay, and whoever has none reads as before.
        assert!(!may(rig, &laptop, "other") && !may(rig, &alice, "third"));
        assert!(may(rig, &alice, "room") && may(rig, &laptop, "room"));
        assert_eq!(rig.open("third", Since::Now).head.0, 0);
        assert!(may(rig, &owner("bob"), "third"));
        // One that is forgotten makes room for one.
        forget(rig, &alice);
        rig.middle();
        assert!(may(rig, &laptop, "other") && !may(rig, &laptop, "third") && !may(rig, &alice, "room"));
    });
}

#[test]
fn cursors_are_counted_over_many_starts() {
    each_with(three(), |rig| {
        // Of the tables that these starts leave, some are merged.
        let alice = owner("alice");
        for n in 0..9 {
            assert!(may(rig, &alice, "room") && may(rig, &alice, "other"), "{n}");
            rig.middle();
            assert!(may(rig, &alice, "third"), "{n}");
            assert!(!may(rig, &alice, "fourth"), "{n}");
            rig.middle();
            assert!(!may(rig, &alice, "fourth"), "{n}");
            forget(rig, &alice);
            rig.middle();
        }
    });
}

#[test]
fn cursors_that_are_over_make_room_and_those_in_use_do_not() {
    each_with(three(), |rig| {
        let alice = owner("alice");
        let opened = resume(rig, &alice);
        rig.fill("room", "m", 1);
        assert!(may(rig, &alice, "other") && may(rig, &alice, "third"));
        rig.middle();
        // Three months in which one of them is used, by acknowledgements alone.
        for _ in 0..9 {
            rig.pass(10 * DAY);
            rig.ack(&alice, "room", at(&opened, 1));
            rig.middle();
        }
        assert!(may(rig, &alice, "fourth") && may(rig, &alice, "fifth"));
        assert!(!may(rig, &alice, "sixth"));
        assert_eq!(resume(rig, &alice).from.0, 1);
    });
}
