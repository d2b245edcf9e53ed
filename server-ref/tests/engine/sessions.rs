//! Connections: which one stands, how many, and whose token is revoked.

use std::sync::Arc;

use moorline_protocol::{AppName, CloseCode, DeviceId, ProducerRequest, ProducerState, Run, UserName};
use moorline_server::engine::{
    Attach, Attached, Command, Completion, Conflict, Event, Gone, Reply, Revocation, SessionId,
};

use crate::rig::{DAY, HERE, Rig, THERE, each, message, owner};

const MINUTE: u64 = 60_000;

fn run(boot: u64, transport: u64) -> Run {
    Run { boot, transport }
}

/// A connection of alice's device.
fn hello(rig: &mut Rig, run: Run) -> Attach {
    Attach { run, ..rig.hello(&owner("alice")) }
}

fn accepted(attached: &Attached) -> bool {
    matches!(attached, Attached::Accepted { .. })
}

fn displaced(rig: &mut Rig) -> Vec<(SessionId, CloseCode)> {
    let event = |event| match event {
        Event::Displaced { session, code, conflict: None } => (session, code),
        other => panic!("{other:?}"),
    };
    rig.events(HERE).into_iter().map(event).collect()
}

#[test]
fn a_newer_transport_of_the_same_process_replaces_the_older() {
    each(|rig| {
        let old = hello(rig, run(3, 1));
        assert!(accepted(&rig.attach(old.clone())));
        let new = hello(rig, run(3, 2));
        assert!(accepted(&rig.attach(new.clone())));
        assert_eq!(displaced(rig), [(old.session, CloseCode::GOING_AWAY)]);
        // The end of the old connection, when it is noticed, ends nothing newer.
        rig.tell(HERE, Command::Detach(old.session, Gone::Left));
        let newest = hello(rig, run(3, 3));
        assert!(accepted(&rig.attach(newest)));
        assert_eq!(displaced(rig), [(new.session, CloseCode::GOING_AWAY)]);
    });
}

#[test]
fn another_process_of_the_device_displaces_for_good() {
    each(|rig| {
        let old = hello(rig, run(3, 9));
        rig.attach(old.clone());
        let new = hello(rig, run(4, 1));
        assert!(accepted(&rig.attach(new.clone())));
        assert_eq!(displaced(rig), [(old.session, CloseCode::DISPLACED)]);
        // A copied store: the newcomer is the one whose user is looking.
        let equal = hello(rig, run(4, 1));
        assert!(accepted(&rig.attach(equal)));
        assert_eq!(displaced(rig), [(new.session, CloseCode::DISPLACED)]);
    });
}

#[test]
fn a_late_hello_of_an_older_connection_changes_nothing() {
    each(|rig| {
        let device = rig.device("alice");
        let producer = Some(ProducerRequest::Resume(device.producer.id));
        let new = Attach { producer, ..hello(rig, run(5, 5)) };
        let Attached::Accepted { producer: Some(grant) } = rig.attach(new) else { panic!() };
        assert_eq!(displaced(rig), [(device.session, CloseCode::DISPLACED)]);
        for late in [run(5, 4), run(4, 9), run(0, 0)] {
            let late = Attach { producer, ..hello(rig, late) };
            assert_eq!(rig.attach(late.clone()), Attached::Superseded { conflict: None });
            rig.skip(MINUTE);
            rig.tell(HERE, Command::Detach(late.session, Gone::Left));
        }
        assert_eq!(displaced(rig), []);
        // The producer is still the newer connection's.
        let mut current = device;
        current.producer = grant;
        assert_eq!(rig.store(message("room", "m").seq(&current, 1)), 1);
    });
}

#[test]
fn the_third_takeover_within_a_minute_is_a_conflict() {
    let lost = |rig: &mut Rig| match rig.events(HERE).as_slice() {
        [Event::Displaced { conflict, .. }] => *conflict,
        other => panic!("{other:?}"),
    };
    let attach = |rig: &mut Rig, boot, transport| {
        let hello = hello(rig, run(boot, transport));
        rig.attach(hello)
    };
    each(|rig| {
        // Two copies of a store; each of them is started again when it has lost.
        attach(rig, 7, 1);
        for (boot, expected) in [(7, None), (8, None), (8, Some(true)), (9, Some(false))] {
            assert!(accepted(&attach(rig, boot, 1)));
            assert_eq!(lost(rig).map(|conflict| conflict.is_news), expected, "boot {boot}");
        }
        // A newcomer that is turned away is one, too.
        let is_news = false;
        assert_eq!(attach(rig, 8, 1), Attached::Superseded { conflict: Some(Conflict { is_news }) });
        // Sockets of one process are no other installation, and neither is what happened long ago.
        for transport in 2..8 {
            attach(rig, 9, transport);
            assert_eq!(lost(rig), None);
        }
        rig.skip(MINUTE);
        attach(rig, 10, 1);
        assert_eq!(lost(rig), None);
    });
}

#[test]
fn the_event_goes_to_the_losers_shard_before_the_answer() {
    each(|rig| {
        let old = hello(rig, run(1, 1));
        assert!(accepted(&rig.attach_from(THERE, old.clone())));
        let new = hello(rig, run(1, 2));
        assert!(accepted(&rig.attach(new.clone())));
        assert_eq!(rig.events(HERE), []);
        let code = CloseCode::GOING_AWAY;
        assert_eq!(rig.events(THERE), [Event::Displaced { session: old.session, code, conflict: None }]);
        let newest = hello(rig, run(1, 3));
        let stream = rig.stream(HERE, vec![Command::Attach(newest)]);
        assert_eq!(stream[0], Reply::Event(Event::Displaced { session: new.session, code, conflict: None }));
        assert!(matches!(&stream[1], Reply::Completed(_, Ok(Completion::Attached(Attached::Accepted { .. })))));
    });
}

#[test]
fn other_devices_users_and_apps_are_left_alone() {
    each(|rig| {
        let alice = hello(rig, run(1, 1));
        let other_device =
            Attach { device: Some(DeviceId::new("another-device-00").unwrap()), ..hello(rig, run(1, 1)) };
        let bob = Attach { user: Some(UserName::new("bob").unwrap()), ..hello(rig, run(1, 1)) };
        let other_app = Attach { app: AppName::new("shop").unwrap(), ..hello(rig, run(1, 1)) };
        let no_device = Attach { device: None, ..hello(rig, run(1, 1)) };
        let anonymous = Attach { user: None, ..hello(rig, run(1, 1)) };
        for attach in [alice, other_device, bob, other_app, no_device.clone(), anonymous.clone()] {
            assert!(accepted(&rig.attach(attach)));
        }
        // Without a device or a user nothing tells two connections apart.
        for attach in [no_device, anonymous] {
            let twice = Attach { session: SessionId(900 + attach.session.0), ..attach };
            assert!(accepted(&rig.attach(twice)));
        }
        assert_eq!(displaced(rig), []);
    });
}

#[test]
fn connections_per_user_are_counted() {
    each(|rig| {
        let limited = |rig: &mut Rig, device: usize| {
            let device = DeviceId::new(&format!("device-number-{device:04}")).unwrap();
            Attach { device: Some(device), max_connections: 2, run: run(1, 1), ..rig.hello(&owner("alice")) }
        };
        let first = limited(rig, 1);
        let second = limited(rig, 2);
        let third = limited(rig, 3);
        assert!(accepted(&rig.attach(first.clone())));
        assert!(accepted(&rig.attach(second)));
        assert_eq!(rig.attach(third.clone()), Attached::TooManyConnections);
        // One that replaces another does not count twice.
        let again = Attach { run: run(1, 2), ..limited(rig, 1) };
        assert!(accepted(&rig.attach(again.clone())));
        assert_eq!(rig.attach(third.clone()), Attached::TooManyConnections);
        rig.tell(HERE, Command::Detach(third.session, Gone::Left));
        rig.tell(HERE, Command::Detach(first.session, Gone::Left));
        assert_eq!(rig.attach(third.clone()), Attached::TooManyConnections);
        rig.tell(HERE, Command::Detach(again.session, Gone::Left));
        rig.tell(HERE, Command::Detach(again.session, Gone::Left));
        assert!(accepted(&rig.attach(third)));
        let fourth = limited(rig, 4);
        assert_eq!(rig.attach(fourth), Attached::TooManyConnections);
        // Others, and those without a name, are not counted with them.
        let bob = Attach { user: Some(UserName::new("bob").unwrap()), ..limited(rig, 1) };
        assert!(accepted(&rig.attach(bob)));
        for _ in 0..3 {
            let anonymous = Attach { user: None, device: None, ..limited(rig, 1) };
            assert!(accepted(&rig.attach(anonymous)));
        }
    });
}

#[test]
fn what_was_refused_has_no_producer() {
    each(|rig| {
        let attach = Attach { max_connections: 0, producer: Some(ProducerRequest::New), ..hello(rig, run(1, 1)) };
        assert_eq!(rig.attach(attach), Attached::TooManyConnections);
        let attach = Attach { device: None, producer: Some(ProducerRequest::New), ..hello(rig, run(1, 1)) };
        assert_eq!(rig.attach(attach), Attached::Accepted { producer: None });
    });
}

#[test]
fn a_connection_that_ends_leaves_its_producer_to_the_next() {
    each(|rig| {
        let device = rig.device("alice");
        rig.store(message("room", "m1").seq(&device, 1));
        rig.disconnect("alice");
        rig.middle();
        let device = rig.reconnect("alice", device);
        assert_eq!(device.producer.state, ProducerState::Resumed);
        assert_eq!(rig.store(message("room", "m2").seq(&device, 2)), 2);
    });
}

fn token(jti: &str) -> Revocation {
    Revocation::Token { app: AppName::default_app(), jti: jti.into() }
}

fn user(issued_before: u64) -> Revocation {
    Revocation::User { app: AppName::default_app(), user: UserName::new("alice").unwrap(), issued_before }
}

fn revoke(rig: &mut Rig, revocation: Revocation) {
    assert_eq!(rig.ask(Command::Revoke(revocation)), Ok(Completion::Revoked));
}

fn with_token(rig: &mut Rig, jti: Option<&str>, issued: Option<u64>) -> Attached {
    let attach = Attach { token_id: jti.map(Arc::from), token_issued: issued, ..rig.hello(&owner("alice")) };
    rig.attach(attach)
}

#[test]
fn a_revoked_token_is_refused_for_good() {
    each(|rig| {
        assert!(accepted(&with_token(rig, Some("t1"), Some(5))));
        revoke(rig, token("t1"));
        rig.middle();
        assert_eq!(with_token(rig, Some("t1"), Some(5)), Attached::Revoked);
        assert!(accepted(&with_token(rig, Some("t2"), Some(5))));
        assert!(accepted(&with_token(rig, None, Some(5))));
        let elsewhere =
            Attach { app: AppName::new("shop").unwrap(), token_id: Some("t1".into()), ..rig.hello(&owner("alice")) };
        assert!(accepted(&rig.attach(elsewhere)));
        rig.pass(399 * DAY);
        assert_eq!(with_token(rig, Some("t1"), Some(5)), Attached::Revoked);
    });
}

#[test]
fn a_user_is_revoked_up_to_a_moment() {
    each(|rig| {
        revoke(rig, user(100));
        // An earlier moment takes nothing back.
        revoke(rig, user(50));
        rig.middle();
        assert_eq!(with_token(rig, None, Some(99)), Attached::Revoked);
        assert!(accepted(&with_token(rig, None, Some(100))));
        // Whoever does not say when it was issued has an old one.
        assert_eq!(with_token(rig, None, None), Attached::Revoked);
        revoke(rig, user(200));
        assert_eq!(with_token(rig, None, Some(199)), Attached::Revoked);
        let bob = Attach { token_issued: Some(1), ..rig.hello(&owner("bob")) };
        assert!(accepted(&rig.attach(bob)));
        // A token is not a user of the same name.
        let anonymous = Attach { user: None, token_id: Some("alice".into()), ..rig.hello(&owner("alice")) };
        assert!(accepted(&rig.attach(anonymous)));
    });
}

#[test]
fn every_shard_learns_of_a_revocation_and_the_asking_one_before_the_answer() {
    each(|rig| {
        rig.events(THERE);
        let stream = rig.stream(HERE, vec![Command::Revoke(token("t1"))]);
        assert_eq!(stream[0], Reply::Event(Event::Revoked(token("t1"))));
        assert!(matches!(stream[1], Reply::Completed(_, Ok(Completion::Revoked))));
        assert_eq!(rig.events(THERE), [Event::Revoked(token("t1"))]);
        // An attachment under way is accepted first, and hit by the event that follows.
        let attach = Attach { token_id: Some("t2".into()), ..rig.hello(&owner("alice")) };
        let stream = rig.stream(HERE, vec![Command::Attach(attach), Command::Revoke(token("t2"))]);
        assert!(matches!(&stream[0], Reply::Completed(_, Ok(Completion::Attached(Attached::Accepted { .. })))));
        assert_eq!(stream[1], Reply::Event(Event::Revoked(token("t2"))));
    });
}

#[test]
fn a_revocation_is_forgotten_when_no_token_can_be_so_old() {
    each(|rig| {
        revoke(rig, token("t1"));
        rig.pass(200 * DAY);
        revoke(rig, user(100));
        rig.middle();
        rig.pass(201 * DAY);
        rig.pass(2 * 3_600_000);
        assert!(accepted(&with_token(rig, Some("t1"), Some(100))));
        assert_eq!(with_token(rig, None, Some(99)), Attached::Revoked);
    });
}

#[test]
fn after_a_start_a_shard_hears_of_all_revocations() {
    each(|rig| {
        let of = |name: &str| Revocation::Token { app: AppName::new("default").unwrap(), jti: name.into() };
        let user = UserName::new("bob").unwrap();
        let bobs = |issued_before| Revocation::User {
            app: AppName::new("default").unwrap(),
            user: user.clone(),
            issued_before,
        };
        for revocation in [of("t1"), bobs(100), bobs(90), of("t2")] {
            rig.ask(Command::Revoke(revocation)).unwrap();
        }
        rig.events(THERE);
        rig.middle();
        let all = [of("t1"), of("t2"), bobs(100)].map(Event::Revoked);
        assert_eq!(rig.events(THERE), if rig.restarts() { &all[..] } else { &[] });
    });
}
