//! The client core, between an app and a host that do as they please and a server that lies.

mod app;
mod host;
mod server;
mod store;

use std::collections::BTreeMap;

use bytes::Bytes;
use moorline_core::protocol::{CloseCode, Codec};
use moorline_core::{ClientConfig, Failure, HostSignal, Input, Origin, StoreError, TokenSource};

use self::app::App;
use self::host::Host;
use self::server::Server;
pub(crate) use self::store::seeds as store_seeds;
pub use self::store::store;
use crate::choices::Choices;
use crate::frames::{SERVER_KINDS, server_frame};

/// Codes that a server or a proxy closes with.
const CODES: &[u16] = &[1000, 1006, 4000, 4001, 4002, 4003, 4100, 4150, 4500, 4503, 4504, 4506, 4999, 3000];
const SIGNALS: &[HostSignal] =
    &[HostSignal::Online, HostSignal::Offline, HostSignal::Foreground, HostSignal::Background, HostSignal::Wake];

/// Commands, inputs and deadlines in any order: every publish settles at most once, the outbox keeps its bounds, one
/// socket at a time, and nothing that a server says makes the client spin.
pub fn client(bytes: &[u8]) {
    let mut world = World::new(Choices::new(bytes));
    while !world.choices.is_over() {
        world.step();
    }
    world.host.settle_time();
}

/// Inputs of [`client`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..32).map(|n| crate::noise(n, 300)).collect()
}

/// A configuration whose limits are soon reached.
fn config(token: TokenSource) -> ClientConfig {
    ClientConfig {
        urls: vec!["ws://a".into(), "ws://b".into()],
        token,
        outbox_messages: 8,
        outbox_bytes: 150_000,
        queue_messages: 4,
        ..ClientConfig::new("ws://a")
    }
}

struct World<'a> {
    choices: Choices<'a>,
    config: ClientConfig,
    host: Host,
    app: App,
    server: Server,
}

impl<'a> World<'a> {
    fn new(mut choices: Choices<'a>) -> Self {
        let tokens = [TokenSource::Anonymous, TokenSource::Fixed("t".into()), TokenSource::Provider];
        let config = config(choices.pick(&tokens));
        let host = Host::new(config.clone(), BTreeMap::new(), 0);
        Self { choices, config, host, app: App::default(), server: Server::default() }
    }

    fn step(&mut self) {
        match self.choices.below(16) {
            0..=3 => self.app.act(&mut self.host, &mut self.choices),
            4..=7 => self.answer(),
            8 | 9 => self.lie(),
            10 => self.socket(),
            11 | 12 => self.answer_store(),
            13 => self.answer_host(),
            14 => self.pass_time(),
            _ => self.rare(),
        }
        for frame in self.host.take_frames() {
            self.server.hear(frame);
        }
    }

    /// What a good server would do next.
    fn answer(&mut self) {
        if let Some(id) = self.host.opening() {
            return self.host.opened(id);
        }
        let Some(id) = self.host.open() else {
            let now = self.host.now();
            return self.host.call(|client| client.connect(now));
        };
        if let Some(frame) = self.server.answer(&mut self.choices) {
            let mut bytes = Vec::new();
            Codec::Binary.encode_server(&frame, &mut bytes);
            self.host.heard(id, bytes.into());
        }
    }

    /// What a bad server would do, also on a socket that is gone.
    fn lie(&mut self) {
        let Some(newest) = self.host.newest() else { return };
        let id = if self.choices.chance(85) { newest } else { moorline_core::TransportId(newest.0.saturating_sub(1)) };
        let mut bytes = Vec::new();
        if self.choices.chance(80) {
            for _ in 0..1 + self.choices.below(2) {
                let kind = self.choices.below(SERVER_KINDS);
                let frame = server_frame(kind, &self.server.aim(), &mut self.choices);
                Codec::Binary.encode_server(&frame, &mut bytes);
            }
        } else {
            bytes.extend_from_slice(self.choices.bytes());
        }
        self.host.heard(id, Bytes::from(bytes));
    }

    fn socket(&mut self) {
        let Some(newest) = self.host.newest() else { return };
        let id = if self.choices.chance(85) { newest } else { moorline_core::TransportId(newest.0.saturating_sub(1)) };
        match self.choices.below(3) {
            0 => self.host.input(Input::Activity { id }),
            1 => self.host.opened(id),
            _ => {
                let code = self.choices.maybe(|choices| CloseCode(choices.pick(CODES)));
                self.host.gone(id, code);
                self.server.forget();
            }
        }
    }

    fn answer_store(&mut self) {
        let result = match self.choices.below(8) {
            6 => Err(StoreError::Full),
            7 => Err(StoreError::Io("gone".into())),
            _ => Ok(()),
        };
        self.host.persisted(result);
    }

    fn answer_host(&mut self) {
        if self.choices.chance(50) {
            let signal = self.choices.pick(SIGNALS);
            return self.host.input(Input::Host(signal));
        }
        let failure = Failure::new(moorline_core::protocol::ErrorCode::AuthInvalid, "no", Origin::Client);
        let result = match self.choices.below(3) {
            0 => Err(failure),
            1 => Ok(None),
            _ => Ok(Some("token".to_owned())),
        };
        self.host.token(result);
    }

    fn pass_time(&mut self) {
        match self.choices.below(4) {
            0 => self.host.pass(u64::from(self.choices.byte())),
            1 => self.host.pass(self.choices.number().min(1 << 42)),
            2 => self.host.jump_wall(self.choices.number()),
            _ => self.host.wait(),
        }
    }

    fn rare(&mut self) {
        let now = self.host.now();
        match self.choices.below(8) {
            0 => {
                self.host.call(|client| client.disconnect(now));
                self.server.forget();
            }
            1 => {
                let wipe = self.choices.chance(30);
                self.host.call(|client| client.close(wipe, now));
            }
            2 | 3 => {
                // The process dies: what the store had committed is all there is.
                let disk = std::mem::take(&mut self.host.disk);
                let seed = self.choices.byte();
                self.host = Host::new(self.config.clone(), disk, seed);
                self.app = App::default();
                self.server.forget();
            }
            _ => self.host.call(|client| client.connect(now)),
        }
    }
}
