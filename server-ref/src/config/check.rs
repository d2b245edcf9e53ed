//! Values that are well formed, and of no use all the same.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::file::{App, ChannelRule, File, Limits, ServerSection};

/// Bytes of a payload: a message has to fit into a WebSocket message, in base64 too.
const MESSAGE: RangeInclusive<u64> = 1..=512 * 1024;
/// ms: presence rests on the ping.
const PING: RangeInclusive<u64> = 5_000..=25_000;
/// ms: shorter than this a network that is slow for a moment would end connections.
const TCP_USER_TIMEOUT: RangeInclusive<u64> = 10_000..=900_000;
/// ms: clients follow no longer one.
const RECONNECT_WINDOW: RangeInclusive<u64> = 0..=300_000;
const CHANNELS: RangeInclusive<u32> = 1..=10_000;
/// Bytes of memory for ids, producers and cursors.
const STATE_CACHE: RangeInclusive<u64> = 1 << 20..=1 << 36;
/// Threads for connections.
pub const SHARDS: RangeInclusive<u16> = 1..=256;

/// Finds what no server could do.
///
/// # Errors
/// A sentence that names the key.
pub(super) fn check(file: &File) -> Result<(), String> {
    server(&file.server)?;
    limits(&file.limits)?;
    rules(&file.channels)?;
    file.apps.iter().try_for_each(|one| app(one).map_err(|problem| format!("app `{}`: {problem}", one.name)))
}

fn app(app: &App) -> Result<(), String> {
    app.origins.iter().try_for_each(|list| origins("origins", list))?;
    rules(&app.channels)?;
    let own = app.limits.clone();
    if own.connections == Some(0) {
        return Err("limits.connections is 1 at least: with 0 nobody could do anything".into());
    }
    limits(&Limits {
        message: own.message,
        channels: own.channels,
        connections_per_user: own.connections_per_user,
        cursors_per_user: own.cursors_per_user,
        publish_rate: own.publish_rate,
        publish_burst: own.publish_burst,
        api_rate: own.api_rate,
        api_burst: own.api_burst,
        ..Limits::default()
    })
}

fn rules(rules: &[ChannelRule]) -> Result<(), String> {
    rules.iter().try_for_each(rule)?;
    let mut seen = BTreeSet::new();
    match rules.iter().find(|rule| !seen.insert(&rule.prefix)) {
        Some(twice) => Err(format!("channels: the prefix `{}` is there twice", twice.prefix)),
        None => Ok(()),
    }
}

fn server(server: &ServerSection) -> Result<(), String> {
    if server.shards.is_some_and(|shards| !SHARDS.contains(&shards)) {
        return Err(format!("server.shards is {} to {}", SHARDS.start(), SHARDS.end()));
    }
    if server.state_cache.is_some_and(|size| !STATE_CACHE.contains(&size.0)) {
        return Err("server.state_cache is 1 MiB to 64 GiB".into());
    }
    origins("server.origins", &server.origins)
}

fn origins(key: &str, list: &[String]) -> Result<(), String> {
    match list.iter().find(|origin| !is_origin(origin)) {
        Some(origin) => Err(format!(
            "{key}: `{origin}` is not an origin as browsers send it, such as \"https://chat.example.com\": \
             lower case, with the scheme, without a slash at the end"
        )),
        None => Ok(()),
    }
}

/// Tells whether a browser could send this text. Some pages have no origin but `null`.
fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").map(|(_, host)| host);
    let plain = |c: char| !c.is_ascii_uppercase() && !c.is_whitespace() && !matches!(c, '/' | '*' | '?' | '#');
    text == "null" || host.is_some_and(|host| !host.is_empty() && host.chars().all(plain))
}

fn limits(limits: &Limits) -> Result<(), String> {
    let zero = |key: &str| Err(format!("{key} is 1 at least: with 0 nobody could do anything"));
    if limits.message.is_some_and(|size| !MESSAGE.contains(&size.0)) {
        return Err("limits.message is 1 to 512 KiB".into());
    }
    if limits.ping.is_some_and(|age| !PING.contains(&age.0)) {
        return Err("limits.ping is 5s to 25s".into());
    }
    if limits.tcp_user_timeout.is_some_and(|age| !TCP_USER_TIMEOUT.contains(&age.0)) {
        return Err("limits.tcp_user_timeout is 10s to 15m".into());
    }
    if limits.reconnect_window.is_some_and(|age| !RECONNECT_WINDOW.contains(&age.0)) {
        return Err("limits.reconnect_window is 5m at most".into());
    }
    if limits.channels.is_some_and(|channels| !CHANNELS.contains(&channels)) {
        return Err(format!("limits.channels is {} to {}", CHANNELS.start(), CHANNELS.end()));
    }
    if limits.api_burst.is_some_and(|burst| burst < 1_000) {
        return Err("limits.api_burst is 1,000 at least: so many messages fit into one request".into());
    }
    if limits.connections_per_user == Some(0) {
        return zero("limits.connections_per_user");
    }
    if limits.cursors_per_user == Some(0) {
        return zero("limits.cursors_per_user");
    }
    if limits.publish_burst == Some(0) && limits.publish_rate != Some(0) {
        return zero("limits.publish_burst");
    }
    Ok(())
}

fn rule(rule: &ChannelRule) -> Result<(), String> {
    let zero = |key: &str| format!("channels `{}`: {key} is 1 at least; leave it out for no limit", rule.prefix);
    if rule.max_age.is_some_and(|age| age.0 == 0) {
        return Err(zero("max_age"));
    }
    if rule.max_bytes.is_some_and(|bytes| bytes.0 == 0) {
        return Err(zero("max_bytes"));
    }
    if rule.max_count == Some(0) { Err(zero("max_count")) } else { Ok(()) }
}
