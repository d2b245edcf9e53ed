use moorline_core::protocol::ErrorCode;
use moorline_core::{Client, ClientConfig, Now, StoreEntry, Timestamp, TokenSource};

use crate::calls;
use crate::outputs;
use crate::reader::{Reader, Result};
use crate::writer::Writer;

/// Bytes before the records of an output.
pub const HEAD: usize = 28;

/// The clients of one WebAssembly instance, and the two buffers of the seam.
#[derive(Default)]
pub struct Instance {
    input: Vec<u8>,
    output: Writer,
    clients: Vec<Option<Client>>,
}

/// The host's clocks at one moment: ms since any origin, and ms since 1970.
pub(crate) fn moment(mono: f64, unix: f64) -> Now {
    Now { mono: Timestamp::from_millis(mono as u64), unix: unix as u64 }
}

impl Instance {
    /// Makes room for a batch of so many bytes.
    pub fn input(&mut self, length: usize) -> &mut [u8] {
        self.input.clear();
        self.input.resize(length, 0);
        &mut self.input
    }

    /// Returns what the last call left to be read. A head of [`HEAD`] bytes, little-endian: the length of what follows it
    /// (`u32`), the next deadline and the next attempt to connect (`f64`, −1 for none), messages and bytes in the outbox (`u32`).
    /// Then the records.
    pub fn output(&self) -> &[u8] {
        &self.output.0
    }

    /// Makes a client of the settings in the input. Returns its handle, at least 1; or 0, and the output holds a failure.
    pub fn create(&mut self, now: Now) -> usize {
        self.begin();
        let input = std::mem::take(&mut self.input);
        let refusal = match settings(&mut Reader::new(&input)) {
            Ok((config, seed, stored)) => match Client::new(config, stored, seed, now) {
                Ok(client) => return self.keep(client),
                Err(error) => calls::refusal(error.code(), error.sentence()),
            },
            Err(_) => calls::refusal(ErrorCode::RequestMalformed, "the settings cannot be read".to_owned()),
        };
        self.output.failure(&refusal);
        self.end();
        0
    }

    /// Gives a client a handle.
    fn keep(&mut self, client: Client) -> usize {
        let free = self.clients.iter_mut().enumerate().find(|(_, slot)| slot.is_none());
        if let Some((index, slot)) = free {
            *slot = Some(client);
            return index + 1;
        }
        self.clients.push(Some(client));
        self.clients.len()
    }

    /// Runs the batch in the input on a client, and writes all that comes of it to the output.
    pub fn run(&mut self, handle: usize, now: Now) {
        self.begin();
        let Self { input, output, clients } = self;
        if let Some(client) = handle.checked_sub(1).and_then(|index| clients.get_mut(index)?.as_mut()) {
            let mut reader = Reader::new(input);
            while !reader.is_empty() {
                if calls::call(client, &mut reader, now, output).is_err() {
                    output.byte(outputs::MALFORMED);
                    break;
                }
                outputs::drain(client, output);
            }
            outputs::standing(client, &mut output.0);
        }
        self.end();
    }

    /// Forgets a client.
    pub fn remove(&mut self, handle: usize) {
        if let Some(slot) = handle.checked_sub(1).and_then(|index| self.clients.get_mut(index)) {
            *slot = None;
        }
    }

    fn begin(&mut self) {
        self.output.0.clear();
        self.output.0.extend_from_slice(&[0; HEAD]);
    }

    fn end(&mut self) {
        let length = (self.output.0.len() - HEAD) as u32;
        if let Some(to) = self.output.0.first_chunk_mut() {
            *to = length.to_le_bytes();
        }
    }
}

/// Reads what a client is made of.
fn settings(from: &mut Reader<'_>) -> Result<(ClientConfig, [u8; 32], Vec<StoreEntry>)> {
    let mut seed = [0; 32];
    for byte in &mut seed {
        *byte = from.byte();
    }
    let urls = from.list(Reader::string);
    let token = match from.byte() {
        0 => TokenSource::Anonymous,
        1 => TokenSource::Fixed(from.string()),
        _ => TokenSource::Provider,
    };
    let mut config = ClientConfig { urls, token, sdk: from.string(), ..ClientConfig::new("") };
    config.compression = from.is_set();
    let milliseconds = [
        &mut config.min_backoff_ms,
        &mut config.max_backoff_ms,
        &mut config.stable_ms,
        &mut config.connect_timeout_ms,
        &mut config.probe_ms,
    ];
    for setting in milliseconds {
        *setting = from.maybe(Reader::number).unwrap_or(*setting);
    }
    let sizes = [
        &mut config.outbox_messages,
        &mut config.outbox_bytes,
        &mut config.socket_bytes,
        &mut config.queue_messages,
        &mut config.queue_bytes,
        &mut config.blackbox_bytes,
    ];
    for setting in sizes {
        *setting = from.maybe(Reader::size).unwrap_or(*setting);
    }
    let stored = from.list(|from| (from.slice().to_vec(), from.slice().to_vec()));
    from.whole((config, seed, stored))
}
