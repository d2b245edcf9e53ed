use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use moorline_core::protocol::time::{Now, Timestamp};
use moorline_core::protocol::{ChannelName, ErrorCode};
use moorline_core::{
    ClientConfig, ConnectionState, HistoryPage, HostSignal, OutboxStats, Output, PublishId, PublishOutcome, RequestId,
    StateReason, SubscriptionId, TokenReason, TokenSource,
};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::channel::Channel;
use crate::driver::{self, Driver};
use crate::error::Error;
use crate::messages::Event;
use crate::presence::Waiting;
use crate::receipt::{Progress, Receipt, ReceiptState, Restored};
use crate::store::{MemoryStore, Store};
use crate::{socket, tls};

/// What happens to the app or the device around the client.
pub use moorline_core::HostSignal as Lifecycle;

pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<String, Error>> + Send>>;
pub(crate) type TokenProvider = Arc<dyn Fn(TokenReason) -> TokenFuture + Send + Sync>;

/// Settings of a client before it is built.
pub struct Builder {
    config: ClientConfig,
    provider: Option<TokenProvider>,
    store: Box<dyn Store>,
    roots: Vec<Vec<u8>>,
}

impl Builder {
    /// Adds a URL that is tried when the others fail.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.config.urls.push(url.into());
        self
    }

    /// Uses always this token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.config.token = TokenSource::Fixed(token.into());
        self
    }

    /// Asks for a token whenever one is needed: at the first connection, before one expires, when one was refused.
    #[must_use]
    pub fn token_provider<F, R>(mut self, provider: F) -> Self
    where
        F: Fn(TokenReason) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, Error>> + Send + 'static,
    {
        self.config.token = TokenSource::Provider;
        self.provider = Some(Arc::new(move |reason| Box::pin(provider(reason))));
        self
    }

    /// Trusts this root certificate, too, given as PEM (one or more) or DER: for a server with a certificate of your
    /// own or of your company.
    ///
    /// Mozilla's roots are part of this crate and the same on every platform; certificates that were added to the
    /// device are not looked at.
    #[must_use]
    pub fn root_certificate(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.roots.push(certificate.into());
        self
    }

    /// Keeps outbox, device and positions here (default: in memory; [`FileStore`](crate::FileStore) outlives the
    /// process).
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Box::new(store);
        self
    }

    /// Sets whether the server may compress what it sends (default true). Inflating costs a few µs per message.
    #[must_use]
    pub fn compression(mut self, allowed: bool) -> Self {
        self.config.compression = allowed;
        self
    }

    /// Changes settings that have good defaults: backoff, limits of the outbox and of the queues.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Makes the client. Nothing is connected yet: the first use does, or [`Client::connect`].
    ///
    /// # Errors
    /// `request.malformed` for what is no URL of a server, `client.certificate` for what is no certificate, or the
    /// store's error.
    pub fn build(mut self) -> Result<Client, Error> {
        for url in &self.config.urls {
            socket::request(url)?;
        }
        let tls = tls::config(&self.roots)?;
        self.config.sdk = concat!("moorline-rust/", env!("CARGO_PKG_VERSION")).into();
        let stored = self.store.load()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::client("client.random", error.to_string()))?;
        let clock = Clock(Instant::now());
        let core = moorline_core::Client::new(self.config, stored, seed, clock.now())?;
        let (mut receipts, mut restored) = (HashMap::new(), Vec::new());
        for (id, channel, message) in core.restored() {
            let (sender, receiver) = watch::channel(Progress::RESTORED);
            receipts.insert(id, sender);
            let receipt = Receipt::new(message.to_owned(), receiver);
            restored.push(Restored { channel: channel.as_str().to_owned(), receipt });
        }
        let (state, _) = watch::channel((core.state(), StateReason::Requested));
        let (happened, happenings) = mpsc::unbounded_channel();
        let shared = Shared {
            core: Mutex::new(State {
                core,
                readers: HashMap::new(),
                receipts,
                queries: HashMap::new(),
                presence: Waiting::default(),
                todo: Vec::new(),
                flushed: Err(Error::closed()),
                life: Life::Idle(Box::new(Driver::new(self.store, self.provider, tls, happenings, happened.clone()))),
            }),
            wake: Notify::new(),
            clock,
            state,
            closed: watch::channel(false).0,
            restored,
        };
        let shared = Arc::new(shared);
        Ok(Client { guard: Arc::new(Guard { shared: Arc::clone(&shared), happened }), shared })
    }
}

/// Both clocks, from this process's start of the client.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Now { mono: Timestamp::new(self.0.elapsed()), unix }
    }

    pub(crate) fn instant(self, at: Timestamp) -> Option<Instant> {
        self.0.checked_add(at.since_origin())
    }
}

/// What handles, streams and the driver share.
pub(crate) struct Shared {
    core: Mutex<State>,
    pub(crate) wake: Notify,
    pub(crate) clock: Clock,
    state: watch::Sender<(ConnectionState, StateReason)>,
    closed: watch::Sender<bool>,
    restored: Vec<Restored>,
}

pub(crate) struct State {
    pub(crate) core: moorline_core::Client,
    pub(crate) readers: HashMap<SubscriptionId, mpsc::UnboundedSender<Event>>,
    pub(crate) receipts: HashMap<PublishId, watch::Sender<Progress>>,
    pub(crate) queries: HashMap<RequestId, oneshot::Sender<Result<HistoryPage, Error>>>,
    pub(crate) presence: Waiting,
    /// What the driver has to do.
    pub(crate) todo: Vec<Output>,
    life: Life,
    /// Whether the store had everything, or was cleared, when the core was done.
    flushed: Result<(), Error>,
}

/// Where the driver is.
enum Life {
    /// Here, before the first use.
    Idle(Box<Driver>),
    Running,
    Ended,
}

impl State {
    /// Nobody drives the core any more: tells everybody whom it has not told.
    fn end(&mut self) {
        self.readers.clear();
        for (_, receipt) in self.receipts.drain() {
            receipt.send_modify(|progress| progress.end = Some(Error::closed()));
        }
        self.queries.clear();
        self.presence.end();
    }

    /// Takes readers off that get nothing more.
    fn end_readers(&mut self, ids: &[SubscriptionId], error: Error) {
        for reader in ids.iter().filter_map(|id| self.readers.remove(id)) {
            if error.code() != ErrorCode::ClientClosed.name() {
                // A reader that is being dropped wants nothing more.
                let _ = reader.send(Event::Ended(error.clone()));
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command or an input on the core, hands out its events, and wakes the driver for the rest.
    pub(crate) fn run<R>(&self, act: impl FnOnce(&mut State, Now) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state, self.clock.now());
        while let Some(output) = state.core.poll_output() {
            if let Output::Event(event) = output {
                self.hand_out(&mut state, event);
            } else {
                state.todo.push(output);
            }
        }
        drop(state);
        self.wake.notify_one();
        result
    }

    pub(crate) fn input(&self, input: moorline_core::Input) {
        self.run(|state, now| state.core.handle_input(input, now));
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not named here is treated alike, also in later versions"
    )]
    fn hand_out(&self, state: &mut State, event: moorline_core::Event) {
        use moorline_core::Event as Core;
        match event {
            Core::StateChanged { state: now, reason } => {
                self.state.send_replace((now, reason));
            }
            Core::PublishQueued { id } => progress(state, id, |progress| progress.is_kept = true),
            Core::PublishSent { id } => progress(state, id, |progress| progress.state = ReceiptState::Sent),
            Core::PublishSettled { id, outcome, .. } => {
                progress(state, id, |progress| match outcome {
                    PublishOutcome::Sent => progress.state = ReceiptState::Sent,
                    PublishOutcome::Stored(stored) => progress.state = ReceiptState::Stored(stored.into()),
                    PublishOutcome::Failed(failure) => progress.state = ReceiptState::Failed(failure.into()),
                    PublishOutcome::Uncertain => progress.state = ReceiptState::Uncertain,
                    PublishOutcome::Kept(failure) => progress.end = Some(failure.into()),
                });
                state.receipts.remove(&id);
            }
            Core::HistoryFinished { id, result } => {
                if let Some(query) = state.queries.remove(&id) {
                    // Whoever asked may have gone.
                    let _ = query.send(result.map_err(Into::into));
                }
            }
            Core::SubscriptionEnded { readers, failure } => state.end_readers(&readers, failure.into()),
            Core::Closed { result } => {
                state.flushed = result.clone().map_err(Error::from);
                state.todo.push(Output::Event(Core::Closed { result }));
            }
            event => {
                if let Some(event) = state.presence.hand_out(event) {
                    Event::dispatch(event, &state.readers);
                }
            }
        }
    }

    pub(crate) fn take_todo(&self) -> (Vec<Output>, Option<Instant>) {
        let mut state = self.lock();
        let todo = std::mem::take(&mut state.todo);
        (todo, state.core.poll_timeout().and_then(|at| self.clock.instant(at)))
    }

    /// The driver has ended: closed, or its runtime is gone.
    pub(crate) fn end(&self) {
        self.run(|state, now| {
            state.life = Life::Ended;
            state.core.close(false, now);
            state.end();
        });
        self.state.send_if_modified(|(state, reason)| {
            let is_open = *state != ConnectionState::Closed;
            if is_open {
                (*state, *reason) = (ConnectionState::Closed, StateReason::Requested);
            }
            is_open
        });
        self.closed.send_replace(true);
    }
}

fn progress(state: &State, id: PublishId, change: impl FnOnce(&mut Progress)) {
    if let Some(receipt) = state.receipts.get(&id) {
        receipt.send_modify(change);
    }
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
}

impl Client {
    /// Begins to make a client for a server.
    pub fn builder(url: impl Into<String>) -> Builder {
        let store = Box::new(MemoryStore::default());
        Builder { config: ClientConfig::new(url), provider: None, store, roots: Vec::new() }
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
            Life::Running => return Ok(()),
            Life::Ended => {
                state.life = Life::Ended;
                return Err(Error::closed());
            }
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            state.life = Life::Idle(driver);
            return Err(Error::client("client.runtime", "a client is used inside a tokio runtime"));
        };
        drop(state);
        runtime.spawn(driver.run(Arc::clone(&self.shared)));
        self.shared.run(|state, now| state.core.connect(now));
        Ok(())
    }

    /// Connects and waits until the server has welcomed this client, however long that takes.
    ///
    /// # Errors
    /// A final refusal (a bad token, for instance), with the server's code.
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
                _ => {}
            }
            if state.changed().await.is_err() {
                return Err(Error::closed());
            }
        }
    }

    /// Returns the connection's state.
    pub fn state(&self) -> ConnectionState {
        self.shared.state.borrow().0
    }

    /// Returns a receiver of states and why they changed.
    pub fn states(&self) -> watch::Receiver<(ConnectionState, StateReason)> {
        self.shared.state.subscribe()
    }

    /// Returns what waits in the outbox.
    pub fn outbox(&self) -> OutboxStats {
        self.shared.lock().core.outbox()
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
    /// Why the store may not be cleared: its own error, or `client.closed` if the client had ended before.
    pub async fn close_and_wipe(&self) -> Result<(), Error> {
        self.finish(true).await
    }

    async fn finish(&self, wipe: bool) -> Result<(), Error> {
        let mut closed = self.shared.closed.subscribe();
        self.start()?;
        self.shared.run(|state, now| state.core.close(wipe, now));
        // The sender lives as long as this client.
        let _ = closed.wait_for(|closed| *closed).await;
        self.shared.lock().flushed.clone()
    }
}

/// Reads a channel's name.
pub(crate) fn channel_name(name: &str) -> Result<ChannelName, Error> {
    ChannelName::new(name).map_err(|error| Error::client("channel.invalid", error.to_string()))
}
