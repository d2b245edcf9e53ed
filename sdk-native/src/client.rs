use std::sync::Arc;

use moorline_core::protocol::ChannelName;
use moorline_core::{ConnectionState, HostSignal, OutboxStats, StateReason};
use tokio::sync::{mpsc, watch};

use crate::builder::Builder;
use crate::channel::Channel;
use crate::connection::Connection;
use crate::driver;
use crate::error::Error;
use crate::log::LogLine;
use crate::reader::{Nobody, Reader};
use crate::receipt::Restored;
use crate::shared::{Life, Shared};

/// What happens to the app or the device around the client.
pub use moorline_core::HostSignal as Lifecycle;

/// Where a client runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the runtime of whoever uses it first.
    Caller,
    /// On a thread of its own.
    Own,
}

/// Ends the driver with the last handle.
struct Guard {
    shared: Arc<Shared>,
    happened: mpsc::UnboundedSender<driver::Happened>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A driver that has ended already needs no telling.
        let _ = self.happened.send(driver::Happened::Dropped);
        self.shared.wake.notify_one();
    }
}

/// A client: one connection, one outbox. Cheap to clone.
///
/// [`close`](Self::close) ends it properly. When the last handle (clones, channels, streams) goes without it, the
/// connection ends at once and without a goodbye; what was published is still written to the store, in the background,
/// and nothing is left running. A store that is needed again at once should be closed.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    guard: Arc<Guard>,
    home: Home,
}

impl Client {
    /// Begins to make a client for a server.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(shared: Arc<Shared>, home: Home, happened: mpsc::UnboundedSender<driver::Happened>) -> Self {
        Self { guard: Arc::new(Guard { shared: Arc::clone(&shared), happened }), shared, home }
    }

    /// Names a channel, to read it or to publish on it.
    pub fn channel(&self, name: impl Into<String>) -> Channel {
        Channel::new(self.clone(), name.into())
    }

    /// Starts the driver and the first connection, once.
    pub(crate) fn start(&self) -> Result<(), Error> {
        debug_assert!(Arc::ptr_eq(&self.shared, &self.guard.shared), "a guard guards its own client");
        let mut state = self.shared.lock();
        let driver = match std::mem::replace(&mut state.life, Life::Running) {
            Life::Idle(driver) => driver,
            Life::Running => return state.check(),
            Life::Ended => {
                state.life = Life::Ended;
                return Err(Error::closed());
            }
        };
        let runtime = match self.home.runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                state.life = Life::Idle(driver);
                return Err(error);
            }
        };
        drop(state);
        runtime.start(driver.run(Arc::clone(&self.shared)))?;
        self.shared.run(|state, now| state.core.connect(now));
        Ok(())
    }

    /// Connects and waits until the server has welcomed this client, however long that takes.
    ///
    /// # Errors
    /// A final refusal (a bad token, for instance), with the server's code; `request.order` when
    /// [`disconnect`](Self::disconnect) is called meanwhile.
    pub async fn connect(&self) -> Result<(), Error> {
        let mut state = self.shared.state.subscribe();
        self.start()?;
        self.shared.run(|state, now| state.core.connect(now));
        loop {
            let (now, reason) = state.borrow_and_update().clone();
            match (now, reason) {
                (ConnectionState::Online, _) => return Ok(()),
                (ConnectionState::Closed, StateReason::Refused(failure)) => return Err(failure.into()),
                (ConnectionState::Closed, _) => return Err(Error::closed()),
                (ConnectionState::Idle, _) => return Err(Error::client("request.order", "disconnect() was called")),
                _ => {}
            }
            if state.changed().await.is_err() {
                return Err(Error::closed());
            }
        }
    }

    /// Disconnects; subscriptions and the outbox stay. [`connect`](Self::connect) goes on.
    pub fn disconnect(&self) {
        self.shared.run(|state, now| state.core.disconnect(now));
    }

    /// Returns the connection's state.
    pub fn state(&self) -> ConnectionState {
        self.shared.state.borrow().0
    }

    /// Returns a receiver of states and why they changed.
    pub fn states(&self) -> watch::Receiver<(ConnectionState, StateReason)> {
        self.shared.state.subscribe()
    }

    /// Returns the connection with what is known of it.
    pub fn connection(&self) -> Connection {
        self.shared.connection()
    }

    /// Follows the connection, beginning with what it is now. What is not read is told as one: the newest.
    pub fn connections(&self) -> Reader<Connection> {
        Reader::new(self.shared.lock().standing.follow_connection(), Box::new(Nobody))
    }

    /// Returns what waits in the outbox.
    pub fn outbox(&self) -> OutboxStats {
        self.shared.outbox()
    }

    /// Follows the outbox, beginning with what it is now. What is not read is told as one: the newest.
    pub fn outboxes(&self) -> Reader<OutboxStats> {
        Reader::new(self.shared.lock().standing.follow_outbox(), Box::new(Nobody))
    }

    /// Follows what this client says of itself from now on. `tracing` hears the same, with the target `moorline`. A reader that is
    /// slow loses lines when 256 wait, and is told how many.
    pub fn logs(&self) -> Reader<LogLine> {
        Reader::new(self.shared.lock().log.follow(), Box::new(Nobody))
    }

    /// Returns what the store had in its outbox when this client was built. It goes out by itself once the client is
    /// connected, as it would have from the process that published it.
    pub fn restored(&self) -> Vec<Restored> {
        self.shared.restored.clone()
    }

    /// Returns a record of what this client was told, at most 256 KiB, to go with a report of a fault:
    /// `cargo xtask replay FILE` prints and runs it. Payloads, header values and tokens are not in it; names of channels
    /// and users, message ids and URLs (without their queries) are.
    pub fn blackbox(&self) -> Vec<u8> {
        self.shared.lock().core.blackbox()
    }

    /// Tells the client what happens to the device or the app.
    pub fn lifecycle(&self, signal: HostSignal) {
        self.shared.run(|state, now| state.core.handle_input(moorline_core::Input::Host(signal), now));
    }

    /// Says where your backend reaches this device while its user is away, such as with the token of a push service: 1 to
    /// 512 bytes; the server's offline hook hands it on (`docs/webhooks.md`). Say it after each start; `None`, and
    /// [`close_and_wipe`](Self::close_and_wipe), have the server forget it.
    ///
    /// # Errors
    /// `request.malformed` for an empty or too long handle, `client.closed`.
    pub fn set_push_handle(&self, handle: Option<&str>) -> Result<(), Error> {
        let handle = handle.map(Into::into);
        Ok(self.shared.run(|state, now| state.core.set_push_handle(handle, now))?)
    }

    /// Sends outstanding acknowledgements, flushes the store and closes it. Unsent messages stay in the store; their
    /// receipts and all streams end. Takes at most seconds, also without a connection.
    pub async fn close(&self) {
        // What the store did not take, its receipt has told.
        let _ = self.finish(false).await;
    }

    /// Logs out: as [`close`](Self::close), and nothing of this user stays in the store.
    ///
    /// # Errors
    /// Why the store may not be cleared: its own error, or `client.closed` if the client had ended before without that.
    pub async fn close_and_wipe(&self) -> Result<(), Error> {
        self.finish(true).await
    }

    async fn finish(&self, wipe: bool) -> Result<(), Error> {
        let mut closed = self.shared.closed.subscribe();
        // What was refused can still be closed.
        let begun = match self.start() {
            Err(error) if self.shared.lock().is_unused() => Err(error),
            _ => self.shared.run(|state, now| state.close(wipe, now)),
        };
        if begun.is_err() && self.shared.lock().is_unused() {
            // Nothing drives it to its end.
            self.shared.end();
        }
        // The sender lives as long as this client.
        let _ = closed.wait_for(|closed| *closed).await;
        let state = self.shared.lock();
        if state.wipes { state.flushed.clone() } else { begun.and_then(|()| state.flushed.clone()) }
    }
}

impl Home {
    /// # Errors
    /// There is none, or the system gives none.
    fn runtime(self) -> Result<Runtime, Error> {
        let missing = |error: &dyn std::fmt::Display| Error::client("client.runtime", error.to_string());
        match self {
            Self::Caller => match tokio::runtime::Handle::try_current() {
                Ok(handle) => Ok(Runtime::Caller(handle)),
                Err(_) => Err(missing(&"a client is used inside a tokio runtime")),
            },
            Self::Own => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => Ok(Runtime::Own(runtime)),
                Err(error) => Err(missing(&error)),
            },
        }
    }
}

/// What a driver runs on.
enum Runtime {
    Caller(tokio::runtime::Handle),
    Own(tokio::runtime::Runtime),
}

impl Runtime {
    /// Starts the driver.
    ///
    /// # Errors
    /// The system gives no thread.
    fn start(self, driver: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let runtime = match self {
            Self::Caller(handle) => {
                handle.spawn(driver);
                return Ok(());
            }
            Self::Own(runtime) => runtime,
        };
        let work = move || {
            runtime.block_on(driver);
            // A name that is still being looked up keeps nobody.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("moorline".into()).spawn(work);
        thread.map(drop).map_err(|error| Error::client("client.runtime", format!("no thread for the client: {error}")))
    }
}

/// Reads a channel's name.
pub(crate) fn channel_name(name: &str) -> Result<ChannelName, Error> {
    ChannelName::new(name).map_err(|error| Error::client("channel.invalid", error.to_string()))
}
