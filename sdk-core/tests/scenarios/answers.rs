//! What the server's answers, and their absence, mean for a publish.

use moorline_core::protocol::{ClientFrame, ErrorCode, Ping, ProducerState, Qos, ReusedBy, ServerFrame};
use moorline_core::{ClientConfig, ConnectionState, Event, PublishOptions, PublishOutcome, StateReason};

use crate::host::{Host, welcome};

fn exactly_once() -> PublishOptions {
    PublishOptions::new().qos(Qos::ExactlyOnce)
}

fn ready() -> Host {
    let mut host = Host::online();
    host.take_frames();
    host
}

fn back_online(host: &mut Host) {
    host.cut(None);
    host.reopen();
    host.take_frames();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
}

/// Lets time pass on a connection that lives.
fn pass_alive(host: &mut Host, ms: u64) {
    for n in 0..ms / 20_000 {
        host.pass(20_000);
        host.send(ServerFrame::Ping(Ping { n, next: None }));
    }
}

fn pause_until_the_next_send(host: &mut Host) -> u64 {
    let before = host.now_ms;
    while !host.frames.iter().any(|frame| matches!(frame, ClientFrame::Publish(_))) {
        host.wait();
    }
    host.now_ms - before
}

#[test]
fn a_refusal_of_what_may_be_stored_already_is_uncertain() {
    let mut host = ready();
    let id = host.publish("room", PublishOptions::new());
    // The server stores it; the answer is lost with the connection; then the grant is gone.
    back_online(&mut host);
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::ChannelDenied, |_| {});
    assert_eq!(host.outcomes(), [(id, PublishOutcome::Uncertain)]);
}

#[test]
fn a_refusal_after_a_refusal_is_certain() {
    let mut host = ready();
    host.publish("room", PublishOptions::new());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::LimitRate, |_| {});
    back_online(&mut host);
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::ChannelDenied, |_| {});
    assert!(matches!(host.outcomes()[..], [(_, PublishOutcome::Failed(_))]), "no send of it was ever taken");
    let sent = host.events.iter().filter(|event| matches!(event, Event::PublishSent { .. })).count();
    assert_eq!(sent, 1, "it was sent for the first time once");
}

#[test]
fn a_refusal_of_a_sequence_is_certain() {
    let mut host = ready();
    host.publish("room", exactly_once());
    back_online(&mut host);
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::ChannelDenied, |_| {});
    assert!(matches!(host.outcomes()[..], [(_, PublishOutcome::Failed(_))]));
}

#[test]
fn what_was_refused_for_the_moment_moves_to_the_next_producer() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::LimitRate, |_| {});
    host.publish("other", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::PublishReused, |error| error.by = Some(ReusedBy::Seq));
    assert_eq!(host.outcomes(), [], "neither of them was ever taken");
    assert_eq!(host.client.outbox().messages, 2);
}

#[test]
fn a_burst_of_refusals_is_one() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut host = ready();
        for _ in 0..32 {
            host.publish("room", PublishOptions::new().qos(qos));
        }
        for round in [20, 40, 80] {
            for (req, _) in host.take_publishes() {
                host.refuse(req, ErrorCode::LimitRate, |error| error.after = Some(20));
            }
            assert_eq!(pause_until_the_next_send(&mut host), round, "{qos:?}");
        }
    }
}

#[test]
fn a_later_refusal_of_a_burst_may_ask_for_more_time() {
    let mut host = ready();
    host.publish("room", PublishOptions::new());
    host.publish("room", PublishOptions::new());
    let sent = host.take_publishes();
    host.refuse(sent[0].0, ErrorCode::LimitRate, |error| error.after = Some(20));
    host.refuse(sent[1].0, ErrorCode::LimitRate, |error| error.after = Some(900));
    assert_eq!(pause_until_the_next_send(&mut host), 900);
}

#[test]
fn what_may_be_stored_and_is_too_late_to_send_again_is_uncertain() {
    let mut host = Host::new();
    let id = host.publish("room", PublishOptions::new().ttl(60));
    let mut host = host.restart();
    host.now_ms += 3 * 86_400_000;
    host.go_online();
    assert_eq!(host.take_publishes(), [], "three days late");
    assert_eq!(host.outcomes(), [(id, PublishOutcome::Uncertain)]);
    let id = host.publish("room", PublishOptions::new().ttl(60));
    host.take_frames();
    host.cut(None);
    host.now_ms += 61_000;
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    assert_eq!(host.take_publishes(), []);
    assert_eq!(host.outcomes()[1], (id, PublishOutcome::Uncertain));
}

#[test]
fn many_messages_under_way_are_all_awaited() {
    let mut config = ClientConfig::new("ws://a");
    config.outbox_messages = 20_000;
    let mut host = Host::with(config, Default::default());
    host.go_online();
    host.take_frames();
    for index in 0..9_600 {
        host.publish(&format!("c{}", index % 300), PublishOptions::new());
    }
    for (req, _) in host.take_publishes() {
        host.published(req, 1);
    }
    assert_eq!(host.client.outbox().messages, 0);
}

#[test]
fn two_fencings_far_apart_are_survived() {
    let mut host = ready();
    for _ in 0..2 {
        host.publish("room", exactly_once());
        let (req, _) = host.take_publishes()[0];
        host.refuse(req, ErrorCode::PublishFenced, |_| {});
        let StateReason::Reattach(failure) = host.last_reason() else { panic!("{:?}", host.last_reason()) };
        assert_eq!(failure.code, ErrorCode::PublishFenced);
        host.reopen();
        host.take_frames();
        host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
        let (req, _) = host.take_publishes()[0];
        host.refuse(req, ErrorCode::ChannelDenied, |_| {});
        pass_alive(&mut host, 16 * 3_600_000);
        host.take_frames();
    }
    assert_eq!(host.client.state(), ConnectionState::Online);
}

#[test]
fn a_lost_producer_is_told_as_that() {
    let mut host = ready();
    host.publish("room", exactly_once());
    let (req, _) = host.take_publishes()[0];
    host.refuse(req, ErrorCode::PublishUnknownProducer, |_| {});
    let StateReason::Reattach(failure) = host.last_reason() else { panic!("{:?}", host.last_reason()) };
    assert_eq!(failure.code, ErrorCode::PublishUnknownProducer);
}

#[test]
fn a_message_at_level_0_that_is_too_large_ends_nothing_for_good() {
    let mut host = ready();
    host.publish("room", PublishOptions::new().qos(Qos::AtMostOnce));
    host.cut(Some(4506));
    assert_eq!(host.client.state(), ConnectionState::Recovering);
}

#[test]
fn what_a_living_server_does_not_answer_is_sent_again_on_another_connection() {
    let mut host = ready();
    host.publish("room", PublishOptions::new());
    let unanswered = host.take_publishes()[0].0;
    pass_alive(&mut host, 60_000);
    assert_eq!(host.last_reason(), StateReason::Unanswered);
    host.take_frames();
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::Resumed)));
    let (req, _) = host.take_publishes()[0];
    assert_ne!(req, unanswered);
}

#[test]
fn what_waited_in_vain_and_outlived_its_ttl_is_given_up_at_once() {
    let mut host = ready();
    host.publish("room", PublishOptions::new().ttl(30));
    assert_eq!(host.take_publishes().len(), 1);
    pass_alive(&mut host, 60_000);
    assert_eq!(host.last_reason(), StateReason::Unanswered);
    // Nobody knows whether the server has it, and no deadline that has passed is left behind.
    assert!(matches!(host.outcomes()[..], [(_, PublishOutcome::Uncertain)]), "{:?}", host.outcomes());
}
