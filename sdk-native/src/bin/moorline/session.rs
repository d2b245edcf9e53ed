//! What all commands that talk to a server share: the client, what people hear about it, and what ends it early.

use std::path::{Path, PathBuf};
use std::time::Duration;

use moorline::{Client, ConnectionState, FileStore, StateReason};
use tokio::time::Instant;

use crate::Failed;
use crate::options::Server;
use crate::output::tell;
use crate::signals::Stop;

/// A client at work for a command.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) stop: Stop,
    timeout: Option<Duration>,
    started: Instant,
    url: String,
    blackbox: Option<PathBuf>,
}

impl Session {
    /// Makes the client, and tells people from now on how its connection is.
    pub(crate) fn start(server: &Server, store: Option<&Path>) -> Result<Self, Failed> {
        let mut builder = Client::builder(&server.url);
        if let Some(store) = store {
            builder = builder.store(FileStore::open(store)?);
        }
        builder = builder.compression(!server.no_compression);
        if let Some(token) = &server.token {
            builder = builder.token(token);
        }
        let client = builder.build().map_err(|error| Failed::Misuse(error.to_string()))?;
        tokio::spawn(report(client.clone(), server.url.clone()));
        let (stop, url, blackbox) = (Stop::listen()?, server.url.clone(), server.blackbox.clone());
        Ok(Self { client, stop, timeout: server.timeout, started: Instant::now(), url, blackbox })
    }

    /// Waits until the server refuses this client for ever, or the time is up.
    pub(crate) async fn hopeless(&self) -> Failed {
        tokio::select! {
            failed = refused(&self.client) => failed,
            failed = self.overdue() => failed,
        }
    }

    /// Waits until the time that the user gave is up, from the start.
    pub(crate) async fn overdue(&self) -> Failed {
        match self.timeout {
            Some(timeout) => tokio::time::sleep_until(self.started + timeout).await,
            None => std::future::pending().await,
        }
        let seconds = self.timeout.unwrap_or_default().as_secs_f64();
        Failed::Error(format!("no answer from {} within {seconds} s", self.url))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(file) = &self.blackbox
            && let Err(error) = std::fs::write(file, self.client.blackbox())
        {
            tell(format_args!("cannot write the black box to {}: {error}", file.display()));
        }
    }
}

/// What is refused on the spot are the options; unless the server was faster, and has refused the client.
pub(crate) async fn misused(client: &Client, error: moorline::Error) -> Failed {
    if error.code() == "client.closed" { refused(client).await } else { Failed::Misuse(error.to_string()) }
}

/// Ends when the server refuses this client for ever.
pub(crate) async fn refused(client: &Client) -> Failed {
    let mut states = client.states();
    loop {
        if let (ConnectionState::Closed, StateReason::Refused(failure)) = &*states.borrow_and_update() {
            return Failed::Error(failure.to_string());
        }
        if states.changed().await.is_err() {
            // The command ends by itself.
            std::future::pending::<()>().await;
        }
    }
}

/// Says once when there is no connection, and once when there is one again.
async fn report(client: Client, url: String) {
    let mut states = client.states();
    // The client lives as long as the command, not as long as this report.
    drop(client);
    let mut told = false;
    while states.changed().await.is_ok() {
        let (state, reason) = states.borrow_and_update().clone();
        let trying = matches!(state, ConnectionState::Connecting | ConnectionState::Recovering);
        if state == ConnectionState::Online && told {
            tell(format_args!("connected to {url}"));
            told = false;
        } else if trying
            && !told
            && let Some(why) = why(&reason)
        {
            tell(format_args!("no connection to {url}: {why}; trying again until there is one"));
            told = true;
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others say enough by their names, also in later versions")]
/// Says why there is no connection; `None` where that is no news.
fn why(reason: &StateReason) -> Option<String> {
    Some(match reason {
        StateReason::Requested | StateReason::Welcome => return None,
        StateReason::TransportClosed(None) => "nobody answers there, or it is no Moorline server".into(),
        StateReason::TransportClosed(Some(code)) => format!("it was closed with {}", code.0),
        StateReason::TransportFailed(failure) => failure.message.clone(),
        StateReason::Silent => "nothing is heard from it".into(),
        StateReason::ConnectTimeout => "no answer in time".into(),
        StateReason::Goaway => "the server restarts".into(),
        other => format!("{other:?}"),
    })
}
