//! `moorline token`: what it makes, a server takes.

use std::path::Path;
use std::process::Output;

use moorline_server::config;
use moorline_server::jwt::Tokens;
use moorline_server::server::{Options, Server};

use crate::program::{bare, command, run};

const KEY: &str = "a secret of more than 32 bytes, for tests";

fn make(args: &[&str]) -> Output {
    bare(&[&["token"], args].concat()).output().unwrap()
}

fn token(args: &[&str]) -> String {
    let output = make(&[&["--key", KEY], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A server with the apps `default` and `shop`, configured as in a file.
fn server(dir: &Path) -> Server {
    let path = dir.join("moorline.toml");
    let app = |name: &str| format!("[[apps]]\nname = \"{name}\"\n[[apps.keys]]\nalg = \"HS256\"\nsecret = \"{KEY}\"\n");
    std::fs::write(&path, [app("default"), app("shop")].concat()).unwrap();
    let keys = config::app_keys(&config::read(&path).unwrap(), dir).unwrap();
    Server::start(Options { tokens: Tokens::new(keys), name_anonymous: false, ..Options::dev() }).unwrap()
}

fn with_token(url: &str, token: &str, args: &[&str]) -> (Option<i32>, String) {
    let ended = run(command(url, "", args).env("MOORLINE_TOKEN", token));
    (ended.code, ended.told)
}

#[test]
fn a_token_opens_what_it_grants() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let url = server.url();
    let all = token(&["--sub", "alice"]);
    assert_eq!(with_token(&url, &all, &["pub", "anything", "hello"]).0, Some(0));
    assert_eq!(with_token(&url, &all, &["history", "anything"]).0, Some(0));
    let some =
        token(&["--sub", "alice", "--grant", "chat:*=publish,history", "--grant", "news=history", "--ttl", "5m"]);
    assert_eq!(with_token(&url, &some, &["pub", "chat:1", "hello"]).0, Some(0));
    assert_eq!(with_token(&url, &some, &["history", "chat:1"]).0, Some(0));
    assert_eq!(with_token(&url, &some, &["history", "news"]).0, Some(0));
    for refused in [["pub", "news", "hello"], ["sub", "chat:1", "--durable"]] {
        let (code, told) = with_token(&url, &some, &refused);
        assert!(code == Some(1) && told.contains("channel.denied"), "{told}");
    }
    let shop = url.replace("/ws", "/ws/shop");
    assert_eq!(with_token(&shop, &token(&["--sub", "alice", "--app", "shop"]), &["pub", "x", "hello"]).0, Some(0));
    let (code, told) = with_token(&shop, &all, &["pub", "x", "hello"]);
    assert!(code == Some(1) && told.contains("auth.invalid"), "another app's token: {told}");
    let (code, told) = with_token(&url.replace("/ws", "/ws/other"), &all, &["pub", "x", "hello"]);
    assert!(code == Some(1) && told.contains("app.unknown"), "{told}");
}

#[test]
fn the_key_may_come_from_the_environment() {
    let output = bare(&["token", "--sub", "alice"]).env("MOORLINE_KEY", KEY).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim().split('.').count(), 3);
}

#[test]
fn mistakes_end_with_2_and_never_show_the_key() {
    let short = "a-short-secret-of-31-bytes-only";
    let cases: [(&[&str], &str); 12] = [
        (&["--sub", "alice"], "--key"),
        (&["--key", KEY], "--sub"),
        (&["--key", short, "--sub", "alice"], "32"),
        (&["--key", KEY, "--sub", ""], "--sub"),
        (&["--key", KEY, "--sub", "a\u{7}"], "--sub"),
        (&["--key", KEY, "--sub", "alice", "--app", "my shop"], "--app"),
        (&["--key", KEY, "--sub", "alice", "--ttl", "1"], "1h or 7d"),
        (&["--key", KEY, "--sub", "alice", "--ttl", "0s"], "1h or 7d"),
        (&["--key", KEY, "--sub", "alice", "--ttl", "18446744073709551615s"], "--ttl"),
        (&["--key", KEY, "--sub", "alice", "--grant", "chat:*"], "PATTERN=PERMISSION"),
        (&["--key", KEY, "--sub", "alice", "--grant", "chat:*:x=publish"], "at the end"),
        (&["--key", KEY, "--sub", "alice", "--grant", "chat:*=read"], "subscribe, publish"),
    ];
    for (args, says) in cases {
        let output = make(args);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {told}");
        assert!(told.contains(says) && !told.contains(KEY) && !told.contains(short), "{args:?}: {told}");
    }
}
