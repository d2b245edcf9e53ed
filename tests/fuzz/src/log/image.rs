use std::collections::BTreeMap;
use std::sync::LazyLock;

use moorline_protocol::{AppName, DeviceId, ProducerRequest, ResetMode, Run, Since, UserName};
use moorline_server::engine::{Attach, Command, Open, Owner, SessionId};

use super::engine::{Engine, Log, append, key};
use super::files::MemoryFiles;

/// The channels of every image.
pub(super) const CHANNELS: [&str; 3] = ["room", "room:2", "own"];

/// A directory as a run left it, and what is in its log.
pub(super) struct Image {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) log: Log,
}

/// What a run does.
struct Plan {
    /// Batches, and bytes of each message.
    batches: usize,
    size: usize,
    /// How often it ended in good order and began again.
    restarts: usize,
    /// Whether it ended in good order in the end, or was killed.
    clean: bool,
}

/// A short run, longer ones, one over several segments, and one with a checkpoint.
pub(super) static IMAGES: LazyLock<[Image; 4]> = LazyLock::new(|| {
    [
        run(&Plan { batches: 3, size: 20, restarts: 0, clean: false }),
        run(&Plan { batches: 12, size: 300, restarts: 1, clean: true }),
        run(&Plan { batches: 30, size: 3_000, restarts: 0, clean: false }),
        run(&Plan { batches: 14, size: 3_000, restarts: 3, clean: false }),
    ]
});

fn run(plan: &Plan) -> Image {
    let files = MemoryFiles::default();
    let mut engine = open(&files);
    for restart in 0..=plan.restarts {
        for batch in 0..plan.batches {
            engine.ask(commands(plan, restart * plan.batches + batch)).expect("an engine that goes on");
        }
        if restart < plan.restarts {
            engine.close();
            engine = open(&files);
        }
    }
    let log = engine.read_all(&CHANNELS);
    let count = plan.batches * (plan.restarts + 1);
    for (channel, log) in &log {
        assert_eq!(log.len(), count, "messages of {channel}");
    }
    let killed = files.content();
    engine.close();
    Image { files: if plan.clean { files.content() } else { killed }, log }
}

fn open(files: &MemoryFiles) -> Engine {
    super::open(files.clone()).expect("a log that nobody has touched")
}

/// One batch: a device comes, opens a cursor, and each channel gets a message.
fn commands(plan: &Plan, number: usize) -> Vec<Command> {
    let owner = Owner {
        app: AppName::default_app(),
        user: UserName::new("alice").expect("a user's name"),
        device: DeviceId::new(&format!("device-{:09}", number % 4)).expect("a device"),
    };
    let attach = Command::Attach(Attach {
        session: SessionId(number as u64),
        app: owner.app.clone(),
        user: Some(owner.user.clone()),
        device: Some(owner.device.clone()),
        run: Run { boot: 1, transport: number as u64 },
        producer: Some(ProducerRequest::New),
        max_connections: 100,
        token_id: None,
        token_issued: None,
    });
    let open = Command::Open(Open {
        channel: key("room"),
        since: Since::Cursor(None),
        reset: ResetMode::First,
        cursor: Some(owner),
        presence: None,
    });
    let text = |channel: &str| append(channel, format!("{number} {}", "x".repeat(plan.size)));
    [attach, open].into_iter().chain(CHANNELS.iter().map(|channel| text(channel))).collect()
}
