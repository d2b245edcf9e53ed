use std::sync::Arc;

use moorline_protocol::AppName;

/// A call-out as the configuration once described it: one that changes is another, and no number is used again. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CalloutId(pub u64);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CalloutKind {
    /// Whether a connection is let in, as whom, and with which grants.
    Connect,
    /// Whether a user may read a channel.
    Subscribe,
    /// Whether a message may be published.
    Publish,
    /// What a client calls.
    Rpc,
}

impl CalloutKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Subscribe, Self::Publish, Self::Rpc];

    /// Returns its name, as in the configuration and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Rpc => "call",
        }
    }

    /// Returns the kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a question that has no answer of use means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// No, for now: the client is told `app.unavailable` and tries again.
    #[default]
    Deny,
    /// What the token alone allows.
    Allow,
}

/// When whose backend is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalloutRule {
    /// Whose connections it is about.
    pub app: AppName,
    /// What is asked.
    pub kinds: Vec<CalloutKind>,
    /// Channels that are asked about: exact names, or a beginning and `*`; none = all.
    pub channels: Vec<Arc<str>>,
    /// Who is asked, and how.
    pub terms: Terms,
}

/// Who is asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who.
    pub id: CalloutId,
    /// ms after which a question counts as failed.
    pub within_ms: u64,
    /// What that means.
    pub on_failure: OnFailure,
    /// Whether tokens are verified before the backend is asked who connects; else they mean something only to the backend.
    pub verifies: bool,
}

impl CalloutRule {
    fn covers(&self, channel: &str) -> bool {
        let fits = |pattern: &Arc<str>| match pattern.strip_suffix('*') {
            Some(prefix) => channel.starts_with(prefix),
            None => **pattern == *channel,
        };
        self.channels.is_empty() || self.channels.iter().any(fits)
    }
}

/// All rules, in the order of the configuration: the first that fits decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalloutRules(Arc<[CalloutRule]>);

impl CalloutRules {
    /// Makes rules.
    pub fn new(rules: Vec<CalloutRule>) -> Self {
        Self(rules.into())
    }

    /// Returns these rules, and those others where none of these fits.
    #[must_use]
    pub fn before(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(others.0.iter()).cloned().collect())
    }

    /// Returns who decides something about an app, and, where it is about one, a channel.
    pub fn of(&self, app: &AppName, kind: CalloutKind, channel: Option<&str>) -> Option<Terms> {
        let covers = |rule: &&CalloutRule| channel.is_none_or(|channel| rule.covers(channel));
        let rule = self.0.iter().filter(|rule| rule.app == *app && rule.kinds.contains(&kind)).find(covers);
        rule.map(|rule| rule.terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, app: &str, kind: CalloutKind, channels: &[&str]) -> CalloutRule {
        let terms = Terms { id: CalloutId(id), within_ms: 1, on_failure: OnFailure::Deny, verifies: true };
        let channels = channels.iter().map(|pattern| Arc::from(*pattern)).collect();
        CalloutRule { app: AppName::new(app).unwrap(), kinds: vec![kind], channels, terms }
    }

    #[test]
    fn the_first_that_fits_decides() {
        let (publish, subscribe) = (CalloutKind::Publish, CalloutKind::Subscribe);
        let rules = CalloutRules::new(vec![
            rule(1, "other", publish, &[]),
            rule(2, "shop", subscribe, &[]),
            rule(3, "shop", publish, &["room:1", "news*"]),
            rule(4, "shop", publish, &["room:*"]),
            rule(5, "shop", publish, &["room:1"]),
        ]);
        let of = |rules: &CalloutRules, channel: &str| {
            rules.of(&AppName::new("shop").unwrap(), publish, Some(channel)).map(|terms| terms.id.0)
        };
        for (channel, id) in [("room:1", 3), ("news", 3), ("newspaper", 3), ("room:", 4), ("room:12", 4)] {
            assert_eq!(of(&rules, channel), Some(id), "{channel}");
        }
        assert_eq!((of(&rules, "room"), of(&rules, "new")), (None, None));
        let others = CalloutRules::new(vec![rule(6, "shop", publish, &[])]);
        let both = rules.before(&others);
        assert_eq!((of(&both, "room:1"), of(&both, "room")), (Some(3), Some(6)));
    }
}
