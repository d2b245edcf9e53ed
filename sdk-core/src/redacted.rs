//! What inputs, outputs and batches show of themselves: never a token, never a payload, only how much there is.

use std::fmt::{Debug, Formatter, Result};

use crate::io::{Input, Output, StoreBatch};

impl Debug for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::TransportOpened { id } => f.debug_struct("TransportOpened").field("id", id).finish(),
            Self::Message { id, bytes } => {
                f.debug_struct("Message").field("id", id).field("bytes", &bytes.len()).finish()
            }
            Self::Activity { id } => f.debug_struct("Activity").field("id", id).finish(),
            Self::Buffered { id, bytes } => f.debug_struct("Buffered").field("id", id).field("bytes", bytes).finish(),
            Self::TransportClosed { id, code } => {
                f.debug_struct("TransportClosed").field("id", id).field("code", code).finish()
            }
            Self::TransportFailed { id, failure } => {
                f.debug_struct("TransportFailed").field("id", id).field("failure", failure).finish()
            }
            Self::Token(result) => {
                f.debug_tuple("Token").field(&result.as_ref().map(|token| token.as_ref().map(|_| Hidden))).finish()
            }
            Self::Persisted { ticket, result } => {
                f.debug_struct("Persisted").field("ticket", ticket).field("result", result).finish()
            }
            Self::Host(signal) => f.debug_tuple("Host").field(signal).finish(),
        }
    }
}

impl Debug for Output {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::OpenTransport { id, url } => {
                f.debug_struct("OpenTransport").field("id", id).field("url", url).finish()
            }
            Self::Send { id, bytes } => f.debug_struct("Send").field("id", id).field("bytes", &bytes.len()).finish(),
            Self::CloseTransport { id, code } => {
                f.debug_struct("CloseTransport").field("id", id).field("code", code).finish()
            }
            Self::NeedToken { reason } => f.debug_struct("NeedToken").field("reason", reason).finish(),
            Self::Persist { ticket, batch } => {
                f.debug_struct("Persist").field("ticket", ticket).field("batch", batch).finish()
            }
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
        }
    }
}

impl Debug for StoreBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let bytes: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        f.debug_struct("StoreBatch")
            .field("clear", &self.clear)
            .field("deletes", &self.deletes.len())
            .field("puts", &self.puts.len())
            .field("bytes", &bytes)
            .finish()
    }
}

/// Stands for what is not shown.
struct Hidden;

impl Debug for Hidden {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::TransportId;

    #[test]
    fn nothing_shows_a_token_or_a_payload() {
        let token = Input::Token(Ok(Some("secret".into())));
        let message = Input::Message { id: TransportId(1), bytes: "secret".into() };
        let send = Output::Send { id: TransportId(1), bytes: "secret".into() };
        let batch = StoreBatch { puts: vec![(b"k".to_vec(), b"secret".to_vec())], ..StoreBatch::default() };
        for shown in [format!("{token:?}"), format!("{message:?}"), format!("{send:?}"), format!("{batch:?}")] {
            assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
        }
        assert_eq!(format!("{token:?}"), "Token(Ok(Some(…)))");
    }
}
