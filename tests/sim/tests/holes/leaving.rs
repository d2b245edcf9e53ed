//! Clients that are sent away, cut off, or not answered.

use moorline_core::protocol::{CloseCode, Goaway, GoawayReason, Qos, ServerFrame};
use moorline_core::{ConnectionState, Event, StateReason};
use moorline_sim::script::{Play, Reading, Stage, Who};

use crate::frames::hellos;

/// Lets time pass until a client says hello once more; returns how many ms that took.
fn comes_back(play: &mut Play, who: Who) -> u64 {
    let (before, since) = (hellos(&play.sent(who)).len(), play.now());
    play.until("it is back", |play| hellos(&play.sent(who)).len() > before);
    play.now() - since
}

/// 16.
#[test]
fn a_drain_names_a_moment_and_clients_keep_to_it() {
    Stage::new().fails_with(&["goaway-ignored"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.pass(40_000);
        let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.pass(20);
        play.drain(500);
        let since = play.now();
        play.until("it is sent away", |play| play.heard(alice).iter().any(|it| matches!(it, ServerFrame::Goaway(_))));
        let goaway = play.heard(alice).into_iter().find_map(|frame| match frame {
            ServerFrame::Goaway(goaway) => Some(goaway),
            _ => None,
        });
        let goaway = goaway.unwrap();
        assert_eq!((&goaway.reason, goaway.after, goaway.window), (&GoawayReason::Restart, 1_000, 3_000));
        comes_back(play, alice);
        assert!((1_000..=4_300).contains(&(play.now() - since)), "{}", play.now() - since);
        assert!(play.stored(&id).is_some_and(|stored| !stored.duplicate), "what was under way was answered first");
    });
}

/// 16: a server that vanishes without a word gets its clients back spread out.
#[test]
fn a_crowd_that_is_cut_together_comes_back_spread_out() {
    Stage::new().fails_with(&["crowd-together"]).play(|play| {
        let crowd: Vec<_> = (0..12).map(|user| play.client(&format!("user{user}"), &[])).collect();
        play.pass(40_000);
        play.kill_server(1);
        let since = play.now();
        let mut moments = Vec::new();
        for again in 1..=crowd.len() {
            let back = |play: &Play| crowd.iter().filter(|who| hellos(&play.sent(**who)).len() == 2).count();
            play.until("one more tries again", |play| back(play) >= again);
            moments.push(play.now() - since);
        }
        let (first, last) = (moments[0], moments[crowd.len() - 1]);
        assert!(last - first > 300 && last < 1_200, "within the spread of 1 s: {moments:?}");
    });
}

/// 24: the heartbeat, and that it costs nobody the connection.
#[test]
fn an_idle_client_stays_on_one_connection() {
    Stage::new().fails_with(&["pings-unanswered"]).play(|play| {
        let alice = play.client("alice", &[("room:0", Reading::Plain)]);
        play.pass(600_000);
        assert_eq!(hellos(&play.sent(alice)).len(), 1);
        let welcome = play.heard(alice).into_iter().find_map(|frame| match frame {
            ServerFrame::Welcome(welcome) => Some(welcome),
            _ => None,
        });
        let welcome = welcome.unwrap();
        assert_eq!((welcome.ping, welcome.limits.message, welcome.limits.window), (25_000, 65_536, 32));
        let pings = play.heard(alice).iter().filter(|frame| matches!(frame, ServerFrame::Ping(_))).count();
        assert!((20..=25).contains(&pings), "{pings}");
    });
}

/// 56.
#[test]
fn a_cut_after_move_is_a_cut_and_after_is_bounded() {
    Stage::new().fails_with(&["move-is-restart", "away-unbounded"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.pass(40_000);
        let goaway = |reason| ServerFrame::Goaway(Goaway { after: 200_000, window: 1_000, reason });
        play.server_says(alice, &goaway(GoawayReason::Move));
        play.pass(100);
        play.cut(alice);
        let took = comes_back(play, alice);
        assert!(took < 2_000, "others serve meanwhile: {took} ms");
        play.pass(40_000);
        // No number keeps a client away for longer than five minutes, and the window.
        play.server_says(
            alice,
            &ServerFrame::Goaway(Goaway { after: u32::MAX, window: 1_000, reason: GoawayReason::Move }),
        );
        let took = comes_back(play, alice);
        assert!((299_000..=301_500).contains(&took), "{took} ms");
    });
}

/// 59.
#[test]
fn a_request_is_waited_for_60_s_at_most() {
    Stage::new().fails_with(&["unanswered-for-ever"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        // The server lives and answers pings; only its engine does nothing.
        play.hang_engine(90_000);
        let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.pass(59_000);
        assert_eq!(play.state(alice), Some(ConnectionState::Online));
        play.pass(2_000);
        let is_unanswered =
            |event: &Event| matches!(event, Event::StateChanged { reason: StateReason::Unanswered, .. });
        assert!(play.events(alice).iter().any(is_unanswered));
        play.settle();
        assert_eq!(play.log("room:0"), [id]);
    });
}

/// 60.
#[test]
fn too_large_is_not_final_once_welcome_has_come() {
    Stage::new().fails_with(&["too-large-is-final"]).play(|play| {
        let alice = play.client("alice", &[]);
        play.settle();
        play.publish(alice, "room:0", Qos::AtMostOnce);
        play.pass(50);
        play.close_with(alice, CloseCode::TOO_LARGE);
        comes_back(play, alice);
        let id = play.publish(alice, "room:0", Qos::ExactlyOnce);
        play.settle();
        assert_eq!(play.log("room:0"), [id]);
    });
}
