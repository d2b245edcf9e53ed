//! Publishing: sequences, verdicts, ids, refusals.

use std::time::Duration;

use moorline_core::PublishOutcome;
use moorline_core::protocol::{
    ChannelRef, ClientFrame, ErrorCode, ProducerRequest, ProducerState, Publish, Qos, ReusedBy, ServerFrame,
};
use moorline_sim::script::{Keeps, Stage};

use crate::frames::{
    DEVICE, OTHER, channel, codes, errors, grant, greet, numbered, plain, published, publishes, room, welcomed,
};

/// 1.
#[test]
fn a_used_sequence_without_a_kept_verdict_is_refused() {
    Stage::new().fails_with(&["few-verdicts"]).play(|play| {
        let (peer, welcome) = welcomed(play, "alice");
        let grant = grant(&welcome);
        for seq in 1..=66 {
            let answers = play.ask(peer, [numbered(&grant, seq, seq, &format!("m{seq}"))]);
            assert_eq!(published(&answers).len(), 1, "{answers:?}");
        }
        let kept = play.ask(peer, [numbered(&grant, 100, 3, "m3")]);
        assert!(published(&kept)[0].duplicate, "{kept:?}");
        let gone = play.ask(peer, [numbered(&grant, 101, 1, "m1")]);
        assert_eq!(errors(&gone)[0].by, Some(ReusedBy::Seq), "{gone:?}");
        assert_eq!(play.log("room:0").len(), 66);
    });
}

/// 1, as a client meets it: its store is older than what the server remembers.
#[test]
fn what_is_new_in_a_rolled_back_store_goes_out_under_a_new_producer() {
    Stage::new().fails_with(&["ignore-verdict-hash"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        play.back_up(alice);
        for _ in 0..3 {
            play.publish(alice, "room:0", Qos::ExactlyOnce);
        }
        play.settle();
        play.roll_back(alice, 1_000);
        play.pass(900);
        play.until("alice runs again", |play| play.core(alice).is_some());
        let again = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        // Its sequence was used for another message, and it must not count as that one.
        assert!(play.stored(&again).is_some_and(|stored| !stored.duplicate), "{:?}", play.outcome(&again));
        assert_eq!(play.log("room:0").len(), 5);
        let after = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        assert!(play.stored(&after).is_some(), "under a new producer");
    });
}

/// 10.
#[test]
fn a_reused_id_consumes_its_sequence() {
    Stage::new().fails_with(&["reused-leaves-sequence"]).play(|play| {
        let (peer, welcome) = welcomed(play, "alice");
        let grant = grant(&welcome);
        play.ask(peer, [numbered(&grant, 1, 1, "a")]);
        let ClientFrame::Publish(mut other) = numbered(&grant, 2, 2, "b") else { unreachable!() };
        other.id = Some("a".into());
        let answers = play.ask(peer, [ClientFrame::Publish(other), numbered(&grant, 3, 3, "c")]);
        assert_eq!(errors(&answers)[0].by, Some(ReusedBy::Id), "{answers:?}");
        assert_eq!(published(&answers)[0].req, 3, "{answers:?}");
        assert_eq!(play.log("room:0"), ["a", "c"]);
    });
}

/// 11.
#[test]
fn a_permanent_refusal_is_a_durable_verdict() {
    Stage::new().fails_with(&["refusal-leaves-sequence", "poison-blocks"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        let poison = play.publish_poison(alice, "room:0", Qos::ExactlyOnce);
        let next = play.publish(alice, "room:0", Qos::ExactlyOnce);
        // The answers are lost with the server, its verdicts are not.
        play.until("both are decided", |play| play.log("room:0") == [next.clone()]);
        play.cut(alice);
        play.kill_server(1_000);
        play.settle();
        let Some(PublishOutcome::Failed(failure)) = play.outcome(&poison) else {
            panic!("{:?}", play.outcome(&poison))
        };
        assert_eq!(failure.code, ErrorCode::RequestMalformed);
        assert!(play.stored(&next).is_some_and(|stored| stored.duplicate), "{:?}", play.outcome(&next));
        let seqs: Vec<_> = publishes(&play.sent(alice)).iter().map(|publish| publish.seq).collect();
        assert_eq!(seqs, [Some(1), Some(2), Some(1), Some(2)]);
    });
}

/// 20: here for 10 s instead of a day.
#[test]
fn ids_are_of_a_publisher_and_a_channel_and_live_for_so_long() {
    let keeps = Keeps { ids_ms: Some(10_000), ..Keeps::default() };
    Stage::new().keeps(keeps).fails_with(&["ids-of-everybody"]).play(|play| {
        let (alice, _) = welcomed(play, "alice");
        let (bob, _) = welcomed(play, "bob");
        let elsewhere = Publish { channel: ChannelRef::Name(channel("room:1")), ..plain(3, "x") };
        let first = play.ask(alice, [ClientFrame::Publish(plain(1, "x"))]);
        let others = play.ask(bob, [ClientFrame::Publish(plain(2, "x")), ClientFrame::Publish(elsewhere)]);
        let again = play.ask(alice, [ClientFrame::Publish(plain(4, "x"))]);
        assert!(published(&[first, others].concat()).iter().all(|published| !published.duplicate));
        assert!(published(&again)[0].duplicate);
        play.pass(15_000);
        let late = play.ask(alice, [ClientFrame::Publish(plain(5, "x"))]);
        assert!(!published(&late)[0].duplicate, "it is forgotten by now");
        assert_eq!(play.log("room:0").len(), 3);
    });
}

/// 32.
#[test]
fn answers_are_matched_by_req_and_each_send_has_its_own() {
    Stage::new().rate(1, 1).fails_with(&["answers-in-order"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        let ids = [play.publish(alice, "room:0", Qos::AtLeastOnce), play.publish(alice, "room:0", Qos::AtLeastOnce)];
        // The node refuses the second for the moment, while the first one's answer waits for the disk.
        play.until("one is refused", |play| !codes(&play.heard(alice)).is_empty());
        assert!(published(&play.heard(alice)).is_empty());
        play.settle();
        assert_eq!(play.log("room:0"), ids);
        let mut reqs: Vec<_> = publishes(&play.sent(alice)).iter().filter_map(|publish| publish.req).collect();
        reqs.dedup();
        assert!(reqs.len() > 2 && reqs.is_sorted(), "each send has its own: {reqs:?}");
    });
}

/// 38.
#[test]
fn an_attached_producer_never_expires() {
    let keeps = Keeps { producers_ms: Some(10_000), ..Keeps::default() };
    Stage::new().keeps(keeps).fails_with(&["attached-expires"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.pass(60_000);
        let late = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        assert!(play.stored(&late).is_some(), "{:?}", play.outcome(&late));
        let seqs: Vec<_> = publishes(&play.sent(alice)).iter().map(|publish| publish.seq).collect();
        assert_eq!(seqs, [Some(1), Some(2)], "under one producer");
    });
}

/// 48.
#[test]
fn a_producer_of_another_device_is_expired() {
    Stage::new().fails_with(&["producer-of-any-device"]).play(|play| {
        let (_, welcome) = welcomed(play, "alice");
        let mine = grant(&welcome);
        let other = play.peer("alice");
        let mut hello = play.hello(other, OTHER, 1, 1);
        hello.producer = Some(ProducerRequest::Resume(mine.id));
        let theirs = grant(&greet(play, other, hello));
        assert_eq!(theirs.state, ProducerState::Expired);
        assert_ne!(theirs.id, mine.id);
        // The copy begins anew, and takes nothing from the producer that it was made of.
        let answers = play.ask(other, [numbered(&theirs, 1, 1, "copy")]);
        assert!(!published(&answers)[0].duplicate, "{answers:?}");
        let back = play.peer("alice");
        let mut hello = play.hello(back, DEVICE, 1, 2);
        hello.producer = Some(ProducerRequest::Resume(mine.id));
        assert_eq!(grant(&greet(play, back, hello)).state, ProducerState::Resumed);
    });
}

/// 49.
#[test]
fn clients_double_their_pauses_up_to_20_s() {
    Stage::new().fails_with(&["pauses-constant"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        play.refuse_writes(120_000, true);
        let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
        let mut moments = Vec::new();
        for sends in 1..=7 {
            play.until("it is sent again", |play| publishes(&play.sent(alice)).len() == sends);
            moments.push(play.now());
        }
        let pauses: Vec<_> =
            moments.windows(2).map(|pair| Duration::from_millis(pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 20]);
        play.settle();
        assert!(play.stored(&id).is_some());
    });
}

/// 53.
#[test]
fn an_inbox_is_numbered_by_its_canonical_name() {
    Stage::new().more_channels(1).fails_with(&["inbox-twice"]).play(|play| {
        let alice = play.client("alice", &[]);
        let ids = [play.publish(alice, "@me", Qos::ExactlyOnce), play.publish(alice, "@alice", Qos::ExactlyOnce)];
        play.settle();
        let third = play.publish(alice, "@me", Qos::ExactlyOnce);
        play.settle();
        let mut seqs: Vec<_> = publishes(&play.sent(alice)).iter().filter_map(|publish| publish.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, [1, 2, 3]);
        let log = play.log("@alice");
        assert!(ids.iter().all(|id| log.contains(id)) && log.len() == 3 && log[2] == third, "{log:?}");
    });
}

/// 54.
#[test]
fn a_refusal_of_a_resend_at_qos_1_is_uncertain() {
    Stage::new().tokens(30).fails_with(&["resend-refused-fails"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        let id = play.publish(alice, "room:0", Qos::AtLeastOnce);
        play.until("it is stored", |play| play.log("room:0") == [id.clone()]);
        // Its answer is lost, and the token that the client comes back with grants the channel no more.
        play.grant(alice, 0, false);
        play.swallow(alice, 30_000);
        play.until("it has ended", |play| play.outcome(&id).is_some());
        assert_eq!(play.outcome(&id), Some(PublishOutcome::Uncertain));
        let fresh = play.publish(alice, "room:0", Qos::AtLeastOnce);
        play.until("it has ended", |play| play.outcome(&fresh).is_some());
        assert!(matches!(play.outcome(&fresh), Some(PublishOutcome::Failed(_))), "{:?}", play.outcome(&fresh));
    });
}

/// 44.
#[test]
fn unanswered_publishes_are_bounded() {
    Stage::new().fails_with(&["unanswered-unbounded"]).play(|play| {
        let (peer, _) = welcomed(play, "alice");
        let large = |req: u64| Publish {
            payload: moorline_core::protocol::Payload::Binary(vec![0; 60_000].into()),
            channel: room(),
            ..plain(req, &format!("m{req}"))
        };
        // All of it arrives while the first batch is being synced.
        for part in 0..3 {
            play.say(peer, (0..10).map(|n| ClientFrame::Publish(large(part * 10 + n))));
        }
        play.pass(1_000);
        let heard = play.heard(peer.who());
        let refused = codes(&heard).iter().filter(|code| **code == ErrorCode::LimitRate).count();
        assert_eq!(published(&heard).len() + refused, 30);
        assert_eq!(published(&heard).len(), (1 << 20) / (60_000 + 256), "no more than 1 MiB at once");
        assert!(!heard.iter().any(|frame| matches!(frame, ServerFrame::Goaway(_))));
    });
}
