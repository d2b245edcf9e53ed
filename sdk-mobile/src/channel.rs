use std::sync::Arc;

use moorline::{Channel, Readers};

use crate::cancel::{FfiCancel, unless};
use crate::error::FfiError;
use crate::live::{CHANNELS, Counted};
use crate::options::{FfiHistoryRange, FfiPublishOptions};
use crate::presence::FfiPresence;
use crate::reader::FfiReader;
use crate::receipt::FfiReceipt;
use crate::records::{FfiHistoryPage, FfiPayload};

/// A handle on a channel. Once it and its readers are released, it is left.
#[derive(uniffi::Object)]
pub struct FfiChannel {
    channel: Channel,
    readers: Arc<Readers>,
    _counted: Counted,
}

impl FfiChannel {
    pub(crate) fn new(channel: Channel) -> Result<Arc<Self>, FfiError> {
        let readers = Arc::new(channel.readers()?);
        Ok(Arc::new(Self { channel, readers, _counted: Counted::new(&CHANNELS) }))
    }
}

#[uniffi::export]
impl FfiChannel {
    /// Returns the name.
    pub fn name(&self) -> String {
        self.channel.name().to_owned()
    }

    /// Begins to read. Each reader gets every message from now on; after one was cancelled and with no other open, the next
    /// one goes on where it ended. What the server refuses comes from the reader.
    pub fn reader(&self) -> Result<Arc<FfiReader>, FfiError> {
        Ok(FfiReader::of(self.readers.open()?, &self.readers))
    }

    /// Queues a message and returns at once; it goes out by itself, over reconnects. Refused with `limit.outbox` when too much
    /// waits already, with `limit.message`, `request.malformed`, `client.closed`: nothing is queued then.
    pub fn publish(&self, payload: FfiPayload, options: FfiPublishOptions) -> Result<Arc<FfiReceipt>, FfiError> {
        let publish = options.apply(self.channel.publish(payload.into_native()?));
        Ok(FfiReceipt::new(self.name(), publish.send()?))
    }

    /// Asks for a part of the log: at most `limit` (1–256) messages, ascending.
    #[uniffi::method(default(cancel = None))]
    pub async fn history(
        &self,
        range: FfiHistoryRange,
        limit: u32,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<FfiHistoryPage, FfiError> {
        unless(cancel, self.channel.history(range.into(), limit)).await.map(Into::into)
    }

    /// Returns who is in the channel.
    pub fn presence(&self) -> Arc<FfiPresence> {
        FfiPresence::new(self.channel.members(), Arc::clone(&self.readers))
    }

    /// Acknowledges everything up to a position: with a durable cursor, it does not come again.
    pub fn ack(&self, epoch: String, offset: u64) -> Result<(), FfiError> {
        Ok(self.readers.ack(&epoch, offset)?)
    }

    /// Stops reading; its readers end. With `forget` the durable cursor is dropped, too. Calling it again does nothing.
    #[uniffi::method(default(forget = false))]
    pub fn leave(&self, forget: bool) {
        self.readers.leave(forget);
    }
}
