//! `[[apps.keys]]`: what tokens are verified with.

use std::path::Path;

use jsonwebtoken::{Algorithm, DecodingKey};
use moorline_protocol::AppName;

use super::file::{File, SigningKey};
use crate::jwt::{AppKeys, Key};

/// Makes the keys of all apps. Relative paths of key files begin at `dir`.
///
/// # Errors
/// A sentence that names the app and what is wrong with its key; never the key.
pub fn app_keys(file: &File, dir: &Path) -> Result<Vec<AppKeys>, String> {
    let mut apps: Vec<AppKeys> = Vec::new();
    for app in &file.apps {
        let name = AppName::new(&app.name).map_err(|error| format!("app `{}`: {error}", app.name))?;
        if apps.iter().any(|other| other.name == name) {
            return Err(format!("app `{name}` is there twice"));
        }
        let keys = app.keys.iter().map(|key| signing_key(key, dir)).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|problem| format!("app `{name}`: {problem}"))?;
        if keys.is_empty() && !app.anonymous {
            return Err(format!("app `{name}` has no key: nobody could connect. Add [[apps.keys]]"));
        }
        apps.push(AppKeys { name, keys, anonymous: app.anonymous });
    }
    Ok(apps)
}

fn signing_key(key: &SigningKey, dir: &Path) -> Result<Key, String> {
    let algorithm = match key.alg.as_str() {
        "HS256" => Algorithm::HS256,
        "RS256" => Algorithm::RS256,
        "ES256" => Algorithm::ES256,
        "EdDSA" => Algorithm::EdDSA,
        other => return Err(format!("`alg` is HS256, RS256, ES256 or EdDSA, not `{other}`")),
    };
    let pem = match (&key.public_key, &key.public_key_file) {
        (Some(pem), None) => Some(pem.clone().into_bytes()),
        (None, Some(file)) => {
            let path = dir.join(file);
            Some(std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?)
        }
        (None, None) => None,
        (Some(_), Some(_)) => return Err("give `public_key` or `public_key_file`, not both".into()),
    };
    let bad = |_| format!("the public key is not a PEM of a key for {}", key.alg);
    let decoding = match (algorithm, &key.secret, pem) {
        (Algorithm::HS256, Some(secret), None) if secret.len() >= 32 => DecodingKey::from_secret(secret.as_bytes()),
        (Algorithm::HS256, Some(_), None) => return Err("an HS256 secret needs 32 bytes at least".into()),
        (Algorithm::RS256, None, Some(pem)) => DecodingKey::from_rsa_pem(&pem).map_err(bad)?,
        (Algorithm::ES256, None, Some(pem)) => DecodingKey::from_ec_pem(&pem).map_err(bad)?,
        (Algorithm::EdDSA, None, Some(pem)) => DecodingKey::from_ed_pem(&pem).map_err(bad)?,
        _ => return Err("HS256 takes `secret`; RS256, ES256 and EdDSA take `public_key` or `public_key_file`".into()),
    };
    Ok(Key { id: key.kid.clone(), algorithm, key: decoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_keys_are_named_without_being_shown() {
        let app = |key: &str| {
            let file = toml::from_str(&format!("[[apps]]\nname = \"shop\"\n[[apps.keys]]\n{key}")).unwrap();
            app_keys(&file, Path::new(".")).err().unwrap()
        };
        assert!(app("alg = \"HS256\"\nsecret = \"short\"").contains("32 bytes"));
        assert!(app("alg = \"none\"\nsecret = \"x\"").contains("not `none`"));
        assert!(app("alg = \"RS256\"\npublic_key = \"nonsense\"").contains("PEM"));
    }
}
