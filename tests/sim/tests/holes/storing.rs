//! The server's disk: what is answered when, and what survives.

use moorline_core::Event;
use moorline_core::protocol::{ClientFrame, Qos, ResetReason};
use moorline_sim::script::{Engine, Keeps, Reading, Stage};

use crate::frames::{plain, published, subscribe, subscribed, welcomed};

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
