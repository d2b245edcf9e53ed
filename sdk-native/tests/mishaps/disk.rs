//! A server whose disk fails at a sync, again and again, each time somewhere else.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use moorline::{Client, Event, FileStore, History, Lifecycle, Payload, Qos, Since};
use moorline_server::engine::log::{Directory, Files, LogFile};
use moorline_server::server::{Engine, Options, Server};
use tokio::sync::{mpsc, watch};

use super::phone;

const FAILURES: u64 = 50;
const DATA: &str = "MOORLINE_FAILING_DATA";
const ADDRESS: &str = "MOORLINE_FAILING_ADDRESS";
const GOOD_SYNCS: &str = "MOORLINE_FAILING_GOOD_SYNCS";
/// An address that no connection comes from: nobody takes the port while it is free. Only Linux has it.
const OWN: &str = if cfg!(target_os = "linux") { "127.0.0.7:0" } else { "127.0.0.1:0" };

/// A directory in which a sync fails after so many good ones.
struct Failing {
    inside: Directory,
    good_syncs: Arc<AtomicU64>,
}

/// One of its files, and what was written since its last sync.
struct FailingFile {
    inside: Arc<dyn LogFile>,
    good_syncs: Arc<AtomicU64>,
    unsynced: Mutex<Vec<(u64, usize)>>,
}

impl Failing {
    fn file(&self, inside: Arc<dyn LogFile>) -> Arc<dyn LogFile> {
        Arc::new(FailingFile { inside, good_syncs: Arc::clone(&self.good_syncs), unsynced: Mutex::default() })
    }
}

impl Files for Failing {
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.inside.create(name).map(|file| self.file(file))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Arc<dyn LogFile>> {
        self.inside.open(name, writable).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inside.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inside.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inside.list()
    }

    fn sync(&self) -> io::Result<()> {
        Files::sync(&self.inside)
    }
}

impl LogFile for FailingFile {
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.inside.reserve(size)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.unsynced.lock().unwrap().push((at, bytes.len()));
        self.inside.write_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced.lock().unwrap();
        if self.good_syncs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            // The system drops what it could not write.
            for (at, len) in unsynced.drain(..) {
                self.inside.write_at(&vec![0; len], at)?;
            }
            return Err(io::Error::from_raw_os_error(5));
        }
        unsynced.clear();
        self.inside.sync()
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.inside.read_at(bytes, at)
    }

    fn size(&self) -> io::Result<u64> {
        self.inside.size()
    }
}

/// The server, in a process of its own: like the program, it ends when its log does. Without its settings, as in a run
/// of all tests, it has nothing to do.
#[test]
fn the_server() {
    let Ok(data) = std::env::var(DATA) else { return };
    let listen = std::env::var(ADDRESS).unwrap().parse().unwrap();
    let good_syncs = Arc::new(AtomicU64::new(std::env::var(GOOD_SYNCS).unwrap().parse().unwrap()));
    let options = Options {
        listen,
        engine: Engine::Log { dir: data.into(), sync: true, restored: false, state_cache: 1 << 20 },
        files: Arc::new(move |inside| Arc::new(Failing { inside, good_syncs: Arc::clone(&good_syncs) })),
        on_fatal: Arc::new(|fatal| {
            writeln!(io::stdout(), "\nended: {fatal}").unwrap();
            std::process::exit(1);
        }),
        ..Options::dev()
    };
    match Server::start(options) {
        Ok(server) => {
            writeln!(io::stdout(), "\nlistening").unwrap();
            server.wait();
        }
        Err(error) => {
            writeln!(io::stdout(), "\nended: {error}").unwrap();
            std::process::exit(1);
        }
    }
}

fn start(data: &Path, address: SocketAddr, good_syncs: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "disk::the_server", "--nocapture"]);
    command.env(DATA, data).env(ADDRESS, address.to_string()).env(GOOD_SYNCS, good_syncs.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for the server's end, and tells the clients when it listens. Returns why it ended.
fn see_out(mut server: Child, clients: &[Client]) -> String {
    let mut why = None;
    for line in BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if line == "listening" {
            clients.iter().for_each(|client| client.lifecycle(Lifecycle::Online));
        }
        why = why.or_else(|| line.strip_prefix("ended: ").map(str::to_owned));
    }
    assert_eq!(server.wait().unwrap().code(), Some(1));
    why.unwrap()
}

/// Publishes numbers until it is told to stop, some at once, and waits for all of them. Returns how many.
async fn publish(client: Client, mut stop: watch::Receiver<bool>) -> u64 {
    let room = client.channel("room").qos(Qos::ExactlyOnce);
    let mut waiting = VecDeque::new();
    let mut count = 0;
    while !*stop.borrow_and_update() {
        count += 1;
        waiting.push_back(room.publish(Payload::json(&count).unwrap()).send().unwrap());
        if waiting.len() >= 8 {
            waiting.pop_front().unwrap().stored().await.unwrap();
        }
    }
    for receipt in waiting {
        receipt.stored().await.unwrap();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_failed_syncs_lose_nothing_that_was_answered_and_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let address = TcpListener::bind(OWN).unwrap().local_addr().unwrap();
    let url = format!("ws://{address}/ws");
    let alice = phone(&url, &folder.path().join("alice.moor"));
    let bob = Client::builder(&url).token("dev:bob").store(FileStore::open(folder.path().join("bob.moor")).unwrap());
    let bob = bob.build().unwrap();
    let (stop, stopped) = watch::channel(false);
    let publisher = tokio::spawn(publish(alice.clone(), stopped));
    let mut messages = bob.channel("room").since(Since::First).subscribe().await.unwrap();
    let (sees, mut seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = messages.next_event().await {
            match event {
                Event::Message(message) => sees.send(message.json::<u64>()).unwrap(),
                Event::Reset { .. } => panic!("{event:?}"),
                _ => {}
            }
        }
    });
    let mut of_the_log = 0;
    for round in 0..FAILURES {
        let (server, clients) = (start(&data, address, round * 7 % 31), [alice.clone(), bob.clone()]);
        let why = tokio::task::spawn_blocking(move || see_out(server, &clients)).await.unwrap();
        assert!(why.contains("Input/output error"), "{why}");
        of_the_log += u64::from(why.contains("fdatasync of the log"));
    }
    assert!(of_the_log > FAILURES / 2, "{of_the_log} syncs of the log failed, the others were those of a start");
    let engine = Engine::Log { dir: data, sync: true, restored: false, state_cache: 1 << 20 };
    let server = Server::start(Options { listen: address, engine, ..Options::dev() }).unwrap();
    [&alice, &bob].into_iter().for_each(|client| client.lifecycle(Lifecycle::Online));
    stop.send_replace(true);
    let count = publisher.await.unwrap();
    let mut log = Vec::new();
    while (log.len() as u64) < count {
        let page = bob.channel("room").history(History::After(log.len() as u64), 256).await.unwrap();
        assert_eq!(page.head, count, "each once");
        log.extend(page.messages.iter().map(|message| message.json::<u64>().unwrap()));
    }
    assert_eq!(log, (1..=count).collect::<Vec<_>>());
    // What Bob was shown on the way was durable: no message came that is not in the log, and none twice.
    for n in log {
        assert_eq!(seen.recv().await.unwrap().unwrap(), n);
    }
    bob.close().await;
    assert!(seen.recv().await.is_none());
    alice.close().await;
    drop(server);
}
