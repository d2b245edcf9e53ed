use std::sync::{Arc, Mutex, PoisonError};

use moorline::{Error, TokenReason};
use tokio::sync::oneshot;

use crate::live::{Counted, PROVIDERS};

/// Who gives tokens.
#[uniffi::export(with_foreign)]
pub trait FfiTokenProvider: Send + Sync {
    /// Asks for a token. Called on the client's thread, which is held up until this returns: it starts what fetches one, and
    /// whatever that comes to goes to `answer`, from any thread. Not called any more once the client is closed.
    fn wanted(&self, reason: FfiTokenReason, answer: Arc<FfiTokenAnswer>);
}

/// Why a token is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiTokenReason {
    /// For the first connection.
    Connect,
    /// The current one expires soon.
    Expiring,
    /// The server refused the current one as expired.
    Refused,
}

impl From<TokenReason> for FfiTokenReason {
    fn from(reason: TokenReason) -> Self {
        match reason {
            TokenReason::Connect => Self::Connect,
            TokenReason::Expiring => Self::Expiring,
            TokenReason::Refused | _ => Self::Refused,
        }
    }
}

/// Where a token goes. The first answer counts; without any it is as if none could be had, once this is released.
#[derive(uniffi::Object)]
pub struct FfiTokenAnswer {
    sender: Mutex<Option<oneshot::Sender<Result<String, Error>>>>,
}

#[uniffi::export]
impl FfiTokenAnswer {
    /// Gives the token.
    pub fn provide(&self, token: String) {
        self.send(Ok(token));
    }

    /// Says that none can be had now, and why; the client asks again later.
    pub fn fail(&self, message: String) {
        self.send(Err(Error::token(message)));
    }
}

impl FfiTokenAnswer {
    fn send(&self, result: Result<String, Error>) {
        if let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A client that was closed meanwhile needs none.
            let _ = sender.send(result);
        }
    }
}

/// Makes a provider for the native client.
pub(crate) fn provider(
    foreign: Arc<dyn FfiTokenProvider>,
) -> impl Fn(TokenReason) -> std::pin::Pin<Box<dyn Future<Output = Result<String, Error>> + Send>> + Send + Sync {
    let counted = Arc::new(Counted::new(&PROVIDERS));
    move |reason| {
        let (foreign, counted) = (Arc::clone(&foreign), Arc::clone(&counted));
        Box::pin(async move {
            let _counted = counted;
            let (sender, receiver) = oneshot::channel();
            foreign.wanted(reason.into(), Arc::new(FfiTokenAnswer { sender: Mutex::new(Some(sender)) }));
            drop(foreign);
            receiver.await.unwrap_or_else(|_| Err(Error::token("the token provider did not answer")))
        })
    }
}
