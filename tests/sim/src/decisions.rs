//! What the apps' backend decides: who may read a channel, and what may be published; late, wrongly, or not at all.
//!
//! Invariant 19: what the backend refuses is neither stored nor delivered, and who may not read a channel is sent nothing
//! of it, whatever its token says.

use std::collections::{BTreeMap, BTreeSet};

use moorline_core::protocol::ChannelName;
use moorline_server::node::{CalloutKind, QuestionId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::scenario::Scenario;
use crate::world::{Happening, World};

/// The backend decides in the seeds of which this is the remainder by [`SEEDS`]: all others stay as they were without.
const DECIDING: u64 = 13;
const SEEDS: u64 = 16;
/// ms after which the server does not wait for an answer any more.
pub(crate) const WITHIN_MS: u64 = 5_000;

/// A question under way.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    kind: CalloutKind,
    session: String,
    user: String,
    channel: String,
    /// Of the message, in a question about a publish.
    id: String,
    /// How the backend behaves this time.
    dice: u64,
}

impl Scenario {
    /// Lets the backend decide in some runs.
    pub(crate) fn draw_decisions(&mut self, seed: u64) {
        self.decides = seed % SEEDS == DECIDING;
    }
}

/// Tells whether the backend refuses a message, however often it is asked.
pub(crate) fn refuses(id: &str) -> bool {
    xxh3_64(id.as_bytes()).is_multiple_of(12)
}

/// What watches a connection knows of the backend's word about its channels.
#[derive(Default)]
pub(crate) struct Decided {
    allowed: BTreeSet<ChannelName>,
    latest: BTreeMap<ChannelName, QuestionId>,
}

impl Decided {
    /// Tells whether nothing of a channel may be sent.
    pub(crate) fn denies(&self, channel: &ChannelName) -> bool {
        !self.allowed.contains(channel)
    }
}

/// Returns the text of a field of a question; the names of this world need no escapes.
fn field(body: &str, name: &str) -> String {
    let begin = format!("\"{name}\":\"");
    let value = body.split_once(&begin).and_then(|(_, rest)| rest.split_once('"'));
    value.map_or_else(String::new, |(value, _)| value.to_owned())
}

impl World {
    /// A node asks the backend something.
    pub(crate) fn decide(&mut self, shard: usize, question: QuestionId, kind: CalloutKind, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        self.trace.add(self.now, "question", question.0, body, || text.clone().into_owned());
        let seed = question.0 << 20 | u64::from(self.server.life) << 4 | shard as u64;
        let dice = xxh3_64_with_seed(body, seed);
        let [session, user, channel, id] = ["session", "user", "channel", "id"].map(|name| field(&text, name));
        let decision = Decision { kind, session, user, channel, id, dice };
        if kind == CalloutKind::Subscribe
            && let Some((decided, channel)) = self.decided_mut(&decision)
        {
            decided.latest.insert(channel, question);
        }
        let after = match (self.quiet, dice >> 8 & 15) {
            (true, _) => 1 + (dice & 31),
            // Too late for anybody.
            (false, 0) => WITHIN_MS + 1,
            (false, 1..=3) => dice >> 16 & 0xfff,
            (false, _) => dice >> 16 & 0xff,
        };
        self.backend.decisions.insert((shard, question), decision);
        let life = self.server.life;
        self.after(after * 1_000, Happening::BackendDecides { life, shard, question });
    }

    /// Returns what the watcher of a decision's connection knows, and the channel.
    fn decided_mut(&mut self, decision: &Decision) -> Option<(&mut Decided, ChannelName)> {
        let channel = ChannelName::new(&decision.channel).ok()?;
        let link = self.links.iter_mut().find(|link| link.wire.session == decision.session)?;
        Some((link.wire.decided.as_mut()?, channel))
    }

    pub(crate) fn backend_decides(&mut self, life: u32, index: usize, question: QuestionId) {
        if self.server.life != life {
            return;
        }
        let Some(decision) = self.backend.decisions.remove(&(index, question)) else { return };
        let fails = !self.quiet && decision.dice >> 32 & 15 == 0;
        let allows = match decision.kind {
            CalloutKind::Publish => !refuses(&decision.id),
            CalloutKind::Subscribe => self.quiet || decision.dice >> 40 & 15 != 0,
            _ => true,
        };
        if decision.kind == CalloutKind::Subscribe && !fails {
            if !allows {
                self.backend.refused.insert(decision.user.clone());
            }
            if let Some((decided, channel)) = self.decided_mut(&decision) {
                // An older question may be answered later, and is nothing to anybody then.
                if allows {
                    decided.allowed.insert(channel);
                } else if decided.latest.get(&channel) == Some(&question) {
                    decided.allowed.remove(&channel);
                }
            }
        }
        let body = match (allows, decision.kind) {
            (true, CalloutKind::Subscribe) => r#"{"allow":true,"can":["presence","history"]}"#,
            (true, _) => r#"{"allow":true}"#,
            (false, _) => r#"{"allow":false}"#,
        };
        let answer = (!fails).then(|| bytes::Bytes::from_static(body.as_bytes()));
        let word = if fails { "nothing" } else { body };
        self.trace.add(self.now, "answer", question.0, word.as_bytes(), || word.to_owned());
        let now = self.server.clock(self.now);
        if let Some(shard) = self.server.shards.get_mut(index) {
            shard.node.handle_answer(question, answer, now);
            self.drive_server(index);
        }
    }

    /// A connection begins with nothing that the backend has allowed, where it decides.
    pub(crate) fn begin_decisions(&mut self, link: usize) {
        if self.scenario.decides {
            self.links[link].wire.decided = Some(Decided::default());
        }
    }
}
