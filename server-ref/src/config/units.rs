use std::net::SocketAddr;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// ms, written as `"500ms"`, `"30s"`, `"15m"`, `"24h"` or `"7d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub u64);

/// Bytes, written as a number, or as `"64KiB"`, `"16MiB"` or `"1GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// An address and a port, written as `"127.0.0.1:8000"` or `"[::1]:8000"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

const AGES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits)?.trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let age = match Either::deserialize(deserializer) {
            Ok(Either::Text(text)) => parse(&text, &AGES),
            // A number without a unit could be anything.
            Ok(Either::Number(_)) | Err(_) => None,
        };
        age.map(Self).ok_or_else(|| D::Error::custom("a time is written as \"30s\", \"15m\", \"24h\" or \"7d\""))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = match Either::deserialize(deserializer) {
            Ok(Either::Number(bytes)) => Some(bytes),
            Ok(Either::Text(text)) => parse(&text, &SIZES),
            Err(_) => None,
        };
        size.map(Self).ok_or_else(|| D::Error::custom("a size is written as \"64KiB\", \"16MiB\" or \"1GiB\""))
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "it is an address and a port, such as 127.0.0.1:8000 or [::1]:8000")
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(parse("7d", &AGES), Some(604_800_000));
        assert_eq!(parse("500ms", &AGES), Some(500));
        assert_eq!(parse("64 KiB", &SIZES), Some(65_536));
        assert_eq!(parse("7", &AGES), None);
        assert_eq!(parse("d", &AGES), None);
        assert_eq!(parse("99999999999999999999d", &AGES), None);
    }

    #[test]
    fn addresses_are_read() {
        assert!("127.0.0.1:8000".parse::<Listen>().is_ok() && "[::]:0".parse::<Listen>().is_ok());
        for text in ["", "8000", "localhost:8000", "127.0.0.1", "127.0.0.1:65536", "::1:8000:"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
