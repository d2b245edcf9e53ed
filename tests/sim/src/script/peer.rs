//! Peers: connections whose frames a script writes itself, for what no client of ours sends.

use bytes::Bytes;
use moorline_core::TransportId;
use moorline_core::protocol::{ClientFrame, Codec, DeviceId, Hello, ProducerRequest, Run, ServerFrame, Utf8Bytes};

use super::{Play, Who};
use crate::network::Item;

/// A connection of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    who: Who,
    link: usize,
}

impl Peer {
    /// Returns the peer as a client, to look at what went over its connections.
    pub fn who(self) -> Who {
        self.who
    }
}

impl Play {
    /// Opens a connection of a new peer of this user; nothing is said on it yet. Nobody is anonymous.
    pub fn peer(&mut self, user: &str) -> Peer {
        let who = self.device(user, &[]);
        self.world.clients[who.0].is_peer = true;
        self.connect(who)
    }

    /// Opens a connection of a peer.
    pub fn connect(&mut self, who: Who) -> Peer {
        let link = self.world.links.len();
        self.world.open_link(who.0, TransportId(link as u64));
        self.until("a peer is connected", |play| {
            play.world.links[link].server.is_some() || play.world.links[link].client_done
        });
        Peer { who, link }
    }

    /// Returns a token for the peer's user as it would be issued now.
    pub fn token(&self, peer: Peer) -> Utf8Bytes {
        let host = &self.world.clients[peer.who.0];
        let token = self.world.server.desk.issue(&host.name, host.token_ttl_s, self.server_time());
        Utf8Bytes::from(token)
    }

    /// Returns a `hello` of the peer's user and this device, with a new producer.
    pub fn hello(&self, peer: Peer, device: &str, boot: u64, transport: u64) -> Hello {
        Hello {
            v: 1,
            token: Some(self.token(peer)),
            device: DeviceId::new(device).ok(),
            run: Some(Run { boot, transport }),
            sdk: None,
            producer: Some(ProducerRequest::New),
            caps: Vec::new(),
            subscribe: Vec::new(),
        }
    }

    /// A peer says this; all frames travel in one message.
    pub fn say(&mut self, peer: Peer, frames: impl IntoIterator<Item = ClientFrame>) {
        let mut bytes = Vec::new();
        for frame in frames {
            Codec::Binary.encode_client(&frame, &mut bytes);
        }
        self.say_bytes(peer, bytes.into());
    }

    /// A peer sends these bytes as one message.
    pub fn say_bytes(&mut self, peer: Peer, bytes: Bytes) {
        self.world.transmit(peer.link, true, Item::Message(bytes));
    }

    /// A peer hangs up.
    pub fn hang_up(&mut self, peer: Peer) {
        if !std::mem::replace(&mut self.world.links[peer.link].client_done, true) {
            self.world.transmit(peer.link, true, Item::Close(None));
        }
    }

    /// A peer says this and waits for what the server answers within a second.
    pub fn ask(&mut self, peer: Peer, frames: impl IntoIterator<Item = ClientFrame>) -> Vec<ServerFrame> {
        let before = self.heard(peer.who).len();
        self.say(peer, frames);
        self.pass(1_000);
        self.heard(peer.who).split_off(before)
    }

    pub(super) fn hang_up_peers(&mut self) {
        for link in 0..self.world.links.len() {
            let client = self.world.links[link].client;
            if self.world.clients[client].is_peer {
                self.hang_up(Peer { who: Who(client), link });
            }
        }
    }
}
