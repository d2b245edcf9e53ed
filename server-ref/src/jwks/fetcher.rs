use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::KeySet;

/// Sets to fetch; what stands beside them is dropped once each new one was asked for once.
type Work = (Vec<Arc<KeySet>>, mpsc::Sender<()>);

/// Fetches keys, on a thread of its own.
pub(crate) struct Fetcher {
    work: UnboundedSender<Work>,
    thread: JoinHandle<()>,
}

impl Fetcher {
    /// Begins with nothing to fetch, until `stop` is true.
    ///
    /// # Errors
    /// The system's, if it has no room for a thread.
    pub(crate) fn start(stop: watch::Receiver<bool>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (work, todo) = unbounded_channel();
        let run = move || runtime.block_on(run(todo, stop));
        let thread = std::thread::Builder::new().name("moorline-keys".into()).spawn(run)?;
        Ok(Self { work, thread })
    }

    /// Keeps these sets fresh, and no others. Those that were known before are fetched at once. Waits for the others,
    /// at most so long: who is not served by then is told to come back.
    pub(crate) fn work_for(&self, sets: Vec<Arc<KeySet>>, within: Duration) {
        let (asking, asked) = mpsc::channel();
        if self.work.send((sets, asking)).is_ok() {
            let _ = asked.recv_timeout(within);
        }
    }

    /// Waits for its end, after `stop`.
    pub(crate) fn join(self) {
        // A panic of the thread has been printed.
        let _ = self.thread.join();
    }
}

async fn run(mut todo: UnboundedReceiver<Work>, mut stop: watch::Receiver<bool>) {
    let mut working: Vec<(Arc<KeySet>, tokio::task::JoinHandle<()>)> = Vec::new();
    loop {
        let (sets, asking) = tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => break,
            Some(work) = todo.recv() => work,
        };
        working.retain(|(set, task)| {
            let stays = sets.iter().any(|other| Arc::ptr_eq(other, set));
            if !stays {
                task.abort();
            }
            stays
        });
        for set in sets {
            match working.iter().find(|(known, _)| Arc::ptr_eq(known, &set)) {
                Some((known, _)) => known.refresh(),
                None => working.push((Arc::clone(&set), tokio::spawn(keep(set, asking.clone())))),
            }
        }
    }
    working.iter().for_each(|(_, task)| task.abort());
}

/// Keeps a set fresh, for ever.
async fn keep(set: Arc<KeySet>, asking: mpsc::Sender<()>) {
    let mut asking = Some(asking);
    loop {
        let began = Instant::now();
        let again = set.fetch().await;
        drop(asking.take());
        set.wait(again, began).await;
    }
}
