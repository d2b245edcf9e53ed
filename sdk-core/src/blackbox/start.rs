//! The bytes of how a client is created.

use moorline_protocol::Bytes;
use moorline_protocol::time::Now;

use super::bytes::{Reader, Writer};
use super::recording::RecordingError;
use super::{read_span, redact, write_span};
use crate::config::{ClientConfig, TokenSource};
use crate::io::StoreEntry;
use crate::store;

/// How a client is created.
pub(super) struct Start {
    pub(super) config: ClientConfig,
    pub(super) stored: Vec<StoreEntry>,
    pub(super) seed: [u8; 32],
    pub(super) now: Now,
}

pub(super) fn write(config: &ClientConfig, stored: &[StoreEntry], seed: [u8; 32], now: Now, out: &mut Vec<u8>) {
    write_span(Now::default(), now, out);
    out.write_bytes(&seed);
    out.write_u64(config.urls.len() as u64);
    // A query may hold a secret.
    config.urls.iter().for_each(|url| out.write_text(url.split('?').next().unwrap_or_default()));
    match &config.token {
        TokenSource::Anonymous => out.write_u64(0),
        TokenSource::Provider => out.write_u64(1),
        TokenSource::Fixed(token) => {
            out.write_u64(2);
            out.write_u64(token.len() as u64);
        }
    }
    out.write_text(&config.sdk);
    for number in [
        config.min_backoff_ms,
        config.max_backoff_ms,
        config.stable_ms,
        config.connect_timeout_ms,
        config.probe_ms,
        config.outbox_messages as u64,
        config.outbox_bytes as u64,
        config.socket_bytes as u64,
        config.queue_messages as u64,
        config.queue_bytes as u64,
        config.message_bytes as u64,
        u64::from(config.compression),
    ] {
        out.write_u64(number);
    }
    out.write_u64(stored.len() as u64);
    for (key, value) in stored {
        out.write_bytes(key);
        let value = store::with_payload(key, value.clone(), redact::mark_payload, redact::mark_headers);
        out.write_bytes(&value);
    }
}

pub(super) fn read(bytes: Bytes) -> Result<Start, RecordingError> {
    let reader = &mut Reader(bytes);
    let now = read_span(Now::default(), &mut reader.0)?;
    let seed = reader.bytes()?.as_ref().try_into().map_err(|_| RecordingError::Damaged)?;
    let urls = (0..reader.u64()?).map(|_| Ok(reader.text()?.as_str().to_owned()));
    let urls = urls.collect::<Result<_, RecordingError>>()?;
    let token = match reader.u64()? {
        0 => TokenSource::Anonymous,
        1 => TokenSource::Provider,
        _ => TokenSource::Fixed(redact::token(reader.u64()?)),
    };
    let config = ClientConfig {
        urls,
        token,
        sdk: reader.text()?.as_str().to_owned(),
        min_backoff_ms: reader.u64()?,
        max_backoff_ms: reader.u64()?,
        stable_ms: reader.u64()?,
        connect_timeout_ms: reader.u64()?,
        probe_ms: reader.u64()?,
        outbox_messages: reader.usize()?,
        outbox_bytes: reader.usize()?,
        socket_bytes: reader.usize()?,
        queue_messages: reader.usize()?,
        queue_bytes: reader.usize()?,
        message_bytes: reader.usize()?,
        compression: reader.flag()?,
        ..ClientConfig::new("")
    };
    let stored = (0..reader.u64()?).map(|_| {
        let (key, value) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
        let value = store::with_payload(&key, value, redact::fill_payload, redact::fill_headers);
        Ok((key, value))
    });
    Ok(Start { config, stored: stored.collect::<Result<_, RecordingError>>()?, seed, now })
}
