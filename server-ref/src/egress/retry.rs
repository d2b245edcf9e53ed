//! `Retry-After` (RFC 9110, 10.2.3): when somebody who has no time now wants to be asked again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moorline_protocol::time::UnixMillis;

/// What a `Retry-After` says; nothing of it is bounded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// In so many seconds.
    In(Duration),
    /// At this moment.
    At(SystemTime),
}

impl RetryAfter {
    /// Reads seconds or a date; `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More than fits is for ever.
            return Some(Self::In(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        httpdate::parse_http_date(text).ok().map(Self::At)
    }

    /// Returns ms from now; 0 if the moment has passed.
    pub fn ms_from(self, now: UnixMillis) -> u64 {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::In(wait) => ms(wait),
            Self::At(moment) => ms(moment.duration_since(UNIX_EPOCH).unwrap_or_default()).saturating_sub(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
        let now = 784_111_717_000;
        for (text, ms) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60_000)),
            ("Sun Nov  6 08:49:37 1994", Some(60_000)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ] {
            assert_eq!(RetryAfter::parse(text).map(|retry| retry.ms_from(now)), ms, "{text}");
        }
    }
}
