use std::time::Duration;

use moorline_protocol::time::{Now, Timestamp, whole_millis};
use moorline_protocol::{Auth as AuthFrame, Authed, ClientFrame, ErrorCode, Utf8Bytes, decimal, joined, limits};

use super::backoff::doubled;
use crate::config::TokenSource;
use crate::event::{Failure, Origin};
use crate::io::{Output, TokenReason};
use crate::outgoing::Outgoing;
use crate::timer::{PATIENCE, earliest, is_due};

/// The server tolerates an expired token on an open connection for so long.
const GRACE: Duration = Duration::from_secs(30);
/// A refresh begins so long before the expiry, or at three quarters of a shorter life.
const MARGIN: Duration = Duration::from_secs(60);
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(20);
/// A held token that expires sooner is not worth a `hello`.
const WORTHLESS: Duration = Duration::from_secs(1);

/// Tokens: one request to the host at most, and the refresh of a connection in band.
pub(crate) struct Auth {
    source: TokenSource,
    held: Option<Held>,
    request: Request,
    refusal: Option<TokenReason>,
    /// Which token the current connection was opened or refreshed with.
    used: u64,
    serial: u64,
    refresh: Refresh,
    clock: ServerClock,
}

struct Held {
    token: Option<Utf8Bytes>,
    expires: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    None,
    /// Counts as failed at this moment.
    Outstanding {
        until: Timestamp,
    },
}

/// The refresh of the current connection's token.
#[derive(Clone, Copy)]
enum Refresh {
    /// The token does not expire, cannot be replaced, or there is no connection.
    Off,
    /// A new token is asked for at this moment.
    At { at: Timestamp, expires: Timestamp, tries: u32 },
    /// The host is fetching it.
    Fetching { expires: Timestamp, tries: u32 },
    /// The server is checking it.
    Asking { req: u64, expires: Timestamp, tries: u32 },
}

/// What the server's clock showed when `welcome` arrived.
#[derive(Clone, Copy, Default)]
struct ServerClock {
    unix: u64,
    at: Timestamp,
}

/// The token for a `hello`.
pub(crate) enum Ready {
    /// Go on with [`Auth::hello_token`].
    Yes,
    /// The host is asked.
    Wait,
    /// There is one that can never be sent.
    Never(Failure),
}

impl Auth {
    pub(crate) fn new(source: TokenSource) -> Self {
        Self {
            source,
            held: None,
            request: Request::None,
            refusal: None,
            used: 0,
            serial: 0,
            refresh: Refresh::Off,
            clock: ServerClock::default(),
        }
    }

    /// Makes sure there is a token to connect with.
    pub(crate) fn prepare(&mut self, now: Timestamp, out: &mut Outgoing) -> Ready {
        match &self.source {
            TokenSource::Provider => {}
            TokenSource::Anonymous => return Ready::Yes,
            TokenSource::Fixed(token) => return check(token).map_or_else(Ready::Never, |()| Ready::Yes),
        }
        let reason = match &self.held {
            Some(held) if held.expires.is_none_or(|at| at > now + WORTHLESS) => return Ready::Yes,
            Some(_) => TokenReason::Expiring,
            None => self.refusal.unwrap_or(TokenReason::Connect),
        };
        self.ask(reason, now, out);
        Ready::Wait
    }

    /// Returns the token for a `hello` that is sent now.
    pub(crate) fn hello_token(&mut self) -> Option<Utf8Bytes> {
        self.used = self.serial;
        match &self.source {
            TokenSource::Anonymous => None,
            TokenSource::Fixed(token) => Some(Utf8Bytes::from(token.as_str())),
            TokenSource::Provider => self.held.as_ref().and_then(|held| held.token.clone()),
        }
    }

    /// Tells whether a refused token can be replaced at all.
    pub(crate) fn is_replaceable(&self) -> bool {
        self.source == TokenSource::Provider
    }

    /// The server refused the token as expired: the next attempt fetches another.
    pub(crate) fn refuse(&mut self) {
        if self.used == self.serial {
            self.held = None;
        }
        self.refusal = Some(TokenReason::Refused);
    }

    pub(crate) fn on_welcome(&mut self, server_unix: u64, expires: Option<u64>, now: Now, out: &mut Outgoing) {
        self.clock = ServerClock { unix: server_unix, at: now.mono };
        self.refusal = None;
        self.schedule(expires, now.mono);
        // The host answered while the `hello` was under way.
        if self.used != self.serial {
            self.offer(out);
        }
    }

    /// The connection is gone, and its refresh with it.
    pub(crate) fn on_lost(&mut self) {
        self.refresh = Refresh::Off;
    }

    /// Takes the host's answer; returns why it is no token that can be used.
    pub(crate) fn on_token(
        &mut self,
        result: Result<Option<String>, Failure>,
        now: Timestamp,
        out: &mut Outgoing,
    ) -> Result<(), Failure> {
        self.request = Request::None;
        let result = result.and_then(|token| token.as_deref().map_or(Ok(()), check).map(|()| token));
        match result {
            Ok(token) => {
                self.serial += 1;
                self.held = Some(Held { token: token.map(Utf8Bytes::from), expires: None });
                self.offer(out);
                Ok(())
            }
            Err(failure) => {
                if let Refresh::Fetching { expires, tries } = self.refresh {
                    self.retry(expires, tries, now);
                }
                Err(failure)
            }
        }
    }

    pub(crate) fn on_authed(&mut self, authed: Authed, now: Timestamp) {
        if matches!(self.refresh, Refresh::Asking { req, .. } if req == authed.req) {
            self.schedule(authed.expires, now);
        }
    }

    /// Takes the refusal of an `auth`; tells whether it is one.
    pub(crate) fn on_error(&mut self, req: u64, now: Timestamp) -> bool {
        let Refresh::Asking { req: asked, expires, tries } = self.refresh else { return false };
        if asked != req {
            return false;
        }
        self.retry(expires, tries, now);
        true
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let refresh = match self.refresh {
            Refresh::At { at, .. } => Some(at),
            Refresh::Off | Refresh::Fetching { .. } | Refresh::Asking { .. } => None,
        };
        earliest(&[refresh, self.patience()])
    }

    /// Returns when the host's answer is not awaited any more.
    fn patience(&self) -> Option<Timestamp> {
        match self.request {
            Request::None => None,
            Request::Outstanding { until } => Some(until),
        }
    }

    /// Returns the failure that an answer which never came stands for.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<Failure> {
        let text = "the token provider did not answer within 60 s";
        is_due(self.patience(), now).then(|| Failure::new(ErrorCode::RequestTimeout, text, Origin::Client))
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        if let Refresh::At { at, expires, tries } = self.refresh
            && at <= now
        {
            self.refresh = Refresh::Fetching { expires, tries };
            self.ask(TokenReason::Expiring, now, out);
        }
    }

    fn ask(&mut self, reason: TokenReason, now: Timestamp, out: &mut Outgoing) {
        if self.request == Request::None {
            self.request = Request::Outstanding { until: now + PATIENCE };
            out.push(Output::NeedToken { reason });
        }
    }

    /// Shows a newer token to the server on the open connection.
    fn offer(&mut self, out: &mut Outgoing) {
        let (expires, tries) = match self.refresh {
            Refresh::Off => return,
            Refresh::At { expires, tries, .. }
            | Refresh::Fetching { expires, tries }
            | Refresh::Asking { expires, tries, .. } => (expires, tries),
        };
        let Some(token) = self.held.as_ref().and_then(|held| held.token.clone()) else { return };
        self.used = self.serial;
        let req = out.req();
        self.refresh = Refresh::Asking { req, expires, tries };
        out.send(&ClientFrame::Auth(AuthFrame { req, token, channel: None }));
    }

    fn schedule(&mut self, expires: Option<u64>, now: Timestamp) {
        let expires = expires.map(|unix| {
            let shown = self.clock.unix.saturating_add(whole_millis(now.since(self.clock.at)));
            now + Duration::from_millis(unix.saturating_sub(shown))
        });
        if let Some(held) = &mut self.held {
            held.expires = expires;
        }
        self.refresh = match expires {
            Some(expires) if self.source == TokenSource::Provider => {
                let life = expires.since(now);
                let at = now + life.saturating_sub(MARGIN.min(life / 4)).max(MIN_RETRY);
                Refresh::At { at, expires, tries: 0 }
            }
            Some(_) | None => Refresh::Off,
        };
    }

    fn retry(&mut self, expires: Timestamp, tries: u32, now: Timestamp) {
        let at = now + doubled(MIN_RETRY, tries, MAX_RETRY);
        self.refresh = if at < expires + GRACE {
            Refresh::At { at, expires, tries: tries.saturating_add(1) }
        } else {
            Refresh::Off
        };
    }
}

/// Checks what the server would take for a broken frame.
fn check(token: &str) -> Result<(), Failure> {
    if token.len() <= limits::TOKEN_BYTES {
        return Ok(());
    }
    let (size, limit) = (decimal(token.len() as u64), decimal(limits::TOKEN_BYTES as u64));
    let message = joined(&["the token has ", &size, " bytes; at most ", &limit, " are allowed"]);
    Err(Failure::new(ErrorCode::AuthInvalid, message, Origin::Client))
}
