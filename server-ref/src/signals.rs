use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code after a second signal.
const INTERRUPTED: i32 = 130;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To stop.
    Stop,
    /// To read the configuration again.
    Reload,
    /// Nothing came.
    Nothing,
}

/// Listens for SIGTERM and SIGINT, and for SIGHUP where there is something to reload, from its creation on.
pub(crate) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// From now on these signals do not end the process.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn listen(reloads: bool) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let hangup = reloads.then(|| signal(SignalKind::hangup())).transpose()?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Waits for the next one; for a reload, at most so long.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Asked {
        let Self { runtime, terminate, interrupt, hangup } = self;
        let reloads = hangup.is_some();
        let hangup = async {
            match hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = terminate.recv() => Asked::Stop,
                _ = interrupt.recv() => Asked::Stop,
                () = hangup => Asked::Reload,
                () = tokio::time::sleep(at_most), if reloads => Asked::Nothing,
            }
        })
    }

    /// Ends the process with the next one, whatever it is doing then.
    pub(crate) fn exit_at_the_next(mut self) {
        std::thread::spawn(move || {
            while self.wait(Duration::MAX) != Asked::Stop {}
            std::process::exit(INTERRUPTED);
        });
    }
}
