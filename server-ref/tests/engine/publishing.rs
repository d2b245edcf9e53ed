//! Stored once by id.

use moorline_protocol::{Payload, ReusedBy, binary};
use moorline_server::engine::core::{CoreConfig, EngineCore, MemoryStore, RetentionRule};
use moorline_server::engine::{Appended, Completion, EngineError, ReadRange, Reply, Stored, Ticket};

use crate::rig::{DAY, HERE, HOUR, Rig, Setup, duplicate, each, each_with, ids, message, offsets, stored};

#[test]
fn offsets_count_up_per_channel() {
    each(|rig| {
        let first = rig.publish(message("room", "a"));
        assert_eq!(stored(&first), 1);
        assert_eq!(rig.store(message("other", "a")), 1);
        rig.middle();
        let second = rig.publish(message("room", "b"));
        assert_eq!(stored(&second), 2);
        let (Appended::Stored(first), Appended::Stored(second)) = (first, second) else { panic!() };
        assert_eq!(first.epoch, second.epoch);
        let page = rig.read("room", ReadRange::Newest);
        assert_eq!((ids(&page), page.first.0, page.head.0), (vec!["a".into(), "b".into()], 1, 2));
    });
}

#[test]
fn a_message_comes_back_as_it_was_published() {
    each(|rig| {
        let mut whole = message("room", "a").text("hi");
        whole.0.headers = vec![("lang".into(), "en".into())];
        whole.0.user = Some(moorline_protocol::UserName::new("alice").unwrap());
        let before = rig.now();
        rig.publish(whole);
        rig.middle();
        let page = rig.read("room", ReadRange::Newest);
        let message = binary::decode_message(&mut page.messages[0].bytes.clone()).unwrap();
        assert_eq!(message.id.as_str(), "a");
        assert_eq!(message.payload, Payload::Text("hi".into()));
        assert_eq!(message.headers, vec![("lang".into(), "en".into())]);
        assert_eq!(message.user.unwrap().as_str(), "alice");
        assert_eq!((message.time, message.offset.unwrap().0, message.prev), (before, 1, None));
    });
}

#[test]
fn the_same_id_and_content_is_a_duplicate() {
    each(|rig| {
        assert_eq!(rig.store(message("room", "a")), 1);
        assert_eq!(rig.store(message("room", "b")), 2);
        assert_eq!(duplicate(&rig.publish(message("room", "a"))), 1);
        rig.middle();
        assert_eq!(duplicate(&rig.publish(message("room", "a"))), 1);
        assert_eq!(duplicate(&rig.publish(message("room", "b"))), 2);
        assert_eq!(rig.store(message("room", "c")), 3);
    });
}

#[test]
fn a_duplicate_in_the_same_batch_is_found() {
    each(|rig| {
        let commands = ["a", "a", "b", "a"].map(|id| message("room", id).command());
        let answers = rig.batch(HERE, commands);
        let offset = |number: usize| match &answers[number] {
            Some(Ok(Completion::Appended(appended))) => appended.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((stored(&offset(0)), duplicate(&offset(1))), (1, 1));
        assert_eq!((stored(&offset(2)), duplicate(&offset(3))), (2, 1));
    });
}

#[test]
fn the_same_id_with_other_content_is_refused() {
    each(|rig| {
        rig.store(message("room", "a").text("one"));
        rig.middle();
        assert_eq!(rig.publish(message("room", "a").text("two")), Appended::Reused(ReusedBy::Id));
        let mut other_kind = message("room", "a").text("one");
        other_kind.0.payload = Payload::Binary("one".into());
        assert_eq!(rig.publish(other_kind), Appended::Reused(ReusedBy::Id));
        let mut other_headers = message("room", "a").text("one");
        other_headers.0.headers = vec![("k".into(), "v".into())];
        assert_eq!(rig.publish(other_headers), Appended::Reused(ReusedBy::Id));
        // How long it lives is not part of what it is.
        assert_eq!(duplicate(&rig.publish(message("room", "a").text("one").ttl(9))), 1);
    });
}

#[test]
fn ids_of_different_scopes_and_channels_never_meet() {
    each(|rig| {
        assert_eq!(rig.store(message("room", "a").scope("alice").text("one")), 1);
        assert_eq!(rig.store(message("room", "a").scope("bob").text("two")), 2);
        assert_eq!(rig.store(message("other", "a").scope("alice").text("three")), 1);
        rig.middle();
        assert_eq!(duplicate(&rig.publish(message("room", "a").scope("bob").text("two"))), 2);
    });
}

#[test]
fn an_id_is_remembered_for_24_hours() {
    each(|rig| {
        rig.store(message("room", "a"));
        rig.pass(12 * HOUR);
        rig.store(message("room", "b"));
        rig.middle();
        rig.pass(12 * HOUR);
        assert_eq!(duplicate(&rig.publish(message("room", "a"))), 1);
        rig.pass(1);
        assert_eq!(rig.store(message("room", "a")), 3);
        assert_eq!(duplicate(&rig.publish(message("room", "a"))), 3);
        assert_eq!(duplicate(&rig.publish(message("room", "b"))), 2);
        rig.pass(12 * HOUR);
        assert_eq!(rig.store(message("room", "b")), 4);
    });
}

#[test]
fn an_id_that_comes_again_is_remembered_from_then_on() {
    each(|rig| {
        rig.store(message("room", "a"));
        rig.pass(DAY + 1);
        // Before anything was tidied up, and after.
        assert_eq!(rig.store(message("room", "a")), 2);
        rig.middle();
        rig.pass(DAY - 1);
        assert_eq!(duplicate(&rig.publish(message("room", "a"))), 2);
        rig.store(message("room", "b"));
        rig.pass(2);
        assert_eq!(rig.store(message("room", "a")), 4);
        rig.pass(DAY - 2);
        assert_eq!(duplicate(&rig.publish(message("room", "b"))), 3);
    });
}

#[test]
fn so_many_ids_are_remembered_per_channel() {
    let setup = Setup { ids_per_channel: 100, ..Setup::default() };
    each_with(setup, |rig| {
        rig.fill("room", "a", 100);
        assert_eq!(duplicate(&rig.publish(message("room", "a1"))), 1);
        rig.store(message("room", "b"));
        rig.store(message("other", "b"));
        rig.middle();
        assert_eq!(duplicate(&rig.publish(message("room", "a2"))), 2);
        assert_eq!(rig.store(message("room", "a1")), 102);
        assert_eq!(rig.store(message("room", "a2")), 103);
        assert_eq!(duplicate(&rig.publish(message("room", "a4"))), 4);
    });
}

#[test]
fn so_many_ids_are_remembered_within_one_batch() {
    let setup = Setup { ids_per_channel: 10, ..Setup::default() };
    each_with(setup, |rig| {
        let again = (1..=11).map(|n| message("room", &format!("a{n}")).command());
        let again = again.chain([message("room", "a1").command(), message("room", "a3").command()]);
        let answers = rig.batch(HERE, again);
        let answer = |number: usize| match &answers[number] {
            Some(Ok(Completion::Appended(appended))) => appended.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((stored(&answer(11)), duplicate(&answer(12))), (12, 3));
    });
}

#[test]
fn an_id_outlives_its_message() {
    let rule = RetentionRule { prefix: String::new(), max_age_ms: None, max_bytes: None, max_count: Some(1) };
    each_with(Setup { rules: vec![rule], ..Setup::default() }, |rig| {
        rig.store(message("room", "a"));
        rig.store(message("room", "b"));
        rig.pass(HOUR);
        assert_eq!(offsets(&rig.read("room", ReadRange::Newest)), [2]);
        rig.middle();
        assert_eq!(duplicate(&rig.publish(message("room", "a"))), 1);
        assert_eq!(rig.publish(message("room", "a").text("else")), Appended::Reused(ReusedBy::Id));
    });
}

#[test]
fn times_never_fall_within_a_channel() {
    each(|rig| {
        let begin = rig.now();
        rig.store(message("room", "a"));
        rig.set_back(HOUR);
        rig.store(message("room", "b"));
        rig.middle();
        rig.store(message("room", "c"));
        rig.store(message("other", "a"));
        rig.skip(2 * HOUR);
        rig.store(message("room", "d"));
        let times = |rig: &mut Rig, name: &str| {
            let page = rig.read(name, ReadRange::Newest);
            let time = |stored: &Stored| binary::decode_message(&mut stored.bytes.clone()).unwrap().time;
            page.messages.iter().map(time).collect::<Vec<_>>()
        };
        assert_eq!(times(rig, "room"), [begin, begin, begin, begin + HOUR]);
        assert_eq!(times(rig, "other"), [begin - HOUR], "each channel has its own");
    });
}

#[test]
fn an_id_counts_only_once_its_message_is_stored() {
    for error in [EngineError::Unavailable, EngineError::Full] {
        let mut core = EngineCore::new(CoreConfig::new("test-000"), MemoryStore::default());
        core.begin(false, 0);
        let (first, again, late) = (message("room", "a"), message("room", "a"), message("room", "a"));
        core.refuse(HERE, Ticket(1), first.command(), error, 0);
        core.handle(HERE, Ticket(2), again.command(), 0);
        core.handle(HERE, Ticket(3), late.command(), 0);
        let answers: Vec<_> = core.take_replies().into_iter().map(|(_, reply)| reply).collect();
        let [Reply::Completed(_, refused), Reply::Completed(_, stored), Reply::Completed(_, duplicate)] = &answers[..]
        else {
            panic!("{answers:?}")
        };
        assert_eq!(*refused, Err(error));
        assert!(matches!(stored, Ok(Completion::Appended(Appended::Stored(_)))), "{stored:?}");
        assert!(matches!(duplicate, Ok(Completion::Appended(Appended::Duplicate(_)))), "{duplicate:?}");
    }
}
