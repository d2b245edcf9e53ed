//! `[[apps.jwks]]`: where issuers publish their keys.

use std::path::Path;
use std::sync::Arc;

use moorline_protocol::AppName;

use super::file::{File, JwksSection};
use super::hooks::{roots, url};
use crate::jwks::{KeySet, Source, Times};

/// Makes the sets of keys of all apps, which nothing was fetched of yet. Relative paths begin at `dir`.
///
/// # Errors
/// A sentence that names the app and what is wrong.
pub fn key_sets(file: &File, dir: &Path) -> Result<Vec<(AppName, Arc<KeySet>)>, String> {
    let mut sets: Vec<(AppName, Arc<KeySet>)> = Vec::new();
    for app in &file.apps {
        let name = AppName::new(&app.name).map_err(|error| format!("app `{}`: {error}", app.name))?;
        for section in &app.jwks {
            let source = source(section, dir);
            let source = source.map_err(|problem| format!("app `{name}`: jwks of `{}`: {problem}", section.issuer))?;
            if sets.iter().any(|(of, set)| *of == name && set.source.issuer == source.issuer) {
                return Err(format!("app `{name}`: the issuer `{}` is there twice", section.issuer));
            }
            sets.push((name.clone(), Arc::new(KeySet::new(source))));
        }
    }
    Ok(sets)
}

fn source(section: &JwksSection, dir: &Path) -> Result<Source, String> {
    if section.issuer.is_empty() || section.issuer.len() > 512 {
        return Err("`issuer` is the `iss` of its tokens, 1 to 512 bytes".into());
    }
    let allow_private = section.allow_private.unwrap_or(false);
    let roots = section.ca_file.as_deref().map_or(Ok(Vec::new()), |file| roots(&dir.join(file)))?;
    let url = url(&section.url, allow_private)?;
    Ok(Source { issuer: section.issuer.clone(), url, allow_private, roots, times: Times::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_no_use_are_named() {
        let made = |text: &str| {
            let text = format!("[[apps]]\nname = \"shop\"\n[[apps.jwks]]\n{text}");
            key_sets(&toml::from_str(&text).unwrap(), Path::new(".")).map(|sets| sets.len())
        };
        let good = "issuer = \"https://id.example.com\"\nurl = \"https://id.example.com/keys\"";
        assert_eq!(made(good), Ok(1));
        assert_eq!(made(&format!("{}\nallow_private = true", good.replace("url = \"https", "url = \"http"))), Ok(1));
        for (bad, problem) in [
            (good.replace("url = \"https", "url = \"http"), "allow_private"),
            (good.replace("\"https://id.example.com\"", "\"\""), "`issuer`"),
            (good.replace("url = \"https://", "url = \"ftp://"), "https://"),
            (format!("{good}\nca_file = \"not there\""), "cannot read"),
            (format!("{good}\n[[apps.jwks]]\n{good}"), "twice"),
        ] {
            let refused = made(&bad).unwrap_err();
            assert!(refused.contains(problem) && refused.contains("app `shop`"), "{refused}");
        }
    }
}
