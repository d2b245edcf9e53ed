//! `[[callouts]]`: what an app's backend is asked.

use std::path::Path;
use std::time::Duration;

use moorline_protocol::AppName;

use super::file::{CalloutSection, File};
use super::hooks::{is_pattern, plain_name, roots, secrets, url};
use crate::callout::Callout;
use crate::egress::Target;
use crate::node::{CalloutId, CalloutKind, CalloutRule, OnFailure, Terms};

/// ms: whoever waits for the answer is a client that wants to go on.
const TIMEOUT: std::ops::RangeInclusive<u64> = 100..=30_000;
const DEFAULT_TIMEOUT_MS: u64 = 5_000;
const MAX_REQUESTS: std::ops::RangeInclusive<u32> = 1..=10_000;
const DEFAULT_MAX_REQUESTS: u32 = 64;

/// Makes the call-outs. Relative paths begin at `dir`.
///
/// # Errors
/// A sentence that names the call-out and what is wrong with it; never a secret.
pub fn callouts(file: &File, dir: &Path) -> Result<Vec<Callout>, String> {
    let mut callouts: Vec<Callout> = Vec::new();
    for section in &file.callouts {
        let made = callout(section, file, dir);
        let callout = made.map_err(|problem| format!("call-out `{}`: {problem}", section.name))?;
        if callouts.iter().any(|other| other.name == callout.name && other.rule.app == callout.rule.app) {
            return Err(format!("call-out `{}` is there twice", callout.name));
        }
        callouts.push(callout);
    }
    Ok(callouts)
}

fn callout(section: &CalloutSection, file: &File, dir: &Path) -> Result<Callout, String> {
    plain_name(&section.name)?;
    let app = section.app.as_deref().unwrap_or("default");
    let app = AppName::new(app).map_err(|error| format!("app `{app}`: {error}"))?;
    let known = file.apps.iter().find(|known| known.name == app.as_str());
    // In development any app is there.
    if !file.apps.is_empty() && known.is_none() {
        return Err(format!("there is no app `{app}`"));
    }
    section.channels.iter().try_for_each(|pattern| is_pattern(pattern))?;
    let within_ms = section.timeout.map_or(DEFAULT_TIMEOUT_MS, |age| age.0);
    if !TIMEOUT.contains(&within_ms) {
        return Err("`timeout` is 100ms to 30s".into());
    }
    let max_requests = section.max_requests.unwrap_or(DEFAULT_MAX_REQUESTS);
    if !MAX_REQUESTS.contains(&max_requests) {
        return Err("`max_requests` is 1 to 10000".into());
    }
    let on_failure = match section.on_failure.as_deref() {
        None | Some("deny") => OnFailure::Deny,
        Some("allow") => OnFailure::Allow,
        Some(other) => return Err(format!("`on_failure` is deny or allow, not `{other}`")),
    };
    let allow_private = section.allow_private.unwrap_or(false);
    let roots = section.ca_file.as_deref().map_or(Ok(Vec::new()), |file| roots(&dir.join(file)))?;
    let (url, secrets) = (url(&section.url, allow_private)?, secrets(&section.secrets)?);
    // Without keys, its own or an issuer's, a token means something only to the backend.
    let verifies = known.is_none_or(|app| !app.keys.is_empty() || !app.jwks.is_empty());
    Ok(Callout {
        name: section.name.clone(),
        target: Target::new(url, secrets, &roots, allow_private, Duration::from_millis(within_ms)),
        max_requests: max_requests as usize,
        headers: section.headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
        rule: CalloutRule {
            app,
            kinds: kinds(&section.asks)?,
            channels: section.channels.iter().map(|pattern| pattern.as_str().into()).collect(),
            terms: Terms { id: CalloutId::default(), within_ms, on_failure, verifies },
        },
    })
}

fn kinds(asks: &[String]) -> Result<Vec<CalloutKind>, String> {
    let known = || CalloutKind::ALL.map(CalloutKind::name).join(", ");
    if asks.is_empty() {
        return Err(format!("`asks` has one at least; known are: {}", known()));
    }
    let kind = |name: &String| {
        let kind = CalloutKind::from_name(name);
        kind.ok_or_else(|| format!("`asks`: unknown `{name}`; known are: {}", known()))
    };
    asks.iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"auth\"\nurl = \"https://example.com/ask\"\nsecrets = \
                        [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\nasks = [\"subscribe\"]\n";

    fn made(callout: &str) -> Result<Vec<Callout>, String> {
        let file: File = toml::from_str(&format!("[[apps]]\nname = \"default\"\n[[callouts]]\n{callout}")).unwrap();
        callouts(&file, Path::new("."))
    }

    #[test]
    fn a_callout_is_made_of_a_section() {
        let made = made(&format!("{GOOD}timeout = \"2s\"\non_failure = \"allow\"\nheaders = [\"Cookie\"]")).unwrap();
        let callout = made.first().unwrap();
        let terms = callout.rule.terms;
        assert_eq!((terms.within_ms, terms.on_failure, terms.verifies), (2_000, OnFailure::Allow, false));
        assert_eq!((callout.max_requests, callout.headers.as_slice()), (64, &["cookie".to_owned()][..]));
    }

    #[test]
    fn tokens_are_verified_where_there_is_a_key_of_whoever() {
        let key = "[[apps.keys]]\nalg = \"HS256\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
        let issuer = "[[apps.jwks]]\nissuer = \"https://id.example.com/\"\nurl = \"https://id.example.com/keys\"\n";
        for (keys, verifies) in [("", false), (key, true), (issuer, true)] {
            let file = toml::from_str(&format!("[[apps]]\nname = \"default\"\n{keys}[[callouts]]\n{GOOD}")).unwrap();
            let made = callouts(&file, Path::new(".")).unwrap();
            assert_eq!(made.first().unwrap().rule.terms.verifies, verifies, "{keys}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_named() {
        for (change, problem) in [
            (("\"auth\"", "\"my auth\""), "`name`"),
            (("https://", "http://"), "allow_private"),
            (("\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", ""), "`secrets`"),
            (("\"subscribe\"", "\"rpc\""), "unknown `rpc`"),
            (("\"subscribe\"", ""), "`asks`"),
            (("asks", "channels = [\"a*b\"]\nasks"), "`channels`"),
            (("asks", "timeout = \"31s\"\nasks"), "`timeout`"),
            (("asks", "max_requests = 0\nasks"), "`max_requests`"),
            (("asks", "on_failure = \"maybe\"\nasks"), "`on_failure`"),
            (("asks", "app = \"other\"\nasks"), "no app `other`"),
        ] {
            let refused = made(&GOOD.replacen(change.0, change.1, 1)).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
            assert!(!refused.contains("MfKQ9r8"), "{refused}");
        }
        assert!(made(&format!("{GOOD}[[callouts]]\n{GOOD}")).unwrap_err().contains("twice"));
    }
}
