//! One direction of a connection.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::{Direction, Shared, Weather};

/// Bytes held back in one direction; beyond it the sender feels back-pressure, as with a kernel's buffers.
const HELD: usize = 1 << 20;
/// Bytes of one read.
const READ: usize = 16 << 10;
/// How often a slow direction hands out its share.
const SLICE: Duration = Duration::from_millis(10);

/// Bytes on their way.
struct Parcel {
    due: Instant,
    bytes: Bytes,
}

/// What is on its way in one direction.
#[derive(Default)]
struct Line {
    parcels: VecDeque<Parcel>,
    held: usize,
    /// When the sender's end arrives, once it has finished.
    end: Option<Instant>,
    /// When a slow line hands out its next share.
    next_share: Option<Instant>,
}

impl Line {
    fn take_in(&mut self, bytes: Bytes, weather: Weather) {
        self.held += bytes.len();
        self.parcels.push_back(Parcel { due: arrival(weather), bytes });
    }

    /// Returns when the next bytes, or the end, may go, if they may.
    fn due(&self, weather: Weather, direction: Direction) -> Option<Instant> {
        if weather == Weather::BlackHole || weather == Weather::Deaf(direction) {
            return None;
        }
        let Some(parcel) = self.parcels.front() else { return self.end };
        Some(self.next_share.map_or(parcel.due, |share| share.max(parcel.due)))
    }

    /// Takes what may go now.
    fn hand_out(&mut self, weather: Weather) -> Option<Bytes> {
        let share = match weather {
            Weather::Slow(per_second) => {
                self.next_share = Some(Instant::now() + SLICE);
                (per_second as usize * SLICE.as_millis() as usize / 1_000).max(1)
            }
            Weather::Fair | Weather::Latency(_) | Weather::BlackHole | Weather::Deaf(_) | Weather::Refuse => {
                self.next_share = None;
                usize::MAX
            }
        };
        let parcel = self.parcels.front_mut()?;
        let bytes = parcel.bytes.split_to(share.min(parcel.bytes.remaining()));
        if parcel.bytes.is_empty() {
            self.parcels.pop_front();
        }
        self.held -= bytes.len();
        Some(bytes)
    }

    /// Tells whether everything has arrived, the end included.
    fn is_finished(&self, weather: Weather, direction: Direction) -> bool {
        self.parcels.is_empty() && self.due(weather, direction).is_some_and(|due| due <= Instant::now())
    }
}

/// Returns when what is sent in this weather arrives.
fn arrival(weather: Weather) -> Instant {
    let delay = match weather {
        Weather::Latency(delay) => delay,
        Weather::Fair | Weather::Slow(_) | Weather::BlackHole | Weather::Deaf(_) | Weather::Refuse => Duration::ZERO,
    };
    Instant::now() + delay
}

/// Carries bytes one way until the sender has finished and everything has arrived.
///
/// # Errors
/// When either end is gone and the weather lets the other one know.
pub(super) async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    shared: &Shared,
) -> io::Result<()> {
    let mut changes = shared.weather.subscribe();
    let mut line = Line::default();
    let mut failure = None;
    let mut buffer = BytesMut::new();
    loop {
        let weather = *changes.borrow_and_update();
        if line.is_finished(weather, direction) {
            return match failure {
                Some(error) => Err(error),
                None => to.shutdown().await,
            };
        }
        let due = line.due(weather, direction);
        buffer.reserve(READ);
        tokio::select! {
            biased;
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(bytes) = line.hand_out(weather) {
                    to.write_all(&bytes).await?;
                    shared.count(direction, bytes.len());
                }
            }
            read = from.read_buf(&mut buffer), if line.end.is_none() && line.held < HELD => match read {
                Ok(0) => line.end = Some(arrival(weather)),
                Ok(_) => line.take_in(buffer.split().freeze(), weather),
                Err(error) => {
                    line.end = Some(arrival(weather));
                    failure = Some(error);
                }
            },
        }
    }
}
