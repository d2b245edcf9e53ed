//! A program that cannot start says why and what to do, with an exit code; flags win over environment, this over file.

use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::program::{Program, command, ended, run};
use crate::support::{Healthy, Wire, upgrade};

/// The user `nobody`: to whom permissions mean something even if these tests run as root.
const NOBODY: u32 = 65_534;

fn says(found: &(i32, String), code: i32, words: &[&str]) {
    assert_eq!(found.0, code, "{}", found.1);
    assert!(!found.1.contains("panicked"), "{}", found.1);
    for word in words {
        assert!(found.1.contains(word), "`{word}` is not in: {}", found.1);
    }
}

#[test]
fn mistakes_in_flags_end_with_2() {
    says(&run(["--lisen", "127.0.0.1:0"]), 2, &["--listen"]);
    says(&run(["--dev", "--listen", "localhost:8000"]), 2, &["--listen", "127.0.0.1:8000"]);
    says(&run(["--dev", "--listen", "8000"]), 2, &["--listen", "127.0.0.1:8000"]);
    says(&run(["--dev", "--engine", "redis://x"]), 2, &["--engine", "log, memory"]);
    says(&run(["--dev", "--durability", "ram"]), 2, &["--durability", "disk, process"]);
    says(&run(["--dev", "--log-format", "xml"]), 2, &["--log-format", "text, json"]);
    says(&run(["--dev", "--shards", "0"]), 2, &["--shards", "1..=256"]);
    says(&run(["--dev", "--shards", "many"]), 2, &["--shards"]);
    says(&run(["serve"]), 2, &["serve"]);
    says(&run(["check-config"]), 2, &["FILE"]);
    says(&run::<&str>([]), 2, &["nobody could connect", "--config", "--dev"]);
    let found = ended(command(["--dev"]).env("MOORLINE_LOG", "loud=what=").output().unwrap());
    says(&found, 2, &["MOORLINE_LOG", "info"]);
}

#[test]
fn development_mode_stays_on_this_machine() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8000"] {
        says(&run(["--dev", "--listen", listen]), 2, &["--dev", "loopback", listen]);
    }
    let found = ended(command(["--dev"]).env("MOORLINE_LISTEN", "0.0.0.0:0").output().unwrap());
    says(&found, 2, &["loopback"]);
}

#[test]
fn mistakes_in_the_file_are_named_with_file_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("moorline.toml");
    let app = "[[apps]]\nname = \"shop\"\n[[apps.keys]]\n";
    let long = "x".repeat(32);
    std::fs::write(dir.path().join("not-a-key.pem"), "hello").unwrap();
    let cases = [
        ("[server]\ndatta = \"x\"\n".into(), "line 2: unknown key `datta`; did you mean `data`?"),
        ("[serverr]\n".into(), "did you mean `server`?"),
        ("[limits]\nmesage = 1\n".into(), "did you mean `message`?"),
        ("[[channels]]\nprefix = \"a\"\nmaxage = \"1d\"\n".into(), "did you mean `max_age`?"),
        ("[server]\ncolour = \"red\"\n".into(), "known are: listen, http_listen, data"),
        ("[server]\nlisten = 8000\n".into(), "line 2, `listen`"),
        ("[server]\nshards = \"two\"\n".into(), "line 2, `shards`"),
        ("[limits]\nping = \"1h\"\n".into(), "limits.ping is 5s to 25s"),
        ("[limits]\nmessage = \"1GiB\"\n".into(), "limits.message is 1 to 512 KiB"),
        ("[server\n".into(), "line 1"),
        (format!("{app}alg = \"HS256\"\nsecret = \"short\"\n"), "app `shop`: an HS256 secret needs 32 bytes"),
        (format!("{app}alg = \"HS256\"\n"), "HS256 takes `secret`"),
        (format!("{app}alg = \"none\"\nsecret = \"{long}\"\n"), "not `none`"),
        (format!("{app}alg = \"RS256\"\nsecret = \"{long}\"\n"), "`public_key_file`"),
        (format!("{app}alg = \"ES256\"\npublic_key_file = \"gone.pem\"\n"), "gone.pem"),
        (format!("{app}alg = \"EdDSA\"\npublic_key_file = \"not-a-key.pem\"\n"), "PEM"),
        ("[[apps]]\nname = \"shop\"\n".into(), "app `shop` has no key"),
        ("[[apps]]\nname = \"a shop\"\nanonymous = true\n".into(), "1 to 64 characters"),
        ("[[apps]]\nname = \"a\"\nanonymous = true\n[[apps]]\nname = \"a\"\nanonymous = true\n".into(), "twice"),
    ];
    for (text, problem) in cases {
        std::fs::write(&path, &text).unwrap();
        for found in [run([Path::new("--config"), &path]), run([Path::new("check-config"), &path])] {
            says(&found, 2, &[problem, path.to_str().unwrap()]);
            assert!(!found.1.contains(&long) && !found.1.contains("short\""), "no secrets: {}", found.1);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("latin.toml"), b"# caf\xe9\n").unwrap();
    for name in ["gone.toml", "latin.toml", "."] {
        for flag in ["--config", "check-config"] {
            says(&run([Path::new(flag), &path(name)]), 2, &["cannot be read", path(name).to_str().unwrap()]);
        }
    }
    let found = ended(command::<&str>([]).env("MOORLINE_CONFIG", path("gone.toml")).output().unwrap());
    says(&found, 2, &["gone.toml", "cannot be read"]);
}

#[test]
fn what_the_servers_user_may_not_read_is_named() {
    let Some((dir, program)) = for_nobody() else { return };
    let config = dir.path().join("moorline.toml");
    std::fs::write(
        &config,
        "[[apps]]\nname = \"shop\"\n[[apps.keys]]\nalg = \"EdDSA\"\npublic_key_file = \"key.pem\"\n",
    )
    .unwrap();
    let key = dir.path().join("key.pem");
    std::fs::write(&key, "secret").unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let as_nobody = |args: &[&Path]| {
        let mut command = std::process::Command::new(&program);
        ended(command.args(args).uid(NOBODY).env_clear().output().unwrap())
    };
    says(&as_nobody(&[Path::new("check-config"), &config]), 2, &["key.pem", "Permission denied"]);
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).unwrap();
    says(&as_nobody(&[Path::new("--config"), &config]), 2, &["moorline.toml", "Permission denied"]);
    // A data directory that is there, and one that cannot be made.
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for data in [data, dir.path().join("new")] {
        let args = [Path::new("--dev"), Path::new("--listen"), Path::new("127.0.0.1:0"), Path::new("--data"), &data];
        says(&as_nobody(&args), 1, &["cannot use the data directory", data.to_str().unwrap(), "--data"]);
    }
}

/// A folder that everybody may read, with the program in it. `None` where these tests may not become somebody else;
/// there the permissions of files are the same rule, and the system's.
fn for_nobody() -> Option<(tempfile::TempDir, std::path::PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = dir.path().join("moorline-server");
    std::fs::copy(env!("CARGO_BIN_EXE_moorline-server"), &program).unwrap();
    Some((dir, program))
}

#[test]
fn a_good_file_is_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("moorline.toml");
    std::fs::write(&path, include_str!("../../../docs/moorline.toml")).unwrap();
    says(&run([Path::new("check-config"), &path]), 0, &["ok", "default", "channel rules: 1"]);
    std::fs::write(&path, "").unwrap();
    says(&run([Path::new("check-config"), &path]), 0, &["ok", "none"]);
}

#[test]
fn a_port_in_use_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    for shards in ["1", "3"] {
        let found = run(["--dev", "--engine", "memory", "--shards", shards, "--listen", &address]);
        says(&found, 1, &["cannot listen on", &address, "--listen"]);
    }
    // An address that is no machine's.
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("moorline.toml");
    std::fs::write(&config, "[[apps]]\nname = \"a\"\nanonymous = true\n").unwrap();
    let mut command = command(["--engine", "memory", "--listen", "192.0.2.1:8000", "--config"]);
    says(&ended(command.arg(config).output().unwrap()), 1, &["cannot listen on 192.0.2.1:8000"]);
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    for (first, second) in [("1", "1"), ("1", "3"), ("3", "1"), ("3", "3")] {
        let dev = ["--dev", "--engine", "memory"];
        // Nobody else takes a port of this address while it is free.
        let server = Program::start(command(dev).args(["--shards", first, "--listen", "127.0.0.2:0"]));
        let address = server.address().to_string();
        let mut healthy = Healthy::connect(server.address(), "dev:healthy");
        let found = ended(command(dev).args(["--shards", second, "--listen", &address]).output().unwrap());
        says(&found, 1, &["cannot listen on", &address, "--listen"]);
        // Clients of all its threads are served as before.
        for _ in 0..20 {
            healthy.beat();
            drop(Wire::hello(server.address(), "dev:alice"));
        }
        server.stop();
        // And at once the port is free again.
        Program::start(command(dev).args(["--shards", second, "--listen", &address])).stop();
    }
}

#[test]
fn a_data_directory_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Program::dev(dir.path());
    let mut healthy = Healthy::connect(server.address(), "dev:healthy");
    healthy.beat();
    let data = dir.path().to_str().unwrap();
    says(&run(["--dev", "--listen", "127.0.0.1:0", "--data", data]), 1, &["in use", data, "--data"]);
    healthy.beat();
}

#[test]
fn a_data_directory_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "hello").unwrap();
    for data in [file.as_path(), &file.join("below"), Path::new("/proc/moorline")] {
        let found = ended(command(["--dev", "--listen", "127.0.0.1:0", "--data"]).arg(data).output().unwrap());
        says(&found, 1, &["cannot use the data directory", data.to_str().unwrap(), "--data"]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"hello");
}

/// Returns what a server promises, by its address.
fn durability(address: SocketAddr) -> String {
    let mut wire = Wire::open(address);
    wire.say(&json!({"t": "hello", "v": 1, "token": "dev:alice"}));
    wire.expect("welcome")["durability"].as_str().unwrap().to_owned()
}

#[test]
fn flags_win_over_environment_and_this_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("moorline.toml");
    let data = dir.path().join("data");
    std::fs::write(&config, format!("[server]\nlisten = \"127.0.0.1:0\"\ndurability = \"process\"\ndata = {data:?}\n"))
        .unwrap();
    let start = |flags: &[&str], environment: &[(&str, &str)]| {
        let mut command = command(["--dev"]);
        command.args(flags).env("MOORLINE_CONFIG", &config).envs(environment.iter().copied());
        let server = Program::start(&mut command);
        let durability = durability(server.address());
        server.stop();
        durability
    };
    assert_eq!(start(&[], &[]), "process");
    assert_eq!(start(&[], &[("MOORLINE_DURABILITY", "disk")]), "disk");
    assert_eq!(start(&["--durability", "process"], &[("MOORLINE_DURABILITY", "disk")]), "process");
    assert_eq!(start(&[], &[("MOORLINE_ENGINE", "memory")]), "memory");
    assert_eq!(start(&["--engine", "log"], &[("MOORLINE_ENGINE", "memory")]), "process");
    assert!(data.join("store").exists());
}

#[test]
fn a_switch_in_the_environment_is_a_word_or_a_number() {
    for on in ["1", "true", "yes", "on"] {
        let mut command = command(["--engine", "memory", "--listen", "127.0.0.1:0"]);
        assert_eq!(durability(Program::start(command.env("MOORLINE_DEV", on)).address()), "memory");
    }
    for off in ["0", "false", "no", "off"] {
        let found = ended(command::<&str>([]).env("MOORLINE_DEV", off).output().unwrap());
        says(&found, 2, &["nobody could connect"]);
    }
    let found = ended(command::<&str>([]).env("MOORLINE_DEV", "perhaps").output().unwrap());
    says(&found, 2, &["--dev", "perhaps"]);
}

#[test]
fn what_looks_like_a_mistake_is_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("moorline.toml");
    std::fs::write(&config, include_str!("../../../docs/moorline.toml")).unwrap();
    let mut command = command(["--engine", "memory", "--listen", "127.0.0.1:0", "--config"]);
    command.arg(&config).envs([("MOORLINE_LISEN", "x"), ("MOORLINE_PORT", "tcp://10.0.0.1:80"), ("MOORLINE_URL", "x")]);
    let said = Program::start(&mut command).stop();
    assert!(said.contains("MOORLINE_LISEN is not a setting; did you mean MOORLINE_LISTEN?"), "{said}");
    assert!(!said.contains("MOORLINE_PORT") && !said.contains("MOORLINE_URL"), "{said}");
    assert!(said.contains("app `default` has the secret of the example"), "{said}");
}

#[test]
fn a_development_server_says_what_it_opened() {
    let dir = tempfile::tempdir().unwrap();
    let said = Program::dev(dir.path()).stop();
    for word in ["DEVELOPMENT MODE", "everybody", dir.path().to_str().unwrap(), "moorline sub"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn tokens_and_payloads_stay_out_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(["--dev", "--listen", "127.0.0.1:0", "--log-format", "json", "--data"]);
    let server = Program::start(command.arg(dir.path()).env("MOORLINE_LOG", "trace"));
    let mut wire = Wire::hello(server.address(), "dev:a-token-nobody-may-see");
    wire.say(&json!({"t": "publish", "channel": "x", "req": 1, "id": "x", "text": "a payload nobody may see"}));
    wire.expect("published");
    let mut bad = Wire::open(server.address());
    bad.say(&json!({"t": "hello", "v": 1, "token": "another-token-nobody-may-see"}));
    bad.expect_end("auth.invalid", 4502);
    // Whatever somebody puts into an address.
    let lost = Wire::open_at(server.address(), "/ws?token=dev:a-token-nobody-may-see");
    let refused = Wire::dial(server.address()).request(&upgrade("/elsewhere?token=nobody-may-see", ""));
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
    drop((wire, bad, lost));
    let said = server.stop();
    assert!(said.contains("stopping") && !said.contains("nobody") && !said.contains("may see"), "{said}");
}

#[test]
fn nobody_has_to_read_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(["--dev", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .env("MOORLINE_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Whoever listened is gone: both streams are closed, and each line it writes fails.
    drop(child.stderr.take());
    let url = line.trim().rsplit_once("ws://").unwrap().1;
    let address: SocketAddr = url.strip_suffix("/ws").unwrap().parse().unwrap();
    let mut healthy = Healthy::connect(address, "dev:healthy");
    for _ in 0..10 {
        healthy.beat();
        drop(Wire::hello(address, "dev:alice"));
    }
    drop(healthy);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
