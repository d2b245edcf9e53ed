//! Apps of one server: what each has of its own, that nothing crosses between them, and how all of it changes while the
//! server runs.

mod callouts;
mod isolation;
mod issuers;
mod kept;
mod limits;
mod reload;
mod rights;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::Wire;
use crate::support::program::{Program, command, run};

/// A server with a configuration file, in a directory of its own.
struct Site {
    dir: tempfile::TempDir,
    program: Option<Program>,
}

impl Site {
    fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    fn start_with(config: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("moorline.toml");
        std::fs::write(&path, config).unwrap();
        let mut start = command(["--listen", "127.0.0.1:0", "--config"]);
        let program = Program::start(start.arg(&path).arg("--data").arg(dir.path().join("data")).args(flags));
        Self { dir, program: Some(program) }
    }

    fn program(&mut self) -> &mut Program {
        self.program.as_mut().unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.program.as_ref().unwrap().address()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("moorline.toml")
    }

    /// Writes a file beside, and puts it in the place of the one that is read.
    fn replace(&self, config: &str) {
        let beside = self.dir.path().join("moorline.toml.new");
        std::fs::write(&beside, config).unwrap();
        std::fs::rename(&beside, self.file()).unwrap();
    }

    /// The same, and waits until the server goes by it. SIGHUP and the change of the file may both be noticed; whoever
    /// counts has to know.
    fn reload(&mut self, config: &str) -> String {
        self.replace(config);
        self.hang_up("the configuration was reloaded")
    }

    /// Sends SIGHUP and returns what the log says from there to a text.
    fn hang_up(&mut self, until: &str) -> String {
        let program = self.program();
        let before = program.said().len();
        program.signal(Signal::HUP);
        program.wait_for(before, until)
    }

    fn stop(mut self) -> String {
        self.program.take().unwrap().stop()
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A secret of an app, 32 bytes.
pub(crate) fn secret(n: u8) -> String {
    format!("{n:032}")
}

/// An app with a secret.
pub(crate) fn app(name: &str, secret: &str) -> String {
    format!("[[apps]]\nname = \"{name}\"\n[[apps.keys]]\nalg = \"HS256\"\nsecret = \"{secret}\"\n")
}

/// A token of a user that may do everything.
pub(crate) fn token(app: &str, user: &str, secret: &str) -> String {
    let grants = json!([{"match": "*", "can": ["subscribe", "publish", "presence", "history", "call"]}]);
    token_of(app, user, secret, &grants)
}

/// A token of a user with these grants.
fn token_of(app: &str, user: &str, secret: &str, grants: &Value) -> String {
    let body = json!({"sub": user, "aud": app, "iat": now(), "exp": now() + 600, "jti": format!("{user}-1"), "grants": grants});
    encode(&Header::default(), &body, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// Says `hello` to an app.
pub(crate) fn knock(address: SocketAddr, app: &str, token: &str) -> Wire {
    let mut wire = Wire::open_at(address, &format!("/ws/{app}"));
    wire.say(&json!({"t": "hello", "v": 1, "token": token}));
    wire
}

/// The same, and it is let in. Returns its `welcome`, too.
fn enter(address: SocketAddr, app: &str, token: &str) -> (Wire, Value) {
    let mut wire = knock(address, app, token);
    let welcome = wire.expect("welcome");
    (wire, welcome)
}

/// Everything that was said before is seen by now.
fn settled(wire: &mut Wire) {
    wire.say(&json!({"t": "ping", "n": 77}));
    assert_eq!(wire.expect("pong")["n"], 77);
}

/// Makes an API key with the program. Returns it and its section.
pub(crate) fn api_key(name: &str) -> (String, String) {
    let (code, said) = run(["key", "new", "--name", name]);
    assert_eq!(code, 0, "{said}");
    let key = said.lines().find_map(|line| line.strip_prefix("#   ")).unwrap().to_owned();
    let section = said.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    (key, format!("{section}\n"))
}
