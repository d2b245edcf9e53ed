//! Keys that an issuer of tokens publishes (RFC 7517): fetched at the start, kept fresh, and kept when a fetch fails.
//!
//! Where they are fetched is written in the configuration, per issuer: nothing that a token says leads anywhere. See
//! `docs/adr/0023-jwks.md`.

mod fetcher;
mod parse;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::Uri;
use rustls::pki_types::CertificateDer;
use tokio::sync::Notify;

pub(crate) use self::fetcher::Fetcher;
pub use self::parse::BadSet;
use crate::egress::{self, Refusal, Target};
use crate::jwt::Key;

/// Bytes of a document.
const MOST_BYTES: usize = 256 * 1024;
/// Unknown names of keys that are remembered; more are asked for all the same.
const MOST_UNKNOWN: usize = 256;

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The document.
    pub url: Uri,
    /// Whether it may have a private address, and do without TLS.
    pub allow_private: bool,
    /// PEM certificates that are trusted beside those of the web.
    pub roots: Vec<CertificateDer<'static>>,
    /// How long things take.
    pub times: Times,
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// An answer, from resolving the name to its last byte.
    pub answer: Duration,
    /// A document is believed for so long at least, and at most, whatever its `Cache-Control` says.
    pub believed: (Duration, Duration),
    /// For so long, if it says nothing.
    pub usually: Duration,
    /// Between two fetches, however many unknown keys tokens name.
    pub between: Duration,
    /// After a first failure, and after many.
    pub retry: (Duration, Duration),
    /// A key that was not there is not looked for again within so long.
    pub absent: Duration,
}

impl Default for Times {
    /// 10 s; 5 min to 24 h, 1 h; 10 s; 1 s to 1 min; 1 min.
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            answer: secs(10),
            believed: (secs(300), secs(86_400)),
            usually: secs(3_600),
            between: secs(10),
            retry: (secs(1), secs(60)),
            absent: secs(60),
        }
    }
}

/// The keys of an issuer, as far as they are known.
pub struct KeySet {
    /// Where they come from.
    pub source: Source,
    target: Target,
    state: Mutex<State>,
    /// Somebody needs a key that is not here, or the operator wants to know.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    keys: Arc<Vec<Key>>,
    /// When they were last fetched.
    fetched: Option<Instant>,
    /// How many fetches have failed since.
    failures: u32,
    /// How many were done and how many failed, since the start.
    counts: (u64, u64),
    /// Keys that tokens name and that were not there, since the last fetch began.
    unknown: BTreeSet<String>,
    /// Keys that the last fetch was to bring, and did not.
    absent: BTreeSet<String>,
    /// The next fetch does not wait.
    at_once: bool,
}

/// How fetching goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Keys that are known.
    pub(crate) keys: usize,
    /// How long ago they were fetched; `None` before the first time.
    pub(crate) age: Option<Duration>,
    /// Fetches that brought keys, since the start.
    pub(crate) done: u64,
    /// Fetches that did not.
    pub(crate) failed: u64,
}

/// Why a fetch brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Bad(#[from] BadSet),
}

impl KeySet {
    /// Knows no key yet.
    pub fn new(source: Source) -> Self {
        let (url, times) = (source.url.clone(), source.times);
        let target = Target::new(url, Vec::new(), &source.roots, source.allow_private, times.answer);
        Self { source, target, state: Mutex::default(), wanted: Notify::new() }
    }

    /// Returns the keys that are known.
    pub(crate) fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.state().keys)
    }

    /// Returns how fetching goes.
    pub(crate) fn fetched(&self) -> Fetched {
        let state = self.state();
        let (done, failed) = state.counts;
        Fetched { keys: state.keys.len(), age: state.fetched.map(|at| at.elapsed()), done, failed }
    }

    /// A token names a key that is not here, or no key at all fits. Returns whether the next fetch may bring it.
    pub(crate) fn miss(&self, kid: Option<&str>) -> bool {
        let mut state = self.state();
        let is_fresh = state.fetched.is_some_and(|at| at.elapsed() < self.source.times.absent);
        match kid {
            Some(kid) if is_fresh && state.absent.contains(kid) => return false,
            Some(kid) if state.unknown.len() < MOST_UNKNOWN => drop(state.unknown.insert(kid.to_owned())),
            // Without a name every key was tried.
            None if state.fetched.is_some() => return false,
            Some(_) | None => {}
        }
        drop(state);
        self.wanted.notify_one();
        true
    }

    /// Fetches as soon as possible, whatever was fetched before.
    fn refresh(&self) {
        self.state().at_once = true;
        self.wanted.notify_one();
    }

    /// Fetches once. Returns after which time it is to be done again.
    async fn fetch(&self) -> Duration {
        let asked = {
            let mut state = self.state();
            state.at_once = false;
            std::mem::take(&mut state.unknown)
        };
        let fetched = self.try_fetch().await;
        let (issuer, url, times) = (self.source.issuer.as_str(), &self.source.url, self.source.times);
        let mut state = self.state();
        match fetched {
            Ok((keys, passed_over, believed)) => {
                let count = keys.len();
                let names = |keys: &[Key]| keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
                if names(&keys) != names(&state.keys) || state.failures > 0 {
                    tracing::info!(issuer, %url, keys = count, passed_over, "keys of an issuer were fetched");
                }
                (state.keys, state.fetched, state.failures) = (Arc::new(keys), Some(Instant::now()), 0);
                state.absent = asked;
                state.counts.0 += 1;
                believed
            }
            Err(problem) => {
                let known = state.keys.len();
                tracing::warn!(issuer, %url, %problem, known, "keys of an issuer could not be fetched; those that are known stay");
                // What was asked for is still to come.
                state.unknown.extend(asked);
                state.failures = state.failures.saturating_add(1);
                state.counts.1 += 1;
                let (first, last) = times.retry;
                first.saturating_mul(1 << (state.failures - 1).min(16)).min(last)
            }
        }
    }

    async fn try_fetch(&self) -> Result<(Vec<Key>, usize, Duration), Failure> {
        let document = egress::get(&self.target, MOST_BYTES).await?;
        let (keys, passed_over) = parse::parse(&document.body)?;
        let (least, most) = self.source.times.believed;
        let believed = document.max_age.unwrap_or(self.source.times.usually).clamp(least, most);
        Ok((keys, passed_over, believed))
    }

    /// Waits until it is time to fetch again.
    async fn wait(&self, at_most: Duration, began: Instant) {
        let until = tokio::time::Instant::now() + at_most;
        let failing = self.state().failures > 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = self.wanted.notified() => {}
            }
            if self.state().at_once {
                return;
            }
            // An issuer that fails is not asked more often because somebody waits for it.
            if !failing {
                let earliest = (began + self.source.times.between).into();
                tokio::select! {
                    () = tokio::time::sleep_until(until.min(earliest)) => return,
                    () = async { while !self.state().at_once { self.wanted.notified().await } } => return,
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
