//! Compressed deliveries: inflated, or asked for again.

use moorline_protocol::{Deliver, Packed, Qos};

use super::Subscriptions;
use super::channel::State;
use crate::inflate::{InflateError, Inflater, Recent};
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};

/// Frames that cannot be inflated although everything for it is there: with so many on one connection, this client and
/// this server do not go together.
const MAX_FAULTS: u32 = 2;

/// What this client and its server make of `packed` frames.
pub(super) struct Packing {
    pub(super) inflater: Inflater,
    /// Whether they are welcome at all.
    is_wanted: bool,
    /// Whether the server was told so, and has agreed, on this connection.
    is_agreed: bool,
    /// Frames of this connection that could not be inflated.
    faults: u32,
}

impl Packing {
    pub(super) fn new(is_wanted: bool, bugs: Bugs) -> Self {
        Self { inflater: Inflater::new(bugs), is_wanted, is_agreed: false, faults: 0 }
    }

    pub(super) fn on_lost(&mut self) {
        self.is_agreed = false;
        self.faults = 0;
    }

    /// Returns where a subscription that begins notes its messages, if their like can be a dictionary.
    pub(super) fn recent(&self, qos: Qos) -> Option<Recent> {
        (self.is_agreed && qos > Qos::AtMostOnce).then(Recent::default)
    }

    /// Notes why a frame is of no use; tells whether there may be another.
    fn forgive(&mut self, error: InflateError) -> bool {
        // What the dictionary is made of was lost on the way, or is yet to come.
        if error != InflateError::Dictionary {
            self.faults += 1;
        }
        self.faults < MAX_FAULTS
    }
}

impl Subscriptions {
    /// Tells whether to offer the server that it compresses.
    pub(crate) fn wants_packed(&self) -> bool {
        self.packing.is_wanted
    }

    pub(crate) fn on_welcome(&mut self, can_pack: bool) {
        self.packing.is_agreed = can_pack && self.packing.is_wanted;
    }

    /// Returns what a compressed delivery holds, if that can be told.
    pub(crate) fn unpack(&mut self, packed: &Packed) -> Option<Deliver> {
        let index = self.joined_index(&packed.channel)?;
        let State::Joined(joined) = &self.channels.get(index)?.state else { return None };
        self.packing.inflater.unpack(packed, joined.recent.as_ref()?).ok()
    }

    /// A compressed delivery cannot be inflated: it is a hole, is asked for again, and comes as it is.
    ///
    /// # Errors
    /// What the server has done wrong. After that, this process does not offer to inflate any more.
    pub(crate) fn on_packed(&mut self, packed: &Packed, out: &mut Outgoing) -> Result<(), &'static str> {
        let Some(channel) = self.joined_index(&packed.channel).and_then(|index| self.channels.get_mut(index)) else {
            return Ok(());
        };
        let State::Joined(joined) = &channel.state else { return Ok(()) };
        let Some(recent) = &joined.recent else { return Err("a compressed delivery that was not asked for") };
        let result = match self.packing.inflater.unpack(packed, recent) {
            Ok(_) | Err(InflateError::Repeated) => Ok(()),
            Err(_) if channel.is_repairing() || self.bugs.has(Bug::FaultsDropped) => Ok(()),
            Err(error) if self.packing.forgive(error) => channel.repair(out),
            Err(_) => Err("compressed deliveries that cannot be inflated"),
        };
        self.packing.is_wanted &= result.is_ok();
        result
    }
}
