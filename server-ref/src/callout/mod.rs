//! Call-outs: questions to an app's backend by HTTP, whose answer somebody waits for.
//!
//! [`start`] takes the call-outs of the configuration and returns a [`CalloutThread`]; its [`Callouts`] is cheap to clone
//! and can be used on any thread with an async runtime:
//!
//! ```text
//! let answer: Result<Answer, CalloutError> = callouts.call(id, Kind::Publish, body).await;
//! ```
//!
//! - `id` is the place of the call-out in the list that [`start`] was given.
//! - `body` is JSON; it is `POST`ed to the call-out's URL, signed as hooks are (`webhook-id`, `webhook-timestamp`,
//!   `webhook-signature`). A call is sent once: nothing is tried again here.
//! - An [`Answer`] is a 2xx with a JSON object of at most [`MOST_ANSWER`] bytes. Everything else is a [`CalloutError`],
//!   of which [`CalloutError::is_temporary`] says whether asking again may help.
//! - `Target::within` bounds the whole, waiting for one of the call-out's `max_requests` places included.
//! - Each call-out has a [`breaker`]: after 5 failures in a row (no answer in time, nobody there, 5xx, 429) calls end at
//!   once with [`CalloutError::Open`] for 1 s to 30 s; then one is tried.
//!
//! Requests run on a thread of their own, so that TLS and names cost the shards nothing. Numbers are in [`Numbers`].

pub mod breaker;
mod numbers;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use moorline_protocol::AppName;
use moorline_protocol::time::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use self::breaker::{Breaker, State};
pub use self::numbers::Numbers;
use crate::egress::{self, Request, Target};
pub use crate::egress::{Refusal, Reply};
pub use crate::node::{CalloutId, CalloutKind as Kind};
use crate::node::{CalloutRule, CalloutRules};
use crate::traces::Span;
use crate::wall_clock::WallClock;

/// Bytes of an answer's body.
pub const MOST_ANSWER: usize = 256 * 1024;
/// Calls of one call-out that wait for a place; more end at once.
const MOST_WAITING: usize = 4_096;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Callout {
    /// Names it in the server's log; unique in its app.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Requests under way at a time.
    pub max_requests: usize,
    /// Headers of a client's request that it wants to see, in lower case.
    pub headers: Vec<String>,
    /// Whose backend it is, and what it is asked; the id in it is its place in the list.
    pub rule: CalloutRule,
}

/// What a shard needs to have its node's questions answered.
#[derive(Clone)]
pub struct Desk {
    /// What asks.
    pub callouts: Callouts,
    /// When whose backend is asked.
    pub rules: CalloutRules,
}

impl Desk {
    /// Returns the headers of a client's request that an app's backend wants to see.
    pub fn headers<'a>(
        &self,
        app: &AppName,
        all: &'a [(String, String)],
    ) -> impl Iterator<Item = &'a (String, String)> {
        let id = self.rules.of(app, Kind::Connect, None).map_or(usize::MAX, |terms| usize::from(terms.id.0));
        let wanted = self.callouts.0.lines.get(id).map(|line| line.callout.headers.clone()).unwrap_or_default();
        all.iter().filter(move |(name, _)| wanted.contains(name))
    }

    /// Returns who answers the calls of an app's clients.
    pub fn calls(&self, app: &AppName) -> Option<CalloutId> {
        self.rules.of(app, Kind::Rpc, None).map(|terms| terms.id)
    }
}

/// What a backend answered: 2xx, and a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The object as it came.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalloutError {
    /// It failed again and again, and is left alone for so long.
    #[error("not asked for {} ms more, after failures in a row", .0.as_millis())]
    Open(Duration),
    /// No place became free in time, or too many wait for one.
    #[error("too many calls at once")]
    Busy,
    /// No request went out, or nothing came back.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What came back is not a JSON object.
    #[error("answered something that is not a JSON object")]
    Invalid,
    /// The server stops.
    #[error("the server stops")]
    Stopped,
}

impl CalloutError {
    /// Tells whether the same call may go well later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Open(_) | Self::Busy | Self::Stopped => true,
            Self::Invalid => false,
            Self::Refused(refusal) => is_down(refusal),
        }
    }

    /// Returns the outcome's name in the metrics.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Busy => "busy",
            Self::Stopped => "stopped",
            Self::Invalid | Self::Refused(Refusal::Large(_)) => "invalid",
            Self::Refused(Refusal::Late(_)) => "late",
            Self::Refused(Refusal::Status(_)) => "status",
            Self::Refused(_) => "unreachable",
        }
    }
}

/// Tells whether the other side does not work, as opposed to saying something of no use.
fn is_down(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        Refusal::Large(_) | Refusal::Url | Refusal::Private(_) => false,
        Refusal::Late(_) | Refusal::Resolve(_) | Refusal::Connect(_) | Refusal::Tls(_) | Refusal::Http(_) => true,
    }
}

/// Asks the backends. See the module's documentation.
#[derive(Clone)]
pub struct Callouts(Arc<Shared>);

struct Shared {
    runtime: tokio::runtime::Handle,
    lines: Vec<Line>,
    clock: Mutex<WallClock>,
    started: Instant,
    /// What this start's ids begin with.
    prefix: String,
    next: AtomicU64,
    numbers: Numbers,
}

/// A call-out and what is under way to it.
struct Line {
    callout: Callout,
    places: Semaphore,
    waiting: AtomicUsize,
    breaker: Mutex<Breaker>,
}

/// The thread that requests run on; closing it ends what is under way.
pub struct CalloutThread {
    callouts: Callouts,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Starts the thread. `seed` makes the ids of requests.
///
/// # Errors
/// The system's, if thread or runtime cannot be had.
pub fn start(callouts: Vec<Callout>, clock: WallClock, seed: [u8; 32]) -> std::io::Result<CalloutThread> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let line = |callout: Callout| Line {
        places: Semaphore::new(callout.max_requests),
        waiting: AtomicUsize::new(0),
        breaker: Mutex::default(),
        callout,
    };
    let shared = Shared {
        runtime: runtime.handle().clone(),
        lines: callouts.into_iter().map(line).collect(),
        clock: Mutex::new(clock),
        started: Instant::now(),
        prefix: seed.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        next: AtomicU64::new(1),
        numbers: Numbers::default(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("moorline-callouts".into()).spawn(move || {
        // Whoever could ask for a stop is gone: that is one, too.
        let _ = runtime.block_on(stopped);
    })?;
    Ok(CalloutThread { callouts: Callouts(Arc::new(shared)), stop, thread })
}

impl CalloutThread {
    /// Returns what a shard needs.
    pub fn desk(&self) -> Desk {
        let lines = self.callouts.0.lines.iter();
        let rules = CalloutRules::new(lines.map(|line| line.callout.rule.clone()).collect());
        Desk { callouts: self.handle(), rules }
    }

    /// Returns what asks.
    pub fn handle(&self) -> Callouts {
        self.callouts.clone()
    }

    /// Ends it; calls under way end with [`CalloutError::Stopped`].
    pub fn close(self) {
        drop(self.stop);
        // A panic of the thread has been printed.
        let _ = self.thread.join();
    }
}

impl Callouts {
    /// Asks, and waits for the answer. Dropping the future does not take the request back.
    ///
    /// # Errors
    /// [`CalloutError`].
    pub async fn call(&self, id: CalloutId, kind: Kind, body: Bytes) -> Result<Answer, CalloutError> {
        let this = self.clone();
        let call = self.0.runtime.spawn(async move { this.0.call(id, kind, body, None, Answer::of).await });
        call.await.unwrap_or(Err(CalloutError::Stopped))
    }

    /// Asks, and waits for what comes back at most so long: a reply with any status below 500 but 429, and any body. Dropping
    /// the future gives the request up.
    ///
    /// # Errors
    /// [`CalloutError`].
    pub async fn exchange(
        &self,
        id: CalloutId,
        kind: Kind,
        body: Bytes,
        within: Duration,
    ) -> Result<Reply, CalloutError> {
        let this = self.clone();
        let call = self.0.runtime.spawn(async move { this.0.call(id, kind, body, Some(within), Ok).await });
        let mut call = Abandoned(call);
        (&mut call.0).await.unwrap_or(Err(CalloutError::Stopped))
    }

    /// Returns the numbers.
    pub fn numbers(&self) -> &Numbers {
        for line in &self.0.lines {
            let state = lock(&line.breaker).state();
            self.0.numbers.breaker(&line.callout.rule.app, &line.callout.name, matches!(state, State::Closed));
        }
        &self.0.numbers
    }
}

impl Shared {
    async fn call<T>(
        &self,
        id: CalloutId,
        kind: Kind,
        body: Bytes,
        within: Option<Duration>,
        read: fn(Reply) -> Result<T, CalloutError>,
    ) -> Result<T, CalloutError> {
        let line = self.lines.get(usize::from(id.0)).ok_or(Refusal::Url)?;
        let (callout, begun) = (&line.callout, Instant::now());
        let within = within.map_or(callout.target.within, |within| within.min(callout.target.within));
        let span = Span::asking(|| format!("callout {}", kind.name()));
        span.set("moorline.app", callout.rule.app.as_str().to_owned());
        span.set("moorline.callout", callout.name.clone());
        let answer = self.guarded(line, body, within, &span).await.and_then(read);
        let outcome = answer.as_ref().map_or_else(CalloutError::outcome, |_| "answered");
        if answer.is_err() {
            span.fail(outcome);
        }
        drop(span);
        self.numbers.count(&callout.rule.app, kind.name(), outcome, begun.elapsed());
        if let Err(error) = &answer {
            let (app, callout, kind) = (callout.rule.app.as_str(), callout.name.as_str(), kind.name());
            // What is not asked was told when it began to fail.
            if let CalloutError::Open(_) = error {
                tracing::debug!(app, callout, kind, %error, "a call-out was not asked");
            } else {
                tracing::warn!(app, callout, kind, %error, "a call-out has no answer");
            }
        }
        answer
    }

    async fn guarded(&self, line: &Line, body: Bytes, within: Duration, span: &Span) -> Result<Reply, CalloutError> {
        let begun = Instant::now();
        // Whoever would wait for nothing does not wait.
        if let State::Open(until) = lock(&line.breaker).state()
            && until > self.now()
        {
            return Err(CalloutError::Open(until.since(self.now())));
        }
        let waiting = Waiting::new(&line.waiting).ok_or(CalloutError::Busy)?;
        let place = tokio::time::timeout(within, line.places.acquire()).await.map_err(|_| CalloutError::Busy)?;
        drop(waiting);
        let _place = place.map_err(|_| CalloutError::Stopped)?;
        let pass = lock(&line.breaker).admit(self.now()).map_err(CalloutError::Open)?;
        let mut trial = Trial { shared: self, line, pass: Some(pass) };
        let mut target = line.callout.target.clone();
        target.within = within.saturating_sub(begun.elapsed());
        let result = self.ask(&target, body, span).await;
        let works = !matches!(&result, Err(CalloutError::Refused(refusal)) if is_down(refusal));
        let (was, is) = {
            let mut breaker = lock(&line.breaker);
            let was = breaker.state();
            if let Some(pass) = trial.pass.take() {
                breaker.done(pass, works, self.now());
            }
            (was, breaker.state())
        };
        if was != is {
            let (app, callout) = (line.callout.rule.app.as_str(), line.callout.name.as_str());
            match is {
                State::Closed => tracing::info!(app, callout, "a call-out answers again"),
                State::Open(_) | State::HalfOpen => {
                    tracing::error!(app, callout, "a call-out failed again and again; it is left alone for a while");
                }
            }
        }
        result
    }

    async fn ask(&self, target: &Target, body: Bytes, span: &Span) -> Result<Reply, CalloutError> {
        let id = format!("call_{}_{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        let timestamp = lock(&self.clock).now_ms() / 1_000;
        let mut headers = HeaderMap::new();
        span.inject(&mut headers);
        let request = Request { id: &id, timestamp, body, most: Some(MOST_ANSWER), headers };
        let reply = egress::send(target, request).await?;
        span.set("http.response.status_code", i64::from(reply.status.as_u16()));
        let refusal = Refusal::Status(reply.status);
        if is_down(&refusal) { Err(refusal.into()) } else { Ok(reply) }
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(self.started.elapsed())
    }
}

impl Answer {
    fn of(reply: Reply) -> Result<Self, CalloutError> {
        if !reply.status.is_success() {
            return Err(Refusal::Status(reply.status).into());
        }
        let is_object = reply.body.trim_ascii_start().starts_with(b"{");
        if is_object && moorline_protocol::json::is_valid(&reply.body) {
            Ok(Self { body: reply.body })
        } else {
            Err(CalloutError::Invalid)
        }
    }
}

/// A call that ends with whoever waits for it.
struct Abandoned<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Abandoned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A call that was let through. One that is given up proves nothing, but a trial has to end.
struct Trial<'a> {
    shared: &'a Shared,
    line: &'a Line,
    pass: Option<breaker::Pass>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let mut breaker = lock(&self.line.breaker);
        if let Some(pass) = self.pass.take().filter(|_| breaker.state() == State::HalfOpen) {
            breaker.done(pass, false, self.shared.now());
        }
    }
}

/// A call that waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
