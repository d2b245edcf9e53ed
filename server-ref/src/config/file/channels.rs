use serde::Deserialize;

use crate::config::units::{Age, Size};

/// `[[channels]]`: how messages are kept and sent in channels whose name begins with `prefix`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRule {
    /// The beginning of the name; the longest that fits decides.
    pub prefix: String,
    /// At most so old, such as `"7d"`.
    pub max_age: Option<Age>,
    /// At most so many bytes per channel, such as `"1GiB"`.
    pub max_bytes: Option<Size>,
    /// At most so many messages per channel.
    pub max_count: Option<u64>,
    /// Whether they may be compressed (default true).
    pub compression: Option<bool>,
}
