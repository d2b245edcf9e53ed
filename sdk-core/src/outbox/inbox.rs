//! `@me`, the caller's own inbox, is the channel `@<user>`: two names of one sequence.

use moorline_protocol::{ChannelName, UserName, joined};

use super::Outbox;
use crate::planted::Bug;

const ME: &str = "@me";

impl Outbox {
    /// Returns the one name of a channel, as far as it is known.
    pub(super) fn canonical(&self, channel: &ChannelName) -> ChannelName {
        match &self.inbox {
            Some(inbox) if channel.as_str() == ME && !self.bugs.has(Bug::InboxTwice) => inbox.clone(),
            Some(_) | None => channel.clone(),
        }
    }

    /// Learns who the user is: what waits for the inbox gets its name before it is numbered.
    pub(crate) fn on_user(&mut self, user: Option<&UserName>) {
        self.inbox = user.and_then(|user| ChannelName::new(&joined(&["@", user.as_str()])).ok());
        let Some(inbox) = self.inbox.clone() else { return };
        let Some(at) = self.lanes.iter().position(|lane| lane.channel.as_str() == ME) else { return };
        let waiting = self.lanes.remove(at).entries;
        let lane = self.lane(&inbox);
        for entry in waiting {
            lane.insert(entry);
        }
        for (_, channel, _) in &mut self.storing {
            if channel.as_str() == ME {
                *channel = inbox.clone();
            }
        }
    }
}
