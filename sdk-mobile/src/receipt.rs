use std::sync::Arc;

use moorline::Receipt;

use crate::cancel::{FfiCancel, unless};
use crate::error::FfiError;
use crate::live::{Counted, RECEIPTS};
use crate::reader::FfiReader;
use crate::records::{FfiReceiptState, FfiStored};

/// What becomes of a published message. Breaking a wait off does not take the message back.
#[derive(uniffi::Object)]
pub struct FfiReceipt {
    channel: String,
    receipt: Receipt,
    _counted: Counted,
}

impl FfiReceipt {
    pub(crate) fn new(channel: String, receipt: Receipt) -> Arc<Self> {
        Arc::new(Self { channel, receipt, _counted: Counted::new(&RECEIPTS) })
    }
}

#[uniffi::export]
impl FfiReceipt {
    /// Returns the message's id.
    pub fn id(&self) -> String {
        self.receipt.id().to_owned()
    }

    /// Returns its channel.
    pub fn channel(&self) -> String {
        self.channel.clone()
    }

    /// Returns how far it has come.
    pub fn state(&self) -> FfiReceiptState {
        self.receipt.state().into()
    }

    /// Follows how far it comes, beginning with what is so now; the newest counts. Ends once it is known what became of the
    /// message, and when the client is closed.
    pub fn states(&self) -> Arc<FfiReader> {
        FfiReader::new(self.receipt.states())
    }

    /// Waits until the client's store has the message.
    #[uniffi::method(default(cancel = None))]
    pub async fn queued(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), FfiError> {
        unless(cancel, self.receipt.queued()).await
    }

    /// Waits until the message is in the log.
    #[uniffi::method(default(cancel = None))]
    pub async fn stored(&self, cancel: Option<Arc<FfiCancel>>) -> Result<FfiStored, FfiError> {
        unless(cancel, self.receipt.clone().stored()).await.map(Into::into)
    }
}
