//! Calls of clients, which the test answers.

use bytes::Bytes;
use moorline_protocol::time::UnixMillis;
use moorline_protocol::{Call, ClientFrame, Codec, Decoded, Payload, ServerFrame};
use moorline_server::node::{CallFailure, CallId, Calling};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::machine::Machine;

/// What the app's backend is asked, in JSON.
#[derive(Serialize)]
struct Question<'a> {
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    device: &'a str,
    /// A `call` of the protocol.
    frame: Box<RawValue>,
}

/// Returns a call as the test reads it.
pub(crate) fn question(id: CallId, calling: Calling) -> Bytes {
    let Calling { app, user, device, id: name, method, payload, timeout_ms } = calling;
    let call = Call { req: id.0, id: name, method, timeout: timeout_ms, payload };
    let mut frame = Vec::new();
    Codec::Json.encode_client(&ClientFrame::Call(call), &mut frame);
    let user = user.as_ref().map(moorline_protocol::UserName::as_str);
    let question = |frame| Question { app: app.as_str(), user, device: device.as_str(), frame };
    // What the codec writes is a line of JSON, and what is made of texts always is.
    let frame = serde_json::from_slice(&frame);
    frame.and_then(|frame| serde_json::to_vec(&question(frame))).unwrap_or_default().into()
}

impl Machine {
    /// The test answers a call with a `result` or an `error` of the protocol.
    pub(crate) fn called(&mut self, call: u64, frame: &RawValue, now: UnixMillis) -> Result<(), String> {
        let line = frame.get().replace(['\n', '\r'], " ");
        let answer: Result<Payload, CallFailure> = match Codec::Json.decode_server(&mut line.into()) {
            Ok(Some(Decoded::Frame(ServerFrame::Result(result)))) => Ok(result.payload),
            Ok(Some(Decoded::Frame(ServerFrame::Error(error)))) => {
                Err(CallFailure { code: error.code, message: error.message })
            }
            Ok(_) => return Err("a call is answered with a `result` or an `error`".into()),
            Err(error) => return Err(error.to_string()),
        };
        self.answered(CallId(call), answer, now);
        Ok(())
    }
}
