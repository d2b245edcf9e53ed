use std::sync::Arc;

use tokio::sync::watch;

use crate::error::FfiError;

/// Breaks waits off, for languages that cannot drop them. One that was used once breaks off every later wait at once.
#[derive(uniffi::Object)]
pub struct FfiCancel {
    cancelled: watch::Sender<bool>,
}

#[uniffi::export]
impl FfiCancel {
    /// Makes one that cancels nothing yet.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { cancelled: watch::Sender::new(false) })
    }

    /// Breaks off every wait that was given this, now and later. From any thread; calling it again does nothing.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }
}

/// Waits for a result, or for being told not to.
pub(crate) async fn unless<T, E: Into<FfiError>>(
    cancel: Option<Arc<FfiCancel>>,
    wait: impl Future<Output = Result<T, E>>,
) -> Result<T, FfiError> {
    let Some(cancel) = cancel else { return wait.await.map_err(Into::into) };
    let mut cancelled = cancel.cancelled.subscribe();
    tokio::select! {
        biased;
        result = wait => result.map_err(Into::into),
        _ = cancelled.wait_for(|cancelled| *cancelled) => Err(FfiError::Cancelled),
    }
}
