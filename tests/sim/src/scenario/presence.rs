//! What members do. Drawn from dice of its own, so that runs without members stay as they are.

use moorline_core::protocol::PresenceMode;

use super::Scenario;
use crate::dice::Dice;

/// Percent of runs with members.
const SHARE: u64 = 30;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresenceOp {
    Enter,
    Update,
    Leave,
}

/// What a client does, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PresencePlan {
    /// µs of the world.
    pub(crate) at: u64,
    pub(crate) client: usize,
    pub(crate) channel: usize,
    pub(crate) op: PresenceOp,
}

impl Scenario {
    /// Adds members to some runs.
    pub(crate) fn draw_presence(&mut self, dice: &mut Dice) {
        const OPS: [PresenceOp; 5] =
            [PresenceOp::Enter, PresenceOp::Update, PresenceOp::Update, PresenceOp::Update, PresenceOp::Leave];
        if !dice.chance(SHARE) {
            return;
        }
        for client in &mut self.clients {
            for (channel, _) in &client.readings {
                if dice.chance(80) {
                    let mode = if dice.chance(75) { PresenceMode::Join } else { PresenceMode::Watch };
                    client.presence.push((*channel, mode));
                }
            }
        }
        for _ in 0..dice.range(0, 20) {
            let (at, client) = (dice.range(0, self.quiet_at - 1), dice.index(self.clients.len()));
            let (channel, op) = (dice.index(self.channels), OPS[dice.index(OPS.len())]);
            self.presence.push(PresencePlan { at, client, channel, op });
        }
    }
}
