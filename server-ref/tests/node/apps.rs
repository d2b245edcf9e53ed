//! Apps of one node: each counts its own channels, and what has the same number in two is two channels.

use moorline_protocol::{
    AppName, ChannelName, ChannelNumber, ChannelRef, ClientFrame, Codec, Headers, Hello, Payload, Publish, Qos,
    ServerFrame, Subscribe, Unsubscribe,
};

use crate::bench::{Bench, everything};

/// What a frame says, and the number of the channel that it is about.
type Told = (&'static str, Option<ChannelNumber>);

fn subscribe(bench: &mut Bench, conn: u32, channel: &str) -> Vec<Told> {
    let subscribe = Subscribe::new(1, ChannelName::new(channel).unwrap());
    bench.say_binary(conn, &ClientFrame::Subscribe(subscribe));
    told(bench, conn)
}

fn publish(bench: &mut Bench, conn: u32, number: u32) {
    let publish = Publish {
        channel: ChannelRef::Number(ChannelNumber(number)),
        qos: Qos::AtMostOnce,
        req: None,
        id: None,
        seq: None,
        generation: None,
        ttl: None,
        headers: Headers::default(),
        payload: Payload::Text("x".into()),
    };
    bench.say_binary(conn, &ClientFrame::Publish(publish));
}

fn told(bench: &mut Bench, conn: u32) -> Vec<Told> {
    let number = |channel: &ChannelRef| match channel {
        ChannelRef::Number(number) => Some(*number),
        ChannelRef::Name(_) => None,
    };
    let told = |frame: &ServerFrame| match frame {
        ServerFrame::Subscribed(subscribed) => ("subscribed", Some(subscribed.number)),
        ServerFrame::Deliver(deliver) => ("deliver", number(&deliver.channel)),
        ServerFrame::Unsubscribed(_) => ("unsubscribed", None),
        ServerFrame::Error(_) => ("error", None),
        other => panic!("{other:?}"),
    };
    bench.binary_frames(conn).iter().map(told).collect()
}

/// Two clients of `alpha` (1 and 2) and two of `beta` (3 and 4).
fn two_apps() -> Bench {
    let mut bench = Bench::new();
    bench.token("alice", everything("alice"));
    for (conn, app) in [(1, "alpha"), (2, "alpha"), (3, "beta"), (4, "beta")] {
        bench.open_at(AppName::new(app).unwrap(), conn, Codec::Binary);
        bench.say_binary(conn, &ClientFrame::Hello(Hello { v: 1, token: Some("alice".into()), ..Hello::default() }));
        assert!(matches!(&bench.binary_frames(conn)[..], [ServerFrame::Welcome(_)]));
    }
    bench
}

#[test]
fn channels_are_counted_per_app_and_no_number_comes_again() {
    let mut bench = two_apps();
    let subscribed = |number| [("subscribed", Some(ChannelNumber(number)))];
    assert_eq!(subscribe(&mut bench, 3, "room"), subscribed(1));
    for number in 1..=5 {
        assert_eq!(subscribe(&mut bench, 1, &format!("room{number}")), subscribed(number));
    }
    assert_eq!(subscribe(&mut bench, 2, "room3"), subscribed(3), "the same for every connection");
    assert_eq!(subscribe(&mut bench, 4, "other"), subscribed(2));
    // A channel that nobody reads any more leaves its number behind, and so does the last of its app.
    for conn in [3, 4] {
        bench.cut(conn);
    }
    bench.open_at(AppName::new("beta").unwrap(), 3, Codec::Binary);
    bench.say_binary(3, &ClientFrame::Hello(Hello { v: 1, token: Some("alice".into()), ..Hello::default() }));
    bench.hear(3);
    assert_eq!(subscribe(&mut bench, 3, "room"), subscribed(3));
}

#[test]
fn the_same_number_in_two_apps_is_two_channels() {
    let mut bench = two_apps();
    for conn in 1..=4 {
        assert_eq!(subscribe(&mut bench, conn, "room"), [("subscribed", Some(ChannelNumber(1)))]);
    }
    let delivered = [("deliver", Some(ChannelNumber(1)))];
    for (publisher, own, others) in [(1, [1, 2], [3, 4]), (3, [3, 4], [1, 2])] {
        publish(&mut bench, publisher, 1);
        assert!(own.iter().all(|conn| told(&mut bench, *conn) == delivered));
        assert!(others.iter().all(|conn| told(&mut bench, *conn).is_empty()));
    }
    // What ends in one app ends there alone.
    for conn in [1, 2] {
        let leaves = Unsubscribe { channel: ChannelRef::Number(ChannelNumber(1)), forget: false, req: 2 };
        bench.say_binary(conn, &ClientFrame::Unsubscribe(leaves));
        assert_eq!(told(&mut bench, conn), [("unsubscribed", None)]);
    }
    publish(&mut bench, 4, 1);
    assert!([3, 4].iter().all(|conn| told(&mut bench, *conn) == delivered));
    // A number is nothing to who is not subscribed, in whichever app it is one.
    publish(&mut bench, 1, 1);
    assert!([3, 4].iter().all(|conn| told(&mut bench, *conn).is_empty()));
}
