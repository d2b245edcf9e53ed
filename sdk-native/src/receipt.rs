use tokio::sync::watch;

use crate::error::Error;

/// Where a message is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The life of the log.
    pub epoch: String,
    /// Its offset; `None` for an old duplicate of which only the fact is known.
    pub offset: Option<u64>,
    /// Whether it was there already.
    pub duplicate: bool,
}

impl From<moorline_core::Stored> for Stored {
    fn from(stored: moorline_core::Stored) -> Self {
        let epoch = stored.epoch.as_str().to_owned();
        Self { epoch, offset: stored.offset.map(|offset| offset.0), duplicate: stored.duplicate }
    }
}

/// How far a message has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptState {
    /// It waits in the outbox.
    Queued,
    /// It was sent; at QoS 0 that is all.
    Sent,
    /// It is in the log.
    Stored(Stored),
    /// It will not be stored.
    Failed(Error),
    /// It was sent, and nobody can know any more whether it was stored; the app decides.
    Uncertain,
}

/// What becomes of a published message.
#[derive(Clone, Debug)]
pub struct Receipt {
    id: String,
    state: watch::Receiver<ReceiptState>,
}

impl Receipt {
    pub(crate) fn new(id: String, state: watch::Receiver<ReceiptState>) -> Self {
        Self { id, state }
    }

    /// Returns the message's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns how far the message has come.
    pub fn state(&self) -> ReceiptState {
        self.state.borrow().clone()
    }

    /// Waits until the message is in the log.
    ///
    /// # Errors
    /// Why it will not be; `publish.uncertain` if nobody can know; `request.unsupported` at QoS 0, which stores
    /// nothing.
    pub async fn stored(mut self) -> Result<Stored, Error> {
        loop {
            match self.state.borrow_and_update().clone() {
                ReceiptState::Stored(stored) => return Ok(stored),
                ReceiptState::Failed(error) => return Err(error),
                ReceiptState::Uncertain => {
                    let text = "the message was sent, and whether it was stored cannot be known any more";
                    return Err(Error::client("publish.uncertain", text));
                }
                ReceiptState::Queued | ReceiptState::Sent => {}
            }
            if self.state.changed().await.is_err() {
                return match self.state() {
                    ReceiptState::Stored(stored) => Ok(stored),
                    ReceiptState::Failed(error) => Err(error),
                    ReceiptState::Sent => Err(Error::client("request.unsupported", "a message at QoS 0 is not stored")),
                    ReceiptState::Queued | ReceiptState::Uncertain => Err(Error::closed()),
                };
            }
        }
    }
}
