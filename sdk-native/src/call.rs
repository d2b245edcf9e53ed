//! Calls to the app's backend.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use moorline_core::CallOptions;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::Error;
use crate::message::Payload;

/// A call about to be made: awaiting it makes it.
#[must_use = "nothing is called before `await`"]
pub struct Call {
    client: Client,
    method: String,
    payload: Payload,
    options: CallOptions,
}

impl Client {
    /// Asks the app's backend something: `client.call("cart.add", Payload::json(&item)?).await`.
    ///
    /// The answer is the backend's. A call waits for a connection and is sent once at most; it ends within its timeout,
    /// whatever happens. Dropping the future does not take a call back that was sent.
    pub fn call(&self, method: impl Into<String>, payload: Payload) -> Call {
        Call { client: self.clone(), method: method.into(), payload, options: CallOptions::new() }
    }
}

impl Call {
    /// Sets how long the answer is awaited, 1 ms to 30 s (default 10 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        // What does not fit is refused as too long.
        self.options.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Sets the name of the call, 1–128 bytes (default: random). A backend that keeps these ids can tell by it that a call is
    /// made again.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.options.id = Some(id.into().into());
        self
    }

    /// Makes the call and waits for the answer.
    ///
    /// # Errors
    /// `call.refused` and what begins with `call.refused.`: the backend's own no. `call.denied`, `request.unsupported` (no
    /// backend), `call.unavailable`, `request.timeout`, `limit.calls`, `limit.message`, `limit.rate`: it was not carried
    /// out. `call.uncertain`, `call.timeout`, `call.failed`: it may have been carried out.
    pub async fn send(self) -> Result<Payload, Error> {
        self.client.start()?;
        let (sender, receiver) = oneshot::channel();
        self.client.shared.run(|state, now| {
            let id = state.core.call(&self.method, self.payload.0, self.options, now);
            state.calls.insert(id, sender);
        });
        receiver.await.map_err(|_| Error::closed())?
    }
}

impl IntoFuture for Call {
    type Output = Result<Payload, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
