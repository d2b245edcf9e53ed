//! The load generator: one thread, one epoll, raw sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::error::{Error, Result};
use crate::machine::{Spent, Stopwatch};
use crate::peer::Peer;
use crate::scan::Scanner;
use crate::server::Server;
use crate::table;
use crate::template::Template;
use crate::ws::{self, Opcode};

const WARM: Duration = Duration::from_secs(1);
const READ: usize = 256 << 10;
/// How long the loop waits at most before it looks whether something is to be published.
const TICK: Duration = Duration::from_millis(2);
/// The publisher's number among the sockets.
const PUBLISHER: u64 = u64::MAX;

/// When the publisher publishes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// One message each `interval`.
    Paced {
        /// Between two messages.
        interval: Duration,
    },
    /// As soon as fewer than so many messages are on their way.
    Window(u64),
}

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    spent: Spent,
    delivered: u64,
    expected: u64,
    bytes: u64,
    /// µs from send to receipt, sorted.
    latencies: Vec<u32>,
}

impl Sample {
    /// Returns the cells of the table, in the order of its columns.
    pub(super) fn row(&self) -> Vec<f64> {
        let delivered = (self.delivered as f64).max(1.0);
        let (seconds, server) = (self.spent.wall.as_secs_f64(), self.spent.server.as_secs_f64());
        vec![
            delivered / seconds,
            server * 1e6 / delivered,
            table::quantile(&self.latencies, 0.5),
            table::quantile(&self.latencies, 0.99),
            server * 100.0 / seconds,
            self.spent.generator.as_secs_f64() * 100.0 / seconds,
            self.bytes as f64 / delivered,
            delivered * 100.0 / (self.expected as f64).max(1.0),
        ]
    }
}

/// The subscribers and the publisher.
pub(super) struct Generator<'a> {
    peer: &'a Peer,
    server: &'a Server,
    publish: Template,
    epoll: OwnedFd,
    subscribers: Vec<(TcpStream, Scanner)>,
    publisher: TcpStream,
    /// What the publisher could not write yet.
    outgoing: Vec<u8>,
    begin: Instant,
    published: u64,
    delivered: u64,
    bytes: u64,
    /// Kept while measuring.
    latencies: Option<Vec<u32>>,
}

impl<'a> Generator<'a> {
    /// Opens all connections.
    ///
    /// # Errors
    /// When the peer does not answer as its protocol says.
    pub(super) fn connect(peer: &'a Peer, server: &'a Server, subscribers: usize, size: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let address = server.address();
        let mut open = Vec::with_capacity(subscribers);
        for who in 0..subscribers {
            let stream = peer.open(address, who, true)?.stream;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(who as u64), EventFlags::IN)?;
            open.push((stream, Scanner::default()));
        }
        let publisher = peer.open(address, subscribers, false)?.stream;
        publisher.set_nonblocking(true)?;
        epoll::add(&epoll, &publisher, EventData::new_u64(PUBLISHER), EventFlags::IN)?;
        Ok(Self {
            peer,
            server,
            publish: peer.template(size)?,
            epoll,
            subscribers: open,
            publisher,
            outgoing: Vec::new(),
            begin: Instant::now(),
            published: 0,
            delivered: 0,
            bytes: 0,
            latencies: None,
        })
    }

    /// Warms up, then measures for `span`.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub(super) fn run(mut self, load: Load, span: Duration) -> Result<Sample> {
        self.begin = Instant::now();
        self.drive(load, WARM)?;
        let (published, delivered, bytes) = (self.published, self.delivered, self.bytes);
        self.latencies = Some(Vec::new());
        let watch = Stopwatch::start(self.server.process())?;
        self.drive(load, WARM + span)?;
        let spent = watch.stop()?;
        let mut latencies = self.latencies.take().unwrap_or_default();
        latencies.sort_unstable();
        Ok(Sample {
            spent,
            delivered: self.delivered - delivered,
            expected: (self.published - published) * self.subscribers.len() as u64,
            bytes: self.bytes - bytes,
            latencies,
        })
    }

    /// Publishes and receives until so much time has passed since the beginning.
    fn drive(&mut self, load: Load, until: Duration) -> Result {
        let mut events = Vec::with_capacity(1024);
        let mut buffer = vec![0; READ];
        while self.begin.elapsed() < until {
            self.publish_due(load)?;
            events.clear();
            let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&tick))?;
            for event in &events {
                let event: &epoll::Event = event;
                self.receive(event.data.u64(), &mut buffer)?;
            }
        }
        Ok(())
    }

    fn publish_due(&mut self, load: Load) -> Result {
        let due = match load {
            Load::Paced { interval } => (self.begin.elapsed().as_secs_f64() / interval.as_secs_f64()) as u64,
            Load::Window(window) => self.delivered / self.subscribers.len().max(1) as u64 + window,
        };
        while self.published < due {
            self.published += 1;
            let message = self.publish.with(self.published, self.begin.elapsed().as_nanos() as u64);
            ws::encode(Opcode::Binary, message, &mut self.outgoing);
        }
        if self.outgoing.is_empty() {
            return Ok(());
        }
        match self.publisher.write(&self.outgoing) {
            Ok(written) => drop(self.outgoing.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn receive(&mut self, who: u64, buffer: &mut [u8]) -> Result {
        let subscriber = usize::try_from(who).ok().and_then(|who| self.subscribers.get_mut(who));
        let (stream, scanner) = match subscriber {
            Some((stream, scanner)) => (stream, Some(scanner)),
            None => (&mut self.publisher, None),
        };
        let read = match stream.read(buffer) {
            Ok(0) => return Err(Error::Closed(self.peer.name())),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // The publisher gets answers only; whether they arrive shows in the deliveries.
        let Some(scanner) = scanner else { return Ok(()) };
        self.bytes += read as u64;
        let now = self.begin.elapsed().as_nanos() as u64;
        let (delivered, latencies) = (&mut self.delivered, &mut self.latencies);
        scanner.scan(buffer.get(..read).unwrap_or_default(), |sent| {
            *delivered += 1;
            if let Some(latencies) = latencies {
                latencies.push(u32::try_from(now.saturating_sub(sent) / 1_000).unwrap_or(u32::MAX));
            }
        });
        Ok(())
    }
}
