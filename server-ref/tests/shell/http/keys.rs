use serde_json::json;

use super::Http;
use crate::support::program::{Program, command, run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Makes a key with the program. Returns it and what it prints for the configuration.
fn key(name: &str) -> (String, String) {
    let (code, said) = run(["key", "new", "--name", name]);
    assert_eq!(code, 0, "{said}");
    let key = said.lines().find_map(|line| line.strip_prefix("#   ")).unwrap().to_owned();
    let config = said.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert!(!config.contains(&key), "only the hash is kept");
    (key, config)
}

#[test]
fn keys_are_good_for_their_app_until_they_expire_and_rotate_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let ((old, old_config), (new, new_config), (gone, gone_config)) = (key("backend"), key("backend"), key("old"));
    let app = format!("[[apps.keys]]\nalg = \"HS256\"\nsecret = \"{SECRET}\"");
    let config = format!(
        "[[apps]]\nname = \"shop\"\n{app}\n{old_config}\nexpires = 2999-01-01\n{new_config}\n{gone_config}\n\
         expires = 2020-01-01T00:00:00Z\n[[apps]]\nname = \"other\"\n{app}\n"
    );
    let path = dir.path().join("moorline.toml");
    std::fs::write(&path, config).unwrap();
    let mut start = command(["--listen", "127.0.0.1:0", "--config"]);
    let program = Program::start(start.arg(&path).arg("--data").arg(dir.path().join("data")));
    let post = |key: &str, app: &str| {
        let http = Http::new(program.address(), key);
        let body = json!({"channel": "a", "text": "x", "id": "1"});
        http.post(&format!("/v1/apps/{app}/messages"), &body)
    };
    assert_eq!(post(&old, "shop").good()["duplicate"], false);
    assert_eq!(post(&new, "shop").good()["duplicate"], true, "one key follows the other");
    post(&gone, "shop").problem(401, "auth.expired");
    post(&old, "other").problem(401, "auth.invalid");
    post("dev", "shop").problem(401, "auth.invalid");
    post(&old, "nobody").problem(404, "app.unknown");
    assert_eq!(post("", "shop").header("www-authenticate"), Some("Bearer realm=\"moorline\""));
    let said = program.stop();
    assert!(![&old, &new, &gone].iter().any(|key| said.contains(key.as_str())), "{said}");
}
