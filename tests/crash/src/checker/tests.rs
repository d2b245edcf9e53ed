use super::*;

fn place(offset: u64) -> Place {
    Place { epoch: "e".into(), offset }
}

fn mark(publisher: u32, number: u64) -> Mark {
    Mark { publisher, number }
}

fn entry(offset: u64, mark: Mark) -> Entry {
    Entry { place: place(offset), mark: Some(mark) }
}

fn message(offset: u64, mark: Mark) -> Seen {
    Seen::Message { place: place(offset), mark: Some(mark), redelivered: false }
}

/// Publisher 1 (ordered) wrote offsets 1, 2, 4; publisher 2 (free) wrote 3; `s` saw all of them.
fn clean() -> Channel {
    let mut channel = Channel::default();
    channel.add_publisher(1, Order::Kept);
    channel.add_publisher(2, Order::Free);
    channel.add_subscriber("s", 0);
    let marks = [channel.publish(1), channel.publish(1), channel.publish(2), channel.publish(1)];
    let log: Vec<Entry> = (1..).zip(marks).map(|(offset, mark)| entry(offset, mark)).collect();
    for entry in &log {
        let mark = entry.mark.unwrap();
        channel.told(mark, Told::Stored(Some(entry.place.clone())));
        channel.see("s", message(entry.place.offset, mark));
    }
    channel.set_log(log);
    channel
}

fn violations(channel: &Channel) -> Vec<Violation> {
    channel.judge("c").violations
}

#[test]
fn a_clean_run_is_clean() {
    let report = clean().judge("c");
    assert_eq!(report.violations, []);
    assert!(report.tally.is_clean());
    let expected = Tally { published: 4, acknowledged: 4, stored: 4, received: 4, ..Tally::default() };
    assert_eq!(report.tally, expected);
}

#[test]
fn marks_survive_a_payload() {
    assert_eq!(Mark::parse(&format!("{} and padding", mark(3, 17))), Some(mark(3, 17)));
    assert_eq!(Mark::parse("p3 n17"), Some(mark(3, 17)));
    for foreign in ["", "p3", "p3 17", "hello", "p-1 n2"] {
        assert_eq!(Mark::parse(foreign), None, "{foreign}");
    }
}

#[test]
fn an_acknowledged_message_missing_from_the_log_is_found() {
    let mut channel = clean();
    channel.log.pop();
    let found = violations(&channel);
    assert!(found.contains(&Violation::LostInLog { mark: mark(1, 3) }), "{found:?}");
    assert!(found.contains(&Violation::SeenWrong { subscriber: "s".to_owned(), place: place(4) }), "{found:?}");
}

#[test]
fn a_message_stored_twice_is_found() {
    let mut channel = clean();
    channel.log.push(entry(5, mark(1, 2)));
    channel.see("s", message(5, mark(1, 2)));
    assert_eq!(violations(&channel), [Violation::StoredTwice { mark: mark(1, 2), offsets: [2, 5] }]);
}

#[test]
fn a_hole_and_a_new_life_of_the_log_are_found() {
    let mut channel = clean();
    channel.log.remove(2);
    let hole = Violation::LogHole { after: place(2), next: place(4) };
    assert!(violations(&channel).contains(&hole));
    let mut channel = clean();
    channel.log[3].place.epoch = "f".into();
    assert!(violations(&channel).iter().any(|violation| matches!(violation, Violation::LogHole { .. })));
}

#[test]
fn only_ordered_publishers_must_be_in_order() {
    let mut channel = clean();
    let _ = channel.publish(2);
    channel.told(mark(2, 2), Told::Stored(None));
    channel.log = vec![
        entry(1, mark(1, 1)),
        entry(2, mark(2, 2)),
        entry(3, mark(2, 1)),
        entry(4, mark(1, 3)),
        entry(5, mark(1, 2)),
    ];
    let disorder: Vec<Violation> = violations(&channel)
        .into_iter()
        .filter(|violation| matches!(violation, Violation::ProducerOrder { .. }))
        .collect();
    assert_eq!(disorder, [Violation::ProducerOrder { mark: mark(1, 2), place: place(5) }]);
}

#[test]
fn a_wrong_place_is_found() {
    let mut channel = clean();
    channel.told(mark(1, 1), Told::Stored(Some(place(2))));
    let expected = Violation::WrongPlace { mark: mark(1, 1), told: place(2), stored: place(1) };
    assert_eq!(violations(&channel), [expected]);
}

#[test]
fn a_duplicate_without_a_place_is_only_looked_up() {
    let mut channel = clean();
    channel.told(mark(1, 1), Told::Stored(None));
    assert_eq!(violations(&channel), []);
}

#[test]
fn whatever_is_not_settled_as_stored_is_found() {
    let mut channel = clean();
    let unsettled = channel.publish(1);
    channel.told(mark(1, 1), Told::Refused);
    channel.told(mark(1, 2), Told::Uncertain);
    let found = violations(&channel);
    assert_eq!(
        found,
        [
            Violation::Refused { mark: mark(1, 1), stored: true },
            Violation::Uncertain { mark: mark(1, 2) },
            Violation::Unsettled { mark: unsettled },
        ]
    );
}

#[test]
fn what_nobody_published_is_found() {
    let mut channel = clean();
    channel.log.push(Entry { place: place(5), mark: None });
    channel.see("s", Seen::Message { place: place(5), mark: None, redelivered: false });
    channel.log.push(entry(6, mark(1, 99)));
    channel.see("s", message(6, mark(1, 99)));
    assert_eq!(violations(&channel), [Violation::Foreign { place: place(5) }, Violation::Foreign { place: place(6) }]);
}

#[test]
fn what_a_subscriber_misses_is_found_unless_it_began_later() {
    let mut channel = clean();
    channel.add_subscriber("late", 2);
    channel.see("late", message(4, mark(1, 3)));
    assert_eq!(violations(&channel), [Violation::Missed { subscriber: "late".to_owned(), place: place(3) }]);
}

#[test]
fn a_message_seen_twice_or_late_is_found() {
    let mut channel = clean();
    channel.see("s", message(4, mark(1, 3)));
    assert_eq!(violations(&channel), [Violation::SeenTwice { subscriber: "s".to_owned(), place: place(4) }]);

    channel.add_subscriber("s", 0);
    for (offset, mark) in [(1, mark(1, 1)), (3, mark(2, 1)), (2, mark(1, 2)), (4, mark(1, 3))] {
        channel.see("s", message(offset, mark));
    }
    assert_eq!(violations(&channel), [Violation::SeenLate { subscriber: "s".to_owned(), place: place(2) }]);
}

#[test]
fn a_restarted_app_may_see_again_only_what_is_marked() {
    let mut channel = clean();
    channel.see("s", Seen::Restarted);
    channel.see("s", Seen::Message { place: place(3), mark: Some(mark(2, 1)), redelivered: true });
    let report = channel.judge("c");
    assert_eq!((report.violations, report.tally.redelivered), (vec![], 1));
    channel.see("s", message(4, mark(1, 3)));
    assert_eq!(violations(&channel), [Violation::SeenTwice { subscriber: "s".to_owned(), place: place(4) }]);
}

#[test]
fn a_reset_without_a_reason_is_found() {
    let mut channel = clean();
    channel.see("s", Seen::Reset);
    assert_eq!(violations(&channel), [Violation::Reset { subscriber: "s".to_owned() }]);
}
