//! How long messages and channels are kept.

use moorline_protocol::Since;
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRule};
use moorline_server::engine::{Command, Open, ReadRange, Ticket};

use crate::rig::{
    DAY, HERE, HOUR, MINUTE, Rig, Setup, channel, duplicate, each, each_with, message, offsets, open, owner,
};

fn rule(prefix: &str) -> RetentionRule {
    RetentionRule { prefix: prefix.into(), max_age_ms: None, max_bytes: None, max_count: None }
}

fn kept(rig: &mut Rig, name: &str) -> Vec<u64> {
    offsets(&rig.read(name, ReadRange::Newest))
}

#[test]
fn seven_days_by_default() {
    each(|rig| {
        rig.store(message("room", "a"));
        rig.pass(DAY);
        rig.store(message("room", "b"));
        rig.middle();
        rig.pass(6 * DAY);
        assert_eq!(kept(rig, "room"), [1, 2]);
        rig.pass(6_000);
        assert_eq!(kept(rig, "room"), [2]);
        rig.pass(DAY);
        let page = rig.read("room", ReadRange::Newest);
        assert_eq!((page.messages.len(), page.first.0, page.head.0), (0, 3, 2));
    });
}

/// An earlier version allowed such names.
#[test]
fn channels_that_look_like_the_servers_own_keep_to_their_rules() {
    each(|rig| {
        rig.store(message("$prices", "a"));
        rig.store(message("$hooks", "b"));
        rig.pass(5 * DAY);
        assert_eq!(kept(rig, "$prices"), [1]);
        assert!(kept(rig, "$hooks").is_empty());
    });
}

#[test]
fn by_age() {
    let rules = vec![RetentionRule { max_age_ms: Some(HOUR), ..rule("") }];
    each_with(Setup { rules, ..Setup::default() }, |rig| {
        for n in 0..300 {
            rig.store(message("room", &format!("m{n}")).text(&"x".repeat(300)));
            if n % 5 == 4 {
                rig.pass(MINUTE);
            }
        }
        rig.middle();
        rig.pass(30 * MINUTE);
        // 60 groups of five, a minute apart: the youngest is 31 minutes old.
        assert_eq!(kept(rig, "room"), (151..=300).collect::<Vec<_>>());
        rig.pass(20 * MINUTE);
        assert_eq!(kept(rig, "room"), (251..=300).collect::<Vec<_>>());
    });
}

#[test]
fn by_count() {
    let rules = vec![RetentionRule { max_count: Some(7), ..rule("") }];
    each_with(Setup { rules, ..Setup::default() }, |rig| {
        rig.fill("room", "m", 500);
        rig.fill("small", "m", 7);
        rig.pass(MINUTE);
        rig.middle();
        assert_eq!(kept(rig, "room"), (494..=500).collect::<Vec<_>>());
        assert_eq!(kept(rig, "small"), (1..=7).collect::<Vec<_>>());
        rig.fill("room", "n", 3);
        rig.pass(MINUTE);
        assert_eq!(kept(rig, "room"), (497..=503).collect::<Vec<_>>());
    });
}

#[test]
fn by_bytes() {
    let rules = vec![RetentionRule { max_bytes: Some(50_000), ..rule("") }];
    each_with(Setup { rules, ..Setup::default() }, |rig| {
        for part in 0..4 {
            let text = "x".repeat(900);
            let publish = |n: u64| message("room", &format!("m{part}-{n}")).text(&text).command();
            rig.batch(HERE, (0..50).map(publish));
        }
        rig.pass(MINUTE);
        rig.middle();
        let page = rig.read("room", ReadRange::Newest);
        let bytes: usize = page.messages.iter().map(|stored| stored.bytes.len()).sum();
        assert!(bytes <= 50_000 && bytes > 44_000, "{bytes} bytes kept");
        assert_eq!(page.messages.last().map(|stored| stored.offset.0), Some(200));
        // The newest is kept, however large it is.
        rig.store(message("room", "huge").text(&"x".repeat(60_000)));
        rig.pass(MINUTE);
        assert_eq!(kept(rig, "room"), [201]);
    });
}

#[test]
fn the_longest_prefix_decides() {
    let rules = vec![
        RetentionRule { max_count: Some(1), ..rule("chat:") },
        RetentionRule { max_count: Some(2), ..rule("") },
        RetentionRule { max_count: Some(3), ..rule("chat:big:") },
        RetentionRule { max_age_ms: Some(HOUR), ..rule("news:") },
    ];
    each_with(Setup { rules, ..Setup::default() }, |rig| {
        for name in ["chat:1", "chat:big:1", "other", "news:1"] {
            rig.fill(name, "m", 5);
        }
        rig.middle();
        rig.pass(MINUTE);
        let counts = ["chat:1", "chat:big:1", "other", "news:1"].map(|name| kept(rig, name).len());
        assert_eq!(counts, [1, 3, 2, 5]);
        rig.pass(2 * HOUR);
        assert_eq!(kept(rig, "news:1").len(), 0);
    });
}

#[test]
fn what_is_new_is_never_taken_with_what_is_old() {
    each(|rig| {
        // Each of these is published in the very turn in which old things are forgotten.
        for n in 1..=5 {
            rig.skip(MINUTE);
            assert_eq!(rig.store(message(&format!("room{n}"), "m")), 1);
            rig.skip(MINUTE);
            assert_eq!(rig.store(message("room", &format!("m{n}"))), n);
        }
        rig.skip(8 * DAY);
        assert_eq!(rig.store(message("room", "young")), 6);
        rig.middle();
        rig.pass(MINUTE);
        assert_eq!(kept(rig, "room"), [6]);
        rig.store(message("new", "m"));
        assert_eq!(kept(rig, "new"), [1]);
    });
}

#[test]
fn a_forgotten_channel_begins_another_life() {
    each(|rig| {
        rig.store(message("room", "a"));
        let before = rig.open("room", Since::Now);
        rig.tell(HERE, Command::Unwatch(channel("room")));
        rig.middle();
        for _ in 0..3 {
            rig.pass(10 * DAY + MINUTE);
        }
        rig.pass(MINUTE);
        let after = rig.open("room", Since::Now);
        assert_ne!(after.epoch, before.epoch);
        assert_eq!((after.first.0, after.head.0), (1, 0));
        assert_eq!(rig.store(message("room", "b")), 1);
    });
}

#[test]
fn a_channel_outlives_its_messages_for_30_days() {
    each(|rig| {
        rig.store(message("room", "a"));
        let before = rig.open("room", Since::Now);
        rig.tell(HERE, Command::Unwatch(channel("room")));
        rig.pass(29 * DAY);
        rig.middle();
        rig.pass(MINUTE);
        let after = rig.open("room", Since::Now);
        assert_eq!((after.epoch, after.first.0, after.head.0), (before.epoch, 2, 1));
        assert_eq!(rig.store(message("room", "b")), 2);
    });
}

#[test]
fn a_channel_lives_as_long_as_somebody_refers_to_it() {
    each(|rig| {
        let device = rig.device("alice");
        rig.store(message("produced", "a").seq(&device, 1));
        rig.open_with(Open { cursor: Some(owner("bob")), ..open("read", Since::Now) });
        rig.store(message("read", "a"));
        let watched = rig.open("watched", Since::Now);
        rig.store(message("watched", "a"));
        let epochs = ["produced", "read", "watched"].map(|name| rig.read(name, ReadRange::Newest).epoch);
        for _ in 0..4 {
            rig.pass(8 * DAY);
            let bob = owner("bob");
            rig.open_with(Open { cursor: Some(bob), ..open("read", Since::Cursor(None)) });
        }
        rig.tell(HERE, Command::Unwatch(channel("read")));
        rig.middle();
        let device = rig.device("alice");
        let device = rig.reconnect("alice", device);
        let after = ["produced", "read", "watched"].map(|name| rig.read(name, ReadRange::Newest));
        assert_eq!(after.each_ref().map(|page| (page.epoch, page.head.0)), epochs.map(|epoch| (epoch, 1)));
        assert_eq!(duplicate(&rig.publish(message("produced", "a").seq(&device, 1))), 1);
        assert_eq!(watched.epoch, epochs[2]);
    });
}

#[test]
fn a_cursor_from_before_a_start_goes_no_later_than_its_channel() {
    let read = |core: &mut EngineCore<MemoryStore>, name, now| {
        let open = Open { cursor: Some(owner(name)), ..open("room", Since::Now) };
        core.handle(HERE, Ticket(1), Command::Open(open), now);
        core.handle(HERE, Ticket(2), Command::Unwatch(channel("room")), now);
    };
    let mut core = EngineCore::new(CoreConfig::new("test-000"), MemoryStore::default());
    core.begin(false, DAY);
    read(&mut core, "alice", DAY);
    let records = core.take_records(DAY);
    let mut core = EngineCore::new(CoreConfig::new("test-000"), MemoryStore::default());
    records.into_iter().for_each(|record| core.apply(record, false).unwrap());
    core.begin(false, DAY + HOUR);
    read(&mut core, "bob", DAY + 2 * HOUR);
    let mut left_at = |now| {
        core.expire(now);
        (core.stats().cursors, core.stats().channels)
    };
    // Alice may have used hers until the start, but not since.
    assert_eq!(left_at(31 * DAY + HOUR), (2, 1));
    assert_eq!(left_at(31 * DAY + HOUR + 1), (1, 1));
    assert_eq!(left_at(31 * DAY + 2 * HOUR), (1, 1));
    assert_eq!(left_at(31 * DAY + 2 * HOUR + 1), (0, 0));
}

#[test]
fn nothing_is_forgotten_in_the_first_hour_after_a_long_time() {
    each(|rig| {
        if !rig.restarts() {
            return;
        }
        rig.store(message("room", "a"));
        let bob = owner("bob");
        rig.open_with(Open { cursor: Some(bob), ..open("room", Since::First) });
        // Perhaps the clock is wrong.
        rig.middle_after(40 * DAY);
        rig.pass(59 * MINUTE);
        assert_eq!(kept(rig, "room"), [1]);
        assert_eq!(rig.read("room", ReadRange::Newest).head.0, 1);
        rig.pass(2 * MINUTE);
        rig.pass(MINUTE);
        assert_eq!(kept(rig, "room"), [0; 0]);
    });
}
