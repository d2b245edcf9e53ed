//! `[[callouts]]`: what an app's backend is asked.

use std::path::Path;
use std::time::Duration;

use moorline_protocol::AppName;

use super::file::{CalloutSection, File};
use super::hooks::{plain_name, roots, secrets, url};
use crate::callout::{Callout, Kind};
use crate::egress::Target;

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
        if callouts.iter().any(|other| other.app == callout.app) {
            return Err(format!("call-out `{}`: the app has a backend for calls already", callout.name));
        }
        callouts.push(callout);
    }
    Ok(callouts)
}

fn callout(section: &CalloutSection, file: &File, dir: &Path) -> Result<Callout, String> {
    plain_name(&section.name)?;
    let app = section.app.as_deref().unwrap_or("default");
    let app = AppName::new(app).map_err(|error| format!("app `{app}`: {error}"))?;
    // In development any app is there.
    if !file.apps.is_empty() && !file.apps.iter().any(|known| known.name == app.as_str()) {
        return Err(format!("there is no app `{app}`"));
    }
    let known = Kind::Rpc.name();
    match section.asks.as_slice() {
        [] => return Err(format!("`asks` has one at least; known are: {known}")),
        asks => {
            if let Some(unknown) = asks.iter().find(|ask| *ask != known) {
                return Err(format!("`asks`: unknown `{unknown}`; known are: {known}"));
            }
        }
    }
    let within_ms = section.timeout.map_or(DEFAULT_TIMEOUT_MS, |age| age.0);
    if !TIMEOUT.contains(&within_ms) {
        return Err("`timeout` is 100ms to 30s".into());
    }
    let max_requests = section.max_requests.unwrap_or(DEFAULT_MAX_REQUESTS);
    if !MAX_REQUESTS.contains(&max_requests) {
        return Err("`max_requests` is 1 to 10000".into());
    }
    let allow_private = section.allow_private.unwrap_or(false);
    let roots = section.ca_file.as_deref().map_or(Ok(Vec::new()), |file| roots(&dir.join(file)))?;
    let (url, secrets) = (url(&section.url, allow_private)?, secrets(&section.secrets)?);
    Ok(Callout {
        name: section.name.clone(),
        app,
        target: Target::new(url, secrets, &roots, allow_private, Duration::from_millis(within_ms)),
        max_requests: max_requests as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"calls\"\nurl = \"https://example.com/ask\"\nsecrets = \
                        [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\nasks = [\"call\"]\n";

    fn made(callout: &str) -> Result<Vec<Callout>, String> {
        let file: File = toml::from_str(&format!("[[apps]]\nname = \"default\"\n[[callouts]]\n{callout}")).unwrap();
        callouts(&file, Path::new("."))
    }

    #[test]
    fn a_callout_is_made_of_a_section() {
        let made = made(&format!("{GOOD}timeout = \"2s\"")).unwrap();
        let callout = made.first().unwrap();
        assert_eq!((callout.target.within, callout.max_requests), (Duration::from_secs(2), 64));
    }

    #[test]
    fn what_is_of_no_use_is_named() {
        for (change, problem) in [
            (("\"calls\"", "\"my calls\""), "`name`"),
            (("https://", "http://"), "allow_private"),
            (("\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", ""), "`secrets`"),
            (("\"call\"", "\"rpc\""), "unknown `rpc`"),
            (("\"call\"", ""), "`asks`"),
            (("asks", "timeout = \"31s\"\nasks"), "`timeout`"),
            (("asks", "max_requests = 0\nasks"), "`max_requests`"),
            (("asks", "app = \"other\"\nasks"), "no app `other`"),
        ] {
            let refused = made(&GOOD.replacen(change.0, change.1, 1)).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
            assert!(!refused.contains("MfKQ9r8"), "{refused}");
        }
        assert!(made(&format!("{GOOD}[[callouts]]\n{GOOD}")).unwrap_err().contains("already"));
    }
}
