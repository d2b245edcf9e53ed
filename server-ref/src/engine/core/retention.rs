use std::collections::BTreeMap;

use moorline_protocol::AppName;

/// How long the messages of some channels are kept; whichever limit is reached first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Channels whose name begins so.
    pub prefix: String,
    /// ms.
    pub max_age_ms: Option<u64>,
    /// Encoded bytes per channel.
    pub max_bytes: Option<u64>,
    /// Messages per channel.
    pub max_count: Option<u64>,
}

impl RetentionRule {
    /// Returns the rule for what hooks are told: a little longer than it is tried, so that giving up is noticed.
    pub(super) fn of_hooks(max_age_ms: u64) -> Self {
        let max_age_ms = Some(max_age_ms.saturating_add(3_600_000));
        Self { prefix: String::new(), max_age_ms, max_bytes: Some(1 << 30), max_count: None }
    }

    /// Returns the rule for operations: what is promised outlives a server that is down for days.
    pub(super) fn of_operations() -> Self {
        let max_age_ms = Some(7 * 24 * 3_600_000);
        Self { prefix: String::new(), max_age_ms, max_bytes: Some(1 << 30), max_count: None }
    }
}

/// The rules of a server: those of the app before those of all apps, and among each the longest prefix that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    all: Vec<RetentionRule>,
    apps: BTreeMap<AppName, Vec<RetentionRule>>,
}

impl Default for RetentionRules {
    /// 7 days, 1 GiB per channel, no count limit.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl RetentionRules {
    /// Creates rules for all apps; where none has the empty prefix, the default rule is added.
    pub fn new(mut rules: Vec<RetentionRule>) -> Self {
        if !rules.iter().any(|rule| rule.prefix.is_empty()) {
            let (age, bytes) = (Some(7 * 24 * 3_600_000), Some(1 << 30));
            rules.push(RetentionRule { prefix: String::new(), max_age_ms: age, max_bytes: bytes, max_count: None });
        }
        Self { all: sorted(rules), apps: BTreeMap::new() }
    }

    /// Adds an app's own rules. Where none of them fits, those of all apps decide.
    #[must_use]
    pub fn with_app(mut self, app: AppName, rules: Vec<RetentionRule>) -> Self {
        if !rules.is_empty() {
            self.apps.insert(app, sorted(rules));
        }
        self
    }

    /// Returns the rule for a channel of an app.
    pub fn of(&self, app: &AppName, channel: &str) -> Option<&RetentionRule> {
        let own = self.apps.get(app).into_iter().flatten();
        own.chain(&self.all).find(|rule| channel.starts_with(&rule.prefix))
    }
}

/// The longest prefix first.
fn sorted(mut rules: Vec<RetentionRule>) -> Vec<RetentionRule> {
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
    rules
}
