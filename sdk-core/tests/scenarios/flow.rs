//! Back-pressure: how much an app may leave unread.

use moorline_core::protocol::{
    ChannelRef, ClientFrame, Deliver, Message, More, Offset, Payload, Reset, ResetReason, ServerFrame, Start,
};
use moorline_core::{ClientConfig, SubscribeOptions, SubscriptionId};

use crate::host::{EPOCH, Host, deliver, epoch, message, number};

fn reading(change: impl FnOnce(&mut ClientConfig)) -> (Host, SubscriptionId) {
    let mut config = ClientConfig::new("ws://a");
    change(&mut config);
    let mut host = Host::with(config, Default::default());
    host.go_online();
    let id = host.subscribe("room", SubscribeOptions::new());
    host.subscribed("room", 10, 10, Start::Live);
    host.take_frames();
    (host, id)
}

fn large(offset: u64, bytes: usize) -> Message {
    Message { payload: Payload::Binary(vec![0; bytes].into()), ..message(offset, None) }
}

fn pauses(host: &mut Host) -> usize {
    host.take_frames().into_iter().filter(|frame| matches!(frame, ClientFrame::Pause(_))).count()
}

fn mores(host: &mut Host) -> Vec<(String, u64)> {
    let more = |frame| match frame {
        ClientFrame::More(More { after, rewind: false, epoch: Some(epoch), .. }) => {
            Some((epoch.as_str().to_owned(), after.0))
        }
        _ => None,
    };
    host.take_frames().into_iter().filter_map(more).collect()
}

fn consumed(host: &mut Host, id: SubscriptionId, messages: usize) {
    host.client.consumed(id, messages, host.now());
    host.drain();
}

fn reset(host: &mut Host, reason: ResetReason, name: &str) {
    let channel = ChannelRef::Number(number("room"));
    let epoch = epoch(name);
    host.send(ServerFrame::Reset(Reset {
        channel,
        epoch,
        first: Offset(101),
        head: Offset(100),
        from: Offset(100),
        reason,
    }));
}

#[test]
fn a_reset_does_not_end_a_pause() {
    for (reason, epoch) in [(ResetReason::Epoch, "e2"), (ResetReason::Trimmed, EPOCH)] {
        let (mut host, id) = reading(|config| config.queue_messages = 4);
        host.deliver("room", 11..=15);
        assert_eq!(pauses(&mut host), 1);
        // Whether the server still holds the pause depends on the reason: it is told again.
        reset(&mut host, reason, epoch);
        assert_eq!(pauses(&mut host), 1);
        host.deliver("room", [101]);
        assert_eq!(pauses(&mut host), 0, "and not with every message");
        consumed(&mut host, id, 4);
        assert_eq!(mores(&mut host), [(epoch.to_owned(), 101)]);
    }
}

#[test]
fn a_reset_of_a_flowing_channel_pauses_nothing() {
    let (mut host, _) = reading(|config| config.queue_messages = 4);
    host.deliver("room", 11..=12);
    reset(&mut host, ResetReason::Epoch, "e2");
    assert_eq!(pauses(&mut host), 0);
}

#[test]
fn large_messages_pause_earlier() {
    let (mut host, id) = reading(|config| config.queue_bytes = 100_000);
    host.send(deliver("room", (11..=13).map(|offset| large(offset, 30_000)).collect()));
    assert_eq!(pauses(&mut host), 0);
    host.send(deliver("room", vec![large(14, 30_000)]));
    assert_eq!(pauses(&mut host), 1);
    consumed(&mut host, id, 2);
    assert_eq!(mores(&mut host), [], "60,000 bytes wait");
    consumed(&mut host, id, 1);
    assert_eq!(mores(&mut host), [(EPOCH.to_owned(), 14)]);
    host.send(deliver("room", vec![large(15, 200_000)]));
    assert_eq!(pauses(&mut host), 1);
    consumed(&mut host, id, 9);
    assert_eq!(mores(&mut host), [(EPOCH.to_owned(), 15)], "one message larger than the queue does not stop it");
}

#[test]
fn the_slowest_reader_counts_in_bytes_too() {
    let (mut host, fast) = reading(|config| config.queue_bytes = 100_000);
    host.send(deliver("room", vec![large(11, 60_000)]));
    let slow = host.subscribe("room", SubscribeOptions::new());
    host.send(deliver("room", vec![large(12, 60_000)]));
    assert_eq!(pauses(&mut host), 1);
    consumed(&mut host, fast, 2);
    assert_eq!(mores(&mut host), [], "the second reader has 60,000 bytes");
    host.client.unsubscribe(slow, false, host.now());
    host.drain();
    assert_eq!(mores(&mut host).len(), 1);
}

#[test]
fn what_is_acknowledged_as_it_comes_is_never_paused() {
    let (mut host, _) = reading(|config| config.queue_bytes = 100_000);
    host.subscribe("own", SubscribeOptions::new().auto_ack(true));
    host.subscribed("own", 10, 10, Start::Live);
    let channel = ChannelRef::Number(number("own"));
    let messages = (11..=30).map(|offset| large(offset, 60_000)).collect();
    host.send(ServerFrame::Deliver(Deliver { channel, replay: false, more: false, at: None, messages }));
    assert_eq!(pauses(&mut host), 0);
}
