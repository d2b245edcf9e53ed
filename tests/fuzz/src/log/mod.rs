//! A data directory in which somebody has written.

mod engine;
mod files;
mod image;
mod records;

use moorline_protocol::Offset;
use moorline_server::engine::log::{LogConfig, open_with};

use self::engine::{Engine, Log};
use self::files::MemoryFiles;
use self::image::{CHANNELS, IMAGES, Image};
use crate::choices::Choices;
use crate::memory;

/// What the first byte of an input chooses.
const RECORDS: u8 = 0;
const FOREIGN: u8 = 1;

/// Damaged directories, foreign ones, and records that were never written so: opening fails with a typed error, or
/// what is served afterwards is what was once stored, and the log goes on.
pub fn log(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut choices = Choices::new(rest);
    match *mode {
        RECORDS => records::apply(rest),
        FOREIGN => drop(open(files::foreign(&mut choices))),
        _ => damaged(&mut choices),
    }
}

/// When everything happens, ms since 1970.
const NOW: u64 = 1_700_000_000_000;

/// Inputs of [`log`].
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let damaged = (0..32).map(|n| [&[2], crate::noise(n, 20).as_slice()].concat());
    let foreign = (0..4).map(|n| [&[FOREIGN], crate::noise(n, 60).as_slice()].concat());
    damaged.chain(foreign).chain(records::seeds().map(|records| [&[RECORDS], records.as_slice()].concat())).collect()
}

/// Opens a directory, in memory that is bounded by its size.
fn open(files: MemoryFiles) -> Option<Engine> {
    let size = files.size();
    let mut opened = None;
    let used = memory::peak(|| opened = Some(open_with(&config(), files.shared(), "", NOW)));
    assert!(used <= 8 * size + (8 << 20), "{used} bytes for a directory of {size}");
    match opened? {
        Ok(core) => Some(Engine::start(core)),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 100_000, threads: false, ..LogConfig::new("nowhere") }
}

/// Damages an image, opens it, goes on with it, and opens it again as a crash would leave it.
fn damaged(choices: &mut Choices<'_>) {
    let image = &IMAGES[choices.below(IMAGES.len())];
    let files = MemoryFiles::of(&image.files);
    while !choices.is_over() && !files.is_empty() {
        files.damage(choices);
    }
    let Some(mut engine) = open(files.clone()) else { return };
    let served = engine.read_all(&CHANNELS);
    is_part_of(&served, image);
    let added: Vec<_> = CHANNELS.iter().filter_map(|channel| engine.append(channel, "after the damage")).collect();
    let crashed = files.copy();
    drop(engine);
    let mut again = open(crashed).expect("a log that was opened and written opens again");
    let later = again.read_all(&CHANNELS);
    for (channel, offset) in added {
        assert!(again.holds(&channel, offset), "{channel} has lost offset {offset}, which was acknowledged");
    }
    for (channel, log) in &served {
        let kept = later.get(channel).is_some_and(|later| log.iter().all(|(at, bytes)| later.get(at) == Some(bytes)));
        assert!(kept, "{channel} has lost what was served before");
    }
}

/// Nothing is served that was not stored so.
fn is_part_of(served: &Log, image: &Image) {
    for (channel, log) in served {
        for (offset, bytes) in log {
            let stored = image.log.get(channel).and_then(|log| log.get::<Offset>(offset));
            assert_eq!(Some(bytes), stored, "{channel} at {offset}");
        }
    }
}
