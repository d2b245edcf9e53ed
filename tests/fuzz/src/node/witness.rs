use moorline_protocol::{
    ClientFrame, DeviceId, Hello, Offset, Payload, Pong, ProducerRequest, Publish, Qos, Run, ServerFrame, Since,
    Subscribe, Utf8Bytes,
};

use crate::frames::named;

/// The request of its last publish.
const LAST: u64 = 1_000;

/// A connection that behaves: it reads `room` from the beginning, answers pings, and publishes in the end.
#[derive(Default)]
pub(super) struct Witness {
    generation: u64,
    /// The number of `room`.
    room: Option<u32>,
    /// The last offset of `room` it was given.
    reached: u64,
    published: Option<Offset>,
    heard_itself: bool,
}

impl Witness {
    pub(super) fn hello() -> ClientFrame {
        let first = |req, channel| Subscribe { since: Since::First, ..Subscribe::new(req, named(channel)) };
        ClientFrame::Hello(Hello {
            v: 1,
            token: Some("witness".into()),
            device: Some(DeviceId::new("witness-witness-").expect("a device")),
            run: Some(Run { boot: 1, transport: 1 }),
            producer: Some(ProducerRequest::New),
            subscribe: vec![first(1, "room"), first(2, "own")],
            ..Hello::default()
        })
    }

    /// What it publishes in the end.
    pub(super) fn publish(&self) -> ClientFrame {
        ClientFrame::Publish(Publish {
            channel: moorline_protocol::ChannelRef::Name(named("own")),
            qos: Qos::ExactlyOnce,
            req: Some(LAST),
            id: Some("last".into()),
            seq: Some(1),
            generation: Some(self.generation),
            ttl: None,
            headers: Vec::new(),
            payload: Payload::Text(Utf8Bytes::from("still here")),
        })
    }

    /// Takes a frame; returns what it says to it.
    pub(super) fn hear(&mut self, frame: ServerFrame) -> Option<ClientFrame> {
        match frame {
            ServerFrame::Welcome(welcome) => {
                self.generation = welcome.producer.expect("a producer").generation;
                None
            }
            ServerFrame::Subscribed(subscribed) => {
                if subscribed.channel.as_str() == "room" {
                    (self.room, self.reached) = (Some(subscribed.number.0), subscribed.from.0);
                }
                None
            }
            ServerFrame::Ping(ping) => Some(ClientFrame::Pong(Pong { n: ping.n })),
            ServerFrame::Published(published) => {
                self.published = published.offset;
                None
            }
            ServerFrame::Deliver(deliver) => {
                let of_room = deliver.channel
                    == moorline_protocol::ChannelRef::Number(moorline_protocol::ChannelNumber(self.room.unwrap_or(0)));
                for message in &deliver.messages {
                    match message.offset {
                        Some(offset) if of_room => {
                            assert_eq!(message.previous(), Some(Offset(self.reached)), "a hole in `room`");
                            self.reached = offset.0;
                        }
                        Some(_) => self.heard_itself = true,
                        None => {}
                    }
                }
                None
            }
            ServerFrame::Error(error) => panic!("the witness is refused: {error:?}"),
            ServerFrame::Reset(reset) => panic!("the witness loses messages: {reset:?}"),
            _ => None,
        }
    }

    /// The head of `room` is here, and the witness has nothing more to wait for.
    pub(super) fn check(&self, head: Offset) {
        assert_eq!(self.reached, head.0, "messages of `room` that the witness has not got");
        assert_eq!((self.published, self.heard_itself), (Some(Offset(1)), true), "its own message");
    }
}
