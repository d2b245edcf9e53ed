//! Calls: a question to the app's own backend, and its answer.

use crate::limits;
use crate::message::Payload;
use crate::types::Utf8Bytes;

/// `call`: hand this to the app's backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Echoed in the answer: a `result` or an `error`.
    pub req: u64,
    /// Names the call for the backend, which can tell by it that it has seen the call before: 1–128 bytes.
    pub id: Utf8Bytes,
    /// What is asked for; see [`is_method`].
    pub method: Utf8Bytes,
    /// ms for which the client will wait from now on.
    pub timeout: u32,
    /// The arguments.
    pub payload: Payload,
}

impl Call {
    /// The name of the feature in `caps`.
    pub const CAP: &'static str = "call";
}

/// `result`: what the app's backend answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// From the `call`.
    pub req: u64,
    /// The answer.
    pub payload: Payload,
}

/// Tells whether a text names a method: 1–128 of `[A-Za-z0-9_.:/-]`.
pub fn is_method(text: &str) -> bool {
    (1..=limits::METHOD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte))
}
