//! `[[hooks]]`: what is told to whom.

use std::path::Path;

use hyper::Uri;
use moorline_protocol::{AppName, ChannelName};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::file::{File, HookSection};
use crate::engine::hooks::{HookKind, HookRule, is_reserved};
use crate::hooks::{Hook, Secret, Times};

/// ms: receivers that need longer should answer first and work then.
const TIMEOUT: std::ops::RangeInclusive<u64> = 1_000..=30_000;
/// ms.
const MAX_AGE: std::ops::RangeInclusive<u64> = 60_000..=30 * 24 * 3_600_000;

/// Requests of one hook at a time.
const MAX_REQUESTS: std::ops::RangeInclusive<u32> = 1..=64;
/// Enough that one answer of 15 s holds up little, and no load for a receiver that takes 100 events at once.
const DEFAULT_MAX_REQUESTS: u32 = 4;

/// Makes the hooks. Relative paths begin at `dir`.
///
/// # Errors
/// A sentence that names the hook and what is wrong with it; never a secret.
pub fn hooks(file: &File, dir: &Path) -> Result<Vec<Hook>, String> {
    let mut hooks: Vec<Hook> = Vec::new();
    for section in &file.hooks {
        let hook = hook(section, dir).map_err(|problem| format!("hook `{}`: {problem}", section.name))?;
        if hooks.iter().any(|other| other.name == hook.name && other.app() == hook.app()) {
            return Err(format!("hook `{}` is there twice", hook.name));
        }
        // In development any app is there.
        if !file.apps.is_empty() && !file.apps.iter().any(|app| app.name == hook.app().as_str()) {
            return Err(format!("hook `{}`: there is no app `{}`", hook.name, hook.app()));
        }
        hooks.push(hook);
    }
    Ok(hooks)
}

fn hook(section: &HookSection, dir: &Path) -> Result<Hook, String> {
    plain_name(&section.name)?;
    let app = section.app.as_deref().unwrap_or("default");
    let app = AppName::new(app).map_err(|error| format!("app `{app}`: {error}"))?;
    let allow_private = section.allow_private.unwrap_or(false);
    let rule = HookRule { app, kinds: kinds(&section.events)?, channels: section.channels.clone() };
    rule.channels.iter().try_for_each(|pattern| is_pattern(pattern))?;
    let secrets = secrets(&section.secrets)?;
    let defaults = Times::default();
    let answer = section.timeout.map_or(defaults.answer, |age| age.0);
    let max_age = section.max_age.map_or(defaults.max_age, |age| age.0);
    if !TIMEOUT.contains(&answer) {
        return Err("`timeout` is 1s to 30s".into());
    }
    let max_requests = section.max_requests.unwrap_or(DEFAULT_MAX_REQUESTS);
    if !MAX_REQUESTS.contains(&max_requests) {
        return Err("`max_requests` is 1 to 64".into());
    }
    if !MAX_AGE.contains(&max_age) {
        return Err("`max_age` is 1m to 30d".into());
    }
    Ok(Hook {
        name: section.name.clone(),
        url: url(&section.url, allow_private)?,
        secrets,
        rule,
        allow_private,
        roots: section.ca_file.as_deref().map_or(Ok(Vec::new()), |file| roots(&dir.join(file)))?,
        max_requests: max_requests as usize,
        times: Times { answer, max_age, ..defaults },
    })
}

pub(super) fn plain_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let fits = (1..=64).contains(&name.len()) && name.chars().all(plain);
    if fits { Ok(()) } else { Err("`name` is 1 to 64 of A-Z a-z 0-9 _ - .".into()) }
}

pub(super) fn secrets(texts: &[String]) -> Result<Vec<Secret>, String> {
    let secrets: Result<Vec<Secret>, _> = texts.iter().map(|secret| Secret::parse(secret)).collect();
    let secrets = secrets.map_err(|error| error.to_string())?;
    let text = "`secrets` has one at least, so that the receiver can tell who sends";
    if secrets.is_empty() { Err(text.into()) } else { Ok(secrets) }
}

fn kinds(events: &[String]) -> Result<Vec<HookKind>, String> {
    let known = || HookKind::ALL.map(|(name, _)| name).join(", ");
    if events.is_empty() {
        return Err(format!("`events` has one at least; known are: {}", known()));
    }
    let kind = |name: &String| {
        HookKind::from_name(name).ok_or_else(|| format!("unknown event `{name}`; known are: {}", known()))
    };
    events.iter().map(kind).collect()
}

pub(super) fn is_pattern(pattern: &str) -> Result<(), String> {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    let fits = name.is_empty() && pattern == "*" || ChannelName::new(name).is_ok();
    if fits && !is_reserved(name) {
        Ok(())
    } else {
        Err(format!("`channels`: `{pattern}` is no name of a channel, nor the beginning of one and `*`"))
    }
}

pub(super) fn url(text: &str, allow_private: bool) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("`url`: {error}"))?;
    let userinfo = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match url.scheme_str() {
        _ if url.host().is_none_or(str::is_empty) || userinfo => {
            Err("`url` is such as \"https://example.com/hooks\", without user and password".into())
        }
        Some("https") => Ok(url),
        Some("http") if allow_private => Ok(url),
        Some("http") => Err("`url` begins with https://; `allow_private = true` lets it do without".into()),
        _ => Err("`url` begins with https://".into()),
    }
}

pub(super) fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let roots = read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if roots.is_empty() { Err(format!("there is no certificate in {}", path.display())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"push\"\nurl = \"https://example.com/hooks\"\nsecrets = \
                        [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\nevents = [\"message.offline\"]\n";

    fn made(hook: &str) -> Result<Vec<Hook>, String> {
        let file: File = toml::from_str(&format!("[[apps]]\nname = \"default\"\n[[hooks]]\n{hook}")).unwrap();
        hooks(&file, Path::new("."))
    }

    #[test]
    fn a_hook_is_made_of_a_section() {
        let hooks = made(&format!(
            "{GOOD}channels = [\"chat:*\", \"news\"]\ntimeout = \"5s\"\nmax_requests = 8\nmax_age = \"1d\""
        ))
        .unwrap();
        let hook = hooks.first().unwrap();
        assert_eq!(hook.max_requests, 8);
        assert_eq!((hook.times.answer, hook.times.max_age, hook.allow_private), (5_000, 86_400_000, false));
        let wants = |channel| hook.rule.wants(hook.app(), HookKind::MessageOffline, Some(channel));
        assert!(wants("chat:1") && wants("news") && !wants("newspaper") && !wants("room"));
    }

    #[test]
    fn a_section_is_shown_without_its_secrets() {
        let callout = GOOD.replace("events = [\"message.offline\"]", "asks = [\"call\"]");
        let file: File = toml::from_str(&format!("[[hooks]]\n{GOOD}[[callouts]]\n{callout}")).unwrap();
        let shown = format!("{:?} {:?}", file.hooks, file.callouts);
        assert!(shown.matches("push").count() == 2 && !shown.contains("MfKQ9r8"), "{shown}");
    }

    #[test]
    fn what_is_of_no_use_is_named() {
        for (change, problem) in [
            (("\"push\"", "\"push it\""), "`name`"),
            (("https://", "http://"), "allow_private"),
            (("https://", "ftp://"), "https://"),
            (("https://example.com/hooks", "/hooks"), "`url`"),
            (("https://", "https://me:secret@"), "without user"),
            (("\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", ""), "`secrets`"),
            (("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "short"), "whsec_"),
            (("message.offline", "message.lost"), "unknown event `message.lost`"),
            (("\"message.offline\"", ""), "`events`"),
            (("events", "channels = [\"$hooks\"]\nevents"), "`channels`"),
            (("events", "channels = [\"a*b\"]\nevents"), "`channels`"),
            (("events", "timeout = \"31s\"\nevents"), "`timeout`"),
            (("events", "max_requests = 0\nevents"), "`max_requests`"),
            (("events", "max_requests = 65\nevents"), "`max_requests`"),
            (("events", "max_age = \"31d\"\nevents"), "`max_age`"),
            (("events", "app = \"other\"\nevents"), "no app `other`"),
            (("events", "ca_file = \"not there\"\nevents"), "cannot read"),
        ] {
            let refused = made(&GOOD.replacen(change.0, change.1, 1)).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
            assert!(!refused.contains("MfKQ9r8"), "{refused}");
        }
        assert!(made(&format!("{GOOD}[[hooks]]\n{GOOD}")).unwrap_err().contains("twice"));
        assert!(made(&format!("{}allow_private = true", GOOD.replace("https", "http"))).is_ok());
    }
}
