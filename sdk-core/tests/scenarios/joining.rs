//! How channels come to be read, and how that ends.

use moorline_core::protocol::{ClientFrame, Ping, ProducerState, ServerFrame, Start};
use moorline_core::{StateReason, SubscribeOptions};

use crate::host::{Host, welcome};

/// Returns the channels that were asked for, in order.
fn asked(host: &Host) -> Vec<String> {
    let channels = host.frames.iter().flat_map(|frame| match frame {
        ClientFrame::Hello(hello) => hello.subscribe.clone(),
        ClientFrame::Subscribe(subscribe) => vec![subscribe.clone()],
        _ => Vec::new(),
    });
    channels.map(|subscribe| subscribe.channel.to_string()).collect()
}

#[test]
fn a_channel_read_before_the_welcome_is_asked_for_at_once() {
    let mut host = Host::new();
    host.connect();
    host.subscribe("early", SubscribeOptions::new());
    host.open();
    host.subscribe("late", SubscribeOptions::new());
    assert_eq!(asked(&host), ["early", "late"]);
    host.send(ServerFrame::Welcome(welcome(ProducerState::New)));
    host.subscribed("late", 10, 10, Start::Live);
    host.deliver("late", [11]);
    assert_eq!(host.take_offsets(), [11]);
}

#[test]
fn a_channel_left_before_the_welcome_is_left_at_once() {
    let mut host = Host::new();
    host.connect();
    let id = host.subscribe("room", SubscribeOptions::new());
    host.open();
    host.client.unsubscribe(id, false, host.now());
    host.drain();
    assert!(matches!(host.frames[..], [ClientFrame::Hello(_), ClientFrame::Unsubscribe(_)]));
}

#[test]
fn a_channel_that_gets_no_answer_is_asked_for_on_another_connection() {
    let mut host = Host::online();
    host.subscribe("room", SubscribeOptions::new());
    for n in 0..3 {
        host.pass(19_000);
        host.send(ServerFrame::Ping(Ping { n, next: None }));
    }
    host.pass(3_000);
    assert_eq!(host.last_reason(), StateReason::Unanswered);
    host.take_frames();
    host.reopen();
    assert_eq!(asked(&host), ["room"]);
}
