use moorline_core::protocol::{HistoryRange, Position, ResetMode};
use moorline_core::{HistoryQuery, PublishOptions, StartAt, SubscribeOptions, SubscriptionId};

use super::host::Host;
use crate::choices::Choices;
use crate::frames::{channel, epoch, headers, offset, payload, position, qos};

/// Ids of messages that an app makes itself.
const IDS: &[&str] = &["order-1", "order-2"];

/// An app that reads and writes as it pleases.
#[derive(Default)]
pub(super) struct App {
    readers: Vec<SubscriptionId>,
}

impl App {
    /// Calls one command.
    pub(super) fn act(&mut self, host: &mut Host, choices: &mut Choices<'_>) {
        let now = host.now();
        match choices.below(10) {
            0..=3 => {
                let (channel, payload) = (channel(choices), payload(choices));
                let options = PublishOptions {
                    qos: choices.maybe(qos),
                    id: choices.maybe(|choices| (choices.pick(IDS)).into()),
                    ttl: choices.maybe(Choices::int),
                    headers: headers(choices),
                };
                host.publish(|client| client.publish(&channel, payload, options, now));
            }
            4 | 5 => {
                let (channel, options) = (channel(choices), options(choices));
                self.readers.extend(host.call(|client| client.subscribe(&channel, options, now)));
            }
            6 => {
                let (id, forget) = (self.reader(choices), choices.chance(30));
                host.call(|client| client.unsubscribe(id, forget, now));
            }
            7 => {
                let (id, count) = (self.reader(choices), choices.number());
                host.call(|client| client.consumed(id, usize::try_from(count).unwrap_or(usize::MAX), now));
            }
            8 => {
                let (id, channel) = (self.reader(choices), channel(choices));
                let reached = host.client().position(&channel);
                let position = if choices.chance(70) { reached } else { None };
                let position = position.unwrap_or_else(|| position_of(choices));
                host.call(|client| client.ack(id, position, now));
            }
            _ => {
                let (channel, query) = (channel(choices), query(choices));
                host.call(|client| client.history(&channel, query, now));
            }
        }
    }

    /// Names a reader, perhaps one that is gone or never was.
    fn reader(&self, choices: &mut Choices<'_>) -> SubscriptionId {
        if self.readers.is_empty() { SubscriptionId(choices.number()) } else { choices.pick(&self.readers) }
    }
}

fn position_of(choices: &mut Choices<'_>) -> Position {
    Position { epoch: epoch(choices), offset: offset(choices) }
}

fn options(choices: &mut Choices<'_>) -> SubscribeOptions {
    SubscribeOptions {
        since: choices.maybe(|choices| match choices.below(7) {
            0 => StartAt::Resume,
            1 => StartAt::Live,
            2 => StartAt::Cursor,
            3 => StartAt::First,
            4 => StartAt::Last(choices.int()),
            5 => StartAt::Position(position(choices)),
            _ => StartAt::Time(choices.safe()),
        }),
        reset: choices.maybe(|choices| choices.pick(&[ResetMode::First, ResetMode::Live])),
        qos: choices.maybe(qos),
        durable: choices.maybe(|choices| choices.chance(70)),
        auto_ack: choices.maybe(|choices| choices.chance(50)),
        ..SubscribeOptions::default()
    }
}

fn query(choices: &mut Choices<'_>) -> HistoryQuery {
    let range = match choices.below(3) {
        0 => HistoryRange::Newest,
        1 => HistoryRange::After(offset(choices)),
        _ => HistoryRange::BeforeTime(choices.safe()),
    };
    HistoryQuery { range, limit: choices.maybe(Choices::int) }
}
