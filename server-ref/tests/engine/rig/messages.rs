//! What scenarios ask for, and what they look at in the answers.

use moorline_protocol::{
    AppName, ChannelName, DeviceId, Generation, Offset, Payload, Position, ProducerId, ResetMode, Since, UserName,
};
use moorline_server::engine::{
    Append, Appended, ChannelKey, Command, Open, Opened, Owner, ProducerSequence, Read, ReadPage, ReadRange,
    content_hash,
};

use super::Device;

pub(crate) fn channel(name: &str) -> ChannelKey {
    ChannelKey { app: AppName::default_app(), name: ChannelName::new(name).unwrap() }
}

pub(crate) fn owner(user: &str) -> Owner {
    let device = DeviceId::new(&format!("device-of-{user:0>6}")).unwrap();
    Owner { app: AppName::default_app(), user: UserName::new(user).unwrap(), device }
}

/// A message that is published.
#[derive(Clone, Debug)]
pub(crate) struct Message(pub(crate) Append);

/// Begins a publish at QoS 1 by nobody in particular.
pub(crate) fn message(channel_name: &str, id: &str) -> Message {
    let append = Append {
        channel: channel(channel_name),
        id: id.into(),
        scope: "someone".into(),
        user: None,
        headers: Vec::new(),
        payload: Payload::Text(id.into()),
        ttl: None,
        hash: 0,
        producer: None,
        verdict: Ok(()),
    };
    Message(append)
}

impl Message {
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.payload = Payload::Text(text.into());
        self
    }

    pub(crate) fn ttl(mut self, seconds: u32) -> Self {
        self.0.ttl = Some(seconds);
        self
    }

    pub(crate) fn scope(mut self, scope: &str) -> Self {
        self.0.scope = scope.into();
        self
    }

    pub(crate) fn refused(mut self, code: moorline_protocol::ErrorCode) -> Self {
        self.0.verdict = Err(code);
        self
    }

    /// At QoS 2.
    pub(crate) fn seq(mut self, device: &Device, seq: u64) -> Self {
        let (id, generation) = (device.producer.id, device.producer.generation);
        self.0.producer = Some(ProducerSequence { id, generation, seq });
        self.0.scope = device.owner.user.as_str().into();
        self
    }

    pub(crate) fn generation(mut self, generation: Generation) -> Self {
        self.0.producer.as_mut().unwrap().generation = generation;
        self
    }

    pub(crate) fn producer(mut self, id: ProducerId) -> Self {
        self.0.producer.as_mut().unwrap().id = id;
        self
    }

    pub(crate) fn command(mut self) -> Command {
        self.0.hash = content_hash(&self.0.id, &self.0.payload, &self.0.headers);
        Command::Append(self.0)
    }
}

pub(crate) fn open(channel_name: &str, since: Since) -> Open {
    Open { channel: channel(channel_name), since, reset: ResetMode::First, cursor: None, presence: None }
}

pub(crate) fn read_command(channel_name: &str, range: ReadRange, max_messages: usize, max_bytes: usize) -> Command {
    Command::Read(Read { channel: channel(channel_name), range, max_messages, max_bytes })
}

/// Returns the offset of a message that was stored.
pub(crate) fn stored(appended: &Appended) -> u64 {
    match appended {
        Appended::Stored(position) => position.offset.0,
        other => panic!("not stored: {other:?}"),
    }
}

/// Returns the offset of a message that was there already.
pub(crate) fn duplicate(appended: &Appended) -> u64 {
    match appended {
        Appended::Duplicate(position) => position.offset.0,
        other => panic!("not a duplicate: {other:?}"),
    }
}

/// Returns the offsets of a page.
pub(crate) fn offsets(page: &ReadPage) -> Vec<u64> {
    page.messages.iter().map(|stored| stored.offset.0).collect()
}

/// Returns the ids of a page.
pub(crate) fn ids(page: &ReadPage) -> Vec<String> {
    let id = |bytes: &bytes::Bytes| moorline_protocol::binary::decode_message(&mut bytes.clone()).unwrap().id;
    page.messages.iter().map(|stored| id(&stored.bytes).to_string()).collect()
}

pub(crate) fn at(opened: &Opened, offset: u64) -> Position {
    Position { epoch: opened.epoch, offset: Offset(offset) }
}
