//! Where the app's backend reaches this device while its user is away: told to the server with each connection.

use moorline_protocol::limits::PUSH_HANDLE_BYTES;
use moorline_protocol::{ClientFrame, ErrorCode, Push, Utf8Bytes};

use crate::Now;
use crate::blackbox::Call;
use crate::client::Client;
use crate::closing::closed_failure;
use crate::event::{Failure, Origin};
use crate::outgoing::Outgoing;

/// What the app has said of it.
#[derive(Default)]
pub(crate) struct PushHandle {
    wish: Option<Push>,
    /// Whether the server of this connection takes it.
    is_wanted: bool,
}

impl PushHandle {
    pub(crate) fn on_welcome(&mut self, is_wanted: bool, out: &mut Outgoing) {
        self.is_wanted = is_wanted;
        self.send(out);
    }

    fn send(&self, out: &mut Outgoing) {
        if let Some(wish) = self.wish.as_ref().filter(|_| self.is_wanted) {
            out.send(&ClientFrame::Push(wish.clone()));
        }
    }

    /// The user signs out: nobody may be told of this user on this device.
    pub(crate) fn forget(&mut self, is_online: bool, out: &mut Outgoing) {
        // An earlier start may have registered it.
        self.wish = Some(Push { handle: None });
        if is_online {
            self.send(out);
        }
    }
}

impl Client {
    /// Says where the app's backend reaches this device while its user is away, such as with the token of a push
    /// service: 1 to 512 bytes. The server keeps it with user and device, and hands it to the app's offline hook alone.
    /// `None` has the server forget it; a logout ([`close`](Self::close) with `wipe`) does that, too.
    ///
    /// It is told again with each connection, by a client that has it: say it after each start. A server without an
    /// offline hook is not told.
    ///
    /// # Errors
    /// A handle that is empty or too long, or a client that is closed; nothing changed.
    pub fn set_push_handle(&mut self, handle: Option<Utf8Bytes>, now: Now) -> Result<(), Failure> {
        self.recorder.begin(now, || Call::PushHandle { handle: handle.clone() });
        if handle.as_ref().is_some_and(|handle| !(1..=PUSH_HANDLE_BYTES).contains(&handle.as_bytes().len())) {
            return Err(Failure::new(ErrorCode::RequestMalformed, "a push handle has 1 to 512 bytes", Origin::Client));
        }
        if !self.phase.is_open() || self.connection.is_closed() {
            return Err(closed_failure());
        }
        self.push.wish = Some(Push { handle });
        if self.connection.is_online() {
            self.push.send(&mut self.out);
        }
        self.end_call(now);
        Ok(())
    }
}
