//! Reading a channel.

use moorline_protocol::Offset;
use moorline_server::engine::core::RetentionRule;
use moorline_server::engine::{Command, Completion, ReadRange};

use crate::rig::{HERE, HOUR, MINUTE, Rig, SECOND, Setup, each, each_with, ids, message, offsets, read_command};

fn some(rig: &mut Rig, range: ReadRange, count: usize) -> (Vec<u64>, u64, bool) {
    let page = rig.read_some("room", range, count, usize::MAX);
    (offsets(&page), page.reached.0, page.more)
}

fn after(offset: u64) -> ReadRange {
    ReadRange::After(Offset(offset))
}

fn before(offset: u64) -> ReadRange {
    ReadRange::Before(Offset(offset))
}

#[test]
fn upwards_in_pages() {
    each(|rig| {
        rig.fill("room", "m", 10);
        rig.middle();
        assert_eq!(some(rig, after(0), 4), (vec![1, 2, 3, 4], 4, true));
        assert_eq!(some(rig, after(4), 4), (vec![5, 6, 7, 8], 8, true));
        assert_eq!(some(rig, after(8), 4), (vec![9, 10], 10, false));
        assert_eq!(some(rig, after(8), 2), (vec![9, 10], 10, false));
        assert_eq!(some(rig, after(10), 4), (vec![], 10, false));
        assert_eq!(some(rig, after(99), 4), (vec![], 99, false));
    });
}

#[test]
fn downwards_in_pages() {
    each(|rig| {
        rig.fill("room", "m", 10);
        rig.middle();
        assert_eq!(some(rig, ReadRange::Newest, 4), (vec![7, 8, 9, 10], 7, true));
        assert_eq!(some(rig, before(7), 4), (vec![3, 4, 5, 6], 3, true));
        assert_eq!(some(rig, before(3), 4), (vec![1, 2], 1, false));
        assert_eq!(some(rig, before(3), 2), (vec![1, 2], 1, false));
        assert_eq!(some(rig, before(1), 4), (vec![], 1, false));
        assert_eq!(some(rig, before(0), 4), (vec![], 1, false));
        assert_eq!(some(rig, before(99), 2), (vec![9, 10], 9, true));
    });
}

#[test]
fn by_time() {
    each(|rig| {
        let begin = rig.now();
        for n in 1..=5 {
            rig.store(message("room", &format!("m{n}")));
            rig.pass(MINUTE);
        }
        rig.middle();
        let time = |minutes: u64| begin + minutes * MINUTE;
        assert_eq!(some(rig, ReadRange::AfterTime(0), 9).0, [1, 2, 3, 4, 5]);
        assert_eq!(some(rig, ReadRange::AfterTime(time(2)), 9).0, [3, 4, 5]);
        assert_eq!(some(rig, ReadRange::AfterTime(time(2) + 1), 1), (vec![4], 4, true));
        assert_eq!(some(rig, ReadRange::AfterTime(time(9)), 9), (vec![], 5, false));
        assert_eq!(some(rig, ReadRange::BeforeTime(time(2)), 9).0, [1, 2]);
        assert_eq!(some(rig, ReadRange::BeforeTime(time(2) + 1), 2), (vec![2, 3], 2, true));
        assert_eq!(some(rig, ReadRange::BeforeTime(time(0)), 9), (vec![], 1, false));
        assert_eq!(some(rig, ReadRange::BeforeTime(time(9)), 9).0, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn by_bytes_and_one_message_at_least() {
    each(|rig| {
        for n in 1..=6 {
            rig.store(message("room", &format!("m{n}")).text(&"x".repeat(if n == 3 { 5_000 } else { 900 })));
        }
        rig.middle();
        let size = rig.read("room", ReadRange::Newest).messages[0].bytes.len();
        let page = |rig: &mut Rig, range, bytes| {
            let page = rig.read_some("room", range, 100, bytes);
            (offsets(&page), page.reached.0, page.more)
        };
        assert_eq!(page(rig, after(0), 2 * size), (vec![1, 2], 2, true));
        assert_eq!(page(rig, after(0), 2 * size - 1), (vec![1], 1, true));
        assert_eq!(page(rig, after(0), 0), (vec![1], 1, true));
        assert_eq!(page(rig, after(2), size), (vec![3], 3, true));
        assert_eq!(page(rig, ReadRange::Newest, 3 * size), (vec![4, 5, 6], 4, true));
        assert_eq!(page(rig, ReadRange::Newest, 3 * size - 1), (vec![5, 6], 5, true));
        assert_eq!(page(rig, before(4), 10), (vec![3], 3, true));
        assert_eq!(page(rig, before(2), 10), (vec![1], 1, false));
    });
}

#[test]
fn a_channel_of_which_nothing_is_known_is_empty_and_stays_unknown() {
    each(|rig| {
        let page = rig.read("room", ReadRange::Newest);
        assert_eq!((page.messages.len(), page.first.0, page.head.0, page.reached.0, page.more), (0, 1, 0, 0, false));
        let up = rig.read("room", after(0));
        assert_eq!((up.messages.len(), up.reached.0, up.more), (0, 0, false));
        rig.middle();
        let opened = rig.open("room", moorline_protocol::Since::Now);
        assert_eq!(opened.epoch, rig.read("room", ReadRange::Newest).epoch);
        rig.store(message("room", "m"));
        assert_eq!(rig.read("room", ReadRange::Newest).epoch, opened.epoch);
    });
}

#[test]
fn more_than_memory_holds() {
    each(|rig| {
        // Several segments, and more than a ring.
        for part in 0..6 {
            let text = "x".repeat(200);
            let publish = |n: u64| message("room", &format!("m{part}-{n}")).text(&text).command();
            rig.batch(HERE, (0..100).map(publish));
            rig.fill("other", &format!("o{part}-"), 50);
        }
        rig.middle();
        assert_eq!(offsets(&rig.read("room", after(0))), (1..=600).collect::<Vec<_>>());
        assert_eq!(some(rig, after(95), 10).0, (96..=105).collect::<Vec<_>>());
        assert_eq!(some(rig, before(206), 10).0, (196..=205).collect::<Vec<_>>());
        assert_eq!(some(rig, ReadRange::Newest, 400).0, (201..=600).collect::<Vec<_>>());
        let page = rig.read_some("room", after(340), 3, usize::MAX);
        assert_eq!(ids(&page), ["m3-40", "m3-41", "m3-42"]);
        let mut seen = Vec::new();
        let mut reached = 0;
        loop {
            let page = rig.read_some("room", after(reached), 256, 4_000);
            seen.extend(offsets(&page));
            reached = page.reached.0;
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, (1..=600).collect::<Vec<_>>());
    });
}

#[test]
fn what_the_same_batch_stored_is_seen() {
    each(|rig| {
        rig.fill("room", "m", 3);
        let publish = |n: u64| message("room", &format!("n{n}")).command();
        let mut commands: Vec<Command> = (0..400).map(publish).collect();
        commands.push(read_command("room", ReadRange::Newest, 2, usize::MAX));
        commands.push(read_command("room", after(0), 5, usize::MAX));
        commands.push(read_command("room", ReadRange::AfterTime(0), 1_000, usize::MAX));
        let answers = rig.batch(HERE, commands);
        let read = |number: usize| match &answers[number] {
            Some(Ok(Completion::Read(page))) => offsets(page),
            other => panic!("{other:?}"),
        };
        assert_eq!(read(400), [402, 403]);
        assert_eq!(read(401), [1, 2, 3, 4, 5]);
        assert_eq!(read(402), (1..=403).collect::<Vec<_>>());
    });
}

#[test]
fn expired_messages_are_left_out_and_marked() {
    each(|rig| {
        rig.store(message("room", "a"));
        rig.store(message("room", "b").ttl(10));
        rig.store(message("room", "c").ttl(10));
        rig.store(message("room", "d"));
        rig.store(message("room", "e").ttl(10));
        assert_eq!(some(rig, after(0), 9).0, [1, 2, 3, 4, 5]);
        rig.middle();
        rig.pass(10 * SECOND - 1);
        assert_eq!(some(rig, after(0), 9).0, [1, 2, 3, 4, 5]);
        rig.pass(1);
        let page = rig.read("room", after(0));
        assert_eq!((offsets(&page), page.first.0, page.head.0), (vec![1, 4], 1, 5));
        // The tail has expired: everything up to the head is here or gone.
        assert_eq!((page.reached.0, page.more), (5, false));
        let prev: Vec<_> = page.messages.iter().map(|stored| stored.prev.map(|prev| prev.0)).collect();
        assert_eq!(prev, [None, Some(1)]);
        // A page of expired messages is empty, and says that it went on.
        assert_eq!(some(rig, after(1), 2), (vec![], 3, true));
        let page = rig.read_some("room", after(2), 2, usize::MAX);
        assert_eq!(page.messages[0].prev, Some(Offset(2)));
        assert_eq!(some(rig, ReadRange::Newest, 9).0, [1, 4]);
        assert_eq!(some(rig, before(4), 9).0, [1]);
    });
}

#[test]
fn expiry_moves_neither_first_nor_head() {
    each(|rig| {
        rig.store(message("room", "a").ttl(1));
        rig.store(message("room", "b").ttl(1));
        rig.pass(HOUR);
        rig.middle();
        let page = rig.read("room", after(0));
        assert_eq!((page.messages.len(), page.first.0, page.head.0), (0, 1, 2));
        assert_eq!((page.reached.0, page.more), (2, false));
        let opened = rig.open("room", moorline_protocol::Since::First);
        assert_eq!((opened.from.0, opened.reset), (0, None));
        assert_eq!(rig.store(message("room", "c")), 3);
    });
}

#[test]
fn a_trimmed_range_begins_at_first() {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: Some(3) };
    each_with(Setup { rules: vec![rule], ..Setup::default() }, |rig| {
        rig.fill("room", "m", 10);
        rig.pass(HOUR);
        rig.middle();
        let page = rig.read("room", after(2));
        assert_eq!((offsets(&page), page.first.0), (vec![8, 9, 10], 8));
        assert_eq!(page.messages[0].prev, None);
        assert_eq!(some(rig, before(8), 9), (vec![], 8, false));
        assert_eq!(some(rig, before(10), 9), (vec![8, 9], 8, false));
        assert_eq!(some(rig, ReadRange::BeforeTime(u64::MAX), 9).0, [8, 9, 10]);
    });
}
