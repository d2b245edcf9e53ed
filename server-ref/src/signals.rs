use std::io;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code after a second signal.
const INTERRUPTED: i32 = 130;

/// Listens for SIGTERM and SIGINT, from its creation on.
pub(crate) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on signals do not end the process.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(entered);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Waits for the next one.
    pub(crate) fn wait(mut self) -> Self {
        self.runtime.block_on(async {
            tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
        });
        self
    }

    /// Ends the process with the next one, whatever it is doing then.
    pub(crate) fn exit_at_the_next(self) {
        std::thread::spawn(move || {
            self.wait();
            std::process::exit(INTERRUPTED);
        });
    }
}
