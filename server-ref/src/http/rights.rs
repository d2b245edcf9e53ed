//! What a key may do, beside being good.

use std::sync::Arc;

use moorline_protocol::ErrorCode;

use super::Caller;
use super::problem::Problem;

/// One of the things that keys may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Publish, and read what became of it.
    Publish,
    /// Read channels: their names, messages and members.
    Read,
    /// Read whether users are online.
    Status,
    /// End the connections of users.
    Disconnect,
    /// Revoke tokens.
    Revoke,
}

impl Right {
    /// All of them, by the names they have in the configuration.
    pub const ALL: [(&str, Self); 5] = [
        ("publish", Self::Publish),
        ("read", Self::Read),
        ("status", Self::Status),
        ("disconnect", Self::Disconnect),
        ("revoke", Self::Revoke),
    ];

    /// Returns the right with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, right)| *right)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, right)| *right == self).map_or("", |(name, _)| name)
    }
}

/// What a key may do, and where. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    rights: Arc<[Right]>,
    /// Exact names of channels, or a prefix and `*`; `None` = all.
    channels: Option<Arc<[String]>>,
}

impl Rights {
    /// Makes rights. `channels` are for publishing and reading: exact names, or a prefix and `*`; `None` = all.
    pub fn new(rights: Vec<Right>, channels: Option<Vec<String>>) -> Self {
        Self { rights: rights.into(), channels: channels.map(Into::into) }
    }

    /// Everything, everywhere.
    pub fn all() -> Self {
        Self::new(Right::ALL.map(|(_, right)| right).to_vec(), None)
    }

    fn reach(&self, channel: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => channel.starts_with(prefix),
            None => pattern == channel,
        };
        self.channels.as_ref().is_none_or(|channels| channels.iter().any(fits))
    }

    fn reach_all(&self, prefix: &str) -> bool {
        let fits = |pattern: &String| pattern.strip_suffix('*').is_some_and(|own| prefix.starts_with(own));
        self.channels.as_ref().is_none_or(|channels| channels.iter().any(fits))
    }
}

impl Caller {
    /// Says that a request needs a right.
    ///
    /// # Errors
    /// 403, `channel.denied`.
    pub(super) fn must(&self, right: Right) -> Result<(), Problem> {
        if self.rights.rights.contains(&right) {
            return Ok(());
        }
        Err(denied(format!("this needs an API key with the right `{}`", right.name())))
    }

    /// Tells whether the key is good for a channel.
    pub(super) fn reaches(&self, channel: &str) -> bool {
        self.rights.reach(channel)
    }

    /// Tells whether there are channels that the key is not good for.
    pub(super) fn is_confined(&self) -> bool {
        self.rights.channels.is_some()
    }

    /// Says that a request is about a channel.
    ///
    /// # Errors
    /// 403, `channel.denied`.
    pub(super) fn must_reach(&self, channel: &str) -> Result<(), Problem> {
        if self.reaches(channel) { Ok(()) } else { Err(denied(NOT_ITS_CHANNEL)) }
    }

    /// Says that a request is about all channels whose names begin so.
    ///
    /// # Errors
    /// 403, `channel.denied`.
    pub(super) fn must_reach_all(&self, prefix: &str) -> Result<(), Problem> {
        if self.rights.reach_all(prefix) {
            return Ok(());
        }
        Err(denied("this API key is good for some channels only; give a `prefix` that all of them are its own with"))
    }
}

/// What a caller is told of a channel that is not one of its key's.
pub(super) const NOT_ITS_CHANNEL: &str = "this API key is not good for this channel";

fn denied(detail: impl Into<String>) -> Problem {
    Problem::new(&ErrorCode::ChannelDenied, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_reach_what_they_name_and_no_list_reaches_beyond_them() {
        let rights = Rights::new(vec![Right::Read], Some(vec!["chat:*".into(), "news".into()]));
        for (channel, reached) in
            [("chat:", true), ("chat:1", true), ("news", true), ("newspaper", false), ("cha", false)]
        {
            assert_eq!(rights.reach(channel), reached, "{channel}");
        }
        for (prefix, reached) in [("chat:", true), ("chat:1", true), ("news", false), ("chat", false), ("", false)] {
            assert_eq!(rights.reach_all(prefix), reached, "{prefix}");
        }
        assert!(Rights::all().reach("x") && Rights::all().reach_all(""));
    }
}
