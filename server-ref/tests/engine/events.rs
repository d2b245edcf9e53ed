//! What watching shards are told, and when.

use bytes::Bytes;
use moorline_protocol::{Offset, Since};
use moorline_server::engine::{Appended, Broadcast, ChannelKey, Command, Completion, Event, ReadRange, Reply};

use crate::rig::{HERE, Rig, THERE, channel, duplicate, each, message, open, read_command};

/// Shortens what a shard was told: offsets of a channel, or an ephemeral message.
fn told(events: Vec<Event>) -> Vec<(String, Vec<u64>)> {
    let short = |event| match event {
        Event::Published { channel, messages, .. } => {
            (channel.name.to_string(), messages.iter().map(|stored| stored.offset.0).collect())
        }
        Event::Ephemeral { channel, .. } => (channel.name.to_string(), vec![]),
        other => panic!("{other:?}"),
    };
    events.into_iter().map(short).collect()
}

fn watch(rig: &mut Rig, shard: moorline_server::engine::ShardId, name: &str) {
    rig.ask_from(shard, Command::Open(open(name, Since::Now))).unwrap();
}

fn broadcast(name: &str) -> Command {
    let channel = ChannelKey { ..channel(name) };
    Command::Broadcast(Broadcast { channel, message: Bytes::from_static(b"psst") })
}

#[test]
fn watching_shards_get_what_is_stored_in_order() {
    each(|rig| {
        rig.store(message("room", "before"));
        rig.middle();
        watch(rig, HERE, "room");
        watch(rig, THERE, "room");
        rig.fill("room", "m", 3);
        rig.store(message("other", "m"));
        rig.store(message("room", "after"));
        for shard in [HERE, THERE] {
            let events = rig.events(shard);
            let mut offsets = Vec::new();
            for (name, part) in told(events.clone()) {
                assert_eq!(name, "room");
                offsets.extend(part);
            }
            assert_eq!(offsets, [2, 3, 4, 5]);
            let page = rig.read("room", ReadRange::After(Offset(1)));
            let mut sent = Vec::new();
            for event in events {
                let Event::Published { epoch, messages, .. } = event else { panic!() };
                assert_eq!(epoch, page.epoch);
                sent.extend(messages);
            }
            assert_eq!(sent, page.messages);
        }
    });
}

#[test]
fn a_batch_is_one_event_per_channel_and_stands_before_its_answers() {
    each(|rig| {
        watch(rig, HERE, "a");
        watch(rig, HERE, "b");
        let commands = [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("a", "2")];
        let stream = rig.stream(HERE, commands.map(|(name, id)| message(name, id).command()).to_vec());
        let events: Vec<Event> = stream
            .iter()
            .take(2)
            .map(|reply| if let Reply::Event(event) = reply { event.clone() } else { panic!("{reply:?}") })
            .collect();
        assert_eq!(told(events), [("a".into(), vec![1, 2]), ("b".into(), vec![1])]);
        let appended = |reply: &Reply| match reply {
            Reply::Completed(_, Ok(Completion::Appended(appended))) => appended.clone(),
            other => panic!("{other:?}"),
        };
        let answers: Vec<Appended> = stream.iter().skip(2).map(appended).collect();
        assert_eq!(answers.len(), 5);
        assert_eq!(duplicate(&answers[4]), 2);
    });
}

#[test]
fn events_come_before_whatever_reflects_them() {
    each(|rig| {
        watch(rig, HERE, "room");
        let commands = vec![
            message("room", "1").command(),
            read_command("room", ReadRange::Newest, 9, usize::MAX),
            message("room", "2").command(),
            Command::Open(open("room", Since::Now)),
            message("room", "3").command(),
        ];
        let mut known = 0;
        for reply in rig.stream(HERE, commands) {
            match reply {
                Reply::Event(Event::Published { messages, .. }) => known = messages.last().unwrap().offset.0,
                Reply::Completed(_, Ok(Completion::Read(page))) => assert!(page.head.0 <= known),
                Reply::Completed(_, Ok(Completion::Opened(opened))) => assert!(opened.head.0 <= known),
                Reply::Completed(_, Ok(Completion::Appended(Appended::Stored(at)))) => assert!(at.offset.0 <= known),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(known, 3);
    });
}

#[test]
fn who_opens_in_the_middle_of_a_batch_gets_what_follows() {
    each(|rig| {
        rig.events(THERE);
        let commands = vec![
            message("room", "1").command(),
            Command::Open(open("room", Since::Now)),
            message("room", "2").command(),
            Command::Unwatch(channel("room")),
            message("room", "3").command(),
        ];
        let stream = rig.stream(HERE, commands);
        let events: Vec<Event> = stream
            .into_iter()
            .filter_map(|reply| if let Reply::Event(event) = reply { Some(event) } else { None })
            .collect();
        assert_eq!(told(events), [("room".into(), vec![2])]);
    });
}

#[test]
fn ephemeral_messages_go_to_watchers_and_nowhere_else() {
    each(|rig| {
        watch(rig, THERE, "room");
        rig.tell(HERE, broadcast("room"));
        rig.tell(HERE, broadcast("unknown"));
        assert_eq!(rig.events(HERE), []);
        let heard = [Event::Ephemeral { channel: channel("room"), message: Bytes::from_static(b"psst") }];
        assert_eq!(rig.events(THERE), heard);
        let page = rig.read("room", ReadRange::Newest);
        assert_eq!((page.head.0, page.messages.len()), (0, 0));
        rig.tell(THERE, Command::Unwatch(channel("room")));
        rig.tell(HERE, broadcast("room"));
        rig.store(message("room", "m"));
        assert_eq!(rig.events(THERE), []);
    });
}

#[test]
fn a_shard_watches_a_channel_once() {
    each(|rig| {
        watch(rig, HERE, "room");
        watch(rig, HERE, "room");
        rig.store(message("room", "m"));
        assert_eq!(told(rig.events(HERE)), [("room".into(), vec![1])]);
        rig.tell(HERE, Command::Unwatch(channel("room")));
        rig.store(message("room", "n"));
        assert_eq!(rig.events(HERE), []);
    });
}

#[test]
fn nobody_watches_after_a_restart() {
    each(|rig| {
        watch(rig, HERE, "room");
        rig.middle();
        if rig.restarts() {
            rig.store(message("room", "m"));
            assert_eq!(rig.events(HERE), []);
        }
        watch(rig, HERE, "room");
        rig.store(message("room", "n"));
        assert_eq!(told(rig.events(HERE)).len(), 1);
    });
}
