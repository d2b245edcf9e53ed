//! What one reader of one channel must get next, as the model says.

use std::collections::BTreeSet;

use moorline_core::Received;
use moorline_core::protocol::{ChannelName, Epoch, Offset, Position, Qos, ResetReason, Start};

use crate::model::{Log, Violation};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Continuity {
    pub(crate) channel: ChannelName,
    pub(crate) qos: Qos,
    /// Everything up to here was handed out or reported lost; `None` before the first `Subscribed`.
    pub(crate) position: Option<Position>,
    /// The first `Subscribed` may go back as far as it likes, but must not skip what follows this.
    pub(crate) at_most: Option<Position>,
    /// What the server had confirmed as the cursor before: it must not go back behind it.
    pub(crate) at_least: Option<Position>,
    /// Where it stood when a subscription began anew with a reset, which is told next.
    stood: Option<Position>,
    seen_ephemeral: BTreeSet<String>,
}

impl Continuity {
    pub(crate) fn new(channel: ChannelName, qos: Qos, at_most: Option<Position>, at_least: Option<Position>) -> Self {
        Self { channel, qos, position: None, at_most, at_least, stood: None, seen_ephemeral: BTreeSet::new() }
    }

    pub(crate) fn subscribed(&mut self, head: Position, from: Offset, start: &Start, log: &Log) -> Option<Violation> {
        let now = Position { epoch: head.epoch, offset: from };
        let before = self.position.replace(now);
        let (at_most, at_least) = (self.at_most.take(), self.at_least.take());
        if *start == Start::Reset || self.qos == Qos::AtMostOnce {
            self.stood = before;
            return None;
        }
        let skips = |bound: Position| {
            bound.epoch == now.epoch
                && bound.offset < now.offset
                && log.missing(&self.channel, now.epoch, bound.offset, now.offset.next()).is_some()
        };
        if let Some(before) = before {
            // Within one process the reader goes on where it stood.
            let same = before.epoch == now.epoch
                && (before.offset == now.offset || !skips(before) && before.offset < now.offset);
            return (!same).then(|| self.wrong(7, format!("{start:?} from {now:?}, the reader stood at {before:?}")));
        }
        // Only an engine that may lose everything changes epochs, and it loses cursors with them.
        if let Some(bound) = at_most.filter(|bound| skips(*bound)) {
            return Some(self.wrong(7, format!("{start:?} from {now:?}, the app is done up to {bound:?}")));
        }
        let back = at_least.filter(|bound| bound.epoch == now.epoch && now.offset < bound.offset);
        back.map(|bound| self.wrong(9, format!("{start:?} from {now:?}, the cursor was confirmed at {bound:?}")))
    }

    pub(crate) fn reset(
        &mut self,
        epoch: Epoch,
        (first, from): (Offset, Offset),
        reason: &ResetReason,
        log: &Log,
    ) -> Option<Violation> {
        let now = Position { epoch, offset: from };
        let stood = self.position.replace(now).filter(|stood| *stood != now);
        let before = self.stood.take().or(stood)?;
        let is_needed = match reason {
            ResetReason::Trimmed => {
                let gone = log.first(&self.channel, epoch).is_some_and(|kept| kept >= first);
                before.epoch == epoch && before.offset < first.previous() && gone
            }
            _ => before.epoch != epoch,
        };
        (!is_needed && self.qos > Qos::AtMostOnce).then(|| {
            let what = format!("a reset ({reason:?}) to {epoch:?} {first} from {from}, the reader stood at {before:?}");
            self.wrong(6, what)
        })
    }

    pub(crate) fn message(&mut self, received: &Received, log: &Log) -> Option<Violation> {
        let message = &received.message;
        let Some(offset) = message.offset else {
            let id = message.id.as_str().to_owned();
            let fresh = self.seen_ephemeral.insert(id.clone());
            return (!fresh).then(|| self.wrong(4, format!("{id} twice at QoS 0")));
        };
        let Some(position) = self.position else {
            return Some(self.wrong(5, format!("{offset} before any subscribed")));
        };
        if position.epoch != received.epoch {
            return Some(self.wrong(5, format!("{offset} of another epoch")));
        }
        if offset <= position.offset {
            return Some(self.wrong(5, format!("{offset} after {}", position.offset)));
        }
        if self.qos > Qos::AtMostOnce
            && let Some(missing) = log.missing(&self.channel, position.epoch, position.offset, offset)
        {
            return Some(self.wrong(5, format!("{offset} after {}, without {missing}", position.offset)));
        }
        self.position = Some(Position { epoch: received.epoch, offset });
        None
    }

    fn wrong(&self, invariant: u8, what: String) -> Violation {
        Violation::new(invariant, format!("{}: {what}", self.channel))
    }
}
