//! `[console]`: the page for who runs the server.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::api_keys::key;
use super::file::{ApiKeySection, ConsoleKeySection, File};
use crate::http::{ConsoleConfig, ConsoleKey};

/// ms.
const SESSION: RangeInclusive<u64> = 60_000..=30 * 86_400_000;

/// Makes the console's settings, if there is a section.
///
/// # Errors
/// A sentence that names the key and what is wrong; never the key itself.
pub fn console(file: &File) -> Result<Option<ConsoleConfig>, String> {
    let Some(section) = &file.console else { return Ok(None) };
    let keys: Vec<ConsoleKey> = section.keys.iter().map(console_key).collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err("console: nobody could log in. `moorline-server key new --console` makes [[console.keys]]".into());
    }
    for (at, one) in keys.iter().enumerate() {
        if keys.iter().skip(at + 1).any(|other| other.hash == one.hash) {
            return Err(format!("console key `{}`: this hash is there twice", one.name));
        }
    }
    if section.session.is_some_and(|age| !SESSION.contains(&age.0)) {
        return Err("console.session is 1m to 30d".into());
    }
    if section.socket.as_deref().is_some_and(|url| !is_socket(url)) {
        return Err(
            "console.socket is the URL of WebSockets without the app, such as \"wss://rt.example.com/ws\"".into()
        );
    }
    let session = section.session.map_or(ConsoleConfig::SESSION, |age| Duration::from_millis(age.0));
    Ok(Some(ConsoleConfig { keys, once: None, session, socket: section.socket.clone() }))
}

fn console_key(section: &ConsoleKeySection) -> Result<ConsoleKey, String> {
    let ConsoleKeySection { name, hash, expires, read_only } = section.clone();
    let made = key(&ApiKeySection { name, hash, expires, rights: None, channels: None });
    let made = made.map_err(|problem| format!("console key `{}`: {problem}", section.name))?;
    Ok(ConsoleKey { name: made.name, hash: made.hash, expires: made.expires, read_only })
}

/// Tells whether a text is a URL that a page's policy can name.
fn is_socket(url: &str) -> bool {
    let rest = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/' | '[' | ']' | '~');
    rest.is_some_and(|rest| rest.chars().all(plain) && rest.split_once('/').is_some_and(|(host, _)| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<ConsoleConfig>, String> {
        console(&toml::from_str(text).unwrap())
    }

    #[test]
    fn without_a_section_there_is_no_console_and_with_one_somebody_can_log_in() {
        assert!(read("").unwrap().is_none());
        assert!(read("[console]").unwrap_err().contains("key new --console"));
        let key = format!("[[console.keys]]\nname = \"ops\"\nhash = \"sha256:{}\"\nread_only = true", "0".repeat(64));
        let made = read(&key).unwrap().unwrap();
        assert_eq!((made.keys.len(), made.keys[0].read_only, made.session), (1, true, ConsoleConfig::SESSION));
        assert!(read(&format!("{key}\n{key}")).unwrap_err().contains("twice"));
        for (line, problem) in [
            ("session = \"59s\"", "console.session"),
            ("session = \"31d\"", "console.session"),
            ("socket = \"https://rt.example.com/ws\"", "console.socket"),
            ("socket = \"wss://rt.example.com\"", "console.socket"),
            ("socket = \"wss://rt.example.com/ws; script-src *\"", "console.socket"),
        ] {
            assert!(read(&format!("[console]\n{line}\n{key}")).unwrap_err().contains(problem), "{line}");
        }
        let plain = read("[[console.keys]]\nname = \"ops\"\nhash = \"mlk_secret\"").unwrap_err();
        assert!(plain.contains("console key `ops`") && !plain.contains("mlk_"), "{plain}");
    }
}
