use tokio::sync::watch;

use crate::error::Error;
use crate::states::ReceiptStates;

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

/// What is known of a message while it is under way.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) state: ReceiptState,
    /// Whether the client's store has it.
    pub(crate) is_kept: bool,
    /// Why nothing more is heard of it.
    pub(crate) end: Option<Error>,
}

impl Progress {
    pub(crate) const NEW: Self = Self { state: ReceiptState::Queued, is_kept: false, end: None };
    pub(crate) const RESTORED: Self = Self { is_kept: true, ..Self::NEW };

    /// Returns how it ended, if it did.
    fn outcome(&self) -> Option<Result<Stored, Error>> {
        match &self.state {
            ReceiptState::Stored(stored) => Some(Ok(stored.clone())),
            ReceiptState::Failed(error) => Some(Err(error.clone())),
            ReceiptState::Uncertain => {
                let text = "the message was sent, and whether it was stored cannot be known any more";
                Some(Err(Error::client("publish.uncertain", text)))
            }
            ReceiptState::Queued | ReceiptState::Sent => None,
        }
    }
}

/// A message that an earlier process published and that was not settled when this one started.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where.
    pub channel: String,
    /// What becomes of it.
    pub receipt: Receipt,
}

/// What becomes of a published message.
#[derive(Clone, Debug)]
pub struct Receipt {
    id: String,
    progress: watch::Receiver<Progress>,
}

impl Receipt {
    pub(crate) fn new(id: String, progress: watch::Receiver<Progress>) -> Self {
        Self { id, progress }
    }

    /// Returns the message's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns how far the message has come.
    pub fn state(&self) -> ReceiptState {
        self.progress.borrow().state.clone()
    }

    /// Follows how far the message comes, beginning with what is so now. See [`ReceiptStates::next`].
    pub fn states(&self) -> ReceiptStates {
        ReceiptStates::new(self.progress.clone())
    }

    /// Waits until the message is in the client's store: from then on it outlives this process, and goes out by itself
    /// when there is a connection. Needs no connection. As durable as the store is.
    ///
    /// # Errors
    /// Why it is not kept: `storage.full`, for instance; `request.unsupported` at QoS 0, which keeps nothing.
    pub async fn queued(&self) -> Result<(), Error> {
        let mut progress = self.progress.clone();
        let known = progress.wait_for(|progress| progress.is_kept || progress.outcome().is_some()).await;
        match known {
            Ok(progress) if progress.is_kept => Ok(()),
            Ok(progress) => progress.outcome().unwrap_or_else(|| Err(Error::closed())).map(drop),
            Err(_) => Err(self.end()),
        }
    }

    /// Waits until the message is in the log.
    ///
    /// # Errors
    /// Why it will not be; `publish.uncertain` if nobody can know; `request.unsupported` at QoS 0, which stores
    /// nothing; `client.closed`, or the server's final refusal, if the client ended before: then a store that outlives
    /// the process still has it.
    pub async fn stored(mut self) -> Result<Stored, Error> {
        let known = self.progress.wait_for(|progress| progress.outcome().is_some()).await;
        match known.ok().and_then(|progress| progress.outcome()) {
            Some(outcome) => outcome,
            None => Err(self.end()),
        }
    }

    /// Tells why nothing more is heard of a message that is not settled.
    fn end(&self) -> Error {
        let progress = self.progress.borrow();
        match (&progress.end, &progress.state) {
            (Some(error), _) => error.clone(),
            (None, ReceiptState::Sent) => Error::client("request.unsupported", "a message at QoS 0 is not stored"),
            (None, _) => Error::closed(),
        }
    }
}
