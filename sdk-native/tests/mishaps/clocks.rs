//! A device and a server whose clocks are a year apart.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use moorline::{Client, FileStore, History, Payload, Qos, Since, TokenReason};
use moorline_protocol::{AppName, ChannelName};
use moorline_server::engine::log::{Directory, LogConfig, open_with};
use moorline_server::engine::turn::{Sinks, Turns};
use moorline_server::engine::{Append, ChannelKey, Command, ShardId, Ticket, content_hash};
use moorline_server::jwt::{AppKeys, Key, Tokens};
use moorline_server::server::{Engine, Options, Server};
use serde_json::json;

use super::NOWHERE;

const YEAR_MS: u64 = 365 * 86_400_000;
const SECRET: &[u8] = b"a secret of more than 32 bytes, for tests";

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Writes a log whose newest message is from `time`: no server that goes on with it has an earlier clock.
fn written_at(data: &Path, time: u64) {
    std::fs::create_dir_all(data).unwrap();
    let config = LogConfig { threads: false, ..LogConfig::new(data) };
    let core = open_with(&config, Arc::new(Directory::new(data)), "boot", time).unwrap();
    let mut turns = Turns::new(core, Sinks::default());
    let payload = moorline_protocol::Payload::Text("first".into());
    let append = Append {
        channel: ChannelKey { app: AppName::default_app(), name: ChannelName::new("room").unwrap() },
        id: "first".into(),
        scope: "somebody".into(),
        user: None,
        headers: Vec::new(),
        hash: content_hash("first", &payload, &Vec::new()),
        payload,
        ttl: None,
        producer: None,
        verdict: Ok(()),
    };
    turns.take([(ShardId(0), Ticket(1), Command::Append(append))], time).unwrap();
    turns.close(time).unwrap();
}

/// A token for Alice as a server makes it whose clock shows `ms`; good for an hour.
fn token(ms: u64) -> String {
    let (iat, exp) = (ms / 1_000, ms / 1_000 + 3_600);
    let grants = json!([{"match": "*", "can": ["subscribe", "publish", "history"]}]);
    let claims = json!({"sub": "alice", "aud": "default", "iat": iat, "exp": exp, "grants": grants});
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

#[tokio::test]
async fn a_device_a_year_behind_its_server_does_not_notice() {
    let folder = tempfile::tempdir().unwrap();
    let (data, store) = (folder.path().join("data"), folder.path().join("alice.moor"));
    let theirs = now_ms() + YEAR_MS;
    written_at(&data, theirs);
    let key = Key { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(SECRET) };
    let tokens = Tokens::new(vec![AppKeys { name: AppName::default_app(), keys: vec![key], anonymous: false }]);
    let engine = Engine::Log { dir: data, sync: true, restored: false, state_cache: 1 << 20 };
    let server = Server::start(Options { engine, tokens, name_anonymous: false, ..Options::dev() }).unwrap();

    // What was published while offline, by the device's clock.
    let offline = Client::builder(NOWHERE).store(FileStore::open(&store).unwrap()).build().unwrap();
    let room = offline.channel("room").qos(Qos::ExactlyOnce);
    room.publish(Payload::text("for an hour")).ttl(3_600).send().unwrap().queued().await.unwrap();
    offline.close().await;

    // The token of a year ago has expired for this server; the one of its own time is good.
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let provider = move |reason| {
        let nth = counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!(reason, if nth == 0 { TokenReason::Connect } else { TokenReason::Refused });
        async move { Ok(if nth == 0 { token(now_ms()) } else { token(theirs) }) }
    };
    let builder = Client::builder(server.url()).store(FileStore::open(&store).unwrap()).token_provider(provider);
    let client = builder.configure(|config| config.max_backoff_ms = 1).build().unwrap();
    client.connect().await.unwrap();
    for restored in client.restored() {
        assert_eq!(super::end(restored.receipt).await, "stored");
    }
    assert_eq!(super::end(super::publish(&client, "for ever")).await, "stored");
    assert_eq!(asked.load(Ordering::Relaxed), 2, "and it is not thought to expire before its time");

    let page = client.channel("room").history(History::After(0), 9).await.unwrap();
    let found: Vec<_> = page.messages.iter().map(|message| (message.text().unwrap(), message.offset)).collect();
    assert_eq!(found, [("first", Some(1)), ("for an hour", Some(2)), ("for ever", Some(3))]);
    assert!(page.messages.iter().all(|message| message.time >= theirs), "times are the server's");
    // Times that are asked for are the server's, too.
    for (time, first) in [(theirs + 1, 2), (now_ms(), 1)] {
        let reader = Client::builder(server.url()).token(token(theirs)).build().unwrap();
        let mut messages = reader.channel("room").since(Since::Time(time)).subscribe().await.unwrap();
        assert_eq!(messages.next().await.unwrap().offset, Some(first));
        reader.close().await;
    }
    client.close().await;
}
