//! The configuration file, and what flags and environment make of it.

mod api_keys;
mod apps;
mod callouts;
mod check;
mod console;
mod file;
mod front;
mod hooks;
mod jwks;
mod keys;
pub mod reload;
mod units;

use std::path::{Path, PathBuf};

pub use self::api_keys::api_keys;
pub use self::apps::{app_limits, app_origins, compression, retention};
pub use self::callouts::callouts;
pub use self::check::SHARDS;
pub use self::console::console;
pub use self::file::{
    ApiKeySection, App, AppLimitsSection, CalloutSection, ChannelRule, ConsoleKeySection, ConsoleSection,
    DurabilityKind, EngineKind, File, HookSection, JwksSection, Limits, LogFormat, ServerSection, SigningKey,
    TlsSection,
};
pub use self::front::front;
pub use self::hooks::hooks;
pub use self::jwks::key_sets;
pub use self::keys::app_keys;
pub use self::units::{Age, Listen, Size};

/// Why a configuration cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ConfigError {
    file: String,
    problem: String,
}

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigError`] with the line, and a suggestion for an unknown key.
pub fn read(path: &Path) -> Result<File, ConfigError> {
    let name = path.display().to_string();
    let error = |problem| ConfigError { file: name.clone(), problem };
    let text = std::fs::read_to_string(path).map_err(|io| error(format!("cannot be read: {io}")))?;
    let file: File = toml::from_str(&text).map_err(|toml| error(explain(&toml, &text)))?;
    check::check(&file).map_err(error)?;
    let dir = path.parent().map(PathBuf::from).unwrap_or_default();
    app_keys(&file, &dir).map_err(error)?;
    key_sets(&file, &dir).map_err(error)?;
    api_keys(&file).map_err(error)?;
    hooks(&file, &dir).map_err(error)?;
    callouts(&file, &dir).map_err(error)?;
    front(&file, &dir).map_err(error)?;
    console(&file).map_err(error)?;
    Ok(file)
}

/// Makes one sentence of a parser's error: the line, and what was meant.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let message = error.message();
    let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) else {
        let key = text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
        let key = key.filter(|key| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        return match key {
            Some(key) => format!("line {line}, `{key}`: {message}"),
            None => format!("line {line}: {message}"),
        };
    };
    let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let close =
        known.iter().max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
    match close.filter(|close| strsim::jaro_winkler(close, unknown) > 0.7) {
        Some(close) => format!("line {line}: unknown key `{unknown}`; did you mean `{close}`?"),
        None => format!("line {line}: unknown key `{unknown}`; known are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use moorline_protocol::AppName;

    use super::*;

    fn parsed(text: &str) -> Result<File, String> {
        toml::from_str(text).map_err(|error| explain(&error, text))
    }

    #[test]
    fn the_example_in_the_docs_is_read() {
        let file = parsed(include_str!("../../../docs/moorline.toml")).unwrap();
        assert_eq!(app_keys(&file, Path::new(".")).map(|apps| apps.len()).unwrap(), 1);
        let app = AppName::default_app();
        assert_eq!(retention(&file).of(&app, "chat:1").unwrap().max_age_ms, Some(30 * 24 * 3_600_000));
    }

    #[test]
    fn every_key_stands_in_the_docs_and_in_the_example() {
        let docs = include_str!("../../../docs/server.md");
        let example = include_str!("../../../docs/moorline.toml");
        for (section, before) in [
            ("[server]\n", "[server]\n"),
            ("[limits]\n", "[limits]\n"),
            ("[[apps]]\n", "[[apps]]\nname = \"a\"\n"),
            ("[apps.limits]\n", "[[apps]]\nname = \"a\"\n[apps.limits]\n"),
            ("[[apps.keys]]", "[[apps]]\nname = \"a\"\n[[apps.keys]]\nalg = \"HS256\"\n"),
            ("[[apps.jwks]]", "[[apps]]\nname = \"a\"\n[[apps.jwks]]\nissuer = \"a\"\nurl = \"a\"\n"),
            ("[[apps.api_keys]]", "[[apps]]\nname = \"a\"\n[[apps.api_keys]]\nname = \"a\"\nhash = \"a\"\n"),
            ("[[channels]]", "[[channels]]\nprefix = \"a\"\n"),
            ("[[callouts]]", "[[callouts]]\nname = \"a\"\nurl = \"https://a\"\n"),
            ("[console]\n", "[console]\n"),
            ("[[console.keys]]", "[[console.keys]]\nname = \"a\"\nhash = \"a\"\n"),
            ("[[hooks]]", "[[hooks]]\nname = \"a\"\nurl = \"https://a\"\n"),
        ] {
            let refused = parsed(&format!("{before}zzzzzzzz = 1\n")).unwrap_err();
            let (_, keys) = refused.split_once("known are: ").unwrap();
            let of_section = example.split(section).nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
            for key in keys.split(", ") {
                let documented = [format!("`{key}`"), format!("`server.{key}`")].iter().any(|name| docs.contains(name));
                assert!(documented, "docs/server.md says nothing of `{key}`");
                let shown = of_section.contains(&format!("{key} =")) || of_section.contains(&format!("`{key}`"));
                assert!(shown || key.ends_with("keys"), "docs/moorline.toml does not show `{key}` in {section}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
        let error = parsed("[server]\nlisten = \"127.0.0.1:1\"\ndatta = \"x\"\n").unwrap_err();
        assert_eq!(error, "line 3: unknown key `datta`; did you mean `data`?");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_line_and_key() {
        for (text, error) in [
            ("[server]\nlisten = 8000\n", "line 2, `listen`: invalid type: integer `8000`, expected a string"),
            ("[server]\nlisten = \"localhost\"\n", "line 2, `listen`: it is an address and a port"),
            ("[server]\nengine = \"redis\"\n", "line 2, `engine`: unknown variant `redis`, expected `log` or `memory`"),
            ("[server]\norigins = \"x\"\n", "line 2, `origins`: invalid type: string \"x\", expected a sequence"),
            ("[limits]\nping = 5\n", "line 2, `ping`: a time is written as"),
            ("[limits]\nmessage = true\n", "line 2, `message`: a size is written as"),
            ("[limits]\nchannels = -1\n", "line 2, `channels`: invalid value: integer `-1`, expected u32"),
            ("[server\n", "line 1: "),
            ("[[apps]]\nanonymous = true\n", "line 1: missing field `name`"),
        ] {
            let found = parsed(text).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }

    #[test]
    fn values_of_no_use_are_named_with_their_key() {
        for (text, key) in [
            ("[server]\nshards = 0", "server.shards"),
            ("[server]\nshards = 257", "server.shards"),
            ("[server]\nstate_cache = \"1023KiB\"", "server.state_cache"),
            ("[server]\nstate_cache = \"65GiB\"", "server.state_cache"),
            ("[server]\norigins = [\"chat.example.com\"]", "server.origins"),
            ("[server]\norigins = [\"https://chat.example.com/\"]", "server.origins"),
            ("[server]\norigins = [\"https://*.example.com\"]", "server.origins"),
            ("[server]\norigins = [\"https://Chat.example.com\"]", "server.origins"),
            ("[limits]\nmessage = 0", "limits.message"),
            ("[limits]\nmessage = \"513KiB\"", "limits.message"),
            ("[limits]\nping = \"4s\"", "limits.ping"),
            ("[limits]\nping = \"26s\"", "limits.ping"),
            ("[limits]\nreconnect_window = \"6m\"", "limits.reconnect_window"),
            ("[limits]\ntcp_user_timeout = \"9s\"", "limits.tcp_user_timeout"),
            ("[limits]\ntcp_user_timeout = \"16m\"", "limits.tcp_user_timeout"),
            ("[limits]\napi_burst = 999", "limits.api_burst"),
            ("[limits]\nchannels = 0", "limits.channels"),
            ("[limits]\nconnections_per_user = 0", "limits.connections_per_user"),
            ("[limits]\ncursors_per_user = 0", "limits.cursors_per_user"),
            ("[limits]\npublish_burst = 0", "limits.publish_burst"),
            ("[[channels]]\nprefix = \"a\"\nmax_age = \"0s\"", "max_age"),
            ("[[channels]]\nprefix = \"a\"\nmax_bytes = 0", "max_bytes"),
            ("[[channels]]\nprefix = \"a\"\nmax_count = 0", "max_count"),
            ("[[channels]]\nprefix = \"a\"\n[[channels]]\nprefix = \"a\"", "twice"),
            ("[[apps]]\nname = \"a\"\norigins = [\"a.example.com\"]", "app `a`: origins"),
            ("[[apps]]\nname = \"a\"\nlimits = { connections = 0 }", "app `a`: limits.connections"),
            ("[[apps]]\nname = \"a\"\nlimits = { message = 0 }", "app `a`: limits.message"),
            ("[[apps]]\nname = \"a\"\n[[apps.channels]]\nprefix = \"b\"\nmax_count = 0", "app `a`: channels `b`"),
        ] {
            let problem = check::check(&parsed(text).unwrap()).unwrap_err();
            assert!(problem.contains(key), "{text}: {problem}");
        }
        let origins = "[server]\norigins = [\"https://chat.example.com\", \"http://localhost:3000\", \"null\"]";
        assert_eq!(check::check(&parsed(origins).unwrap()), Ok(()));
    }
}
