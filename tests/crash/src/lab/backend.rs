//! The backend that clients' calls go to. It behaves as the method says:
//!
//! | Method | Answer |
//! |--|--|
//! | `who` | `"USER ID"`, of the call |
//! | `times` | how often the call whose id it carries was asked |
//! | `refuse` | 409, `sold_out`, `none left` |
//! | `fail`, `full` | 500, 503 |
//! | `hang` | none |
//! | others | what the call carries |

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// How often each call was asked, by its id.
type Asked = Arc<Mutex<HashMap<String, u32>>>;

/// Serves HTTP until it is dropped.
#[derive(Debug)]
pub(super) struct Backend {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Backend {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut requests, asked) = (JoinSet::new(), Asked::default());
            while let Ok((stream, _)) = listener.accept().await {
                // How a request ended is the server's to say.
                let asked = Arc::clone(&asked);
                requests.spawn(async move { serve(stream, &asked).await.unwrap_or_default() });
            }
        });
        Ok(Self { address, _tasks: tasks })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/calls", self.address)
    }
}

async fn serve(mut stream: TcpStream, asked: &Asked) -> io::Result<()> {
    let Some(call) = read(&mut stream).await? else { return Ok(()) };
    let carried = |kind: &&str| Some(((*kind).to_owned(), call.get(*kind)?.clone()));
    let word = |key: &str| call.get(key).and_then(Value::as_str).unwrap_or_default();
    *asked.lock().await.entry(word("id").to_owned()).or_default() += 1;
    let times = asked.lock().await.get(word("text")).copied().unwrap_or(0);
    let (status, body) = match word("method") {
        "who" => ("200 OK", json!({"data": format!("{} {}", word("user"), word("id"))})),
        "times" => ("200 OK", json!({"data": times})),
        "refuse" => ("409 Conflict", json!({"code": "sold_out", "message": "none left"})),
        "fail" => ("500 Internal Server Error", json!({})),
        "full" => ("503 Service Unavailable", json!({})),
        // Until the server has had enough.
        "hang" => return stream.read(&mut [0; 64]).await.map(drop),
        _ => ("200 OK", Value::Object(["data", "text", "bin"].iter().filter_map(carried).collect())),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await
}

/// Reads a request's body; `None` if the connection ends before.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Value>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lengths = head.lines().filter_map(|line| line.split_once(':'));
            let mut length = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Ok(serde_json::from_str(body).ok());
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
