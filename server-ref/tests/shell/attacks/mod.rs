//! Attacks on the real program, each of them as somebody would try it. SECURITY.md names what each of them shows, and the
//! tests elsewhere that show the rest.

mod log;
mod many;
mod outwards;
mod pages;
mod slow;
mod smuggling;
mod tokens;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::Wire;
use crate::support::program::{Program, command};

/// A development server in memory, with other flags and a configuration.
fn server(config: &str, flags: &[&str]) -> (tempfile::TempDir, Program) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("moorline.toml");
    std::fs::write(&path, config).unwrap();
    let mut start = command(["--dev", "--engine", "memory", "--listen", "127.0.0.1:0", "--config"]);
    let program = Program::start(start.arg(path).args(flags));
    (dir, program)
}

/// Connects from another address of this machine than everybody else.
fn from_elsewhere(server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let elsewhere: SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&elsewhere.into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// A newcomer is let in.
fn a_newcomer_is_welcome(server: SocketAddr) {
    let mut wire = Wire::over(from_elsewhere(server));
    let answer = wire.request(&crate::support::upgrade("/ws", ""));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    wire.say(&serde_json::json!({"t": "hello", "v": 1, "token": "dev:newcomer"}));
    wire.expect("welcome");
}
