//! Networks that swallow what is sent.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;

use moorline::{Client, ConnectionState, Payload, Qos, ReceiptState, StateReason};
use moorline_server::server::{Options, Server};
use tokio::io::{AsyncReadExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards one connection after the other to a server while it is open; otherwise it reads nothing.
async fn proxy(server: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, is_open) = watch::channel(true);
    tokio::spawn(async move {
        loop {
            let (outside, inside) = (listener.accept().await.unwrap().0, TcpStream::connect(server).await.unwrap());
            let ((from_client, to_client), (from_server, to_server)) = (outside.into_split(), inside.into_split());
            tokio::spawn(forward(from_client, to_server, is_open.clone()));
            tokio::spawn(forward(from_server, to_client, is_open.clone()));
        }
    });
    (address, open)
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_open: watch::Receiver<bool>) {
    loop {
        is_open.wait_for(|open| *open).await.unwrap();
        tokio::select! {
            _ = is_open.wait_for(|open| !open) => {}
            _ = copy(&mut from, &mut to) => return,
        }
    }
}

#[tokio::test]
async fn messages_at_qos_zero_do_not_pile_up_in_front_of_a_dead_network() {
    let server = Server::start(Options::dev()).unwrap();
    let (address, open) = proxy(server.address()).await;
    let client = Client::builder(format!("ws://{address}/ws")).token("dev:alice").build().unwrap();
    client.connect().await.unwrap();
    let room = client.channel("room");
    let publish = |qos| room.publish(Payload::bytes(vec![0; 60_000])).qos(qos).send().unwrap();
    open.send_replace(false);
    // The system's own buffers take some megabytes, and the socket's queue 256 KiB; then it is over.
    let dropped = loop {
        if let ReceiptState::Failed(error) = publish(Qos::AtMostOnce).state() {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((dropped.code(), dropped.is_retryable()), ("publish.dropped", true));
    let must_arrive = publish(Qos::ExactlyOnce);
    open.send_replace(true);
    must_arrive.stored().await.unwrap();
    assert_eq!(publish(Qos::AtMostOnce).state(), ReceiptState::Sent);
    client.close().await;
}

#[tokio::test]
async fn an_attempt_that_gets_no_answer_is_given_up_and_its_socket_closed() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = Client::builder(format!("ws://{}/ws", silent.local_addr().unwrap()));
    let builder = builder.configure(|config| (config.connect_timeout_ms, config.max_backoff_ms) = (100, 1));
    let client = builder.build().unwrap();
    let mut states = client.states();
    let listen = async {
        let mut asked = 0;
        while asked < 3 {
            let (mut stream, _) = silent.accept().await.unwrap();
            // The request, and then the end. On a busy machine the time may be up before anything was asked.
            let mut request = Vec::new();
            stream.read_to_end(&mut request).await.unwrap();
            assert!(request.is_empty() || request.starts_with(b"GET /ws "));
            asked += usize::from(!request.is_empty());
        }
        states.wait_for(|(_, reason)| *reason == StateReason::ConnectTimeout).await.map(drop).unwrap();
    };
    tokio::select! {
        connected = client.connect() => assert!(connected.is_err(), "there is no server"),
        () = listen => {}
    }
    client.close().await;
}

#[tokio::test]
async fn closing_in_front_of_a_dead_network_takes_seconds_at_most() {
    let server = Server::start(Options::dev()).unwrap();
    let (address, open) = proxy(server.address()).await;
    let client = Client::builder(format!("ws://{address}/ws")).token("dev:alice").build().unwrap();
    let mut messages = client.channel("room").durable(true).subscribe().await.unwrap();
    client.channel("room").publish(Payload::text("hello")).send().unwrap().stored().await.unwrap();
    let message = messages.next().await.unwrap();
    open.send_replace(false);
    messages.ack(&message);
    client.close().await;
    assert_eq!(messages.next().await, None);
}

#[tokio::test]
async fn a_server_that_takes_nobody_in_for_the_moment_says_so() {
    let server = Server::start(Options { accept_rate: Some(1), ..Options::dev() }).unwrap();
    let first = Client::builder(server.url()).token("dev:alice").build().unwrap();
    first.connect().await.unwrap();
    // One each second: of so many one comes too early, however slow the machine is.
    let clients: Vec<Client> =
        (0..20).map(|n| Client::builder(server.url()).token(format!("dev:user-{n}")).build().unwrap()).collect();
    let told = clients.iter().map(|client| async move {
        let mut states = client.states();
        let away = |reason: &StateReason| {
            let StateReason::TransportFailed(failure) = reason else { return false };
            failure.message.contains("takes no clients at the moment (503")
        };
        tokio::spawn({
            let client = client.clone();
            async move { client.connect().await }
        });
        states.wait_for(|(state, reason)| *state == ConnectionState::Online || away(reason)).await.unwrap().0
    });
    let states = futures_util::future::join_all(told).await;
    assert!(states.iter().any(|state| *state != ConnectionState::Online), "{states:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_gives_up_a_server_that_confirms_nothing() {
    let server = Server::start(Options::dev()).unwrap();
    let client = Client::builder(server.url()).token("dev:alice").build().unwrap();
    client.connect().await.unwrap();
    let connected = end_of_connection(|own| own != server.address(), |other| other == server.address());
    assert_eq!(connected.tcp_user_timeout().unwrap(), Some(std::time::Duration::from_secs(60)));
    assert!(connected.keepalive().unwrap() && connected.tcp_nodelay().unwrap());
    assert_eq!(connected.tcp_keepalive_time().unwrap(), std::time::Duration::from_secs(310));
    client.close().await;
}

/// Returns a copy of this process's own end of a connection, found by the addresses of both ends.
#[cfg(target_os = "linux")]
fn end_of_connection(own: impl Fn(SocketAddr) -> bool, other: impl Fn(SocketAddr) -> bool) -> socket2::Socket {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let copies = numbers.filter_map(|fd: i32| pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok());
    let is_it = |socket: &socket2::Socket| {
        let address = |address: std::io::Result<socket2::SockAddr>| address.ok().and_then(|it| it.as_socket());
        address(socket.local_addr()).is_some_and(&own) && address(socket.peer_addr()).is_some_and(&other)
    };
    copies.map(socket2::Socket::from).find(is_it).unwrap()
}
