use std::sync::Arc;
use std::time::Duration;

use moorline::{Builder, Client, ClientConfig, FileStore};

use crate::cancel::{FfiCancel, unless};
use crate::channel::FfiChannel;
use crate::error::FfiError;
use crate::live::{CLIENTS, Counted};
use crate::options::{FfiChannelOptions, FfiClientOptions};
use crate::reader::FfiReader;
use crate::receipt::FfiReceipt;
use crate::records::{FfiConnection, FfiOutbox, FfiPayload, FfiSignal, FfiUserStatus};
use crate::token::{FfiTokenProvider, provider};

/// A client: one connection, one outbox. Released without being closed, it ends at once and without a goodbye; what was
/// published is still written to its store.
#[derive(uniffi::Object)]
pub struct FfiClient {
    client: Client,
    _counted: Counted,
}

#[uniffi::export]
impl FfiClient {
    /// Makes a client and reads its store; nothing is connected, and no thread started, before it is used.
    ///
    /// Fails with `request.malformed` for what is no URL of a server, `client.certificate`, `client.store_locked`,
    /// `client.store_corrupt`, `client.store_newer`.
    #[uniffi::constructor(default(tokens = None))]
    pub fn new(options: FfiClientOptions, tokens: Option<Arc<dyn FfiTokenProvider>>) -> Result<Arc<Self>, FfiError> {
        let mut builder = options.into_builder()?;
        if let Some(tokens) = tokens {
            builder = builder.token_provider(provider(tokens));
        }
        Ok(Arc::new(Self { client: builder.build()?, _counted: Counted::new(&CLIENTS) }))
    }

    /// Connects, and waits until the server has welcomed this client, however long that takes. Fails with a final refusal.
    #[uniffi::method(default(cancel = None))]
    pub async fn connect(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), FfiError> {
        unless(cancel, self.client.connect()).await
    }

    /// Disconnects; channels and the outbox stay. `connect` goes on.
    pub fn disconnect(&self) {
        self.client.disconnect();
    }

    /// Returns the connection with what is known of it.
    pub fn connection(&self) -> FfiConnection {
        self.client.connection().into()
    }

    /// Follows the connection, beginning with what it is now; the newest counts. Ends when the client is closed.
    pub fn connections(&self) -> Arc<FfiReader> {
        FfiReader::new(self.client.connections())
    }

    /// Returns what waits to be sent.
    pub fn outbox(&self) -> FfiOutbox {
        self.client.outbox().into()
    }

    /// Follows the outbox, beginning with what it is now; the newest counts. Ends when the client is closed.
    pub fn outboxes(&self) -> Arc<FfiReader> {
        FfiReader::new(self.client.outboxes())
    }

    /// Follows what this client says of itself from now on; a reader that is slow is told how many lines it has lost. Ends when
    /// the client is closed, after the last line.
    pub fn logs(&self) -> Arc<FfiReader> {
        FfiReader::new(self.client.logs())
    }

    /// Returns what the store had in its outbox when this client was made; it goes out by itself.
    pub fn restored(&self) -> Vec<Arc<FfiReceipt>> {
        self.client.restored().into_iter().map(|restored| FfiReceipt::new(restored.channel, restored.receipt)).collect()
    }

    /// Names a channel, to read it or to publish on it. Nothing is read before a reader is opened. Fails with
    /// `channel.invalid`, or with `request.malformed` for options that are none.
    pub fn channel(&self, name: String, options: FfiChannelOptions) -> Result<Arc<FfiChannel>, FfiError> {
        FfiChannel::new(options.apply(self.client.channel(name))?)
    }

    /// Asks which of at most 500 users are online.
    #[uniffi::method(default(cancel = None))]
    pub async fn status(
        &self,
        users: Vec<String>,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<Vec<FfiUserStatus>, FfiError> {
        let statuses = unless(cancel, self.client.status(users)).await?;
        Ok(statuses.into_iter().map(Into::into).collect())
    }

    /// Asks the app's backend something and waits for its answer, at most `timeout_ms` (1–30,000, default 10,000). `id` (1–128
    /// bytes, default: random) names the call for the backend. A call is sent once at most; cancelling does not take back
    /// what was sent.
    #[uniffi::method(default(timeout_ms = None, id = None, cancel = None))]
    pub async fn call(
        &self,
        method: String,
        payload: FfiPayload,
        timeout_ms: Option<u32>,
        id: Option<String>,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<FfiPayload, FfiError> {
        let mut call = self.client.call(method, payload.into_native()?);
        if let Some(ms) = timeout_ms {
            call = call.timeout(Duration::from_millis(ms.into()));
        }
        if let Some(id) = id {
            call = call.id(id);
        }
        unless(cancel, call.send()).await.map(|answer| FfiPayload::from(&answer))
    }

    /// Follows whether at most 500 users are online; the newest of each counts. A later reader takes over.
    pub fn statuses(&self, users: Vec<String>) -> Result<Arc<FfiReader>, FfiError> {
        Ok(FfiReader::new(self.client.statuses(users)?))
    }

    /// Tells the client what happens to the app or the device.
    pub fn lifecycle(&self, signal: FfiSignal) {
        self.client.lifecycle(signal.into());
    }

    /// Says where a backend reaches this device while its user is away (1–512 bytes); `None` takes it back.
    pub fn set_push_handle(&self, handle: Option<String>) -> Result<(), FfiError> {
        Ok(self.client.set_push_handle(handle.as_deref())?)
    }

    /// Returns a record of what this client was told, at most 256 KiB, for a report of a fault.
    pub fn blackbox(&self) -> Vec<u8> {
        self.client.blackbox()
    }

    /// Sends outstanding acknowledgements, flushes the store and closes it; takes seconds at most, also without a connection.
    /// With `wipe` (a logout) nothing of this user stays, or it fails with why the store may not be cleared.
    pub async fn close(&self, wipe: bool) -> Result<(), FfiError> {
        if wipe {
            return Ok(self.client.close_and_wipe().await?);
        }
        self.client.close().await;
        Ok(())
    }
}

impl FfiClientOptions {
    fn into_builder(self) -> Result<Builder, FfiError> {
        let mut urls = self.urls.clone().into_iter();
        let mut builder = Client::builder(urls.next().unwrap_or_default()).own_thread().compression(self.compression);
        builder = urls.fold(builder, Builder::url);
        builder = self.root_certificates.iter().fold(builder, |builder, pem| builder.root_certificate(pem.clone()));
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        if let Some(path) = &self.store {
            builder = builder.store(FileStore::open(path)?);
        }
        #[cfg(feature = "planted-bugs")]
        {
            let bugs = crate::planted::bugs()?;
            builder = builder.configure(|config| config.bugs = bugs);
        }
        Ok(builder.configure(|config| self.configure(config)))
    }

    fn configure(self, config: &mut ClientConfig) {
        config.sdk = self.sdk;
        let set = |setting: &mut u64, value: Option<u64>| *setting = value.unwrap_or(*setting);
        set(&mut config.min_backoff_ms, self.min_backoff_ms);
        set(&mut config.max_backoff_ms, self.max_backoff_ms);
        set(&mut config.connect_timeout_ms, self.connect_timeout_ms);
        let set = |setting: &mut usize, value: Option<u64>| *setting = value.map_or(*setting, |value| value as usize);
        set(&mut config.outbox_messages, self.outbox_messages);
        set(&mut config.outbox_bytes, self.outbox_bytes);
        set(&mut config.queue_messages, self.queue_messages);
        set(&mut config.queue_bytes, self.queue_bytes);
    }
}
