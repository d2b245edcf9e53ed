//! Reads that need the disk, on a thread of their own: the commit thread never waits for them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use bytes::Bytes;

use super::files::LogFile;
use super::places::Place;
use crate::engine::core::{Kept, Part, PendingRead, page};
use crate::engine::turn::Sinks;
use crate::engine::{Completion, EngineError, Reply};

struct Job {
    read: PendingRead,
    places: Vec<(Arc<dyn LogFile>, Place)>,
    answer: Sinks,
}

/// The reading thread.
pub(super) struct Reader {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let run = move || {
            for job in waiting {
                let (shard, ticket) = (job.read.shard, job.read.ticket);
                let result = fetch(&job).map_err(|error| {
                    tracing::error!(%error, "reading the log failed");
                    EngineError::Unavailable
                });
                job.answer.send(shard, vec![Reply::Completed(ticket, result)]);
            }
        };
        let thread = std::thread::Builder::new().name("moorline-read".into()).spawn(run)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) fn read(&self, read: PendingRead, places: Vec<(Arc<dyn LogFile>, Place)>, answer: Sinks) {
        if let Some(jobs) = &self.jobs {
            // The thread lives as long as this sender.
            let _ = jobs.send(Job { read, places, answer });
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fetch(job: &Job) -> io::Result<Completion> {
    let query = &job.read.bounds.query;
    let down = matches!(query.part, Part::Down { .. });
    let mut kept = Vec::with_capacity(job.places.len());
    let mut bytes = 0;
    let count = job.places.len();
    for index in 0..count {
        let Some((file, place)) = job.places.get(if down { count - 1 - index } else { index }) else { break };
        let message = read_place(file.as_ref(), *place)?;
        bytes += message.bytes.len();
        if bytes > query.max_bytes && !kept.is_empty() {
            break;
        }
        kept.push(message);
    }
    if down {
        kept.reverse();
    }
    Ok(Completion::Read(page(&job.read.bounds, kept)))
}

/// Reads the message of one record.
pub(super) fn read_place(file: &dyn LogFile, place: Place) -> io::Result<Kept> {
    let mut bytes = vec![0; place.len as usize];
    file.read_at(&mut bytes, u64::from(place.at))?;
    super::kept(&mut Bytes::from(bytes)).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a message"))
}
