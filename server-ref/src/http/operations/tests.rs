use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use rand_core::SeedableRng;
use tokio::sync::{Notify, watch};

use super::*;
use crate::apps::{AppLimits, AppTable};
use crate::asker::Asker;
use crate::engine::EngineError;
use crate::engine::core::{CoreConfig, EngineCore, Kept, MemoryStore, MessageStore, Query, StateKey};
use crate::engine::host::EngineThread;
use crate::engine::record::{ChannelId, Record as Written};
use crate::engine::turn::{Fatal, Persist, Room};
use crate::http::{HttpRules, LiveRules, SHARD};
use crate::wall_clock::WallClock;

/// What is wrong with a disk.
#[derive(Default)]
struct Faults {
    is_full: AtomicBool,
    /// It is full after so many batches with messages; 0: no number fills it.
    fills_after: AtomicUsize,
    /// What checkpoints have taken over cannot be read.
    is_unreadable: AtomicBool,
}

/// A store in memory with the faults of a disk.
struct Disk(MemoryStore, Arc<Faults>);

impl MessageStore for Disk {
    fn find(&mut self, _key: StateKey) -> Result<Option<Bytes>, EngineError> {
        if self.1.is_unreadable.load(Ordering::Relaxed) { Err(EngineError::Unavailable) } else { Ok(None) }
    }

    fn append(&mut self, channel: ChannelId, message: Kept) {
        self.0.append(channel, message);
    }

    fn read(&mut self, query: &Query) -> Option<Vec<Kept>> {
        self.0.read(query)
    }

    fn first_at(&mut self, channel: ChannelId, time: UnixMillis) -> Option<Offset> {
        self.0.first_at(channel, time)
    }

    fn first_within(&mut self, channel: ChannelId, bytes: u64) -> Option<Offset> {
        self.0.first_within(channel, bytes)
    }

    fn trim(&mut self, channel: ChannelId, first: Offset) {
        self.0.trim(channel, first);
    }

    fn forget(&mut self, channel: ChannelId) {
        self.0.forget(channel);
    }

    fn retain(&mut self, known: &dyn Fn(ChannelId) -> bool) {
        self.0.retain(known);
    }

    fn size(&self, channel: ChannelId) -> (u64, u64) {
        self.0.size(channel)
    }

    fn oldest(&self) -> Option<UnixMillis> {
        self.0.oldest()
    }
}

impl Persist for Disk {
    /// Each command is a batch.
    fn batch_bytes(&self) -> u64 {
        1
    }

    fn tend(&mut self, _now: UnixMillis) -> Result<Room, Fatal> {
        Ok(if self.1.is_full.load(Ordering::Relaxed) { Room::Reserved } else { Room::Enough })
    }

    fn persist(&mut self, records: &[Written]) -> Result<(), Fatal> {
        let has_messages = records.iter().any(|record| matches!(record, Written::Append { .. }));
        if has_messages && self.1.fills_after.load(Ordering::Relaxed) > 0 {
            let is_last = self.1.fills_after.fetch_sub(1, Ordering::Relaxed) == 1;
            self.1.is_full.fetch_or(is_last, Ordering::Relaxed);
        }
        self.0.persist(records)
    }
}

/// An API over an engine, and the faults of its disk. A checkpoint has taken over the ids of the default app's operations.
fn api() -> (EngineThread, Arc<Faults>, Api) {
    let (faults, mut clock) = (Arc::<Faults>::default(), WallClock::new(0));
    let store = Disk(MemoryStore::default(), Arc::clone(&faults));
    let mut core = EngineCore::new(CoreConfig::new("test0000"), store);
    let (id, key) = (ChannelId(0), operations::channel(&AppName::default_app()).unwrap());
    let (epoch, first, head) = (Epoch::new("test0000.0").unwrap(), Offset(2), Offset(1));
    core.apply(Written::Channel { id, key, epoch, first, head, time: 1 }, true).unwrap();
    core.begin(false, clock.now_ms());
    let mut time = clock.clone();
    let engine = EngineThread::spawn(core, move || time.now_ms(), |fatal| panic!("{fatal}")).unwrap();
    let limits = AppLimits {
        message: 65_536,
        channels: 1,
        connections: None,
        connections_per_user: 1,
        cursors_per_user: 1,
        publish_rate: None,
        publish_burst: 1,
        api_rate: None,
        api_burst: 1,
    };
    let rules = HttpRules {
        keys: crate::http::ApiKeys::default(),
        limits,
        apps: AppTable::default(),
        tokens: Vec::new(),
        console_keys: Vec::new(),
    };
    let callouts = crate::callout::start(clock.clone(), [0; 32]).unwrap().handle();
    let api = Api {
        asker: Asker::new(engine.handle(), SHARD),
        rules: LiveRules::new(rules),
        within: Duration::from_secs(60),
        rates: Mutex::default(),
        started: Instant::now(),
        clock: Mutex::new(clock),
        random: Mutex::new(SeedableRng::from_seed([0; 32])),
        stop: watch::channel(false).1,
        openapi: String::new(),
        shows_metrics: false,
        sync_times: crate::http::SyncTimes::default(),
        disk: Default::default(),
        expiry: Default::default(),
        proxies: Default::default(),
        forwarded: Default::default(),
        shards: Vec::new(),
        reloads: Default::default(),
        callouts,
        hooks: Default::default(),
        tokens: Default::default(),
        answered: Mutex::new(BTreeMap::new()),
        operations: Mutex::default(),
        accepted: Notify::new(),
        learning: tokio::sync::Mutex::default(),
        console: None,
    };
    (engine, faults, api)
}

/// Promises two messages to the channel `a`, and takes them to execute.
async fn promised(api: &Api) -> (AppName, Position) {
    let body =
        RawValue::from_string(r#"[{"channel": "a", "text": "x"}, {"channel": "a", "text": "y"}]"#.into()).unwrap();
    let app = AppName::default_app();
    let request = Request { app: app.to_string(), key: "key".into(), id: "k".into(), body, messages: 2 };
    let scope = operations::scope(app.as_str(), "key");
    let stored = api.ask(operations::store(&app, &Record::Request(request), "k", scope).unwrap()).await;
    let position = stands_at(stored.unwrap()).unwrap();
    api.learn(&app).await.unwrap();
    assert_eq!(lock(&api.operations).take(), Some((app.clone(), position.offset)));
    (app, position)
}

/// Executes an operation, and returns what became of its first message.
async fn executed(api: &Api, app: &AppName, Position { epoch, offset: of }: Position) -> serde_json::Value {
    api.try_execute(app, of).await.unwrap();
    let Some(operations::State::Done { at }) = lock(&api.operations).state(app, of) else { panic!("it is not done") };
    let Some(Record::Done { results, .. }) = api.record(app, epoch, at).await.unwrap() else { panic!("no results") };
    let results: serde_json::Value = serde_json::from_str(results.get()).unwrap();
    assert_eq!(results[0]["channel"], "a", "{results}");
    results[0].clone()
}

/// A day goes by.
fn wait_a_day(api: &Api) {
    let later = api.unix() + 24 * 3_600_000;
    *lock(&api.clock) = WallClock::new(later);
}

/// Executes an operation for which there is no room.
async fn refuse(api: &Api, app: &AppName, of: Offset) {
    let refused = api.try_execute(app, of).await.unwrap_err();
    assert_eq!(refused.code(), Problem::from(backend::storage(EngineError::Full)).code());
}

#[test]
fn what_waits_for_room_for_a_day_is_executed_when_there_is_some() {
    let (_engine, faults, api) = api();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (app, position) = promised(&api).await;
        let of = position.offset;
        faults.is_full.store(true, Ordering::Relaxed);
        refuse(&api, &app, of).await;
        assert_eq!(lock(&api.operations).state(&app, of), Some(operations::State::Waiting), "its mark is not stored");
        wait_a_day(&api);
        refuse(&api, &app, of).await;

        faults.is_full.store(false, Ordering::Relaxed);
        assert_eq!(executed(&api, &app, position).await["offset"], 1);
    });
}

#[test]
fn what_finds_room_for_its_mark_alone_is_executed_when_there_is_some() {
    let (_engine, faults, api) = api();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (app, position) = promised(&api).await;
        let of = position.offset;
        faults.fills_after.store(1, Ordering::Relaxed);
        refuse(&api, &app, of).await;
        assert!(faults.is_full.load(Ordering::Relaxed), "its mark is stored");
        wait_a_day(&api);
        refuse(&api, &app, of).await;

        faults.is_full.store(false, Ordering::Relaxed);
        let result = executed(&api, &app, position).await;
        assert_eq!((&result["offset"], &result["duplicate"]), (&1.into(), &false.into()), "{result}");
    });
}

#[test]
fn what_may_be_stored_and_cannot_be_ended_for_a_day_is_uncertain() {
    // An earlier server had begun it; one message of two is stored; both are, and the results are not.
    for (was_begun, fills_after) in [(true, 1), (false, 2), (false, 3)] {
        let (_engine, faults, api) = api();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (app, position) = promised(&api).await;
            if was_begun {
                lock(&api.operations).begin(&app, position.offset, api.unix());
            }
            faults.fills_after.store(fills_after, Ordering::Relaxed);
            refuse(&api, &app, position.offset).await;
            assert!(faults.is_full.load(Ordering::Relaxed), "all that there was room for is stored");
            wait_a_day(&api);
            faults.is_full.store(false, Ordering::Relaxed);
            let result = executed(&api, &app, position).await;
            assert_eq!(result["problem"]["code"], ErrorCode::PublishUncertain.name(), "{result}");
        });
    }
}

#[test]
fn a_mark_whose_id_another_record_has_does_not_stand() {
    let (_engine, _faults, api) = api();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (app, Position { offset: of, .. }) = promised(&api).await;
        let other = store(&app, &Record::Begun { of: of.0 + 1 }, of, "begun").unwrap();
        stands_at(api.ask(other).await.unwrap()).unwrap();
        let refused = api.try_execute(&app, of).await.map_err(|problem| problem.code().to_owned());
        assert_eq!(refused, Err(ErrorCode::PublishReused.name().to_owned()));
        assert_eq!(lock(&api.operations).state(&app, of), Some(operations::State::Waiting));
    });
}

#[test]
fn of_what_is_not_marked_as_begun_no_message_is_stored() {
    let (_engine, faults, api) = api();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (app, position) = promised(&api).await;
        // The log cannot tell whether it has the mark, and would take the message.
        faults.is_unreadable.store(true, Ordering::Relaxed);
        api.try_execute(&app, position.offset).await.unwrap_err();
        assert_eq!(lock(&api.operations).state(&app, position.offset), Some(operations::State::Waiting));
        faults.is_unreadable.store(false, Ordering::Relaxed);
        assert_eq!(executed(&api, &app, position).await["duplicate"], false, "it was stored without a mark");
    });
}

#[test]
fn an_app_that_is_new_is_looked_for_while_others_have_much_to_do() {
    /// What takes longer does not come.
    const PATIENCE: Duration = Duration::from_secs(60);
    let (_engine, _faults, api) = api();
    let api = Arc::new(api);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        // It has something to do whenever it looks.
        let busy = || async {
            api.accepted.notify_one();
            tokio::task::yield_now().await;
        };
        let working = tokio::spawn(Arc::clone(&api).work(Duration::from_millis(200)));
        // More than the first look, which is at once.
        for _ in 0..100 {
            busy().await;
        }
        let new = AppName::new("new").unwrap();
        let rules = HttpRules::clone(&api.live());
        let keys = crate::http::ApiKeys::new(vec![(new.clone(), Vec::new())]);
        api.rules.replace(HttpRules { keys, ..rules });
        let begun = Instant::now();
        while !lock(&api.operations).is_learnt(&new) {
            assert!(begun.elapsed() < PATIENCE, "nobody has looked for it");
            busy().await;
        }
        working.abort();
    });
}
