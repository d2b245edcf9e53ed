//! Frames that peers say, and what is looked for among those that clients and the server say.

use bytes::Bytes;
use moorline_core::protocol::{
    ChannelName, ChannelRef, ClientFrame, ErrorCode, ErrorFrame, Hello, Payload, ProducerGrant, Publish, Published,
    Qos, ServerFrame, Subscribe, Subscribed, Utf8Bytes, Welcome,
};
use moorline_sim::script::{Peer, Play};

/// A device of a peer.
pub(crate) const DEVICE: &str = "d-0123456789abcdef";
/// Another one.
pub(crate) const OTHER: &str = "d-fedcba9876543210";

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn room() -> ChannelRef {
    ChannelRef::Name(channel("room:0"))
}

/// A peer of this user connects and is welcomed.
pub(crate) fn welcomed(play: &mut Play, user: &str) -> (Peer, Welcome) {
    let peer = play.peer(user);
    let hello = play.hello(peer, DEVICE, 1, 1);
    let welcome = greet(play, peer, hello);
    (peer, welcome)
}

/// A peer says this `hello` and is welcomed.
pub(crate) fn greet(play: &mut Play, peer: Peer, hello: Hello) -> Welcome {
    let answers = play.ask(peer, [ClientFrame::Hello(hello)]);
    let welcome = answers.iter().find_map(|frame| match frame {
        ServerFrame::Welcome(welcome) => Some(welcome.clone()),
        _ => None,
    });
    welcome.unwrap_or_else(|| panic!("no welcome: {answers:?}"))
}

pub(crate) fn grant(welcome: &Welcome) -> ProducerGrant {
    welcome.producer.clone().unwrap()
}

/// A publish of a producer in `room:0`.
pub(crate) fn numbered(grant: &ProducerGrant, req: u64, seq: u64, text: &str) -> ClientFrame {
    let publish =
        Publish { seq: Some(seq), generation: Some(grant.generation), qos: Qos::ExactlyOnce, ..plain(req, text) };
    ClientFrame::Publish(publish)
}

/// A publish at QoS 1 in `room:0`, with its text as id.
pub(crate) fn plain(req: u64, text: &str) -> Publish {
    Publish {
        channel: room(),
        qos: Qos::AtLeastOnce,
        req: Some(req),
        id: Some(Utf8Bytes::from(text)),
        seq: None,
        generation: None,
        ttl: None,
        headers: Vec::new(),
        payload: Payload::Json(Bytes::from(format!("\"{text}\""))),
    }
}

pub(crate) fn subscribe(req: u64, name: &str) -> Subscribe {
    Subscribe::new(req, channel(name))
}

pub(crate) fn errors(frames: &[ServerFrame]) -> Vec<ErrorFrame> {
    let error = |frame: &ServerFrame| match frame {
        ServerFrame::Error(error) => Some(error.clone()),
        _ => None,
    };
    frames.iter().filter_map(error).collect()
}

/// The codes of all errors.
pub(crate) fn codes(frames: &[ServerFrame]) -> Vec<ErrorCode> {
    errors(frames).into_iter().map(|error| error.code).collect()
}

pub(crate) fn published(frames: &[ServerFrame]) -> Vec<Published> {
    let published = |frame: &ServerFrame| match frame {
        ServerFrame::Published(published) => Some(*published),
        _ => None,
    };
    frames.iter().filter_map(published).collect()
}

pub(crate) fn subscribed(frames: &[ServerFrame]) -> Vec<Subscribed> {
    let subscribed = |frame: &ServerFrame| match frame {
        ServerFrame::Subscribed(subscribed) => Some(subscribed.clone()),
        _ => None,
    };
    frames.iter().filter_map(subscribed).collect()
}

/// The publishes among what a client said.
pub(crate) fn publishes(frames: &[ClientFrame]) -> Vec<Publish> {
    let publish = |frame: &ClientFrame| match frame {
        ClientFrame::Publish(publish) => Some(publish.clone()),
        _ => None,
    };
    frames.iter().filter_map(publish).collect()
}

/// The offsets of everything that was delivered, in order; compressed deliveries are not looked into.
pub(crate) fn delivered(frames: &[ServerFrame]) -> Vec<u64> {
    let offsets = |frame: &ServerFrame| match frame {
        ServerFrame::Deliver(deliver) => deliver.messages.iter().filter_map(|it| Some(it.offset?.0)).collect(),
        _ => Vec::new(),
    };
    frames.iter().flat_map(offsets).collect()
}

/// The `hello`s among what a client said.
pub(crate) fn hellos(frames: &[ClientFrame]) -> Vec<Hello> {
    let hello = |frame: &ClientFrame| match frame {
        ClientFrame::Hello(hello) => Some(hello.clone()),
        _ => None,
    };
    frames.iter().filter_map(hello).collect()
}
