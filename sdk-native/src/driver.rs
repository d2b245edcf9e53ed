//! The one task of a client: socket, timer, token provider, store.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moorline_core::protocol::CloseCode;
use moorline_core::{Input, Output, StoreBatch, StoreError, Ticket, TransportId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::{Shared, TokenProvider};
use crate::error::Error;
use crate::socket::{self, Outgoing};
use crate::store::Store;

/// What happened outside of the core.
pub(crate) enum Happened {
    Input(Input),
    /// The last handle is gone.
    Dropped,
}

type Commit = (Ticket, StoreBatch);

pub(crate) struct Driver {
    happenings: mpsc::UnboundedReceiver<Happened>,
    happened: mpsc::UnboundedSender<Happened>,
    provider: Option<TokenProvider>,
    store: Option<Box<dyn Store>>,
    commits: Option<std::sync::mpsc::Sender<Commit>>,
    socket: Option<Socket>,
    stopping: bool,
}

struct Socket {
    id: TransportId,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    task: JoinHandle<()>,
}

impl Driver {
    pub(crate) fn new(
        store: Box<dyn Store>,
        provider: Option<TokenProvider>,
        happenings: mpsc::UnboundedReceiver<Happened>,
        happened: mpsc::UnboundedSender<Happened>,
    ) -> Self {
        Self { happenings, happened, provider, store: Some(store), commits: None, socket: None, stopping: false }
    }

    pub(crate) async fn run(mut self, shared: Arc<Shared>) {
        while !self.stopping {
            let (todo, deadline) = shared.take_todo();
            for output in todo {
                self.obey(output);
            }
            tokio::select! {
                () = shared.wake.notified() => {}
                happened = self.happenings.recv() => match happened {
                    Some(Happened::Input(input)) => shared.run(|state, now| state.core.handle_input(input, now)),
                    Some(Happened::Dropped) | None => self.stopping = true,
                },
                () = until(deadline) => shared.run(|state, now| state.core.handle_timeout(now)),
            }
        }
        self.drop_socket();
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::OpenTransport { id, url } => self.open(id, url),
            Output::Send { id, bytes } => self.send(id, Outgoing::Message(bytes)),
            Output::CloseTransport { id, code } => self.send(id, Outgoing::Close(code)),
            Output::NeedToken { reason } => {
                let (happened, provider) = (self.happened.clone(), self.provider.clone());
                tokio::spawn(async move {
                    let result = match provider {
                        Some(provider) => provider(reason).await.map(Some).map_err(Error::into_failure),
                        None => Ok(None),
                    };
                    // A driver that has ended needs no token.
                    let _ = happened.send(Happened::Input(Input::Token(result)));
                });
            }
            Output::Persist { ticket, batch } => self.commit(ticket, batch),
            Output::Event(_) => {}
        }
    }

    fn open(&mut self, id: TransportId, url: String) {
        self.drop_socket();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(socket::run(id, url, queue, self.happened.clone()));
        self.socket = Some(Socket { id, outgoing, task });
    }

    fn send(&mut self, id: TransportId, what: Outgoing) {
        let closes = matches!(what, Outgoing::Close(_));
        if let Some(socket) = self.socket.as_ref().filter(|socket| socket.id == id) {
            // A socket that has ended has said so.
            let _ = socket.outgoing.send(what);
        }
        if closes && self.socket.as_ref().is_some_and(|socket| socket.id == id) {
            // Its task says goodbye and ends by itself.
            self.socket = None;
        }
    }

    fn drop_socket(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.task.abort();
        }
    }

    /// Hands a batch to the store's thread, which is started with the first one.
    fn commit(&mut self, ticket: Ticket, batch: StoreBatch) {
        if let Some(mut store) = self.store.take() {
            let (commits, queue) = std::sync::mpsc::channel::<Commit>();
            let happened = self.happened.clone();
            let work = move || {
                for (ticket, batch) in queue {
                    let result = store.commit(batch);
                    if happened.send(Happened::Input(Input::Persisted { ticket, result })).is_err() {
                        break;
                    }
                }
            };
            if std::thread::Builder::new().name("moorline-store".into()).spawn(work).is_ok() {
                self.commits = Some(commits);
            }
        }
        let queued = self.commits.as_ref().is_some_and(|commits| commits.send((ticket, batch)).is_ok());
        if !queued {
            let result = Err(StoreError::Io("the store's thread is gone".into()));
            let _ = self.happened.send(Happened::Input(Input::Persisted { ticket, result }));
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells the driver about a socket.
pub(crate) fn tell(happened: &mpsc::UnboundedSender<Happened>, input: Input) -> bool {
    happened.send(Happened::Input(input)).is_ok()
}

/// Reads a close frame's code.
pub(crate) fn closed(id: TransportId, code: Option<u16>) -> Input {
    Input::TransportClosed { id, code: code.map(CloseCode) }
}

/// A message for the core.
pub(crate) fn arrived(id: TransportId, bytes: Bytes) -> Input {
    Input::Message { id, bytes }
}
