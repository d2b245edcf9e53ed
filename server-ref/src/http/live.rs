use std::sync::{Arc, PoisonError, RwLock};

use moorline_protocol::AppName;

use super::{ApiKeys, AppTokens, ConsoleKey};
use crate::apps::{AppLimits, AppTable};

/// What can change while the API serves.
#[derive(Clone, Debug)]
pub struct HttpRules {
    /// Whose requests are taken.
    pub keys: ApiKeys,
    /// Limits of apps that have none of their own.
    pub limits: AppLimits,
    /// Apps with limits of their own.
    pub apps: AppTable,
    /// What tokens of the apps are signed with.
    pub tokens: Vec<AppTokens>,
    /// Who may log in to the console.
    pub console_keys: Vec<ConsoleKey>,
}

impl HttpRules {
    fn limits(&self, app: &AppName) -> &AppLimits {
        self.apps.of(app).unwrap_or(&self.limits)
    }

    /// Returns how many requests and messages a key of an app may send in a second (`None` = any number), and at once.
    pub(super) fn rate(&self, app: &AppName) -> (Option<u32>, u32) {
        let limits = self.limits(app);
        (limits.api_rate, limits.api_burst)
    }

    /// Returns how many bytes the payload of an app's message may have.
    pub(super) fn message(&self, app: &AppName) -> u32 {
        self.limits(app).message
    }
}

/// The rules of now. Cheap to clone; all clones change together.
#[derive(Clone, Debug)]
pub struct LiveRules(Arc<RwLock<Arc<HttpRules>>>);

impl LiveRules {
    /// Begins with these.
    pub fn new(rules: HttpRules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// Goes on with others.
    pub fn replace(&self, rules: HttpRules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Returns those of now.
    pub(super) fn now(&self) -> Arc<HttpRules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
