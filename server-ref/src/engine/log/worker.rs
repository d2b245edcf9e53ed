//! Work beside the batches: one job after the other, on a thread of its own or between turns.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// See the module's documentation. A thread does what waits before it ends.
pub(super) enum Worker<T> {
    /// On a thread.
    Thread {
        jobs: Option<mpsc::Sender<Job<T>>>,
        done: mpsc::Receiver<T>,
        thread: Option<JoinHandle<()>>,
        /// Jobs that were not yet seen to be done.
        waiting: usize,
    },
    /// One job each time somebody looks.
    Turns(VecDeque<Job<T>>),
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job<T>>();
        let (finished, done) = mpsc::channel();
        let run = move || {
            for job in todo {
                // Nobody looks any more when the log was closed meanwhile.
                let _ = finished.send(job());
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self::Thread { jobs: Some(jobs), done, thread: Some(thread), waiting: 0 })
    }

    /// Goes on on a thread.
    pub(super) fn start_thread(&mut self, name: &str) -> io::Result<()> {
        let mut before = std::mem::replace(self, Self::start(name)?);
        if let Self::Turns(jobs) = &mut before {
            jobs.drain(..).for_each(|job| self.submit(job));
        }
        Ok(())
    }

    /// Returns one without a thread.
    pub(super) fn in_turns() -> Self {
        Self::Turns(VecDeque::new())
    }

    pub(super) fn submit(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        match self {
            Self::Thread { jobs, waiting, .. } => {
                // The thread lives as long as this sender.
                let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(Box::new(job)).is_ok());
                *waiting += usize::from(sent);
            }
            Self::Turns(jobs) => jobs.push_back(Box::new(job)),
        }
    }

    /// Returns what a job came to, if one is done.
    pub(super) fn poll(&mut self) -> Option<T> {
        match self {
            Self::Thread { done, waiting, .. } => done.try_recv().ok().inspect(|_| *waiting -= 1),
            Self::Turns(jobs) => jobs.pop_front().map(|job| job()),
        }
    }

    /// Waits for a job; `None` if there is none.
    pub(super) fn wait(&mut self) -> Option<T> {
        match self {
            Self::Thread { waiting: 0, .. } => None,
            Self::Thread { done, waiting, .. } => done.recv().ok().inspect(|_| *waiting -= 1),
            Self::Turns(_) => self.poll(),
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        if let Self::Thread { jobs, thread, .. } = self {
            *jobs = None;
            if let Some(thread) = thread.take() {
                // A panic of the thread has been printed.
                let _ = thread.join();
            }
        }
    }
}
