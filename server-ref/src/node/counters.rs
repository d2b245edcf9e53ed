use std::collections::BTreeMap;

use moorline_protocol::{AppName, ErrorCode, ServerFrame};
use rustc_hash::FxHashMap;

use super::session::{Flow, State};
use super::{ConnId, Node};

/// Numbers of an app on one node since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppNumbers {
    /// Open connections now.
    pub connections: u64,
    /// Subscriptions now that read the log: at their own pace, slow, or paused.
    pub behind: u64,
    /// Messages handed to connections, each of them counted.
    pub delivered: u64,
    /// Messages at QoS 0 that were dropped under pressure, and told so.
    pub dropped: u64,
    /// Errors told to clients, by code.
    pub refused: BTreeMap<String, u64>,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters(FxHashMap<AppName, Counted>);

#[derive(Debug, Default)]
struct Counted {
    delivered: u64,
    dropped: u64,
    refused: FxHashMap<ErrorCode, u64>,
}

impl Counters {
    fn of(&mut self, app: &AppName) -> &mut Counted {
        self.0.entry(app.clone()).or_default()
    }

    /// Messages went to connections.
    pub(super) fn deliver(&mut self, app: &AppName, messages: usize) {
        if messages > 0 {
            self.of(app).delivered += messages as u64;
        }
    }
}

impl Node {
    /// Counts a frame that is sent, if it says that something was refused or dropped.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other frames are answers and deliveries")]
    pub(super) fn count(&mut self, conn: ConnId, frame: &ServerFrame) {
        match frame {
            ServerFrame::Error(error) => {
                let Some(entry) = self.conns.get(&conn) else { return };
                *self.counters.of(&entry.app).refused.entry(error.code.clone()).or_default() += 1;
            }
            ServerFrame::Dropped(dropped) => {
                let Some(entry) = self.conns.get(&conn) else { return };
                self.counters.of(&entry.app).dropped += dropped.count;
            }
            _ => {}
        }
    }

    /// Returns numbers, per app. Looks at every connection.
    pub fn numbers(&self) -> BTreeMap<AppName, AppNumbers> {
        let mut apps: BTreeMap<AppName, AppNumbers> = BTreeMap::new();
        for (app, counted) in &self.counters.0 {
            let numbers = apps.entry(app.clone()).or_default();
            (numbers.delivered, numbers.dropped) = (counted.delivered, counted.dropped);
            numbers.refused = counted.refused.iter().map(|(code, count)| (code.name().to_owned(), *count)).collect();
        }
        for entry in self.conns.values() {
            let numbers = apps.entry(entry.app.clone()).or_default();
            numbers.connections += 1;
            if let State::Open(session) = &entry.state {
                let behind = session.subscriptions.iter().filter(|one| matches!(one.flow, Flow::Behind(_)));
                numbers.behind += behind.count() as u64;
            }
        }
        apps
    }
}
