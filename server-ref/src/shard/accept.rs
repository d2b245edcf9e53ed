use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::door::{Door, DoorConfig, Seat};
use super::goodbye::linger;
use super::rate::Stranger;
use super::{Connection, ECHO, Handle, MAX_HANDSHAKES, socket, tcp};
use crate::http::{self, Handed};
use crate::net::{self, NoTls, ProxyFailure, Stream};
use crate::node::{CalloutKind, ConnId, Facts, Pressure};
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

/// Makes a WebSocket of a connection, or says why not. The slot is free when that is done: who is sent away has its seat
/// alone while it takes its leave.
async fn greet(handle: Handle, slot: Slot, seat: Seat, mut tcp: TcpStream, peer: IpAddr) {
    if let Err(error) = tcp::tune(&tcp, handle.door.config.unconfirmed) {
        tracing::debug!(%error, "an option of a socket could not be set");
    }
    let Some(from) = source(&handle, &mut tcp, peer).await else { return };
    let met = handle.door.meet(from);
    // Where TLS has to come first, telling somebody to go takes as much as taking them in.
    if met.is_err() && handle.door.config.tls.is_some() {
        return;
    }
    let Some(stream) = secure(&handle, tcp, from).await else { return };
    let refusal = match met {
        Ok(stranger) => match tokio::time::timeout(handle.door.config.head_within, read_head(&stream)).await {
            Ok(Some((Ok(upgrade), mut head))) => match let_in(&handle, &upgrade, &head, (stranger, from)) {
                Ok((stranger, client)) => {
                    if stream.write_all(upgrade.response.as_bytes()).await.is_ok() {
                        let rest = head.split_off(upgrade.head);
                        open(&handle, (seat, stranger, client), stream, &upgrade, rest);
                    }
                    return;
                }
                Err(refusal) => refusal,
            },
            Ok(Some((Err(_), read))) if is_for_http(&handle, &read) => {
                return hand_over(&handle, stream, (seat, from), read).await;
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
    drop(slot);
    // A response fits into the socket's buffer, so this does not wait.
    if stream.write_all(refusal.response().as_bytes()).await.is_ok() {
        linger(&handle, &stream, || true, &Notify::new()).await;
    }
}

/// Returns where a connection comes from: its peer, or what the peer says in a header of the PROXY protocol. `None` if
/// there has to be such a header, and there is none, or not from somebody who is believed.
async fn source(handle: &Handle, tcp: &mut TcpStream, peer: IpAddr) -> Option<IpAddr> {
    let config = &handle.door.config;
    if !config.proxy_protocol {
        return Some(peer);
    }
    if !config.proxies.trust(peer) {
        handle.door.complain_of_peer(peer, "it is not one of `server.proxies`");
        return None;
    }
    match tokio::time::timeout(config.head_within, net::take_header(tcp)).await {
        Ok(Ok(source)) => Some(source.map_or(peer, |source| source.ip())),
        Ok(Err(ProxyFailure::Bad(error))) => {
            handle.door.complain_of_peer(peer, &error.to_string());
            None
        }
        // Health checks of load balancers connect, and say nothing.
        Ok(Err(ProxyFailure::Gone(_))) | Err(_) => None,
    }
}

/// Has a client shake hands, where clients have to.
async fn secure(handle: &Handle, tcp: TcpStream, from: IpAddr) -> Option<Stream> {
    let config = &handle.door.config;
    let Some(tls) = &config.tls else { return Some(Stream::plain(tcp)) };
    match tokio::time::timeout(config.head_within, Stream::accept(tcp, tls.config())).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(NoTls::Plain(tcp))) => {
            let stream = Stream::plain(tcp);
            let refusal = Refusal::new(400, "this port speaks TLS: connect with wss:// or https://");
            if stream.write_all(refusal.response().as_bytes()).await.is_ok() {
                linger(handle, &stream, || true, &Notify::new()).await;
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, address = %from, "a TLS handshake failed"),
        Err(_) => tracing::debug!(address = %from, "a TLS handshake took too long"),
    }
    None
}

/// Says whether a request may become a WebSocket, and whose it is: a proxy tells in its head.
fn let_in(
    handle: &Handle,
    upgrade: &Upgrade,
    head: &[u8],
    (stranger, from): (Option<Stranger>, IpAddr),
) -> Result<(Option<Stranger>, IpAddr), Refusal> {
    let DoorConfig { proxies, forwarded, .. } = &handle.door.config;
    let mut client = from;
    if let Some(name) = forwarded.name().filter(|_| proxies.trust(from)) {
        let lines = ws::header_lines(head, name);
        client = net::client(proxies, *forwarded, from, lines.iter().map(String::as_str));
    }
    let stranger = if client == from { stranger } else { handle.door.meet(client)? };
    handle.door.admit(upgrade)?;
    Ok((stranger, client))
}

/// Sends the page. It does not fit into the socket's buffer, so who does not take it is given up.
async fn show(handle: &Handle, stream: Stream, page: &[u8]) {
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

/// What a head asks for, and all that was read.
type Head = (Result<Upgrade, Refusal>, Vec<u8>);

async fn read_head(stream: &Stream) -> Option<Head> {
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
            Ok(Some(upgrade)) => return Some((Ok(upgrade), head)),
            Err(refusal) => return Some((Err(refusal), head)),
        }
    }
}

/// Tells whether a request is for the HTTP API, and the API has no listener of its own.
fn is_for_http(handle: &Handle, read: &[u8]) -> bool {
    handle.door.http().is_some() && ws::path(read).is_some_and(http::has_path)
}

/// Lets the HTTP API go on with a connection. Where it has no room, nobody is told: telling takes room.
async fn hand_over(handle: &Handle, stream: Stream, (seat, from): (Seat, IpAddr), read: Vec<u8>) {
    if let (Some(http), Ok(stream)) = (handle.door.http(), stream.detach()) {
        // Its thread takes them at once, or is gone.
        let _ = http.send(Handed { stream, read: read.into(), from, seat: Box::new(seat) }).await;
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
    (seat, stranger, client): (Seat, Option<Stranger>, IpAddr),
    stream: Stream,
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
            session: None,
            from: client,
            echoes,
        };
        shard.conns.insert(conn, connection);
        if !echoes {
            shard.node.handle_opened(conn, upgrade.app.clone(), upgrade.codec, now);
            if let Some(terms) = shard.node.callouts().of(&upgrade.app, CalloutKind::Connect, None) {
                let headers = shard.callouts.headers(terms.id, &upgrade.headers).cloned().collect();
                shard.node.handle_facts(conn, Facts { address: Some(client.to_string()), headers });
            }
        }
    });
    tracing::debug!(conn = %handle.name_of(conn), app = upgrade.app.as_str(), address = %client, "a WebSocket was opened");
    tokio::task::spawn_local(socket::read_on(handle.clone(), seat, conn, stream, wake, upgrade.codec, rest));
}
