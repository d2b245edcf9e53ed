//! Durable acknowledged publishes: how many per second one connection gets through.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::machine::{Pinned, Role, Stopwatch};
use crate::peer::{self, Acknowledged, Peer, disk};
use crate::progress;
use crate::scan;
use crate::server::Server;
use crate::table::{self, Column, Goal, Table};
use crate::template::{SENT, Template};
use crate::ws::{self, Connection, Opcode};

/// Durable acknowledged publishes, over one connection, for several windows.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// The server's binary.
    #[arg(long)]
    server: PathBuf,
    /// Redis; without it only Moorline is measured.
    #[arg(long)]
    redis: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Publishes on their way at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1_024])]
    windows: Vec<u64>,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 200)]
    size: usize,
    /// Seconds that are measured, after one second of warming up.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

const RATE: &str = "acknowledged/s";
const COLUMNS: &[Column] = &[(RATE, 0), ("server µs/publish", 2), ("server CPU %", 0), ("generator CPU %", 0)];
const WARM: Duration = Duration::from_secs(1);
const READ: usize = 64 << 10;

/// Who stores durably.
enum Store {
    Moorline(Peer),
    /// Append-only file, synced before each answer.
    Redis(PathBuf),
}

/// A connection that publishes, and how its answers are counted.
enum Publisher {
    Moorline(Box<Connection>),
    Redis(TcpStream),
}

impl Publish {
    pub(crate) fn run(&self) -> Result {
        let mut stores = vec![Store::Moorline(Peer::Moorline { program: self.server.clone(), level: 1 })];
        stores.extend(self.redis.clone().map(Store::Redis));
        let versions = stores.iter().map(Store::version).collect::<Result<Vec<_>>>()?;
        let mut lines = Vec::new();
        println!("Versions: {}", versions.join(", "));
        for &window in &self.windows {
            let mut samples = vec![Vec::new(); stores.len()];
            for round in 1..=self.rounds {
                for (store, samples) in stores.iter().zip(&mut samples) {
                    let (name, rounds) = (store.name(), self.rounds);
                    progress::say(&format!("publish, window {window}, round {round} of {rounds}, {name}"));
                    samples.push(self.measure(store, window)?);
                }
            }
            let table = Table::new(COLUMNS, stores.iter().map(Store::name).zip(samples));
            table.print(&format!("One connection, window {window}, {} B", self.size));
            lines.push(table.line(format!("Acknowledged/s, window {window}"), RATE, goal(window)));
        }
        if let [_, redis] = stores.as_slice() {
            table::compare(redis.name(), &lines);
        }
        Ok(())
    }

    fn measure(&self, store: &Store, window: u64) -> Result<Vec<f64>> {
        let server = {
            let _core = Pinned::to(Role::Server)?;
            store.start(&self.server)?
        };
        let _core = Pinned::to(Role::Generator)?;
        let mut publisher = store.connect(&server)?;
        let mut state = Progress { window, publish: store.template(self.size)?, published: 0, acknowledged: 0 };
        state.drive(&mut publisher, WARM)?;
        let before = state.acknowledged;
        let watch = Stopwatch::start(server.process())?;
        state.drive(&mut publisher, Duration::from_secs(self.seconds))?;
        let spent = watch.stop()?;
        let acknowledged = (state.acknowledged - before) as f64;
        let (seconds, server) = (spent.wall.as_secs_f64(), spent.server.as_secs_f64());
        Ok(vec![
            acknowledged / seconds,
            server * 1e6 / acknowledged.max(1.0),
            server * 100.0 / seconds,
            spent.generator.as_secs_f64() * 100.0 / seconds,
        ])
    }
}

/// What the rate should be for a window, compared with Redis.
fn goal(window: u64) -> Goal {
    match window {
        64 => Goal::AtLeastTimes(2.0),
        1_024 => Goal::AtLeastTimes(4.0),
        _ => Goal::None,
    }
}

struct Progress {
    window: u64,
    publish: Template,
    published: u64,
    acknowledged: u64,
}

impl Progress {
    fn drive(&mut self, publisher: &mut Publisher, span: Duration) -> Result {
        let begin = Instant::now();
        let (mut out, mut buffer) = (Vec::new(), vec![0; READ]);
        while begin.elapsed() < span {
            while self.published < self.acknowledged + self.window {
                self.published += 1;
                publisher.encode(self.publish.with(self.published, self.published), &mut out);
            }
            publisher.stream().write_all(&out)?;
            out.clear();
            self.acknowledged += publisher.receive(&mut buffer)?;
        }
        Ok(())
    }
}

impl Store {
    fn name(&self) -> &'static str {
        match self {
            Self::Moorline(_) => "Moorline",
            Self::Redis(_) => "Redis, appendfsync always",
        }
    }

    fn version(&self) -> Result<String> {
        match self {
            Self::Moorline(peer) => peer.version(),
            Self::Redis(program) => peer::version(program),
        }
    }

    /// Both keep their data on the same disk.
    fn start(&self, beside: &Path) -> Result<Server> {
        match self {
            Self::Moorline(peer) => peer.start(),
            Self::Redis(program) => Server::start(program, disk(beside), |address, folder| {
                let (port, folder) = (address.port().to_string(), folder.display().to_string());
                let options = ["--bind", "127.0.0.1", "--port", &port, "--dir", &folder, "--save", ""];
                let durable = ["--appendonly", "yes", "--appendfsync", "always"];
                options.iter().chain(&durable).map(|option| (*option).to_owned()).collect()
            }),
        }
    }

    /// Returns the message that publishes `size` bytes: for Redis, a command that adds an entry to a stream.
    fn template(&self, size: usize) -> Result<Template> {
        match self {
            Self::Moorline(peer) => peer.template(size),
            Self::Redis(_) => {
                let payload = scan::payload(SENT, size);
                let head = format!("*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\nd\r\n${}\r\n", payload.len());
                Ok(Template::new([head.as_bytes(), &payload, b"\r\n"].concat()))
            }
        }
    }

    fn connect(&self, server: &Server) -> Result<Publisher> {
        match self {
            Self::Moorline(peer) => {
                let connection = Box::new(peer.open(server.address(), 0, false)?);
                Ok(Publisher::Moorline(connection))
            }
            Self::Redis(_) => {
                let stream = TcpStream::connect(server.address())?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                Ok(Publisher::Redis(stream))
            }
        }
    }
}

impl Publisher {
    fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Moorline(connection) => &mut connection.stream,
            Self::Redis(stream) => stream,
        }
    }

    fn encode(&self, message: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Moorline(..) => ws::encode(Opcode::Binary, message, out),
            Self::Redis(_) => out.extend_from_slice(message),
        }
    }

    /// Waits for answers and returns how many there were.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<u64> {
        let name = if matches!(self, Self::Redis(_)) { "Redis" } else { "Moorline" };
        let read = match self.stream().read(buffer) {
            Ok(0) => return Err(Error::Closed(name)),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Error::Answer(name, "publishing")),
            Err(error) => return Err(error.into()),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        let (stored, refused) = match self {
            // The answer to XADD is the entry's id as a bulk string; an error begins with a minus sign.
            Self::Redis(_) => (count(b'$', bytes), bytes.starts_with(b"-")),
            Self::Moorline(connection) => {
                let answers: Vec<_> = connection.take_in(bytes).iter().map(Acknowledged::in_message).collect();
                let refused = answers.iter().any(|answer| answer.refused > 0);
                (answers.iter().map(|answer| answer.stored).sum(), refused)
            }
        };
        if refused { Err(Error::Answer(name, "publishing")) } else { Ok(stored) }
    }
}

fn count(byte: u8, bytes: &[u8]) -> u64 {
    memchr::memchr_iter(byte, bytes).count() as u64
}
