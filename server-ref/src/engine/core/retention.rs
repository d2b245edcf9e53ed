/// How long the messages of some channels are kept; whichever limit is reached first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Channels whose name begins so, in any app.
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

/// The rules of a server; the longest prefix that fits decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRules(Vec<RetentionRule>);

impl Default for RetentionRules {
    /// 7 days, 1 GiB per channel, no count limit.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl RetentionRules {
    /// Creates rules; where none has the empty prefix, the default rule is added.
    pub fn new(mut rules: Vec<RetentionRule>) -> Self {
        if !rules.iter().any(|rule| rule.prefix.is_empty()) {
            let (age, bytes) = (Some(7 * 24 * 3_600_000), Some(1 << 30));
            rules.push(RetentionRule { prefix: String::new(), max_age_ms: age, max_bytes: bytes, max_count: None });
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        Self(rules)
    }

    /// Returns the rule for a channel.
    pub fn of(&self, channel: &str) -> Option<&RetentionRule> {
        self.0.iter().find(|rule| channel.starts_with(&rule.prefix))
    }
}
