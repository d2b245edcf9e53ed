//! A client that behaves.

use std::net::SocketAddr;

use serde_json::json;

use super::wire::Wire;

/// Publishes to a channel it reads, and remembers what was acknowledged.
pub(crate) struct Healthy {
    wire: Wire,
    beats: u64,
}

impl Healthy {
    pub(crate) fn connect(address: SocketAddr, token: &str) -> Self {
        let mut wire = Wire::open(address);
        let subscribe = json!([{"req": 1, "channel": "healthy"}]);
        wire.say(&json!({"t": "hello", "v": 1, "token": token, "subscribe": subscribe}));
        wire.expect("welcome");
        wire.expect("subscribed");
        // It may be silent for five minutes, however busy the machine is.
        wire.say(&json!({"t": "park", "ping": 300_000}));
        Self { wire, beats: 0 }
    }

    /// Publishes one message, which is answered and comes back; everything acknowledged before is still there.
    pub(crate) fn beat(&mut self) {
        self.beats += 1;
        let beats = self.beats;
        let id = format!("beat-{beats}");
        self.wire.say(&json!({"t": "publish", "channel": "healthy", "req": beats, "id": id, "data": beats}));
        let (delivered, published) = (self.wire.expect("deliver"), self.wire.expect("published"));
        assert_eq!((&published["req"], &published["offset"]), (&json!(beats), &json!(beats)), "{published}");
        assert_eq!(delivered["messages"][0]["data"], beats, "{delivered}");
        self.wire.say(&json!({"t": "history", "channel": "healthy", "req": 0, "after": 0, "limit": 256}));
        let page = self.wire.expect("page");
        let kept: Vec<u64> = page["messages"].as_array().unwrap().iter().filter_map(|m| m["data"].as_u64()).collect();
        assert_eq!(kept, (1..=beats).collect::<Vec<_>>(), "what was acknowledged is there");
    }
}
