//! Where a subscription begins.

use moorline_protocol::{Epoch, Offset, Position, ResetMode, ResetReason, Since};
use moorline_server::engine::core::RetentionRule;
use moorline_server::engine::{Command, Completion, Open, Opened};

use crate::rig::{HERE, HOUR, MINUTE, Rig, Setup, at, each, each_with, message, open};

fn keep_three() -> Setup {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: Some(3) };
    Setup { rules: vec![rule], ..Setup::default() }
}

fn begins(rig: &mut Rig, since: Since) -> (u64, Option<ResetReason>) {
    let opened = rig.open("room", since);
    (opened.from.0, opened.reset)
}

fn live(rig: &mut Rig, since: Since) -> (u64, Option<ResetReason>) {
    let opened = rig.open_with(Open { reset: ResetMode::Live, ..open("room", since) });
    (opened.from.0, opened.reset)
}

/// Five messages, a minute apart, of which the first two are trimmed.
fn five(rig: &mut Rig) -> u64 {
    let begin = rig.now();
    for n in 1..=5 {
        rig.store(message("room", &format!("m{n}")));
        rig.pass(MINUTE);
    }
    rig.middle();
    begin
}

#[test]
fn an_empty_channel_begins_before_the_first() {
    each(|rig| {
        let first = rig.open("room", Since::First);
        rig.middle();
        for since in [Since::Now, Since::First, Since::Last(9), Since::Time(0), Since::Cursor(None)] {
            let opened = rig.open("room", since);
            let Opened { first, head, from, reset, .. } = opened;
            assert_eq!((first.0, head.0, from.0, reset), (1, 0, 0, None));
        }
        let opened = rig.open("room", Since::Position(at(&first, 0)));
        assert_eq!((opened.from.0, opened.reset, opened.epoch), (0, None, first.epoch));
    });
}

#[test]
fn now_is_the_head() {
    each_with(keep_three(), |rig| {
        five(rig);
        assert_eq!(begins(rig, Since::Now), (5, None));
    });
}

#[test]
fn first_is_everything_kept_and_never_resets() {
    each_with(keep_three(), |rig| {
        five(rig);
        assert_eq!(begins(rig, Since::First), (2, None));
        assert_eq!(live(rig, Since::First), (2, None));
    });
}

#[test]
fn last_is_at_most_everything_kept_and_never_resets() {
    each_with(keep_three(), |rig| {
        five(rig);
        assert_eq!(begins(rig, Since::Last(0)), (5, None));
        assert_eq!(begins(rig, Since::Last(2)), (3, None));
        assert_eq!(begins(rig, Since::Last(3)), (2, None));
        assert_eq!(begins(rig, Since::Last(4)), (2, None));
        assert_eq!(begins(rig, Since::Last(u32::MAX)), (2, None));
    });
}

#[test]
fn time_finds_the_first_message_that_is_not_older_and_never_resets() {
    each_with(keep_three(), |rig| {
        let begin = five(rig);
        assert_eq!(begins(rig, Since::Time(0)), (2, None));
        assert_eq!(begins(rig, Since::Time(begin)), (2, None));
        assert_eq!(begins(rig, Since::Time(begin + 2 * MINUTE)), (2, None));
        assert_eq!(begins(rig, Since::Time(begin + 2 * MINUTE + 1)), (3, None));
        assert_eq!(begins(rig, Since::Time(begin + 4 * MINUTE)), (4, None));
        assert_eq!(begins(rig, Since::Time(begin + 4 * MINUTE + 1)), (5, None));
        assert_eq!(begins(rig, Since::Time(u64::MAX)), (5, None));
    });
}

#[test]
fn a_position_is_honoured_as_long_as_nothing_after_it_is_gone() {
    each_with(keep_three(), |rig| {
        five(rig);
        let opened = rig.open("room", Since::Now);
        let after = |offset| Since::Position(at(&opened, offset));
        assert_eq!(begins(rig, after(5)), (5, None));
        assert_eq!(begins(rig, after(3)), (3, None));
        // `first` is 3: after 2 nothing is missing, after 1 something is.
        assert_eq!(begins(rig, after(2)), (2, None));
        assert_eq!(begins(rig, after(1)), (2, Some(ResetReason::Trimmed)));
        assert_eq!(begins(rig, after(0)), (2, Some(ResetReason::Trimmed)));
        assert_eq!(live(rig, after(1)), (5, Some(ResetReason::Trimmed)));
    });
}

#[test]
fn a_position_that_cannot_be_is_a_reset_for_this_subscription_only() {
    each_with(keep_three(), |rig| {
        five(rig);
        let opened = rig.open("room", Since::Now);
        let forged = Since::Position(at(&opened, 6));
        assert_eq!(begins(rig, forged), (2, Some(ResetReason::Epoch)));
        assert_eq!(live(rig, forged), (5, Some(ResetReason::Epoch)));
        let other = Since::Position(Position { epoch: Epoch::new("other").unwrap(), offset: Offset(4) });
        assert_eq!(begins(rig, other), (2, Some(ResetReason::Epoch)));
        assert_eq!(live(rig, other), (5, Some(ResetReason::Epoch)));
        // The channel's epoch is what it was.
        assert_eq!(rig.open("room", Since::Position(at(&opened, 4))).epoch, opened.epoch);
        assert_eq!(begins(rig, Since::Position(at(&opened, 4))), (4, None));
    });
}

#[test]
fn a_channel_that_retention_emptied_begins_after_its_head() {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: Some(HOUR), max_bytes: None, max_count: None };
    each_with(Setup { rules: vec![rule], ..Setup::default() }, |rig| {
        five(rig);
        let before = rig.open("room", Since::Now);
        rig.pass(2 * HOUR);
        rig.middle();
        for since in [Since::Now, Since::First, Since::Last(9), Since::Time(0)] {
            let opened = rig.open("room", since);
            assert_eq!((opened.first.0, opened.head.0, opened.from.0, opened.reset), (6, 5, 5, None));
        }
        assert_eq!(begins(rig, Since::Position(at(&before, 5))), (5, None));
        assert_eq!(begins(rig, Since::Position(at(&before, 4))), (5, Some(ResetReason::Trimmed)));
        assert_eq!(rig.store(message("room", "next")), 6);
    });
}

#[test]
fn what_the_same_batch_stored_is_seen() {
    each(|rig| {
        let begin = rig.now();
        for (since, from) in [
            (Since::First, 0),
            (Since::Now, 2),
            (Since::Last(1), 1),
            (Since::Time(0), 0),
            (Since::Time(begin), 0),
            (Since::Time(begin + 1), 2),
        ] {
            let name = format!("room-{since:?}").replace('*', "");
            let commands = [message(&name, "a").command(), message(&name, "b").command()];
            let answers = rig.batch(HERE, commands.into_iter().chain([Command::Open(open(&name, since))]));
            let Some(Ok(Completion::Opened(opened))) = &answers[2] else { panic!("{answers:?}") };
            assert_eq!((opened.from.0, opened.head.0), (from, 2), "{since:?}");
        }
    });
}
