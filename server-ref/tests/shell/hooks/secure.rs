//! A receiver behind TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

use moorline_server::engine::hooks::HookKind;
use moorline_server::hooks::Hook;
use moorline_server::server::{Options, Server};
use rcgen::CertifiedKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{device, hook, publish};

/// Answers every request with 200, and tells what it heard, or that no TLS came about.
fn receiver(host: &str) -> (u16, rustls::pki_types::CertificateDer<'static>, mpsc::Receiver<Option<String>>) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let certificate = cert.der().clone();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let mut head = vec![0; 4_096];
            let read = stream.read(&mut head).ok().filter(|read| *read > 0);
            let heard = read.map(|read| String::from_utf8_lossy(&head[..read]).into_owned());
            // Whoever has heard enough does not wait.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").and_then(|()| stream.flush());
            if sender.send(heard).is_err() {
                return;
            }
        }
    });
    (port, certificate, heard)
}

#[test]
fn only_a_certificate_that_is_trusted_and_names_the_host_is_talked_to() {
    let (port, certificate, heard) = receiver("localhost");
    let to = |host: &str| hook(&format!("https://{host}:{port}/hooks"), &[HookKind::MessageStored]);
    let strange = to("localhost");
    let other_name = Hook { roots: vec![certificate.clone()], ..to("127.0.0.1") };
    for refused in [strange, other_name] {
        let server = Server::start(Options { hooks: vec![refused], ..Options::dev() }).unwrap();
        let (mut bob, _) = device(server.address(), "bob");
        publish(&mut bob, "room", "a");
        assert_eq!(heard.recv().unwrap(), None, "{port}");
    }
    while heard.try_recv().is_ok() {}
    let trusted = Hook { roots: vec![certificate], ..to("localhost") };
    let server = Server::start(Options { hooks: vec![trusted], ..Options::dev() }).unwrap();
    let (mut bob, _) = device(server.address(), "bob");
    publish(&mut bob, "room", "a");
    let request = heard.iter().flatten().next().unwrap();
    assert!(request.starts_with("POST /hooks HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: localhost:{port}\r\n")), "{request}");
}
