//! One question, from the place it waits for to what its answer says of the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};

use super::breaker::{self, State};
use super::{CalloutError, Kind, Line, MOST_ANSWER, Refusal, Reply, Shared, is_down, lock};
use crate::egress::{Pool, Repeat, Request, Target};
use crate::traces::Span;

/// Calls of one call-out that wait for a place; more end at once.
const MOST_WAITING: usize = 4_096;

impl Shared {
    pub(super) async fn call<T>(
        &self,
        line: Option<Arc<Line>>,
        kind: Kind,
        body: Bytes,
        within: Option<Duration>,
        read: fn(Reply) -> Result<T, CalloutError>,
    ) -> Result<T, CalloutError> {
        let line = &*line.ok_or(Refusal::Url)?;
        let (callout, begun) = (&line.callout, Instant::now());
        let within = within.map_or(callout.target.within, |within| within.min(callout.target.within));
        let span = Span::asking(|| format!("callout {}", kind.name()));
        span.set("moorline.app", callout.rule.app.as_str().to_owned());
        span.set("moorline.callout", callout.name.clone());
        let reply = self.guarded(line, (kind, body), within, &span).await;
        // A no like any other, but also what a backend says that knows another secret. To a call it is a refusal of its own.
        let is_unauthorized =
            kind != Kind::Rpc && reply.as_ref().is_ok_and(|reply| reply.status == StatusCode::UNAUTHORIZED);
        let answer = reply.and_then(read);
        let answered = if is_unauthorized { "unauthorized" } else { "answered" };
        let outcome = answer.as_ref().map_or_else(CalloutError::outcome, |_| answered);
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
            } else if error.is_misconfiguration() {
                tracing::error!(app, callout, kind, %error, "a backend does not take a call-out's question; check `url`");
            } else {
                tracing::warn!(app, callout, kind, %error, "a call-out has no answer");
            }
        }
        answer
    }

    async fn guarded(
        &self,
        line: &Line,
        asked: (Kind, Bytes),
        within: Duration,
        span: &Span,
    ) -> Result<Reply, CalloutError> {
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
        let result = self.ask(&line.pool, &target, asked, span).await;
        // Whoever gave a client's call less time than the backend may take has learnt nothing of it.
        let is_late = matches!(&result, Err(CalloutError::Refused(Refusal::Late(_))));
        let shows_nothing = is_late && target.within < line.callout.target.within / 2;
        let works = !matches!(&result, Err(CalloutError::Refused(refusal)) if is_down(refusal));
        let (was, is) = {
            let mut breaker = lock(&line.breaker);
            let was = breaker.state();
            if !shows_nothing && let Some(pass) = trial.pass.take() {
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

    async fn ask(
        &self,
        pool: &Pool,
        target: &Target,
        (kind, body): (Kind, Bytes),
        span: &Span,
    ) -> Result<Reply, CalloutError> {
        let id = format!("call_{}_{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        let timestamp = lock(&self.clock).now_ms() / 1_000;
        let mut headers = HeaderMap::new();
        span.inject(&mut headers);
        let request = Request { id: &id, timestamp, body, most: Some(MOST_ANSWER), headers };
        let repeat = if kind == Kind::Rpc { Repeat::Never } else { Repeat::Harmless };
        let reply = pool.send(target, request, repeat).await?;
        span.set("http.response.status_code", i64::from(reply.status.as_u16()));
        let refusal = Refusal::Status(reply.status);
        if is_down(&refusal) { Err(refusal.into()) } else { Ok(reply) }
    }
}

/// A call that was let through. One that is given up shows nothing: where it was the trial, another has to be.
struct Trial<'a> {
    shared: &'a Shared,
    line: &'a Line,
    pass: Option<breaker::Pass>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            lock(&self.line.breaker).given_up(pass, self.shared.now());
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
