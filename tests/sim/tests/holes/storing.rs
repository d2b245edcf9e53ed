//! The server's disk: what is answered when, and what survives.

use moorline_core::protocol::{ClientFrame, ErrorCode, ProducerRequest, Qos, ResetReason, ServerFrame};
use moorline_core::{Event, PublishOutcome};
use moorline_sim::script::{Engine, Keeps, Play, Reading, Stage};

use crate::frames::{hellos, plain, published, publishes, subscribe, subscribed, welcomed};

/// 3.
#[test]
fn what_is_trimmed_is_covered_by_a_checkpoint() {
    let keeps = Keeps { count: Some(3), ..Keeps::default() };
    Stage::new().keeps(keeps).fails_with(&["trim-forgets-ids"]).play(|play| {
        let alice = play.client("alice", &[]);
        let old = play.publish(alice, "room:0", Qos::AtLeastOnce);
        play.until("it is stored", |play| play.log("room:0") == [old.clone()]);
        play.cut(alice);
        // While its answer is lost, the message is trimmed, a checkpoint is taken, and the server starts anew from it.
        play.fill("room:0", 10);
        play.checkpoint();
        play.kill_server(500);
        play.settle();
        assert!(play.stored(&old).is_some_and(|stored| stored.duplicate), "{:?}", play.outcome(&old));
    });
}

/// 4.
#[test]
fn duplicates_and_reads_wait_for_the_sync() {
    Stage::new().fails_with(&["answer-before-sync", "duplicate-before-sync", "read-before-sync"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.client("bob", &[("room:0", Reading::Owned)]);
        let (carol, _) = welcomed(play, "carol");
        play.settle();
        let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
        let again = [1, 2].map(|req| ClientFrame::Publish(plain(req, "x")));
        play.say(carol, again.into_iter().chain([ClientFrame::Subscribe(subscribe(3, "room:0"))]));
        play.until("all of it is being written", |play| play.is_writing() && play.arrived(carol.who()).len() == 4);
        play.pass(0);
        play.kill_server(1_000);
        let early = [play.said(alice), play.said(carol.who())].concat();
        assert!(published(&early).is_empty() && subscribed(&early).is_empty(), "{early:?}");
        assert!(play.got(bob, "room:0").is_empty());
        play.settle();
        assert_eq!(play.got(bob, "room:0"), [id.as_str()]);
        assert!(play.stored(&id).is_some_and(|stored| !stored.duplicate));
    });
}

/// 8, for each reason that a channel has to begin anew.
#[test]
fn an_epoch_changes_when_offsets_cannot_be_trusted() {
    let stage = Stage::new().engine(Engine::Process);
    stage.fails_with(&["power-cut-keeps-epoch"]).play(|play| {
        let alice = play.client("alice", &[("room:0", Reading::Plain)]);
        play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        let before = play.head("room:0").epoch;
        play.kill_server(100);
        play.settle();
        assert_eq!(play.head("room:0").epoch, before, "a kill loses nothing");
        for _ in 0..10 {
            play.publish(alice, "room:0", Qos::ExactlyOnce);
            play.settle();
        }
        play.cut_power(100, 80);
        play.settle();
        play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        assert_ne!(play.head("room:0").epoch, before);
        let is_reset = |event: &Event| matches!(event, Event::Reset { reason: ResetReason::Epoch, .. });
        assert_eq!(play.events(alice).iter().filter(|event| is_reset(event)).count(), 1);
    });
}

/// 12.
#[test]
fn a_wrong_dictionary_is_noticed() {
    let stage = Stage::new().payload(300);
    stage.fails_with(&["checksum-ignored", "faults-dropped"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.client("bob", &[("room:0", Reading::Owned)]);
        play.settle();
        let rewinds = |play: &Play| {
            let is_rewind = |frame: &&ClientFrame| matches!(frame, ClientFrame::More(more) if more.rewind);
            play.sent(bob).iter().filter(is_rewind).count()
        };
        for _ in 0..20 {
            // The next compressed delivery is spoilt in one of six ways; whichever it is, it is noticed.
            play.garble_delivery(bob);
            for _ in 0..10 {
                play.publish(alice, "room:0", Qos::ExactlyOnce);
                play.settle();
            }
            play.kill(bob, 100);
            play.settle();
        }
        // One of them is a bit behind the end of the data, which changes nothing.
        assert_eq!(rewinds(play), 19, "what was spoilt is asked for again");
        assert!(play.said(bob).iter().any(|frame| matches!(frame, ServerFrame::Packed(it) if it.dictionary.is_some())));
        assert!(play.log("room:0").iter().all(|id| play.got(bob, "room:0").contains(id)));
    });
}

/// 12, for who joins: nothing rests on what it was not sent.
#[test]
fn who_joins_is_not_sent_what_rests_on_earlier_messages() {
    Stage::new().payload(300).fails_with(&["packed-too-early", "packed-against-others"]).play(|play| {
        let alice = play.client("alice", &[]);
        let reads = [("room:0", Reading::Plain)];
        let bob = play.client("bob", &reads);
        play.settle();
        for round in 0..24 {
            play.publish(alice, "room:0", Qos::ExactlyOnce);
            play.settle();
            if round % 6 == 5 {
                play.client("dave", &reads);
                play.settle();
            }
        }
        let is_packed = |frame: &&ServerFrame| matches!(frame, ServerFrame::Packed(it) if it.dictionary.is_some());
        assert!(play.said(bob).iter().filter(is_packed).count() > 10);
        assert_eq!(play.got(bob, "room:0"), play.log("room:0"));
    });
}

/// 18: what a producer did is known after a start from a checkpoint, and after one from records alone.
#[test]
fn what_was_decided_is_known_after_a_start() {
    Stage::new().fails_with(&["forget-verdict-in-record"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        for with_checkpoint in [false, true] {
            play.publish(alice, "room:0", Qos::ExactlyOnce);
            play.settle();
            let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
            play.until("it is stored", |play| play.log("room:0").contains(&id));
            play.cut(alice);
            if with_checkpoint {
                play.pass(5);
                play.checkpoint();
            }
            play.kill_server(500);
            play.settle();
            assert!(play.stored(&id).is_some_and(|stored| stored.duplicate), "{:?}", play.outcome(&id));
        }
        assert_eq!(play.log("room:0").len(), 4);
    });
}

/// 31.
#[test]
fn a_payload_that_is_no_json_is_refused_and_the_connection_stays() {
    Stage::new().fails_with(&["payload-unchecked"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        let poison = [
            play.publish_poison(alice, "room:0", Qos::ExactlyOnce),
            play.publish_poison(alice, "room:0", Qos::AtLeastOnce),
        ];
        let good = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        for id in &poison {
            let outcome = play.outcome(id);
            let Some(PublishOutcome::Failed(failure)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(failure.code, ErrorCode::RequestMalformed);
        }
        assert_eq!(play.log("room:0"), [good]);
        let seqs: Vec<_> = publishes(&play.sent(alice)).iter().filter_map(|publish| publish.seq).collect();
        assert_eq!(seqs, [1, 2], "the refusal used its sequence up");
        assert_eq!(hellos(&play.sent(alice)).len(), 1);
    });
}

/// 33.
#[test]
fn a_later_batch_holds_the_earlier_removals() {
    Stage::new().fails_with(&["removals-dropped"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        let first = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.until("its answer is on its way", |play| !published(&play.said(alice)).is_empty());
        // The batch that removes it from the store fails.
        play.store_fails(alice, 500);
        play.pass(500);
        let second = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.until("the next one is sent", |play| publishes(&play.sent(alice)).len() == 2);
        play.kill(alice, 100);
        play.settle();
        let resent: Vec<_> = publishes(&play.sent(alice)).iter().filter_map(|publish| publish.seq).collect();
        assert_eq!(resent, [1, 2, 2], "what was settled does not come back");
        assert_eq!(play.log("room:0"), [first, second]);
    });
}

/// 34: what the engine makes of a clock that jumps. That jumps reach it only when they last, `wall_clock.rs` tests.
#[test]
fn times_never_fall_within_a_channel() {
    Stage::new().fails_with(&["time-falls"]).play(|play| {
        let alice = play.client("alice", &[]);
        let bob = play.client("bob", &[("room:0", Reading::Plain)]);
        play.settle();
        for jump in [0, -3_600_000, 7_200_000, -7_200_000] {
            play.server_clock(jump);
            play.publish(alice, "room:0", Qos::ExactlyOnce);
            play.settle();
        }
        let times: Vec<_> = play.received(bob, "room:0").iter().map(|received| received.message.time).collect();
        assert!(times.len() == 4 && times.is_sorted(), "{times:?}");
    });
}

/// 52.
#[test]
fn a_full_producer_is_left_when_nothing_is_in_doubt() {
    Stage::new().more_channels(300).fails_with(&["full-producer-waits"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        let channels: Vec<_> = (0..258).map(|number| format!("room:{number}")).collect();
        let ids: Vec<_> = channels.iter().map(|channel| play.publish(alice, channel, Qos::ExactlyOnce)).collect();
        play.settle();
        for (channel, id) in channels.iter().zip(ids) {
            assert_eq!(play.log(channel), [id]);
        }
        let producers: Vec<_> = hellos(&play.sent(alice)).into_iter().map(|hello| hello.producer).collect();
        assert_eq!(producers, [Some(ProducerRequest::New), Some(ProducerRequest::New)]);
    });
}

/// 25.
#[test]
fn every_planted_bug_is_found_by_its_seed() {
    for planted in moorline_sim::PLANTED {
        let Ok(bugs) = moorline_sim::Bugs::named(planted.name) else { return };
        let found = std::panic::catch_unwind(|| moorline_sim::run(planted.seed, bugs, false).violation);
        let found = found.map(|violation| violation.map(|broken| broken.invariant));
        assert!(found.is_ok_and(|it| it.is_some_and(|it| planted.breaks.contains(&it))), "{}", planted.name);
    }
}
