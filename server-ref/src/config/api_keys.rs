//! `[[apps.api_keys]]`: what backends show to the HTTP API.

use moorline_protocol::AppName;
use moorline_protocol::time::UnixMillis;
use toml::value::{Datetime, Offset};

use super::file::{ApiKeySection, App, File};
use super::hooks::is_pattern;
use crate::http::{ApiKey, ApiKeys, Right, Rights, read_hash};

/// Makes the keys of all apps.
///
/// # Errors
/// A sentence that names the app and the key and what is wrong; never the key.
pub fn api_keys(file: &File) -> Result<ApiKeys, String> {
    let apps = file.apps.iter().map(|app| {
        let name = AppName::new(&app.name).map_err(|error| format!("app `{}`: {error}", app.name))?;
        let keys = of(app).map_err(|problem| format!("app `{name}`: {problem}"))?;
        Ok((name, keys))
    });
    apps.collect::<Result<_, String>>().map(ApiKeys::new)
}

fn of(app: &App) -> Result<Vec<ApiKey>, String> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for section in &app.api_keys {
        let key = key(section).map_err(|problem| format!("API key `{}`: {problem}", section.name))?;
        if keys.iter().any(|other| other.hash == key.hash) {
            return Err(format!("API key `{}`: this hash is there twice", section.name));
        }
        keys.push(key);
    }
    Ok(keys)
}

pub(super) fn key(section: &ApiKeySection) -> Result<ApiKey, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if section.name.is_empty() || section.name.len() > 64 || !section.name.chars().all(plain) {
        return Err("`name` is 1 to 64 of A-Z a-z 0-9 _ - .".into());
    }
    let hash = read_hash(&section.hash)?;
    let expires = section.expires.as_ref().map(moment).transpose()?;
    let rights = rights(section)?;
    Ok(ApiKey { name: section.name.as_str().into(), hash, expires, rights })
}

/// A key that is confined to channels has no other right than those that channels confine, unless it is said.
fn rights(section: &ApiKeySection) -> Result<Rights, String> {
    let known = || Right::ALL.map(|(name, _)| name).join(", ");
    let right = |name: &String| {
        Right::from_name(name).ok_or_else(|| format!("unknown right `{name}` in `rights`; known are: {}", known()))
    };
    let rights = match (&section.rights, &section.channels) {
        (Some(names), _) if names.is_empty() => {
            return Err(format!("`rights` has one at least; known are: {}", known()));
        }
        (Some(names), _) => names.iter().map(right).collect::<Result<_, _>>()?,
        (None, Some(_)) => vec![Right::Publish, Right::Read],
        (None, None) => Right::ALL.map(|(_, right)| right).to_vec(),
    };
    if let Some(channels) = &section.channels {
        if channels.is_empty() {
            return Err("`channels` has one at least; leave it out for all".into());
        }
        channels.iter().try_for_each(|pattern| is_pattern(pattern))?;
    }
    Ok(Rights::new(rights, section.channels.clone()))
}

/// Returns the ms since 1970 of a moment; a date is its beginning in UTC.
fn moment(at: &Datetime) -> Result<UnixMillis, String> {
    const WRONG: &str =
        "`expires` is a date such as 2027-01-31, or a moment with its offset, such as 2027-01-31T12:00:00Z";
    let date = at.date.ok_or(WRONG)?;
    let minutes = match (&at.time, at.offset) {
        (None, None) => 0,
        (Some(_), Some(Offset::Z)) => 0,
        (Some(_), Some(Offset::Custom { minutes })) => i64::from(minutes),
        (Some(_), None) | (None, Some(_)) => return Err(WRONG.into()),
    };
    let (hour, minute, second) =
        at.time.as_ref().map_or((0, 0, 0), |time| (time.hour, time.minute, time.second.unwrap_or(0)));
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let seconds = days * 86_400 + i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second) - minutes * 60;
    u64::try_from(seconds * 1_000).map_err(|_| WRONG.into())
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end with the day that not all have.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2024-12-31T23:59:59Z", 1_735_689_599),
            ("2027-01-31T12:00:00+02:00", 1_801_389_600),
        ] {
            assert_eq!(moment(&text.parse().unwrap()), Ok(seconds * 1_000), "{text}");
        }
        for text in ["2027-01-31T12:00:00", "12:00:00", "1969-12-31"] {
            assert!(moment(&text.parse().unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn bad_keys_are_named_without_being_shown() {
        let refused = |text: &str| {
            let text = format!("[[apps]]\nname = \"shop\"\n[[apps.api_keys]]\n{text}");
            api_keys(&toml::from_str(&text).unwrap()).unwrap_err()
        };
        let secret = refused("name = \"a\"\nhash = \"mlk_secret\"");
        assert!(secret.contains("app `shop`") && secret.contains("key new") && !secret.contains("mlk_"), "{secret}");
        assert!(refused("name = \"a b\"\nhash = \"\"").contains("`name`"));
        let hash = format!("hash = \"sha256:{}\"", "0".repeat(64));
        let twice = refused(&format!("name = \"a\"\n{hash}\n[[apps.api_keys]]\nname = \"b\"\n{hash}"));
        assert!(twice.contains("twice"), "{twice}");
        for (more, problem) in [
            ("rights = [\"publsh\"]", "unknown right `publsh`"),
            ("rights = []", "`rights`"),
            ("channels = []", "`channels`"),
            ("channels = [\"a*b\"]", "`channels`"),
            ("channels = [\"$hooks\"]", "`channels`"),
        ] {
            let refused = refused(&format!("name = \"a\"\n{hash}\n{more}"));
            assert!(refused.contains(problem), "{refused}");
        }
        assert!(refused(&format!("name = \"a\"\n{hash}\nexpires = 2027-01-01T00:00:00")).contains("`expires`"));
    }
}
