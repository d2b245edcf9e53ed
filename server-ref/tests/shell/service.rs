//! What a service manager and a container's health check get to see.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::Wire;
use crate::support::program::{Program, command, ended, run};

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
fn a_service_manager_is_told_of_a_reload_and_of_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = (dir.path().join("notify"), dir.path().join("moorline.toml"));
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::fs::write(&file, "[[apps]]\nname = \"one\"\nanonymous = true\n").unwrap();
    let mut command = command(["--engine", "memory", "--listen", "127.0.0.1:0", "--config"]);
    let server = Program::start(command.arg(&file).env("NOTIFY_SOCKET", &path));
    let listening = format!("READY=1\nSTATUS=listening on ws://{}/ws\n", server.address());
    assert_eq!(next(&manager), listening);
    let mut before = 0;
    for (config, status) in [
        ("[[apps]]\nname = \"two\"\nanonymous = true\n", listening.as_str()),
        ("[[apps]]\nname = 2\n", "READY=1\nSTATUS=the configuration was not reloaded; the log says why\n"),
    ] {
        let beside = dir.path().join("new");
        std::fs::write(&beside, config).unwrap();
        std::fs::rename(&beside, &file).unwrap();
        server.signal(Signal::HUP);
        let reloading = next(&manager);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.trim().parse().ok());
        // Each is later than the one before, and than the machine's start.
        assert!(since.is_some_and(|since: u64| since > before), "{reloading}");
        before = since.unwrap();
        assert_eq!(next(&manager), status);
    }
    let said = server.stop();
    assert!(said.contains("line 2"), "{said}");
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
    let (code, said) = run(["health", "--url", "https://127.0.0.1/"]);
    assert!(code == 1 && said.contains("is not a URL such as"), "{said}");
    let url = url("/readyz");
    server.stop();
    let (code, said) = run(["health", "--url", &url]);
    assert!(code == 1 && said.contains("does not answer"), "{said}");
}

#[test]
fn health_asks_over_tls_and_believes_any_certificate_on_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let (cert, key, file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"), dir.path().join("moorline.toml"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config =
        "[server]\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n[[apps]]\nname = \"one\"\nanonymous = true\n";
    std::fs::write(&file, config).unwrap();
    let server = Program::start(command(["--engine", "memory", "--listen", "127.0.0.1:0", "--config"]).arg(&file));
    let port = server.address().port();
    let (here, named) = (format!("https://127.0.0.1:{port}/readyz"), format!("https://localhost:{port}/readyz"));
    assert_eq!(run(["health", "--url", &here]), (0, format!("{here}: HTTP/1.1 200 OK\n")));
    let mut by_variable = command(["health"]);
    assert_eq!(ended(by_variable.env("MOORLINE_HEALTH_URL", &here).output().unwrap()).0, 0);
    // A name is one that the certificate has to prove.
    let (code, said) = run(["health", "--url", &named]);
    assert!(code == 1 && said.contains("certificate"), "{said}");
    let trusted = ["health", "--url", &named, "--ca-file", cert.to_str().unwrap()];
    assert_eq!(run(trusted), (0, format!("{named}: HTTP/1.1 200 OK\n")));
    // Who says whom to believe means it, here too.
    let (code, said) = run(["health", "--url", &here, "--ca-file", cert.to_str().unwrap()]);
    assert!(code == 1 && said.contains("certificate"), "{said}");
    let (code, said) = run(["health", "--url", &named, "--ca-file", key.to_str().unwrap()]);
    assert!(code == 1 && said.contains("there is no certificate in it"), "{said}");
    let (code, said) = run(["health", "--url", &format!("http://127.0.0.1:{port}/readyz")]);
    assert!(code == 1 && said.contains("says HTTP/1.1 400"), "{said}");
    server.stop();
}
