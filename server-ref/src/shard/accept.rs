use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{Connection, ECHO, Handle, MAX_HANDSHAKES, socket};
use crate::node::{ConnId, Pressure};
use crate::ws::{self, MAX_HEAD, Refusal, Upgrade};

/// A request's head must be whole within this time.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Pause after an accept that failed (no file descriptors, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes clients in until it is aborted.
pub(super) async fn accept(handle: Handle, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if handle.shard.borrow().handshakes >= MAX_HANDSHAKES {
                    continue;
                }
                handle.shard.borrow_mut().handshakes += 1;
                tokio::task::spawn_local(greet(handle.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(handle: Handle, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let read = tokio::time::timeout(HEAD_WITHIN, read_head(&stream)).await;
    handle.shard.borrow_mut().handshakes -= 1;
    let answer = match read {
        Ok(Some((Ok(upgrade), rest))) => match admit(&handle, &upgrade) {
            Ok(()) => {
                if stream.write_all(upgrade.response.as_bytes()).await.is_ok() {
                    open(&handle, stream, &upgrade, &rest);
                }
                return;
            }
            Err(refusal) => refusal,
        },
        Ok(Some((Err(refusal), _))) => plain(&handle, refusal),
        // Too slow, or gone: there is nobody to talk to.
        Ok(None) | Err(_) => return,
    };
    let _ = stream.write_all(answer.response().as_bytes()).await;
    let _ = stream.shutdown().await;
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
            Err(refusal) => return Some((Err(refusal), Vec::new())),
        }
    }
}

fn admit(handle: &Handle, upgrade: &Upgrade) -> Result<(), Refusal> {
    let refuse = |status, text: &str| Err(Refusal { status, text: text.into(), plain: None });
    let foreign = |origin: &String| !handle.origins.is_empty() && !handle.origins.contains(origin);
    if upgrade.origin.as_ref().is_some_and(foreign) {
        return refuse(403, "pages of this origin may not connect; add it to `origins` in the configuration");
    }
    if !handle.ready.load(Ordering::Relaxed) {
        return refuse(503, "the server is stopping");
    }
    Ok(())
}

/// Answers the few paths that are not a WebSocket.
fn plain(handle: &Handle, refusal: Refusal) -> Refusal {
    let ready = handle.ready.load(Ordering::Relaxed);
    let ok = |text: &str| Refusal { status: 200, text: text.into(), plain: None };
    match refusal.plain.as_deref() {
        Some("/healthz") => ok("ok"),
        Some("/readyz") if ready => ok("ready"),
        Some("/readyz") => Refusal { status: 503, text: "stopping".into(), plain: None },
        Some("/") => ok("This is a Moorline server. Connect a client to /ws, or with a name of an app to /ws/{app}."),
        _ => refusal,
    }
}

fn open(handle: &Handle, stream: TcpStream, upgrade: &Upgrade, rest: &[u8]) {
    let stream = Rc::new(stream);
    let wake = Rc::new(Notify::new());
    let mut conn = ConnId(0);
    let echoes = cfg!(feature = "echo") && upgrade.app.as_str() == ECHO;
    handle.with(|shard, now| {
        conn = ConnId(shard.next_conn);
        shard.next_conn = shard.next_conn.wrapping_add(1);
        let connection = Connection {
            stream: Rc::clone(&stream),
            codec: upgrade.codec,
            outbox: super::Outbox::default(),
            pressure: Pressure::Low,
            wake: Rc::clone(&wake),
            closing: false,
            echoes,
        };
        shard.conns.insert(conn, connection);
        if !echoes {
            shard.node.handle_opened(conn, upgrade.app.clone(), upgrade.codec, now);
        }
    });
    tokio::task::spawn_local(socket::read_on(handle.clone(), conn, stream, wake, upgrade.codec, rest.to_vec()));
}
