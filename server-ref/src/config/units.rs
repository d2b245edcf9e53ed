use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// ms, written as `"500ms"`, `"30s"`, `"15m"`, `"24h"` or `"7d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub u64);

/// Bytes, written as a number, or as `"64KiB"`, `"16MiB"` or `"1GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const AGES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits)?.trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text, &AGES)
            .map(Self)
            .ok_or_else(|| D::Error::custom("a time is written as \"30s\", \"15m\", \"24h\" or \"7d\""))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        let size = match Either::deserialize(deserializer)? {
            Either::Number(bytes) => Some(bytes),
            Either::Text(text) => parse(&text, &SIZES),
        };
        size.map(Self).ok_or_else(|| D::Error::custom("a size is written as \"64KiB\", \"16MiB\" or \"1GiB\""))
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
}
