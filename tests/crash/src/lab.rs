//! The real server and fault proxies in front of it, for the tests of bindings in other languages.
//!
//! A test connects to the address that [`Lab::run`] tells, writes one command per line and gets one line for each:
//!
//! | Command | Answer |
//! |--|--|
//! | `server` | the server's URL |
//! | `calls` | the server's URL for an app whose calls go to a backend: see `backend` |
//! | `proxy` | the URL of a proxy in front of it, in fair weather; it lives as long as this connection, and one more takes its place |
//! | `cut` | `done`: the proxy resets every connection; new ones are welcome |
//! | `black-hole` | `done`: nothing passes any more, and nobody is told |
//! | `refuse` | `done`: as `cut`, and new connections are reset |
//! | `delay MS` | `done`: everything arrives so much later |
//! | `heal` | `done`: fair weather; what a black hole held arrives |
//! | `traffic` | bytes that the server sent, bytes that clients sent, connections: three numbers |
//! | `kill`, `start` | `done`: the server is killed, and started again on its data |
//! | `token USER SECONDS MATCH` | a token with every permission on channels and methods that match (`*`: all) |
//! | `token USER SECONDS MATCH APP` | the same for another app than `default`, such as `calls` |
//!
//! Anything else is answered with `error: ` and why.

mod backend;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use self::backend::Backend;
use crate::proxy::{Cut, Heal, Proxy, Weather};
use crate::run::RunError;
use crate::server::{Program, Server, free_address};

/// Signs the tokens.
const SECRET: &str = "a-secret-of-the-tests-32-bytes-long";

/// Short spans, so that tests see within seconds what takes half a minute otherwise.
const CONFIG: &str = r#"
[server]
durability = "process"
[limits]
ping = "5s"
publish_rate = 0
[[apps]]
name = "default"
anonymous = true
[[apps.keys]]
alg = "HS256"
secret = "a-secret-of-the-tests-32-bytes-long"
[[apps]]
name = "calls"
anonymous = true
[[apps.keys]]
alg = "HS256"
secret = "a-secret-of-the-tests-32-bytes-long"
[[callouts]]
name = "calls"
app = "calls"
url = "BACKEND"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
asks = ["call"]
allow_private = true
"#;

/// What is run.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The server's binary.
    pub server: PathBuf,
}

/// The server, shared by all tests.
#[derive(Debug)]
struct Bench {
    program: Program,
    running: Mutex<Option<Server>>,
}

impl Lab {
    /// Starts the server, tells where commands are taken, and serves them until stdin ends.
    ///
    /// # Errors
    /// As [`RunError`], when the server does not start.
    pub async fn run(&self, tell: impl FnOnce(SocketAddr)) -> Result<(), RunError> {
        let folder = tempfile::tempdir()?;
        let backend = Backend::start().await?;
        let program = Program::new(&self.server, free_address()?, folder.path());
        let program = program.configured(&CONFIG.replace("BACKEND", &backend.url()))?;
        let running = Mutex::new(Some(program.start().await?));
        let bench = Arc::new(Bench { program, running });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        tell(listener.local_addr()?);
        let (mut input, mut ignored) = (tokio::io::stdin(), Vec::new());
        tokio::select! {
            accepted = accept(listener, Arc::clone(&bench)) => accepted?,
            ended = input.read_to_end(&mut ignored) => drop(ended?),
        }
        bench.kill().await
    }
}

async fn accept(listener: TcpListener, bench: Arc<Bench>) -> Result<(), RunError> {
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let bench = Arc::clone(&bench);
                let (stream, _) = accepted?;
                guests.spawn(async move { serve(stream, &bench).await });
            }
            // How a test ended is the test's to say.
            Some(_) = guests.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, bench: &Bench) -> Result<(), RunError> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut proxy = None;
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = bench.answer(&words, &mut proxy).await.unwrap_or_else(|error| format!("error: {error}"));
        write.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

impl Bench {
    async fn answer(&self, words: &[&str], proxy: &mut Option<Proxy>) -> Result<String, RunError> {
        match words {
            ["calls"] => return Ok(url(self.program.address()) + "/calls"),
            ["server"] => return Ok(url(self.program.address())),
            ["proxy"] => return Ok(url(proxy.insert(Proxy::start(self.program.address()).await?).address())),
            ["token", user, seconds, pattern] => return token(user, seconds, pattern, "default"),
            ["token", user, seconds, pattern, app] => return token(user, seconds, pattern, app),
            ["kill"] => self.kill().await?,
            ["start"] => *self.running.lock().await = Some(self.program.start().await?),
            [command, arguments @ ..] => {
                let proxy = proxy.as_ref().ok_or_else(|| refusal("`proxy` comes first"))?;
                if let Some(answer) = steer(proxy, command, arguments)? {
                    return Ok(answer);
                }
            }
            [] => return Err(refusal("a command, please")),
        }
        Ok("done".to_owned())
    }

    async fn kill(&self) -> Result<(), RunError> {
        let Some(server) = self.running.lock().await.take() else { return Ok(()) };
        Ok(server.kill().await?)
    }
}

fn steer(proxy: &Proxy, command: &str, arguments: &[&str]) -> Result<Option<String>, RunError> {
    match (command, arguments) {
        ("cut", []) => proxy.cut(Cut::Reset),
        ("black-hole", []) => proxy.set(Weather::BlackHole),
        ("heal", []) => proxy.heal(Heal::Flush),
        ("refuse", []) => {
            proxy.set(Weather::Refuse);
            proxy.cut(Cut::Reset);
        }
        ("delay", [ms]) => {
            let ms = ms.parse().map_err(|_| refusal("`delay` takes milliseconds"))?;
            proxy.set(Weather::Latency(Duration::from_millis(ms)));
        }
        ("traffic", []) => {
            let traffic = proxy.traffic();
            return Ok(Some(format!("{} {} {}", traffic.downstream, traffic.upstream, traffic.connections)));
        }
        _ => return Err(refusal(&format!("the lab knows no `{command}`"))),
    }
    Ok(None)
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/ws")
}

fn token(user: &str, seconds: &str, pattern: &str, app: &str) -> Result<String, RunError> {
    let seconds: u64 = seconds.parse().map_err(|_| refusal("a token lasts for seconds"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let body = serde_json::json!({
        "sub": user, "aud": app, "iat": now, "exp": now + seconds,
        "grants": [{"match": pattern, "can": ["subscribe", "publish", "history", "presence", "call"]}],
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &body, &key).map_err(|error| refusal(&error.to_string()))
}

fn refusal(text: &str) -> RunError {
    std::io::Error::other(text.to_owned()).into()
}
