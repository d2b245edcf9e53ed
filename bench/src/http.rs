//! Durable publishes over the HTTP API: how many messages per second backends get stored, and how long an answer takes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use moorline_server::http::make;
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Result};
use crate::machine::{Pinned, Role, Stopwatch};
use crate::peer::disk;
use crate::progress;
use crate::server::Server;
use crate::table::{self, Column, quantile};

/// Durable publishes over the HTTP API, over connections that are kept, for several sizes of a request.
#[derive(Debug, clap::Args)]
pub(crate) struct Http {
    /// The server's binary.
    #[arg(long)]
    server: PathBuf,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections with many backends at a time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Messages of a list.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// API keys that share the requests of the last row, at most 250.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=250))]
    keys: u8,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Seconds that are measured, after one second of warming up.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

const COLUMNS: &[Column] = &[
    ("messages/s", 0),
    ("requests/s", 0),
    ("p50 ms", 2),
    ("p99 ms", 2),
    ("server µs/message", 1),
    ("server CPU %", 0),
    ("generator CPU %", 0),
];
const WARM: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
const READ: usize = 64 << 10;

/// What one row measures.
struct Load {
    name: String,
    connections: usize,
    batch: usize,
    keys: usize,
}

impl Http {
    pub(crate) fn run(&self) -> Result {
        let load = |name: String, connections, batch, keys| Load { name, connections, batch, keys };
        let (many, batch, keys) = (self.connections.max(1), self.batch.max(1), usize::from(self.keys));
        let loads = [
            load("1 connection, single".into(), 1, 1, 1),
            load(format!("{many} connections, single"), many, 1, 1),
            load(format!("1 connection, lists of {batch}"), 1, batch, 1),
            load(format!("{many} connections, lists of {batch}"), many, batch, 1),
            load(format!("{many} connections, single, {keys} keys"), many, 1, keys),
        ];
        let mut samples = vec![Vec::new(); loads.len()];
        for round in 1..=self.rounds {
            for (load, samples) in loads.iter().zip(&mut samples) {
                progress::say(&format!("http, round {round} of {}, {}", self.rounds, load.name));
                samples.push(self.measure(load)?);
            }
        }
        let rows: Vec<(&str, Vec<Vec<f64>>)> = loads.iter().map(|load| load.name.as_str()).zip(samples).collect();
        table::print(&format!("Publishing over HTTP, keep-alive, {} B", self.size), COLUMNS, &rows);
        Ok(())
    }

    fn measure(&self, load: &Load) -> Result<Vec<f64>> {
        let server = {
            let _core = Pinned::to(Role::Server)?;
            start(&self.server, load.keys)?
        };
        let _core = Pinned::to(Role::Generator)?;
        let connect = |n| Backend::connect(server.address(), &make(random(n % load.keys)).0, &self.body(load.batch));
        let mut backends = (0..load.connections).map(connect).collect::<Result<Vec<_>>>()?;
        drive(&mut backends, WARM)?;
        backends.iter_mut().for_each(|backend| backend.took.clear());
        let watch = Stopwatch::start(server.process())?;
        drive(&mut backends, Duration::from_secs(self.seconds))?;
        let spent = watch.stop()?;
        let mut took: Vec<u32> = backends.iter().flat_map(|backend| backend.took.iter().copied()).collect();
        took.sort_unstable();
        let (requests, seconds) = (took.len() as f64, spent.wall.as_secs_f64());
        let (messages, server) = (requests * load.batch as f64, spent.server.as_secs_f64());
        Ok(vec![
            messages / seconds,
            requests / seconds,
            quantile(&took, 0.5) / 1e3,
            quantile(&took, 0.99) / 1e3,
            server * 1e6 / messages.max(1.0),
            server * 100.0 / seconds,
            spent.generator.as_secs_f64() * 100.0 / seconds,
        ])
    }

    /// Returns the body of a request: messages for the channel `bench`, without ids, so that the server makes them.
    fn body(&self, batch: usize) -> String {
        let message = format!("{{\"channel\":\"bench\",\"text\":\"{}\"}}", "x".repeat(self.size));
        if batch == 1 { message } else { format!("[{}]", vec![message; batch].join(",")) }
    }
}

/// Starts a server whose one app has so many API keys, without a rate, and whose log is on disk.
fn start(program: &Path, keys: usize) -> Result<Server> {
    let mut config = "[limits]\napi_rate = 0\n[[apps]]\nname = \"default\"\nanonymous = true\n".to_owned();
    for n in 0..keys {
        let hash = make(random(n)).1;
        config.push_str(&format!("[[apps.api_keys]]\nname = \"key-{n}\"\nhash = \"{hash}\"\n"));
    }
    let mut written = Ok(());
    let server = Server::start(program, disk(program), |address, folder| {
        let (file, data) = (folder.join("moorline.toml"), folder.join("data"));
        written = std::fs::write(&file, config);
        let (address, data, file) = (address.to_string(), data.display().to_string(), file.display().to_string());
        ["--listen", &address, "--data", &data, "--config", &file].map(ToOwned::to_owned).to_vec()
    });
    written?;
    server
}

/// A backend with a connection and one request on its way.
struct Backend {
    stream: TcpStream,
    request: Vec<u8>,
    sent: Instant,
    answer: Vec<u8>,
    /// How long answers took, in µs.
    took: Vec<u32>,
}

impl Backend {
    fn connect(address: SocketAddr, key: &str, body: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST /v1/apps/default/messages HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        Ok(Self { stream, request, sent: Instant::now(), answer: Vec::new(), took: Vec::new() })
    }

    fn send(&mut self) -> Result {
        self.sent = Instant::now();
        Ok(self.stream.write_all(&self.request)?)
    }

    /// Reads what is there. Returns whether the answer is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let read = self.stream.read(buffer)?;
        if read == 0 {
            return Err(Error::Closed("Moorline"));
        }
        self.answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let Some(head) = memchr::memmem::find(&self.answer, b"\r\n\r\n") else { return Ok(false) };
        let text = String::from_utf8_lossy(self.answer.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        let (true, Some(length)) = (text.starts_with("http/1.1 200"), length) else {
            return Err(Error::Answer("Moorline", "publishing over HTTP"));
        };
        if self.answer.len() < head + 4 + length {
            return Ok(false);
        }
        self.took.push(u32::try_from(self.sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        self.answer.clear();
        Ok(true)
    }
}

/// Keeps one request of each backend on its way, and waits for the last answers at the end.
fn drive(backends: &mut [Backend], span: Duration) -> Result {
    let (begin, mut buffer) = (Instant::now(), vec![0; READ]);
    let mut waiting = vec![true; backends.len()];
    backends.iter_mut().try_for_each(Backend::send)?;
    while waiting.contains(&true) {
        let ready: Vec<bool> = {
            let mut polled: Vec<PollFd<'_>> =
                backends.iter().map(|backend| PollFd::new(&backend.stream, PollFlags::IN)).collect();
            let patience = PATIENCE.try_into().map_err(|_| Error::Answer("Moorline", "waiting"))?;
            if poll(&mut polled, Some(&patience))? == 0 {
                return Err(Error::Answer("Moorline", "publishing over HTTP"));
            }
            polled.iter().map(|polled| !polled.revents().is_empty()).collect()
        };
        for ((backend, waits), _) in backends.iter_mut().zip(&mut waiting).zip(ready).filter(|(_, ready)| *ready) {
            if backend.receive(&mut buffer)? {
                *waits = begin.elapsed() < span;
                if *waits {
                    backend.send()?;
                }
            }
        }
    }
    Ok(())
}

/// Returns what the key number `n` is made of.
fn random(n: usize) -> [u8; 32] {
    [n as u8; 32]
}
