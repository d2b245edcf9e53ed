//! Whom apps follow. Drawn from dice of its own, so that runs without it stay as they are.

use super::Scenario;
use crate::dice::Dice;

/// Percent of runs in which somebody is followed.
const SHARE: u64 = 20;
/// Users that are asked for; not all of them exist.
const USERS: u64 = 4;

/// What an app does about the status of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusOp {
    /// Follows these users from now on, instead of those before.
    Follow,
    /// Asks once.
    Ask,
}

/// What a client does, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusPlan {
    /// µs of the world.
    pub(crate) at: u64,
    pub(crate) client: usize,
    /// Bit n stands for the nth user.
    pub(crate) users: u64,
    pub(crate) op: StatusOp,
}

impl Scenario {
    /// Lets apps follow users in some runs.
    pub(crate) fn draw_status(&mut self, dice: &mut Dice) {
        if !dice.chance(SHARE) {
            return;
        }
        for _ in 0..dice.range(1, 8) {
            let (at, client) = (dice.range(0, self.quiet_at - 1), dice.index(self.clients.len()));
            let users = dice.range(0, (1 << USERS) - 1);
            let op = if dice.chance(75) { StatusOp::Follow } else { StatusOp::Ask };
            self.statuses.push(StatusPlan { at, client, users, op });
        }
    }
}

impl StatusPlan {
    /// Returns the names of its users.
    pub(crate) fn names(self) -> impl Iterator<Item = String> {
        (0..USERS).filter(move |user| self.users >> user & 1 == 1).map(|user| format!("user{user}"))
    }
}
