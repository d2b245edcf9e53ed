//! What connections cost that are open and quiet.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Result};
use crate::machine::{self, Pinned, Role};
use crate::peer::{self, Peer};
use crate::progress;
use crate::table::{self, Column, Goal, Table};
use crate::ws::Connection;

/// Connections that are open and quiet, each with one subscription.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("programs").required(true).multiple(true).args(["server", "centrifuge"])))]
pub(crate) struct Idle {
    /// The server's binary; without it only the peer is measured.
    #[arg(long)]
    server: Option<PathBuf>,
    /// The peer's binary; without it only Moorline is measured.
    #[arg(long)]
    centrifuge: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// Seconds over which processor time is measured; one ping interval of both servers by default.
    #[arg(long, default_value_t = 25)]
    seconds: u64,
}

const MEMORY: &str = "RSS bytes/connection";
const PROCESSOR: &str = "CPU µs/s/connection";
const COLUMNS: &[Column] = &[(MEMORY, 0), (PROCESSOR, 2), ("RSS before MB", 1)];

impl Idle {
    pub(crate) fn run(&self) -> Result {
        raise_file_limit(self.connections)?;
        let peers = Peer::all(self.server.as_deref(), 1, self.centrifuge.as_deref());
        println!("Versions: {}", peer::versions(&peers)?);
        let mut samples = vec![Vec::new(); peers.len()];
        for round in 1..=self.rounds {
            for (peer, samples) in peers.iter().zip(&mut samples) {
                progress::say(&format!("idle, round {round} of {}, {}", self.rounds, peer.name()));
                samples.push(self.measure(peer)?);
            }
        }
        let table = Table::new(COLUMNS, peers.iter().map(Peer::name).zip(samples));
        table.print(&format!("{} connections with one subscription each, {} s", self.connections, self.seconds));
        if let [Peer::Moorline { .. }, peer] = peers.as_slice() {
            let lines = [
                table.line("Resident memory per idle connection, bytes", MEMORY, Goal::AtMost(4096.0)),
                table.line("CPU per idle connection, µs/s", PROCESSOR, Goal::AtMost(1.0)),
            ];
            table::compare(peer.name(), &lines);
        }
        Ok(())
    }

    fn measure(&self, peer: &Peer) -> Result<Vec<f64>> {
        let server = {
            let _core = Pinned::to(Role::Server)?;
            peer.start()?
        };
        let _core = Pinned::to(Role::Generator)?;
        let before = machine::resident_bytes(server.process())?;
        let mut quiet = Quiet::connect(peer, self.connections, &server)?;
        let after = machine::resident_bytes(server.process())?;
        let used = machine::processor_time(server.process())?;
        quiet.stay(Duration::from_secs(self.seconds))?;
        let used = machine::processor_time(server.process())?.saturating_sub(used);
        let connections = self.connections as f64;
        Ok(vec![
            after.saturating_sub(before) as f64 / connections,
            used.as_secs_f64() * 1e6 / self.seconds as f64 / connections,
            before as f64 / f64::from(1 << 20),
        ])
    }
}

/// Both sides need a descriptor per connection; the server inherits the limit.
fn raise_file_limit(connections: usize) -> Result {
    let allowed = getrlimit(Resource::Nofile).maximum;
    let needed = connections as u64 + SPARE;
    if let Some(limit) = allowed.filter(|limit| *limit < needed) {
        return Err(Error::Descriptors { connections, limit });
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed })?)
}

/// Descriptors that are not connections.
const SPARE: u64 = 64;

/// Connections that only answer pings.
struct Quiet<'a> {
    peer: &'a Peer,
    epoll: OwnedFd,
    connections: Vec<Connection>,
}

impl<'a> Quiet<'a> {
    fn connect(peer: &'a Peer, connections: usize, server: &crate::server::Server) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut quiet = Self { peer, epoll, connections: Vec::with_capacity(connections) };
        for who in 0..connections {
            let connection = peer.open(server.address(), who, true)?;
            connection.stream.set_nonblocking(true)?;
            epoll::add(&quiet.epoll, &connection.stream, EventData::new_u64(who as u64), EventFlags::IN)?;
            quiet.connections.push(connection);
        }
        // What the server sends behind the last answer, and frees after it, belongs to connecting.
        quiet.stay(Duration::from_secs(1))?;
        Ok(quiet)
    }

    fn stay(&mut self, span: Duration) -> Result {
        let mut events = Vec::with_capacity(1024);
        let begin = Instant::now();
        while let Some(left) = span.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&left))?;
            for event in &events {
                let event: &epoll::Event = event;
                self.receive(event.data.u64())?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, who: u64) -> Result {
        let connection = usize::try_from(who).ok().and_then(|who| self.connections.get_mut(who));
        let Some(connection) = connection else { return Ok(()) };
        let mut buffer = [0; 4096];
        let read = match connection.stream.read(&mut buffer) {
            Ok(0) => return Err(Error::Closed(self.peer.name())),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut answers = Vec::new();
        for message in connection.take_in(buffer.get(..read).unwrap_or_default()) {
            self.peer.answer(&message, &mut answers);
        }
        Ok(connection.stream.write_all(&answers)?)
    }
}
