//! What publishers were told and what apps saw, against the log.

use std::collections::BTreeMap;

use moorline_core::protocol::{ChannelName, ErrorCode, Offset, Qos};
use moorline_core::{Failure, Origin, PublishOutcome, Received};

use crate::client::Excuses;
use crate::decisions::refuses;
use crate::model::{Entry, Log, Violation, content};
use crate::scenario::Content;

/// One publish of an app.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) client: usize,
    pub(crate) channel: ChannelName,
    pub(crate) qos: Qos,
    /// Which of the devices that the client has been.
    pub(crate) device: u32,
    /// Its place among the publishes of this client.
    pub(crate) order: u64,
    pub(crate) hash: u64,
    pub(crate) content: Content,
    /// Whether the backend refuses it.
    pub(crate) refused: bool,
    /// Whether it may be forgotten before it was sent.
    pub(crate) expires: bool,
    pub(crate) outcome: Option<PublishOutcome>,
    /// Which incarnation of the process was told so.
    pub(crate) life: u32,
    /// Whether its client's store was rolled back before it was told so.
    pub(crate) rolled_back: bool,
    /// Whether nobody waits for its outcome any more.
    pub(crate) orphaned: bool,
}

/// What is known of the world when a publish settles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The incarnation of the process.
    pub(crate) life: u32,
    pub(crate) excuses: Excuses,
    /// Whether the engine has lost acknowledged messages.
    pub(crate) lost: bool,
    /// Whether tokens of the user ever denied a channel.
    pub(crate) denied: bool,
    /// Whether every token grants everything again.
    pub(crate) healed: bool,
    /// Whether ids may be forgotten within the run.
    pub(crate) forgetful: bool,
}

/// Everything seen from outside.
#[derive(Default)]
pub(crate) struct History {
    publishes: BTreeMap<String, Publish>,
    /// Whether the backend decides what is published.
    decides: bool,
    pub(crate) delivered: u64,
    pub(crate) resets: u64,
}

impl History {
    /// Begins one; `decides` tells whether the backend decides what is published.
    pub(crate) fn new(decides: bool) -> Self {
        Self { decides, ..Self::default() }
    }

    pub(crate) fn published(&mut self, name: String, mut publish: Publish) {
        publish.refused = self.decides && refuses(&name);
        self.publishes.insert(name, publish);
    }

    /// Returns how a publish ended, as far as it has.
    pub(crate) fn outcome(&self, name: &str) -> Option<&PublishOutcome> {
        self.publishes.get(name)?.outcome.as_ref()
    }

    pub(crate) fn count(&self) -> usize {
        self.publishes.len()
    }

    /// The process that published it died, or may not publish any more.
    pub(crate) fn orphan(&mut self, name: &str) {
        if let Some(publish) = self.publishes.get_mut(name) {
            publish.orphaned = true;
        }
    }

    /// Takes what an app was told about a publish.
    pub(crate) fn settled(
        &mut self,
        name: &str,
        context: Context,
        outcome: PublishOutcome,
        log: &mut Log,
    ) -> Option<Violation> {
        let Some(publish) = self.publishes.get_mut(name) else {
            return Some(Violation::new(11, format!("{name} settled but was never published")));
        };
        if let PublishOutcome::Kept(_) = outcome {
            // This process has ended; the next one goes on with it.
            publish.orphaned = true;
            return None;
        }
        if let Some(before) = &publish.outcome
            && (!is_repeated(before, &outcome, publish, context) || context.life == publish.life)
        {
            return Some(Violation::new(11, format!("{name} settled twice: {before:?}, then {outcome:?}")));
        }
        if publish.refused && matches!(outcome, PublishOutcome::Stored(_)) {
            return Some(Violation::new(19, format!("{name} is stored, and the backend refuses it")));
        }
        if let Some(why) = unexplained(publish, &outcome, context) {
            return Some(Violation::new(11, format!("{name} ended as {outcome:?}: {why}")));
        }
        let (channel, hash) = (publish.channel.clone(), publish.hash);
        publish.life = context.life;
        publish.rolled_back = context.excuses.doubt;
        publish.outcome = Some(outcome.clone());
        let PublishOutcome::Stored(stored) = outcome else { return None };
        log.name(&channel, stored.epoch, stored.offset?, name, hash)
    }

    pub(crate) fn received(&mut self, received: &Received, log: &mut Log) -> Option<Violation> {
        self.delivered += 1;
        let message = &received.message;
        let (id, hash) = (message.id.as_str(), content(message));
        if self.publishes.get(id).is_some_and(|publish| publish.hash != hash) {
            return Some(Violation::new(8, format!("{id} arrived with another content")));
        }
        if self.publishes.get(id).is_some_and(|publish| publish.refused) {
            return Some(Violation::new(19, format!("{id} arrived, and the backend refuses it")));
        }
        log.name(&received.channel, received.epoch, message.offset?, id, hash)
    }

    /// Checks what can only be checked when all is quiet. `lost`: the log has lost what it acknowledged; `ids_ms`:
    /// how long ids are kept.
    pub(crate) fn check_end(&self, log: &Log, lost: bool, ids_ms: u64) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut by_id: BTreeMap<(&ChannelName, &str), Vec<(Offset, &Entry)>> = BTreeMap::new();
        for (channel, _, offset, entry) in log.entries() {
            by_id.entry((channel, entry.id.as_str())).or_default().push((offset, entry));
        }
        for ((channel, id), entries) in &by_id {
            // An id is of its publisher alone; nobody's is of a connection, and only the server's own API is nobody.
            let is_nobodys = |(_, entry): &&(Offset, &Entry)| entry.user.is_none() && !id.starts_with(['b', 'o']);
            if entries.iter().any(|entry| is_nobodys(&entry)) {
                continue;
            }
            let again = |(at, (_, first)): (usize, &(Offset, &Entry))| {
                let next = entries[at + 1..].iter().find(|(_, next)| next.user == first.user);
                next.is_some_and(|(_, next)| next.written.saturating_sub(first.time) < ids_ms)
            };
            let soon = entries.iter().enumerate().any(again);
            if soon {
                found.push(Violation::new(2, format!("{id} stands {} times in {channel}", entries.len())));
            }
        }
        for (name, publish) in &self.publishes {
            let stored = by_id.contains_key(&(&publish.channel, name.as_str()));
            found.extend(publish.check_end(name, stored, lost, log));
        }
        self.check_order(log, &mut found);
        found
    }

    /// Invariant 3: QoS 2 messages of one device stand in a channel in the order of publishing.
    fn check_order(&self, log: &Log, found: &mut Vec<Violation>) {
        let mut last: BTreeMap<(&ChannelName, usize, u32), (u64, &str)> = BTreeMap::new();
        for (channel, _, offset, entry) in log.entries() {
            let ordered = |publish: &&Publish| publish.qos == Qos::ExactlyOnce && !publish.rolled_back;
            let Some(publish) = self.publishes.get(&entry.id).filter(ordered) else { continue };
            let key = (channel, publish.client, publish.device);
            if let Some((order, name)) = last.get(&key)
                && *order > publish.order
            {
                found.push(Violation::new(3, format!("{} at {channel} {offset} stands after {name}", entry.id)));
            }
            last.insert(key, (publish.order, entry.id.as_str()));
        }
    }
}

impl Publish {
    fn check_end(&self, name: &str, stored: bool, lost: bool, log: &Log) -> Option<Violation> {
        match &self.outcome {
            Some(PublishOutcome::Stored(at)) => {
                let entry = at.offset.and_then(|offset| log.entry(&self.channel, at.epoch, offset));
                let is_there = entry.is_some_and(|entry| entry.id == name);
                let excused = lost && log.is_over(&self.channel, at.epoch);
                let what = || Violation::new(1, format!("{name} was acknowledged at {at:?} and is not in the log"));
                (!is_there && !excused).then(what)
            }
            Some(PublishOutcome::Failed(failure)) if stored && !self.rolled_back => {
                Some(Violation::new(11, format!("{name} failed ({failure}) and is in the log")))
            }
            None if !self.orphaned => Some(Violation::new(11, format!("{name} never settled"))),
            _ => None,
        }
    }
}

/// Whether an app may be told this after that: a process that was killed between the answer and the removal from its
/// store asks again, and so does one whose store was rolled back.
fn is_repeated(before: &PublishOutcome, outcome: &PublishOutcome, publish: &Publish, context: Context) -> bool {
    let is_simple = publish.qos == Qos::AtLeastOnce;
    match (before, outcome) {
        (PublishOutcome::Stored(a), PublishOutcome::Stored(b)) => {
            let is_forgotten = context.forgetful && (is_simple || context.excuses.doubt);
            a.offset == b.offset || a.epoch != b.epoch || is_forgotten
        }
        (PublishOutcome::Uncertain, _) | (_, PublishOutcome::Uncertain) => may_be_uncertain(publish, context),
        // What it had given up itself is still in its store.
        (PublishOutcome::Failed(failure), _) if failure.origin == Origin::Client => true,
        (PublishOutcome::Failed(a), PublishOutcome::Failed(b)) if a.code == b.code => true,
        // Without the sequence that was refused, it is a new publish; and a store that was rolled back holds it as unsent.
        (PublishOutcome::Failed(_), PublishOutcome::Stored(_)) => {
            context.denied && (is_simple || context.excuses.doubt)
        }
        (_, PublishOutcome::Failed(failure)) => {
            // What the log has lost is a new publish as well.
            context.excuses.doubt && failure.origin == Origin::Client
                || (context.excuses.doubt || context.lost) && context.denied
        }
        _ => false,
    }
}

/// Whether a publish may end as uncertain: its producer or its place in the log was lost, or it was refused when it was
/// sent again without a sequence.
fn may_be_uncertain(publish: &Publish, context: Context) -> bool {
    let is_refusable = context.denied || publish.refused || publish.content == Content::Poison;
    context.excuses.doubt
        || context.excuses.left
        || context.lost
        || (is_refusable && publish.qos == Qos::AtLeastOnce)
        || (publish.expires && publish.qos == Qos::AtLeastOnce)
}

/// Returns why an outcome cannot be, if it cannot.
fn unexplained(publish: &Publish, outcome: &PublishOutcome, context: Context) -> Option<&'static str> {
    let code = |failure: &Failure| (failure.origin, failure.code.clone());
    match outcome {
        PublishOutcome::Sent => (publish.qos > Qos::AtMostOnce).then_some("it is more than QoS 0"),
        PublishOutcome::Stored(_) if publish.content == Content::Poison => Some("it must be refused"),
        PublishOutcome::Stored(_) | PublishOutcome::Kept(_) => None,
        PublishOutcome::Uncertain => (!may_be_uncertain(publish, context)).then_some("nothing made it uncertain"),
        PublishOutcome::Failed(failure) => {
            let explained = match code(failure) {
                (Origin::Server, ErrorCode::RequestMalformed) => publish.content == Content::Poison,
                (Origin::Server, ErrorCode::ChannelDenied) => publish.refused || context.denied && !context.healed,
                (Origin::Client, ErrorCode::StorageFull) => context.excuses.store,
                (Origin::Client, ErrorCode::PublishExpired) => publish.expires,
                (Origin::Client, ErrorCode::PublishDropped) => publish.qos == Qos::AtMostOnce,
                (Origin::Client, ErrorCode::ClientClosed) => context.excuses.left,
                _ => false,
            };
            (!explained).then_some("nothing explains it")
        }
    }
}
