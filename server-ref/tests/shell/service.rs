//! What a service manager and a container's health check get to see.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::Wire;
use crate::support::program::{Program, command, run};

/// Returns the next message to the service manager.
fn next(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 4_096];
    let count = manager.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

#[test]
fn a_service_manager_is_told_ready_then_alive_then_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = command(["--dev", "--engine", "memory", "--listen", "127.0.0.1:0"]);
    // Twice within this time; the first one comes at once.
    let server = Program::start(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000000"));
    let ready = next(&manager);
    assert_eq!(ready, format!("READY=1\nSTATUS=listening on ws://{}/ws\n", server.address()));
    drop(Wire::hello(server.address(), "dev:alice"));
    assert_eq!(next(&manager), "WATCHDOG=1\n");
    server.signal(Signal::TERM);
    assert_eq!(next(&manager), "STOPPING=1\nSTATUS=clients are sent away\n");
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    manager.set_nonblocking(true).unwrap();
    assert!(manager.recv(&mut [0; 16]).is_err(), "nothing after the stop");
}

#[test]
fn a_service_manager_that_is_gone_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(["--dev", "--engine", "memory", "--listen", "127.0.0.1:0"]);
    let server = Program::start(command.env("NOTIFY_SOCKET", dir.path().join("nobody")));
    drop(Wire::hello(server.address(), "dev:alice"));
    let said = server.stop();
    assert!(said.contains("the service manager could not be told"), "{said}");
}

#[test]
fn health_tells_whether_a_server_takes_clients() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::dev(dir.path());
    let url = |path: &str| format!("http://{}{path}", server.address());
    for path in ["/readyz", "/healthz"] {
        let (code, said) = run(["health", "--url", &url(path)]);
        assert_eq!((code, said.as_str()), (0, format!("{}: HTTP/1.1 200 OK\n", url(path)).as_str()));
    }
    let (code, said) = run(["health", "--url", &url("/nothing")]);
    assert!(code == 1 && said.contains("says HTTP/1.1 404"), "{said}");
    let (code, said) = run(["health", "--url", "https://127.0.0.1:8000/"]);
    assert!(code == 1 && said.contains("is not a URL such as"), "{said}");
    let url = url("/readyz");
    server.stop();
    let (code, said) = run(["health", "--url", &url]);
    assert!(code == 1 && said.contains("does not answer"), "{said}");
}
