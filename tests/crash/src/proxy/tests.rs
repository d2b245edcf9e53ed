use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server that sends back what it gets, and says when a connection has ended.
async fn echo() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, ends) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let ended = ended.clone();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = ended.send(tokio::io::copy(&mut from, &mut to).await.map(drop));
            });
        }
    });
    (address, ends)
}

async fn exchange(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    receive(stream, text.len()).await
}

async fn receive(stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn fair_weather_carries_bytes_and_closes() {
    let (server, mut ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(exchange(&mut stream, b"hello").await.unwrap(), b"hello");
    assert_eq!(proxy.traffic(), Traffic { connections: 1, upstream: 5, downstream: 5 });
    stream.shutdown().await.unwrap();
    assert!(ends.recv().await.unwrap().is_ok());
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_reset_reaches_both_ends_and_new_connections_pass() {
    let (server, mut ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, b"hello").await.unwrap();
    proxy.cut(Cut::Reset);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(ends.recv().await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(exchange(&mut stream, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_polite_cut_is_an_end_of_file() {
    let (server, mut ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, b"hello").await.unwrap();
    proxy.cut(Cut::Finish);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(ends.recv().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_black_hole_takes_bytes_and_flushes_them_when_healed() {
    let (server, _ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, b"hello").await.unwrap();
    proxy.set(Weather::BlackHole);
    stream.write_all(b"lost?").await.unwrap();
    // A connection opened now is taken, and works as soon as the weather allows.
    let mut late = TcpStream::connect(proxy.address()).await.unwrap();
    late.write_all(b"late").await.unwrap();
    assert_eq!(proxy.traffic().upstream, 5);
    proxy.heal(Heal::Flush);
    assert_eq!(receive(&mut stream, 5).await.unwrap(), b"lost?");
    assert_eq!(receive(&mut late, 4).await.unwrap(), b"late");
}

#[tokio::test]
async fn a_black_hole_hides_the_death_of_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"a").await.unwrap();
    assert_eq!(receive(&mut stream, 1).await.unwrap(), b"a");
    proxy.set(Weather::BlackHole);
    server.write_all(b"b").await.unwrap();
    drop(server);
    let mut byte = [0; 1];
    tokio::select! {
        biased;
        read = stream.read(&mut byte) => panic!("heard {read:?}"),
        () = tokio::task::yield_now() => {}
    }
    proxy.heal(Heal::Flush);
    assert_eq!(receive(&mut stream, 1).await.unwrap(), b"b");
    assert_eq!(stream.read(&mut byte).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_dropped_never_arrives() {
    let (server, mut ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, b"hello").await.unwrap();
    proxy.set(Weather::BlackHole);
    stream.write_all(b"lost").await.unwrap();
    proxy.heal(Heal::Drop);
    assert!(stream.read(&mut [0; 1]).await.is_err());
    assert!(ends.recv().await.unwrap().is_err());
    assert_eq!(proxy.traffic().upstream, 5);
}

#[tokio::test]
async fn refused_connections_are_reset_and_open_ones_stay() {
    let (server, _ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut open, b"hello").await.unwrap();
    proxy.set(Weather::Refuse);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(refused.read(&mut [0; 1]).await.is_err());
    assert_eq!(exchange(&mut open, b"still").await.unwrap(), b"still");
}

#[tokio::test(start_paused = true)]
async fn latency_and_slowness_cost_time_and_keep_order() {
    let (server, _ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, b"hello").await.unwrap();
    let begin = tokio::time::Instant::now();
    proxy.set(Weather::Latency(Duration::from_millis(300)));
    assert_eq!(exchange(&mut stream, b"later").await.unwrap(), b"later");
    assert!(begin.elapsed() >= Duration::from_millis(600));
    let begin = tokio::time::Instant::now();
    proxy.set(Weather::Slow(1_000));
    assert_eq!(exchange(&mut stream, &[7; 500]).await.unwrap(), [7; 500]);
    assert!(begin.elapsed() >= Duration::from_millis(480));
}

#[tokio::test]
async fn connections_follow_a_new_server() {
    let (first, _ends) = echo().await;
    let (second, _other_ends) = echo().await;
    let proxy = Proxy::start(first).await.unwrap();
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut old, b"old").await.unwrap();
    proxy.retarget(second);
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(exchange(&mut new, b"new").await.unwrap(), b"new");
    assert_eq!(exchange(&mut old, b"old").await.unwrap(), b"old");
}

#[tokio::test]
async fn a_deaf_way_loses_nothing_of_the_other_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.set(Weather::Deaf(Direction::Upstream));
    client.write_all(b"unheard").await.unwrap();
    server.write_all(b"heard").await.unwrap();
    assert_eq!(receive(&mut client, 5).await.unwrap(), b"heard");
    assert_eq!(server.try_read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    proxy.heal(Heal::Flush);
    assert_eq!(receive(&mut server, 7).await.unwrap(), b"unheard");
}

#[tokio::test]
async fn a_lingering_cut_tells_the_server_at_once_and_the_client_later() {
    let (server, mut ends) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, b"hello").await.unwrap();
    proxy.cut(Cut::Linger(Duration::from_millis(200)));
    let begin = tokio::time::Instant::now();
    assert!(ends.recv().await.unwrap().is_ok());
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(begin.elapsed() >= Duration::from_millis(200));
}
