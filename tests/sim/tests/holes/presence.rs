//! Members and the status of users.

use moorline_core::Event;
use moorline_core::protocol::{PresenceChangeKind, PresenceMode};
use moorline_sim::script::{Play, Reading, Stage, Who};

/// What a watcher is told of others, without what it is shown at the beginning.
fn told(play: &Play, who: Who) -> Vec<(PresenceChangeKind, String)> {
    let changes = |event| match event {
        Event::PresenceChanged { is_snapshot: false, changes, .. } => changes.to_vec(),
        _ => Vec::new(),
    };
    let changes = play.events(who).into_iter().flat_map(changes);
    changes.map(|change| (change.event, change.user.as_str().to_owned())).collect()
}

/// Bob watches the room, and alice is there.
fn room(play: &mut Play) -> (Who, Who) {
    let reads = [("room:0", Reading::Plain)];
    let bob = play.device("bob", &reads);
    play.presence(bob, "room:0", PresenceMode::Watch);
    play.start(bob);
    play.settle();
    let alice = play.device("alice", &reads);
    play.presence(alice, "room:0", PresenceMode::Join);
    play.start(alice);
    play.settle();
    assert_eq!(told(play, bob), [(PresenceChangeKind::Join, "alice".to_owned())]);
    (alice, bob)
}

/// 15: silence.
#[test]
fn a_silent_member_is_gone_after_35_s_and_may_be_back() {
    Stage::new().fails_with(&["back-is-join"]).play(|play| {
        let (alice, bob) = room(play);
        play.freeze(alice, 45_000);
        play.pass(25_000);
        assert_eq!(told(play, bob).len(), 1, "it may still be there");
        play.pass(11_000);
        assert_eq!(told(play, bob)[1..], [(PresenceChangeKind::Timeout, "alice".to_owned())]);
        play.settle();
        assert_eq!(told(play, bob)[2..], [(PresenceChangeKind::Back, "alice".to_owned())]);
    });
}

/// 15: a close without a word.
#[test]
fn who_closes_without_a_word_is_gone_after_15_s() {
    Stage::new().fails_with(&["presence-grace-ignored", "ghost-stays"]).play(|play| {
        let (alice, bob) = room(play);
        play.kill(alice, 60_000);
        play.pass(14_000);
        assert_eq!(told(play, bob).len(), 1);
        play.pass(2_000);
        assert_eq!(told(play, bob)[1..], [(PresenceChangeKind::Leave, "alice".to_owned())]);
        play.settle();
        play.cut(alice);
        play.settle();
        assert_eq!(told(play, bob)[2..], [(PresenceChangeKind::Join, "alice".to_owned())], "a reconnect is no event");
    });
}

/// 17: the frames that the API needs, here those of status.
#[test]
fn users_are_followed_over_reconnects_and_only_news_is_told() {
    Stage::new().fails_with(&["status-untold", "status-forgotten"]).play(|play| {
        let bob = play.client("bob", &[]);
        play.follow(bob, &["alice", "nobody"]);
        play.settle();
        let alice = play.client("alice", &[]);
        play.settle();
        play.cut(bob);
        play.pass(20);
        play.kill(alice, 60_000);
        play.pass(30_000);
        let news = |event| match event {
            Event::StatusChanged { users } => users,
            _ => Vec::new(),
        };
        let users = play.events(bob).into_iter().flat_map(news);
        let told: Vec<_> = users.map(|status| (status.user.as_str().to_owned(), status.online)).collect();
        let is = |user: &str, online| (user.to_owned(), online);
        assert_eq!(told, [is("alice", false), is("nobody", false), is("alice", true), is("alice", false)]);
    });
}
