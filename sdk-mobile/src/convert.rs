//! From the native client's types to those that cross, and back.

use moorline::{
    Channel, Connection, ConnectionState, Error, Event, History, Lifecycle, LogLevel, LogLine, Member, MemberChange,
    MemberEvent, Members, MembersChange, MembersPage, Message, OutboxStats, Page, Payload, Presence, PresenceState,
    Publish, Qos, ReceiptState, Since, StateReason, Status, Statuses, Stored,
};

use crate::error::FfiFailure;
use crate::options::{FfiChannelOptions, FfiHistoryRange, FfiPresenceMode, FfiPublishOptions, FfiQos, FfiSince};
use crate::records::{
    FfiConnection, FfiConnectionState, FfiEvent, FfiHistoryPage, FfiLogLevel, FfiMember, FfiMemberChange,
    FfiMemberEvent, FfiMembers, FfiMembersPage, FfiMessage, FfiOutbox, FfiPayload, FfiReceiptState, FfiSignal,
    FfiStored, FfiUserStatus,
};

impl From<FfiQos> for Qos {
    fn from(qos: FfiQos) -> Self {
        match qos {
            FfiQos::AtMostOnce => Self::AtMostOnce,
            FfiQos::AtLeastOnce => Self::AtLeastOnce,
            FfiQos::ExactlyOnce => Self::ExactlyOnce,
        }
    }
}

impl From<FfiPresenceMode> for Presence {
    fn from(mode: FfiPresenceMode) -> Self {
        match mode {
            FfiPresenceMode::Off => Self::None,
            FfiPresenceMode::Watch => Self::Watch,
            FfiPresenceMode::Join => Self::Join,
        }
    }
}

impl From<FfiSince> for Since {
    fn from(since: FfiSince) -> Self {
        match since {
            FfiSince::Resume => Self::Resume,
            FfiSince::Live => Self::Live,
            FfiSince::Cursor => Self::Cursor,
            FfiSince::First => Self::First,
            FfiSince::Last { count } => Self::Last(count),
            FfiSince::Position { epoch, offset } => Self::Position { epoch, offset },
            FfiSince::Time { ms } => Self::Time(ms),
        }
    }
}

impl From<FfiHistoryRange> for History {
    fn from(range: FfiHistoryRange) -> Self {
        match range {
            FfiHistoryRange::Newest => Self::Newest,
            FfiHistoryRange::After { offset } => Self::After(offset),
            FfiHistoryRange::Before { offset } => Self::Before(offset),
            FfiHistoryRange::Since { ms } => Self::Since(ms),
            FfiHistoryRange::Until { ms } => Self::Until(ms),
        }
    }
}

impl From<FfiSignal> for Lifecycle {
    fn from(signal: FfiSignal) -> Self {
        match signal {
            FfiSignal::Online => Self::Online,
            FfiSignal::Offline => Self::Offline,
            FfiSignal::Foreground => Self::Foreground,
            FfiSignal::Background => Self::Background,
            FfiSignal::Wake => Self::Wake,
            FfiSignal::Network { id } => Self::Network(id),
        }
    }
}

impl FfiChannelOptions {
    /// Sets what is named on a channel.
    pub(crate) fn apply(self, channel: Channel) -> Result<Channel, Error> {
        let mut channel = channel.auto_ack(self.auto_ack).since(self.since.map_or(Since::Resume, Into::into));
        if let Some(qos) = self.qos {
            channel = channel.qos(qos.into());
        }
        if let Some(durable) = self.durable {
            channel = channel.durable(durable);
        }
        if let Some(state) = self.state {
            channel = channel.presence_state(&PresenceState::json_text(&state)?)?;
        }
        if let Some(presence) = self.presence {
            channel = channel.presence(presence.into());
        }
        Ok(if self.reset_to_live { channel.reset_to_live() } else { channel })
    }
}

impl FfiPublishOptions {
    /// Sets what is named on a message.
    pub(crate) fn apply(self, mut publish: Publish<'_>) -> Publish<'_> {
        if let Some(qos) = self.qos {
            publish = publish.qos(qos.into());
        }
        if let Some(id) = self.id {
            publish = publish.id(id);
        }
        if let Some(ttl) = self.ttl {
            publish = publish.ttl(ttl);
        }
        self.headers.into_iter().fold(publish, |publish, (name, value)| publish.header(name, value))
    }
}

impl FfiPayload {
    pub(crate) fn into_native(self) -> Result<Payload, Error> {
        match self {
            Self::Json { text } => Payload::json_text(text),
            Self::Text { text } => Ok(Payload::text(text)),
            Self::Bytes { bytes } => Ok(Payload::bytes(bytes)),
        }
    }
}

impl From<&Payload> for FfiPayload {
    fn from(payload: &Payload) -> Self {
        if let Some(text) = payload.as_text() {
            Self::Text { text: text.to_owned() }
        } else if payload.is_json() {
            Self::Json { text: String::from_utf8_lossy(payload.as_bytes()).into_owned() }
        } else {
            Self::Bytes { bytes: payload.as_bytes().to_vec() }
        }
    }
}

impl From<Message> for FfiMessage {
    fn from(message: Message) -> Self {
        Self {
            payload: (&message.payload).into(),
            channel: message.channel,
            id: message.id,
            epoch: message.epoch,
            offset: message.offset,
            user: message.user,
            time_ms: message.time,
            replayed: message.replayed,
            redelivered: message.redelivered,
            headers: message.headers.into_iter().collect(),
        }
    }
}

impl From<Page> for FfiHistoryPage {
    fn from(page: Page) -> Self {
        let messages = page.messages.into_iter().map(Into::into).collect();
        Self { messages, more: page.more, epoch: page.epoch, first: page.first, head: page.head }
    }
}

impl From<Stored> for FfiStored {
    fn from(stored: Stored) -> Self {
        Self { epoch: stored.epoch, offset: stored.offset, duplicate: stored.duplicate }
    }
}

impl From<ReceiptState> for FfiReceiptState {
    fn from(state: ReceiptState) -> Self {
        match state {
            ReceiptState::Queued => Self::Queued,
            ReceiptState::Sent => Self::Sent,
            ReceiptState::Stored(stored) => Self::Stored { stored: stored.into() },
            ReceiptState::Failed(error) => Self::Failed { failure: error.into() },
            ReceiptState::Uncertain => Self::Uncertain,
        }
    }
}

/// Members and statuses are no events of a reader; what a later version adds is told by none.
pub(crate) fn event(event: Event) -> Option<FfiEvent> {
    Some(match event {
        Event::Message(message) => FfiEvent::Message { message: message.into() },
        Event::Subscribed { epoch, from, head, replay } => FfiEvent::Subscribed { epoch, from, head, replay },
        Event::Reset { reason, epoch, first, head, from } => FfiEvent::Reset { reason, epoch, first, head, from },
        Event::Dropped(count) => FfiEvent::Dropped { count },
        Event::Acked(offset) => FfiEvent::Acked { offset },
        Event::Presence { .. } | Event::Ended(_) | _ => return None,
    })
}

impl From<MembersChange> for FfiEvent {
    fn from(change: MembersChange) -> Self {
        let changes = change.changes.into_iter().map(Into::into).collect();
        Self::Members { count: change.count, changes, snapshot: change.snapshot }
    }
}

impl From<Statuses> for FfiEvent {
    fn from(statuses: Statuses) -> Self {
        Self::Statuses { users: statuses.0.into_iter().map(Into::into).collect() }
    }
}

impl From<LogLine> for FfiEvent {
    fn from(line: LogLine) -> Self {
        let level = match line.level {
            LogLevel::Debug => FfiLogLevel::Debug,
            LogLevel::Info => FfiLogLevel::Info,
            LogLevel::Warn => FfiLogLevel::Warn,
            LogLevel::Error => FfiLogLevel::Error,
        };
        Self::Log { level, text: line.text }
    }
}

impl From<OutboxStats> for FfiOutbox {
    fn from(outbox: OutboxStats) -> Self {
        Self { messages: outbox.messages as u64, bytes: outbox.bytes as u64 }
    }
}

impl From<(String, Status)> for FfiUserStatus {
    fn from((user, status): (String, Status)) -> Self {
        Self { user, online: status.online, since_ms: status.since }
    }
}

fn text(state: Option<PresenceState>) -> Option<String> {
    state.map(|state| String::from_utf8_lossy(state.as_bytes()).into_owned())
}

impl From<Member> for FfiMember {
    fn from(member: Member) -> Self {
        Self { user: member.user, state: text(member.state), since_ms: member.since }
    }
}

impl From<MemberChange> for FfiMemberChange {
    fn from(change: MemberChange) -> Self {
        let event = match change.event {
            MemberEvent::Join => FfiMemberEvent::Join,
            MemberEvent::Leave => FfiMemberEvent::Leave,
            MemberEvent::Timeout => FfiMemberEvent::Timeout,
            MemberEvent::Back => FfiMemberEvent::Back,
            MemberEvent::Update => FfiMemberEvent::Update,
            MemberEvent::Other | _ => FfiMemberEvent::Other,
        };
        Self { event, user: change.user, state: text(change.state) }
    }
}

impl From<&Members> for FfiMembers {
    fn from(members: &Members) -> Self {
        let list = members.list().map(|list| list.into_iter().map(Into::into).collect());
        Self { count: members.count(), list }
    }
}

impl From<MembersPage> for FfiMembersPage {
    fn from(page: MembersPage) -> Self {
        let members = page.members.into_iter().map(Into::into).collect();
        Self { count: page.count, members, cursor: page.cursor }
    }
}

impl From<Connection> for FfiConnection {
    fn from(connection: Connection) -> Self {
        Self {
            state: match connection.state {
                ConnectionState::Idle => FfiConnectionState::Idle,
                ConnectionState::Connecting => FfiConnectionState::Connecting,
                ConnectionState::Online => FfiConnectionState::Online,
                ConnectionState::Closed => FfiConnectionState::Closed,
                ConnectionState::Recovering | _ => FfiConnectionState::Recovering,
            },
            reason: connection.reason_name().to_owned(),
            close_code: if let StateReason::TransportClosed(Some(code)) = &connection.reason {
                Some(code.0)
            } else {
                None
            },
            cause: connection.cause().map(FfiFailure::from),
            since_ms: connection.since,
            attempt: connection.attempt,
            retry_at_ms: connection.retry_at,
            user: connection.user,
        }
    }
}
