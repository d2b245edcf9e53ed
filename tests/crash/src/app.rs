//! An app as its author would write it: the `moorline` client, nothing else.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moorline::{
    Channel, Client, ConnectionState, Event, Lifecycle, Message, Messages, Payload, Presence, Qos, Since, Store,
    StoreBatch, StoreEntry, StoreError,
};

use crate::checker::{Mark, Place, Seen, Told};

/// Why an app stopped working.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The client refused something.
    #[error(transparent)]
    Client(#[from] moorline::Error),
    /// A subscription ended without a reason.
    #[error("a subscription ended")]
    Ended,
}

/// How hard a message is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2.
    ExactlyOnce,
}

impl Level {
    fn qos(self) -> Qos {
        match self {
            Self::AtLeastOnce => Qos::AtLeastOnce,
            Self::ExactlyOnce => Qos::ExactlyOnce,
        }
    }
}

/// How a subscriber reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// From the beginning of the log, without a cursor on the server.
    Plain,
    /// From the beginning of the log, with a cursor.
    Durable,
    /// After the cursor that it made before.
    Again,
}

/// A running app.
pub struct App {
    client: Client,
}

impl App {
    /// Starts an app of a user, with what it kept.
    ///
    /// # Errors
    /// [`AppError::Client`].
    pub fn start(url: &str, user: &str, disk: &Disk) -> Result<Self, AppError> {
        let client = Client::builder(url).token(format!("dev:{user}")).store(disk.open()).build()?;
        Ok(Self { client })
    }

    /// Publishes a text. The answer comes when the message is settled.
    ///
    /// # Errors
    /// [`AppError::Client`] if the message is refused on the spot.
    pub fn publish(
        &self,
        channel: &str,
        text: String,
        level: Level,
    ) -> Result<impl Future<Output = Told> + Send + use<>, AppError> {
        let channel = self.client.channel(channel).qos(level.qos());
        let receipt = channel.publish(Payload::text(text)).send()?;
        Ok(async move {
            match receipt.stored().await {
                Ok(stored) => {
                    let epoch = Arc::from(stored.epoch);
                    Told::Stored(stored.offset.map(|offset| Place { epoch, offset }))
                }
                Err(error) if error.code() == "publish.uncertain" => Told::Uncertain,
                Err(_) => Told::Refused,
            }
        })
    }

    /// Begins to read a channel.
    ///
    /// # Errors
    /// [`AppError::Client`].
    pub async fn read(&self, channel: &str, reading: Reading) -> Result<Inbox, AppError> {
        let channel: Channel = self.client.channel(channel).qos(Qos::ExactlyOnce).auto_ack(true);
        let channel = match reading {
            Reading::Plain => channel.since(Since::First),
            Reading::Durable => channel.since(Since::First).durable(true).presence(Presence::Join),
            Reading::Again => channel.since(Since::Resume).durable(true),
        };
        Ok(Inbox { messages: channel.subscribe().await? })
    }

    /// Begins to look at who is present in a channel.
    ///
    /// # Errors
    /// [`AppError::Client`].
    pub async fn watch(&self, channel: &str) -> Result<Inbox, AppError> {
        let channel = self.client.channel(channel).qos(Qos::AtMostOnce).presence(Presence::Watch);
        Ok(Inbox { messages: channel.subscribe().await? })
    }

    /// Returns who is present in a channel that is watched; `None` without a connection.
    pub fn present(&self, channel: &str) -> Option<Vec<String>> {
        let members = self.client.channel(channel).members().list()?;
        let is_online = self.client.state() == ConnectionState::Online;
        is_online.then(|| members.into_iter().map(|member| member.user).collect())
    }

    /// Tells the client that the network is there, as a device does.
    pub fn wake(&self) {
        self.client.lifecycle(Lifecycle::Online);
    }
}

/// What arrives on a channel. Each message is acknowledged when the next one is asked for.
pub struct Inbox {
    messages: Messages,
}

impl Inbox {
    /// Waits for what the app sees next.
    ///
    /// # Errors
    /// [`AppError`] when the subscription has ended.
    pub async fn next(&mut self) -> Result<Seen, AppError> {
        loop {
            match self.messages.next_event().await {
                Some(Event::Message(message)) => return Ok(seen(&message)),
                Some(Event::Reset { .. }) => return Ok(Seen::Reset),
                Some(Event::Ended(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(AppError::Ended),
            }
        }
    }
}

fn seen(message: &Message) -> Seen {
    Seen::Message {
        // No offset means "not stored", which the checker will not find in the log.
        place: Place { epoch: Arc::from(message.epoch.as_str()), offset: message.offset.unwrap_or(0) },
        mark: message.text().and_then(Mark::parse),
        redelivered: message.redelivered,
    }
}

/// A disk of an app: what was committed is there when the app is started again.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How often it was opened; only the newest process may write.
    opened: u64,
}

impl Disk {
    fn open(&self) -> OpenDisk {
        let mut content = self.lock();
        content.opened += 1;
        OpenDisk { disk: self.clone(), opened: content.opened }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A disk in the hands of one process.
struct OpenDisk {
    disk: Disk,
    opened: u64,
}

impl Store for OpenDisk {
    fn load(&mut self) -> Result<Vec<StoreEntry>, StoreError> {
        Ok(self.disk.lock().entries.clone().into_iter().collect())
    }

    fn commit(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        let mut content = self.disk.lock();
        if content.opened != self.opened {
            return Err(StoreError::Locked);
        }
        if batch.clear {
            content.entries.clear();
        }
        for key in &batch.deletes {
            content.entries.remove(key);
        }
        content.entries.extend(batch.puts);
        Ok(())
    }
}
