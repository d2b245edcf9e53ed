//! `wss://`: certificates that are trusted, and those that are not.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;

use moorline::{Client, History, Payload, StateReason};
use moorline_server::net::{Front, Listening, TlsFiles};
use moorline_server::server::{Options, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Makes a certificate authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Ends TLS in front of a server, with a certificate for this name; returns where it listens.
async fn proxy(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, server: SocketAddr) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust this certificate goes away here.
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

/// Waits until an attempt fails, and returns the code.
async fn failed(client: &Client) -> String {
    let mut states = client.states();
    loop {
        states.changed().await.unwrap();
        if let (_, StateReason::TransportFailed(failure)) = &*states.borrow_and_update() {
            return failure.code.name().to_owned();
        }
    }
}

#[tokio::test]
async fn a_root_of_ones_own_is_trusted_when_it_is_named() {
    let server = Server::start(Options::dev()).unwrap();
    let authority = authority();
    let address = proxy(&authority, "localhost", server.address()).await;
    let url = format!("wss://localhost:{}/ws", address.port());
    let pem = authority.pem().into_bytes();
    for root in [pem, authority.der().to_vec()] {
        let client = Client::builder(&url).token("dev:alice").root_certificate(root).build().unwrap();
        client.connect().await.unwrap();
        let receipt = client.channel("room").publish(Payload::text("hello")).send().unwrap();
        receipt.stored().await.unwrap();
        client.close().await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_and_tried_again() {
    let server = Server::start(Options::dev()).unwrap();
    let trusted = authority();
    let strangers = proxy(&authority(), "localhost", server.address()).await;
    let other_name = proxy(&trusted, "elsewhere.example", server.address()).await;
    for address in [strangers, other_name] {
        let builder = Client::builder(format!("wss://localhost:{}/ws", address.port()));
        let builder = builder.root_certificate(trusted.der().to_vec());
        let client = builder.configure(|config| config.max_backoff_ms = 1).build().unwrap();
        let (first, connected) = tokio::join!(failed(&client), async {
            tokio::select! {
                connected = client.connect() => Some(connected),
                second = async { (failed(&client).await, failed(&client).await) } => {
                    assert_eq!(second.1, "transport.tls");
                    None
                }
            }
        });
        assert_eq!((first.as_str(), connected), ("transport.tls", None));
        client.close().await;
    }
}

#[tokio::test]
async fn what_is_no_server_is_told() {
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web_address = web.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = web.accept().await.unwrap();
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        }
    });
    for (url, code) in [
        ("ws://127.0.0.1:1/ws".to_owned(), "transport.unreachable"),
        (format!("ws://{web_address}/ws"), "transport.upgrade"),
        (format!("wss://{web_address}/ws"), "transport.tls"),
    ] {
        let client = Client::builder(url).build().unwrap();
        let told = tokio::select! {
            connected = client.connect() => Err(connected),
            code = failed(&client) => Ok(code),
        };
        assert_eq!(told, Ok(code.to_owned()));
        client.close().await;
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n";
    let empty = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n";
    for bytes in [broken.as_bytes(), empty.as_bytes(), b"neither PEM nor DER"] {
        let built = Client::builder("wss://localhost/ws").root_certificate(bytes).build();
        assert_eq!(built.map(drop).unwrap_err().code(), "client.certificate");
    }
}

#[tokio::test]
async fn the_server_s_own_tls_is_trusted_by_a_root_of_ones_own_and_goes_on_with_another_certificate() {
    let authority = authority();
    let dir = tempfile::tempdir().unwrap();
    let options = || {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let files = TlsFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let listen = Listening { tls: true, ..Listening::default() };
        let front = Front { tls: Some(files.read().unwrap()), listen, ..Front::default() };
        Options { front, ..Options::dev() }
    };
    let server = Arc::new(Server::start(options()).unwrap());
    let url = format!("wss://localhost:{}/ws", server.address().port());
    let client = |user: &str| Client::builder(&url).token(format!("dev:{user}"));
    let trusting = |user: &str| client(user).root_certificate(authority.pem().into_bytes()).build().unwrap();
    let alice = trusting("alice");
    alice.connect().await.unwrap();
    let publish = async |client: &Client, id: usize| {
        // More than a record of TLS, so that it goes and comes in several.
        let text = format!("{id}:{}", "x".repeat(40_000));
        client.channel("room").publish(Payload::text(text)).send().unwrap().stored().await.unwrap();
    };
    publish(&alice, 1).await;
    let (reloaded, other) = (Arc::clone(&server), options());
    tokio::task::spawn_blocking(move || reloaded.reload(other)).await.unwrap();
    // Who is in stays, and who comes sees the new one.
    publish(&alice, 2).await;
    let bob = trusting("bob");
    bob.connect().await.unwrap();
    publish(&bob, 3).await;
    let history = bob.channel("room").history(History::Newest, 10).await.unwrap();
    assert_eq!(history.messages.len(), 3);
    let stranger = client("eve").build().unwrap();
    let refused = tokio::select! {
        connected = stranger.connect() => format!("{connected:?}"),
        code = failed(&stranger) => code,
    };
    assert_eq!(refused, "transport.tls");
    for client in [alice, bob, stranger] {
        client.close().await;
    }
}
