//! Whoever sends a byte now and then: what is not whole in time is over, however lively it looks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::server;
use crate::support::{Healthy, TEXT, Wire, frame, upgrade};

/// Between two bytes of a trickle.
const PACE: Duration = Duration::from_millis(100);
/// The longest limit is the 10 s for a `hello`, after a head; a trickle that goes on for longer is not cut off.
const ENOUGH: Duration = Duration::from_secs(40);

/// Sends a beginning at once, and then what follows it byte by byte, for ever, until the other side ends it. Returns what
/// the other side said.
fn trickle(mut stream: TcpStream, begin: &[u8], then: &[u8]) -> String {
    let (began, mut heard, mut part) = (Instant::now(), Vec::new(), [0; 4_096]);
    stream.set_read_timeout(Some(PACE)).unwrap();
    stream.write_all(begin).unwrap();
    let mut bytes = then.iter().cycle();
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => heard.extend_from_slice(&part[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(
                    began.elapsed() < ENOUGH,
                    "it went on for {ENOUGH:?} after {:?}",
                    String::from_utf8_lossy(begin)
                );
                // Whoever has closed already takes nothing more: the next read says so.
                let _ = stream.write_all(&[*bytes.next().unwrap()]);
            }
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

fn dial(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// A first flight of TLS, as far as it is told from nonsense: a handshake's record, and a `ClientHello` that goes on.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
/// What announces addresses of 512 bytes, after a proxy's signature.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x00";
const POST: &str = "POST /v1/apps/default/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev\r\n\
    content-type: application/json\r\ncontent-length: 500\r\n\r\n{\"channel\"";

/// What it is, where it goes, what it begins with, what it goes on with, and what it may be answered.
type Attack<'a> = (&'a str, SocketAddr, &'a [u8], &'a [u8], &'a [&'a str]);

#[test]
fn a_trickle_ends_with_its_time_whatever_it_trickles() {
    let (_dir, mut plain) = server("", &["--http-listen", "127.0.0.1:0"]);
    let (clients, api) = (plain.address(), plain.http_address());
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let fronted = format!(
        "[server]\nproxies = [\"127.0.0.1\"]\nproxy_protocol = true\nhttp_proxy_protocol = true\n\
         tls = {{ cert = \"{}\", key = \"{}\" }}\n",
        cert.display(),
        key.display()
    );
    let (_other, mut fronted) = server(&fronted, &["--http-listen", "127.0.0.1:0"]);
    let (fronted_clients, fronted_api) = (fronted.address(), fronted.http_address());
    let mut healthy = Healthy::connect(clients, "dev:healthy");

    let proxied = [b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n", CLIENT_HELLO].concat();
    let framed = [upgrade("/ws", "").as_bytes(), &crate::support::head(true, TEXT, 100_000), &[0; 4]].concat();
    let attacks: [Attack<'_>; 9] = [
        ("a head", clients, b"GET /ws HTTP/1.1\r\nx: ", b"a", &["HTTP/1.1 408 "]),
        ("a head of the API", api, b"GET /v1/apps HTTP/1.1\r\nx: ", b"a", &["", "HTTP/1.1 408 "]),
        ("a body", api, POST.as_bytes(), b" ", &["HTTP/1.1 408 "]),
        ("a `hello`", clients, &framed, b"a", &["HTTP/1.1 101 "]),
        ("a PROXY header, v1", fronted_clients, b"PROXY TCP4 ", b"1", &[""]),
        ("a PROXY header, v2", fronted_clients, PROXY_V2, b"\0", &[""]),
        ("a PROXY header of the API", fronted_api, PROXY_V2, b"\0", &[""]),
        ("TLS behind it", fronted_clients, &proxied, b"\0", &[""]),
        ("TLS of the API behind it", fronted_api, &proxied, b"\0", &[""]),
    ];
    std::thread::scope(|scope| {
        let running = attacks.map(|(what, address, begin, then, ends)| {
            let heard = scope.spawn(move || trickle(dial(address), begin, then));
            (what, heard, ends)
        });
        healthy.beat();
        for (what, heard, ends) in running {
            let heard = heard.join().unwrap();
            let is_it = |end: &&str| if end.is_empty() { heard.is_empty() } else { heard.starts_with(*end) };
            assert!(ends.iter().any(is_it), "{what}: {heard}");
            healthy.beat();
        }
    });
    drop(Wire::hello(clients, "dev:newcomer"));
}

#[test]
fn a_message_that_trickles_costs_a_message_and_its_own_connection_alone() {
    let (_dir, program) = server("", &[]);
    let mut healthy = Healthy::connect(program.address(), "dev:healthy");
    let mut slow: Vec<Wire> = (0..20).map(|n| Wire::hello(program.address(), &format!("dev:slow-{n}"))).collect();
    let line = format!(r#"{{"t":"publish","channel":"room","req":1,"id":"x","text":"{}"}}"#, "x".repeat(2_000));
    let message = frame(true, TEXT, line.as_bytes());
    for (at, byte) in message.iter().enumerate() {
        slow.iter_mut().for_each(|wire| wire.raw(&[*byte]));
        if at % 500 == 0 {
            healthy.beat();
        }
    }
    // In the end it is a message like any other.
    for wire in &mut slow {
        wire.expect("published");
    }
    healthy.beat();
}
