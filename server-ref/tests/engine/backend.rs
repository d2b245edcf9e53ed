//! What backends ask: which channels there are, and that a user goes.

use moorline_protocol::{AppName, ChannelName, CloseCode, Since, UserName};
use moorline_server::engine::{ChannelsPage, ChannelsQuery, Command, Completion, Event};

use crate::rig::{HERE, Rig, THERE, each, message, open, owner};

fn list(rig: &mut Rig, prefix: &str, after: Option<&str>, limit: usize) -> ChannelsPage {
    let after = after.map(|name| ChannelName::new(name).unwrap());
    let query = ChannelsQuery { app: AppName::default_app(), prefix: prefix.into(), after, limit };
    match rig.ask(Command::Channels(query)).unwrap() {
        Completion::Channels(page) => page,
        other => panic!("{other:?}"),
    }
}

fn names(page: &ChannelsPage) -> Vec<&str> {
    page.channels.iter().map(|channel| channel.name.as_str()).collect()
}

#[test]
fn channels_are_listed_by_prefix_in_order_whoever_wrote_them() {
    each(|rig| {
        for name in ["b:2", "a", "b:10", "b:1", "c", "$hooks"] {
            rig.store(message(name, "1"));
        }
        rig.store(message("b:1", "2"));
        rig.ask(Command::Open(open("d", Since::Now))).unwrap();
        assert_eq!(names(&list(rig, "", None, 10)), ["a", "b:1", "b:10", "b:2", "c", "d"]);
        let page = list(rig, "b:", None, 2);
        assert_eq!((names(&page), page.more), (vec!["b:1", "b:10"], true));
        assert_eq!((page.channels[0].head.0, page.channels[0].first.0), (2, 1));
        let page = list(rig, "b:", Some("b:10"), 2);
        assert_eq!((names(&page), page.more), (vec!["b:2"], false));
        assert_eq!(names(&list(rig, "b:", Some("a"), 9)), ["b:1", "b:10", "b:2"]);
        assert_eq!(names(&list(rig, "$", None, 9)), [] as [&str; 0]);
        assert_eq!(names(&list(rig, "x*", None, 9)), [] as [&str; 0]);
    });
}

#[test]
fn who_is_sent_away_is_told_on_every_shard_and_is_online_no_more() {
    each(|rig| {
        let (here, there) = (rig.hello(&owner("alice")), rig.hello(&owner("alice")));
        let other = rig.hello(&owner("bob"));
        let mut there = there;
        there.device = None;
        rig.attach(here.clone());
        rig.attach_from(THERE, there.clone());
        rig.attach(other);
        let gone = Command::Disconnect(AppName::default_app(), UserName::new("alice").unwrap());
        assert_eq!(rig.ask(gone.clone()), Ok(Completion::Disconnected(2)));
        let told = |event| match event {
            Event::Displaced { session, code: CloseCode::TOKEN_EXPIRED, conflict: None } => session,
            other => panic!("{other:?}"),
        };
        assert_eq!(rig.events(HERE).into_iter().map(told).collect::<Vec<_>>(), [here.session]);
        assert_eq!(rig.events(THERE).into_iter().map(told).collect::<Vec<_>>(), [there.session]);
        assert_eq!(rig.ask(gone), Ok(Completion::Disconnected(0)));
    });
}

#[test]
fn what_is_published_is_counted_per_app() {
    each(|rig| {
        let Ok(Completion::Stats(before)) = rig.ask(Command::Stats) else { panic!("no numbers") };
        assert!(before.apps.iter().all(|(_, app)| app.published == 0));
        rig.store(message("a", "1"));
        rig.store(message("b", "1"));
        rig.publish(message("a", "1"));
        rig.publish(message("a", "1").text("another"));
        let Ok(Completion::Stats(stats)) = rig.ask(Command::Stats) else { panic!("no numbers") };
        let (_, app) = stats.apps.iter().find(|(app, _)| *app == AppName::default_app()).unwrap();
        assert_eq!((app.published, app.duplicates), (2, 1));
    });
}
