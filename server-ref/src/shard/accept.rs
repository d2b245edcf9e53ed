use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::door::{Door, Seat};
use super::goodbye::linger;
use super::rate::Stranger;
use super::{Connection, ECHO, Handle, MAX_HANDSHAKES, socket, tcp};
use crate::http::{self, Handed};
use crate::node::{ConnId, Facts, Pressure};
use crate::page;
use crate::ws::{self, MAX_HEAD, Refusal, Upgrade};

/// Pause after an accept that failed (no file descriptors, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes clients in until it is aborted.
pub(super) async fn accept(handle: Handle, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if let Some(seat) =
                    Door::seat(&handle.door).filter(|_| handle.shard.borrow().handshakes < MAX_HANDSHAKES)
                {
                    tokio::task::spawn_local(greet(handle.clone(), Slot::take(&handle), seat, stream, from.ip()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Makes a WebSocket of a connection, or says why not. The slot is free when that is done.
async fn greet(handle: Handle, _slot: Slot, seat: Seat, mut stream: TcpStream, from: IpAddr) {
    if let Err(error) = tcp::tune(&stream, handle.door.config.unconfirmed) {
        tracing::debug!(%error, "an option of a socket could not be set");
    }
    let refusal = match handle.door.meet(from) {
        Ok(stranger) => match tokio::time::timeout(handle.door.config.head_within, read_head(&stream)).await {
            Ok(Some((Ok(upgrade), rest))) => match handle.door.admit(&upgrade) {
                Ok(()) => {
                    if stream.write_all(upgrade.response.as_bytes()).await.is_ok() {
                        open(&handle, (seat, stranger), (stream, from), &upgrade, rest);
                    }
                    return;
                }
                Err(refusal) => refusal,
            },
            Ok(Some((Err(_), read))) if is_for_http(&handle, &read) => {
                return hand_over(&handle, stream, seat, read).await;
            }
            Ok(Some((Err(refusal), _))) => match page_for(&handle, &refusal) {
                Some(page) => return show(&handle, stream, &page).await,
                None => plain(&handle, refusal),
            },
            // Gone: there is nobody to talk to.
            Ok(None) => return,
            Err(_) => Refusal::new(408, "the request's head took too long"),
        },
        // Its head is not waited for: that is what it would take its time with.
        Err(refusal) => refusal,
    };
    // A response fits into the socket's buffer, so this does not wait.
    if stream.write_all(refusal.response().as_bytes()).await.is_ok() {
        linger(&handle, &stream, || true, &Notify::new()).await;
    }
}

/// Sends the page. It does not fit into the socket's buffer, so who does not take it is given up.
async fn show(handle: &Handle, mut stream: TcpStream, page: &[u8]) {
    if let Ok(Ok(())) = tokio::time::timeout(handle.door.config.head_within, stream.write_all(page)).await {
        linger(handle, &stream, || true, &Notify::new()).await;
    }
}

/// One of the places for connections that are no WebSocket yet.
struct Slot(Handle);

impl Slot {
    fn take(handle: &Handle) -> Self {
        handle.shard.borrow_mut().handshakes += 1;
        Self(handle.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.shard.borrow_mut().handshakes -= 1;
    }
}

type Head = (Result<Upgrade, Refusal>, Vec<u8>);

async fn read_head(stream: &TcpStream) -> Option<Head> {
    let mut head = Vec::with_capacity(1024);
    loop {
        stream.readable().await.ok()?;
        match stream.try_read_buf(&mut head) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        match ws::upgrade(&head) {
            Ok(None) if head.len() < MAX_HEAD => {}
            Ok(None) => return None,
            Ok(Some(upgrade)) => {
                let rest = head.split_off(upgrade.head);
                return Some((Ok(upgrade), rest));
            }
            Err(refusal) => return Some((Err(refusal), head)),
        }
    }
}

/// Tells whether a request is for the HTTP API, and the API has no listener of its own.
fn is_for_http(handle: &Handle, read: &[u8]) -> bool {
    handle.door.http().is_some() && ws::path(read).is_some_and(http::has_path)
}

/// Lets the HTTP API go on with a connection. Where it has no room, nobody is told: telling takes room.
async fn hand_over(handle: &Handle, stream: TcpStream, seat: Seat, read: Vec<u8>) {
    if let (Some(http), Ok(stream)) = (handle.door.http(), stream.into_std()) {
        // Its thread takes them at once, or is gone.
        let _ = http.send(Handed { stream, read: read.into(), seat: Box::new(seat) }).await;
    }
}

/// The page that a server in development mode has, if it is asked for.
fn page_for(handle: &Handle, refusal: &Refusal) -> Option<Vec<u8>> {
    refusal.plain.as_ref().filter(|_| handle.door.config.page).and_then(page::answer)
}

/// Answers the few paths that are not a WebSocket.
fn plain(handle: &Handle, refusal: Refusal) -> Refusal {
    let ready = handle.door.is_open();
    let ok = |text: &str| Refusal::new(200, text);
    match refusal.plain.as_ref().filter(|plain| !plain.is_head).map(|plain| plain.path.as_str()) {
        Some("/healthz") => ok("ok"),
        Some("/readyz") if ready => ok(http::readiness(&handle.door.config.disk)),
        Some("/readyz") => Refusal::new(503, "stopping"),
        Some("/") => ok("This is a Moorline server. Connect a client to /ws, or with a name of an app to /ws/{app}."),
        _ => refusal,
    }
}

fn open(
    handle: &Handle,
    (seat, stranger): (Seat, Option<Stranger>),
    (stream, from): (TcpStream, IpAddr),
    upgrade: &Upgrade,
    rest: Vec<u8>,
) {
    let stream = Rc::new(stream);
    let wake = Rc::new(Notify::new());
    let mut conn = ConnId(0);
    let echoes = cfg!(feature = "echo") && upgrade.app.as_str() == ECHO;
    handle.with(|shard, now| {
        conn = shard.new_conn();
        let connection = Connection {
            stream: Rc::clone(&stream),
            codec: upgrade.codec,
            outbox: super::Outbox::default(),
            pressure: Pressure::Low,
            wake: Rc::clone(&wake),
            closing: false,
            stranger,
            echoes,
        };
        shard.conns.insert(conn, connection);
        if !echoes {
            shard.node.handle_opened(conn, upgrade.app.clone(), upgrade.codec, now);
            if let Some(desk) = &shard.desk {
                let headers = desk.headers(&upgrade.app, &upgrade.headers).cloned().collect();
                shard.node.handle_facts(conn, Facts { address: Some(from.to_string()), headers });
            }
        }
    });
    tokio::task::spawn_local(socket::read_on(handle.clone(), seat, conn, stream, wake, upgrade.codec, rest));
}
