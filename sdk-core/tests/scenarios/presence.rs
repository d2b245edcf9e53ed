//! Members of a channel and statuses of users, as the app is told of them.

use moorline_core::protocol::{
    ChannelRef, ClientFrame, ErrorCode, ErrorFrame, Member, Members, MembersView, Offset, PresenceChange,
    PresenceChangeKind, PresenceEvents, PresenceMode, PresenceOp, PresenceRequest, PresenceVersion, ProducerState,
    ServerFrame, Start, StatusRequest, Statuses, Subscribed, UserName, UserStatus, Utf8Bytes,
};
use moorline_core::{Event, SubscribeOptions, SubscriptionId};

use crate::host::{EPOCH, Host, channel, epoch, number, welcome};

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn member(name: &str) -> Member {
    Member { user: user(name), state: Some("1".into()), since: 5 }
}

fn snapshot(run: u64, n: u64, names: &[&str]) -> MembersView {
    let members = names.iter().map(|name| member(name)).collect();
    MembersView { version: PresenceVersion { run, n }, count: names.len() as u64, members, cursor: None }
}

fn join(name: &str) -> PresenceChange {
    PresenceChange { event: PresenceChangeKind::Join, user: user(name), state: Some("1".into()) }
}

fn leave(name: &str) -> PresenceChange {
    PresenceChange { event: PresenceChangeKind::Leave, user: user(name), state: None }
}

fn events(host: &mut Host, n: u64, count: u64, events: Vec<PresenceChange>) {
    let (channel, version) = (ChannelRef::Number(number("room")), PresenceVersion { run: 1, n });
    host.send(ServerFrame::Presence(PresenceEvents { channel, version, count, events }));
}

/// The server answers the newest `subscribe` with these members.
fn subscribed(host: &mut Host, view: MembersView) {
    let subscribe = host.asked("room");
    host.send(ServerFrame::Subscribed(Subscribed {
        req: subscribe.req,
        channel: channel("room"),
        number: number("room"),
        epoch: epoch(EPOCH),
        head: Offset(0),
        from: Offset(0),
        start: Start::Live,
        reason: None,
        first: None,
        expires: None,
        members: Some(view),
    }));
}

/// A client that is online and a member of `room`, with alice and bob.
fn joined() -> (Host, SubscriptionId) {
    let mut host = Host::online();
    let id = host.subscribe("room", SubscribeOptions::new().presence(PresenceMode::Join).state("\"mine\""));
    subscribed(&mut host, snapshot(1, 4, &["alice", "bob"]));
    host.take_frames();
    host.take_events();
    (host, id)
}

fn names(host: &Host) -> Vec<String> {
    let members = host.client.present(&channel("room")).unwrap().members.unwrap();
    members.into_iter().map(|member| member.user.to_string()).collect()
}

/// Returns what the app was told: whether by a snapshot, how many there are, what is different.
fn told(host: &mut Host) -> Vec<(bool, u64, Vec<PresenceChange>)> {
    let told = host.take_events().into_iter().filter_map(|event| match event {
        Event::PresenceChanged { is_snapshot, count, changes, .. } => Some((is_snapshot, count, changes.to_vec())),
        _ => None,
    });
    told.collect()
}

fn requests(host: &mut Host) -> Vec<PresenceRequest> {
    let requests = host.take_frames().into_iter().filter_map(|frame| match frame {
        ClientFrame::Presence(request) => Some(request),
        _ => None,
    });
    requests.collect()
}

fn again(host: &mut Host) {
    host.cut(None);
    host.reopen();
    host.send(ServerFrame::Welcome(welcome(ProducerState::New)));
}

#[test]
fn the_view_is_the_snapshot_and_every_change_after_it() {
    let (mut host, _) = joined();
    assert_eq!(names(&host), ["alice", "bob"]);
    events(&mut host, 5, 3, vec![join("carol")]);
    events(&mut host, 6, 2, vec![leave("alice")]);
    assert_eq!(names(&host), ["bob", "carol"]);
    assert_eq!(told(&mut host), [(false, 3, vec![join("carol")]), (false, 2, vec![leave("alice")])]);
}

#[test]
fn a_hole_is_filled_by_one_snapshot_of_which_the_app_hears_the_difference() {
    let (mut host, _) = joined();
    events(&mut host, 6, 3, vec![join("dave")]);
    events(&mut host, 7, 4, vec![join("erin")]);
    let asked = requests(&mut host);
    assert_eq!(asked.iter().map(|request| request.op).collect::<Vec<_>>(), [PresenceOp::Get]);
    assert_eq!(names(&host), ["alice", "bob"], "nothing is guessed");
    let view = snapshot(1, 7, &["bob", "carol", "dave", "erin"]);
    host.send(ServerFrame::Members(Members { req: asked[0].req, channel: channel("room"), view }));
    assert_eq!(names(&host), ["bob", "carol", "dave", "erin"]);
    let changes = vec![leave("alice"), join("carol"), join("dave"), join("erin")];
    assert_eq!(told(&mut host), [(true, 4, changes)]);
    events(&mut host, 8, 3, vec![leave("erin")]);
    assert_eq!(names(&host), ["bob", "carol", "dave"]);
}

#[test]
fn a_snapshot_that_the_server_cannot_give_now_is_asked_for_again() {
    let (mut host, _) = joined();
    events(&mut host, 9, 3, vec![join("dave")]);
    let req = requests(&mut host)[0].req;
    let error = ErrorFrame::new(ErrorCode::LimitRate, "later");
    host.send(ServerFrame::Error(ErrorFrame { req: Some(req), after: Some(200), retry: true, ..error }));
    assert_eq!(requests(&mut host).len(), 0);
    host.pass(200);
    assert_eq!(requests(&mut host).len(), 1);
}

#[test]
fn after_a_reconnect_a_member_enters_again_with_its_last_state() {
    let (mut host, _) = joined();
    let id = host.client.update(&channel("room"), Some("\"new\"".into()), host.now());
    host.drain();
    let update = requests(&mut host).remove(0);
    assert_eq!((update.op, update.state.as_deref()), (PresenceOp::Update, Some(&b"\"new\""[..])));
    // Unanswered: the subscription says it, and its answer answers.
    again(&mut host);
    let asked = host.asked("room");
    assert_eq!((asked.presence, asked.state.as_deref()), (PresenceMode::Join, Some(&b"\"new\""[..])));
    host.take_events();
    subscribed(&mut host, snapshot(2, 1, &["alice", "carol"]));
    let events = host.take_events();
    let done = |event: &Event| matches!(event, Event::PresenceFinished { id: of, result: Ok(_) } if *of == id);
    assert!(events.iter().any(done), "{events:?}");
    assert_eq!(names(&host), ["alice", "carol"]);
    // Who has left stays away.
    host.client.leave(&channel("room"), host.now());
    host.drain();
    again(&mut host);
    assert_eq!((host.asked("room").presence, host.asked("room").state), (PresenceMode::Watch, None));
}

#[test]
fn what_the_server_cannot_take_now_is_said_again_as_it_is_then() {
    let (mut host, _) = joined();
    host.client.update(&channel("room"), Some("1".into()), host.now());
    host.drain();
    let req = requests(&mut host)[0].req;
    let error = ErrorFrame::new(ErrorCode::LimitRate, "too fast");
    host.send(ServerFrame::Error(ErrorFrame { req: Some(req), after: Some(500), retry: true, ..error }));
    host.client.update(&channel("room"), Some("2".into()), host.now());
    host.drain();
    requests(&mut host);
    host.pass(500);
    let said = requests(&mut host).remove(0);
    assert_eq!((said.op, said.state.as_deref()), (PresenceOp::Enter, Some(&b"2"[..])));
}

#[test]
fn what_waits_to_be_said_again_is_said_by_the_next_subscribe_where_the_channel_is_refused_meanwhile() {
    let mut host = Host::online();
    host.subscribe("room", SubscribeOptions::new().presence(PresenceMode::Watch));
    host.client.enter(&channel("room"), None, host.now());
    host.drain();
    let later = |req, after| {
        let error = ErrorFrame::new(ErrorCode::AppUnavailable, "the app does not answer");
        ServerFrame::Error(ErrorFrame { req: Some(req), after: Some(after), retry: true, ..error })
    };
    let subscribe = host.asked("room").req;
    let entry = requests(&mut host)[0].req;
    host.send(later(entry, 500));
    host.send(later(subscribe, 1_000));
    host.pass(500);
    assert!(requests(&mut host).is_empty(), "there is nowhere to say it");
    host.take_events();
    host.pass(600);
    assert_eq!(host.asked("room").presence, PresenceMode::Join);
    subscribed(&mut host, snapshot(1, 4, &["alice", "bob"]));
    let done = |event: &Event| matches!(event, Event::PresenceFinished { result: Ok(_), .. });
    assert!(host.take_events().iter().any(done));
}

#[test]
fn above_the_limit_the_app_gets_the_number_and_pages() {
    let (mut host, _) = joined();
    events(&mut host, 5, 300, Vec::new());
    let present = host.client.present(&channel("room")).unwrap();
    assert_eq!((present.count, present.members), (300, None));
    // Holes do not matter then.
    events(&mut host, 90, 301, Vec::new());
    assert_eq!(requests(&mut host).len(), 0);
    host.client.members(&channel("room"), Some(Utf8Bytes::from("alice")), host.now());
    host.drain();
    assert_eq!(requests(&mut host)[0].cursor.as_deref(), Some("alice"));
    // A list again means that there are few enough.
    events(&mut host, 91, 150, vec![leave("zoe")]);
    assert_eq!(requests(&mut host)[0].op, PresenceOp::Get);
}

#[test]
fn who_closes_says_goodbye() {
    let (mut host, _) = joined();
    host.client.close(false, host.now());
    host.drain();
    assert_eq!(requests(&mut host)[0].op, PresenceOp::Leave);
}

#[test]
fn only_who_reads_with_presence_can_be_a_member() {
    let mut host = Host::online();
    host.subscribe("room", SubscribeOptions::new());
    host.take_events();
    host.client.enter(&channel("room"), None, host.now());
    host.drain();
    let refused = |event: &Event| match event {
        Event::PresenceFinished { result: Err(failure), .. } => failure.code == ErrorCode::ChannelNotSubscribed,
        _ => false,
    };
    assert!(host.take_events().iter().any(refused));
    let state = SubscribeOptions::new().presence(PresenceMode::Watch).state("1");
    assert!(host.client.subscribe(&channel("other"), state, host.now()).is_err());
}

fn status(name: &str, online: bool) -> UserStatus {
    UserStatus { user: user(name), online, since: online.then_some(7) }
}

fn lists(host: &mut Host) -> Vec<StatusRequest> {
    let lists = host.take_frames().into_iter().filter_map(|frame| match frame {
        ClientFrame::Status(request) => Some(request),
        _ => None,
    });
    lists.collect()
}

fn news(host: &mut Host) -> Vec<Vec<UserStatus>> {
    let news = host.take_events().into_iter().filter_map(|event| match event {
        Event::StatusChanged { users } => Some(users),
        _ => None,
    });
    news.collect()
}

#[test]
fn users_are_followed_over_reconnects_and_only_news_is_told() {
    let mut host = Host::online();
    host.take_frames();
    host.client.watch_status(vec![user("alice"), user("bob")], host.now()).unwrap();
    host.drain();
    let req = lists(&mut host)[0].req;
    let both = vec![status("alice", true), status("bob", false)];
    host.send(ServerFrame::Statuses(Statuses { req: Some(req), users: both.clone() }));
    assert_eq!(news(&mut host), std::slice::from_ref(&both));
    host.send(ServerFrame::Statuses(Statuses { req: None, users: vec![status("bob", true)] }));
    assert_eq!(news(&mut host), [vec![status("bob", true)]]);
    again(&mut host);
    let list = lists(&mut host).remove(0);
    assert!(list.watch && list.users.len() == 2);
    host.take_events();
    host.send(ServerFrame::Statuses(Statuses { req: Some(list.req), users: both }));
    assert_eq!(news(&mut host), [vec![status("bob", false)]]);
    // Nobody is asked about any more.
    host.client.watch_status(Vec::new(), host.now()).unwrap();
    host.drain();
    assert_eq!(lists(&mut host)[0].users, []);
    again(&mut host);
    assert_eq!(lists(&mut host).len(), 0);
}

fn denied(host: &mut Host, req: Option<u64>, name: &str) {
    let channel = Some(channel(&format!("@{name}")));
    host.send(ServerFrame::Error(ErrorFrame { req, channel, ..ErrorFrame::new(ErrorCode::ChannelDenied, "no grant") }));
}

fn is_ended(host: &mut Host) -> bool {
    host.take_events().iter().any(|event| matches!(event, Event::StatusEnded { .. }))
}

#[test]
fn who_may_not_follow_a_user_any_more_asks_whether_it_may_follow_the_others() {
    let mut host = Host::online();
    host.take_frames();
    host.client.watch_status(vec![user("alice"), user("bob")], host.now()).unwrap();
    host.drain();
    let req = lists(&mut host)[0].req;
    host.send(ServerFrame::Statuses(Statuses { req: Some(req), users: vec![status("alice", true)] }));
    // Nobody follows carol.
    denied(&mut host, None, "carol");
    assert_eq!(lists(&mut host).len(), 0);
    denied(&mut host, None, "alice");
    denied(&mut host, None, "bob");
    let list = lists(&mut host);
    assert_eq!((list.len(), list[0].users.len()), (1, 2));
    // The answer may be older than what was said of bob: once more, and not again.
    host.send(ServerFrame::Statuses(Statuses { req: Some(list[0].req), users: vec![status("alice", true)] }));
    let list = lists(&mut host);
    assert_eq!(list.len(), 1);
    assert!(!is_ended(&mut host));
    host.send(ServerFrame::Statuses(Statuses { req: Some(list[0].req), users: vec![status("alice", false)] }));
    assert_eq!(lists(&mut host).len(), 0);
    assert_eq!(news(&mut host), [vec![status("alice", false)]]);
    // Now the server refuses it.
    denied(&mut host, None, "bob");
    let req = lists(&mut host)[0].req;
    denied(&mut host, Some(req), "bob");
    assert!(is_ended(&mut host));
    denied(&mut host, None, "alice");
    assert_eq!(lists(&mut host).len(), 0);
}
