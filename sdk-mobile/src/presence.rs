use std::sync::Arc;

use moorline::{Members, PresenceState, Readers};

use crate::cancel::{FfiCancel, unless};
use crate::error::FfiError;
use crate::reader::FfiReader;
use crate::records::{FfiMembers, FfiMembersPage};

/// Who is in a channel.
#[derive(uniffi::Object)]
pub struct FfiPresence {
    members: Members,
    readers: Arc<Readers>,
}

impl FfiPresence {
    pub(crate) fn new(members: Members, readers: Arc<Readers>) -> Arc<Self> {
        Arc::new(Self { members, readers })
    }
}

#[uniffi::export]
impl FfiPresence {
    /// Returns the members as far as they are known.
    pub fn members(&self) -> FfiMembers {
        (&self.members).into()
    }

    /// Follows them; the channel is read as long as its handle is not left.
    pub fn changes(&self) -> Result<Arc<FfiReader>, FfiError> {
        Ok(FfiReader::of(self.readers.members()?, &self.readers))
    }

    /// Becomes a member, with this state (JSON). Done again by itself after a reconnect.
    #[uniffi::method(default(cancel = None))]
    pub async fn enter(&self, state: String, cancel: Option<Arc<FfiCancel>>) -> Result<(), FfiError> {
        self.readers.hold()?;
        unless(cancel, self.members.enter(&PresenceState::json_text(&state)?)).await
    }

    /// Changes what this member says about itself (JSON).
    #[uniffi::method(default(cancel = None))]
    pub async fn update(&self, state: String, cancel: Option<Arc<FfiCancel>>) -> Result<(), FfiError> {
        self.readers.hold()?;
        unless(cancel, self.members.update(&PresenceState::json_text(&state)?)).await
    }

    /// Stops being a member; the channel is read on.
    #[uniffi::method(default(cancel = None))]
    pub async fn leave(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), FfiError> {
        unless(cancel, self.members.leave()).await
    }

    /// Asks the server for members, whether the channel is read or not: the first 200, or those from a cursor on.
    #[uniffi::method(default(cursor = None, cancel = None))]
    pub async fn page(
        &self,
        cursor: Option<String>,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<FfiMembersPage, FfiError> {
        unless(cancel, self.members.page(cursor.as_deref())).await.map(Into::into)
    }
}
