use moorline_protocol::AppName;
use moorline_protocol::time::UnixMillis;

use super::store::MessageStore;
use super::{EngineCore, completed};
use crate::engine::{Completion, EngineRules, ShardId, Ticket};

impl<S: MessageStore> EngineCore<S> {
    /// Goes on under other rules. What is stored, connected or remembered already stays; the next thing is measured by
    /// them.
    pub(super) fn configure(&mut self, shard: ShardId, ticket: Ticket, rules: EngineRules, now: UnixMillis) {
        let EngineRules { retention, hooks, cursors_per_user, apps } = rules;
        self.config.retention = retention;
        (self.config.cursors_per_user, self.config.apps) = (cursors_per_user, apps);
        if self.config.hooks != hooks {
            self.config.hooks = hooks;
            self.learn_followers(now);
        }
        self.reply(shard, completed(ticket, Completion::Configured));
    }

    /// Returns how many durable cursors a user of an app may have.
    pub(super) fn cursors_of_a_user(&self, app: &AppName) -> usize {
        let own = self.config.apps.of(app).map(|limits| limits.cursors_per_user as usize);
        own.unwrap_or(self.config.cursors_per_user)
    }
}
