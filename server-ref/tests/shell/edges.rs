//! TLS and the PROXY protocol as a configuration file asks for them, at the real program.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;

use crate::front::{HEALTH, Secured, ask, certificate, certificate_for, dial, secured};
use crate::support::program::{Program, command};
use crate::support::{TEXT, Wire, frame, upgrade};

/// A server with a configuration of its section `server`, and a log that says where clients come from.
fn server(dir: &Path, section: &str) -> Program {
    let config = dir.join("moorline.toml");
    std::fs::write(&config, format!("[server]\n{section}\n")).unwrap();
    let flags = ["--dev", "--engine", "memory", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--config"];
    Program::start(command(flags).arg(config).env("MOORLINE_LOG", "moorline_server=debug"))
}

const TLS: &str = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";

/// A header of version 2 as a load balancer writes it, with something of its own behind the addresses.
fn v2(command: u8, source: &str) -> Vec<u8> {
    let mut addresses = match source.parse().unwrap() {
        std::net::IpAddr::V4(source) => [source.octets(), [192, 0, 2, 1]].concat(),
        std::net::IpAddr::V6(source) => [source.octets(), [0x20; 16]].concat(),
    };
    let family = if addresses.len() == 8 { 0x11 } else { 0x21 };
    addresses.extend_from_slice(&[0xc3, 0x50, 1, 0xbb]);
    // A checksum's place, and nothing in it that anybody looks at.
    addresses.extend_from_slice(&[0x04, 0, 3, 1, 2, 3]);
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, family, 0, addresses.len() as u8], &addresses].concat()
}

fn hello(stream: &mut Secured, user: &str) {
    let hello = format!(r#"{{"t":"hello","v":1,"token":"dev:{user}"}}"#);
    stream.write_all(&frame(true, TEXT, hello.as_bytes())).unwrap();
    ask(stream, "", "\"welcome\"").unwrap();
}

#[test]
fn a_hangup_replaces_the_certificate_while_connections_stand() {
    let dir = tempfile::tempdir().unwrap();
    let (_, first) = certificate(dir.path());
    let mut server = server(dir.path(), TLS);
    let api = server.http_address();
    let mut standing = dial(server.address(), &first);
    assert!(ask(&mut standing, &upgrade("/ws", ""), "\r\n\r\n").unwrap().starts_with("HTTP/1.1 101 "));
    let mut at_api = dial(api, &first);
    ask(&mut at_api, HEALTH, "ok").unwrap();
    // Files of no use change nothing, and the log says so.
    std::fs::write(dir.path().join("key.pem"), "nothing").unwrap();
    server.signal(Signal::HUP);
    let said = server.wait_for(0, "the configuration was not reloaded");
    assert!(said.contains("holds no private key"), "{said}");
    ask(&mut dial(server.address(), &first), HEALTH, "ok").unwrap();
    let (_, second) = certificate(dir.path());
    let before = server.said().len();
    server.signal(Signal::HUP);
    server.wait_for(before, "the configuration was reloaded");
    for address in [server.address(), api] {
        ask(&mut dial(address, &second), HEALTH, "ok").unwrap();
        assert!(ask(&mut dial(address, &first), HEALTH, "ok").is_err(), "the old one is shown");
    }
    hello(&mut standing, "alice");
    ask(&mut at_api, HEALTH, "ok").unwrap();
    drop((standing, at_api));
    server.stop();
}

#[test]
fn every_name_of_the_certificate_is_served_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (_, trust) = certificate_for(dir.path(), &["one.example", "*.two.example", "127.0.0.1"]);
    let mut server = server(dir.path(), TLS);
    for address in [server.address(), server.http_address()] {
        let serves = |name: &str| {
            let mut stream = secured(TcpStream::connect(address).unwrap(), &trust, name);
            ask(&mut stream, HEALTH, "ok").is_ok()
        };
        // With a name in the handshake, and with none: an address is none.
        for name in ["one.example", "a.two.example", "127.0.0.1"] {
            assert!(serves(name), "{name}");
        }
        for name in ["other.example", "two.example", "localhost", "127.0.0.2"] {
            assert!(!serves(name), "{name}");
        }
    }
}

#[test]
fn the_listener_of_the_api_speaks_tls_unless_it_is_told_not_to() {
    let dir = tempfile::tempdir().unwrap();
    let (_, trust) = certificate(dir.path());
    let mut with = server(dir.path(), TLS);
    let api = with.http_address();
    ask(&mut dial(api, &trust), HEALTH, "ok").unwrap();
    let told = Wire::dial(api).request(HEALTH);
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("https://"), "{told}");
    let mut without = server(dir.path(), &TLS.replace(" }", ", http = false }"));
    ask(&mut dial(without.address(), &trust), HEALTH, "ok").unwrap();
    let clear = Wire::dial(without.http_address()).request(HEALTH);
    assert!(clear.starts_with("HTTP/1.1 200 "), "{clear}");
}

#[test]
fn headers_of_the_proxy_protocol_are_taken_at_both_listeners_before_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (_, trust) = certificate(dir.path());
    let section = format!("proxies = [\"127.0.0.1\"]\nproxy_protocol = true\nhttp_proxy_protocol = true\n{TLS}");
    let mut server = server(dir.path(), &section);
    let (clients, api) = (server.address(), server.http_address());
    for (header, source) in [
        (v2(1, "192.0.2.7"), "192.0.2.7"),
        (v2(1, "2001:db8::7"), "2001:db8::7"),
        (v2(1, "::ffff:192.0.2.8"), "192.0.2.8"),
        (v2(0, "192.0.2.9"), "127.0.0.1"),
        (b"PROXY TCP4 192.0.2.10 192.0.2.1 50000 443\r\n".to_vec(), "192.0.2.10"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        let open = |address| {
            let mut tcp = TcpStream::connect(address).unwrap();
            // In two parts, as a network may cut it.
            let (begin, end) = header.split_at(header.len() / 2);
            tcp.write_all(begin).unwrap();
            tcp.write_all(end).unwrap();
            secured(tcp, &trust, "localhost")
        };
        let before = server.said().len();
        let mut client = open(clients);
        assert!(ask(&mut client, &upgrade("/ws", ""), "\r\n\r\n").unwrap().starts_with("HTTP/1.1 101 "));
        hello(&mut client, "alice");
        let said = server.wait_for(before, "a client was let in");
        assert!(said.contains(&format!("address={source}")), "{source}: {said}");
        let before = server.said().len();
        let nothing = "GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n";
        assert!(ask(&mut open(api), nothing, "request_id").unwrap().starts_with("HTTP/1.1 404 "));
        let said = server.wait_for(before, "/v1/nothing");
        assert!(said.contains(&format!("client={source}")), "{source}: {said}");
    }
    // Without a header, with half of one, with one of a datagram, or with TLS first: nobody is talked to.
    let datagram = {
        let mut header = v2(1, "192.0.2.7");
        header[13] = 0x12;
        header
    };
    for bytes in [HEALTH.as_bytes(), b"\x16\x03\x01\x02\x00\x01", &datagram, b"PROXY TCP4 nobody 1 2 3\r\n"] {
        for address in [clients, api] {
            let mut wire = Wire::dial(address);
            wire.raw(bytes);
            assert!(wire.response().starts_with("[gone"), "{bytes:?}");
        }
    }
    server.stop();
}
