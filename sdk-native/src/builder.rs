use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use moorline_core::{ClientConfig, TokenReason, TokenSource};
use tokio::sync::{mpsc, watch};

use crate::client::{Client, Home};
use crate::driver::Driver;
use crate::error::Error;
use crate::queue::Room;
use crate::receipt::{Progress, Receipt, Restored};
use crate::shared::{Clock, Shared, State};
use crate::store::{MemoryStore, Store};
use crate::{socket, tls};

pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<String, Error>> + Send>>;
pub(crate) type TokenProvider = Arc<dyn Fn(TokenReason) -> TokenFuture + Send + Sync>;

/// Settings of a client before it is built.
pub struct Builder {
    config: ClientConfig,
    provider: Option<TokenProvider>,
    store: Box<dyn Store>,
    roots: Vec<Vec<u8>>,
    home: Home,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        let mut config = ClientConfig::new(url);
        config.sdk = concat!("moorline-rust/", env!("CARGO_PKG_VERSION")).into();
        Self { config, provider: None, store: Box::new(MemoryStore::default()), roots: Vec::new(), home: Home::Caller }
    }

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

    /// Runs the client on a thread of its own, with a runtime of its own, from the first use until it is closed or
    /// dropped: for apps that have no tokio runtime. Waits may then be polled by any executor.
    #[must_use]
    pub fn own_thread(mut self) -> Self {
        self.home = Home::Own;
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
    /// `request.malformed` for what is no URL of a server, and for a limit or a timeout of zero; `client.certificate` for what is no certificate, or the
    /// store's error.
    pub fn build(mut self) -> Result<Client, Error> {
        for url in &self.config.urls {
            socket::request(url)?;
        }
        check(&self.config)?;
        let tls = tls::config(&self.roots)?;
        let stored = self.store.load()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::client("client.random", error.to_string()))?;
        let clock = Clock(Instant::now());
        let room = Room { messages: self.config.queue_messages, bytes: self.config.queue_bytes };
        let core = moorline_core::Client::new(self.config, stored, seed, clock.now())?;
        let (mut receipts, mut restored) = (HashMap::new(), Vec::new());
        for (id, channel, message) in core.restored() {
            let (sender, receiver) = watch::channel(Progress::RESTORED);
            receipts.insert(id, sender);
            let receipt = Receipt::new(message.to_owned(), receiver);
            restored.push(Restored { channel: channel.as_str().to_owned(), receipt });
        }
        let (happened, happenings) = mpsc::unbounded_channel();
        let driver = Driver::new(self.store, self.provider, tls, happenings, happened.clone());
        let shared = Arc::new(Shared::new(State::new(core, receipts, driver, room), clock, restored));
        Ok(Client::new(shared, self.home, happened))
    }
}

/// Refuses settings with which nothing would ever be sent.
///
/// # Errors
/// `request.malformed`.
fn check(config: &ClientConfig) -> Result<(), Error> {
    let settings = [
        ("connect_timeout", config.connect_timeout_ms == 0),
        ("outbox_messages", config.outbox_messages == 0),
        ("outbox_bytes", config.outbox_bytes == 0),
    ];
    match settings.into_iter().find(|(_, is_zero)| *is_zero) {
        Some((name, _)) => Err(Error::client("request.malformed", format!("`{name}` is above zero"))),
        None => Ok(()),
    }
}
