//! The one task of a client: socket, timer, token provider, store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moorline_core::{Event, Failure, Input, Output, StoreBatch, StoreError, Ticket, TransportId};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::builder::TokenProvider;
use crate::error::Error;
use crate::log::LogLevel;
use crate::shared::Shared;
use crate::socket::Socket;
use crate::store::{Store, StoreThread};

/// The core has waited for the store before; it is released within so long, or never.
const PATIENCE: Duration = Duration::from_secs(2);

/// What happened outside of the core.
pub(crate) enum Happened {
    Input(Input),
    /// Something for the log.
    Line(LogLevel, String),
    /// The last handle is gone.
    Dropped,
}

type Token = Result<Option<String>, Failure>;

pub(crate) struct Driver {
    happenings: mpsc::UnboundedReceiver<Happened>,
    happened: mpsc::UnboundedSender<Happened>,
    provider: Option<TokenProvider>,
    tls: Arc<rustls::ClientConfig>,
    store: StoreState,
    socket: Option<(Socket, AbortHandle)>,
    /// The current socket, and older ones that say goodbye.
    sockets: JoinSet<()>,
    tokens: JoinSet<Token>,
}

enum StoreState {
    /// Nothing was written yet.
    Idle(Box<dyn Store>),
    Running(StoreThread),
    /// No thread could be had.
    Gone,
}

/// How a driver ends.
enum End {
    /// The core is done, and everything is flushed.
    Closed,
    /// Nobody is there any more.
    Dropped,
}

impl Driver {
    pub(crate) fn new(
        store: Box<dyn Store>,
        provider: Option<TokenProvider>,
        tls: Arc<rustls::ClientConfig>,
        happenings: mpsc::UnboundedReceiver<Happened>,
        happened: mpsc::UnboundedSender<Happened>,
    ) -> Self {
        Self {
            happenings,
            happened,
            provider,
            tls,
            store: StoreState::Idle(store),
            socket: None,
            sockets: JoinSet::new(),
            tokens: JoinSet::new(),
        }
    }

    pub(crate) fn run(self, shared: Arc<Shared>) -> impl Future<Output = ()> + Send + 'static {
        // Also when the runtime ends before the client does, or before this has had its turn.
        let ended = Ended(shared);
        self.run_to(ended)
    }

    async fn run_to(mut self, ended: Ended) {
        let end = self.work(&ended.0).await;
        match end {
            End::Closed => {
                if let StoreState::Running(thread) = std::mem::replace(&mut self.store, StoreState::Gone)
                    && tokio::time::timeout(PATIENCE, thread.finish()).await.is_err()
                {
                    ended.0.say(LogLevel::Error, "the store does not answer: it is left as it is".into());
                }
                while self.sockets.join_next().await.is_some() {}
            }
            // What was published is kept, as far as the store gets on without anybody waiting for it.
            End::Dropped => {
                for output in ended.0.take_todo().0 {
                    if let Output::Persist { ticket, batch } = output {
                        self.commit(ticket, batch);
                    }
                }
            }
        }
    }

    async fn work(&mut self, shared: &Shared) -> End {
        loop {
            let (todo, deadline) = shared.take_todo();
            for output in todo {
                if let Output::Event(Event::Closed { .. }) = output {
                    return End::Closed;
                }
                self.obey(output, shared);
            }
            tokio::select! {
                () = shared.wake.notified() => {}
                happened = self.happenings.recv() => match happened {
                    Some(Happened::Input(input)) => {
                        if let Input::Persisted { result: Err(error), .. } = &input {
                            shared.say(LogLevel::Error, format!("the store failed: {error}"));
                        }
                        shared.input(input);
                    }
                    Some(Happened::Line(level, text)) => shared.say(level, text),
                    Some(Happened::Dropped) | None => return End::Dropped,
                },
                Some(token) = self.tokens.join_next() => {
                    let token = token.unwrap_or_else(panicked);
                    if let Err(failure) = &token {
                        shared.say(LogLevel::Warn, format!("there is no token: {}", failure.message));
                    }
                    shared.input(Input::Token(token));
                }
                Some(_) = self.sockets.join_next() => {}
                () = until(deadline) => shared.run(|state, now| state.core.handle_timeout(now)),
            }
        }
    }

    fn obey(&mut self, output: Output, shared: &Shared) {
        match output {
            Output::OpenTransport { id, url } => {
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                shared.say(LogLevel::Debug, format!("opens {shown}"));
                self.open(id, url);
            }
            Output::Send { id, bytes } => {
                if let Some((socket, _)) = self.socket.as_ref().filter(|(socket, _)| socket.id() == id) {
                    socket.send(bytes);
                }
            }
            Output::CloseTransport { id, code } => {
                if let Some((socket, _)) = self.socket.take_if(|(socket, _)| socket.id() == id) {
                    socket.close(code);
                }
            }
            Output::NeedToken { reason } => {
                shared.say(LogLevel::Debug, format!("asks for a token ({reason:?})"));
                let provider = self.provider.clone();
                self.tokens.spawn(async move {
                    match provider {
                        Some(provider) => provider(reason).await.map(Some).map_err(Error::into_failure),
                        None => Ok(None),
                    }
                });
            }
            Output::Persist { ticket, batch } => self.commit(ticket, batch),
            Output::Event(_) => {}
        }
    }

    fn open(&mut self, id: TransportId, url: String) {
        if let Some((_, task)) = self.socket.take() {
            task.abort();
        }
        let (socket, ends) = Socket::new(id, self.happened.clone());
        let task = self.sockets.spawn(ends.run(url, Arc::clone(&self.tls)));
        self.socket = Some((socket, task));
    }

    /// Hands a batch to the store's thread, which is started with the first one.
    fn commit(&mut self, ticket: Ticket, batch: StoreBatch) {
        self.store = match std::mem::replace(&mut self.store, StoreState::Gone) {
            StoreState::Idle(store) => {
                let happened = self.happened.clone();
                let answer = move |ticket, result| {
                    // A client that is gone needs no answer.
                    let _ = happened.send(Happened::Input(Input::Persisted { ticket, result }));
                };
                StoreThread::start(store, answer).map_or(StoreState::Gone, StoreState::Running)
            }
            state @ (StoreState::Running(_) | StoreState::Gone) => state,
        };
        let queued = matches!(&self.store, StoreState::Running(thread) if thread.commit(ticket, batch));
        if !queued {
            let result = Err(StoreError::Io("its thread is gone".into()));
            // As above.
            let _ = self.happened.send(Happened::Input(Input::Persisted { ticket, result }));
        }
    }
}

/// Tells everybody who waits that nothing comes any more.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn panicked(_: JoinError) -> Token {
    Err(Error::token("the token provider panicked").into_failure())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
