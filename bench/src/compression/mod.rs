//! What compression saves and costs: the real node and the real inflater, beside what the WebSocket itself offers.

mod hub;
mod payloads;

use std::time::Duration;

use bytes::Bytes;
use moorline_core::inflate::{Inflater, Recent};
use moorline_core::protocol::binary::encode_message;
use moorline_core::protocol::{Codec, Decoded, Message, Offset, Payload, ServerFrame, Since, Utf8Bytes};
use moorline_server::engine::Stored;
use zlib_rs::{Deflate, DeflateFlush};

use self::hub::Hub;
use self::payloads::{Dice, Kind};
use crate::error::{Error, Result};
use crate::machine::thread_time;
use crate::table::{self, Column, Goal, Table};

/// Bytes and processor time of messages to many receivers: dictionary, per-message deflate, context takeover.
#[derive(Debug, clap::Args)]
pub(crate) struct Compression {
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Messages per round.
    #[arg(long, default_value_t = 2_000)]
    messages: usize,
}

/// Receivers of a channel.
const RECEIVERS: [u32; 3] = [1, 100, 1_000];
/// With context takeover each receiver costs as much as the first: so many messages of all receivers are enough.
const MOST: usize = 100_000;
const LEVEL: i32 = 6;

const BYTES: &str = "bytes/delivery";
const COLUMNS: &[Column] = &[
    (BYTES, 1),
    ("of plain", 3),
    ("of per-message", 3),
    ("server µs/publish, 1 receiver", 1),
    ("100", 1),
    ("1,000", 1),
    ("client µs/delivery", 1),
];
const PAGES: &[Column] =
    &[("messages", 0), ("bytes", 0), ("of plain", 3), ("server µs/page", 0), ("client µs/message", 2)];

/// A scheme, and what each round has measured of it.
type Row = (&'static str, Vec<Vec<f64>>);

/// What one scheme does with all messages.
#[derive(Default)]
struct Measured {
    bytes: usize,
    /// For each number of receivers: processor time of all publishes.
    server: Vec<Duration>,
    client: Duration,
}

impl Compression {
    pub(crate) fn run(&self) -> Result {
        let mut lines = Vec::new();
        for kind in Kind::ALL {
            let messages = stored(kind, self.messages.max(100));
            let size = messages.iter().map(|stored| stored.bytes.len()).sum::<usize>() / messages.len().max(1);
            let table = Table::new(COLUMNS, self.rounds(&messages)?);
            table.print(&format!("{}, messages of {size} B, level {LEVEL}, one message per frame", kind.name()));
            let goal = if kind == Kind::Chat { Goal::AtMostTimes(0.55) } else { Goal::None };
            lines.push(table.line(format!("{}, bytes per delivery", kind.name()), BYTES, goal));
            self.pages(kind, &messages)?;
        }
        table::compare("per-message deflate", &lines);
        Ok(())
    }

    fn rounds(&self, messages: &[Stored]) -> Result<[Row; 4]> {
        let mut rows = ["Moorline, dictionary", "deflate per message", "plain", "deflate with context takeover"]
            .map(|name| (name, Vec::new()));
        for _ in 0..self.rounds.max(1) {
            let plain = node(messages, false)?;
            let dictionary = node(messages, true)?;
            let frames = plain.1;
            let (base, all) = (plain.0.server.clone(), plain.0.bytes as f64);
            let schemes = [dictionary.0, per_message(&frames), plain.0, takeover(&frames)];
            let per = schemes.get(1).map_or(1, |scheme| scheme.bytes) as f64;
            for (index, ((_, rounds), scheme)) in rows.iter_mut().zip(&schemes).enumerate() {
                let count = messages.len() as f64;
                let us = |time: Duration| time.as_secs_f64() * 1e6 / count;
                // What compresses frames does so after the node has made them.
                let before =
                    |at: usize| if index % 2 == 0 { Duration::ZERO } else { base.get(at).copied().unwrap_or_default() };
                let server = scheme.server.iter().enumerate().map(|(at, time)| us(*time + before(at)));
                let bytes = scheme.bytes as f64;
                let cells =
                    [bytes / count, bytes / all, bytes / per].into_iter().chain(server).chain([us(scheme.client)]);
                rounds.push(cells.collect());
            }
        }
        Ok(rows)
    }

    /// Measures pages: as they are, and as one stream each.
    fn pages(&self, kind: Kind, messages: &[Stored]) -> Result {
        let mut rows = [("one stream per page", true, Vec::new()), ("plain", false, Vec::new())];
        for _ in 0..self.rounds.max(1) {
            for (_, packs, rounds) in &mut rows {
                let mut hub = Hub::new(0, false)?;
                // Somebody is there, so that the node knows the channel.
                drop(hub.join(1_000_000, false, Since::Now));
                messages.iter().for_each(|stored| drop(hub.publish(stored)));
                let begin = thread_time();
                let sent = hub.join(1, *packs, Since::First);
                let server = thread_time().saturating_sub(begin);
                let (mut inflater, mut count, mut bytes, mut pages) = (Inflater::default(), 0, 0, 0);
                let begin = thread_time();
                for message in &sent {
                    let read = delivered(message, &mut inflater, &mut Recent::default())?;
                    (count, pages) = (count + read, pages + usize::from(read > 0));
                    bytes += if read > 0 { message.len() } else { 0 };
                }
                let client = thread_time().saturating_sub(begin);
                let each = |time: Duration, count: usize| time.as_secs_f64() * 1e6 / count.max(1) as f64;
                rounds.push((count, bytes, pages, each(server, pages), each(client, count)));
            }
        }
        let plain = rows.last().and_then(|(_, _, rounds)| rounds.first()).map_or(1, |round| round.1) as f64;
        let cells = |rounds: &[(usize, usize, usize, f64, f64)]| {
            let row = |(count, bytes, pages, server, client): &(usize, usize, usize, f64, f64)| {
                let pages = (*pages).max(1) as f64;
                vec![*count as f64 / pages, *bytes as f64 / pages, *bytes as f64 / plain, *server, *client]
            };
            rounds.iter().map(row).collect::<Vec<_>>()
        };
        let rows: Vec<_> = rows.iter().map(|(name, _, rounds)| (*name, cells(rounds))).collect();
        table::print(&format!("{}, replay pages of up to 256 messages or 64 KiB", kind.name()), PAGES, &rows);
        Ok(())
    }
}

/// Publishes all messages through a node, once for each number of receivers. Also returns what one receiver was sent.
fn node(messages: &[Stored], packs: bool) -> Result<(Measured, Vec<Bytes>)> {
    let mut measured = Measured::default();
    let mut frames = Vec::new();
    for receivers in RECEIVERS {
        let mut hub = Hub::new(receivers, packs)?;
        frames.clear();
        let begin = thread_time();
        for stored in messages {
            // All receivers are of one cohort.
            frames.extend(hub.publish(stored));
        }
        measured.server.push(thread_time().saturating_sub(begin));
    }
    measured.bytes = frames.iter().map(Bytes::len).sum();
    let (mut inflater, mut recent) = (Inflater::default(), Recent::default());
    let begin = thread_time();
    for frame in &frames {
        if delivered(frame, &mut inflater, &mut recent)? != 1 {
            return Err(Error::Answer("moorline-server", "delivering"));
        }
    }
    measured.client = thread_time().saturating_sub(begin);
    Ok((measured, frames))
}

/// Reads what a client is sent; returns how many messages there are in it.
fn delivered(message: &Bytes, inflater: &mut Inflater, recent: &mut Recent) -> Result<usize> {
    let wrong = || Error::Answer("moorline-server", "compressing");
    let mut rest = message.clone();
    let mut count = 0;
    while let Ok(Some(Decoded::Frame(frame))) = Codec::Binary.decode_server(&mut rest) {
        let deliver = if let ServerFrame::Packed(packed) = frame {
            inflater.unpack(&packed, recent).map_err(|_| wrong())?
        } else if let ServerFrame::Deliver(deliver) = frame {
            deliver
        } else {
            continue;
        };
        for message in &deliver.messages {
            recent.push(message.offset.ok_or_else(wrong)?, message.payload.bytes());
        }
        count += deliver.messages.len();
    }
    Ok(count)
}

/// permessage-deflate without context takeover: compressed once for all receivers, or sent as it is if that is shorter.
fn per_message(frames: &[Bytes]) -> Measured {
    let mut deflate = Deflate::new(LEVEL, false, 15);
    let mut out = Vec::new();
    let begin = thread_time();
    let bytes = frames.iter().map(|frame| {
        deflate.reset();
        deflated(&mut deflate, frame, &mut out).min(frame.len())
    });
    let bytes = bytes.sum();
    let spent = thread_time().saturating_sub(begin);
    Measured { bytes, server: vec![spent; RECEIVERS.len()], client: inflated(frames, false) }
}

/// permessage-deflate with context takeover: a stream for each receiver.
fn takeover(frames: &[Bytes]) -> Measured {
    let mut measured = Measured { client: inflated(frames, true), ..Measured::default() };
    for receivers in RECEIVERS {
        let some = frames.len().min((MOST / receivers as usize).max(50));
        let frames_of_all = frames.get(..some).unwrap_or(frames);
        let (mut deflate, mut out) = (Deflate::new(LEVEL, false, 15), Vec::new());
        let begin = thread_time();
        for _ in 0..receivers {
            deflate.reset();
            for frame in frames_of_all {
                deflated(&mut deflate, frame, &mut out);
            }
        }
        let spent = thread_time().saturating_sub(begin);
        measured.server.push(spent.mul_f64(frames.len() as f64 / some.max(1) as f64));
    }
    let mut deflate = Deflate::new(LEVEL, false, 15);
    let mut out = Vec::new();
    measured.bytes = frames.iter().map(|frame| deflated(&mut deflate, frame, &mut out)).sum();
    measured
}

/// Deflates one WebSocket message as RFC 7692 says: flushed, without the four bytes at its end.
fn deflated(deflate: &mut Deflate, frame: &Bytes, out: &mut Vec<u8>) -> usize {
    out.resize(frame.len() + 64, 0);
    let before = deflate.total_out();
    let _ = deflate.compress(frame, out, DeflateFlush::SyncFlush);
    (deflate.total_out() - before).saturating_sub(4) as usize
}

/// Returns what inflating costs a receiver of permessage-deflate.
fn inflated(frames: &[Bytes], takeover: bool) -> Duration {
    let (mut deflate, mut out, mut packed) = (Deflate::new(LEVEL, false, 15), Vec::new(), Vec::new());
    for frame in frames {
        if !takeover {
            deflate.reset();
        }
        let length = deflated(&mut deflate, frame, &mut out) + 4;
        packed.push(out.get(..length).unwrap_or_default().to_vec());
    }
    let mut inflate = zlib_rs::Inflate::new(false, 15);
    let mut out = vec![0; 128 * 1024];
    let begin = thread_time();
    for data in &packed {
        if !takeover {
            inflate.reset(false);
        }
        let _ = inflate.decompress(data, &mut out, zlib_rs::InflateFlush::SyncFlush);
    }
    thread_time().saturating_sub(begin)
}

/// Makes messages of payloads, as a log keeps them.
fn stored(kind: Kind, count: usize) -> Vec<Stored> {
    let mut dice = Dice(7);
    let message = |(offset, payload): (u64, Vec<u8>)| {
        let payload = match kind {
            Kind::Chat | Kind::Ticker => Payload::Json(payload.into()),
            Kind::Game | Kind::Random => Payload::Binary(payload.into()),
        };
        let message = Message {
            offset: Some(Offset(offset)),
            prev: None,
            id: Utf8Bytes::from(dice.name(22)),
            user: Some(Utf8Bytes::from(format!("user-{}", dice.below(10)))),
            time: 1_767_225_600_000 + offset * 1_700 + dice.below(1_000),
            headers: Vec::new(),
            payload,
        };
        let mut bytes = Vec::new();
        encode_message(&message, &mut bytes);
        Stored { offset: Offset(offset), prev: None, bytes: bytes.into() }
    };
    (1..).zip(kind.payloads(count)).map(message).collect()
}
