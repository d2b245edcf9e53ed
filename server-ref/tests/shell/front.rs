//! What stands in front of the server: TLS, and proxies that speak for others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use moorline_server::net::{Front, Listening, Proxies, TlsFiles};
use moorline_server::server::{Options, Server};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Wire, upgrade};

/// A certificate of its own, written down; returns what trusts it.
pub(crate) fn certificate(dir: &Path) -> (TlsFiles, Arc<ClientConfig>) {
    certificate_for(dir, &["localhost"])
}

/// The same for these names.
pub(crate) fn certificate_for(dir: &Path, names: &[&str]) -> (TlsFiles, Arc<ClientConfig>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // A session that is resumed shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    (files, Arc::new(config))
}

fn secure(files: &TlsFiles) -> Options {
    let listen = Listening { tls: true, ..Listening::default() };
    let front = Front { tls: Some(files.read().unwrap()), listen, ..Front::default() };
    Options { front, head_within_ms: 500, ..Options::dev() }
}

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn dial(address: SocketAddr, config: &Arc<ClientConfig>) -> Secured {
    secured(TcpStream::connect(address).unwrap(), config, "localhost")
}

/// Goes on with TLS, for this name.
pub(crate) fn secured(tcp: TcpStream, config: &Arc<ClientConfig>, name: &str) -> Secured {
    tcp.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp)
}

/// Asks, and reads until a text has come.
pub(crate) fn ask(stream: &mut Secured, request: &str, until: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let (mut said, mut part) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&said).contains(until) {
        match stream.read(&mut part)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => said.extend_from_slice(&part[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

pub(crate) const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const OPENAPI: &str = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn one_port_serves_websockets_and_the_api_over_tls_and_a_new_certificate_ends_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (files, first) = certificate(dir.path());
    let server = Server::start(secure(&files)).unwrap();
    assert!(server.url().starts_with("wss://") && server.http_url().starts_with("https://"));
    let mut standing = dial(server.address(), &first);
    assert!(ask(&mut standing, &upgrade("/ws", ""), "\r\n\r\n").unwrap().starts_with("HTTP/1.1 101 "));
    assert!(ask(&mut dial(server.address(), &first), HEALTH, "ok\n").is_ok());
    // Larger than a record, on the thread of the API, with what was decrypted before.
    assert!(ask(&mut dial(server.address(), &first), OPENAPI, "\"revoke\"").is_ok());
    let (files, second) = certificate(dir.path());
    server.reload(secure(&files));
    assert!(ask(&mut dial(server.address(), &second), HEALTH, "ok\n").is_ok());
    assert!(ask(&mut dial(server.address(), &first), HEALTH, "ok\n").is_err(), "the old one is not shown any more");
    let hello = r#"{"t":"hello","v":1,"token":"dev:alice"}"#;
    standing.write_all(&crate::support::frame(true, crate::support::TEXT, hello.as_bytes())).unwrap();
    assert!(ask(&mut standing, "", "\"welcome\"").is_ok());
}

#[test]
fn whoever_speaks_in_the_clear_is_told_and_whoever_is_slow_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = certificate(dir.path());
    let server = Server::start(secure(&files)).unwrap();
    let told = Wire::dial(server.address()).request(HEALTH);
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("speaks TLS"), "{told}");
    // A handshake that has begun, and does not go on; and one that never begins.
    for begun in [&b"\x16\x03\x01\x02\x00\x01"[..], b""] {
        let mut slow = TcpStream::connect(server.address()).unwrap();
        slow.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        slow.write_all(begun).unwrap();
        let mut rest = Vec::new();
        // Its end, in good order or not.
        let _ = slow.read_to_end(&mut rest).map_err(|error| assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock));
        assert!(rest.is_empty());
    }
}

/// A server whose connections begin with a header, and that has room for one stranger of an address.
fn behind(proxies: &[&str], proxy_protocol: bool) -> Server {
    let proxies = Proxies::new(proxies.iter().map(|text| text.parse().unwrap()).collect());
    let listen = Listening { proxy_protocol, ..Listening::default() };
    let front = Front { proxies, listen, ..Front::default() };
    Server::start(Options { front, handshakes_per_address: Some(1), ..Options::dev() }).unwrap()
}

#[test]
fn the_address_in_a_header_of_the_proxy_protocol_is_what_is_counted() {
    let server = behind(&["127.0.0.0/8"], true);
    let open = |header: &str| {
        let mut wire = Wire::dial(server.address());
        let answer = wire.request(&format!("{header}{}", upgrade("/ws", "")));
        (answer, wire)
    };
    let (first, _one) = open("PROXY TCP4 192.0.2.7 127.0.0.1 50000 80\r\n");
    assert!(first.starts_with("HTTP/1.1 101 "), "{first}");
    let (second, _two) = open("PROXY TCP4 192.0.2.7 127.0.0.1 50001 80\r\n");
    assert!(second.starts_with("HTTP/1.1 503 "), "{second}");
    let (other, _three) = open("PROXY TCP6 2001:db8::7 ::1 50001 80\r\n");
    assert!(other.starts_with("HTTP/1.1 101 "), "{other}");
    assert!(open("").0.contains("[gone"), "without a header");
    let strict = behind(&["192.0.2.0/24"], true);
    let mut foreign = Wire::dial(strict.address());
    let answer = foreign.request("PROXY TCP4 192.0.2.7 127.0.0.1 50000 80\r\n");
    assert!(answer.contains("[gone"), "from somebody who is not believed: {answer}");
}

#[test]
fn the_address_that_a_trusted_proxy_adds_is_what_is_counted() {
    let open = |server: &Server, forwarded: &str| {
        let mut wire = Wire::dial(server.address());
        let answer = wire.request(&upgrade("/ws", &format!("X-Forwarded-For: {forwarded}\r\n")));
        (answer.split(' ').nth(1).unwrap_or_default().to_owned(), wire)
    };
    let server = behind(&["127.0.0.1"], false);
    let (first, _one) = open(&server, "192.0.2.7");
    // What a client writes itself stands before what the proxy adds.
    let (second, _two) = open(&server, "198.51.100.1, 192.0.2.7");
    let (third, _three) = open(&server, "192.0.2.8");
    assert_eq!([first, second, third], ["101", "503", "101"]);
    let server = behind(&[], false);
    let (first, _four) = open(&server, "192.0.2.7");
    let (second, _five) = open(&server, "192.0.2.8");
    assert_eq!([first, second], ["101", "503"], "nobody is believed");
}
