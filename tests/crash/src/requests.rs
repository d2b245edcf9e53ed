//! Backends that publish by HTTP over a network that fails, to a server that is killed: each request is sent until it is
//! answered, and once more. Whatever was lost on the way, each stands in the log once, where its answers say.
#![expect(clippy::indexing_slicing, reason = "JSON that is indexed by a name gives null, never a panic")]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::proxy::{Cut, Heal, Proxy, Weather};
use crate::run::RunError;
use crate::server::{Program, free_address};

/// Backends at the same time.
const BACKENDS: u64 = 32;
const CHANNELS: u64 = 16;
/// An answer that takes longer is not waited for: the request is sent again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two faults of the network, at most.
const FAULT: Duration = Duration::from_millis(120);
/// Faults between two kills of the server.
const KILL_EVERY: u64 = 25;
/// How long all of it may take: generous, so that a slow machine is no failure.
const LIMIT: Duration = Duration::from_secs(600);

/// What is run.
#[derive(Clone, Debug)]
pub struct Requests {
    /// The server's binary.
    pub server: PathBuf,
    /// How many requests.
    pub requests: u64,
    /// Chooses the moments.
    pub seed: u64,
}

/// How it ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// Times that a request was sent.
    pub sent: u64,
    /// Answers that never came.
    pub lost: u64,
    /// Requests whose first answer said that an earlier try was stored, unseen.
    pub unseen: u64,
    /// SIGKILLs of the server.
    pub kills: u64,
    /// What must not be.
    pub faults: Vec<String>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    lost: AtomicU64,
    unseen: AtomicU64,
    done: AtomicU64,
}

/// Where a message stands, as an answer says.
type Place = (String, u64);

impl Requests {
    /// Runs it. `tell` gets a line for people now and then.
    ///
    /// # Errors
    /// [`RunError`] when the run could not be carried to its end.
    pub async fn run(&self, mut tell: impl FnMut(String)) -> Result<Ending, RunError> {
        let disk = self.server.parent().filter(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."));
        let folder = tempfile::Builder::new().prefix("requests-").tempdir_in(disk)?;
        let program = Program::new(&self.server, free_address()?, folder.path());
        let mut server = program.start().await?;
        let proxy = Proxy::start(program.address()).await?;
        let counts = Arc::new(Counts::default());
        let mut backends = JoinSet::new();
        for backend in 0..BACKENDS {
            let numbers = (backend..self.requests).step_by(BACKENDS as usize).collect();
            backends.spawn(publish_all(proxy.address(), numbers, Arc::clone(&counts)));
        }
        let mut dice = Dice::new(self.seed);
        let (mut places, mut ending) = (BTreeMap::new(), Ending::default());
        let limit = tokio::time::Instant::now() + LIMIT;
        let mut faults: u64 = 0;
        loop {
            tokio::select! {
                joined = backends.join_next() => match joined {
                    Some(Ok(Ok(answered))) => places.extend(answered),
                    Some(Ok(Err(fault))) => ending.faults.push(fault),
                    Some(Err(error)) => ending.faults.push(error.to_string()),
                    None => break,
                },
                () = tokio::time::sleep(dice.span(FAULT)) => {
                    faults += 1;
                    strike(&proxy, &mut dice).await;
                    if faults.is_multiple_of(KILL_EVERY) {
                        server.kill().await?;
                        server = program.start().await?;
                        ending.kills += 1;
                        tell(format!("{} of {} requests", counts.done.load(Ordering::Relaxed), self.requests));
                    }
                }
                () = tokio::time::sleep_until(limit) => {
                    ending.faults.push(format!("not answered in {} s", LIMIT.as_secs()));
                    break;
                }
            }
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (ending.sent, ending.lost, ending.unseen) = (count(&counts.sent), count(&counts.lost), count(&counts.unseen));
        compare(&places, &stored(program.address()).await?, self.requests, &mut ending.faults);
        server.stop().await?;
        Ok(ending)
    }
}

/// Lets the network fail in one of its ways.
async fn strike(proxy: &Proxy, dice: &mut Dice) {
    match dice.below(4) {
        0 => proxy.cut(Cut::Reset),
        1 => proxy.cut(Cut::Finish),
        way => {
            proxy.set(Weather::BlackHole);
            tokio::time::sleep(dice.span(FAULT)).await;
            proxy.heal(if way == 2 { Heal::Flush } else { Heal::Drop });
        }
    }
}

/// Publishes messages in turn; returns where they stand.
async fn publish_all(to: SocketAddr, numbers: Vec<u64>, counts: Arc<Counts>) -> Result<BTreeMap<u64, Place>, String> {
    let (mut places, mut stream) = (BTreeMap::new(), None);
    for number in numbers {
        let first = answered(to, &mut stream, number, &counts).await?;
        counts.unseen.fetch_add(u64::from(first["duplicate"] == true), Ordering::Relaxed);
        let again = answered(to, &mut stream, number, &counts).await?;
        if again["duplicate"] != true || again["offset"] != first["offset"] || again["epoch"] != first["epoch"] {
            return Err(format!("request {number}: first {first}, then {again}"));
        }
        let place =
            (first["epoch"].as_str().unwrap_or_default().to_owned(), first["offset"].as_u64().unwrap_or_default());
        places.insert(number, place);
        counts.done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(places)
}

/// Sends a request until it is answered.
async fn answered(
    to: SocketAddr,
    stream: &mut Option<TcpStream>,
    number: u64,
    counts: &Counts,
) -> Result<Value, String> {
    let body = json!({"channel": channel(number % CHANNELS), "data": {"order": number}}).to_string();
    loop {
        counts.sent.fetch_add(1, Ordering::Relaxed);
        let key = format!("Idempotency-Key: order-{number}\r\n");
        match tokio::time::timeout(PATIENCE, exchange(to, stream, "POST", "messages", &key, &body)).await {
            Ok(Ok((200, answer))) => return Ok(answer),
            // The server is on its way out, or its log.
            Ok(Ok((503, _))) => {}
            Ok(Ok((status, answer))) => return Err(format!("request {number}: {status} {answer}")),
            Ok(Err(_)) | Err(_) => {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                *stream = None;
            }
        }
    }
}

fn channel(number: u64) -> String {
    format!("orders:{number}")
}

/// Sends a request on the connection that there is, or a new one.
async fn exchange(
    to: SocketAddr,
    stream: &mut Option<TcpStream>,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<(u16, Value)> {
    let mut connection = match stream.take() {
        Some(connection) => connection,
        None => TcpStream::connect(to).await?,
    };
    let request = format!(
        "{method} /v1/apps/default/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let (status, answer) = read(&mut connection).await?;
    *stream = Some(connection);
    Ok((status, answer))
}

/// Reads an answer with a `Content-Length`.
async fn read(from: &mut TcpStream) -> io::Result<(u16, Value)> {
    let mut bytes = Vec::new();
    loop {
        if from.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let (head, body) = bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return Ok((status.unwrap_or_default(), serde_json::from_slice(body)?));
        }
    }
}

/// Reads every channel to its end: each message's number, and where it stands.
async fn stored(at: SocketAddr) -> io::Result<Vec<(u64, Place)>> {
    let (mut all, mut stream) = (Vec::new(), None);
    for number in 0..CHANNELS {
        let mut after = 0;
        loop {
            let path = format!("channels/{}/messages?limit=256&after={after}", channel(number));
            let (_, page) = exchange(at, &mut stream, "GET", &path, "", "").await?;
            for message in page["messages"].as_array().into_iter().flatten() {
                after = message["offset"].as_u64().unwrap_or_default();
                let epoch = page["epoch"].as_str().unwrap_or_default().to_owned();
                all.push((message["data"]["order"].as_u64().unwrap_or(u64::MAX), (epoch, after)));
            }
            if page["more"] != true {
                break;
            }
        }
    }
    Ok(all)
}

/// Names what stands in the log and was not answered so, and the other way round.
fn compare(places: &BTreeMap<u64, Place>, stored: &[(u64, Place)], requests: u64, faults: &mut Vec<String>) {
    let mut found: BTreeMap<u64, &Place> = BTreeMap::new();
    for (number, place) in stored {
        if let Some(other) = found.insert(*number, place) {
            faults.push(format!("request {number} is stored at {other:?} and at {place:?}"));
        }
    }
    for number in 0..requests {
        match (places.get(&number), found.get(&number)) {
            (Some(answered), Some(stands)) if answered == *stands => {}
            (answered, stands) => faults.push(format!("request {number} was answered {answered:?} and is {stands:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_or_elsewhere_is_named() {
        let at = |offset| ("e.1".to_owned(), offset);
        let places = BTreeMap::from([(0, at(1)), (1, at(2)), (2, at(3))]);
        let faults = |stored: &[(u64, Place)], requests| {
            let mut faults = Vec::new();
            compare(&places, stored, requests, &mut faults);
            faults.len()
        };
        assert_eq!(faults(&[(0, at(1)), (1, at(2)), (2, at(3))], 3), 0);
        assert_eq!(faults(&[(0, at(1)), (1, at(2))], 3), 1);
        assert_eq!(faults(&[(0, at(1)), (1, at(2)), (2, at(4))], 3), 1);
        assert_eq!(faults(&[(0, at(1)), (1, at(2)), (2, at(3)), (0, at(1))], 3), 1);
        assert_eq!(faults(&[(0, at(1)), (1, at(2)), (2, at(3))], 4), 1);
    }
}
