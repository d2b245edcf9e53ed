use std::time::Duration;

use moorline_protocol::time::Timestamp;
use moorline_protocol::{ChannelName, ClientFrame, ErrorFrame, StatusRequest, Statuses, UserName, UserStatus};

use crate::event::Event;
use crate::inbound::failure;
use crate::outgoing::Outgoing;
use crate::planted::{Bug, Bugs};
use crate::sorted::{Named, Sorted};

/// An answer is awaited for so long, then the list is sent again.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server could not say when it can take the list.
const RETRY_MS: u32 = 1_000;

/// The users whose status is followed, over all connections.
#[derive(Default)]
pub(crate) struct Feed {
    users: Vec<UserName>,
    /// What the app was told.
    known: Sorted<UserStatus>,
    sending: Sending,
    bugs: Bugs,
}

impl Named for UserStatus {
    fn name(&self) -> &str {
        self.user.as_str()
    }
}

#[derive(Default)]
enum Sending {
    /// There is no connection, or nothing to be sent.
    #[default]
    Idle,
    /// An answer is awaited. In doubt: a user was taken off a list meanwhile, perhaps off this one.
    Asked {
        req: u64,
        deadline: Timestamp,
        in_doubt: bool,
    },
    /// The server takes it then.
    Later(Timestamp),
    Stands,
}

impl Feed {
    pub(crate) fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Replaces the list.
    pub(crate) fn watch(&mut self, users: Vec<UserName>, is_online: bool, now: Timestamp, out: &mut Outgoing) {
        let was_empty = std::mem::replace(&mut self.users, users).is_empty();
        let users = &self.users;
        self.known.retain(|status| users.contains(&status.user));
        if is_online && !(was_empty && self.users.is_empty()) {
            self.send(now, out);
        }
    }

    fn send(&mut self, now: Timestamp, out: &mut Outgoing) {
        let req = out.req();
        self.sending = Sending::Asked { req, deadline: now + PATIENCE, in_doubt: false };
        out.send(&ClientFrame::Status(StatusRequest { req, users: self.users.clone(), watch: true }));
    }

    pub(crate) fn on_online(&mut self, now: Timestamp, out: &mut Outgoing) {
        if !self.users.is_empty() && (self.known.len() == 0 || !self.bugs.has(Bug::StatusForgotten)) {
            self.send(now, out);
        }
    }

    pub(crate) fn on_lost(&mut self) {
        self.sending = Sending::Idle;
    }

    /// Tells whether this answers the list.
    pub(crate) fn is_asking(&self, answered: u64) -> bool {
        matches!(self.sending, Sending::Asked { req, .. } if req == answered)
    }

    /// Takes an answer or a change; tells the app what it does not know.
    pub(crate) fn on_statuses(&mut self, statuses: Statuses, now: Timestamp, out: &mut Outgoing) {
        if statuses.req.is_some() {
            let in_doubt = matches!(self.sending, Sending::Asked { in_doubt: true, .. });
            self.sending = Sending::Stands;
            if in_doubt {
                self.send(now, out);
            }
        }
        let (known, users) = (&mut self.known, &self.users);
        let mut news = Vec::new();
        for status in statuses.users {
            if users.contains(&status.user) && known.get(status.name()) != Some(&status) {
                known.insert(status.clone());
                news.push(status);
            }
        }
        if !news.is_empty() {
            out.event(Event::StatusChanged { users: news });
        }
    }

    /// The list was refused: for ever, or for now.
    pub(crate) fn on_error(&mut self, error: &ErrorFrame, now: Timestamp, out: &mut Outgoing) {
        if error.retry {
            let pause = Duration::from_millis(u64::from(error.after.unwrap_or(RETRY_MS).max(1)));
            self.sending = Sending::Later(now + pause);
            return;
        }
        *self = Self::new(self.bugs);
        out.event(Event::StatusEnded { failure: failure(error) });
    }

    /// The server took a user off the list, whose inbox this is: it takes the whole list once more, or refuses it.
    pub(crate) fn on_denied(&mut self, inbox: &ChannelName, now: Timestamp, out: &mut Outgoing) {
        let user = inbox.as_str().strip_prefix('@');
        let is_followed = self.users.iter().any(|followed| Some(followed.as_str()) == user);
        if !is_followed || self.bugs.has(Bug::StatusDenialUnheard) {
            return;
        }
        match &mut self.sending {
            Sending::Stands => self.send(now, out),
            Sending::Asked { in_doubt, .. } => *in_doubt = true,
            // It is sent anyway.
            Sending::Idle | Sending::Later(_) => {}
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match self.sending {
            Sending::Asked { deadline, .. } => Some(deadline),
            Sending::Later(at) => Some(at),
            Sending::Idle | Sending::Stands => None,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp, out: &mut Outgoing) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.send(now, out);
        }
    }
}
