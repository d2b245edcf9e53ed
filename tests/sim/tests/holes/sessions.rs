//! Connections of a device: who is displaced, what a token allows, and what a server does with what it cannot take.

use bytes::Bytes;
use moorline_core::protocol::{
    Auth, ClientFrame, CloseCode, ErrorCode, Ping, ProducerRequest, Qos, ServerFrame, Since, Subscribe,
};
use moorline_core::{ConnectionState, StateReason};
use moorline_sim::script::{Reading, Stage};

use crate::frames::{
    DEVICE, codes, delivered, errors, grant, greet, hellos, numbered, plain, published, subscribe, subscribed, welcomed,
};

/// 6.
#[test]
fn the_run_decides_who_is_displaced_and_the_generation_who_is_fenced() {
    Stage::new().fails_with(&["displace-by-arrival", "ignore-generation"]).play(|play| {
        let (first, welcome) = welcomed(play, "alice");
        let old = grant(&welcome);
        let newer = play.peer("alice");
        let mut hello = play.hello(newer, DEVICE, 1, 3);
        hello.producer = Some(ProducerRequest::Resume(old.id));
        let new = grant(&greet(play, newer, hello));
        assert_eq!(play.closed(first.who()), [Some(CloseCode::GOING_AWAY)]);
        // A hello from between arrives late.
        let late = play.peer("alice");
        let hello = play.hello(late, DEVICE, 1, 2);
        assert_eq!(play.ask(late, [ClientFrame::Hello(hello)]), []);
        assert_eq!(play.closed(late.who()), [Some(CloseCode::DISPLACED)]);
        let fenced = play.ask(newer, [numbered(&old, 1, 1, "old")]);
        assert_eq!(codes(&fenced), [ErrorCode::PublishFenced]);
        assert_eq!(published(&play.ask(newer, [numbered(&new, 2, 1, "new")])).len(), 1);
        assert_eq!(play.log("room:0"), ["new"]);
    });
}

/// 21.
#[test]
fn a_token_has_thirty_seconds_of_grace_and_a_revocation_none() {
    Stage::new().tokens(20).fails_with(&["grace-forever", "ignore-revocation"]).play(|play| {
        let (expiring, _) = welcomed(play, "alice");
        let (revoked, _) = welcomed(play, "bob");
        play.revoke(revoked.who());
        play.pass(500);
        assert_eq!(play.closed(revoked.who()), [Some(CloseCode::REVOKED)]);
        for _ in 0..10 {
            play.pass(3_500);
            play.ask(expiring, [ClientFrame::Ping(Ping { n: 1, next: None })]);
        }
        assert!(play.now() > 45_000 && play.closed(expiring.who()).is_empty());
        play.pass(6_000);
        assert_eq!(play.closed(expiring.who()), [Some(CloseCode::TOKEN_EXPIRED)]);
    });
}

/// 22, both ways.
#[test]
fn unknown_frames_do_not_end_a_connection() {
    Stage::new().rolling().fails_with(&["unknown-ends", "later-frames-end"]).play(|play| {
        let bob = play.client("bob", &[("room:0", Reading::Durable)]);
        let (peer, _) = welcomed(play, "alice");
        for _ in 0..30 {
            play.fill("room:0", 1);
        }
        play.pass(1_000);
        assert_eq!((play.got(bob, "room:0").len(), hellos(&play.sent(bob)).len()), (30, 1));
        // A frame that may be ignored, and one that may not.
        play.say_bytes(peer, Bytes::from_static(&[2, 0xfd, 1, 2, 0x7d, 1]));
        let answers = play.ask(peer, [ClientFrame::Ping(Ping { n: 7, next: None })]);
        assert_eq!(codes(&answers), [ErrorCode::RequestUnsupported]);
        assert!(answers.iter().any(|it| matches!(it, ServerFrame::Pong(pong) if pong.n == 7)), "{answers:?}");
    });
}

/// 23.
#[test]
fn nobody_has_nothing_durable_and_reads_what_was_missed() {
    Stage::new().fails_with(&["nobody-is-durable"]).play(|play| {
        play.fill("room:0", 3);
        let nobody = play.peer("");
        let hello = play.hello(nobody, DEVICE, 1, 1);
        let answers = play.ask(nobody, [ClientFrame::Hello(hello)]);
        assert_eq!(codes(&answers), [ErrorCode::FeatureDisabled], "there is no producer for nobody");
        let durable = Subscribe { durable: true, ..subscribe(1, "room:0") };
        let answers = play.ask(nobody, [ClientFrame::Subscribe(durable)]);
        assert_eq!(codes(&answers), [ErrorCode::ChannelNotDurable]);
        let missed = Subscribe { since: Since::First, ..subscribe(2, "room:0") };
        assert_eq!(delivered(&play.ask(nobody, [ClientFrame::Subscribe(missed)])), [1, 2, 3]);
    });
}

/// 28, with two processes on copies of one store.
#[test]
fn of_two_equal_runs_the_newcomer_wins() {
    Stage::new().fails_with(&["equal-run-loses"]).play(|play| {
        let (older, _) = welcomed(play, "alice");
        let (newer, _) = welcomed(play, "alice");
        assert_eq!(play.closed(older.who()), [Some(CloseCode::DISPLACED)]);
        assert!(play.closed(newer.who()).is_empty());
        let original = play.client("carol", &[]);
        play.settle();
        let copy = play.device("carol", &[]);
        play.kill(original, 60_000);
        play.copy_disk(original, copy);
        play.start(copy);
        play.online(copy);
        play.start(original);
        play.until("one has to stop", |play| play.state(copy) == Some(ConnectionState::Closed));
        play.online(original);
        play.remove(copy);
    });
}

/// 35.
#[test]
fn displacement_reaches_over_shards_and_no_abandoned_hello_replays() {
    Stage::new().shards(2).fails_with(&["displace-by-arrival"]).play(|play| {
        play.fill("room:0", 3);
        let (older, newer) = (play.peer("alice"), play.peer("alice"));
        // On two shards; the older one's hello names a channel and reaches the engine second.
        let reads = |boot, transport| {
            let since = Since::First;
            let hello = play.hello(older, DEVICE, boot, transport);
            moorline_core::protocol::Hello { subscribe: vec![Subscribe { since, ..subscribe(1, "room:0") }], ..hello }
        };
        let (first, second) = (reads(1, 1), reads(1, 2));
        play.say(newer, [ClientFrame::Hello(second)]);
        play.pass(3);
        play.say(older, [ClientFrame::Hello(first)]);
        play.pass(1_000);
        assert_eq!(play.heard(older.who()), [], "it was never welcomed");
        assert_eq!(play.closed(older.who()), [Some(CloseCode::DISPLACED)]);
        assert_eq!(delivered(&play.heard(newer.who())), [1, 2, 3]);
    });
}

/// 36.
#[test]
fn a_late_detach_removes_nothing_newer() {
    Stage::new().fails_with(&["attaching-stays", "detach-removes-newer"]).play(|play| {
        // One that leaves while it attaches.
        let hasty = play.peer("carol");
        let hello = play.hello(hasty, DEVICE, 1, 1);
        play.say(hasty, [ClientFrame::Hello(hello)]);
        play.hang_up(hasty);
        // One that is displaced, and hangs up afterwards.
        let (older, _) = welcomed(play, "alice");
        let newer = play.peer("alice");
        let hello = play.hello(newer, DEVICE, 1, 3);
        greet(play, newer, hello);
        play.hang_up(older);
        play.pass(1_000);
        let late = play.peer("alice");
        let hello = play.hello(late, DEVICE, 1, 2);
        assert_eq!(play.ask(late, [ClientFrame::Hello(hello)]), []);
        assert!(play.closed(newer.who()).is_empty(), "it is still known as the newest");
    });
}

/// 39.
#[test]
fn nothing_after_a_refused_hello_counts() {
    Stage::new().fails_with(&["after-refused-hello"]).play(|play| {
        let (newer, _) = welcomed(play, "alice");
        let older = play.peer("alice");
        let publish = ClientFrame::Publish(plain(1, "late"));
        let hello = play.hello(older, DEVICE, 1, 0);
        play.ask(older, [ClientFrame::Hello(hello), publish.clone()]);
        let forged = play.peer("alice");
        let mut hello = play.hello(forged, DEVICE, 1, 5);
        hello.token = Some("forged".into());
        let answers = play.ask(forged, [ClientFrame::Hello(hello), publish]);
        assert_eq!(codes(&answers), [ErrorCode::AuthInvalid]);
        play.fill("room:0", 1);
        assert_eq!(play.log("room:0").len(), 1, "{:?}", play.log("room:0"));
        assert!(play.closed(newer.who()).is_empty());
    });
}

/// 40.
#[test]
fn ids_of_nobody_end_with_the_connection() {
    Stage::new().fails_with(&["nobodys-ids-last"]).play(|play| {
        for _ in 0..2 {
            let nobody = play.peer("");
            let mut hello = play.hello(nobody, DEVICE, 1, 1);
            hello.producer = None;
            greet(play, nobody, hello);
            let first = play.ask(nobody, [ClientFrame::Publish(plain(1, "x"))]);
            let again = play.ask(nobody, [ClientFrame::Publish(plain(2, "x"))]);
            assert_eq!((published(&first)[0].duplicate, published(&again)[0].duplicate), (false, true));
            play.hang_up(nobody);
            play.pass(100);
        }
        assert_eq!(play.log("room:0"), ["x", "x"]);
    });
}

/// 46.
#[test]
fn the_boot_counter_is_durable_before_the_first_hello() {
    Stage::new().fails_with(&["boot-not-counted"]).play(|play| {
        let alice = play.device("alice", &[]);
        play.store_fails(alice, 5_000);
        play.start(alice);
        play.pass(4_000);
        assert!(hellos(&play.sent(alice)).is_empty(), "a process that is not counted says nothing");
        play.settle();
        for _ in 0..2 {
            play.kill(alice, 100);
            play.settle();
        }
        let boots: Vec<_> = hellos(&play.sent(alice)).iter().map(|hello| hello.run.unwrap().boot).collect();
        assert!(boots.len() == 3 && boots.windows(2).all(|pair| pair[0] < pair[1]), "{boots:?}");
    });
}

/// 55.
#[test]
fn a_store_is_one_users() {
    Stage::new().fails_with(&["store-of-anybody"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        play.disconnect(alice, 60_000);
        let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.pass(100);
        play.becomes(alice, "mallory");
        play.kill(alice, 100);
        play.until("it stops", |play| play.state(alice) == Some(ConnectionState::Closed));
        let is_user = |event: &moorline_core::Event| {
            matches!(event, moorline_core::Event::StateChanged { reason: StateReason::Refused(it), .. }
                if it.code == ErrorCode::ClientUser)
        };
        assert!(play.events(alice).iter().any(is_user));
        assert_eq!(play.log("room:0").len(), 0, "nothing goes out under another name");
        play.becomes(alice, "alice");
        play.kill(alice, 100);
        play.settle();
        assert_eq!(play.log("room:0"), [id]);
    });
}

/// 58.
#[test]
fn a_grant_lost_meanwhile_answers_the_subscribe() {
    Stage::new().tokens(600).fails_with(&["grant-lost-unanswered"]).play(|play| {
        let (peer, _) = welcomed(play, "alice");
        play.grant(peer.who(), 0, false);
        let auth = Auth { req: 9, token: play.token(peer), channel: None };
        // Both arrive before the engine has opened anything.
        let answers = play.ask(peer, [ClientFrame::Subscribe(subscribe(8, "room:0")), ClientFrame::Auth(auth)]);
        let refused = &errors(&answers)[0];
        assert_eq!((refused.req, &refused.code), (Some(8), &ErrorCode::ChannelDenied), "{answers:?}");
        assert!(subscribed(&answers).is_empty());
        assert!(!answers.iter().any(|frame| matches!(frame, ServerFrame::Unsubscribed(_))));
    });
}
